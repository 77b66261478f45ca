"""Loads a manifest: text, plain values, grammar, rules, and then the frozen nouns; or every problem at once.

Knows no template language and reads no other file.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from qwenbuild.errors import InputError, Problem
from qwenbuild.manifest.blocks import manifest
from qwenbuild.manifest.credentials import credentials
from qwenbuild.manifest.events import build, paused_collector
from qwenbuild.manifest.fields import QUOTE, kind
from qwenbuild.manifest.findings import MOST_FINDINGS, Finding, findings
from qwenbuild.manifest.grammar import BUILT_IN, broken_plugins, grammar, types_of
from qwenbuild.manifest.notices import notices
from qwenbuild.manifest.rules import broken
from qwenbuild.manifest.schema import ManifestBlock
from qwenbuild.manifest.source import ManifestSource
from qwenbuild.manifest.text import Text, read
from qwenbuild.model import Manifest

MANIFEST_BYTES_MAX = 20_000_000
"""Bytes of a manifest."""

VERSION = 1


def load(path: Path) -> Manifest:
    """The manifest at `path`, named in messages as `path` is written.

    Raises InputError with every problem found: file, line and column, place in the manifest, what was expected.
    """
    with paused_collector():
        return _load(path)


def load_text(path: Path, characters: str) -> Manifest:
    """The manifest that these characters would make at `path`. Raises InputError as `load` does."""
    with paused_collector():
        return _manifest(path, Text(str(path), characters))


def _load(path: Path) -> Manifest:
    return _manifest(path, read(path, str(path), MANIFEST_BYTES_MAX))


def _manifest(path: Path, text: Text) -> Manifest:
    tree = build(text)
    source = ManifestSource(text)
    problems = [*tree.problems, *_credentials(text)]
    data = _versioned(tree.value, source, problems)
    blocks, findings = _validated(data)
    problems += _placed(findings, source)
    if problems or blocks is None:
        raise _all(problems, text.shown)
    warnings = tuple(
        source.problem(each.code, each.message, each.path, hint=each.hint) for each in islice(notices(data), MOST_FINDINGS)
    )
    return manifest(blocks, path, source, warnings)


def _validated(data: Mapping[str, Any]) -> tuple[ManifestBlock | None, list[Finding]]:
    types = types_of(data)
    unusable = [Finding("plugin", sentence, path) for sentence, path in broken_plugins(data)] if types is not BUILT_IN else []
    if unusable:
        return None, unusable
    rules = list(islice(broken(data, types), MOST_FINDINGS))
    try:
        return grammar(types).validate_python(data), rules
    except ValidationError as error:
        return None, [*findings(error, data, types), *rules]


def _versioned(value: Any, source: ManifestSource, problems: list[Problem]) -> Mapping[str, Any]:
    """The top-level mapping. Of another version nothing else is said: its other keys may mean other things."""
    if value is None:
        hint = "`qwenbuild init` writes one that builds at once"
        raise _all([*problems, source.problem("empty", "the manifest is empty", (), hint=hint)], source.text.shown)
    if not isinstance(value, dict):
        message = f"a manifest is a mapping, not {kind(value)}"
        raise _all([*problems, source.problem("type", message, (), hint="it begins with `version: 1`")], source.text.shown)
    version = value.get("version", VERSION)
    if version != VERSION or isinstance(version, bool | float):
        message = f"`version` is {kind(version).removeprefix('the number ')}; this qwenbuild reads version {VERSION}"
        hint = "write `version: 1`" if not _later(version) else "a newer qwenbuild may read it"
        raise _all([*problems, source.problem("version", message, ("version",), hint=hint)], source.text.shown)
    return value


def _later(version: Any) -> bool:
    return isinstance(version, int) and not isinstance(version, bool) and version > VERSION


def _credentials(text: Text) -> Iterator[Problem]:
    hint = "put it into the environment or .env, and make a new one: this file may have been shared"
    for offset in islice(credentials(text.characters), MOST_FINDINGS):
        yield text.problem("key-in-manifest", "this looks like a key; a key never stands in a manifest", offset, hint=hint)


def _placed(findings: Iterable[Finding], source: ManifestSource) -> Iterator[Problem]:
    for each in findings:
        hint = f'{QUOTE}: "{source.written(each.path)}"' if each.hint == QUOTE else each.hint
        yield source.problem(each.code, each.message, each.path, hint=hint, at_key=each.at_key)


def _all(problems: list[Problem], shown: str) -> InputError:
    """One error of all problems, in the file's order, one a place."""
    first: dict[tuple[int, int], Problem] = {}
    for problem in problems:
        place = (problem.mark.line, problem.mark.column) if problem.mark else (0, 0)
        first.setdefault(place, problem)
    ordered = tuple(first[place] for place in sorted(first))
    summary = f"{ordered[0].mark}: {ordered[0].message}"
    more = f" (and {len(ordered) - 1} more)" if len(ordered) > 1 else ""
    return InputError(f"{summary}{more}", code=ordered[0].code, problems=ordered)
