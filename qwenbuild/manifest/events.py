"""Builds plain values from YAML's events in one pass, refusing what would hang or mislead.

Knows nothing of the manifest: bombs, duplicate keys, tags and scalars are its only subjects.

PyYAML's own composer and constructor are not used for values: they share what an alias repeats, so that 450 bytes
become a value nobody can print; they let the last of two equal keys win; and they read scalars as YAML 1.1.
"""

from __future__ import annotations

import gc
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import yaml

from qwenbuild.errors import InputError, Problem
from qwenbuild.manifest.scalars import scalar
from qwenbuild.manifest.text import Text, stop

DEEPEST = 40
"""Levels of nesting, aliases followed."""

MOST_NODES = 2_000_000
"""Keys, values and collections of a manifest, aliases followed."""

MOST_PROBLEMS = 100

Parser: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml's where PyYAML was built with it, five times as fast."""

_CORE = "tag:yaml.org,2002:"
_SCALAR_TAGS = {f"{_CORE}{name}" for name in ("str", "int", "float", "bool", "null")}
_HALF = re.compile("[\ud800-\udfff]")
_TYPES: dict[str, tuple[type, ...]] = {"int": (int,), "float": (float, int), "bool": (bool,), "null": (type(None),)}


@contextmanager
def paused_collector() -> Iterator[None]:
    """Python's cyclic collector off: it would walk all that is being built again and again, for two thirds of the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


@dataclass(frozen=True, slots=True)
class Tree:
    """The value of a document. `rows` are the offsets of the items when the document is a list."""

    value: Any
    problems: tuple[Problem, ...]
    rows: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class _Anchored:
    value: Any
    nodes: int
    height: int


def build(text: Text, *, most_nodes: int | None = MOST_NODES, drop: str = "x-") -> Tree:
    """The value of a YAML document; keys that start with `drop` are left out unless `drop` is empty.

    `most_nodes` None means: as many as are written, and twice that through aliases. Problems that leave the rest
    readable (equal keys, tags) are collected. Raises InputError on a syntax error, and on what cannot be read safely.
    """
    try:
        with paused_collector():
            return _Builder(text, most_nodes, drop).document()
    except yaml.MarkedYAMLError as error:
        raise stop(_syntax(text, error)) from None
    except yaml.YAMLError as error:
        raise text.error("yaml-syntax", f"this is not YAML: {str(error).splitlines()[0]}", 0) from None


def _syntax(text: Text, error: yaml.MarkedYAMLError) -> Problem:
    offset = _offset(text, error.problem_mark)
    if offset >= len(text.characters.rstrip()) and error.context_mark:
        offset = _offset(text, error.context_mark)
    quote = _misled(text, offset)
    if quote is not None:
        line = text.mark(offset).line
        hint = f"it closes at the next quote, in line {line:,}; close it in its own line, or double a quote inside of it"
        return text.problem(
            "yaml-syntax", "this is not YAML: the quote that opens here is not closed in its line", quote, hint=hint
        )
    message = " ".join(part for part in (error.problem, error.context) if part)
    hint = _advice(text, offset, message) or _began(text, error, text.mark(offset).line)
    return text.problem("yaml-syntax", f"this is not YAML: {message}", offset, hint=hint)


def _misled(text: Text, offset: int) -> int | None:
    """Where a quoted text opens that runs over lines and closes in the line of an error: it was to close before."""
    line, last = text.mark(offset).line, None
    try:
        for token in yaml.scan(text.characters, Loader=Parser):
            if token.start_mark.index >= offset:
                break
            last = token
    except yaml.YAMLError:
        pass
    quoted = isinstance(last, yaml.ScalarToken) and last.style in ("'", '"')
    if not quoted or last is None or not text.mark(last.start_mark.index).line < line == text.mark(last.end_mark.index).line:
        return None
    return int(last.start_mark.index)


def _offset(text: Text, mark: Any) -> int:
    return min(mark.index, len(text.characters)) if mark else 0


def _began(text: Text, error: yaml.MarkedYAMLError, place: int) -> str:
    if not error.context_mark:
        return ""
    line = text.mark(_offset(text, error.context_mark)).line
    return "what begins here is never closed" if line == place else f"what is not finished here began in line {line}"


def _advice(text: Text, offset: int, message: str) -> str:
    character = text.characters[offset : offset + 1]
    if character == "\t" or "'\\t'" in message:
        return "indent with spaces, not with tabs"
    if character in ("@", "`", "%"):
        return f"put text that starts with {character} in quotes"
    if "mapping values are not allowed" in message:
        return 'put text that holds ": " in quotes'
    if character == "{" or "{{" in text.snippet(text.mark(offset)):
        return "put text that starts with {{ in quotes"
    return ""


class _Builder:
    def __init__(self, text: Text, most_nodes: int | None, drop: str) -> None:
        self.text = text
        self.next: Any = Parser(text.characters).get_event
        self.limit = MOST_NODES if most_nodes is None else most_nodes
        self.grows = most_nodes is None
        self.drop = drop
        self.nodes = 0
        self.deepest = 0
        self.rows: list[int] = []
        self.anchors: dict[str, _Anchored | None] = {}
        self.problems: list[Problem] = []

    def document(self) -> Tree:
        self.next()
        if isinstance(self.next(), yaml.StreamEndEvent):
            return Tree(None, ())
        value = self.value(self.next(), 1)
        self.next()
        after = self.next()
        if not isinstance(after, yaml.StreamEndEvent):
            raise self.error("yaml-documents", "a second document starts here; one file holds one document", after)
        return Tree(value, tuple(self.problems), tuple(self.rows))

    def value(self, event: Any, depth: int) -> Any:
        if isinstance(event, yaml.AliasEvent):
            return self.alias(event, depth)
        self.count(1, event)
        if isinstance(event, yaml.ScalarEvent):
            value = self.scalar(event)
            if event.anchor is not None:
                self.begin(event)
                self.anchors[event.anchor] = _Anchored(value, 1, 0)
            return value
        return self.collection(event, depth)

    def collection(self, event: Any, depth: int) -> Any:
        if depth > DEEPEST:
            raise self.error("yaml-depth", f"nested deeper than {DEEPEST} levels", event)
        if event.anchor is None:
            self.deepest = max(self.deepest, depth)
            return self.content(event, depth)
        self.begin(event)
        before, outer, self.deepest = self.nodes - 1, self.deepest, depth
        value = self.content(event, depth)
        self.anchors[event.anchor] = _Anchored(value, self.nodes - before, self.deepest - depth + 1)
        self.deepest = max(outer, self.deepest)
        return value

    def content(self, event: Any, depth: int) -> Any:
        if isinstance(event, yaml.SequenceStartEvent):
            self.known_tag(event, "seq")
            return self.items(depth)
        self.known_tag(event, "map")
        return self.mapping(depth)

    def items(self, depth: int) -> list[Any]:
        items = []
        event = self.next()
        while not isinstance(event, yaml.SequenceEndEvent):
            items.append(self.value(event, depth + 1))
            if depth == 1:
                self.rows.append(event.start_mark.index)
            event = self.next()
        return items

    def mapping(self, depth: int) -> dict[str, Any]:
        own: dict[str, Any] = {}
        seen: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        event = self.next()
        while not isinstance(event, yaml.MappingEndEvent):
            key = self.key(event, depth)
            value_event = self.next()
            value = self.value(value_event, depth + 1)
            if key in seen:
                self.doubled(key, seen[key], event)
            elif key == "<<" and not getattr(event, "style", None):
                self.merge(merged, value, value_event)
            elif key is not None and not (self.drop and key.startswith(self.drop)):
                own[key] = value
            if key is not None:
                seen[key] = event
            event = self.next()
        return {**merged, **own} if merged else own

    def key(self, event: Any, depth: int) -> str | None:
        """The key's text as it is written (`no`, `017` and `404` are text); None after a problem."""
        if isinstance(event, yaml.ScalarEvent):
            self.count(1, event)
            self.check_text(event)
            if event.tag not in (None, "!", f"{_CORE}str"):
                self.note("yaml-tag", "a key is text and takes no tag", event)
            if event.anchor is not None:
                self.begin(event)
                self.anchors[event.anchor] = _Anchored(event.value, 1, 0)
            if event.value == "" and not event.style:
                self.note("yaml-key", "a key is missing before this colon", event)
                return None
            return str(event.value)
        value = self.value(event, depth + 1)
        if isinstance(value, str):
            return value
        self.note(
            "yaml-key", "a key must be text, not a list or a mapping", event, hint="put a key that starts with {{ in quotes"
        )
        return None

    def merge(self, into: dict[str, Any], value: Any, event: Any) -> None:
        sources = value if isinstance(value, list) else [value]
        for source in sources:
            if not isinstance(source, Mapping):
                self.note("yaml-merge", "`<<` takes a mapping or a list of mappings", event, hint="write `<<: *name`")
                return
            for key, item in source.items():
                into.setdefault(key, item)

    def alias(self, event: Any, depth: int) -> Any:
        if event.anchor not in self.anchors:
            raise self.error("yaml-alias", f"there is no anchor `&{event.anchor}` before this alias", event)
        anchor = self.anchors[event.anchor]
        if anchor is None:
            raise self.error("yaml-alias", f"`*{event.anchor}` stands inside of what it repeats", event)
        self.count(anchor.nodes, event)
        if depth + anchor.height - 1 > DEEPEST:
            raise self.error("yaml-depth", f"nested deeper than {DEEPEST} levels through `*{event.anchor}`", event)
        self.deepest = max(self.deepest, depth + anchor.height - 1)
        return anchor.value

    def begin(self, event: Any) -> None:
        if event.anchor in self.anchors:
            raise self.error("yaml-anchor", f"the anchor `&{event.anchor}` is defined twice", event)
        self.anchors[event.anchor] = None

    def scalar(self, event: Any) -> Any:
        text = event.value
        tag = event.tag
        self.check_text(event)
        if tag is None or tag == "!":
            return scalar(text) if tag is None and not event.style else text
        if tag not in _SCALAR_TAGS:
            self.unknown_tag(event)
            return text
        kind = tag.removeprefix(_CORE)
        if kind == "str":
            return text
        value = scalar(text)
        if not isinstance(value, _TYPES[kind]) or (isinstance(value, bool) and kind != "bool"):
            self.note("yaml-tag", f"`!!{kind}` stands before something else", event)
        return value

    def check_text(self, event: Any) -> None:
        text = event.value
        if not text.isascii() and _HALF.search(text):
            self.note("yaml-surrogate", "half of a surrogate pair is not a character", event)
        if event.style == '"' and "\0" in text:
            self.note("control-character", "the character U+0000 cannot be part of a text", event)

    def known_tag(self, event: Any, name: str) -> None:
        if event.tag not in (None, "!", f"{_CORE}{name}"):
            self.unknown_tag(event)

    def unknown_tag(self, event: Any) -> None:
        tag = event.tag.replace(_CORE, "!!")
        self.note(
            "yaml-tag", f"the tag `{tag[:80]}` is not known here", event, hint="remove it; only values are read, no objects"
        )

    def doubled(self, key: str, first: Any, event: Any) -> None:
        line = self.text.mark(first.start_mark.index).line
        again = self.text.mark(event.start_mark.index).line
        hint = "merge several at once: `<<: [*a, *b]`" if key == "<<" else "keep one of them"
        self.note("duplicate-key", f"`{key[:80]}` stands twice in one mapping, in lines {line} and {again}", event, hint=hint)

    def count(self, nodes: int, event: Any) -> None:
        self.nodes += nodes
        if self.grows and nodes == 1:
            self.limit += 2
        if self.nodes > self.limit:
            raise self.error("yaml-nodes", f"more than {self.limit:,} keys and values, aliases followed", event)

    def note(self, code: str, message: str, event: Any, *, hint: str = "") -> None:
        if len(self.problems) >= MOST_PROBLEMS:
            raise InputError(f"{self.text.shown}: too many problems", code=code, problems=tuple(self.problems))
        self.problems.append(self.text.problem(code, message, event.start_mark.index, hint=hint))

    def error(self, code: str, message: str, event: Any) -> InputError:
        return self.text.error(code, message, event.start_mark.index)
