"""The free half of the walk: load, expand, key, observe, plan, gate. Nothing is written, nothing is sent to a provider.

The network is touched only where pictures would be lost and a shared cache may have them.
Does not know how a plan is carried out or shown.
"""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from qwenbuild import expand, gate, lockfile, manifest, recall, resolve
from qwenbuild.build import sharing
from qwenbuild.build.believed import Kept
from qwenbuild.build.identity import project_of
from qwenbuild.build.keyfile import ignored
from qwenbuild.build.marking import losing
from qwenbuild.build.packing import Packing, sheet_paths
from qwenbuild.build.strays import notices
from qwenbuild.cache import Attempt, Cache, cache_dir
from qwenbuild.catalog import Catalog
from qwenbuild.errors import GateStop, InputError, Problem
from qwenbuild.expand import Spent
from qwenbuild.lfs import OTHER_POINTER
from qwenbuild.model import Entry, Keyed, Manifest, Plan, Verdict
from qwenbuild.observe import Seen, observe
from qwenbuild.plan import Wishes, limited, make_plan
from qwenbuild.select import pulled, select
from qwenbuild.tree import Remembered

STATE = ".qwenbuild"
"""The project's own folder beside the manifest: locks, remembered state, what --overwrite replaced. Never committed."""
RETENTION = 23 * 3600.0
"""Seconds for which providers keep tasks and idempotency keys."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the user said on the command line. `max_cost` is by unit; `limit` counts pictures to buy; `keep_modified` goes with
    `locked`.
    """

    folder: Path
    file: str | None = None
    select: tuple[str, ...] = ()
    jobs: int | None = None
    yes: bool = False
    max_cost: Mapping[str, Decimal] | None = None
    limit: int | None = None
    locked: bool = False
    keep_modified: bool = False
    offline: bool = False
    force: bool = False
    all: bool = False
    overwrite: bool = False
    fail_fast: bool = False
    retry_failed: bool = False
    prune: bool = False
    strict: bool = False
    provider: str | None = None
    output: str | None = None
    push: bool = False


@dataclass(frozen=True, slots=True)
class Loaded:
    """The manifest and everything it asks for, keyed. `root` is the output tree, `state` the project's own folder."""

    manifest: Manifest
    entries: tuple[Entry, ...]
    keyed: tuple[Keyed, ...]
    notices: tuple[Problem, ...]
    catalog: Catalog
    lock_path: Path
    lock: lockfile.Lock
    root: Path
    state: Path
    read: tuple[str, ...] = ()
    palettes: Mapping[str, str] = field(default_factory=dict)
    spent: Spent = field(default_factory=Spent)

    @property
    def project(self) -> str:
        """By what the journal knows this project: its lockfile's path when it first bought. Raises CacheError."""
        return project_of(self.state, self.lock_path)


@dataclass(frozen=True, slots=True)
class Planned:
    """A plan with everything it was made from."""

    loaded: Loaded
    plan: Plan
    seen: Seen
    cache: Cache
    wishes: Wishes
    selected: frozenset[str] | None = None
    extra: frozenset[str] = field(default_factory=frozenset)
    shared: sharing.Shared = field(default_factory=sharing.Shared)
    kept: Kept | None = None

    @property
    def manifest(self) -> Manifest:
        """The manifest."""
        return self.loaded.manifest

    @property
    def notices(self) -> tuple[Problem, ...]:
        """What is worth saying before the plan."""
        return (*self.loaded.notices, *ignored(self.manifest.folder), *self.plan.notices)

    def decide(self, options: Options) -> gate.Gate:
        """What the gate says under these options."""
        return gate.decide(self.plan, self.manifest.budget, yes=options.yes, max_cost=options.max_cost)

    def gate(self, options: Options) -> GateStop | None:
        """What would stop a build without a terminal, or None."""
        decision = self.decide(options)
        return None if decision.answer == "open" else GateStop(decision.message, code=decision.code)

    def needs_consent(self, options: Options) -> bool:
        """Whether a terminal would be asked."""
        return self.decide(options).answer == "ask"


@contextmanager
def uncollected() -> Iterator[None]:
    """No cyclic garbage collection while large structures grow: nothing in them is garbage yet."""
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def today() -> str:
    """The day, UTC, as the lockfile writes it."""
    return datetime.now(UTC).date().isoformat()


def load(options: Options) -> Loaded:
    """Load, expand and key. Raises InputError with every problem found."""
    with uncollected():
        path = manifest.find(options.folder, options.file)
        asked = _overridden(manifest.load(path), options)
        lock_path = lockfile.path_of(_lock_beside(path, asked, options))
        lock = lockfile.read(lock_path)
        expansion = expand.expand(asked)
        catalog = Catalog.load(asked.models)
        seeds = {id: entry.seeds for id, entry in lock.entries.items() if entry.seeds}
        resolved = resolve.resolve(expansion.entries, asked, today=today(), catalog=catalog, seeds=seeds)
    notices = (*asked.warnings, *expansion.warnings, *resolved.notices)
    problems = (*resolved.problems, *(_strict(notices) if options.strict else ()))
    if problems:
        raise InputError(problems[0].message, code=problems[0].code, problems=problems)
    if not options.output:
        refuse_links(asked)
    return Loaded(
        manifest=asked,
        entries=expansion.entries,
        keyed=resolved.keyed,
        notices=notices,
        catalog=catalog,
        lock_path=lock_path.resolve(),
        lock=lock,
        root=_output_root(asked, options),
        state=asked.folder / STATE,
        read=expansion.read,
        palettes=expansion.palettes,
        spent=expansion.spent,
    )


def refuse_links(asked: Manifest) -> None:
    """Raises InputError when the output folder or the project's own is a link that leads out of the project.

    A manifest may come from someone else: what it makes is written inside its folder.
    """
    for name in (asked.output, STATE):
        try:
            manifest.inside(asked.folder, name)
        except ValueError:
            message = f"{asked.folder / name} is a link that leads out of the project; nothing is written through it"
            hint = "make it a folder of its own; --output DIR names one anywhere" if name != STATE else "make it a folder"
            problem = Problem("link-outside", message, hint=hint)
            raise InputError(message, code=problem.code, problems=(problem,)) from None


def _strict(notices: Sequence[Problem]) -> tuple[Problem, ...]:
    """Under --strict warnings about the manifest are errors; notices about models are not."""
    return tuple(notice for notice in notices if not notice.code.startswith("model-"))


def _overridden(asked: Manifest, options: Options) -> Manifest:
    """The manifest under --provider: another family only into another folder, with the lockfile there."""
    if options.provider is None:
        return replace(asked, output=options.output) if options.output else asked
    known_provider(asked, options.provider)
    if _families(asked, options.provider) and not options.output:
        raise InputError(
            f"--provider {options.provider} draws other pictures than the manifest's: say --output DIR for them",
            code="provider-needs-output",
        )
    assets = tuple(replace(asset, provider=None) for asset in asked.assets)
    return replace(asked, provider=options.provider, assets=assets, output=options.output or asked.output)


def known_provider(asked: Manifest, name: str) -> None:
    """Raises InputError with the near miss for a name that is neither a provider of the manifest nor a built-in type."""
    known = {*asked.providers, *Catalog.load({}).families}
    if name in known:
        return
    from difflib import get_close_matches

    near = get_close_matches(name, known, 1)
    hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(sorted(known))}"
    problem = Problem("unknown-provider", f"there is no provider {name!r}", hint=hint)
    raise InputError(problem.message, code=problem.code, problems=(problem,))


def _families(asked: Manifest, name: str) -> bool:
    """Whether any asset's pictures would come from another family than the manifest says."""
    wanted = resolve.settings_of(asked, name).type
    names = {asset.provider or asked.provider for asset in asked.assets}
    return any(resolve.settings_of(asked, used).type != wanted for used in names)


def _output_root(asked: Manifest, options: Options) -> Path:
    if options.output:
        return (options.folder / options.output).absolute()
    return asked.folder / asked.output


def _lock_beside(path: Path, asked: Manifest, options: Options) -> Path:
    """The lockfile stands beside the manifest, or in the folder of --output."""
    return _output_root(asked, options) / path.name if options.output else path


def plan(options: Options) -> Planned:
    """The walk up to the gate. Raises InputError, CacheError; writes nothing."""
    return make(load(options), options)


def make(loaded: Loaded, options: Options, kept: Kept | None = None) -> Planned:
    """The Plan for what was loaded. `kept` are assets that are fresh, and of which nothing was loaded."""
    cache = Cache.open(cache_dir(os.environ))
    chosen, extra = _chosen(loaded, options, kept)
    kept = kept and replace(kept, chosen=chosen)
    keyed = loaded.keyed if chosen is None else tuple(k for k in loaded.keyed if k.entry.id in chosen | extra)
    with uncollected():
        seen = observe(
            cache,
            loaded.lock,
            loaded.root,
            keyed,
            whole=chosen is None,
            project=loaded.project,
            recoverable=recoverable(loaded),
            remembered=kept.remembered() if kept else recalled(loaded),
            beside=sheet_paths(loaded.manifest, loaded.lock.atlases),
            known=kept.beside() if kept else None,
        )
        wishes = Wishes(
            forced=(chosen if chosen is not None else frozenset(e.id for e in loaded.entries))
            if options.force
            else frozenset(),
            overwrite=options.overwrite,
            retry_failed=options.retry_failed,
            provenance=loaded.manifest.provenance,
        )
        made = make_plan(keyed, seen.facts, wishes, loaded.keyed)
        shared, facts = sharing.Shared(), seen.facts
        while (more := sharing.ask(loaded, options, made, facts, shared)) is not shared:
            shared = more
            seen = replace(seen, facts=shared.facts(facts))
            made = make_plan(keyed, seen.facts, wishes, loaded.keyed)
    made = sharing.said(made, shared, loaded)
    lost = losing(made.steps, cache.results)
    packing = Packing(
        loaded.manifest,
        loaded.entries,
        made.steps,
        seen.found,
        loaded.lock.atlases,
        cache,
        overwrite=options.overwrite,
        pointers=seen.facts.pointers,
    )
    elsewhere = notices(cache, loaded.project)
    cached = (Problem("cache", notice) for notice in cache.notices)
    told = (*_pulled_in(made, extra), *_left_pointers(made), *lost, *elsewhere, *cached)
    made = replace(made, atlases=packing.plans(), notices=(*made.notices, *told))
    if options.limit is not None:
        made = limited(made, options.limit, seen.facts)
    if kept:
        made = kept.merged(made, [asset.name for asset in loaded.manifest.assets])
    return Planned(loaded, made, seen, cache, wishes, chosen, extra, shared, kept)


def _left_pointers(made: Plan) -> tuple[Problem, ...]:
    """Names the git-LFS pointers that are left alone, because they stand for other bytes than those that are wanted."""
    names = [output.spec.path for step in made.busy for output in step.outputs if output.reason == OTHER_POINTER]
    if not names:
        return ()
    shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    message = f"left alone, for they are git-LFS pointers to other bytes than those wanted: {shown}"
    return (Problem("lfs-pointer", message, hint="`git lfs pull` fetches what they stand for, --overwrite replaces them"),)


def _pulled_in(made: Plan, extra: frozenset[str]) -> tuple[Problem, ...]:
    """Names the inputs that a selection brings along and that have something to do."""
    names = [step.id for step in made.steps if step.id in extra and step.verdict is not Verdict.FRESH]
    if not names:
        return ()
    shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    return (Problem("pulled-in", f"what was selected builds on {shown}, pulled in"),)


def recalled(loaded: Loaded) -> Remembered:
    """The tree's digests as the last build knew them, by signature; empty when there is nothing to be trusted."""
    state = recall.read(recall.path_of(str(loaded.manifest.folder / os.path.basename(loaded.manifest.file))))
    same = state is not None and os.path.realpath(loaded.manifest.folder / state.values["root"]) == os.path.realpath(
        loaded.root
    )
    return state.outputs() if state is not None and same else {}


def _chosen(loaded: Loaded, options: Options, kept: Kept | None) -> tuple[frozenset[str] | None, frozenset[str]]:
    """The selected ids (None: all) and the inputs pulled in with them."""
    if not options.select:
        return None, frozenset()
    entries = loaded.entries if kept is None else (*loaded.entries, *kept.entries())
    chosen = select(entries, options.select, loaded.manifest.atlases)
    return chosen, pulled(loaded.entries, chosen)


def recoverable(loaded: Loaded) -> Callable[[Attempt], bool]:
    """Whether an intent that has no ticket can be settled: it costs nothing, or by the provider's key, or by its task list."""
    return settles(loaded.manifest, loaded.catalog)


def settles(asked: Manifest, catalog: Catalog) -> Callable[[Attempt], bool]:
    """The same by a manifest and a model table. An attempt whose provider or model nobody knows any more is not settled."""

    def can(attempt: Attempt) -> bool:
        if attempt.price == {}:
            return True
        if time.time() - attempt.sent > RETENTION:
            return False
        settings = resolve.settings_of(asked, attempt.provider)
        row = catalog.find(attempt.family, attempt.model, True)
        if row is None or not row.resumable or settings.mode == "sync":
            return False
        return catalog.families[attempt.family].recovery != "none"

    return can
