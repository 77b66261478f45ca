"""Where each entry stands among its asset's rows and axes, so that a page can show a matrix as one.

Knows no template and no id: it counts as the expansion counts, and is asked only about a manifest that expands.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from qwenbuild.expand.axes import Table, name_of
from qwenbuild.expand.fields import Fields
from qwenbuild.expand.rows import Data
from qwenbuild.expand.values import Unprintable, printed
from qwenbuild.model import Asset, Manifest


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis, or the rows of `foreach`: its name, and a label for each value in the order written."""

    name: str
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Places:
    """An asset's axes, rows first, and for each of its entries, in the manifest's order, the number of its value on each."""

    axes: tuple[Axis, ...]
    entries: tuple[tuple[int, ...], ...]


def places(manifest: Manifest) -> dict[str, Places]:
    """The places of every asset that has rows or axes. Raises Fault, InputError where the manifest does not expand."""
    data = Data(manifest)
    by_asset = {asset.name: _places(_table(manifest, asset, data)) for asset in manifest.assets}
    return {name: each for name, each in by_asset.items() if each.axes}


def _table(manifest: Manifest, asset: Asset, data: Data) -> Table:
    fields = Fields(manifest, asset)
    matrix, foreach = fields.own("matrix"), fields.own("foreach")
    axes = matrix.value if matrix else {}
    rows = None if foreach is None else data.rows(foreach.value, foreach.path, axes)
    source = foreach.value if foreach is not None and isinstance(foreach.value, str) else ""
    return Table(fields.path, axes, rows, asset.include, asset.exclude, False, source)


def _places(table: Table) -> Places:
    labels = {name: [_label(value, at) for at, value in enumerate(values)] for name, values in table.axes.items()}
    product = itertools.product(*(range(len(values)) for values in table.axes.values()))
    numbers = [*product, *(_included(labels, item) for item in table.include)]
    out = table.left_out(table.combinations()) if table.exclude else set()
    axes = tuple(Axis(name, tuple(each)) for name, each in labels.items())
    if table.rows is None:
        return Places(axes, tuple(place for at, place in enumerate(numbers) if (0, at) not in out))
    rows = Axis(_rows_name(table), tuple(_label(row, at) for at, row in enumerate(table.rows)))
    return Places((rows, *axes), tuple(_within_rows(len(table.rows), numbers, out)))


def _within_rows(rows: int, numbers: Sequence[tuple[int, ...]], out: set[tuple[int, int]]) -> Iterator[tuple[int, ...]]:
    for row in range(rows):
        for at, place in enumerate(numbers):
            if (row, at) not in out:
                yield (row, *place)


def _included(labels: Mapping[str, list[str]], item: Mapping[str, Any]) -> tuple[int, ...]:
    """The place of an included combination; a value that no axis has is added to the labels."""
    place = []
    for name, known in labels.items():
        label = _label(item[name], len(known))
        if label not in known:
            known.append(label)
        place.append(known.index(label))
    return tuple(place)


def _label(value: Any, at: int) -> str:
    """A value's name, else what its first column holds, else its number."""
    try:
        return printed(name_of(value))
    except (LookupError, Unprintable):
        first = next(iter(value.values()), None) if isinstance(value, Mapping) else None
        return str(first)[:60] if isinstance(first, (str, int, float)) else str(at + 1)


def _rows_name(table: Table) -> str:
    return PurePosixPath(table.source).stem or "row"
