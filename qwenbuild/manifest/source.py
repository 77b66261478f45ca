"""Tells where each place of the manifest was written, down to a character inside of a template.

Knows no rule about what stands there. The node tree is composed at the first question: a manifest without
problems never pays for it, in time or in memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any

import yaml

from qwenbuild.errors import Mark, Problem
from qwenbuild.manifest.credentials import SECRET_NAME, masked_value
from qwenbuild.manifest.events import Parser, paused_collector
from qwenbuild.manifest.text import Text
from qwenbuild.model import Source

Path = tuple[str | int, ...]
_MERGE = "<<"
_BLANK = frozenset(" \t\r\n")
_ESCAPE_LENGTHS = {"x": 2, "u": 4, "U": 8}
_BLANK_ESCAPES = frozenset("nrt N_LP")


class ManifestSource(Source):
    """The manifest's text with the places of its values. Only for a text that was read without a fatal error."""

    def __init__(self, text: Text) -> None:
        self.text = text

    def at(self, path: Path) -> Mark | None:
        """The mark of the value at `path`, or of its nearest ancestor that was written."""
        node = self._nearest(path)[0]
        return self.text.mark(node.start_mark.index) if node is not None else None

    def key(self, path: Path) -> Mark | None:
        """The mark of the key that `path` ends with; of the value where it has none."""
        node, key, depth = self._nearest(path)
        if node is None or key is None or depth < len(path):
            return self.at(path)
        return self.text.mark(key.start_mark.index)

    def node(self, path: Path) -> Any:
        """What was written at `path`; None where only an ancestor was."""
        node, _, depth = self._nearest(path)
        return node if depth == len(path) else None

    def key_node(self, path: Path) -> Any:
        """The key that `path` ends with; None where it has none."""
        _, key, depth = self._nearest(path)
        return key if depth == len(path) else None

    def problem(
        self, code: str, message: str, path: Path, *, hint: str = "", line: int = 0, column: int = 0, at_key: bool = False
    ) -> Problem:
        """A Problem at `path`, at its key, or at a line and column (from 1) of the template that stands there.

        Where nothing was written as a value, and where only an ancestor was written, the key is the place.
        """
        mark = self._mark(path, line, column, at_key)
        snippet = self._snippet(mark, path) if mark else ""
        return Problem(code, message, mark, dotted(path), snippet, hint)

    def written(self, path: Path) -> str | None:
        """The scalar at `path` as it is written, None for anything else."""
        node, _, depth = self._nearest(path)
        return node.value if isinstance(node, yaml.ScalarNode) and depth == len(path) else None

    def _snippet(self, mark: Mark, path: Path) -> str:
        """The line, with the whole value masked where its key says that it is a credential."""
        line = self.text.snippet(mark)
        secret = self.written(path) if path and SECRET_NAME.search(str(path[-1])) else None
        return line.replace(secret, masked_value(secret)) if secret else line

    def _mark(self, path: Path, line: int, column: int, at_key: bool) -> Mark | None:
        node, key, depth = self._nearest(path)
        if node is None:
            return Mark(self.text.shown, 1, 1)
        scalar = isinstance(node, yaml.ScalarNode)
        if key is not None and (at_key or depth < len(path) or (scalar and not node.value)):
            return self.text.mark(key.start_mark.index)
        if line and scalar and depth == len(path):
            return self.text.mark(_offset_inside(self.text.characters, node, line, column))
        return self.text.mark(node.start_mark.index)

    def _nearest(self, path: Path) -> tuple[Any, Any, int]:
        """The deepest node on the way to `path`, its key's node, and how many parts of the path it stands for."""
        node, key = self._root, None
        for depth, part in enumerate(path):
            step = _child(node, part)
            if step is None:
                return node, key, depth
            key, node = step
        return node, key, len(path)

    @cached_property
    def _root(self) -> Any:
        with paused_collector():
            return Parser(self.text.characters).get_single_node()


def dotted(path: Path) -> str:
    """`assets.potions.include[0].volume`: the path as the manifest's reader would say it."""
    text = ""
    for part in path:
        name = part if isinstance(part, int) or len(part) <= 100 else f"{part[:99]}…"
        text += f"[{name}]" if isinstance(name, int) else f".{name}" if text else name
    return text


def _child(node: Any, part: str | int) -> tuple[Any, Any] | None:
    if isinstance(node, yaml.MappingNode):
        return _entry(node, str(part))
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        return None, node.value[part]
    return None


def _entry(node: Any, name: str) -> tuple[Any, Any] | None:
    """The key and value of `name`: the mapping's own, else a merged one's."""
    for key, value in node.value:
        if isinstance(key, yaml.ScalarNode) and key.value == name:
            return key, value
    for source in _merged(node):
        merged = _entry(source, name)
        if merged:
            return merged
    return None


def _merged(node: Any) -> Iterator[Any]:
    for key, value in node.value:
        if isinstance(key, yaml.ScalarNode) and key.value == _MERGE:
            nodes = value.value if isinstance(value, yaml.SequenceNode) else [value]
            yield from (source for source in nodes if isinstance(source, yaml.MappingNode))


def _offset_inside(characters: str, node: Any, line: int, column: int) -> int:
    """The offset in the file of a line and column of the scalar's value.

    Folding, indentation and line breaks change only blanks, so the characters that are not blank are counted:
    as many stand before the place in the value as in the file.
    """
    skip = _visible_before(node.value, line, column)
    offset = int(node.start_mark.index)
    for offset, character in _written(characters, node):
        if character in _BLANK:
            continue
        if not skip:
            return offset
        skip -= 1
    return offset


def _visible_before(value: str, line: int, column: int) -> int:
    lines = value.split("\n")
    before = "".join(lines[: line - 1]) + (lines[line - 1][: max(0, column - 1)] if line <= len(lines) else "")
    return sum(character not in _BLANK for character in before)


def _written(characters: str, node: Any) -> Iterator[tuple[int, str]]:
    """The offsets and characters of a scalar as written, without its quotes, header and escapes."""
    start, end = int(node.start_mark.index), int(node.end_mark.index)
    if node.style in ("|", ">"):
        start = characters.find("\n", start, end) + 1 or end
    elif node.style in ("'", '"'):
        start, end = start + 1, end - 1
    while start < end:
        length, character = _unit(characters, start, node.style)
        yield start, character
        start += length


def _unit(characters: str, offset: int, style: str | None) -> tuple[int, str]:
    """How many characters of the file stand for one of the value, and that one (a blank for none)."""
    character = characters[offset]
    if style == "'" and character == "'":
        return 2, character
    if style != '"' or character != "\\":
        return 1, character
    escape = characters[offset + 1]
    if escape in _BLANK_ESCAPES or escape in _BLANK:
        return 2, " "
    return 2 + _ESCAPE_LENGTHS.get(escape, 0), escape
