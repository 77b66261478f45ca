"""What steps make of a picture's size, before there is a picture: what cannot fit is found before anything is bought.

Knows no pixels; where only these can tell (`trim`), nothing is said any more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from qwenbuild.images import plugin_steps
from qwenbuild.model import ImageStep

Size = tuple[int, int] | None
"""Width and height in pixels, None when only the picture can tell."""
Args = Mapping[str, Any]


class SizeFault(ValueError):
    """A step that does not suit the picture's size. `at` counts the steps from 0."""

    def __init__(self, at: int, message: str) -> None:
        super().__init__(message)
        self.at = at


def final_size(steps: Sequence[ImageStep], size: Size) -> Size:
    """The file's size in pixels, None when it cannot be known. Raises SizeFault with the step that does not fit."""
    for at, step in enumerate(steps):
        size_after = _KNOWN.get(step.kind) or _plugged(step)
        try:
            size = size_after(step.args, size) if size_after else size
        except ValueError as error:
            raise SizeFault(at, str(error)) from None
    return size


def _plugged(step: ImageStep) -> Callable[[Args, Size], Size] | None:
    """What a plug-in's step makes of a size: the same where it says so, else only the picture can tell."""
    row = plugin_steps.step_of(step.kind, ()) if plugin_steps.STAMP in step.args else None
    return None if row is None or row.keeps_size else lambda args, size: None


def _resize(args: Args, size: Size) -> Size:
    width, height = args["width"], args["height"]
    if width and height and args["fit"] != "inside":
        return width, height
    if size is None or (args["fit"] == "inside" and width and height):
        return None
    if width:
        return width, _rounded(size[1] * width, size[0])
    return _rounded(size[0] * height, size[1]), height


def _rounded(amount: int, by: int) -> int:
    return max((2 * amount + by) // (2 * by), 1)


def _crop(args: Args, size: Size) -> Size:
    if args["ratio"]:
        if size is None:
            return None
        across, down = (int(part) for part in args["ratio"].split(":"))
        return min(size[0], max(size[1] * across // down, 1)), min(size[1], max(size[0] * down // across, 1))
    left, top, width, height = args["left"], args["top"], args["width"], args["height"]
    if size is not None and (left + width > size[0] or top + height > size[1]):
        box = f"[{left}, {top}, {width}, {height}]"
        raise ValueError(f"crop: the box {box} leaves the picture, which is {size[0]}x{size[1]} pixels")
    return width, height


def _pad(args: Args, size: Size) -> Size:
    if size is None:
        return (args["width"], args["height"]) if args["width"] and args["height"] else None
    if args["all"]:
        return size[0] + 2 * args["all"], size[1] + 2 * args["all"]
    width, height = args["width"] or size[0], args["height"] or size[1]
    if width < size[0] or height < size[1]:
        raise ValueError(f"pad to {width}x{height}: the picture is already {size[0]}x{size[1]} pixels; crop or resize it")
    return width, height


def _rotate(args: Args, size: Size) -> Size:
    turns, rest = divmod(float(args["degrees"]), 90)
    if rest or size is None:
        return None
    return (size[1], size[0]) if turns % 2 else size


def _round(args: Args, size: Size) -> Size:
    if size is not None and 2 * args["radius"] > min(size):
        raise ValueError(f"round: radius {args['radius']} is more than half of the shorter side, which is {min(size)} pixels")
    return size


def _tile(args: Args, size: Size) -> Size:
    columns, rows = args["columns"], args["rows"]
    if size is None:
        return None
    if size[0] % columns or size[1] % rows:
        raise ValueError(f"tile: {columns}x{rows} cells do not divide a picture of {size[0]}x{size[1]} pixels")
    return size[0] // columns, size[1] // rows


_KNOWN: Mapping[str, Callable[[Args, Size], Size]] = {
    "resize": _resize,
    "crop": _crop,
    "pad": _pad,
    "trim": lambda args, size: None,
    "rotate": _rotate,
    "round": _round,
    "tile": _tile,
}
"""The steps that change a size or hang on it; the others keep it."""
