"""Axes that multiply entries and change nothing: whichever value they have, the picture and what is made of it are the same.

Knows no template: it compares what came out, so it does not matter by which way a template uses an axis.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from typing import Any

from qwenbuild.expand.axes import Combination, Table, key_of
from qwenbuild.expand.faults import Fault
from qwenbuild.model import Entry

ROWS = ""
"""Stands for the rows, which multiply as an axis does."""


def idle_axes(
    table: Table, combinations: Sequence[Combination], out: set[tuple[int, int]], pictures: Sequence[object]
) -> list[Fault]:
    """A fault, with its path, for each axis of which no value changes anything; the rows count as one.

    `pictures` are those of all entries that the table gives, in its order; `out` are the rows and combinations that gave
    none.
    """
    open_axes = [name for name, values in table.axes.items() if len(values) > 1]
    if table.rows is not None and len(table.rows) > 1:
        open_axes.append(ROWS)
    if not open_axes:
        return []
    places = _places(table, combinations)
    idle = [name for name in open_axes if _is_idle(name, table, places, out, pictures)]
    if not idle:
        return []
    different = len({repr(picture) for picture in pictures})
    return [_fault(table, name, len(pictures), different) for name in idle]


def _is_idle(
    name: str, table: Table, places: Sequence[tuple[str | None, ...]], out: set[tuple[int, int]], pictures: Sequence[object]
) -> bool:
    """Whether entries that differ in this axis alone are all alike, and there are such entries."""
    column = None if name == ROWS else list(table.axes).index(name)
    seen: dict[Any, int] = {}
    compared = False
    for number, (row, at) in enumerate(_kept(table, len(places), out)):
        place = places[at]
        others = (-1, place) if column is None else (row, place[:column] + place[column + 1 :])
        first = seen.setdefault(others, number)
        if first == number:
            continue
        compared = True
        if pictures[first] != pictures[number]:
            return False
    return compared


def _kept(table: Table, combinations: int, out: set[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    rows = 1 if table.rows is None else len(table.rows)
    pairs = itertools.product(range(rows), range(combinations))
    return (pair for pair in pairs if pair not in out) if out else pairs


def _places(table: Table, combinations: Sequence[Combination]) -> list[tuple[str | None, ...]]:
    """Where each combination stands on the axes, by the names of its values."""
    names: dict[int, str | None] = {}  # by the value's identity: the combinations share them
    for each in combinations:
        for value in each.values.values():
            if id(value) not in names:
                names[id(value)] = key_of(value)
    return [tuple([names[id(each.values[name])] for name in table.axes]) for each in combinations]


def picture_of(entry: Entry) -> tuple[object, ...]:
    """What determines the picture, and what is made of it; not what it is called, nor where it goes."""
    outputs = [(output.steps, PurePosixPath(output.path).suffix.lower()) for output in entry.outputs]
    return entry.prompt, entry.model, entry.params, entry.seed, entry.variants, entry.inputs, outputs


def _fault(table: Table, name: str, entries: int, pictures: int) -> Fault:
    what = f"the rows of {table.source or '`foreach`'} change" if name == ROWS else f"the axis `{name}` changes"
    amounts = f"{entries:,} entries, {pictures:,} {'picture' if pictures == 1 else 'pictures'}"
    used = "a column" if name == ROWS else "it"
    hint = f"use {used} in the prompt, or remove {'them' if name == ROWS else 'it'}; several files of a picture are `outputs`"
    fault = Fault("unused-axis", f"{what} nothing in the pictures of `{table.path[-1]}`: {amounts}", hint=hint)
    fault.path = (*table.path, "foreach") if name == ROWS else (*table.path, "matrix", name)
    return fault
