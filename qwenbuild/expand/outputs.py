"""The files an asset wants from each picture: their paths, steps and expectations.

Knows neither what a step does nor which arguments it takes: it makes them, in one place, as they were rendered.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from qwenbuild.expand.cells import Cell, Context, Convert, Path, grouped, placed, text_cell, tree_cell
from qwenbuild.expand.faults import Fault
from qwenbuild.expand.fields import Fields
from qwenbuild.expand.paths import guard_path
from qwenbuild.expand.templates import Templates
from qwenbuild.expand.values import kind_of
from qwenbuild.manifest.scalars import scalar
from qwenbuild.model import ImageStep, OutputSpec

TEXT_ARGUMENTS = frozenset(
    [
        *("anchor", "background", "color", "colors", "colour", "file", "fill", "filter", "fit", "format", "gravity", "key"),
        *("mode", "name", "palette", "ratio", "size", "text", "to", "type"),
    ]
)
"""Arguments of steps and expectations that are text; any other text is read as YAML 1.2 reads a scalar."""


class Output:
    """One output of an asset, with its templates."""

    __slots__ = ("_expect", "_name", "_path", "_steps", "where")

    def __init__(self, where: Path, path: Cell | None, steps: Cell, name: Cell, expect: Cell) -> None:
        self.where = where
        self._path = path
        self._steps = steps
        self._name = name
        self._expect = expect

    def get(self, context: Context, entry: str) -> OutputSpec:
        """The output for one combination. Raises Fault for a path that is not safe everywhere."""
        text = f"{entry}.png" if self._path is None else self._path.get(context)
        try:
            path = guard_path(text)
        except ValueError as error:
            raise placed(Fault("bad-output-path", str(error)), self.where) from None
        return OutputSpec(path, self._steps.get(context), self._name.get(context), self._expect.get(context))


def outputs_of(fields: Fields, templates: Templates) -> list[Output]:
    """The outputs of an asset; without any, one that is named like the entry. Raises Fault."""
    several = fields.either("outputs", "output", "steps")
    if several is not None and several.path[-1] == "outputs":
        return [_item(item, (*several.path, at), templates) for at, item in enumerate(several.value)]
    output, steps = fields.own("output"), fields.own("steps")
    where = output.path if output else fields.path
    path = text_cell(output.value, templates, output.path) if output else None
    made = steps_cell(steps.value, templates, steps.path) if steps else Cell(())
    return [Output(where, path, made, Cell(None), Cell(None))]


def _item(item: Mapping[str, Any], where: Path, templates: Templates) -> Output:
    if "path" not in item:
        raise placed(Fault("no-path", "an item of `outputs` needs a `path`"), where)
    name = text_cell(item["as"], templates, (*where, "as")) if "as" in item else Cell(None)
    path = text_cell(item["path"], templates, (*where, "path"))
    steps = steps_cell(item.get("steps") or (), templates, (*where, "steps"))
    return Output((*where, "path"), path, steps, name, expect_cell(item.get("expect"), templates, (*where, "expect")))


def expect_cell(expect: Mapping[str, Any] | None, templates: Templates, where: Path) -> Cell:
    """The cell of an `expect`; None where nothing is expected."""
    return Cell(None) if expect is None else tree_cell(expect, templates, where, convert_of)


def steps_cell(steps: Sequence[Any], templates: Templates, where: Path) -> Cell:
    """The cell of a list of steps."""
    cells, kinds = [], []
    for at, item in enumerate(steps):
        kind, args = _step(item, (*where, at))
        kinds.append(kind)
        cells.append(tree_cell(args, templates, (*where, at, kind), convert_of))
    return grouped(cells, lambda made: tuple([image_step(kind, args) for kind, args in zip(kinds, made, strict=True)]))


def image_step(kind: str, args: Mapping[str, Any]) -> ImageStep:
    """The one place where a step is made of what was rendered."""
    return ImageStep(kind, args)


def convert_of(name: str) -> Convert | None:
    """What the text of an argument becomes: itself where text is due, else the scalar it means."""
    return None if name in TEXT_ARGUMENTS else scalar


def _step(item: Any, where: Path) -> tuple[str, Mapping[str, Any]]:
    if isinstance(item, str):
        return item, {}
    if isinstance(item, Mapping) and len(item) == 1:
        kind, args = next(iter(item.items()))
        if args is None or isinstance(args, Mapping):
            return str(kind), args or {}
        raise placed(Fault("bad-step", f"`{kind}` takes a mapping of arguments, got {kind_of(args)}"), (*where, kind))
    raise placed(Fault("bad-step", "a step is one key with its arguments, such as {resize: {width: 256}}"), where)
