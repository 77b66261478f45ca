"""Change which model a manifest names, and nothing else of it: every other byte stays, comments and quotes among them.

Knows no model: it replaces one scalar by another, or adds a line where none was written.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import yaml

from qwenbuild.manifest.source import ManifestSource
from qwenbuild.manifest.text import Text

PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9._/-]*")
"""What may stand without quotes and is a text."""
Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Edit:
    """Characters from `start` to `end` that give way to `text`."""

    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True)
class ChangedLine:
    """A line (from 1) as it was and as it is; `before` is "" for one that was added."""

    line: int
    before: str
    after: str


def replaced(source: ManifestSource, path: Path, new: str) -> Edit | None:
    """The edit that puts `new` in place of the scalar at `path`; None where it cannot be done by exchanging its characters."""
    node = source.node(path)
    if not isinstance(node, yaml.ScalarNode) or node.style in ("|", ">"):
        return None
    start, end = int(node.start_mark.index), int(node.end_mark.index)
    written = source.text.characters[start:end].rstrip()
    quote = node.style or ""
    old = f"{quote}{node.value}{quote}"
    if not written.endswith(old):
        return None  # escapes, or a text over several lines
    return Edit(start + len(written) - len(old), start + len(written), _quoted(new, quote))


def added(source: ManifestSource, path: Path, name: str, value: str) -> Edit | None:
    """The edit that adds a key at the head of the mapping at `path`; None where nothing was written there."""
    node, key = source.node(path), source.key_node(path)
    if not isinstance(node, yaml.MappingNode):
        return None
    text, start = source.text.characters, int(node.start_mark.index)
    if node.flow_style:
        brace = text.index("{", start) + 1
        return Edit(brace, brace, f"{name}: {_quoted(value, '')}" + (", " if node.value else ""))
    if key is None or not node.value:
        return None
    indent = " " * int(node.value[0][0].start_mark.column)
    at = source.text.start(source.text.mark(int(key.start_mark.index)).line + 1)
    return Edit(at, at, f"{indent}{name}: {_quoted(value, '')}{_line_end(text, at)}")


def applied(text: Text, edits: Iterable[Edit]) -> str:
    """The characters after the edits, which must not overlap."""
    pieces, at = [], 0
    for edit in sorted(set(edits), key=lambda edit: edit.start):
        pieces += [text.characters[at : edit.start], edit.text]
        at = edit.end
    return "".join([*pieces, text.characters[at:]])


def changed_lines(before: str, after: str) -> tuple[ChangedLine, ...]:
    """The lines that differ, where lines were only changed or added."""
    old, changes = before.splitlines(), []
    for number, line in enumerate(after.splitlines(), 1):
        if old and line == old[0]:
            old.pop(0)
        elif _added(old, after.splitlines()[number:]):
            changes.append(ChangedLine(number, "", line))
        else:
            changes.append(ChangedLine(number, old.pop(0), line))
    return tuple(changes)


def _added(old: list[str], rest: list[str]) -> bool:
    """Whether the line before `rest` was put in: what stood there comes next."""
    return len(rest) >= len(old) and (not old or rest[:1] == old[:1])


def _quoted(value: str, quote: str) -> str:
    if quote == "'":
        return "'" + value.replace("'", "''") + "'"
    if quote or not PLAIN.fullmatch(value):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return value


def _line_end(text: str, at: int) -> str:
    """How the line before `at` ends."""
    return "\r\n" if text[at - 2 : at] == "\r\n" else "\n"


def source_of(source: Any) -> ManifestSource:
    """The places of a manifest that was read from a file. Raises TypeError for one that was not."""
    if not isinstance(source, ManifestSource):
        raise TypeError("this manifest was not read from a file")
    return source
