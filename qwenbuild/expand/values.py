"""Values as templates see them: how they print, and how their parts are looked up.

Knows no template: the quick way through plain templates and the sandbox both stand on it, so that they agree.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

MISSING: Any = object()
"""What a look-up gives when there is nothing."""


class Unprintable(Exception):
    """Null, a list or a mapping where text is due."""


def printed(value: Any) -> str:
    """The text a value prints as: `true` and `false`, numbers as Python prints them. Raises Unprintable."""
    if isinstance(value, str):
        return value
    if value is True:
        return "true"
    if value is False:
        return "false"
    if isinstance(value, (int, float)):
        return str(value)
    raise Unprintable(f"{kind_of(value)} cannot be printed{_advice(value)}")


def kind_of(value: Any) -> str:
    """What a user calls this kind of value."""
    if value is None:
        return "null"
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, bool):
        return "a truth value"
    if isinstance(value, (int, float)):
        return "a number"
    if isinstance(value, str):
        return "text"
    return "a list" if isinstance(value, (list, tuple)) else f"a {type(value).__name__.lower()}"


def part(value: Any, name: str) -> Any:
    """The part of a mapping that `.name` means, or MISSING. A key comes before a method of the same name."""
    return value.get(name, MISSING) if isinstance(value, dict) else MISSING


def plain(value: Any) -> Any:
    """The value with mappings as dicts and sequences as lists: only what a template may hold."""
    if isinstance(value, Mapping):
        return {key: item if type(item) is str else plain(item) for key, item in value.items()}  # most are: a row's cells
    return [plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def _advice(value: Any) -> str:
    if isinstance(value, Mapping) and value:
        keys = ", ".join(str(key) for key in list(value)[:5])
        return f"; print one of its keys ({keys})"
    if isinstance(value, (list, tuple)):
        return "; join it or loop over it"
    return "; test it, or give a default with default('…', true)" if value is None else ""
