"""Reads rows from JSON and from JSON Lines: fast while all is well, and with a walk over the tokens when it is not.

Knows nothing of what the columns mean.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from qwenbuild.errors import InputError
from qwenbuild.manifest.events import DEEPEST
from qwenbuild.manifest.fields import kind
from qwenbuild.manifest.padding import Padding, without_padding
from qwenbuild.manifest.scalars import LONGEST_INTEGER
from qwenbuild.manifest.text import Text

Row = dict[str, Any]

_TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[{}\[\],:]|[^\s{}\[\],:"]+')
_HALF = re.compile("[\ud800-\udfff]")


class _OddError(ValueError):
    """Something that Python's reader takes and a data file may not hold."""


def json_rows(text: Text, padding: Padding) -> list[Row]:
    """The rows of a JSON list; empty ones go into `padding`. Raises InputError."""
    value = _parsed(text, text.characters, 0)
    if not isinstance(value, list):
        raise text.error(
            "data-shape", f"a data file holds a list of rows, not {kind(value)}", 0, hint='such as [{"id": "red"}]'
        )
    for number, row in enumerate(value):
        if not isinstance(row, dict):
            raise _not_a_row(text, row, _item(text.characters, number))
    if any(_deep(row) for row in value):
        raise _walked(text, text.characters, 0)
    return without_padding(value, lambda number: text.mark(_item(text.characters, number)).line, padding)


def json_lines(text: Text, padding: Padding) -> list[Row]:
    """The rows of JSON Lines: one object a line, blank lines skipped; empty rows go into `padding`. Raises InputError."""
    rows, lines = [], []
    offset = 0
    for number, line in enumerate(text.characters.split("\n"), 1):
        if line.strip():
            rows.append(_line(text, line, offset))
            lines.append(number)
        offset += len(line) + 1
    return without_padding(rows, lines.__getitem__, padding)


def _line(text: Text, line: str, offset: int) -> Row:
    row = _parsed(text, line, offset)
    if not isinstance(row, dict):
        raise _not_a_row(text, row, offset + len(line) - len(line.lstrip()))
    if _deep(row):
        raise _walked(text, line, offset)
    return row


def _not_a_row(text: Text, row: Any, offset: int) -> InputError:
    return text.error("row", f"a row is a mapping of columns, not {kind(row)}", offset, hint='such as {"id": "red"}')


def _parsed(text: Text, characters: str, offset: int) -> Any:
    try:
        value = _decode(characters)
        if "\\u" in characters:
            json.dumps(value, ensure_ascii=False).encode()
        return value
    except json.JSONDecodeError as error:
        raise text.error("json-syntax", f"this is not JSON: {error.msg.lower()}", offset + error.pos) from None
    except (_OddError, RecursionError, UnicodeEncodeError):
        raise _walked(text, characters, offset) from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise _OddError
    return members


def _refuse(_word: str) -> Any:
    raise _OddError


def _integer(digits: str) -> int:
    if len(digits) > LONGEST_INTEGER:
        raise _OddError
    return int(digits)


_decode = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_refuse, parse_int=_integer).decode


def _deep(row: Row) -> bool:
    """Whether a row nests deeper than a manifest may. Rows of scalars answer at once."""
    level: list[Any] = [value for value in row.values() if isinstance(value, dict | list)]
    for _ in range(DEEPEST - 1):
        if not level:
            return False
        inner = (each.values() if isinstance(each, dict) else each for each in level)
        level = [value for values in inner for value in values if isinstance(value, dict | list)]
    return bool(level)


# ---------------------------------------------------------------- places, when something is wrong


def _walked(text: Text, characters: str, offset: int) -> InputError:
    """The first token that a data file may not hold."""
    seen: list[set[str] | None] = []
    for token, place, is_key in _tokens(characters):
        reason = _reason(token, seen, is_key)
        if reason:
            return text.error(*reason, offset + place)
        if token in "{[":
            seen.append(set() if token == "{" else None)
        elif token in "}]" and seen:
            seen.pop()
    return text.error("json", "this cannot be read as rows", offset)


def _reason(token: str, seen: list[set[str] | None], is_key: bool) -> tuple[str, str] | None:
    if token in "{[" and len(seen) >= DEEPEST:
        return "json-depth", f"nested deeper than {DEEPEST} levels"
    if token in ("NaN", "Infinity", "-Infinity"):
        return "json-number", f"{token} is no number in JSON"
    if token.lstrip("-").isdecimal() and len(token) > LONGEST_INTEGER:
        return "json-number", f"a number of more than {LONGEST_INTEGER} digits; put it in quotes"
    if token.startswith('"'):
        return _string_reason(json.loads(token, strict=False), seen, is_key)
    return None


def _string_reason(value: str, seen: list[set[str] | None], is_key: bool) -> tuple[str, str] | None:
    if _HALF.search(value):
        return "json-surrogate", "half of a surrogate pair is not a character"
    names = seen[-1] if seen else None
    if is_key and names is not None:
        if value in names:
            return "duplicate-key", f"`{value[:60]}` stands twice in one object"
        names.add(value)
    return None


def _tokens(characters: str) -> Iterator[tuple[str, int, bool]]:
    """Tokens with their offsets, and whether each is an object's key."""
    before: tuple[str, int] | None = None
    for match in _TOKEN.finditer(characters):
        if before:
            yield *before, match.group() == ":"
        before = (match.group(), match.start())
    if before:
        yield *before, False


def _item(characters: str, number: int) -> int:
    """Where an item of the outermost list starts."""
    depth = 0
    index = 0
    for token, place, _ in _tokens(characters):
        if depth == 1 and token not in ",]}" and index == number:
            return place
        depth += (token in "{[") - (token in "]}")
        index += token == "," and depth == 1
    return 0
