"""Three versions of a lockfile become one, entry by entry: what one side changed wins over what the other left alone.

Does not know the manifest; where both sides changed an entry, the caller says which side wins. Nothing is lost by that:
pictures of the other side stay in the cache.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from qwenbuild.model import LockEntry

    Entries = Mapping[str, LockEntry]


@dataclass(frozen=True, slots=True)
class Sides:
    """The bytes of both sides of a conflict, and of what they began from where that is known."""

    ours: bytes
    theirs: bytes
    base: bytes | None = None


@dataclass(frozen=True, slots=True)
class Merged:
    """The entries, and the ids that both sides had changed differently."""

    entries: dict[str, LockEntry]
    both: tuple[str, ...]


def sides_of(path: Path, raw: bytes) -> Sides:
    """Both sides: as git keeps them while a merge is unfinished, else by the conflict markers."""
    staged = [_staged(path, number) for number in (1, 2, 3)]
    if staged[1] is not None and staged[2] is not None:
        return Sides(staged[1], staged[2], staged[0])
    return _by_markers(raw)


def _staged(path: Path, number: int) -> bytes | None:
    try:
        done = subprocess.run(
            ["git", "show", f":{number}:./{path.name}"], cwd=path.parent, capture_output=True, check=False, timeout=30
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def _by_markers(raw: bytes) -> Sides:
    """What git wrote between its markers; lines outside belong to all sides."""
    texts: dict[str, list[bytes]] = {"ours": [], "theirs": [], "base": []}
    inside, based = "", False
    for line in raw.splitlines(keepends=True):
        if line.startswith(b"<<<<<<< "):
            inside = "ours"
        elif line.startswith(b"||||||| ") and inside:
            inside, based = "base", True
        elif line.rstrip(b"\r\n") == b"=======" and inside:
            inside = "theirs"
        elif line.startswith(b">>>>>>> ") and inside:
            inside = ""
        else:
            for name in [inside] if inside else texts:
                texts[name].append(line)
    return Sides(b"".join(texts["ours"]), b"".join(texts["theirs"]), b"".join(texts["base"]) if based else None)


def merge(base: Entries, ours: Entries, theirs: Entries, *, prefer_theirs: bool) -> Merged:
    """One set of entries from three."""
    entries: dict[str, LockEntry] = {}
    both = []
    for identity in sorted({*ours, *theirs}):
        old, mine, other = base.get(identity), ours.get(identity), theirs.get(identity)
        if mine != other and old not in (mine, other):
            both.append(identity)
        chosen = _chosen(old, mine, other, prefer_theirs=prefer_theirs)
        if chosen is not None:
            entries[identity] = chosen
    return Merged(entries, tuple(both))


def _chosen(old: LockEntry | None, mine: LockEntry | None, other: LockEntry | None, *, prefer_theirs: bool) -> LockEntry | None:
    if mine == other or other == old:
        return mine
    if mine == old:
        return other
    if mine is None or other is None:
        return mine or other
    first, second = (other, mine) if prefer_theirs else (mine, other)
    return replace(
        first,
        rejected=tuple(sorted({*first.rejected, *second.rejected} - {first.key, first.picked})),
        seeds=tuple(sorted({*first.seeds, *second.seeds})),
        accepted={**second.accepted, **first.accepted},
        candidates={**second.candidates, **first.candidates},
    )
