"""Measure a picture and judge it by what a user expects of it.

Knows no step and no provider; an expectation is validated before anything is drawn, and judged after.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from qwenbuild import plugins
from qwenbuild.errors import InputError
from qwenbuild.images import plugin_steps
from qwenbuild.images.arguments import MAX_SIDE, bounds, choice, listed, near, truth, whole

MODES = ("L", "LA", "RGB", "RGBA")
_KEYS = ("size", "width", "height", "mode", "alpha", "max_bytes", "not_blank", "not_one_colour")


@dataclass(frozen=True, slots=True)
class Measures:
    """What a picture is: width and height in pixels, mode L, LA, RGB or RGBA, its file's size in bytes.

    `alpha_coverage` is the mean of its alpha from 0 to 1; `blank` tells that all pixels are transparent, or of one
    colour within 2 of 255; `one_colour` that they are of exactly one.
    """

    width: int
    height: int
    mode: str
    alpha_coverage: float
    blank: bool
    one_colour: bool
    bytes: int


def measure(data: bytes) -> Measures:
    """Decode and measure a picture. Raises ValueError with one sentence when it cannot be decoded."""
    from qwenbuild.images.decoder import decode  # Pillow; many threads come here first, so not put off by `later`
    from qwenbuild.images.pixels import alpha_share, plain

    image = plain(decode(data))
    coverage = alpha_share(image)
    spread = [high - low for low, high in _extrema(image)]
    flat = max(spread) == 0
    return Measures(image.width, image.height, image.mode, coverage, max(spread) <= 2 or coverage == 0, flat, len(data))


def _extrema(image: Any) -> list[tuple[int, int]]:
    return [channel.getextrema() for channel in image.split()]


def check_expect(expect: Mapping[str, Any]) -> Mapping[str, Any]:
    """An expectation with every value read: whole numbers, truth values, strings.

    Keys: size ("W*H"), width, height, mode, alpha {min, max}, max_bytes, not_blank, not_one_colour.
    Raises ValueError naming the key, what it takes, and the near miss.
    """
    if not isinstance(expect, Mapping):
        raise ValueError(f"expect must be a mapping of {listed(_KEYS)}, got {expect!r}")
    read: dict[str, Any] = {}
    for name, value in expect.items():
        reader = _READERS.get(name) or _added(name)
        if value is not None:
            read[name] = _read(name, reader, value)
    return read


def _added(name: Any) -> Callable[[Any], Any]:
    """How the value of a plug-in's check is read. Raises ValueError when none has the name, or it cannot be used."""
    try:
        reader = plugin_steps.check_reader(str(name), _KEYS)
    except InputError as error:
        raise ValueError(f"expect: {error}") from None
    if reader is None:
        known = (*_KEYS, *plugins.names("check"))
        raise ValueError(f"expect has no {name!r}{near(name, known)}; it takes {listed(known)}")
    return reader


def _read(name: str, reader: Callable[[Any], Any], value: Any) -> Any:
    try:
        return reader(value)
    except ValueError as error:
        text = str(error)
        raise ValueError(text if text.startswith("expect:") else f"expect: {name} {text}") from None


def _size(value: Any) -> str:
    parts = str(value).lower().replace("x", "*").split("*") if isinstance(value, str) else []
    if len(parts) != 2 or not all(part.strip().isdecimal() and 1 <= int(part) <= MAX_SIDE for part in parts):
        raise ValueError(f"must be W*H in pixels such as 512*512, got {value!r}")
    return f"{int(parts[0])}*{int(parts[1])}"


def _alpha(value: Any) -> Mapping[str, str]:
    low, high = bounds("expect: alpha", value, "0", "1")
    return {"min": low, "max": high}


_READERS: Mapping[str, Callable[[Any], Any]] = {
    "size": _size,
    "width": whole(1, MAX_SIDE, None, "").read,
    "height": whole(1, MAX_SIDE, None, "").read,
    "mode": choice(MODES, None, "").read,
    "alpha": _alpha,
    "max_bytes": whole(1, 999_999_999, None, "").read,
    "not_blank": truth(True, "").read,
    "not_one_colour": truth(True, "").read,
}


def judge(data: bytes, expect: Mapping[str, Any]) -> tuple[str, ...]:
    """What a picture's bytes fail of an expectation that `check_expect` gave, a sentence each; empty when accepted.

    Raises PluginFailed.
    """
    try:
        found = measure(data)
    except ValueError as error:
        return (str(error),)
    sentences = (
        _sentence(name, value, found) if name in _READERS else plugin_steps.judge(data, name, value)
        for name, value in expect.items()
    )
    return tuple(sentence for sentence in sentences if sentence)


def _sentence(name: str, value: Any, found: Measures) -> str:
    if name == "size" and value != f"{found.width}*{found.height}":
        return f"it is {found.width}*{found.height} pixels, expected {value}"
    if name in ("width", "height") and value != getattr(found, name):
        return f"its {name} is {getattr(found, name)} pixels, expected {value}"
    if name == "mode" and value != found.mode:
        return f"its mode is {found.mode}, expected {value}"
    if name == "alpha" and not float(value["min"]) <= found.alpha_coverage <= float(value["max"]):
        return f"{found.alpha_coverage:.1%} of it is opaque, expected {float(value['min']):.0%} to {float(value['max']):.0%}"
    if name == "max_bytes" and found.bytes > value:
        return f"it is {found.bytes} bytes, expected at most {value}"
    if name == "not_blank" and value and found.blank:
        return "it is blank"
    if name == "not_one_colour" and value and found.one_colour:
        return "it is of one colour only"
    return ""
