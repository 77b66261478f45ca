"""What changed between two lockfiles, in words, as JSON, and as Markdown for a pull request.

Does not know how lockfiles are compared; all foreign text is escaped for where it goes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from qwenbuild.later import later
from qwenbuild.report.escape import visible
from qwenbuild.report.markdown import plain
from qwenbuild.report.terminal import Terminal, cut, pad, wrap
from qwenbuild.report.words import change_words

with later:
    from qwenbuild.lock import diff

if TYPE_CHECKING:
    from qwenbuild.lock.diff import Change
    from qwenbuild.model import LockEntry

_COLUMN = 10
_ROLES = {"changed": "green", "added": "green", "removed": "yellow"}
_SUMMED = {"files": "with other files", "choices": "with other choices"}
_LONGEST = 400
"""Characters of a prompt's change that a table's cell holds."""


def text_lines(changes: Sequence[Change], names: tuple[str, str], terminal: Terminal) -> Iterator[str]:
    """A line an entry with what is behind it below; the last line counts."""
    if not terminal.quiet:
        for asset, group in groupby(changes, key=lambda change: change.id.partition("/")[0]):
            yield terminal.style(visible(asset), "bold")
            for change in group:
                yield from _lines(change, terminal)
        if changes:
            yield ""
    yield terminal.style(f"{summary_words(changes)} ({visible(names[0])} → {visible(names[1])}).", "bold")


def _lines(change: Change, terminal: Terminal) -> Iterator[str]:
    moved = f"  was {visible(change.was)}" if change.was else ""
    painted = terminal.style(pad(change.kind, _COLUMN), _ROLES.get(change.kind, "cyan"))
    yield f"  {painted}{visible(change.id)}  {_pictures(change)}{moved}"
    for phrase in phrases(change, terminal.width - _COLUMN - 6):
        for line in wrap(phrase, terminal.width - _COLUMN - 4):
            yield " " * (_COLUMN + 4) + terminal.style(line, "dim")


def _pictures(change: Change) -> str:
    names = [record.digest[:12] for record in (change.old, change.new) if record is not None]
    return " → ".join(dict.fromkeys(names))


def phrases(change: Change, width: int) -> list[str]:
    """What is behind a change: fields with their values, then choices."""
    fields = [f"{visible(name)}: {change_words(old, new, width)}" for name, old, new in change.fields]
    choices = [", ".join(change.choices)] if change.choices else []
    return [*fields, *choices, *_note(change, width)]


def _note(change: Change, width: int) -> Iterator[str]:
    """The note as it is now, where it is another one."""
    if change.new is not None and change.new.note and (change.old is None or change.old.note != change.new.note):
        yield cut(f"note: {visible(change.new.note)}", width)


def summary_words(changes: Sequence[Change]) -> str:
    """`2 changed, 1 added`, or that nothing changed."""
    numbers = counts(changes)
    parts = [f"{number:,} {_SUMMED.get(kind, kind)}" for kind, number in numbers.items() if number]
    return ", ".join(parts) or "No picture changed"


def counts(changes: Sequence[Change]) -> dict[str, int]:
    """How many entries there are of each kind of change, every kind named."""
    return {kind.value: sum(change.kind is kind for change in changes) for kind in diff.ChangeKind}


# ---------------------------------------------------------------- JSON


def as_json(changes: Sequence[Change], names: tuple[str, str]) -> dict[str, Any]:
    """The object of `diff --json`."""
    return {"v": 1, "from": names[0], "to": names[1], "changes": [_json(c) for c in changes], "summary": counts(changes)}


def _json(change: Change) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "id": change.id,
        "change": change.kind.value,
        "old": _record(change.old),
        "new": _record(change.new),
        "fields": [{"field": name, "old": old, "new": new} for name, old, new in change.fields],
        "choices": list(change.choices),
    }
    return fields | {"moved_from": change.was} if change.was else fields


def _record(record: LockEntry | None) -> dict[str, str] | None:
    if record is None:
        return None
    return {"key": record.key, "digest": record.digest, **({"note": record.note} if record.note else {})}


# ---------------------------------------------------------------- Markdown


def markdown_lines(changes: Sequence[Change], names: tuple[str, str], thumbs: Mapping[str, str]) -> Iterator[str]:
    """A heading and a table, one row an entry. `thumbs` maps digests to the addresses of their thumbnails."""
    yield f"### Pictures: {summary_words(changes)}"
    yield ""
    yield f"{plain(names[0])} → {plain(names[1])}"
    if not changes:
        return
    yield ""
    yield "| entry | | before | after | why |"
    yield "|---|---|---|---|---|"
    for change in changes:
        was = f"<br>was {plain(change.was)}" if change.was else ""
        why = "<br>".join(plain(phrase) for phrase in phrases(change, _LONGEST))
        cells = [plain(change.id) + was, change.kind.value, _shown(change.old, thumbs), _shown(change.new, thumbs), why]
        yield f"| {' | '.join(cells)} |"


def _shown(record: LockEntry | None, thumbs: Mapping[str, str]) -> str:
    if record is None:
        return ""
    name = record.digest[:12]
    return f"![{name}]({thumbs[record.digest]})" if record.digest in thumbs else f"`{name}`"
