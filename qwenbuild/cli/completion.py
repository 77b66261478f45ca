"""What a shell may complete: entry ids, tags, assets, atlases and providers of the manifest in the folder.

Never says anything and never fails: whatever goes wrong, there is nothing to complete.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from qwenbuild.cli.call import META, Call
from qwenbuild.errors import QwenbuildError
from qwenbuild.later import later

with later:
    from qwenbuild import verbs

CANDIDATES_MAX = 2000
"""So many words are offered; a shell shows no more."""


def selectors(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """The selectors that begin with what was typed: ids from the lockfile, `tag:`, `asset:` and `atlas:` from the manifest."""
    return _first(_selectors(_manifest(ctx)), incomplete)


def entries(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """The entry ids that begin with what was typed."""
    return _first(_ids(_manifest(ctx)), incomplete)


def _first(words: Iterator[str], incomplete: str) -> list[str]:
    matches: dict[str, None] = {}
    try:
        for word in words:
            if word.startswith(incomplete):
                matches[word] = None
            if len(matches) >= CANDIDATES_MAX:
                break
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return list(matches)
    return list(matches)


def _manifest(ctx: click.Context) -> Path:
    call: Call = ctx.meta.get(META, Call())
    if call.file:
        return call.folder / call.file
    names = (call.folder / "qwenbuild.yaml", call.folder / "qwenbuild.yml")
    return next((path for path in names if path.is_file()), names[0])


def _selectors(manifest: Path) -> Iterator[str]:
    yield from _ids(manifest)
    yield from _named(manifest)


def _ids(manifest: Path) -> Iterator[str]:
    """Ids from the lockfile, which is read in milliseconds; from the manifest, expanded, where there is none yet."""
    lockfile = manifest.with_suffix(".lock")
    if lockfile.is_file():
        yield from json.loads(lockfile.read_bytes())["entries"]
        return
    yield from _expanded(manifest)


def _expanded(manifest: Path) -> Iterator[str]:
    try:
        loaded: Any = verbs.load(verbs.Options(folder=manifest.parent, file=manifest.name))
    except QwenbuildError:
        return
    yield from (entry.id for entry in loaded.entries)


_BLOCK = re.compile(r"^(assets|atlases):\s*$")
_NAME = re.compile(r"^ {1,8}([\w-]+):")
_TAGS = re.compile(r"^\s+tags:\s*\[([^\]]*)\]")


def _named(manifest: Path) -> Iterator[str]:
    """Names of assets and atlases, and literal tags, read off the manifest's lines: no YAML parser is that quick to import."""
    block, indent = "", ""
    for line in manifest.read_text(encoding="utf-8").splitlines():
        if tags := _TAGS.match(line):
            yield from (f"tag:{tag}" for tag in _literal_tags(tags[1]))
        if line[:1] not in ("", " ", "#"):
            block, indent = (_BLOCK.match(line) or ["", ""])[1], ""
        elif block and (name := _NAME.match(line)):
            blanks = line[: len(line) - len(line.lstrip())]
            indent = indent or blanks
            if blanks == indent:
                yield f"{'asset' if block == 'assets' else 'atlas'}:{name[1]}"


def _literal_tags(text: str) -> Iterator[str]:
    for part in text.split(","):
        tag = part.strip().strip("\"'")
        if tag and "{" not in tag and "}" not in tag:
            yield tag
