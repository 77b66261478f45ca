"""One asset's entries matched with those that are remembered: which are believed, and which are to be expanded.

Knows no manifest, no lockfile and no other asset.
"""

from __future__ import annotations

from array import array
from collections.abc import Container, Iterator, Sequence, Set
from functools import cached_property

from qwenbuild.catalog import is_free
from qwenbuild.expand.prints import Prints
from qwenbuild.model import Entry, Keyed
from qwenbuild.snapshot.entryfile import WIDTH, FreshRun, Memory, RememberedAsset, digest_at, print_at
from qwenbuild.snapshot.statefile import Snapshot


class KnownAsset:
    """The fresh entries of one asset, for its expansion. `touched` are places in the columns that are not believed; `moved`:
    its rows or axes may not be what they were.
    """

    def __init__(self, asset: RememberedAsset, memory: Memory, touched: Set[int], *, moved: bool) -> None:
        self.asset = asset
        self.memory = memory
        self.touched = touched
        self.moved = moved
        self.remade: list[Entry] | None = None
        self.places: dict[int, int] | None = None

    def wanted(self, prints: Prints) -> Container[int]:
        """The places of the entries that are to be expanded."""
        self.places = self._matched(prints) if self.moved else dict(self._same())
        return _Missing(self.places)

    def picture(self, place: int) -> object:
        """What a believed entry's picture is told by."""
        return self.memory.columns.prompts[(self.places or {})[place]]

    def _same(self) -> Iterator[tuple[int, int]]:
        for run in self.asset.runs:
            for at in range(run.count):
                if run.first + at not in self.touched:
                    yield run.place + at, run.first + at

    def _matched(self, prints: Prints) -> dict[int, int]:
        """Place among the asset's entries to place in the columns, for those of the same row and axes."""
        column = self.memory.columns.prints
        old = {print_at(column, at): at for _, at in self._same()}
        pairs = ((place, old.pop(each, -1)) for place, each in enumerate(prints.every()))
        return {place: at for place, at in pairs if at >= 0}

    # ------------------------------------------------------------ runs

    def runs(self) -> list[FreshRun]:
        """The runs of believed entries, in the order of their places."""
        if self.places is None and not self.touched:
            return list(self.asset.runs)
        places = self.places if self.places is not None else dict(self._same())
        starts, counts = self._files
        free = {number for number, kind in enumerate(self.asset.kinds) if is_free(kind.family)}
        kinds = self.memory.columns.numbers[::WIDTH]
        numbers_each: list[list[int]] = []
        for place, at in places.items():
            last = numbers_each[-1] if numbers_each else None
            if last and (place, at, starts[at]) == (last[2] + last[1], last[0] + last[1], last[3] + last[4]):
                last[1] += 1
                last[4] += counts[at]
                last[5] += kinds[at] not in free
            else:
                numbers_each.append([at, 1, place, starts[at], counts[at], int(kinds[at] not in free)])
        return [FreshRun(self.asset.name, *numbers) for numbers in numbers_each]

    def paths(self, at: int, state: Snapshot) -> list[str]:
        """The files of one entry."""
        starts, counts = self._files
        first = state.inputs + starts[at]
        return state.paths[first : first + counts[at]]

    @cached_property
    def _files(self) -> tuple[dict[int, int], dict[int, int]]:
        """The first file of each entry among the state's, and how many it has."""
        starts, counts = dict[int, int](), dict[int, int]()
        for run in self.asset.runs:
            file = run.file
            for at, count in enumerate(file_counts(self.memory, run), run.first):
                starts[at], counts[at] = file, count
                file += count
        return starts, counts

    def has_its_keys(self, keyed: Sequence[Keyed]) -> bool:
        """Whether the entries that were made from the columns have the keys that they had."""
        keys = {each.entry.id: each.candidates[0].key for each in keyed if each.entry.asset == self.asset.name}
        columns = self.memory.columns
        return all(keys.get(columns.ids[at]) == digest_at(columns.keys, at) for at in self.touched)

    def prints_of_remade(self) -> bytes:
        """The prints of the entries that were made from the columns."""
        return b"".join(print_at(self.memory.columns.prints, at) for at in sorted(self.touched))


class _Missing(Container[int]):
    """The places that are not among some."""

    def __init__(self, places: Container[int]) -> None:
        self._places = places

    def __contains__(self, place: object) -> bool:
        return place not in self._places


def file_counts(memory: Memory, run: FreshRun) -> array[int]:
    """How many files each entry of a run has."""
    return memory.columns.numbers[WIDTH * run.first + 2 : WIDTH * (run.first + run.count) : WIDTH]
