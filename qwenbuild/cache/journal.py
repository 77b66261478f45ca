"""The journal: attempts and money, in SQLite. Authoritative: what cannot be read here is never bought.

Knows no provider, no blob and no plan. Each method is one short transaction, on the platter when it returns.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import time
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from qwenbuild.cache import budget
from qwenbuild.cache.attempts import (
    COLUMNS,
    LIVE,
    PLAIN_FIELDS,
    WIPED,
    Attempt,
    AttemptState,
    Busy,
    Intent,
    attempt_from,
    attempt_of,
    follow,
    price_column,
    price_from,
    row_seal,
    ticket_column,
)
from qwenbuild.cache.database import Database
from qwenbuild.cache.fsops import Writer
from qwenbuild.cache.schema import USER_VERSION
from qwenbuild.cache.seal import without_query
from qwenbuild.errors import CacheError
from qwenbuild.model import Price, Ticket

QUERY_KEYS_MAX = 500
"""Up to this many keys are named in a query; beyond, the rows of interest are few and are all read."""

_NAMES = ", ".join(f"a.{name}" for name in COLUMNS)
_SELECT = f"SELECT {_NAMES}, a.seal, b.body FROM attempts a LEFT JOIN bodies b ON b.attempt = a.id"
_INSERT = f"INSERT INTO attempts ({', '.join(COLUMNS)}, seal) VALUES ({', '.join('?' * (len(COLUMNS) + 1))})"
_LIVE = ", ".join(f"'{state}'" for state in LIVE)


class Journal:
    """Opened at the first use; a look at a journal that is not there makes none."""

    def __init__(
        self, root: Path, writer: Writer, is_alive: Callable[[str], bool], clock: Callable[[], float] = time.time
    ) -> None:
        self._file = Database(root, writer)
        self._is_alive = is_alive
        self._clock = clock

    @property
    def path(self) -> Path:
        """The database's file."""
        return self._file.path

    @property
    def mark(self) -> Path:
        """The file that says that a journal was made once."""
        return self._file.mark

    def writing(self) -> AbstractContextManager[sqlite3.Connection]:
        """A transaction of the journal's own, for `cache rebuild`."""
        return self._file.writing()

    def start_over(self) -> None:
        """The file is being set aside on purpose: the next use may find another."""
        self._file.start_over()

    def check_writable(self) -> None:
        """Commit a transaction that changes nothing of an attempt. Raises CacheError."""
        with self._file.writing() as db:
            db.execute("DELETE FROM reservations WHERE id < 0")
            db.execute(f"PRAGMA user_version = {USER_VERSION}")

    def check(self) -> None:
        """Read the whole journal. Raises CacheError when a bit of it cannot be trusted."""
        self._file.check()

    def close(self) -> None:
        """Close the connection; the next use opens it again."""
        self._file.close()

    # ------------------------------------------------ an attempt's life

    def begin(self, intent: Intent) -> Attempt | Busy:
        """Write down the intent to buy, before anything is sent; Busy when an open attempt of the key exists.

        A doubt that `names_attempt` names is given up in the same transaction. Raises CacheError when the journal cannot
        be trusted or written.
        """
        return self.begin_many([intent])[0]

    def begin_many(self, intents: Sequence[Intent]) -> list[Attempt | Busy]:
        """`begin` for several keys in one transaction: all of them are written down, or none."""
        rows = [(self._intent_row(intent), intent.body) for intent in intents]
        return self._file.change(lambda db: [self._begin(db, row, body) for row, body in rows])

    def _intent_row(self, intent: Intent) -> dict[str, Any]:
        now = self._clock()
        return {
            **dict.fromkeys(COLUMNS, ""),
            **{name: getattr(intent, name) for name in PLAIN_FIELDS},
            "id": uuid.uuid4().hex,
            "state": str(AttemptState.INTENT),
            "action": json.dumps(dict(intent.action), sort_keys=True, separators=(",", ":")),
            "price": price_column(intent.price),
            "reserved": price_column(intent.reserved if intent.reserved is not None else intent.price or {}),
            "ticket": None,
            "sent": now,
            "updated": now,
            "billed": None,
        }

    def _begin(self, db: sqlite3.Connection, row: dict[str, Any], body: bytes | Callable[[int], bytes]) -> Attempt | Busy:
        key, build = row["key"], row["build"]
        holder = self._one(db, f"WHERE a.key = ? AND a.state IN ({_LIVE})", (key,))
        if holder is not None:
            if holder.id != row["names_attempt"] or holder.state is not AttemptState.DOUBT:
                return Busy(holder)
            self._change(db, holder.id, AttemptState.DROPPED)
        (last,) = db.execute("SELECT COALESCE(MAX(generation), -1) FROM attempts WHERE key = ?", (key,)).fetchone()
        data = body(last + 1) if callable(body) else body
        row.update(generation=last + 1, body_sha256=hashlib.sha256(data).hexdigest(), session=budget.session_of(db, build))
        begun = self._insert(db, row, data)
        budget.give_back(db, build, price_from(row["reserved"]) or {})
        return begun

    def ticket(self, attempt: str, ticket: Ticket) -> Attempt:
        """The provider accepted. Its bytes, where it brought some, must be a blob by now: only the digest is kept."""
        return self._move(attempt, AttemptState.TICKET, **_ticketed(ticket))

    def ticket_many(self, tickets: Mapping[str, Ticket]) -> None:
        """`ticket` for several attempts in one transaction: all of them, or none."""
        changes = {attempt: _ticketed(ticket) for attempt, ticket in tickets.items()}
        self._file.change(lambda db: [self._change(db, id, AttemptState.TICKET, **new) for id, new in changes.items()])

    def ready(self, attempt: str, url: str, code: str = "", message: str = "") -> Attempt:
        """The picture is made and waits at `url`, for a day at most; `code` and `message` tell why it is not here yet."""
        return self._move(attempt, AttemptState.READY, url=url, code=code, message=message)

    def stored(self, attempt: str, digest: str, billed: Price | None = None) -> Attempt:
        """The blob and the receipt are durable. Signed links are wiped. Saying it twice is harmless."""
        return self._file.change(lambda db: self._stored(db, attempt, digest, billed))

    def stored_many(self, pictures: Mapping[str, tuple[str, Price | None]]) -> None:
        """`stored` for several attempts in one transaction, each with its digest and what was billed: all, or none."""
        self._file.change(lambda db: [self._stored(db, attempt, *made) for attempt, made in pictures.items()])

    def _stored(self, db: sqlite3.Connection, attempt: str, digest: str, billed: Price | None) -> Attempt:
        values, now = self._row(db, attempt)
        if now.state is AttemptState.STORED and now.digest == digest:
            return now
        changes = {"digest": digest, "code": "", "message": "", **_billed(billed)}
        return self._changed(db, values, now, AttemptState.STORED, changes)

    def fail(self, attempt: str, code: str, message: str, billed: Price | None = None) -> Attempt:
        """It is known that no picture comes; its price is given back, unless `billed` says that something was charged."""
        return self._move(attempt, AttemptState.FAILED, code=code, message=message, **_billed(billed))

    def refuse(self, attempt: str, code: str, message: str, digest: str = "") -> Attempt:
        """This very key is refused: by the provider, not charged; or by our check of the bytes with `digest`, charged."""
        fields = {"digest": digest} if digest else {}
        return self._move(attempt, AttemptState.REFUSED, code=code, message=message, **fields)

    def doubt(self, attempt: str, code: str, message: str) -> Attempt:
        """Nobody can know; a person decides."""
        return self._move(attempt, AttemptState.DOUBT, code=code, message=message)

    def drop(self, attempt: str) -> Attempt:
        """A person gives the attempt up, perhaps charged. Its code and message stay for the ledger."""
        return self._move(attempt, AttemptState.DROPPED)

    def reopen(self, attempt: str) -> Attempt:
        """The same attempt, same generation and body, is sent again after "nothing was sent".

        Raises CacheError when another build began one in between: an answer that could be overlooked would be paid twice.
        """
        with self._file.writing() as db:
            _, now = self._row(db, attempt)
            holder = self._one(db, f"WHERE a.key = ? AND a.state IN ({_LIVE})", (now.key,))
            if holder is not None:
                words = "another build is buying this picture now; the next build finds it in the cache"
                raise CacheError(words, code="journal-busy")
            if not now.body:
                raise CacheError(f"attempt {now.id} cannot be sent again, a later one took its place", code="journal-edge")
            return self._change(db, now.id, AttemptState.INTENT, code="", message="", sent=self._clock())

    def takeover(self, attempt: str, build: str, project: str | None = None) -> bool:
        """Make `build` the owner of an attempt whose owner is dead. False when somebody alive has it.

        What it costs counts against the budget of `build` from then on, unless it is another project's than `project`.
        """
        with self._file.writing() as db:
            values, now = self._row(db, attempt)
            if now.build == build:
                return True
            if self._is_alive(now.build):
                return False
            is_own = project in (None, now.project)
            self._update(db, values, {"build": build, **({"session": budget.session_of(db, build)} if is_own else {})})
            return True

    # ------------------------------------------------ questions

    def get(self, prefix: str) -> Attempt | None:
        """The attempt whose id begins so; None when there is none. Raises CacheError when there are several."""
        matches = self._all("WHERE substr(a.id, 1, ?) = ? LIMIT 2", (len(prefix), prefix.lower())) if prefix else []
        if len(matches) > 1:
            raise CacheError(f"several attempts begin with {prefix}; give more of the id", code="journal-prefix")
        return matches[0] if matches else None

    def live(self, keys: Collection[str] | None = None, project: str | None = None) -> list[Attempt]:
        """Open attempts, oldest first: of these keys, of this project, or all."""
        key_set = None if keys is None else frozenset(keys)
        parameters = () if key_set is None or len(key_set) > QUERY_KEYS_MAX else tuple(key_set)
        among = f" AND a.key IN ({', '.join('?' * len(parameters))})" if parameters else ""
        attempts = self._all(f"WHERE a.state IN ({_LIVE}){among} ORDER BY a.sent, a.rowid", parameters, key_set)
        return [item for item in attempts if project in (None, item.project)]

    def doubts(self) -> list[Attempt]:
        """Attempts in doubt, oldest first."""
        return self._all("WHERE a.state = 'doubt' ORDER BY a.sent, a.rowid")

    def by_key(self, keys: Collection[str]) -> dict[str, list[Attempt]]:
        """Every attempt of these keys, by generation; one query however many keys."""
        if len(keys) <= QUERY_KEYS_MAX:
            marks = ", ".join("?" * len(keys))
            rows = self._all(f"WHERE a.key IN ({marks}) ORDER BY a.generation", tuple(keys))
        else:
            rows = self._all("ORDER BY a.generation", keys=frozenset(keys))
        by_key: dict[str, list[Attempt]] = {}
        for item in rows:
            by_key.setdefault(item.key, []).append(item)
        return by_key

    def stored_digests(self, keys: Collection[str]) -> dict[str, set[str]]:
        """For each key of which a picture was stored: the digests. Quick, however long the ledger; rows are not judged."""
        among = frozenset(keys)
        parameters = tuple(among) if len(among) <= QUERY_KEYS_MAX else ()
        where = f" AND key IN ({', '.join('?' * len(parameters))})" if parameters else ""
        digests: dict[str, set[str]] = {}
        with self._file.reading() as db:
            if db is not None and among:
                for key, digest in db.execute(f"SELECT key, digest FROM attempts WHERE state = 'stored'{where}", parameters):
                    if key in among:
                        digests.setdefault(key, set()).add(digest)
        return digests

    def refused(self, keys: Collection[str]) -> dict[str, Attempt]:
        """For each key whose newest attempt was refused: that attempt."""
        newest = "(SELECT MAX(generation) FROM attempts c WHERE c.key = a.key)"
        key_set = frozenset(keys)
        return {item.key: item for item in self._all(f"WHERE a.state = 'refused' AND a.generation = {newest}", keys=key_set)}

    def attempts(self, project: str | None = None) -> Iterator[Attempt]:
        """The ledger: every attempt, oldest first."""
        yield from (item for item in self._all("ORDER BY a.sent, a.rowid") if project in (None, item.project))

    def stored_entries(self, project: str) -> set[str]:
        """The ids of this project's entries for which a picture was bought and stored; quick, however long the ledger."""
        with self._file.reading() as db:
            if db is None:
                return set()
            rows = db.execute("SELECT DISTINCT entry FROM attempts WHERE project = ? AND state = 'stored'", (project,))
            return {entry for (entry,) in rows}

    def given_up(self) -> set[str]:
        """The keys of which a person gave an attempt up."""
        with self._file.reading() as db:
            if db is None:
                return set()
            return {key for (key,) in db.execute("SELECT DISTINCT key FROM attempts WHERE state = 'dropped'")}

    def claimed_tasks(self, account: str) -> set[str]:
        """The task ids of this account that some attempt of this machine already has."""
        with self._file.reading() as db:
            if db is None:
                return set()
            rows = db.execute("SELECT task_id FROM attempts WHERE account = ? AND task_id <> ''", (account,))
            return {task for (task,) in rows}

    def is_alive(self, build: str) -> bool:
        """Does that build still run on this machine?"""
        return self._is_alive(build)

    # ------------------------------------------------ budget

    def open_budget(self, build: str, limits: Price, project: str = "") -> None:
        """Take part in the project's session, or begin one. One that a killed build left open is continued."""
        with self._file.writing() as db:
            budget.enter(db, build, project, limits, self._clock())

    def reserve(self, build: str, price: Price | None) -> bool:
        """Hold `price` until `begin` takes it over; False when a unit's limit would be passed. None holds nothing."""
        return self._file.change(lambda db: budget.reserve(db, build, price or {}, self._is_alive))

    def settle(self, build: str, price: Price | None) -> None:
        """Give back a reservation that no `begin` took over."""
        self._file.change(lambda db: budget.give_back(db, build, price or {}))

    def spent(self, build: str) -> Price:
        """By unit: what the session of this build has cost, may have cost, or holds."""
        with self._file.reading() as db:
            return {} if db is None else budget.spent(db, build, self._is_alive)

    def close_budget(self, build: str) -> None:
        """The build exits as it should; the session ends with the last living build in it."""
        with self._file.writing() as db:
            budget.leave(db, build, self._is_alive, self._clock())

    # ------------------------------------------------ rows

    def _insert(self, db: sqlite3.Connection, row: Mapping[str, Any], body: bytes) -> Attempt:
        values = [row[name] for name in COLUMNS]
        db.execute("DELETE FROM bodies WHERE attempt IN (SELECT id FROM attempts WHERE key = ?)", (row["key"],))
        db.execute(_INSERT, (*values, row_seal(values)))
        db.execute("INSERT INTO bodies VALUES (?, ?)", (row["id"], body))
        return attempt_from(values, body)

    def _move(self, attempt: str, state: AttemptState, **changes: Any) -> Attempt:
        return self._file.change(lambda db: self._change(db, attempt, state, **changes))

    def _change(self, db: sqlite3.Connection, attempt: str, state: AttemptState, **changes: Any) -> Attempt:
        values, now = self._row(db, attempt)
        return self._changed(db, values, now, state, changes)

    def _changed(
        self, db: sqlite3.Connection, values: Sequence[Any], now: Attempt, state: AttemptState, changes: Mapping[str, Any]
    ) -> Attempt:
        new, body = {**changes, "state": str(follow(now.state, state))}, now.body
        if state in WIPED:
            new["url"] = ""
            if now.ticket is not None:
                new["ticket"] = ticket_column(now.ticket, wiped=True)
            db.execute("DELETE FROM bodies WHERE attempt = ?", (now.id,))
            body = b""
        if "message" in new:
            new["message"] = without_query(new["message"])
        return attempt_from(self._update(db, values, new), body or None)

    def _update(self, db: sqlite3.Connection, values: Sequence[Any], changes: Mapping[str, Any]) -> list[Any]:
        """Write a row anew, with its seal; its values then."""
        row = {**dict(zip(COLUMNS, values, strict=True)), **changes, "updated": self._clock()}
        names, whole = [*changes, "updated", "seal"], [row[name] for name in COLUMNS]
        new = [*changes.values(), row["updated"], row_seal(whole)]
        db.execute(f"UPDATE attempts SET {', '.join(name + ' = ?' for name in names)} WHERE id = ?", (*new, row["id"]))
        return whole

    def _row(self, db: sqlite3.Connection, attempt: str) -> tuple[Sequence[Any], Attempt]:
        """An attempt, and the values of its columns. Raises CacheError."""
        row = db.execute(f"{_SELECT} WHERE a.id = ?", (attempt,)).fetchone()
        if row is None:
            raise CacheError(f"there is no attempt {attempt[:40]!r} in {self.path}", code="journal-unknown")
        return row[: len(COLUMNS)], attempt_of(row)

    def _one(self, db: sqlite3.Connection, where: str, values: tuple[Any, ...]) -> Attempt | None:
        row = db.execute(f"{_SELECT} {where}", values).fetchone()
        return None if row is None else attempt_of(row)

    def _all(self, where: str, values: tuple[Any, ...] = (), keys: frozenset[str] | None = None) -> list[Attempt]:
        with self._file.reading() as db:
            if db is None:
                return []
            key = COLUMNS.index("key")
            rows = db.execute(f"{_SELECT} {where}", values)
            return [attempt_of(row) for row in rows if keys is None or row[key] in keys]


def _ticketed(ticket: Ticket) -> dict[str, str]:
    named = {"task_id": ticket.task_id, "url": ticket.url, "digest": ticket.digest}
    return {"ticket": ticket_column(ticket), **named, "code": "", "message": ""}


def _billed(billed: Price | None) -> dict[str, str | None]:
    return {} if billed is None else {"billed": price_column(billed)}
