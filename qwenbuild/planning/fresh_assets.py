"""Assets that are believed to be fresh, as a plan needs them: what others' verdicts hang on, and their steps as they are shown.

Looks at nothing: `short` has looked.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from functools import cached_property
from json.encoder import encode_basestring_ascii as quoted
from typing import overload

from qwenbuild.model import Action, Candidate, CandidatePlan, Entry, Keyed, OutputPlan, OutputSpec, Plan, Step, Verdict
from qwenbuild.plan import Beside
from qwenbuild.snapshot.entryfile import Columns, KeptAsset, Memory, SharedRequest, digest_at
from qwenbuild.snapshot.statefile import Snapshot
from qwenbuild.tree import Signature

SEED = -(2**63) + 1
"""Stands for a seed in a text that is to be filled in: none is like it, nor is a part of any name in that text."""
Part = KeptAsset | Sequence[Step]


@dataclass(frozen=True)
class Kept:
    """Runs of entries that are fresh, each of one asset, in order. `chosen` are the ids that a selection left; None: all."""

    memory: Memory = field(repr=False)
    state: Snapshot = field(repr=False)
    assets: tuple[KeptAsset, ...]
    chosen: frozenset[str] | None = None

    @property
    def count(self) -> int:
        """How many entries they have, chosen or not."""
        return sum(asset.count for asset in self.assets)

    @property
    def paid(self) -> int:
        """How many of their pictures in the vault cost something."""
        return sum(asset.paid for asset in self.assets)

    @cached_property
    def runs(self) -> Mapping[str, list[KeptAsset]]:
        """The runs of each asset that has some."""
        found: dict[str, list[KeptAsset]] = {}
        for run in self.assets:
            found.setdefault(run.name, []).append(run)
        return found

    def left(self, asset: KeptAsset) -> list[int]:
        """The places in the columns of an asset's other entries."""
        places, at = list[int](), asset.first
        for run in self.runs.get(asset.name, ()):
            places += range(at, run.first)
            at = run.first + run.count
        return [*places, *range(at, asset.first + asset.count)]

    def ids(self) -> list[str]:
        """The ids of all entries."""
        ids = self.memory.columns.ids
        return [id for asset in self.assets for id in ids[asset.first : asset.first + asset.count]]

    def files(self) -> list[str]:
        """The files of all entries."""
        paths = self.state.paths
        return [path for asset in self.assets for path in paths[slice(*self.span(asset))]]

    def span(self, asset: KeptAsset) -> tuple[int, int]:
        """Where an asset's files stand among the state's paths."""
        start = self.state.inputs + asset.file
        return start, start + asset.files

    def rows(self, asset: KeptAsset) -> Iterator[tuple[int, int, int]]:
        """Place in the columns, first file and the file after the last one, of each entry that is part of the plan."""
        ids, numbers, chosen = self.memory.columns.ids, self.memory.columns.numbers, self.chosen
        file, _ = self.span(asset)
        for at in range(asset.first, asset.first + asset.count):
            end = file + numbers[3 * at + 2]
            if chosen is None or ids[at] in chosen:
                yield at, file, end
            file = end

    def steps(self, asset: KeptAsset) -> Iterator[Step]:
        """The steps of an asset that are part of the plan: of what its entries are made, as much as a plan shows."""
        for at, start, end in self.rows(asset):
            yield _step(asset, self.memory.columns, at, self.state.paths[start:end])

    def entries(self) -> Iterator[Entry]:
        """The entries of the assets that are part of the plan, as much of them as a selection looks at."""
        columns, paths = self.memory.columns, self.state.paths
        return (_entry(run, columns, at, paths[start:end]) for run in self.assets for at, start, end in self.rows(run))

    def texts(self, asset: KeptAsset, one: Callable[[Step], str]) -> Iterator[str]:
        """The steps as JSON, without making them: of each kind `one` writes a single step, and the others fill in its text."""
        columns, paths, layouts = self.memory.columns, self.state.paths, dict[tuple[int, int], str]()
        for at, start, end in self.rows(asset):
            kind = columns.numbers[3 * at], end - start
            if kind not in layouts:
                layouts[kind] = _layout(asset, *kind, one)
            key, files = digest_at(columns.keys, at), map(quoted, paths[start:end])
            yield layouts[kind] % (quoted(columns.ids[at]), key, quoted(columns.prompts[at]), key, columns.seeds[at], *files)

    def count_here(self, asset: KeptAsset) -> int:
        """How many entries of a run are part of the plan."""
        return asset.count if self.chosen is None else sum(1 for _ in self.rows(asset))

    # ------------------------------------------------------------ for the others' verdicts

    def beside(self) -> Beside:
        """What the verdicts of other entries hang on."""
        left = self.count - sum(map(self.count_here, self.assets))
        ids, files = Lazy(lambda: set(self.ids())), Lazy(lambda: set(self.files()))
        here = Lazy(lambda: {digest for asset in self.assets for digest in self._digests_here(asset)})
        return Beside(ids, files, here, Lazy(lambda: set(self._digests())), left)

    def _digests_here(self, asset: KeptAsset) -> Iterator[str]:
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

    def merged(self, made: Plan, names: Sequence[str]) -> Plan:
        """The plan of the other entries with these, in the order of the assets' `names`."""
        steps = Steps(self, [part for _, parts in parts_of(made.steps, names, self) for part in parts])
        counts = {**made.counts, "fresh": made.counts["fresh"] + len(steps) - len(made.steps)}
        return replace(made, steps=steps, counts=counts, looked_at=made.steps)


def parts_of(steps: Sequence[Step], names: Sequence[str], kept: Kept | None) -> Iterator[tuple[str, list[Part]]]:
    """What a plan has of each asset, in the order of the `names`: the steps that were looked at, and runs between them."""
    by_asset: dict[str, list[Step]] = {}
    for step in steps:
        by_asset.setdefault(step.keyed.entry.asset, []).append(step)
    for name in names:
        mine: list[Part] = [by_asset[name]] if name in by_asset else []
        if kept is not None and name in kept.runs:
            mine = list(_between(kept, name, {step.id: step for step in by_asset.get(name, ())}))
        if mine:
            yield name, mine


def _between(kept: Kept, name: str, steps: Mapping[str, Step]) -> Iterator[Part]:
    ids, whole = kept.memory.columns.ids, next(asset for asset in kept.memory.assets if asset.name == name)
    at, end = whole.first, whole.first + whole.count
    for run in (*kept.runs[name], None):
        stop = end if run is None else run.first
        looked_at = [steps[ids[place]] for place in range(at, stop) if ids[place] in steps]
        if looked_at:
            yield looked_at
        if run is not None:
            yield run
            at = run.first + run.count


class Steps(Sequence[Step]):
    """The steps of a plan, in order; those of kept assets are made when somebody asks for them."""

    def __init__(self, kept: Kept, parts: Sequence[Part]) -> None:
        self._kept = kept
        self._parts = parts
        self._length = sum(kept.count_here(part) if isinstance(part, KeptAsset) else len(part) for part in parts)

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[Step]:
        for part in self._parts:
            yield from self._kept.steps(part) if isinstance(part, KeptAsset) else part

    def texts(self, one: Callable[[Step], str]) -> Iterator[str]:
        """The text of each step, as JSON has it; `one` gives it for a step that was looked at."""
        for part in self._parts:
            yield from self._kept.texts(part, one) if isinstance(part, KeptAsset) else map(one, part)

    @overload
    def __getitem__(self, at: int) -> Step: ...

    @overload
    def __getitem__(self, at: slice) -> tuple[Step, ...]: ...

    def __getitem__(self, at: int | slice) -> Step | tuple[Step, ...]:
        return tuple(self)[at]


class Lazy(Collection[str]):
    """A set of texts that is made when somebody asks for it."""

    def __init__(self, make: Callable[[], Set[str]]) -> None:
        self._make = make

    @cached_property
    def _found(self) -> Set[str]:
        return self._make()

    def __contains__(self, text: object) -> bool:
        return text in self._found

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)


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


def _entry(asset: KeptAsset, columns: Columns, at: int, paths: Sequence[str]) -> Entry:
    kind, tags = asset.kinds[columns.numbers[3 * at]], columns.labels[columns.numbers[3 * at + 1]]
    specs, seed = tuple([OutputSpec(path) for path in paths]), columns.seeds[at]
    return Entry(
        columns.ids[at], asset.name, kind.provider, kind.model, columns.prompts[at], kind.params, seed, specs, tags=tags
    )


def _step(asset: KeptAsset, columns: Columns, at: int, paths: Sequence[str]) -> Step:
    entry, kind = _entry(asset, columns, at, paths), asset.kinds[columns.numbers[3 * at]]
    return _fresh(entry, kind, digest_at(columns.keys, at), digest_at(columns.digests, at))


def _layout(asset: KeptAsset, number: int, files: int, one: Callable[[Step], str]) -> str:
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
