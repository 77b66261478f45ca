"""The lockfile's text, letter by letter: canonical, an entry a block, so that a block can be changed without the others.

Knows no file, and reads nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from json.encoder import encode_basestring as quoted
from typing import Any

from qwenbuild.model import LockAtlas, LockEntry, LockOutput

VERSION = 1
HEAD = b'\n  "entries": {'
TAIL = b'\n    }\n  },\n  "manifest": '
BETWEEN = b"\n    },\n"
LATER = (
    "made",
    "picked",
    "approved",
    "rejected",
    "seeds",
    "accepted",
    "candidates",
    "orphan",
    "media_type",
    "note",
    "checks",
    "chosen",
)


def record(entry: LockEntry) -> dict[str, Any]:
    """The entry as JSON values; everything but the first four fields only when it differs from its default."""
    document: dict[str, Any] = {"action": dict(entry.action), "digest": entry.digest, "key": entry.key}
    document["outputs"] = _outputs(entry.outputs)
    for name in LATER:
        if value := getattr(entry, name):
            document[name] = list(value) if isinstance(value, tuple) else dict(value) if isinstance(value, Mapping) else value
    return document


def _outputs(outputs: Mapping[str, LockOutput]) -> dict[str, Any]:
    return {path: _output(output) for path, output in outputs.items()}


def _output(output: LockOutput) -> dict[str, Any]:
    document: dict[str, Any] = {}
    if output.recipe:
        document = {"digest": output.digest, "recipe": output.recipe}
    elif output.orphan and output.digest:
        document = {"digest": output.digest}
    return {**document, "orphan": True} if output.orphan else document


def text(entries: Mapping[str, LockEntry], manifest: str, atlases: Mapping[str, LockAtlas] | None = None) -> bytes:
    """The lockfile's bytes: keys sorted, two-space indent, one field a line, a final newline."""
    blocks = [_block(id, entries[id]) for id in sorted(entries)]
    fields = {"entries": _within("{}", blocks, "  "), "manifest": quoted(manifest), "version": str(VERSION)}
    if atlases:
        fields["atlases"] = _json({name: {"outputs": _outputs(atlas.outputs)} for name, atlas in atlases.items()}, "  ")
    return (_within("{}", [f"{quoted(name)}: {fields[name]}" for name in sorted(fields)], "") + "\n").encode()


def _block(id: str, entry: LockEntry) -> str:
    return f"{quoted(id)}: {_json(record(entry), '    ')}"


def block_print(id: str, entry: LockEntry) -> bytes:
    """What a record's text in a canonical lockfile is recognised by."""
    return text_print(f"    {_block(id, entry)}"[:-6].encode())


def text_print(block: bytes) -> bytes:
    """The same from the text, without its closing bracket."""
    return blake2b(block, digest_size=16).digest()


def is_block(id: str, entry: LockEntry, block: bytes) -> bool:
    """Whether a text is the one that a record has."""
    return f"    {_block(id, entry)}"[:-6].encode() == block


def blocks(raw: bytes) -> tuple[bytes, list[bytes], bytes] | None:
    """A lockfile cut into what stands before its records, each record without its closing bracket, and what stands after
    them; None for one that is not laid out like ours, or is empty.
    """
    start, end = raw.find(HEAD), raw.rfind(TAIL)
    if start < 0 or end < start:
        return None
    start += len(HEAD) + 1
    return raw[:start], raw[start:end].split(BETWEEN), raw[end:]


def joined(head: bytes, parts: Sequence[bytes], tail: bytes) -> bytes:
    """The text of a lockfile that was cut."""
    return head + BETWEEN.join(parts) + tail


def splice(raw: bytes, changes: Mapping[str, LockEntry | None]) -> bytes:
    """The text of a canonical lockfile with some records replaced, added or, where None, removed; the rest is copied."""
    start = raw.index(HEAD) + len(HEAD)
    end = raw.rindex(b'\n  },\n  "manifest": ')
    parts, place = [], start
    for id in sorted(changes):
        at, entry = _place(raw, id, place, end), changes[id]
        if at > place:
            parts.append(raw[place : at - 1 if at < end else end])  # without the comma
        place = at
        if _id_at(raw, at) == id:
            place = min(raw.index(b"\n    }", at) + 7, end)
        if entry is not None:
            parts.append(b"\n    " + _block(id, entry).encode())
    if place < end:
        parts.append(raw[place:end])
    return raw[:start] + b",".join(parts) + raw[end:]


def _place(raw: bytes, id: str, low: int, high: int) -> int:
    """Where the first record begins, of those from `low` to `high`, that does not stand before `id`; `high` when all do."""
    place = high
    while low < high:
        middle = (low + high) // 2
        at = raw.find(b'\n    "', middle, high + 5)
        if at >= 0 and _id_at(raw, at) < id:
            low = at + 1
        else:
            place, high = at if at >= 0 else place, middle
    return place


def _id_at(raw: bytes, at: int) -> str:
    """The id of the record that begins there, "" at the end."""
    line = raw[at + 5 : raw.index(b"\n", at + 1)]
    return str(json.loads(line[:-3])) if line.endswith(b": {") else ""


def _json(value: Any, indent: str) -> str:
    """`json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False)` at such an indent, entry by entry: all at once takes
    twice as long, because it leaves its C encoder for the indent, and 100,000 records are many objects for the collector.
    """
    inner = indent + "  "
    if isinstance(value, dict):
        lines = [
            f"{quoted(name)}: {quoted(item) if type(item) is str else _json(item, inner)}"
            for name, item in sorted(value.items())
        ]
        return _within("{}", lines, indent)
    if isinstance(value, list | tuple):
        return _within("[]", [_json(item, inner) for item in value], indent)
    return quoted(value) if isinstance(value, str) else json.dumps(value)


def _within(brackets: str, lines: Sequence[str], indent: str) -> str:
    if not lines:
        return brackets
    return f"{brackets[0]}\n{indent}  " + f",\n{indent}  ".join(lines) + f"\n{indent}{brackets[1]}"
