"""Columns that no template could write, such as `Item Name`, under the name that it can: `item_name`.

Knows no rows and no file: names only.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

from qwenbuild.manifest.names import VARIABLE

RESERVED = frozenset(
    [
        *("true", "false", "none", "True", "False", "None", "not", "and", "or", "in", "is", "if", "else"),
        *("self", "super", "loop", "caller", "varargs", "kwargs", "range", "dict", "namespace"),
    ]
)
"""Names that mean something to Jinja."""

_BETWEEN = re.compile(r"\W+|_+")


def writable(name: object) -> bool:
    """Whether a template can write the name of a variable."""
    return isinstance(name, str) and VARIABLE.fullmatch(name) is not None and name not in RESERVED


def identifier(name: str) -> str:
    """The name as a template can write it: lower case, `_` between letters and digits; "" when nothing is left."""
    plain = "_".join(part for part in _BETWEEN.split(name.lower()) if part)
    return f"_{plain}" if plain[:1].isdecimal() else plain


def reached_as(columns: Iterable[str], names: Collection[str]) -> dict[str, str]:
    """For the columns that no template can write: the names under which it reaches them, and the columns.

    `names` are those of all other variables. Two columns that would be written alike are not reached, nor is one whose
    name another variable has: what a manifest already means stays what it means.
    """
    alike: dict[str, list[str]] = {}
    for column in columns:
        if not writable(column):
            alike.setdefault(identifier(column), []).append(column)
    return {name: same[0] for name, same in alike.items() if len(same) == 1 and name not in names and writable(name)}
