"""The checks of what a file is: size, mode, opacity, bytes. They have no version, and are not listed in the lockfile.

Knows no other check.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from qwenbuild.checks.check import Judge, Measurement
from qwenbuild.images.arguments import MAX_SIDE, bounds, choice, truth, whole

if TYPE_CHECKING:
    from qwenbuild.images.measures import DecodedPicture

MODES = ("L", "LA", "RGB", "RGBA")


def _read_size(value: Any) -> str:
    parts = str(value).lower().replace("x", "*").split("*") if isinstance(value, str) else []
    if len(parts) != 2 or not all(part.strip().isdecimal() and 1 <= int(part) <= MAX_SIDE for part in parts):
        raise ValueError(f"must be W*H in pixels such as 512*512, got {value!r}")
    return f"{int(parts[0])}*{int(parts[1])}"


def _read_alpha(value: Any) -> Mapping[str, str]:
    low, high = bounds("expect: alpha", value, "0", "1")
    return {"min": low, "max": high}


READERS: Mapping[str, Callable[[Any], Any]] = {
    "size": _read_size,
    "width": whole(1, MAX_SIDE, None, "").read,
    "height": whole(1, MAX_SIDE, None, "").read,
    "mode": choice(MODES, None, "").read,
    "alpha": _read_alpha,
    "max_bytes": whole(1, 999_999_999, None, "").read,
    "not_blank": truth(True, "").read,
    "not_one_colour": truth(True, "").read,
}
"""How the value of each is read."""


def _size(picture: DecodedPicture, expected: str) -> Measurement:
    size = f"{picture.measures.width}*{picture.measures.height}"
    return _equal(size, expected, f"it is {size} pixels, expected {expected}")


def _side(name: str) -> Judge:
    def judge(picture: DecodedPicture, expected: int) -> Measurement:
        side = getattr(picture.measures, name)
        return _equal(str(side), str(expected), f"its {name} is {side} pixels, expected {expected}")

    return judge


def _mode(picture: DecodedPicture, expected: str) -> Measurement:
    mode = picture.measures.mode
    return _equal(mode, expected, f"its mode is {mode}, expected {expected}")


def _alpha(picture: DecodedPicture, expected: Mapping[str, str]) -> Measurement:
    share, low, high = picture.measures.alpha_coverage, float(expected["min"]), float(expected["max"])
    fault = "" if low <= share <= high else f"{share:.1%} of it is opaque, expected {low:.0%} to {high:.0%}"
    return Measurement(fault, f"{share:.3f}", f"{expected['min']} to {expected['max']}")


def _max_bytes(picture: DecodedPicture, most: int) -> Measurement:
    size = len(picture.data)
    return Measurement("" if size <= most else f"it is {size} bytes, expected at most {most}", str(size), str(most))


def _not_blank(picture: DecodedPicture, expected: bool) -> Measurement:
    return Measurement("it is blank" if expected and picture.measures.blank else "")


def _not_one_colour(picture: DecodedPicture, expected: bool) -> Measurement:
    return Measurement("it is of one colour only" if expected and picture.measures.one_colour else "")


def _equal(measured: str, expected: str, fault: str) -> Measurement:
    return Measurement("" if measured == expected else fault, measured, expected)


JUDGES: Mapping[str, Judge] = {
    "size": _size,
    "width": _side("width"),
    "height": _side("height"),
    "mode": _mode,
    "alpha": _alpha,
    "max_bytes": _max_bytes,
    "not_blank": _not_blank,
    "not_one_colour": _not_one_colour,
}
"""What each finds in a picture."""
