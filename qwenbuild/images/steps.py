"""The steps that make a file from a picture, as a user writes them: names, arguments, defaults, and what is wrong.

Knows no pixels: it turns what was written into values that can be hashed, every default filled in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from qwenbuild.errors import InputError
from qwenbuild.images import plugin_steps
from qwenbuild.images.arguments import (
    MAX_SIDE,
    Argument,
    Value,
    bounds,
    choice,
    colour,
    decimal,
    listed,
    near,
    path,
    ratio,
    read_all,
    truth,
    whole,
)
from qwenbuild.model import ImageStep

TRANSPARENT = "#00000000"
GRAVITIES = (
    "center", "top", "bottom", "left", "right", "top-left", "top-right", "bottom-left", "bottom-right",
)  # fmt: skip
FILTERS = ("lanczos", "bicubic", "bilinear", "box", "nearest")
TYPES = {"png": "image/png", "webp": "image/webp", "avif": "image/avif", "jpeg": "image/jpeg"}
QUALITY = {"png": 0, "webp": 85, "avif": 70, "jpeg": 90}
"""Used when a format step names no quality; a PNG has none."""

_GRAVITY = choice(GRAVITIES, "center", "which part is kept, or where the picture stands")

STEPS: Mapping[str, Mapping[str, Argument]] = {
    "resize": {
        "width": whole(1, MAX_SIDE, 0, "pixels; when only one of width and height is given, the other follows"),
        "height": whole(1, MAX_SIDE, 0, "pixels"),
        "fit": choice(
            ("cover", "contain", "fill", "inside"), "cover",
            "with both sides: cover cuts what sticks out, contain pads, fill stretches, inside does neither",
        ),
        "filter": choice(FILTERS, "lanczos", "nearest for pixel art"),
        "background": colour(TRANSPARENT, "what contain pads with"),
    },
    "crop": {
        "left": whole(0, MAX_SIDE, 0, "pixels"),
        "top": whole(0, MAX_SIDE, 0, "pixels"),
        "width": whole(1, MAX_SIDE, 0, "pixels"),
        "height": whole(1, MAX_SIDE, 0, "pixels"),
        "ratio": ratio("", "the largest part of this shape, instead of a box"),
        "gravity": _GRAVITY,
    },
    "pad": {
        "width": whole(1, MAX_SIDE, 0, "pixels of the whole"),
        "height": whole(1, MAX_SIDE, 0, "pixels of the whole"),
        "all": whole(1, MAX_SIDE, 0, "pixels added on each side, instead of width and height"),
        "color": colour(TRANSPARENT, "of the new pixels"),
        "gravity": _GRAVITY,
    },
    "trim": {"tolerance": whole(0, 255, 10, "how far a pixel may be from the corner's colour and still be border, 0 to 255")},
    "flip": {"direction": choice(("horizontal", "vertical"), None, "horizontal swaps left and right, vertical top and bottom")},
    "rotate": {
        "degrees": decimal(-360, 360, None, "clockwise; multiples of 90 move pixels and change none"),
        "background": colour(TRANSPARENT, "of the new corners"),
    },
    "grayscale": {},
    "blur": {"radius": whole(1, 250, None, "pixels: the standard deviation of the Gaussian")},
    "quantize": {
        "colors": whole(2, 256, 0, "how many colours"),
        "palette": path("", "a palette file (.gpl, .hex, .pal or a small PNG) instead of a number"),
        "dither": truth(True, "Floyd and Steinberg's error diffusion"),
    },
    "key_out": {
        "color": colour(None, "the colour that becomes transparent"),
        "tolerance": whole(0, 120, 40, "how far a pixel may be from the colour and still vanish completely, 0 to 120"),
        "despill": truth(True, "take the colour's tint out of half-transparent edges"),
        "alpha_min": decimal(0, 1, "0.01", "the least share of the picture that must stay"),
        "alpha_max": decimal(0, 1, "0.99", "the greatest share that may stay"),
    },
    "round": {
        "radius": whole(1, MAX_SIDE, 0, "of the corners, pixels"),
        "percent": whole(1, 50, 0, "of the shorter side, instead of radius; 50 makes a disc of a square"),
    },
    "tile": {
        "columns": whole(1, 256, None, "cells in a row"),
        "rows": whole(1, 256, None, "rows of cells"),
        "cell": whole(1, 65536, 1, "which cell is kept, counted from 1, row after row"),
    },
    "format": {
        "type": choice(tuple(TYPES), None, "the file's type"),
        "quality": whole(1, 100, 0, "of webp (85), avif (70) and jpeg (90)"),
        "lossless": truth(False, "webp that keeps every pixel"),
        "background": colour("#ffffffff", "under transparent pixels, for jpeg"),
    },
}  # fmt: skip
"""Every step with its arguments. A whole number that was not given is 0, a text "": neither can be written."""

_MAIN = {
    "trim": "tolerance", "flip": "direction", "rotate": "degrees", "grayscale": "", "blur": "radius", "round": "radius",
    "format": "type",
}  # fmt: skip
"""The argument that a step written as `flip: horizontal`, without a mapping, means."""


def normalise(kind: str, args: Any = None) -> ImageStep:
    """A step with every default made explicit: only whole numbers, truth values and strings.

    `args` is the mapping that was written, or the one value that the steps of `_MAIN` take without a mapping. A palette is
    left as its path: the caller puts the digest of the file's bytes in its place.
    Raises ValueError naming the argument, what was expected and the near miss.
    """
    table = STEPS.get(kind)
    if table is None:
        added = _added(kind, args)
        if added is None:
            raise ValueError(f"{kind!r} is not a step{near(kind, list(STEPS))}; steps are {listed(STEPS)}")
        return added
    given = _mapping(kind, args)
    prepare = _PREPARE.get(kind)
    values = read_all(kind, table, prepare(given) if prepare else given)
    check = _CHECKS.get(kind)
    if check:
        check(values, given)
    return ImageStep(kind, values)


def _added(kind: str, args: Any) -> ImageStep | None:
    """A plug-in's step; None when none has the name. Raises ValueError."""
    try:
        return plugin_steps.read_step(kind, args, STEPS)
    except InputError as error:
        raise ValueError(str(error)) from None


def step_schemas() -> dict[str, Any]:
    """A JSON Schema for each step's arguments as a user may write them, for the manifest's schema and the docs."""
    return {kind: _schema(kind, table) for kind, table in STEPS.items()}


def _schema(kind: str, table: Mapping[str, Argument]) -> dict[str, Any]:
    properties = {name: {**item.schema, "description": item.doc} for name, item in table.items()}
    if kind == "crop":
        box = {"type": "array", "items": {"type": "integer"}, "minItems": 4, "maxItems": 4}
        properties = {"box": {**box, "description": "left, top, width, height in pixels"}} | {
            name: properties[name] for name in ("ratio", "gravity")
        }
    if kind == "key_out":
        del properties["alpha_min"], properties["alpha_max"]
        share = {"type": "number", "minimum": 0, "maximum": 1}
        properties["alpha"] = {
            "type": "object", "additionalProperties": False, "properties": {"min": share, "max": share},
            "description": "bounds of the share of the picture that stays; outside of them the file fails",
        }  # fmt: skip
    required = [name for name, item in table.items() if item.default is None]
    schema: dict[str, Any] = {"type": "object", "additionalProperties": False, "properties": properties}
    if required:
        schema["required"] = required
    return schema


def _mapping(kind: str, args: Any) -> Mapping[str, Any]:
    if isinstance(args, Mapping):
        return args
    if args is None:
        return {}
    main = _MAIN.get(kind)
    if main and not isinstance(args, (list, tuple)):
        if kind == "round" and isinstance(args, str) and args.endswith("%"):
            return {"percent": args[:-1]}
        return {main: args}
    if kind == "grayscale" and args is True:
        return {}
    raise ValueError(f"{kind} takes a mapping of its arguments ({listed(STEPS[kind])}), got {args!r}")


def _box(given: Mapping[str, Any]) -> Mapping[str, Any]:
    """crop's `box: [left, top, width, height]` as four numbers."""
    allowed = ("box", "ratio", "gravity")
    for name in given:
        if name not in allowed:
            raise ValueError(f"crop has no argument {name!r}{near(name, allowed)}; it takes {listed(allowed)}")
    others = {name: value for name, value in given.items() if name != "box"}
    box = given.get("box")
    if box is None:
        return others
    if not isinstance(box, (list, tuple)) or len(box) != 4:
        raise ValueError(f"crop: box must be [left, top, width, height] in pixels, got {box!r}")
    return {**others, **dict(zip(("left", "top", "width", "height"), box, strict=True))}


def _alpha(given: Mapping[str, Any]) -> Mapping[str, Any]:
    """key_out's `alpha: {min, max}` as two numbers."""
    allowed = ("color", "tolerance", "despill", "alpha")
    for name in given:
        if name not in allowed:
            raise ValueError(f"key_out has no argument {name!r}{near(name, allowed)}; it takes {listed(allowed)}")
    others = {name: value for name, value in given.items() if name != "alpha"}
    if given.get("alpha") is None:
        return others
    low, high = bounds("key_out: alpha", given["alpha"], "0.01", "0.99")
    return {**others, "alpha_min": low, "alpha_max": high}


def _jpg(given: Mapping[str, Any]) -> Mapping[str, Any]:
    """format's type `jpg` as `jpeg`."""
    return {**given, "type": "jpeg"} if given.get("type") == "jpg" else given


def _one_of(kind: str, given: Mapping[str, Any], *groups: tuple[str, ...]) -> None:
    """Exactly one of the groups of arguments must have been written."""
    written = [group for group in groups if any(given.get(name) is not None for name in group)]
    if len(written) != 1:
        ways = " or ".join(" and ".join(group) for group in groups)
        raise ValueError(f"{kind} needs {ways}{', not both' if written else ''}")


def _check_resize(values: dict[str, Value], given: Mapping[str, Any]) -> None:
    if not (values["width"] or values["height"]):
        raise ValueError("resize needs width, height or both, in pixels")
    if not (values["width"] and values["height"]) and given.get("fit") in ("cover", "contain", "fill"):
        raise ValueError(f"resize: fit {values['fit']} needs both width and height")


def _check_crop(values: dict[str, Value], given: Mapping[str, Any]) -> None:
    _one_of("crop", given, ("box",), ("ratio",))
    if given.get("box") is not None and given.get("gravity") is not None:
        raise ValueError("crop: gravity goes with ratio; a box says itself where it is")


def _check_pad(values: dict[str, Value], given: Mapping[str, Any]) -> None:
    _one_of("pad", given, ("width", "height"), ("all",))


def _check_quantize(values: dict[str, Value], given: Mapping[str, Any]) -> None:
    _one_of("quantize", given, ("colors",), ("palette",))


def _check_key_out(values: dict[str, Value], given: Mapping[str, Any]) -> None:
    if not str(values["color"]).endswith("ff"):
        raise ValueError(f"key_out: color must be opaque, got {given['color']!r}")


def _check_round(values: dict[str, Value], given: Mapping[str, Any]) -> None:
    _one_of("round", given, ("radius",), ("percent",))


def _check_tile(values: dict[str, Value], given: Mapping[str, Any]) -> None:
    cells = int(values["columns"]) * int(values["rows"])
    if int(values["cell"]) > cells:
        raise ValueError(f"tile: cell must be from 1 to {cells} ({values['columns']} x {values['rows']}), got {values['cell']}")


def _check_format(values: dict[str, Value], given: Mapping[str, Any]) -> None:
    kind = str(values["type"])
    if kind == "png" and values["quality"]:
        raise ValueError("format: a png keeps every pixel and has no quality")
    if values["lossless"] and kind in ("avif", "jpeg"):
        raise ValueError(f"format: lossless is for webp (a png always is), not for {kind}")
    if values["lossless"] and values["quality"]:
        raise ValueError("format: quality and lossless exclude each other")
    if not values["lossless"] and not values["quality"]:
        values["quality"] = QUALITY[kind]
    if not str(values["background"]).endswith("ff"):
        raise ValueError(f"format: background must be opaque, got {given['background']!r}")


_PREPARE: Mapping[str, Callable[[Mapping[str, Any]], Mapping[str, Any]]] = {"crop": _box, "key_out": _alpha, "format": _jpg}
_CHECKS: Mapping[str, Callable[[dict[str, Value], Mapping[str, Any]], None]] = {
    "resize": _check_resize,
    "crop": _check_crop,
    "pad": _check_pad,
    "quantize": _check_quantize,
    "key_out": _check_key_out,
    "round": _check_round,
    "tile": _check_tile,
    "format": _check_format,
}
