"""The diskcache index: key to sealed record. An accelerator: may vanish at any moment, is never believed without its seal.

Knows no blob and no receipt. All access is on one thread of its own, because diskcache holds one connection a thread;
only `set`, `get` and `delete` of diskcache are used, the others evict, spin for ever or delete files.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import diskcache

from qwenbuild.cache.fsops import PRIVATE_MODE, Writer

RECORD_BYTES_MAX = 64 * 1024
"""Bytes; a longer record is not indexed, its receipt is read instead."""

SETTINGS: Mapping[str, Any] = {
    "eviction_policy": "none",
    "cull_limit": 0,
    "size_limit": 2**62,
    "statistics": 0,
    "tag_index": 0,
    "sqlite_journal_mode": "wal",
    "sqlite_synchronous": 2,
    "sqlite_mmap_size": 0,
    "disk_min_file_size": 2**62,
}
"""diskcache 5.6.3 evicts at 1 GiB, keeps values in unsynced files and maps memory unless told not to."""

OTHER_SETTINGS = frozenset(
    {"sqlite_auto_vacuum", "sqlite_cache_size", "disk_pickle_protocol", "count", "size", "hits", "misses"}
)
"""The rows that diskcache adds by itself. Any other name would become an attribute or a PRAGMA."""

SCHEMA = frozenset(
    {
        "Settings",
        "sqlite_autoindex_Settings_1",
        "Cache",
        "Cache_key_raw",
        "Cache_expire_time",
        "Settings_count_insert",
        "Settings_count_delete",
        "Settings_size_insert",
        "Settings_size_update",
        "Settings_size_delete",
    }
)
PASSING = frozenset({3, 5, 6, 7, 8, 9, 10, 13, 14, 15, 23})
"""SQLite's result codes for what is not the file's fault: permission, busy, locked, memory, read-only, interrupted, I/O,
full, cannot open, protocol, authorisation (sqlite.org/rescode.html)."""

_MISSING: Any = object()
_T = TypeVar("_T")


class CorruptIndex(Exception):
    """Something in the index's folder is not as this program writes it."""


class IndexUnavailable(Exception):
    """The index cannot be used just now (read-only, locked, no descriptors); the receipts can."""


MODE_RAW = 1


class BytesDisk(diskcache.Disk):  # type: ignore[misc]
    """The closed Disk: with diskcache's own, a row may ask for a pickle to be loaded or a foreign file to be deleted.

    That is CVE-2025-69872, also open under its JSONDisk; here such a row is corrupt. Keys are str, values are
    bytes of at most `RECORD_BYTES_MAX`; no file is ever opened, made or removed."""

    def put(self, key: Any) -> tuple[str, bool]:
        """A key as its column holds it."""
        if type(key) is not str:
            raise TypeError("an index key is text")
        return key, True

    def get(self, key: Any, raw: Any) -> str:
        """A key from its columns."""
        if raw != 1 or type(key) is not str:
            raise CorruptIndex("a key of another kind")
        return key

    def store(self, value: Any, read: bool, key: Any = None) -> tuple[int, int, None, sqlite3.Binary]:
        """A value as its columns hold it: size, mode, no file name, the bytes."""
        if read or type(value) is not bytes or len(value) > RECORD_BYTES_MAX:
            raise TypeError("an index value is short bytes")
        return 0, MODE_RAW, None, sqlite3.Binary(value)

    def fetch(self, mode: Any, filename: Any, value: Any, read: bool) -> bytes:
        """A value from its columns."""
        if mode != MODE_RAW or filename is not None or read or type(value) is not bytes:
            raise CorruptIndex("a row of another kind")
        return value

    def filename(self, key: Any = None, value: Any = None) -> tuple[str, str]:
        """There are no files."""
        raise CorruptIndex("a row that wants a file")

    def remove(self, file_path: Any) -> None:
        """A name in the table is never ours to delete."""


LOG_TRIES = 40
LOG_PAUSE_S = 0.05
"""Seconds between tries to give a fresh index its log, which another process may be doing at the same moment."""


class Index:
    """Lookups and writes by key; opened at the first use. No method raises: trouble becomes a notice, and a miss."""

    def __init__(self, root: Path, writer: Writer, notices: list[str], *, folder: str = "index", synchronous: int = 2) -> None:
        self.folder = root / folder
        self._writer = writer
        self._notices = notices
        self._settings = {**SETTINGS, "sqlite_synchronous": synchronous}
        self._starting = threading.Lock()
        self._thread: ThreadPoolExecutor | None = None
        self._store: diskcache.Cache | None = None
        self._off = False

    @property
    def database(self) -> Path:
        """The one file of diskcache that matters."""
        return self.folder / "cache.db"

    def get(self, keys: Collection[str]) -> dict[str, bytes]:
        """The record of each key that has one. Nothing is made when there is no index yet."""
        if self._off or not keys or self._nothing_noted():
            return {}
        return self._on_thread(lambda: self._guarded(lambda: self._get(keys), dict[str, bytes])).result()

    def set(self, key: str, value: bytes) -> None:
        """Note a record, soon: the thread does it, and trouble there only makes the next lookup slower."""
        if not self._off and len(value) <= RECORD_BYTES_MAX:
            self._on_thread(lambda: self._guarded(lambda: self._set(key, value), lambda: None))

    def drop(self, keys: Collection[str]) -> None:
        """Forget keys. An index that cannot forget is set aside."""
        if self._off or self._nothing_noted():
            return
        self._on_thread(lambda: self._guarded(lambda: self._drop(keys), lambda: None)).result()

    def _nothing_noted(self) -> bool:
        """Whether there is no index, and nothing waits to be written to a new one."""
        return self._thread is None and not self.database.exists()

    def settings(self) -> dict[str, Any]:
        """The settings in force, read back from the open index; {} while it is off."""
        return self._on_thread(lambda: self._guarded(self._read_settings, dict[str, Any])).result()

    def flush(self) -> None:
        """Return when everything that was noted is written."""
        if self._thread is not None:
            self._thread.submit(lambda: None).result()

    def close(self) -> None:
        """Write what is noted, close the connection in its own thread. The index may be used again afterwards."""
        if self._thread is not None:
            self._thread.submit(self._close).result()
            self._thread.shutdown()
            self._thread = None

    def set_aside(self, why: str) -> None:
        """Close, move the folder away as `index.corrupt-<n>`, say so. The next write makes a new one."""
        self._on_thread(lambda: self._set_aside(why)).result()

    # ------------------------------------------------ on the thread

    def _on_thread(self, work: Callable[[], _T]) -> Future[_T]:
        with self._starting:
            if self._thread is None:
                self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="qwenbuild-index")
            return self._thread.submit(work)

    def _guarded(self, work: Callable[[], _T], otherwise: Callable[[], _T]) -> _T:
        """Do `work`. A broken index is moved away; one that is only unavailable is left alone for this process."""
        try:
            return work()
        except (IndexUnavailable, OSError) as error:
            self._switch_off(str(error))
        except sqlite3.Error as error:
            if (getattr(error, "sqlite_errorcode", 0) or 0) & 0xFF in PASSING:
                self._switch_off(str(error))
            else:
                self._set_aside(str(error))
        except (CorruptIndex, TypeError, ValueError, AssertionError) as error:
            self._set_aside(str(error))
        return otherwise()

    def _get(self, keys: Collection[str]) -> dict[str, bytes]:
        store = self._opened()
        values = {}
        for key in keys:
            value = store.get(key, default=_MISSING, retry=False)
            if value is not _MISSING:
                values[key] = value
        return values

    def _set(self, key: str, value: bytes) -> None:
        store = self._opened()
        try:
            store.set(key, value, retry=False)
        except diskcache.Timeout:
            raise IndexUnavailable(self._real_cause()) from None

    def _drop(self, keys: Collection[str]) -> None:
        store = self._opened()
        try:
            for key in keys:
                store.delete(key, retry=False)
        except (diskcache.Timeout, sqlite3.OperationalError):
            self._set_aside("entries could not be removed")

    def _read_settings(self) -> dict[str, Any]:
        store = self._opened()
        return {name: getattr(store, name) for name in self._settings}

    def _opened(self) -> diskcache.Cache:
        if self._off:
            raise IndexUnavailable("off")
        if self._store is None:
            self._store = self._open()
        return self._store

    def _open(self) -> diskcache.Cache:
        path = str(self.folder)
        if os.path.expandvars(os.path.expanduser(path)) != path:
            raise IndexUnavailable(f"diskcache would read {path} as another path")
        self._make()
        inspect(self.database, self._settings)
        store = diskcache.Cache(path, timeout=30, disk=BytesDisk, **self._settings)
        strange = [name for name, value in self._settings.items() if getattr(store, name, None) != value]
        if strange or store.directory != path:
            store.close()
            raise CorruptIndex(f"settings did not hold: {', '.join(strange)}")
        return store

    def _make(self) -> None:
        """The folder and an empty database, both for the owner alone: diskcache would make them readable for all."""
        self._writer.folder(self.folder)
        try:
            self._writer.ops.close(self._writer.ops.open_new(self.database, PRIVATE_MODE))
        except FileExistsError:
            return

    def _real_cause(self) -> str:
        """diskcache says "timeout" for a read-only disk too; ask SQLite itself."""
        connection = sqlite3.connect(f"{self.database.as_uri()}?mode=rw", uri=True, timeout=0, isolation_level=None)
        try:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("ROLLBACK")
        except sqlite3.Error as error:
            return str(error)
        finally:
            connection.close()
        return "locked for 30 seconds"

    def _close(self) -> None:
        if self._store is not None:
            self._store.close()
            self._store = None

    def _switch_off(self, why: str) -> None:
        if not self._off:
            self._notices.append(f"the index {self.folder} cannot be used ({why}); the receipts are read instead")
        self._off = True
        self._close_quietly()

    def _set_aside(self, why: str) -> None:
        self._close_quietly()
        if not self.folder.exists():
            return
        try:
            target = self._writer.move_aside(self.folder, "index.corrupt")
        except OSError as error:
            return self._switch_off(f"{why}; and it cannot be moved away: {error}")
        self._writer.forget(self.folder)
        self._notices.append(
            f"the index was not as this program writes it ({why}); set aside as {target}, nothing is lost: "
            "`qwenbuild cache rebuild` makes it anew from the receipts"
        )

    def _close_quietly(self) -> None:
        try:
            self._close()
        except sqlite3.Error:
            self._store = None


def _use_log(connection: sqlite3.Connection) -> None:
    """Switch an empty database to a write-ahead log; diskcache would try that for a minute while another log stands there."""
    connection.execute("PRAGMA busy_timeout = 0")
    for left in range(LOG_TRIES, 0, -1):
        try:
            connection.execute("PRAGMA journal_mode = wal").fetchall()
            return
        except sqlite3.OperationalError:
            if left == 1:
                raise
            time.sleep(LOG_PAUSE_S)


def inspect(database: Path, settings: Mapping[str, Any]) -> None:
    """Look at a database with plain sqlite3 before diskcache obeys what stands in it.

    Raises CorruptIndex for a setting or a table that we did not write, sqlite3.DatabaseError when it is no database.
    """
    connection = sqlite3.connect(f"{database.as_uri()}?mode=rw", uri=True, timeout=30, isolation_level=None)
    try:
        names = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
        if not names:
            _use_log(connection)
        rows = dict(connection.execute("SELECT key, value FROM Settings")) if "Settings" in names else {}
    finally:
        connection.close()
    if not names <= SCHEMA:
        raise CorruptIndex(f"unknown tables: {', '.join(sorted(map(repr, names - SCHEMA)))[:200]}")
    unknown = rows.keys() - settings.keys() - OTHER_SETTINGS
    if unknown:
        raise CorruptIndex(f"unknown settings: {', '.join(sorted(map(repr, unknown)))[:200]}")
    wrong = [name for name in rows.keys() & OTHER_SETTINGS if type(rows[name]) is not int]
    wrong += [name for name, value in SETTINGS.items() if name in rows and name != "sqlite_synchronous" and rows[name] != value]
    if wrong:
        raise CorruptIndex(f"settings changed: {', '.join(sorted(wrong))}")
