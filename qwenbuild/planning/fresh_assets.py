"""Assets that are believed to be fresh, as a plan needs them: what others' verdicts hang on, and their steps as they are shown.

Looks at nothing: `short` has looked.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Container, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from functools import cached_property
from json.encoder import encode_basestring_ascii as quoted
from typing import TypeVar, overload

from qwenbuild.model import (
    Action,
    Candidate,
    CandidatePlan,
    Entry,
    Keyed,
    Manifest,
    OutputPlan,
    OutputSpec,
    Plan,
    Step,
    Verdict,
)
from qwenbuild.plan import UntouchedEntries
from qwenbuild.snapshot.entryfile import DIGEST, WIDTH, Columns, FreshRun, Memory, RememberedAsset, SharedRequest, digest_at
from qwenbuild.snapshot.statefile import Snapshot
from qwenbuild.tree import Signature

SEED = -(2**63) + 1
"""Stands for a seed in a text that is to be filled in: none is like it, nor is a part of any name in that text."""
Part = FreshRun | Sequence[Step]
T = TypeVar("T")


@dataclass(frozen=True)
class FreshAssets:
    """Runs of entries that are fresh, in the order of the plan.

    `sizes` counts the entries of each asset that has some, fresh or not; `walked` has the ids of those that are not believed.
    `shards` are the cache's folders of blobs, as they were when all their pictures were there. `chosen` are the ids that a
    selection left; None: all.
    """

    memory: Memory = field(repr=False)
    state: Snapshot = field(repr=False)
    assets: tuple[FreshRun, ...]
    sizes: Mapping[str, int] = field(default_factory=dict)
    walked: Mapping[str, Sequence[str]] = field(default_factory=dict)
    chosen: frozenset[str] | None = None
    shards: tuple[tuple[str, int], ...] = field(default=(), repr=False)

    @property
    def count(self) -> int:
        """How many entries they have, chosen or not."""
        return sum(run.count for run in self.assets)

    @property
    def here(self) -> int:
        """How many of them are part of the plan."""
        return sum(map(self.count_here, self.assets))

    @property
    def paid(self) -> int:
        """How many of their pictures in the vault cost something."""
        return sum(run.paid for run in self.assets)

    @cached_property
    def remembered_assets(self) -> Mapping[str, RememberedAsset]:
        """What is remembered of the assets that have runs."""
        return {asset.name: asset for asset in self.memory.assets if asset.name in self.runs}

    @cached_property
    def runs(self) -> Mapping[str, list[FreshRun]]:
        """The runs of each asset that has some."""
        runs: dict[str, list[FreshRun]] = {}
        for run in self.assets:
            runs.setdefault(run.name, []).append(run)
        return runs

    @cached_property
    def others(self) -> list[int]:
        """The places in the columns of all entries that are remembered and not believed."""
        left = bytearray(b"\1") * len(self.memory.columns.ids)
        for run in self.assets:
            left[run.first : run.first + run.count] = bytes(run.count)
        return [at for at, each in enumerate(left) if each]

    def is_whole(self, name: str) -> bool:
        """Whether every entry of an asset is believed."""
        return name in self.runs and sum(run.count for run in self.runs[name]) == self.sizes[name]

    def lost(self, shards: Sequence[tuple[str, int]], names: Callable[[Container[str]], Set[str]]) -> bool:
        """Whether a believed entry's picture is no longer in the vault: `shards` are its folders as they are now, `names`
        gives the blobs in some of them.
        """
        before, now = dict(self.shards), dict(shards)
        changed = {name for name in before.keys() | now.keys() if before.get(name) != now.get(name)}
        there, digests = names(changed) if changed else set(), self.memory.columns.digests
        numbers = {int(name, 16) for name in changed}
        firsts = ((run.first + at, first) for run in self.assets for at, first in enumerate(_firsts(digests, run)))
        return any(first in numbers and digest_at(digests, at) not in there for at, first in firsts)

    def files_read(self) -> set[str]:
        """The files that the believed entries hang on."""
        return {path for asset in self.remembered_assets.values() for path in asset.files_read}

    def ids(self) -> list[str]:
        """The ids of all entries."""
        ids = self.memory.columns.ids
        return [id for asset in self.assets for id in ids[asset.first : asset.first + asset.count]]

    def files(self) -> list[str]:
        """The files of all entries."""
        paths = self.state.paths
        return [path for asset in self.assets for path in paths[slice(*self.span(asset))]]

    def span(self, asset: FreshRun) -> tuple[int, int]:
        """Where an asset's files stand among the state's paths."""
        start = self.state.inputs + asset.file
        return start, start + asset.files

    def rows(self, asset: FreshRun) -> Iterator[tuple[int, int, int]]:
        """Place in the columns, first file and the file after the last one, of each entry that is part of the plan."""
        ids, numbers, chosen = self.memory.columns.ids, self.memory.columns.numbers, self.chosen
        file, _ = self.span(asset)
        for at in range(asset.first, asset.first + asset.count):
            end = file + numbers[WIDTH * at + 2]
            if chosen is None or ids[at] in chosen:
                yield at, file, end
            file = end

    def steps(self, asset: FreshRun) -> Iterator[Step]:
        """The steps of an asset that are part of the plan: of what its entries are made, as much as a plan shows."""
        for at, start, end in self.rows(asset):
            yield _step(self.remembered_assets[asset.name], self.memory.columns, at, self.state.paths[start:end])

    def entries(self) -> Iterator[Entry]:
        """The entries of the assets that are part of the plan, as much of them as a selection looks at."""
        return (entry for run in self.assets for entry in self.entries_of(run))

    def entries_of(self, run: FreshRun) -> Iterator[Entry]:
        """The same of one run."""
        asset, columns, paths = self.remembered_assets[run.name], self.memory.columns, self.state.paths
        return (entry_at(asset, columns, at, paths[start:end]) for at, start, end in self.rows(run))

    def beside_entries(self, walked: Sequence[Entry], manifest: Manifest) -> list[Entry]:
        """All entries, chosen or not, in the manifest's order; `walked` are those that are not believed."""
        whole = replace(self, chosen=None)
        by_asset: dict[str, list[Entry]] = {}
        for entry in walked:
            by_asset.setdefault(entry.asset, []).append(entry)
        entries = list[Entry]()
        for asset in manifest.assets:
            mine = by_asset.get(asset.name, [])
            parts = _between(whole, asset.name, {entry.id: entry for entry in mine}) if asset.name in self.runs else [mine]
            for part in parts:
                entries += whole.entries_of(part) if isinstance(part, FreshRun) else part
        return entries

    def file_digests(self) -> dict[str, str]:
        """The digest of each file of the entries that are part of the plan, by its path."""
        paths, digests = self.state.paths, self.state.digests
        rows = (row for run in self.assets for row in self.rows(run))
        return {paths[at]: digest_at(digests, at) for _, start, end in rows for at in range(start, end)}

    def texts(self, asset: FreshRun, one: Callable[[Step], str]) -> Iterator[str]:
        """The steps as JSON, without making them: of each kind `one` writes a single step, and the others fill in its text."""
        columns, paths, layouts = self.memory.columns, self.state.paths, dict[tuple[int, int], str]()
        remembered = self.remembered_assets[asset.name]
        for at, start, end in self.rows(asset):
            kind = columns.numbers[WIDTH * at], end - start
            if kind not in layouts:
                layouts[kind] = _layout(remembered, *kind, one)
            key, files = digest_at(columns.keys, at), map(quoted, paths[start:end])
            yield layouts[kind] % (quoted(columns.ids[at]), key, quoted(columns.prompts[at]), key, columns.seeds[at], *files)

    def count_here(self, asset: FreshRun) -> int:
        """How many entries of a run are part of the plan."""
        return asset.count if self.chosen is None else sum(1 for _ in self.rows(asset))

    # ------------------------------------------------------------ for the others' verdicts

    def beside(self) -> UntouchedEntries:
        """What the verdicts of other entries hang on."""
        left = self.count - self.here
        ids, files = LazySet(lambda: set(self.ids())), LazySet(lambda: set(self.files()))
        digests_here = LazySet(lambda: {digest for asset in self.assets for digest in self._digests_here(asset)})
        return UntouchedEntries(ids, files, digests_here, LazySet(lambda: set(self._digests())), left)

    def _digests_here(self, asset: FreshRun) -> Iterator[str]:
        """The digests of an asset's files that this plan counts as looked at."""
        for _, start, end in self.rows(asset):
            for at in range(start, end):
                yield digest_at(self.state.digests, at)

    def _digests(self) -> Iterator[str]:
        """All digests that the lockfile names for the entries: their pictures', and their files'."""
        for asset in self.assets:
            yield from self.memory.pictures(asset)
            yield from (digest_at(self.state.digests, at) for at in range(*self.span(asset)))

    def remembered(self) -> Remembered:
        """The digests of all files of the state by signature, for the entries that are looked at."""
        return Remembered(self.state)

    # ------------------------------------------------------------ the plan

    def merged(self, plan: Plan, names: Sequence[str]) -> Plan:
        """The plan of the other entries with these, in the order of the assets' `names`."""
        steps = Steps(self, [part for _, parts in parts_of(plan.steps, names, self) for part in parts])
        counts = {**plan.counts, "fresh": plan.counts["fresh"] + len(steps) - len(plan.steps)}
        return replace(plan, steps=steps, counts=counts, looked_at=plan.steps)


def _firsts(digests: bytes, run: FreshRun) -> bytes:
    """The first byte of each of a run's digests."""
    return digests[DIGEST * run.first : DIGEST * (run.first + run.count) : DIGEST]


def parts_of(steps: Sequence[Step], names: Sequence[str], fresh: FreshAssets | None) -> Iterator[tuple[str, list[Part]]]:
    """What a plan has of each asset, in the order of the `names`: the steps that were looked at, and runs between them."""
    by_asset: dict[str, list[Step]] = {}
    for step in steps:
        by_asset.setdefault(step.keyed.entry.asset, []).append(step)
    for name in names:
        parts: list[Part] = [by_asset[name]] if name in by_asset else []
        if fresh is not None and name in fresh.runs:
            parts = list(_between(fresh, name, {step.id: step for step in by_asset.get(name, ())}))
        if parts:
            yield name, parts


def _between(fresh: FreshAssets, name: str, steps: Mapping[str, T]) -> Iterator[FreshRun | list[T]]:
    """The runs of an asset, and between them the others by their ids (steps or entries), in the places that are left."""
    walked, place, at = fresh.walked.get(name, ()), 0, 0
    for run in (*fresh.runs[name], None):
        end = len(walked) if run is None else at + run.place - place
        looked_at = [steps[id] for id in walked[at:end] if id in steps]
        if looked_at:
            yield looked_at
        if run is not None:
            yield run
            place, at = run.place + run.count, end


class Steps(Sequence[Step]):
    """The steps of a plan, in order; those of kept assets are made when somebody asks for them."""

    def __init__(self, fresh: FreshAssets, parts: Sequence[Part]) -> None:
        self._kept = fresh
        self._parts = parts
        self._length = sum(fresh.count_here(part) if isinstance(part, FreshRun) else len(part) for part in parts)

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[Step]:
        for part in self._parts:
            yield from self._kept.steps(part) if isinstance(part, FreshRun) else part

    def texts(self, one: Callable[[Step], str]) -> Iterator[str]:
        """The text of each step, as JSON has it; `one` gives it for a step that was looked at."""
        for part in self._parts:
            yield from self._kept.texts(part, one) if isinstance(part, FreshRun) else map(one, part)

    @overload
    def __getitem__(self, at: int) -> Step: ...

    @overload
    def __getitem__(self, at: slice) -> tuple[Step, ...]: ...

    def __getitem__(self, at: int | slice) -> Step | tuple[Step, ...]:
        return tuple(self)[at]


class LazySet(Collection[str]):
    """A set of texts that is made when somebody asks for it."""

    def __init__(self, make: Callable[[], Set[str]]) -> None:
        self._make = make

    @cached_property
    def _texts(self) -> Set[str]:
        return self._make()

    def __contains__(self, text: object) -> bool:
        return text in self._texts

    def __iter__(self) -> Iterator[str]:
        return iter(self._texts)

    def __len__(self) -> int:
        return len(self._texts)


class Remembered(Mapping[str, tuple[Signature, str]]):
    """The state's files: path to signature and digest, made one by one."""

    def __init__(self, state: Snapshot) -> None:
        self._state = state
        self._places = {path: at for at, path in enumerate(state.paths) if at >= state.inputs}

    def __getitem__(self, path: str) -> tuple[Signature, str]:
        at = self._places[path]
        return self._state.signature(at), digest_at(self._state.digests, at)

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


def entry_at(asset: RememberedAsset, columns: Columns, at: int, paths: Sequence[str]) -> Entry:
    """An entry as the columns have it: without inputs, steps and expectations, which only its expansion gives."""
    numbers = columns.numbers[WIDTH * at : WIDTH * at + WIDTH]
    kind, tags, names = asset.kinds[numbers[0]], columns.labels[numbers[1]], columns.labels[numbers[3]]
    specs = tuple([OutputSpec(path, (), name, None, item) for item, (path, name) in enumerate(zip(paths, names, strict=True))])
    id, prompt, seed = columns.ids[at], columns.prompts[at], columns.seeds[at]
    return Entry(id, asset.name, kind.provider, kind.model, prompt, kind.params, seed, specs, tags=tags)  # type: ignore[arg-type]


def _step(asset: RememberedAsset, columns: Columns, at: int, paths: Sequence[str]) -> Step:
    entry, kind = entry_at(asset, columns, at, paths), asset.kinds[columns.numbers[WIDTH * at]]
    return _fresh(entry, kind, digest_at(columns.keys, at), digest_at(columns.digests, at))


def _layout(asset: RememberedAsset, number: int, files: int, one: Callable[[Step], str]) -> str:
    """The text of a step of one kind with so many files, its id, key, prompt, key, seed and paths to be filled in."""
    kind = asset.kinds[number]
    specs = tuple(OutputSpec(f"\0file {at}") for at in range(files))
    entry = Entry("\0id", asset.name, kind.provider, kind.model, "\0prompt", kind.params, SEED, specs)
    text = one(_fresh(entry, kind, "\0key", "")).replace("%", "%%")
    for name in ("\0id", "\0prompt", *(spec.path for spec in specs)):
        text = text.replace(quoted(name), "%s")
    return text.replace(quoted("\0key"), '"%s"').replace(str(SEED), "%d")


def _fresh(entry: Entry, kind: SharedRequest, key: str, digest: str) -> Step:
    candidate = Candidate(entry.seed, Action(kind.family, kind.drew, entry.prompt, "", entry.seed), key)
    outputs = tuple([OutputPlan(spec, Verdict.FRESH, "", "", digest) for spec in entry.outputs])
    plan = CandidatePlan(candidate, Verdict.FRESH, digest, {})
    return Step(Keyed(entry, (candidate,), None), Verdict.FRESH, (), (plan,), outputs)
