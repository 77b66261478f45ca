"""The journal's file: opened lazily and with suspicion, read whole before the first write, a transaction at a time.

Knows no attempt: only whether the database can be trusted, and that trouble with it is never an empty journal.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

from qwenbuild.cache import schema
from qwenbuild.cache.attempts import COLUMNS, row_seal
from qwenbuild.cache.fsops import PRIVATE, Writer
from qwenbuild.cache.seal import BrokenSeal
from qwenbuild.errors import CacheError

NAME = "journal.db"
MARK = "journal.made"
"""Beside the journal: it was made once, so its absence is a loss and not a beginning."""


class Database:
    """`journal.db` below the cache's root."""

    def __init__(self, root: Path, writer: Writer) -> None:
        self.path = root / NAME
        self.mark = root / MARK
        self._writer = writer
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._opened: tuple[int, int, int] | None = None
        self._checked = False

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection | None]:
        """The connection, None when there is no journal. Raises CacheError."""
        with self._lock, self._told():
            yield self._connected(create=False)

    @contextlib.contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction, committed durably at the end, rolled back on an error. Raises CacheError."""
        with self._lock, self._told():
            db = self._connected(create=True)
            assert db is not None
            if not self._checked:
                check(db)
                self._checked = True
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
                db.execute("COMMIT")
            except BaseException:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except (BrokenSeal, sqlite3.Error, OSError) as error:
            raise self._unusable(str(error)) from error

    def check(self) -> None:
        """Read the whole file. Raises CacheError."""
        with self.reading() as db:
            if db is not None:
                check(db)

    def _unusable(self, why: str) -> CacheError:
        return CacheError(
            f"the journal {self.path} cannot be used: {why}. It holds what was paid for, so nothing is bought without it; "
            "`qwenbuild cache rebuild` sets a broken one aside and saves what can be read",
            code="journal",
        )

    def _connected(self, *, create: bool) -> sqlite3.Connection | None:
        """The connection, opened again when the file was replaced or the process forked; None when there is no journal."""
        marked = self.mark.exists()  # before looking at the file, which another process may be making
        identity = self._identity()
        if self._connection is not None and identity == self._opened:
            return self._connection
        if self._opened is not None and self._opened[2] == os.getpid() and identity != self._opened:
            raise self._unusable("the file was removed or replaced while this build was running")
        if identity is None and marked:
            raise self._unusable("it was there and is gone")
        if identity is None and not create:
            return None
        if identity is None:
            self._writer.folder(self.path.parent)
            with contextlib.suppress(FileExistsError):
                self._writer.ops.close(self._writer.ops.open_new(self.path, PRIVATE))
        db = schema.connect(self.path)
        try:
            usable = self._prepared(db, create=create, marked=marked)
        except BaseException:
            db.close()
            raise
        if not usable:
            db.close()
            return None
        self._connection, self._opened = db, self._identity()
        return db

    def _prepared(self, db: sqlite3.Connection, *, create: bool, marked: bool) -> bool:
        """See that the tables are of this version; make them in a fresh file. False when it is fresh and only looked at."""
        found = schema.version(db)
        if found > schema.USER_VERSION:
            raise self._unusable(f"it was written by a newer qwenbuild (version {found}); update qwenbuild")
        if found == 0 and marked:
            raise self._unusable("it is empty, though attempts were written to it")
        if found == 0 and not create:
            return False
        if found == 0:
            schema.create(db)
            self._writer.ops.fsync_folder(self.path.parent)
        if create and not marked:
            self._writer.write(self.mark, b"journal.db was made; when it is gone, open attempts may be lost\n")
        return True

    def _identity(self) -> tuple[int, int, int] | None:
        try:
            status = os.stat(self.path)
        except FileNotFoundError:
            return None
        return status.st_dev, status.st_ino, os.getpid()

    def close(self) -> None:
        """Close the connection; the next use opens it again."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
            self._connection = None

    def start_over(self) -> None:
        """Forget which file was open: it was set aside on purpose."""
        self.close()
        self._opened, self._checked = None, False


def check(db: sqlite3.Connection) -> None:
    """Read the whole file before money depends on it. Raises BrokenSeal, sqlite3.Error."""
    (word,) = db.execute("PRAGMA integrity_check(1)").fetchone()
    if word != "ok":
        raise BrokenSeal(str(word))
    for row in db.execute(f"SELECT {', '.join(COLUMNS)}, seal FROM attempts"):
        if row_seal(row[:-1]) != row[-1]:
            raise BrokenSeal(f"attempt {str(row[0])[:40]!r} was altered")
