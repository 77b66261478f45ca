"""Read everything and say what is wrong; make the index, and a broken journal, anew from what can be trusted.

Knows no lockfile and no output tree. Nothing is deleted: what is broken is set aside.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from qwenbuild.cache import schema
from qwenbuild.cache.attempts import COLUMNS, row_seal
from qwenbuild.cache.blobs import BlobCorrupt
from qwenbuild.cache.trouble import as_cache_error
from qwenbuild.errors import CacheError

if TYPE_CHECKING:
    from qwenbuild.cache.vault import Cache


@dataclass(frozen=True, slots=True)
class Report:
    """What was looked at and what was found. `corrupt` blobs are in quarantine now; `missing` are named by a receipt.

    `made_anew`: the journal could not be used and was replaced; requests that were open in it may be unknown now.
    """

    blobs: int = 0
    size: int = 0
    results: int = 0
    derived: int = 0
    corrupt: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    unnamed: int = 0
    notices: tuple[str, ...] = ()
    journal: str = "ok"
    rescued_attempts: int = 0
    lost_attempts: int = 0
    made_anew: bool = False

    @property
    def sound(self) -> bool:
        """Is nothing wrong?"""
        return not (self.corrupt or self.missing or self.notices) and self.journal == "ok"


@dataclass(frozen=True, slots=True)
class Stats:
    """Counts and sizes (bytes)."""

    blobs: int
    size: int
    keys: int
    derived: int
    quarantined: int
    free: int
    attempts: dict[str, int] = field(default_factory=dict)


@as_cache_error
def verify(cache: Cache, *, full: bool = True) -> Report:
    """Look at every blob (its bytes with `full`, else that it is there) and every receipt. Raises OSError."""
    before = cache.notices[:]
    cache.notices.clear()
    corrupt, size, present = [], 0, set()
    for entry in list(cache.blobs.sweep()):
        size += entry.stat(follow_symlinks=False).st_size
        present.add(entry.name)
        if full:
            try:
                cache.blobs.read(entry.name)
            except BlobCorrupt:
                corrupt.append(entry.name)
                present.discard(entry.name)
    named: set[str] = set()
    results = 0
    for key in cache.receipts.keys():  # noqa: SIM118 - a method of our own
        receipts = cache.receipts.read(key)
        results += len(receipts)
        named.update(item.result.digest for item in receipts)
    derived = [cache.receipts.derived(recipe) for recipe in cache.receipts.recipes()]
    notices = tuple(cache.notices)
    cache.notices[:0] = before
    of_recipes = {record["digest"] for record in derived if record is not None}
    return Report(
        blobs=len(present),
        size=size,
        results=results,
        derived=len(of_recipes),
        corrupt=tuple(corrupt),
        missing=tuple(sorted(named - present)),
        unnamed=len(present - named - of_recipes),
        notices=notices,
        journal=journal_state(cache),
    )


def journal_state(cache: Cache) -> str:
    """ "ok", or why nothing can be bought."""
    try:
        cache.journal.check()
    except CacheError as error:
        return str(error)
    return "ok"


def salvage(cache: Cache) -> tuple[int, int]:
    """Set a broken journal aside as `journal.corrupt-<n>` and save each row whose seal is whole into a new one.

    How many attempts were saved, and how many rows could not be read. Raises CacheError, OSError.
    """
    journal, path = cache.journal, cache.journal.path
    rows, bodies, lost = [], [], 0
    if path.exists():
        for row, body in _readable(cache):
            if row is None:
                lost += 1
            else:
                rows.append(row)
                bodies.append((row[0], body))
    journal.start_over()
    for file in (path.with_name(f"{path.name}-journal"), path):
        if file.exists():
            cache.writer.move_aside(file, f"journal.corrupt{'-hot' if file != path else ''}")
    with contextlib.suppress(FileNotFoundError):
        cache.writer.ops.unlink(journal.mark)
    _write_anew(cache, rows, [item for item in bodies if item[1] is not None])
    return len(rows), lost


def _readable(cache: Cache) -> Iterator[tuple[tuple[object, ...] | None, bytes | None]]:
    """Row by row, so that a page that cannot be read costs only what is on it."""
    try:
        db = schema.connect(cache.journal.path)
    except sqlite3.Error:
        return
    try:
        if schema.version(db) > schema.USER_VERSION:
            raise CacheError("the journal was written by a newer qwenbuild; update qwenbuild", code="journal")
        (last,) = db.execute("SELECT MAX(rowid) FROM attempts").fetchone()
        for number in range(1, (last or 0) + 1):
            yield _row(db, number)
    except sqlite3.Error:
        return
    finally:
        db.close()


def _row(db: sqlite3.Connection, number: int) -> tuple[tuple[object, ...] | None, bytes | None]:
    try:
        row = db.execute(f"SELECT {', '.join(COLUMNS)}, seal FROM attempts WHERE rowid = ?", (number,)).fetchone()
        if row is None or row_seal(row[:-1]) != row[-1]:
            return None, None
        body = db.execute("SELECT body FROM bodies WHERE attempt = ?", (row[0],)).fetchone()
    except sqlite3.Error:
        return None, None
    return row, body[0] if body else None


def _write_anew(cache: Cache, rows: list[tuple[object, ...]], bodies: list[tuple[object, bytes | None]]) -> None:
    """Attempts enter as what they were: the triggers, which know only births and changes, are off for this transaction."""
    marks = ", ".join("?" * (len(COLUMNS) + 1))
    with cache.journal.writing() as db:
        for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            db.execute(f"DROP TRIGGER {name}")
        db.executemany(f"INSERT OR IGNORE INTO attempts ({', '.join(COLUMNS)}, seal) VALUES ({marks})", rows)
        db.executemany("INSERT OR IGNORE INTO bodies VALUES (?, ?)", bodies)
        for statement in schema.split(schema.TRIGGERS):
            db.execute(statement)


@as_cache_error
def stats(cache: Cache) -> Stats:
    """Count what is there. Raises OSError, CacheError."""
    sizes = [entry.stat(follow_symlinks=False).st_size for entry in cache.blobs.sweep()]
    aside = cache.blobs.aside
    quarantined = sum(1 for path in aside.iterdir() if path.suffix != ".json") if aside.is_dir() else 0
    counted = Counter(str(attempt.state) for attempt in cache.journal.attempts())
    return Stats(
        blobs=len(sizes),
        size=sum(sizes),
        keys=sum(1 for _ in cache.receipts.keys()),  # noqa: SIM118 - a method of our own
        derived=sum(1 for _ in cache.receipts.recipes()),
        quarantined=quarantined,
        free=cache.free_bytes(),
        attempts=dict(counted),
    )
