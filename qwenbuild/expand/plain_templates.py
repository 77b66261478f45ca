"""The quick way: templates that only print variables, such as `{{ color.name }}` or `{{ name | slug }}`, without Jinja.

Knows no sandbox and needs none, since there is nothing to compute; it gives what Jinja would give, or the same fault.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from qwenbuild.expand.columns import RESERVED
from qwenbuild.expand.faults import Fault, near_key, undefined
from qwenbuild.expand.slugs import EmptySlug, slug
from qwenbuild.expand.values import Unprintable, kind_of, printed

_SLOT = re.compile(r"\{\{\s*([A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*)\s*(\|\s*slug\s*)?\}\}", re.ASCII)
_RESERVED = RESERVED | {"items", "keys", "values", "get"}
"""Names that mean something to Jinja, or that are methods of a mapping."""

Slot = tuple[int, str, tuple[str, ...], bool, int]
Render = Callable[[Mapping[str, Any]], str]


def plain_template(source: str) -> Render | None:
    """The rendering of a template that only prints variables; None for any other."""
    pieces: list[str] = []
    slots: list[Slot] = []
    end = 0
    for match in _SLOT.finditer(source):
        first, *rest = match[1].split(".")
        if first in _RESERVED or not _RESERVED.isdisjoint(rest):
            return None
        slots.append((len(pieces) + 1, first, tuple(rest), bool(match[2]), match.start(1)))
        pieces += [source[end : match.start()], ""]
        end = match.end()
    pieces.append(source[end:])
    if any("{{" in piece or "{%" in piece or "{#" in piece for piece in pieces) or any(p.endswith("{") for p in pieces[:-1]):
        return None
    return _renderer(source, pieces, slots)


def _renderer(source: str, pieces: list[str], slots: list[Slot]) -> Render:
    def render(context: Mapping[str, Any]) -> str:
        parts = pieces.copy()
        try:
            for index, first, rest, slugged, _ in slots:
                value = context[first]
                for name in rest:
                    value = value[name]
                if type(value) is not str:
                    value = printed(value)
                parts[index] = slug(value) if slugged else value
        except (KeyError, TypeError, IndexError, Unprintable, EmptySlug):
            raise _fault(source, slots, context) from None
        return "".join(parts)

    return render


def _fault(source: str, slots: list[Slot], context: Mapping[str, Any]) -> Fault:
    for _, first, rest, slugged, start in slots:
        line, column = source.count("\n", 0, start) + 1, start - source.rfind("\n", 0, start)
        if first not in context:
            return undefined(first, context, line, column)
        value = context[first]
        for name in rest:
            if not isinstance(value, dict) or name not in value:
                hint = near_key(name, value) if isinstance(value, dict) else ""
                return Fault("undefined", f"{kind_of(value)} has no `{name}`", line=line, column=column, hint=hint)
            value = value[name]
        try:
            slug(printed(value)) if slugged else printed(value)
        except (Unprintable, EmptySlug) as error:
            code = "not-printable" if isinstance(error, Unprintable) else "empty-slug"
            return Fault(code, str(error), line=line, column=column)
    return Fault("template-error", "this cannot be printed", line=1, column=1)
