"""Read one argument of a step, an expectation or an atlas: from what a user wrote to a value that can be hashed.

Knows no step and no picture. Text that was a template counts as the number or truth value that it spells.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from qwenbuild import nearmiss
from qwenbuild.key import decimal_text
from qwenbuild.nearmiss import did_you_mean

MAX_SIDE = 16383
"""No side of a picture that a step makes may be longer (pixels): WebP can say no more."""

Value = str | int | bool
Read = Callable[[Any], Value]

_COLOUR = re.compile(r"#([0-9a-fA-F]{3}|[0-9a-fA-F]{6}|[0-9a-fA-F]{8})")
_NAMED = {"transparent": "#00000000", "black": "#000000ff", "white": "#ffffffff"}
_RATIO = re.compile(r"([1-9][0-9]{0,4}):([1-9][0-9]{0,4})")
_DECIMAL = re.compile(r"-?[0-9]{1,9}(\.[0-9]{1,9})?")


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument: how it is read, what it is when it is not given (None: not at all), and a line for the docs."""

    read: Read
    default: Value | None
    schema: Mapping[str, Any]
    doc: str


def whole(low: int, high: int, default: int | None, doc: str) -> Argument:
    """A whole number from `low` to `high`."""

    def read(value: Any) -> int:
        number = int(value) if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,9}", value.strip()) else value
        if isinstance(number, bool) or not isinstance(number, int) or not low <= number <= high:
            raise ValueError(f"must be a whole number from {low} to {high}, got {value!r}")
        return number

    return Argument(read, default, {"type": "integer", "minimum": low, "maximum": high}, doc)


def decimal(low: int, high: int, default: str | None, doc: str) -> Argument:
    """A number from `low` to `high`, kept as its shortest decimal string."""

    def read(value: Any) -> str:
        if isinstance(value, bool) or not _DECIMAL.fullmatch(str(value).strip()) or not low <= float(value) <= high:
            raise ValueError(f"must be a number from {low} to {high}, got {value!r}")
        return decimal_text(value if not isinstance(value, str) else _exact(value.strip()))

    return Argument(read, default, {"type": "number", "minimum": low, "maximum": high}, doc)


def _exact(text: str) -> Any:
    from decimal import Decimal

    return Decimal(text)


def truth(default: bool, doc: str) -> Argument:
    """true or false."""

    def read(value: Any) -> bool:
        flag = {"true": True, "false": False}.get(value) if isinstance(value, str) else value
        if not isinstance(flag, bool):
            raise ValueError(f"must be true or false, got {value!r}")
        return flag

    return Argument(read, default, {"type": "boolean"}, doc)


def choice(words: Sequence[str], default: str | None, doc: str) -> Argument:
    """One of a few words."""

    def read(value: Any) -> str:
        if value not in words:
            raise ValueError(f"must be one of {', '.join(words)}, got {value!r}{near(value, words)}")
        return str(value)

    return Argument(read, default, {"enum": list(words)}, doc)


def colour(default: str | None, doc: str) -> Argument:
    """A colour as #rgb, #rrggbb, #rrggbbaa, black, white or transparent; kept as #rrggbbaa."""
    return Argument(read_colour, default, {"type": "string"}, doc)


def read_colour(value: Any) -> str:
    """A colour as #rrggbbaa. Raises ValueError."""
    if isinstance(value, str) and value in _NAMED:
        return _NAMED[value]
    if not isinstance(value, str) or not _COLOUR.fullmatch(value):
        raise ValueError(f"must be a colour such as '#00ff00' (in quotes), black, white or transparent, got {value!r}")
    digits = value[1:].lower()
    digits = "".join(digit * 2 for digit in digits) if len(digits) == 3 else digits
    return f"#{digits:f<8}"


def rgba(text: str) -> tuple[int, int, int, int]:
    """The four channels of #rrggbbaa."""
    red, green, blue, alpha = bytes.fromhex(text[1:])
    return red, green, blue, alpha


def ratio(default: str | None, doc: str) -> Argument:
    """A ratio of two whole numbers, such as 16:9."""

    def read(value: Any) -> str:
        if not isinstance(value, str) or not _RATIO.fullmatch(value):
            raise ValueError(f"must be a ratio such as 16:9, got {value!r}")
        return value

    return Argument(read, default, {"type": "string", "pattern": _RATIO.pattern}, doc)


def path(default: str | None, doc: str) -> Argument:
    """The path of a file."""

    def read(value: Any) -> str:
        if not isinstance(value, str) or not value.strip():
            raise ValueError(f"must be the path of a file, got {value!r}")
        return value

    return Argument(read, default, {"type": "string"}, doc)


def read_all(what: str, table: Mapping[str, Argument], given: Mapping[str, Any]) -> dict[str, Value]:
    """Every argument of the table, given or default. Raises ValueError naming `what` and the argument."""
    for name in given:
        if name not in table:
            raise ValueError(f"{what} has no argument {name!r}{near(name, list(table))}; it takes {listed(table)}")
    values: dict[str, Value] = {}
    for name, argument in table.items():
        if name in given and given[name] is not None:
            values[name] = _read(f"{what}: {name}", argument.read, given[name])
        elif argument.default is None:
            raise ValueError(f"{what} needs {name}: {argument.doc}")
        else:
            values[name] = argument.default
    return values


def _read(place: str, read: Read, value: Any) -> Value:
    try:
        return read(value)
    except ValueError as error:
        raise ValueError(f"{place} {error}") from None


def bounds(what: str, value: Any, low: str, high: str) -> tuple[str, str]:
    """A pair of decimals from `{min, max}`, each between 0 and 1. Raises ValueError."""
    if not isinstance(value, Mapping):
        raise ValueError(f"{what} must be a mapping such as {{min: 0.2, max: 0.9}}, got {value!r}")
    table = {"min": decimal(0, 1, low, "the least share"), "max": decimal(0, 1, high, "the greatest share")}
    pair = read_all(what, table, value)
    if float(pair["min"]) > float(pair["max"]):
        raise ValueError(f"{what}: min {pair['min']} is greater than max {pair['max']}")
    return str(pair["min"]), str(pair["max"])


def near(word: Any, names: Sequence[str]) -> str:
    """The words "; did you mean …?" when something known is close, else nothing."""
    suggestion = did_you_mean(nearmiss.near(str(word), names), quote="'")
    return f"; {suggestion}" if suggestion else ""


def listed(names: Mapping[str, Any] | Sequence[str]) -> str:
    """Names for a sentence."""
    return ", ".join(names) or "no arguments"
