"""The journal's tables, and how its database is opened: DELETE journal, synchronous EXTRA, nothing trusted from the file.

Knows no rule of money but the edges between states, which the database enforces by itself.
"""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Iterable
from pathlib import Path

from qwenbuild.cache.attempts import COLUMNS, EDGES, LIVE, AttemptState

USER_VERSION = 1
BUSY_S = 30.0
EXTRA = 3


def _quoted(words: Iterable[str]) -> str:
    return ", ".join(f"'{word}'" for word in sorted(map(str, words)))


_NUMBERS = {"generation": "INTEGER NOT NULL CHECK (generation >= 0)", "sent": "REAL NOT NULL", "updated": "REAL NOT NULL"}
_KINDS = {
    **_NUMBERS,
    "id": "TEXT PRIMARY KEY CHECK (length(id) = 32)",
    "key": "TEXT NOT NULL CHECK (length(key) = 64)",
    "state": f"TEXT NOT NULL CHECK (state IN ({_quoted(AttemptState)}))",
    "price": "TEXT",
    "billed": "TEXT",
    "ticket": "TEXT",
    "session": "INTEGER",
}
_ATTEMPT_COLUMNS = ",\n  ".join(f"{name} {_KINDS.get(name, 'TEXT NOT NULL')}" for name in COLUMNS)
_LEGAL = _quoted(f"{now}>{then}" for now, targets in EDGES.items() for then in targets)

TABLES = f"""
CREATE TABLE attempts (
  {_ATTEMPT_COLUMNS},
  seal TEXT NOT NULL,
  UNIQUE (key, generation),
  CHECK (state <> 'stored' OR length(digest) = 64),
  CHECK (state NOT IN ('ticket', 'ready') OR ticket IS NOT NULL),
  CHECK (state <> 'stored' OR url = '')
);
CREATE UNIQUE INDEX one_live_attempt ON attempts (key) WHERE state IN ({_quoted(LIVE)});
CREATE INDEX attempts_by_state ON attempts (state);
CREATE INDEX attempts_by_session ON attempts (session);
CREATE TABLE bodies (attempt TEXT PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE sessions (id INTEGER PRIMARY KEY, project TEXT NOT NULL, opened REAL NOT NULL, closed REAL);
CREATE UNIQUE INDEX one_open_session ON sessions (project) WHERE closed IS NULL;
CREATE TABLE members (build TEXT PRIMARY KEY, session INTEGER NOT NULL, limits TEXT NOT NULL);
CREATE TABLE reservations (id INTEGER PRIMARY KEY, build TEXT NOT NULL, price TEXT NOT NULL);
"""

TRIGGERS = f"""
CREATE TRIGGER born_as_intent BEFORE INSERT ON attempts WHEN NEW.state <> 'intent'
BEGIN SELECT RAISE(ABORT, 'an attempt begins as an intent'); END;
CREATE TRIGGER legal_edges BEFORE UPDATE OF state ON attempts
WHEN (OLD.state || '>' || NEW.state) NOT IN ({_LEGAL})
BEGIN SELECT RAISE(ABORT, 'an illegal change of state'); END;
CREATE TRIGGER same_attempt BEFORE UPDATE OF id, key, generation ON attempts
WHEN OLD.id <> NEW.id OR OLD.key <> NEW.key OR OLD.generation <> NEW.generation
BEGIN SELECT RAISE(ABORT, 'an attempt keeps its key and generation'); END;
CREATE TRIGGER never_forgotten BEFORE DELETE ON attempts
BEGIN SELECT RAISE(ABORT, 'the ledger is never shortened'); END;
"""


def connect(path: Path) -> sqlite3.Connection:
    """An existing database, opened with every guard; never made. Raises sqlite3.Error."""
    connection = sqlite3.connect(
        f"{path.as_uri()}?mode=rw", uri=True, timeout=BUSY_S, isolation_level=None, check_same_thread=False
    )
    try:
        settle(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def settle(connection: sqlite3.Connection) -> None:
    """Set what SQLite keeps for each connection, and see that it took.

    EXTRA also syncs the folder after a commit removed its journal (sqlite.org/pragma.html): without, a commit may roll back.
    """
    run = connection.execute
    run("PRAGMA trusted_schema = OFF")
    run("PRAGMA secure_delete = ON")
    run("PRAGMA temp_store = MEMORY")
    run("PRAGMA mmap_size = 0")
    run(f"PRAGMA synchronous = {EXTRA}")
    if sys.platform == "darwin":  # pragma: no cover
        run("PRAGMA fullfsync = 1")
    (mode,) = run("PRAGMA journal_mode = DELETE").fetchone()
    (level,) = run("PRAGMA synchronous").fetchone()
    if (mode, level) != ("delete", EXTRA):
        raise sqlite3.OperationalError(f"journal_mode is {mode} and synchronous {level}, not delete and {EXTRA}")


def version(connection: sqlite3.Connection) -> int:
    """The schema's number, 0 for a database without tables."""
    (number,) = connection.execute("PRAGMA user_version").fetchone()
    return int(number)


def create(connection: sqlite3.Connection) -> None:
    """Make the tables in one transaction, once, whoever else is trying."""
    connection.execute("BEGIN EXCLUSIVE")
    try:
        if version(connection) == 0:
            for statement in (*split(TABLES), *split(TRIGGERS)):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {USER_VERSION}")
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def split(script: str) -> list[str]:
    """The statements of a script, a trigger's body kept whole."""
    statements, current = [], ""
    for line in script.strip().splitlines():
        current += line + "\n"
        if sqlite3.complete_statement(current):
            statements.append(current)
            current = ""
    return statements
