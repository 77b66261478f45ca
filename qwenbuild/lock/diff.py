"""What changed in pictures between two lockfiles: entry by entry, with the fields and the choices behind it.

Knows no git and no disk: it compares records.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from qwenbuild.key import differences
from qwenbuild.model import LockEntry

Entries = Mapping[str, LockEntry]


class ChangeKind(StrEnum):
    """What became of an entry, most visible first."""

    CHANGED = "changed"  # another picture
    ADDED = "added"
    REMOVED = "removed"
    MOVED = "moved"  # the same picture under another id
    REKEYED = "rekeyed"  # the same picture under another key: accepted, or the model table moved
    FILES = "files"  # the same picture; other files are made from it
    CHOICES = "choices"  # the same picture and files; somebody chose


@dataclass(frozen=True, slots=True)
class Change:
    """One entry's change. `fields` are (field, old, new) of its Action; `choices` phrases; `was` the id it moved from."""

    id: str
    kind: ChangeKind
    old: LockEntry | None
    new: LockEntry | None
    fields: tuple[tuple[str, Any, Any], ...] = ()
    choices: tuple[str, ...] = ()
    was: str = ""


def compare(old: Entries, new: Entries) -> tuple[Change, ...]:
    """Every change from `old` to `new`, by id. What a lockfile only keeps as an orphan counts as removed."""
    before = {id: record for id, record in old.items() if not record.orphan}
    after = {id: record for id, record in new.items() if not record.orphan}
    moves = _moves(before, after)
    moved_ids = set(moves.values())
    changes = []
    for id in sorted({*before, *after}):
        if id in moved_ids:
            continue
        was = moves.get(id, "")
        change = _change(id, was, before.get(was or id), after.get(id))
        changes += [change] if change else []
    return tuple(changes)


def _moves(before: Entries, after: Entries) -> dict[str, str]:
    """New id to old id, where an entry vanished and one with its key and picture came."""
    vanished: dict[tuple[str, str], list[str]] = {}
    for id, record in before.items():
        if id not in after:
            vanished.setdefault((record.key, record.digest), []).append(id)
    moves = {}
    for id, record in after.items():
        if id not in before and (waiting := vanished.get((record.key, record.digest))):
            moves[id] = waiting.pop(0)
    return moves


def _change(id: str, was: str, old: LockEntry | None, new: LockEntry | None) -> Change | None:
    if old is None or new is None:
        kind = ChangeKind.REMOVED if new is None else ChangeKind.ADDED
        choices = tuple(_chosen(LockEntry("", "", {}), new)) if new is not None else ()
        return Change(id, kind, old, new, choices=choices)
    kind_ = _kind(was, old, new)
    if kind_ is None:
        return None
    return Change(id, kind_, old, new, differences(old.action, new.action), tuple(_chosen(old, new)), was)


def _kind(was: str, old: LockEntry, new: LockEntry) -> ChangeKind | None:
    if old.digest != new.digest:
        return ChangeKind.CHANGED
    if was:
        return ChangeKind.MOVED
    if old.key != new.key:
        return ChangeKind.REKEYED
    if _files(old) != _files(new):
        return ChangeKind.FILES
    return ChangeKind.CHOICES if any(_chosen(old, new)) else None


def _files(record: LockEntry) -> dict[str, str]:
    return {path: output.recipe for path, output in record.outputs.items() if not output.orphan}


def _chosen(old: LockEntry, new: LockEntry) -> Iterator[str]:
    """What people chose between two records."""
    if old.approved != new.approved:
        yield "approved" if new.approved else "released"
    if old.picked != new.picked:
        yield "picked" if new.picked else "unpicked"
    if new.accepted.keys() - old.accepted.keys():
        yield "edit accepted"
    for name, word in sorted(new.checks.items()):
        if word != old.checks.get(name, "pass"):
            yield f"{name}: {word}"
    if old.note != new.note:
        yield "note changed" if old.note and new.note else "noted" if new.note else "note removed"
    for verb, number in (
        ("rejected", len({*new.rejected} - {*old.rejected})),
        ("no longer rejected", len({*old.rejected} - {*new.rejected})),
        ("added", len({*new.seeds} - {*old.seeds})),
    ):
        if number:
            yield f"{number} {'candidate' if number == 1 else 'candidates'} {verb}"
