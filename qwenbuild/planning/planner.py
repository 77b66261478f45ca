"""The free half of the walk, from what was loaded to a plan: observe, plan, gate. Nothing is written, nothing is sent.

The network is touched only where pictures would be lost and a shared cache may have them.
Does not know how a plan is carried out or shown.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from qwenbuild import gate, resolve
from qwenbuild.cache import Attempt, Cache, cache_dir
from qwenbuild.catalog import Catalog
from qwenbuild.errors import GateStop, Problem
from qwenbuild.later import later
from qwenbuild.lfs import OTHER_POINTER
from qwenbuild.model import Keyed, Manifest, Plan, Price, Verdict
from qwenbuild.plan import SetFacts, Wishes, limit_plan, make_plan
from qwenbuild.plan.shards import Shard, split, total_cost
from qwenbuild.planning import remote_pictures
from qwenbuild.planning.atlas_plans import Packing, sheet_paths
from qwenbuild.planning.fresh_assets import FreshAssets, Part, parts_of
from qwenbuild.planning.loading import Loaded, load, recalled, uncollected
from qwenbuild.planning.observe import Seen, observe
from qwenbuild.planning.signatures import losing
from qwenbuild.project.keyfile import ignored
from qwenbuild.project.options import Options
from qwenbuild.project.strays import notices
from qwenbuild.select import pulled, select

with later:
    from qwenbuild import checks
    from qwenbuild.planning import verdict_cache

RETENTION_S = 23 * 3600.0
"""Seconds for which providers keep tasks and idempotency keys."""


@dataclass(frozen=True)
class Planned:
    """A plan with everything it was made from."""

    loaded: Loaded
    plan: Plan
    seen: Seen
    cache: Cache
    wishes: Wishes
    selected: frozenset[str] | None = None
    extra: frozenset[str] = field(default_factory=frozenset)
    shared: remote_pictures.RemotePictures = field(default_factory=remote_pictures.RemotePictures)
    fresh_assets: FreshAssets | None = None
    shards: tuple[Shard, ...] = ()
    """All parts, where this plan is one of them: `shard`."""
    shard: Shard | None = None

    @property
    def manifest(self) -> Manifest:
        """The manifest."""
        return self.loaded.manifest

    @property
    def notices(self) -> tuple[Problem, ...]:
        """What is worth saying before the plan."""
        return (*self.loaded.notices, *ignored(self.manifest.folder), *self.plan.notices)

    def parts(self) -> Iterator[tuple[str, list[Part]]]:
        """What the plan has of each asset, in order: steps that were looked at, and runs of entries that were not."""
        return parts_of(self.plan.busy, [asset.name for asset in self.manifest.assets], self.fresh_assets)

    def wants(self, path: str) -> bool:
        """Whether a file of the tree is an output of some entry, selected or not."""
        return path in self._wanted or path in self.seen.facts.untouched.paths

    @cached_property
    def is_checked(self) -> bool:
        """Whether any picture is checked, or was: of 100,000 entries none is looked at for nothing."""
        blocks = (self.manifest.defaults, *self.manifest.assets)
        expecting = any(block.expect or any("expect" in item for item in block.outputs or ()) for block in blocks)
        return expecting or b'"checks": {' in self.loaded.lock.raw

    @cached_property
    def _wanted(self) -> frozenset[str]:
        return frozenset(spec.path for keyed in self.loaded.keyed for spec in keyed.entry.outputs)

    @property
    def budget(self) -> Price:
        """The manifest's budget, or this shard's part of it."""
        return self._part(self.manifest.budget)

    def _part(self, limits: Price) -> Price:
        if self.shard is None:
            return limits
        return gate.part_of(limits, self.shard.cost, total_cost(self.shards), len(self.shards))

    def decide(self, options: Options) -> gate.GateDecision:
        """What the gate says under these options; of a shard, whether all of them are within the limits, then its part."""
        whole = self.shard and gate.decide_whole(
            total_cost(self.shards), len(self.shards), self.manifest.budget, options.max_cost
        )
        max_cost = options.max_cost and self._part(options.max_cost)
        return whole or gate.decide(self.plan, self.budget, yes=options.yes, max_cost=max_cost)

    def gate(self, options: Options) -> GateStop | None:
        """What would stop a build without a terminal, or None."""
        decision = self.decide(options)
        return None if decision.answer == "open" else GateStop(decision.message, code=decision.code)

    def needs_consent(self, options: Options) -> bool:
        """Whether a terminal would be asked."""
        return self.decide(options).answer == "ask"


def plan(options: Options) -> Planned:
    """The walk up to the gate. Raises InputError, CacheError; writes nothing."""
    return make(load(options), options)


def make(loaded: Loaded, options: Options, only: frozenset[str] | None = None) -> Planned:
    """The Plan for what was loaded; `only` are the ids that it is of, whatever the options select."""
    cache = Cache.open(cache_dir(os.environ))
    parts = _shards(loaded, options)
    shard = parts[options.shard[0] - 1] if options.shard else None
    chosen, extra = _chosen(loaded, options, shard) if only is None else (only, pulled(loaded.entries, only))
    fresh = loaded.fresh_assets and replace(loaded.fresh_assets, chosen=chosen)
    keyed = loaded.keyed if chosen is None else tuple(k for k in loaded.keyed if k.entry.id in chosen | extra)
    wishes = _wishes(loaded, options, chosen)
    with uncollected():
        seen = _seen(loaded, cache, keyed, fresh, whole=chosen is None)
        plan, seen, shared = _asking_the_shared_cache(loaded, options, keyed, seen, wishes)
    plan = remote_pictures.said(plan, shared, loaded)
    notes = (*_shard_notes(parts, shard, loaded.manifest, options), *_notes(plan, extra, loaded, cache))
    plan = replace(plan, atlases=_packing(loaded, plan, seen, cache, fresh, options).plans(), notices=(*plan.notices, *notes))
    if options.limit is not None:
        plan = limit_plan(plan, options.limit, seen.facts)
    if shard or options.locked or options.offline:  # these draw nothing again
        plan = replace(plan, further_cost={})
    if fresh:
        plan = fresh.merged(plan, [asset.name for asset in loaded.manifest.assets])
    return Planned(loaded, plan, seen, cache, wishes, chosen, extra, shared, fresh, parts, shard)


def _wishes(loaded: Loaded, options: Options, chosen: frozenset[str] | None) -> Wishes:
    forced = chosen if chosen is not None else frozenset(entry.id for entry in loaded.entries)
    return Wishes(
        forced=forced if options.force else frozenset(),
        overwrite=options.overwrite,
        retry_failed=options.retry_failed,
        provenance=loaded.manifest.provenance,
    )


def _seen(loaded: Loaded, cache: Cache, keyed: Sequence[Keyed], fresh: FreshAssets | None, *, whole: bool) -> Seen:
    """What disk, lockfile, journal and cache say of these entries; `whole`: they are all there are."""
    seen = observe(
        cache,
        loaded.lock,
        loaded.root,
        keyed,
        whole=whole,
        project=loaded.project,
        recoverable=recoverable(loaded),
        remembered=fresh.remembered() if fresh else recalled(loaded),
        extra_paths=sheet_paths(loaded.manifest, loaded.lock.atlases),
        untouched=fresh.beside() if fresh else None,
    )
    return replace(seen, facts=replace(seen.facts, beside=_beside(loaded, cache, seen)))


def _asking_the_shared_cache(
    loaded: Loaded, options: Options, keyed: Sequence[Keyed], seen: Seen, wishes: Wishes
) -> tuple[Plan, Seen, remote_pictures.RemotePictures]:
    """The plan, made again with every answer of the shared cache, until there is nothing more to ask."""
    plan = make_plan(keyed, seen.facts, wishes, loaded.keyed)
    shared, facts = remote_pictures.RemotePictures(), seen.facts
    while (more := remote_pictures.ask(loaded, options, plan, facts, shared)) is not shared:
        shared = more
        seen = replace(seen, facts=shared.facts(facts))
        plan = make_plan(keyed, seen.facts, wishes, loaded.keyed)
    return plan, seen, shared


def _packing(loaded: Loaded, plan: Plan, seen: Seen, cache: Cache, fresh: FreshAssets | None, options: Options) -> Packing:
    believed = fresh if loaded.manifest.atlases else None
    return Packing(
        loaded.manifest,
        believed.beside_entries(loaded.entries, loaded.manifest) if believed else loaded.entries,
        plan.steps,
        seen.files,
        loaded.lock.atlases,
        cache,
        overwrite=options.overwrite,
        pointers=seen.facts.pointers,
        untouched=believed.file_digests() if believed else {},
        whole=len(plan.steps) + (fresh.here if fresh else 0) == len(loaded.entries) + (fresh.count if fresh else 0),
    )


def _notes(plan: Plan, extra: frozenset[str], loaded: Loaded, cache: Cache) -> Iterator[Problem]:
    yield from _pulled_in(plan, extra)
    yield from _left_pointers(plan)
    yield from losing(plan.steps, cache.results)
    yield from notices(cache, loaded.project)
    yield from (Problem("cache", notice) for notice in cache.notices)


def _beside(loaded: Loaded, cache: Cache, seen: Seen) -> SetFacts:
    """What was found of the lockfile's pictures beside others, of all entries, selected or not."""
    comparing = [entry for entry in loaded.entries if entry.set_checks is not None]
    if not comparing:
        return SetFacts()
    lock = loaded.lock.entries
    ids = [*(entry.id for entry in comparing), *(id for entry in comparing for id in checks.anchors(entry))]
    in_tree = {file.digest for file in seen.files.values()}
    pictures = {id: (lock[id].digest, *lock[id].candidates.values()) for id in ids if id in lock}
    verdicts = verdict_cache.known_set_verdicts(
        cache, comparing, pictures, lambda digest: digest in seen.facts.blobs or digest in in_tree
    )
    return verdicts.facts()


def _left_pointers(plan: Plan) -> tuple[Problem, ...]:
    """Names the git-LFS pointers that are left alone, because they stand for other bytes than those that are wanted."""
    names = [output.spec.path for step in plan.busy for output in step.outputs if output.reason == OTHER_POINTER]
    if not names:
        return ()
    shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    message = f"left alone because they are git-LFS pointers to other bytes: {shown}"
    return (Problem("lfs-pointer", message, hint="`git lfs pull` fetches what they stand for, --overwrite replaces them"),)


def _pulled_in(plan: Plan, extra: frozenset[str]) -> tuple[Problem, ...]:
    """Names the inputs that a selection brings along and that have something to do."""
    names = [step.id for step in plan.steps if step.id in extra and step.verdict is not Verdict.FRESH]
    if not names:
        return ()
    shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    return (Problem("pulled-in", f"what was selected builds on {shown}, pulled in"),)


def _chosen(loaded: Loaded, options: Options, shard: Shard | None) -> tuple[frozenset[str] | None, frozenset[str]]:
    """The selected ids (None: all) and the inputs pulled in with them."""
    if not options.select:
        return (shard.ids if shard else None), frozenset()
    entries = loaded.entries if loaded.fresh_assets is None else (*loaded.entries, *loaded.fresh_assets.entries())
    chosen = select(entries, options.select, loaded.manifest.atlases)
    if shard:
        chosen &= shard.ids
    return chosen, pulled(loaded.entries, chosen)


def _shards(loaded: Loaded, options: Options) -> tuple[Shard, ...]:
    return split(loaded.keyed, loaded.lock.entries, options.shard[1]) if options.shard else ()


def _shard_notes(parts: Sequence[Shard], shard: Shard | None, manifest: Manifest, options: Options) -> Iterator[Problem]:
    """What a shard is, and how the limits of the whole are split."""
    if shard is None:
        return
    entries = sum(len(part.ids) for part in parts)
    yield Problem("shard", f"shard {shard.name}: {len(shard.ids):,} of {entries:,} entries")
    for name, limits in (("--max-cost", options.max_cost or {}), ("the manifest's budget", manifest.budget)):
        if limits:
            part = gate.part_of(limits, shard.cost, total_cost(parts), len(parts))
            words = f"{name} of {gate.total(limits)} is split by price over the shards: {gate.total(part)} here"
            yield Problem("shard", words)


def shards(options: Options, count: int) -> tuple[Shard, ...]:
    """The parts of a build, as `build --shard` takes them. Raises InputError; nothing is asked and nothing is written."""
    loaded = load(options)
    return split(loaded.keyed, loaded.lock.entries, count)


def recoverable(loaded: Loaded) -> Callable[[Attempt], bool]:
    """Whether an intent that has no ticket can be settled: it costs nothing, or by the provider's key, or by its task list."""
    return settles(loaded.manifest, loaded.catalog)


def settles(manifest: Manifest, catalog: Catalog) -> Callable[[Attempt], bool]:
    """The same by a manifest and a model table. An attempt whose provider or model nobody knows any more is not settled."""

    def can(attempt: Attempt) -> bool:
        if attempt.price == {}:
            return True
        if time.time() - attempt.sent > RETENTION_S:
            return False
        family = catalog.families.recorded(attempt.family)
        if family is None:
            return False
        settings = resolve.settings_of(manifest, attempt.provider)
        row = catalog.find(attempt.family, attempt.model, True)
        if row is None or not row.resumable or settings.mode == "sync":
            return False
        return family.recovery != "none"

    return can
