"""Prints of entries: what stands for the row and the values of the axes that an entry is made of, in sixteen bytes.

Knows no template: with the asset's other words and the files they read, a print determines the entry.
"""

from __future__ import annotations

from collections.abc import Collection, Container, Iterator, Sequence
from hashlib import blake2b
from typing import Protocol

from qwenbuild.expand.axes import Combination, Table

SIZE = 16
"""Bytes of a print."""


class KnownEntries(Protocol):
    """Entries of one asset of which some are known from an earlier expansion."""

    def wanted(self, prints: Prints) -> Container[int]:
        """The places of the entries that are to be expanded."""
        ...

    def picture(self, place: int) -> object:
        """What tells the picture of a known entry from others: of one that differs, the picture differs."""
        ...

    @property
    def moved(self) -> bool:
        """Whether the rows or axes are not those that they were."""
        ...


class Prints:
    """The prints of one table's entries. `out` are the rows and combinations that give none."""

    def __init__(self, table: Table, combinations: Sequence[Combination], out: Collection[tuple[int, int]]) -> None:
        self._rows = table.rows
        self._combinations = combinations
        self._out = out
        columns = sorted(set().union(*table.rows or ()), key=repr)
        self._columns = blake2b(repr(columns).encode("utf-8", "surrogatepass"), digest_size=SIZE).digest()
        self._of_axes = [self._digest(repr((each.values, each.slugs))) for each in combinations]
        self._is_table = table.rows is not None and len(combinations) == 1 and not combinations[0].values

    def of(self, row: int, at: int) -> bytes:
        """The print of one row and one combination, by their numbers."""
        return self._joined(self._of_row(row), at)

    def every(self) -> Iterator[bytes]:
        """The prints of all entries, in their order."""
        if self._is_table and not self._out:
            yield from map(self._of_row, range(len(self._rows or ())))
            return
        count, out = len(self._combinations), self._out
        for row in range(1 if self._rows is None else len(self._rows)):
            of_row = self._of_row(row)
            for at in range(count):
                if not out or (row, at) not in out:
                    yield self._joined(of_row, at)

    def _of_row(self, row: int) -> bytes:
        if self._rows is None:
            return b""
        return blake2b(repr(self._rows[row]).encode("utf-8", "surrogatepass") + self._columns, digest_size=SIZE).digest()

    def _joined(self, row: bytes, at: int) -> bytes:
        return row if self._is_table else blake2b(row + self._of_axes[at], digest_size=SIZE).digest()

    def _digest(self, text: str) -> bytes:
        return blake2b(text.encode("utf-8", "surrogatepass") + self._columns, digest_size=SIZE).digest()
