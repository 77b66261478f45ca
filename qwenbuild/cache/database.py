"""The journal's file: opened lazily and with suspicion, read whole before the first write, a transaction at a time.

Knows no attempt: only whether the database can be trusted, and that trouble with it is never an empty journal.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from qwenbuild.cache import schema
from qwenbuild.cache.attempts import COLUMNS, row_seal
from qwenbuild.cache.fsops import PRIVATE_MODE, Writer
from qwenbuild.cache.seal import BrokenSeal
from qwenbuild.errors import CacheError

NAME = "journal.db"
MARK = "journal.made"
"""Beside the journal: it was made once, so its absence is a loss and not a beginning."""


_T = TypeVar("_T")


class _Change:
    """A piece of work on its way to the platter."""

    def __init__(self, work: Callable[[sqlite3.Connection], Any]) -> None:
        self.work = work
        self.done = False
        self.result: Any = None
        self.error: Exception | None = None


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
        self._waiting: deque[_Change] = deque()

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

    def change(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        """What `work` returns, done in a transaction and durable by now. Raises what it raises, and CacheError.

        Whatever threads bring while a transaction is being synced goes into the next one together: a sync costs the same
        for one change and for ten. A change that fails takes nothing of the others back.
        """
        change = _Change(work)
        self._waiting.append(change)
        with self._lock:
            if not change.done:
                self._carry_out([self._waiting.popleft() for _ in range(len(self._waiting))])
        if change.error is not None:
            with self._told():
                raise change.error
        result: _T = change.result
        return result

    def _carry_out(self, changes: list[_Change]) -> None:
        """One transaction for all of them; nobody is told of success before it is durable."""
        try:
            with self.writing() as db:
                for change in changes:
                    _apply(db, change, alone=len(changes) == 1)
        except Exception as error:
            _fail(changes, error)
        except BaseException:
            _fail(changes, self._unusable("the thread that wrote it was stopped"))
            raise
        for change in changes:
            change.done = True

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
                self._writer.ops.close(self._writer.ops.open_new(self.path, PRIVATE_MODE))
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
        version = schema.version(db)
        if version > schema.USER_VERSION:
            raise self._unusable(f"it was written by a newer qwenbuild (version {version}); update qwenbuild")
        if version == 0 and marked:
            raise self._unusable("it is empty, though attempts were written to it")
        if version == 0 and not create:
            return False
        if version == 0:
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


def _fail(changes: Iterable[_Change], error: Exception) -> None:
    for change in changes:
        change.done, change.error = True, change.error or error


def _apply(db: sqlite3.Connection, change: _Change, *, alone: bool) -> None:
    """Do one change of a transaction. Raises when the whole transaction is lost with it."""
    if alone:
        change.result = change.work(db)
        return
    db.execute("SAVEPOINT one")
    try:
        change.result = change.work(db)
    except Exception as error:
        if not db.in_transaction:  # SQLite has rolled everything back by itself: the disk is full, or fails
            raise
        change.error = error
        db.execute("ROLLBACK TO one")
    db.execute("RELEASE one")


def check(db: sqlite3.Connection) -> None:
    """Read the whole file before money depends on it. Raises BrokenSeal, sqlite3.Error."""
    (word,) = db.execute("PRAGMA integrity_check(1)").fetchone()
    if word != "ok":
        raise BrokenSeal(str(word))
    for row in db.execute(f"SELECT {', '.join(COLUMNS)}, seal FROM attempts"):
        if row_seal(row[:-1]) != row[-1]:
            raise BrokenSeal(f"attempt {str(row[0])[:40]!r} was altered")
