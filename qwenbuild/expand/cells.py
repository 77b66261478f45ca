"""Cells: one field of an asset, constant or rendered anew for each combination, typed as it is due.

Knows nothing of axes, rows or merging.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from qwenbuild.expand.faults import Fault
from qwenbuild.expand.plain_templates import Render
from qwenbuild.expand.templates import Templates, has_markup, tidy
from qwenbuild.expand.values import kind_of
from qwenbuild.manifest.scalars import scalar

Path = tuple[str | int, ...]
Context = Mapping[str, Any]
Convert = Callable[[str], Any]


class Cell:
    """A value that does not change."""

    __slots__ = ("value",)

    constant = True

    def __init__(self, value: Any) -> None:
        self.value = value

    def get(self, context: Context) -> Any:
        """The value. Raises Fault with the path of the field."""
        return self.value


class Rendered(Cell):
    """A template, rendered and converted."""

    __slots__ = ("_convert", "_file", "_path", "_render")

    constant = False

    def __init__(self, render: Render, convert: Convert | None, path: Path, file: str | None = None) -> None:
        self._render = render
        self._convert = convert
        self._path = path
        self._file = file

    def get(self, context: Context) -> Any:
        """The rendered and converted text."""
        try:
            text = self._render(context)
            return text if self._convert is None else self._convert(text)
        except Fault as fault:
            raise placed(fault, self._path, self._file) from None


class FromFile(Cell):
    """A template file whose name is a template, too."""

    __slots__ = ("_name", "_path", "_templates")

    constant = False

    def __init__(self, name: Cell, templates: Templates, path: Path) -> None:
        self._name = name
        self._templates = templates
        self._path = path

    def get(self, context: Context) -> Any:
        """The rendered file."""
        name = self._name.get(context)
        return file_cell(name, self._templates, self._path, None).get(context)


class CellGroup(Cell):
    """A list or mapping of cells; an equal result is the same object again, so that others can cache by identity."""

    __slots__ = ("_build", "_cells", "_known")

    constant = False

    def __init__(self, cells: Sequence[Cell], build: Callable[[list[Any]], Any]) -> None:
        self._cells = cells
        self._build = build
        self._known: dict[str, Any] = {}

    def get(self, context: Context) -> Any:
        """The built value."""
        values = [cell.get(context) for cell in self._cells]
        key = repr(values)
        built = self._known.get(key)
        if built is None:
            built = self._build(values)
            if len(self._known) < 10_000:
                self._known[key] = built
        return built


def placed(fault: Fault, path: Path, file: str | None = None) -> Fault:
    """The fault, with the field it is in."""
    if not fault.path:
        fault.path = path
    if fault.file is None:
        fault.file = file
    return fault


def text_cell(text: str, templates: Templates, path: Path, convert: Convert | None = None) -> Cell:
    """The cell of a string. Raises Fault when it does not compile or, being constant, does not convert."""
    try:
        if has_markup(text):
            return Rendered(templates.render(text), convert, path)
        return Cell(tidy(text) if convert is None else convert(tidy(text)))
    except Fault as fault:
        raise placed(fault, path) from None


def file_cell(name: str, templates: Templates, path: Path, convert: Convert | None) -> Cell:
    """The cell of a template file. Raises Fault, or InputError with the problem in the file."""
    try:
        text = templates.file(name)
    except Fault as fault:
        raise placed(fault, path) from None
    try:
        return Rendered(templates.render(text), convert, path, name) if has_markup(text) else Cell(tidy(text))
    except Fault as fault:
        raise placed(fault, path, name) from None


def tree_cell(
    value: Any, templates: Templates, path: Path, convert_of: Callable[[str], Convert | None], name: str = ""
) -> Cell:
    """The cell of a value as deep as it is; `convert_of` says for a key's name what its text becomes."""
    if isinstance(value, str):
        return text_cell(value, templates, path, convert_of(name))
    if isinstance(value, Mapping):
        keys = list(value)
        cells = [tree_cell(value[key], templates, (*path, key), convert_of, str(key)) for key in keys]
        return _grouped(cells, lambda values: dict(zip(keys, values, strict=True)))
    if isinstance(value, (list, tuple)):
        cells = [tree_cell(item, templates, (*path, at), convert_of, name) for at, item in enumerate(value)]
        return _grouped(cells, list)
    return Cell(value)


def _grouped(cells: Sequence[Cell], build: Callable[[list[Any]], Any]) -> Cell:
    if all(cell.constant for cell in cells):
        return Cell(build([cell.get({}) for cell in cells]))
    return CellGroup(cells, build)


def grouped(cells: Sequence[Cell], build: Callable[[list[Any]], Any]) -> Cell:
    """One cell of several."""
    return _grouped(cells, build)


# ---------------------------------------------------------------- what a text becomes


def whole(low: int, high: int) -> Convert:
    """A whole number within bounds, as YAML 1.2 reads it."""

    def convert(text: str) -> int:
        value = scalar(text)
        if isinstance(value, bool) or not isinstance(value, int):
            raise Fault("not-a-number", f"a whole number was expected, got {text[:40]!r}")
        if not low <= value <= high:
            raise Fault("out-of-range", f"a whole number from {low:,} to {high:,} was expected, got {value}")
        return value

    return convert


def number(text: str) -> int | float:
    """A number, as YAML 1.2 reads it."""
    value = scalar(text)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value != value or abs(value) == float("inf"):
        raise Fault("not-a-number", f"a number was expected, got {text[:40]!r}")
    return value


def truth(text: str) -> bool:
    """`true` or `false`, as YAML 1.2 reads it."""
    value = scalar(text)
    if not isinstance(value, bool):
        raise Fault("not-a-truth-value", f"true or false was expected, got {text[:40]!r}")
    return value


def whole_value(value: Any, low: int, high: int) -> int:
    """A value that is a whole number within bounds already. Raises Fault."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise Fault("not-a-number", f"a whole number was expected, got {kind_of(value)}")
    if not low <= value <= high:
        raise Fault("out-of-range", f"a whole number from {low:,} to {high:,} was expected, got {value}")
    return value
