"""Put together what a run needs: providers with their keys, lanes, the publisher, the budget, a living build.

Knows no order of events.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property

from qwenbuild import resolve, tree
from qwenbuild.cache import Attempt, Cache
from qwenbuild.engine.preflight import allow_open_files, load_later, probe_tree
from qwenbuild.engine.publish import Publisher
from qwenbuild.engine.remote_session import linked
from qwenbuild.engine.workspace import ProjectFiles
from qwenbuild.errors import CredentialsError, InputError
from qwenbuild.later import later, load
from qwenbuild.model import Limits, Manifest, Price, Step, Verdict
from qwenbuild.plan.files import implied_steps, media_type_for
from qwenbuild.planning.planner import Planned
from qwenbuild.ports import Lane, Lanes, Provider, Reporter
from qwenbuild.project.identity import note_project
from qwenbuild.project.keyfile import Environment
from qwenbuild.project.options import Options
from qwenbuild.project.strays import abandoned
from qwenbuild.run import Policy, World
from qwenbuild.tree import TreeFile

with later:
    from qwenbuild import providers as registry
    from qwenbuild.pace import lanes as pacing

NETWORK = (Verdict.GENERATE, Verdict.RESUME, Verdict.RECOVER)
JUDGING = ("qwenbuild.checks", "qwenbuild.planning.verdict_cache")
"""What many threads come to first at once, and must find whole."""


@contextmanager
def make_world(planned: Planned, options: Options, reporter: Reporter, placed: dict[str, TreeFile]) -> Iterator[World]:
    """The world of one run; its build is alive on this machine as long as the block runs.

    `placed` is told every file that is written.
    """
    cache = planned.cache
    if planned.is_checked:
        for name in JUDGING:
            load(name)
    buying = any(plan.verdict in NETWORK for step in planned.plan.busy for plan in step.candidates)
    providers = Providers(planned, options.jobs)
    if buying and not options.offline:
        cache.write_probe()
        if any(_may_cost(step) for step in planned.plan.busy):
            probe_tree(planned.loaded)
            note_project(planned.loaded.state, planned.loaded.lock_path)
        providers.require(planned)
        allow_open_files()
        load_later(pictures=_decodes(planned))
    tree.sweep(planned.loaded.root, _to_write(planned))
    with cache.start_build() as running, linked(planned, options, reporter) as link:
        build, project = running.id, planned.loaded.project
        cache.keep_reissued()
        publisher = replace(make_publisher(planned, placed), fetch=link.fetch)
        link.bring()
        if planned.budget and buying:
            cache.journal.open_budget(build, planned.budget, project)
        yield World(
            cache=cache,
            providers=providers,
            reporter=reporter,
            workspace=ProjectFiles(planned, publisher),
            budget=JournalBudget(cache, build, limited=bool(planned.budget)),
            project=project,
            build=build,
            policy=_policy(planned, options),
            elsewhere=link if link.concerned else None,
        )
        if planned.budget and buying:
            cache.journal.close_budget(build)


def world_again(world: World, planned: Planned, options: Options, placed: dict[str, TreeFile]) -> World:
    """The same build's world for another plan of some of its entries, in an event loop of its own."""
    return replace(
        world,
        providers=Providers(planned, options.jobs),
        workspace=ProjectFiles(planned, make_publisher(planned, placed)),
        policy=replace(world.policy, allowed=planned.plan.allowed, forced=frozenset()),
    )


def _policy(planned: Planned, options: Options) -> Policy:
    return Policy(
        allowed=planned.plan.allowed,
        forced=_forced(planned, options),
        given_up=frozenset(planned.cache.journal.given_up()) if planned.cache.has_journal() else frozenset(),
        offline=options.offline,
        fail_fast=options.fail_fast,
        stop_after=_stop_after(planned),
    )


class JournalBudget:
    """The manifest's budget, kept in the journal; without one (`limited` is False) every price fits."""

    def __init__(self, cache: Cache, build: str, *, limited: bool) -> None:
        self._cache = cache
        self._build = build
        self._limited = limited

    def reserve(self, price: Price | None) -> bool:
        """Take an attempt's price from the budget; False when there is not enough left."""
        return not self._limited or self._cache.journal.reserve(self._build, price)

    def give_back(self, price: Price | None) -> None:
        """Undo a reservation."""
        if self._limited:
            self._cache.journal.settle(self._build, price)


def _stop_after(planned: Planned) -> dict[str, int]:
    """The number of failures that pauses each asset for which the manifest says one."""
    default = planned.manifest.defaults.stop_after_failures
    limits = {asset.name: asset.stop_after_failures for asset in planned.manifest.assets}
    return {name: number for name, own in limits.items() if (number := default if own is None else own) is not None}


def _may_cost(step: Step) -> bool:
    return step.keyed.price != {} and any(plan.verdict in NETWORK for plan in step.candidates)


def _decodes(planned: Planned) -> bool:
    """Is a picture decoded when it is there: made into files or atlases, or held against what is expected?"""
    return bool(planned.manifest.atlases) or any(_is_made_of(step) or _is_judged(step) for step in planned.plan.busy)


def _is_made_of(step: Step) -> bool:
    types = {media_type_for(plan.candidate.action) for plan in step.candidates}
    return any(implied_steps(spec, media_type) for spec in step.keyed.entry.outputs for media_type in types)


def _is_judged(step: Step) -> bool:
    entry = step.keyed.entry
    return any(expect is not None for expect in (entry.expect, *(spec.expect for spec in entry.outputs)))


def _to_write(planned: Planned) -> list[str]:
    outputs = (output for step in planned.plan.busy for output in step.outputs)
    return [output.spec.path for output in outputs if output.verdict not in (Verdict.FRESH, Verdict.MODIFIED)]


def make_publisher(planned: Planned, placed: dict[str, TreeFile]) -> Publisher:
    """The publisher of this plan's files; it notes in `placed` what it writes."""
    return Publisher(
        root=planned.loaded.root,
        state=planned.loaded.state,
        cache=planned.cache,
        files=planned.seen.files,
        lock=planned.loaded.lock.entries,
        is_wanted=planned.wants,
        provenance=planned.manifest.provenance,
        placed=placed,
        palettes={digest: planned.manifest.folder / path for digest, path in planned.loaded.palettes.items()},
    )


def _forced(planned: Planned, options: Options) -> frozenset[str]:
    """The keys that are bought although there is a picture: --force, and --retry-failed where it fails `expect`.

    An entry whose key is not known yet stands here as `entry:` and its id.
    """
    steps = planned.plan.busy
    if not options.force:
        steps = tuple(step for step in steps if any(reason.code == "forced" for reason in step.reasons))
    bought = ((step, c.candidate.key) for step in steps for c in step.candidates if c.verdict is Verdict.GENERATE)
    return frozenset(key or f"entry:{step.id}" for step, key in bought)


class Providers:
    """The providers of a manifest by the name of their settings, each made once, with its key from the environment.

    `jobs` bounds what is in flight in this build (None: as the lanes say).
    """

    def __init__(self, planned: Planned, jobs: int | None = None) -> None:
        self._planned = planned
        self._jobs = jobs
        self._made: dict[str, Provider] = {}
        self._environ: Mapping[str, str] | None = None

    def get(self, name: str) -> Provider:
        """The provider. Raises CredentialsError when its key is missing, InputError when it is unknown."""
        if name not in self._made:
            settings = resolve.settings_of(self._planned.manifest, name)
            self._made[name] = registry.build_provider(settings, self._planned.loaded.catalog, self.environ())
        return self._made[name]

    def collectable(self, attempts: Iterable[Attempt]) -> list[Attempt]:
        """Those attempts that an account of this manifest may ask for, each under the name that its provider has here."""
        named_attempts = ((attempt, self._collector(attempt)) for attempt in attempts)
        return [replace(attempt, provider=name) for attempt, name in named_attempts if name]

    def _collector(self, attempt: Attempt) -> str:
        """The settings whose account is the attempt's, "" when none is: asked elsewhere, its ticket would seem unknown."""
        for name in families(self._planned.manifest).get(attempt.family, ()):
            with contextlib.suppress(CredentialsError, InputError):
                if self.get(name).account == attempt.account:
                    return name
        return ""

    async def close(self) -> None:
        """Close every provider's connections."""
        for provider in self._made.values():
            await provider.close()
        self._made.clear()

    def environ(self) -> Mapping[str, str]:
        """The environment, and below it the API keys of a `.env` beside the manifest."""
        if self._environ is None:
            self._environ = Environment(self._planned.manifest.folder)
        return self._environ

    def require(self, planned: Planned) -> None:
        """Every provider that will be asked, before anything is sent. Raises CredentialsError."""
        for step in planned.plan.busy:
            if any(plan.verdict in NETWORK for plan in step.candidates):
                self.get(step.keyed.entry.provider)

    @cached_property
    def lanes(self) -> Lanes:
        """The lanes of this machine, with at most as many jobs in flight as were asked for."""
        lanes = pacing.FileLanes(self._planned.cache.root / "pace")
        return lanes if self._jobs is None else Capped(lanes, self._jobs)

    def strays(self) -> Sequence[Attempt]:
        """Open tickets of projects that are gone, for accounts of this build."""
        return self.collectable(abandoned(self._planned.cache, self._planned.loaded.project))


def families(manifest: Manifest) -> dict[str, list[str]]:
    """Family to the names of the provider settings that the manifest has or uses."""
    names_of: dict[str, list[str]] = {}
    names = [manifest.provider, *(asset.provider for asset in manifest.assets if asset.provider), *manifest.providers]
    for name in dict.fromkeys(names):
        names_of.setdefault(resolve.settings_of(manifest, name).type, []).append(name)
    return names_of


class Capped:
    """Lanes with fewer places in flight: -j."""

    def __init__(self, lanes: Lanes, jobs: int) -> None:
        self._lanes = lanes
        self._jobs = jobs

    def lane(self, account: str, model: str, limits: Limits) -> Lane:
        """The lane under the smaller of both limits."""
        return self._lanes.lane(account, model, Limits(limits.rps, min(limits.concurrency, self._jobs)))
