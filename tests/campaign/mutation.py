"""Mutate a JSON document by rule: a field dropped, null, of another type, empty, unknown; the whole replaced, cut or doubled.

Knows no API and no file: a document goes in, the bytes of its mutants come out, each with a name that says what was done.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

Path = tuple[str | int, ...]

LOGIN_PAGE = b"<!DOCTYPE html><html><head><title>Sign in</title></head><body>Please log in to the network.</body></html>"
ERROR_CODES = ("Throttling", "InternalError", "InvalidParameter", "InvalidApiKey", "NotFound", "insufficient_credits")
"""An error envelope in an answer with status 200: nobody has promised that it speaks of the request."""
DROPPED = object()


@dataclass(frozen=True)
class Mutant:
    """One mutated document. `name` says what was done to it."""

    name: str
    body: bytes


def mutants(document: bytes) -> list[Mutant]:
    """Every mutant of a document, JSON or not, in a fixed order and without repetitions."""
    try:
        value = json.loads(document)
    except ValueError:
        fields: list[Mutant] = []
    else:
        fields = list(field_mutants(value))
    unique = {mutant.body: mutant for mutant in reversed([*fields, *whole_mutants(document)]) if mutant.body != document}
    return sorted(unique.values(), key=lambda mutant: mutant.name)


def whole_mutants(document: bytes) -> Iterator[Mutant]:
    """Mutants of the document as a whole."""
    yield Mutant("nothing", b"")
    yield Mutant("white space", b" \n")
    yield Mutant("a login page", LOGIN_PAGE)
    yield Mutant("cut in half", document[: len(document) // 2])
    yield Mutant("cut by its last byte", document[:-1])
    yield Mutant("doubled", document + document)
    yield Mutant("NUL bytes", bytes(len(document)))
    yield Mutant("UTF-16", document.decode("utf-8", "replace").encode("utf-16"))
    yield Mutant("one bit flipped", _flipped(document))
    for literal in (b"null", b"{}", b"[]", b"0", b'""', b"true", b"NaN", b'{"data": null}', b'{"v": 2}'):
        yield Mutant(f"only {literal.decode()}", literal)
    for code in ERROR_CODES:
        yield Mutant(f"the error {code}", json.dumps({"code": code, "message": "as mutated", "request_id": "0"}).encode())
        yield Mutant(f"the wrapped error {code}", json.dumps({"error": {"code": code, "message": "as mutated"}}).encode())


def field_mutants(value: Any) -> Iterator[Mutant]:
    """Mutants of one field each."""
    for path in paths(value):
        name = "/".join(str(part) for part in path)
        before = at(value, path)
        for what, replacement in replacements(before):
            yield Mutant(f"{name} {what}", json.dumps(edited(value, path, replacement), ensure_ascii=False).encode())


def replacements(value: Any) -> Iterator[tuple[str, Any]]:
    """What may stand in a field's place, each with its name."""
    yield "dropped", DROPPED
    yield "null", None
    if isinstance(value, str):
        yield from (("a number", 7), ("a list", [value]), ("empty", ""), ("unknown", "MUTATED"), ("doubled", value + value))
    elif isinstance(value, bool):
        yield from (("a string", str(value)), ("negated", not value))
    elif isinstance(value, int | float):
        yield from (("a string", str(value)), ("zero", 0), ("negative", -1), ("huge", 10**12))
    elif isinstance(value, list):
        yield from (("empty", []), ("an object", {"0": value}), ("doubled", value + value), ("of nulls", [None] * len(value)))
    else:
        yield from (("empty", {}), ("a list", [value]), ("a string", "MUTATED"))


def paths(value: Any, here: Path = ()) -> Iterator[Path]:
    """The places in a document, the outer before the inner; of a list its first item stands for all."""
    if isinstance(value, dict):
        for name in value:
            yield (*here, name)
            yield from paths(value[name], (*here, name))
    elif isinstance(value, list) and value:
        yield (*here, 0)
        yield from paths(value[0], (*here, 0))


def at(value: Any, path: Path) -> Any:
    """What stands at a place."""
    for part in path:
        value = value[part]
    return value


def edited(value: Any, path: Path, replacement: Any) -> Any:
    """The document with one place replaced, or without it."""
    copy = json.loads(json.dumps(value))
    place = at(copy, path[:-1])
    if replacement is DROPPED:
        del place[path[-1]]
    else:
        place[path[-1]] = replacement
    return copy


def _flipped(document: bytes) -> bytes:
    flipped = bytearray(document)
    if flipped:
        flipped[len(flipped) // 2] ^= 0x10
    return bytes(flipped)
