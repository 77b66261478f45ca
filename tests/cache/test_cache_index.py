"""The index: right settings, no trust in its rows, and never the only copy."""

from __future__ import annotations

import ast
import errno
import os
import pickle
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import diskcache
import pytest
from cachelab import key, store

import qwenbuild
from qwenbuild.cache import Cache
from qwenbuild.cache.fsops import Writer
from qwenbuild.cache.index import RECORD_BYTES_MAX, SETTINGS, BytesDisk, CorruptIndex, Index

PACKAGE = Path(qwenbuild.__file__).parent
FORBIDDEN = {
    "memoize",
    "transact",
    "cull",
    "expire",
    "evict",
    "push",
    "pull",
    "peek",
    "peekitem",
    "incr",
    "decr",
    "touch",
    "check",
}


@pytest.fixture
def index(root: Path) -> Index:
    return Index(root, Writer(root), [])


def change(database: Path, statement: str, *values: Any) -> None:
    connection = sqlite3.connect(database)
    connection.execute(statement, values)
    connection.commit()
    connection.close()


def test_the_settings_in_force_are_the_ones_that_evict_nothing(cache: Cache) -> None:
    store(cache, 1)
    assert cache.index.settings() == SETTINGS
    assert SETTINGS == {
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


def test_the_settings_hold_in_the_open_database(cache: Cache) -> None:
    store(cache, 1)
    cache.index.flush()
    connection = sqlite3.connect(cache.root / "index" / "cache.db")
    rows = dict(connection.execute("SELECT key, value FROM Settings"))
    connection.close()
    assert {name: rows[name] for name in SETTINGS} == SETTINGS


def test_the_folder_and_the_database_are_closed_to_others(cache: Cache) -> None:
    store(cache, 1)
    cache.index.flush()
    folder = cache.root / "index"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert [path.stat().st_mode & 0o777 for path in folder.iterdir()] == [0o600] * len(list(folder.iterdir()))


class Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, (os.environ["BOMB"],))


def tampered() -> dict[str, Callable[[Path, Path], None]]:
    def pickled(database: Path, victim: Path) -> None:
        change(database, "UPDATE Cache SET mode = 4, value = ?", pickle.dumps(Bomb()))

    def foreign_file(database: Path, victim: Path) -> None:
        change(database, "UPDATE Cache SET mode = 2, filename = ?, value = NULL", str(victim))

    def pickled_key(database: Path, victim: Path) -> None:
        change(database, "UPDATE Cache SET raw = 0, key = ?", pickle.dumps(Bomb()))

    def text_file(database: Path, victim: Path) -> None:
        change(database, "UPDATE Cache SET mode = 3, filename = ?", str(victim))

    def setting_as_method(database: Path, victim: Path) -> None:
        change(database, "INSERT INTO Settings VALUES ('get', 'x')")

    def setting_as_pragma(database: Path, victim: Path) -> None:
        change(database, "INSERT INTO Settings VALUES ('sqlite_writable_schema', 1)")

    def eviction_on(database: Path, victim: Path) -> None:
        change(database, "UPDATE Settings SET value = 'least-recently-stored' WHERE key = 'eviction_policy'")

    def small_limit(database: Path, victim: Path) -> None:
        change(database, "UPDATE Settings SET value = 1000 WHERE key = 'size_limit'")

    def pragma_text(database: Path, victim: Path) -> None:
        change(database, "UPDATE Settings SET value = '1; DROP TABLE Cache' WHERE key = 'sqlite_cache_size'")

    def trigger(database: Path, victim: Path) -> None:
        change(database, "CREATE TRIGGER evil AFTER INSERT ON Cache BEGIN DELETE FROM Cache; END")

    def garbage(database: Path, victim: Path) -> None:
        database.write_bytes(b"not a database at all" * 100)

    return {name: value for name, value in locals().items() if callable(value)}


@pytest.mark.parametrize("name", tampered())
def test_a_tampered_row_runs_nothing_deletes_nothing_and_loses_nothing(
    cache: Cache, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BOMB", str(tmp_path / "exploded"))
    victim = tmp_path / "victim"
    victim.write_bytes(b"somebody's file")
    made = store(cache, 1)
    cache.close()
    database = cache.root / "index" / "cache.db"
    tampered()[name](database, victim)
    with Cache.open(cache.root) as later:
        assert later.results([key(1)]) == {key(1): (made,)}
        store(later, 1)
        store(later, 2)
        later.index.flush()
        assert later.results([key(2)]).keys() == {key(2)}
        settings = later.index.settings()
    assert settings in (SETTINGS, {})
    assert not (tmp_path / "exploded").exists()
    assert victim.read_bytes() == b"somebody's file"


@pytest.mark.parametrize(
    "name",
    ["pickled", "foreign_file", "setting_as_method", "setting_as_pragma", "pragma_text", "eviction_on", "trigger", "garbage"],
)
def test_a_tampered_index_is_set_aside_and_said_so(
    cache: Cache, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BOMB", str(tmp_path / "exploded"))
    store(cache, 1)
    cache.close()
    tampered()[name](cache.root / "index" / "cache.db", tmp_path / "victim")
    with Cache.open(cache.root) as later:
        later.results([key(1)])
        assert (cache.root / "index.corrupt-1").is_dir()
        assert any("set aside" in notice for notice in later.notices)


def test_an_entry_without_its_seal_is_a_miss_and_a_warning(cache: Cache) -> None:
    made = store(cache, 1)
    cache.close()
    database = cache.root / "index" / "cache.db"
    change(database, "UPDATE Cache SET value = CAST(replace(CAST(value AS TEXT), '0.03', '9.99') AS BLOB)")
    with Cache.open(cache.root) as later:
        assert later.results([key(1)]) == {key(1): (made,)}
        assert any("broken" in notice for notice in later.notices)


def test_an_entry_moved_to_another_key_is_not_believed(cache: Cache) -> None:
    store(cache, 1)
    cache.close()
    change(cache.root / "index" / "cache.db", "UPDATE Cache SET key = ?", key(2))
    with Cache.open(cache.root) as later:
        assert later.results([key(2)]) == {}


def test_two_broken_indexes_are_kept_side_by_side(cache: Cache) -> None:
    for number in (1, 2):
        store(cache, number)
        cache.close()
        (cache.root / "index" / "cache.db").write_bytes(b"garbage" * 1000)
        with Cache.open(cache.root) as later:
            later.results([key(1)])
            store(later, 3)
        cache = Cache.open(cache.root)
    assert (cache.root / "index.corrupt-2").is_dir()
    cache.close()


def test_the_disk_takes_only_text_and_short_bytes(tmp_path: Path) -> None:
    disk = BytesDisk(str(tmp_path))
    for wrong in (b"bytes", 1, None, ("a",)):
        with pytest.raises(TypeError):
            disk.put(wrong)
    for wrong in ("text", 1, bytearray(b"x"), b"x" * (RECORD_BYTES_MAX + 1)):
        with pytest.raises(TypeError):
            disk.store(wrong, False)
    with pytest.raises(TypeError):
        disk.store(b"x", True)
    for row in (
        (2, None, b"x", False),
        (1, "f", b"x", False),
        (1, None, "x", False),
        (1, None, b"x", True),
        (4, None, b"x", False),
    ):
        with pytest.raises(CorruptIndex):
            disk.fetch(*row)
    for raw in (0, 2, None):
        with pytest.raises(CorruptIndex):
            disk.get("k", raw)
    with pytest.raises(CorruptIndex):
        disk.filename()
    outsider = tmp_path / "keep"
    outsider.write_text("x")
    disk.remove(str(outsider))
    assert outsider.exists()


def test_an_index_planted_by_plain_diskcache_is_refused(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BOMB", str(tmp_path / "exploded"))
    planted = diskcache.Cache(str(root / "index"))
    planted.set(key(1), Bomb())
    planted.close()
    with Cache.open(root) as cache:
        assert cache.results([key(1)]) == {}
    assert not (tmp_path / "exploded").exists()


def test_a_read_only_disk_is_said_with_its_real_cause_and_the_index_is_left_where_it_is(
    cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = store(cache, 1)
    cache.index.flush()

    def refused(*args: object, **kwargs: object) -> None:
        raise diskcache.Timeout

    monkeypatch.setattr(diskcache.Cache, "set", refused)
    monkeypatch.setattr(Index, "_real_cause", lambda self: "attempt to write a readonly database")
    store(cache, 2)
    cache.index.flush()
    assert any("readonly database" in notice for notice in cache.notices)
    assert cache.results([key(1)]) == {key(1): (made,)}
    assert (cache.root / "index").is_dir()


def test_a_lock_held_elsewhere_is_named_as_the_cause(index: Index) -> None:
    index.set(key(1), b"x")
    index.flush()
    holder = sqlite3.connect(index.database, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    try:
        assert "locked" in index._real_cause()
    finally:
        holder.close()
        index.close()


def test_too_many_open_files_is_no_reason_to_set_the_index_aside(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    made = store(cache, 1)
    cache.close()

    def refused(*args: object, **kwargs: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    with Cache.open(cache.root) as later:
        monkeypatch.setattr("qwenbuild.cache.index.inspect", refused)
        assert later.results([key(1)]) == {key(1): (made,)}
        assert not list(cache.root.glob("index.corrupt*"))


def test_all_access_is_on_one_thread_whoever_asks(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    threads = set()
    real = Index._get
    monkeypatch.setattr(Index, "_get", lambda self, keys: (threads.add(threading.current_thread().name), real(self, keys))[1])
    store(cache, 1)
    cache.close()
    workers = [threading.Thread(target=lambda: cache.results([key(1)])) for _ in range(5)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    cache.results([key(1)])
    assert len(threads) == 1
    assert threads != {"MainThread"}


def test_a_path_that_diskcache_would_expand_gets_no_index_and_nothing_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ELSEWHERE", str(tmp_path / "elsewhere"))
    with Cache.open(tmp_path / "$ELSEWHERE") as cache:
        made = store(cache, 1)
        assert cache.results([key(1)]) == {key(1): (made,)}
        assert any("another path" in notice for notice in cache.notices)
    assert not (tmp_path / "elsewhere").exists()


def test_two_processes_worth_of_caches_write_one_index(cache: Cache) -> None:
    with Cache.open(cache.root) as other:
        for number in range(20):
            store(cache if number % 2 else other, number)
        cache.index.flush()
        other.index.flush()
        assert len(cache.index.get([key(n) for n in range(20)])) == 20


def test_a_picture_that_is_removed_is_not_noted_by_a_write_that_was_still_waiting(index: Index) -> None:
    """The first note has not made the database yet when its key is dropped."""
    goes_on = threading.Event()
    index._on_thread(goes_on.wait)
    index.set(key(1), b"one")
    dropping = threading.Thread(target=index.drop, args=([key(1)],))
    dropping.start()
    dropping.join(0.2)
    goes_on.set()
    dropping.join()
    index.flush()
    assert index.get([key(1)]) == {}


def test_dropping_keys_that_cannot_be_dropped_sets_the_index_aside(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    store(cache, 1)
    cache.index.flush()

    def refused(*args: object, **kwargs: object) -> None:
        raise diskcache.Timeout

    monkeypatch.setattr(diskcache.Cache, "delete", refused)
    cache.forget_index([key(1)])
    assert (cache.root / "index.corrupt-1").is_dir()


def sources() -> list[tuple[Path, ast.AST]]:
    return [(path, ast.parse(path.read_text(encoding="utf-8"))) for path in sorted(PACKAGE.rglob("*.py"))]


def test_only_the_index_imports_diskcache() -> None:
    importers = set()
    for path, tree in sources():
        for node in ast.walk(tree):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            if any(name.split(".")[0] == "diskcache" for name in names):
                importers.add(path.relative_to(PACKAGE).as_posix())
    assert importers == {"cache/index.py"}


def test_no_call_that_evicts_spins_or_pickles_is_in_the_package() -> None:
    found = []
    for path, tree in sources():
        for node in ast.walk(tree):
            where = f"{path.relative_to(PACKAGE)}:{getattr(node, 'lineno', 0)}"
            if isinstance(node, ast.Attribute) and node.attr in {"memoize", "transact", "FanoutCache", "Deque", "JSONDisk"}:
                found.append(f"{where} {node.attr}")
            if (
                isinstance(node, ast.keyword)
                and node.arg in {"expire", "retry"}
                and getattr(node.value, "value", 1) is not False
            ):
                found.append(f"{where} {node.arg}=")
            if isinstance(node, ast.Import | ast.ImportFrom) and {alias.name for alias in node.names} & {
                "pickle",
                "shelve",
                "marshal",
            }:
                found.append(f"{where} pickle")
    assert found == []


def test_the_index_uses_set_get_and_delete_of_the_store_and_nothing_else() -> None:
    tree = ast.parse((PACKAGE / "cache" / "index.py").read_text(encoding="utf-8"))
    used = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "store"
    }
    subscripts = [
        node for node in ast.walk(tree) if isinstance(node, ast.Subscript) and getattr(node.value, "id", "") == "store"
    ]
    assert used <= {"set", "get", "delete", "close", "directory"}
    assert subscripts == []
    assert not used & FORBIDDEN


class StandIn:
    """The index's contract on a dict: what a replacement for diskcache would have to keep."""

    def __init__(self) -> None:
        self.rows: dict[str, bytes] = {}

    def get(self, keys: Any) -> dict[str, bytes]:
        return {name: self.rows[name] for name in keys if name in self.rows}

    def set(self, name: str, value: bytes) -> None:
        if len(value) <= RECORD_BYTES_MAX:
            self.rows[name] = value

    def drop(self, keys: Any) -> None:
        for name in keys:
            self.rows.pop(name, None)

    def flush(self) -> None: ...

    def close(self) -> None: ...


@pytest.mark.parametrize(
    "make", [lambda root: Index(root, Writer(root), []), lambda root: StandIn()], ids=["diskcache", "stand-in"]
)
def test_the_contract_of_an_index(root: Path, make: Callable[[Path], Any]) -> None:
    index = make(root)
    assert index.get([key(1)]) == {}
    index.set(key(1), b"one")
    index.set(key(2), b"")
    index.set(key(3), b"x" * (RECORD_BYTES_MAX + 1))
    index.set(key(1), b"ONE")
    index.flush()
    assert index.get([key(n) for n in range(5)]) == {key(1): b"ONE", key(2): b""}
    index.drop([key(1), key(4)])
    assert index.get([key(1), key(2)]) == {key(2): b""}
    index.close()
    assert index.get([key(2)]) == {key(2): b""}
    index.close()


def test_a_lost_folder_under_an_open_index_is_not_an_error(cache: Cache) -> None:
    made = store(cache, 1)
    cache.index.flush()
    shutil.rmtree(cache.root / "index")
    assert cache.results([key(1)]) == {key(1): (made,)}
    store(cache, 2)
    cache.index.flush()


def test_an_emptied_index_whose_log_another_process_holds_holds_nobody_up(cache: Cache) -> None:
    """diskcache would try for a minute to give such a file a log of its own."""
    store(cache, 1)
    cache.index.flush()
    cache.index.database.write_bytes(b"")
    with Cache.open(cache.root) as other:
        started = time.monotonic()
        assert [item.key for item in other.results([key(1)])[key(1)]] == [key(1)]
        assert time.monotonic() - started < 10
