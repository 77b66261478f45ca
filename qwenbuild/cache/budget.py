"""A project's session: what its builds have spent since the last one that exited as it should, against their limits.

Knows no attempt's life; works inside the journal's transaction.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from decimal import Decimal

from qwenbuild.cache.attempts import COSTS, price_column, price_from
from qwenbuild.model import Price

_COSTS = ", ".join(f"'{state}'" for state in COSTS)
_CHARGED = f"billed IS NOT NULL OR state IN ({_COSTS}) OR (state = 'refused' AND digest <> '')"


def session_of(db: sqlite3.Connection, build: str) -> int | None:
    """The session a build takes part in; None without a budget."""
    row = db.execute("SELECT session FROM members WHERE build = ?", (build,)).fetchone()
    return None if row is None else int(row[0])


def enter(db: sqlite3.Connection, build: str, project: str, limits: Price, now: float) -> None:
    """Join the project's open session, which a killed build may have left, or open one. `now` is in wall seconds."""
    row = db.execute("SELECT id FROM sessions WHERE project = ? AND closed IS NULL", (project,)).fetchone()
    session = row[0] if row else db.execute("INSERT INTO sessions (project, opened) VALUES (?, ?)", (project, now)).lastrowid
    db.execute("INSERT OR REPLACE INTO members VALUES (?, ?, ?)", (build, session, price_column(limits)))


def reserve(db: sqlite3.Connection, build: str, price: Price, is_alive: Callable[[str], bool]) -> bool:
    """Hold an amount when every limited unit allows it."""
    row = db.execute("SELECT limits FROM members WHERE build = ?", (build,)).fetchone()
    if row is None or not price:
        return True
    limits, spending = price_from(row[0]) or {}, spent(db, build, is_alive)
    if any(spending.get(unit, Decimal(0)) + amount > limits[unit] for unit, amount in price.items() if unit in limits):
        return False
    db.execute("INSERT INTO reservations (build, price) VALUES (?, ?)", (build, price_column(price)))
    return True


def give_back(db: sqlite3.Connection, build: str, price: Price) -> None:
    """End one reservation of this amount, when there is one."""
    db.execute(
        "DELETE FROM reservations WHERE id = (SELECT id FROM reservations WHERE build = ? AND price = ? LIMIT 1)",
        (build, price_column(price)),
    )


def spent(db: sqlite3.Connection, build: str, is_alive: Callable[[str], bool]) -> Price:
    """By unit: attempts of the session that cost or may have cost, and what its living builds hold."""
    session = session_of(db, build)
    total: dict[str, Decimal] = {}
    rows = db.execute(
        f"SELECT COALESCE(billed, price) FROM attempts WHERE session = ? AND ({_CHARGED})",
        (session,),
    )
    for (text,) in rows:
        _add(total, price_from(text) or {})
    reservations = db.execute(
        "SELECT r.build, r.price FROM reservations r JOIN members m ON m.build = r.build WHERE m.session = ?", (session,)
    ).fetchall()
    alive = {name: name == build or is_alive(name) for name in {name for name, _ in reservations}}
    for name, text in reservations:
        if alive[name]:
            _add(total, price_from(text) or {})
    return total


def leave(db: sqlite3.Connection, build: str, is_alive: Callable[[str], bool], now: float) -> None:
    """A build exits; without another living build in it the session ends. `now` is in wall seconds."""
    session = session_of(db, build)
    if session is None:
        return
    _forget(db, build)
    others = [name for (name,) in db.execute("SELECT build FROM members WHERE session = ?", (session,)).fetchall()]
    if any(is_alive(name) for name in others):
        return
    for name in others:
        _forget(db, name)
    db.execute("UPDATE sessions SET closed = ? WHERE id = ?", (now, session))


def _forget(db: sqlite3.Connection, build: str) -> None:
    db.execute("DELETE FROM reservations WHERE build = ?", (build,))
    db.execute("DELETE FROM members WHERE build = ?", (build,))


def _add(total: dict[str, Decimal], price: Price) -> None:
    for unit, amount in price.items():
        total[unit] = total.get(unit, Decimal(0)) + amount
