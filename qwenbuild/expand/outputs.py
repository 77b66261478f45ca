"""The files an asset wants from each picture: their paths, steps and expectations, read and checked when they are made.

Knows no picture: what a step does and whether the picture suits it shows later.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import PurePosixPath
from typing import Any

from qwenbuild.errors import InputError
from qwenbuild.expand.cells import Cell, Context, Convert, Path, grouped, placed, text_cell, tree_cell
from qwenbuild.expand.faults import Fault, closest
from qwenbuild.expand.fields import Fields
from qwenbuild.expand.palettes import Palettes
from qwenbuild.expand.paths import guard_path
from qwenbuild.expand.templates import Templates
from qwenbuild.expand.values import kind_of
from qwenbuild.images import media_type_of, normalise, step_of
from qwenbuild.later import later
from qwenbuild.manifest.names import STEP_KINDS
from qwenbuild.manifest.scalars import scalar
from qwenbuild.model import ImageStep, OutputSpec
from qwenbuild.nearmiss import did_you_mean

with later:
    from qwenbuild import checks

TEXT_ARGUMENTS = frozenset(
    [
        *("anchor", "background", "color", "colors", "colour", "file", "fill", "filter", "fit", "format", "gravity", "key"),
        *("mode", "name", "palette", "ratio", "size", "text", "to", "type"),
        *("of", "within", "likeness", "colours", "wanted", "forbidden", "match", "script"),
    ]
)
"""Arguments of steps and expectations that are text; any other text is read as YAML 1.2 reads a scalar."""

CELL = "{cell}"
"""Stands in a path for the number of a grid's cell, where `tile` names none and every cell becomes a file."""

PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".avif")
"""Extensions of the files that can be made."""

MOST_CELLS = 4096
"""Files that one output may become."""

Steps = tuple[ImageStep, ...]


class Output:
    """One output of an asset, with its templates. `steps` gives the steps of each of its files."""

    __slots__ = ("_expect", "_item", "_name", "_path", "_steps", "where")

    def __init__(self, where: Path, path: Cell | None, steps: Cell, name: Cell, expect: Cell, item: int = 0) -> None:
        self.where = where
        self._item = item
        self._path = path
        self._steps = steps
        self._name = name
        self._expect = expect

    def get(self, context: Context, entry: str) -> tuple[OutputSpec, ...]:
        """The output's files for one combination. Raises Fault for a path that is not safe everywhere."""
        text = f"{entry}.png" if self._path is None else self._path.get(context)
        files: tuple[Steps, ...] = self._steps.get(context)
        if len(files) == 1 and CELL not in text:
            return (self._spec(text, files[0], context),)
        return tuple([self._spec(path, steps, context) for path, steps in zip(self._paths(text, files), files, strict=True)])

    def _paths(self, text: str, files: Sequence[Steps]) -> list[str]:
        """The path of each cell of a grid, numbered from 1 with equally many digits."""
        if len(files) == 1:
            message = f"the path holds {CELL}, and no step is a `tile` of several cells without `cell`"
            raise placed(Fault("bad-output-path", message), self.where)
        if CELL not in text:
            message = f"`tile` without `cell` makes {len(files)} files: the path needs {CELL}, or the step a `cell`"
            raise placed(Fault("bad-output-path", message, hint=f"such as `{_numbered(text)}`"), self.where)
        digits = len(str(len(files)))
        return [text.replace(CELL, f"{number:0{digits}}") for number in range(1, len(files) + 1)]

    def _spec(self, text: str, steps: Steps, context: Context) -> OutputSpec:
        path = self._safe(text)
        if steps:
            self._check_type(path, steps)
        return OutputSpec(path, steps, self._name.get(context), self._expect.get(context), self._item)

    def _safe(self, text: str) -> str:
        try:
            path = guard_path(text)
        except ValueError as error:
            raise placed(Fault("bad-output-path", str(error)), self.where) from None
        if path.endswith(PICTURES):
            return path
        fault = not_a_picture(path)
        if fault is not None:
            raise placed(fault, self.where)
        return path

    def _check_type(self, path: str, steps: Steps) -> None:
        """A `format` step and the file's extension must name one type."""
        target_type = media_type_of(path)
        for step in reversed(steps):
            if step.kind == "format":
                if target_type != f"image/{step.args['type']}":
                    message = f"the steps make a {step.args['type']}, and the file is `{path}`"
                    raise placed(Fault("bad-step", message, hint="the extension alone implies the format"), self.where)
                return


def not_a_picture(path: str) -> Fault | None:
    """The fault of a path whose extension is no picture's, with the near miss; a path may have none."""
    suffix = PurePosixPath(path).suffix.lower()
    if not suffix or suffix in PICTURES:
        return None
    close = None if media_type_of(path) else closest(suffix, PICTURES)
    better_path = path[: -len(suffix)] + (close or PICTURES[0])
    hint = did_you_mean([better_path]) if close else f"pictures are written as {', '.join(PICTURES)}"
    return Fault("bad-output-path", f"`{path}` ends in {suffix}: no such picture can be written", hint=hint)


def _numbered(path: str) -> str:
    stem, dot, suffix = path.rpartition(".")
    return f"{stem}-{CELL}{dot}{suffix}" if dot else f"{path}-{CELL}"


def outputs_of(fields: Fields, templates: Templates, palettes: Palettes) -> list[Output]:
    """The outputs of an asset; without any, one that is named like the entry. Raises Fault."""
    several = fields.either("outputs", "output", "steps")
    if several is not None and several.path[-1] == "outputs":
        return _items(several.value, several.path, templates, palettes)
    output, steps = fields.own("output"), fields.own("steps")
    where = output.path if output else fields.path
    path = text_cell(output.value, templates, output.path) if output else None
    steps_value = steps_cell(steps.value, templates, steps.path, palettes) if steps else Cell(((),))
    return [Output(where, path, steps_value, Cell(None), Cell(None))]


def place_of(fields: Fields, item: int) -> Path:
    """Where the manifest says what an output is called: at the output, else at the id, else at the asset."""
    several = fields.either("outputs", "output", "steps")
    if several is not None and several.path[-1] == "outputs":
        return (*several.path, item, "path")
    written = fields.own("output") or fields.own("id")
    return written.path if written else fields.path


def _items(items: Sequence[Mapping[str, Any]], where: Path, templates: Templates, palettes: Palettes) -> list[Output]:
    names: set[str] = set()
    for at, item in enumerate(items):
        name = item.get("as")
        if name in names:
            raise placed(Fault("duplicate-name", f"two outputs are called `{name}`"), (*where, at, "as"))
        names |= {name} if name else set()
    return [_item(item, (*where, at), templates, palettes) for at, item in enumerate(items)]


def _item(item: Mapping[str, Any], where: Path, templates: Templates, palettes: Palettes) -> Output:
    if "path" not in item:
        raise placed(Fault("no-path", "an item of `outputs` needs a `path`"), where)
    name = text_cell(item["as"], templates, (*where, "as")) if "as" in item else Cell(None)
    path = text_cell(item["path"], templates, (*where, "path"))
    steps = steps_cell(item.get("steps") or (), templates, (*where, "steps"), palettes)
    expect = expect_cell(item.get("expect"), templates, (*where, "expect"), of_file=True)
    return Output((*where, "path"), path, steps, name, expect, int(where[-1]))


def expect_cell(expect: Mapping[str, Any] | None, templates: Templates, where: Path, *, of_file: bool = False) -> Cell:
    """The cell of an `expect`, every value read; None where nothing is expected."""
    if expect is None:
        return Cell(None)

    def checked(values: list[Any]) -> Mapping[str, Any]:
        try:
            return checks.check_expect(values[0], of_file=of_file)
        except ValueError as error:
            raise placed(Fault("bad-expect", str(error)), _named(error, where, values[0], "expect")) from None

    return grouped([tree_cell(expect, templates, where, convert_of)], checked)


# ---------------------------------------------------------------- steps


def steps_cell(steps: Sequence[Any], templates: Templates, where: Path, palettes: Palettes) -> Cell:
    """The cell of a list of steps: the steps of each file that it makes, which is one but for a grid without `cell`."""
    cells, makers = [], []
    for at, item in enumerate(steps):
        kind, args = _step(item, (*where, at))
        place = (*where, at, kind) if isinstance(item, Mapping) else (*where, at)
        makers.append(partial(image_step, kind, place, palettes))
        cells.append(tree_cell(args, templates, place, _converts(kind, place)))
    return grouped(cells, partial(_files, makers, where))


def _converts(kind: str, where: Path) -> Callable[[str], Convert | None]:
    """How the text of a step's arguments is read: a plug-in's as its own description says. Raises Fault."""
    try:
        row = None if kind in STEP_KINDS else step_of(kind, STEP_KINDS)
    except InputError as error:
        raise placed(Fault("plugin", str(error)), where) from None
    if row is None:
        return convert_of
    texts = {name for name, each in row.arguments.items() if each.schema.get("type") == "string" or "enum" in each.schema}
    return lambda name: None if name in texts else scalar


def _files(
    makers: Sequence[Callable[[Any], tuple[ImageStep, bool]]], where: Path, arguments: Sequence[Any]
) -> tuple[Steps, ...]:
    done = [make(args) for make, args in zip(makers, arguments, strict=True)]
    steps = tuple([step for step, _ in done])
    grids = [at for at, (_, whole) in enumerate(done) if whole]
    if not grids:
        return (steps,)
    at = grids[0]
    args = steps[at].args
    cells = args["columns"] * args["rows"]
    if len(grids) > 1 or cells > MOST_CELLS:
        message = "only one `tile` may be without `cell`" if len(grids) > 1 else f"{cells} files, {MOST_CELLS} are allowed"
        raise placed(Fault("bad-step", f"tile: {message}"), (*where, grids[-1], "tile"))
    return tuple([(*steps[:at], _cell(steps[at], number), *steps[at + 1 :]) for number in range(1, cells + 1)])


def _cell(grid: ImageStep, number: int) -> ImageStep:
    return replace(grid, args={**grid.args, "cell": number})


def image_step(kind: str, where: Path, palettes: Palettes, args: Any) -> tuple[ImageStep, bool]:
    """The step made of what was rendered, and whether it is a grid of which every cell is wanted.

    A palette's path gives way to the digest of its bytes, so that the recipe hangs on them. Raises Fault.
    """
    try:
        step = normalise(kind, args)
    except ValueError as error:
        raise placed(Fault("bad-step", str(error)), _named(error, where, args, kind)) from None
    if step.args.get("palette"):
        digest = palettes.digest(step.args["palette"], (*where, "palette"))
        return replace(step, args={**step.args, "palette": digest}), False
    whole = kind == "tile" and not (isinstance(args, Mapping) and args.get("cell") is not None)
    return step, whole and step.args["columns"] * step.args["rows"] > 1


def _named(error: ValueError, where: Path, args: Any, kind: str) -> Path:
    """The argument's own place, when the sentence begins with its name or holds it in quotes."""
    words = str(error).removeprefix(f"{kind}: ")
    for name in args if isinstance(args, Mapping) else ():
        if words.startswith(f"{name} ") or words.startswith(f"{name}:") or f"no argument {name!r}" in words:
            return (*where, name)
        if f"has no {name!r}" in words:
            return (*where, name)
    return where


def convert_of(name: str) -> Convert | None:
    """What the text of an argument becomes: itself where text is due, else the scalar it means."""
    return None if name in TEXT_ARGUMENTS else scalar


def _step(item: Any, where: Path) -> tuple[str, Any]:
    if isinstance(item, str):
        return item, {}
    if isinstance(item, Mapping) and len(item) == 1:
        kind, args = next(iter(item.items()))
        return str(kind), {} if args is None else args
    what = f", got {kind_of(item)}" if not isinstance(item, Mapping) else ""
    raise placed(Fault("bad-step", f"a step is one key with its arguments, such as {{resize: {{width: 256}}}}{what}"), where)
