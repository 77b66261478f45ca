"""What was paid and what may have been: the ledger, and requests in doubt.

Spends nothing; a doubt is only ever settled by what a person says of it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from qwenbuild import manifest
from qwenbuild.cache import Attempt, AttemptState, Cache, cache_dir
from qwenbuild.catalog import FAMILIES, Catalog
from qwenbuild.errors import InputError, Problem
from qwenbuild.lock import lockfile
from qwenbuild.model import Manifest, Price, Ticket
from qwenbuild.planning.planner import settles
from qwenbuild.project.identity import project_of
from qwenbuild.project.options import STATE, Options
from qwenbuild.project.strays import is_gone

NO_ANSWER = "the request left this machine and no answer was stored; it may have been charged"


@dataclass(frozen=True, slots=True)
class Ledger:
    """Every attempt of the project, and what they cost or may have cost, by unit.

    `total` is the sum of `billed`, which providers said, and `estimated`, by the price list where they said nothing.
    """

    attempts: list[dict[str, Any]]
    total: Price = field(default_factory=dict)
    billed: Price = field(default_factory=dict)
    estimated: Price = field(default_factory=dict)


def spend(options: Options) -> Ledger:
    """The ledger of this project. An amount is as billed where the provider said so, else the estimate."""
    cache, project = _project(options)
    if not cache.has_journal():
        return Ledger([])
    attempts = list(cache.journal.attempts(project))
    billed = _sum(attempt.billed for attempt in attempts if attempt.billed is not None)
    estimated = _sum(attempt.cost for attempt in attempts if attempt.billed is None)
    return Ledger([_line(attempt) for attempt in attempts], _sum((billed, estimated)), billed, estimated)


def _sum(prices: Iterable[Price]) -> Price:
    total: dict[str, Decimal] = {}
    for price in prices:
        for unit, amount in price.items():
            total[unit] = total.get(unit, Decimal(0)) + amount
    return total


def _line(attempt: Attempt) -> dict[str, Any]:
    return {
        "id": attempt.entry,
        "key": attempt.key,
        "attempt": attempt.id,
        "generation": attempt.generation,
        "provider": attempt.provider,
        "model": attempt.model,
        "task_id": attempt.ticket.task_id if attempt.ticket else "",
        "request_id": attempt.ticket.request_id if attempt.ticket else "",
        "outcome": attempt.state.value,
        "price": _price(attempt.cost),
        "estimate": _price(attempt.price),
        "billed": _price(attempt.billed),
        "code": attempt.code,
        "message": attempt.message,
        "sent": _time(attempt.sent),
        "retries": attempt.names_attempt,
    }


def _price(price: Price | None) -> Mapping[str, str] | None:
    return None if price is None else {unit: str(amount) for unit, amount in price.items()}


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def _project(options: Options) -> tuple[Cache, str]:
    """The cache, and by what the journal knows this project; the manifest itself need not be valid."""
    path = manifest.find(options.folder, options.file)
    return Cache.open(cache_dir(os.environ)), project_of(path.parent / STATE, lockfile.path_of(path).resolve())


# ---------------------------------------------------------------- doubts


def doubts(options: Options) -> list[dict[str, Any]]:
    """Everything in doubt of this project, and of those that are gone from where they were, oldest first.

    Intents of dead builds that nobody can settle are in doubt at once.
    """
    cache, project = _project(options)
    return [
        {
            "id": attempt.entry,
            "key": attempt.key,
            "provider": attempt.provider,
            "model": attempt.model,
            "sent": _time(attempt.sent),
            "attempt": attempt.id,
            "seed": attempt.action.get("seed"),
        }
        for attempt in _in_doubt(cache, project, options)
    ]


def _in_doubt(cache: Cache, project: str, options: Options) -> list[Attempt]:
    if not cache.has_journal():
        return []
    live = [attempt for attempt in cache.journal.live() if attempt.project == project or is_gone(attempt.project)]
    can_settle = _can_settle(options)
    return [
        attempt
        for attempt in live
        if attempt.state is AttemptState.DOUBT
        or (attempt.ticket is None and not cache.journal.is_alive(attempt.build) and not can_settle(attempt))
    ]


def _can_settle(options: Options) -> Callable[[Attempt], bool]:
    """Whether a build could still find out what became of an intent; by the built-in tables where there is no good manifest."""
    try:
        project_manifest = manifest.load(manifest.find(options.folder, options.file))
        return settles(project_manifest, Catalog.load(project_manifest.models))
    except InputError:
        return settles(Manifest("", options.folder), Catalog.load({}))


def resolve_doubt(options: Options, verb: str, ids: tuple[str, ...], task: str | None) -> None:
    """Settle doubts as a person says: claim a task, retry (may pay again), or drop. Raises InputError."""
    cache, project = _project(options)
    waiting = _in_doubt(cache, project, options)
    chosen = [_chosen(waiting, name) for name in ids]
    if verb == "claim":
        if len(chosen) != 1 or not task:
            raise InputError("claim takes one entry and its --task ID", code="usage")
        _claim(cache, chosen[0], task)
        return
    for attempt in chosen:
        if attempt.state is not AttemptState.DOUBT:
            cache.journal.doubt(attempt.id, "no-answer", NO_ANSWER)
        cache.journal.drop(attempt.id)


def _chosen(waiting: list[Attempt], name: str) -> Attempt:
    """The doubt of an entry id, or of the beginning of an attempt's id."""
    matches = [a for a in waiting if a.entry == name] or [a for a in waiting if len(name) >= 4 and a.id.startswith(name)]
    if len(matches) == 1:
        return matches[0]
    names = ", ".join(f"{a.entry} ({a.id[:8]})" for a in (matches or waiting)[:10]) or "nothing"
    problem = "names several requests" if matches else "is not in doubt"
    message = f"{name!r} {problem}"
    raise InputError(message, code="unknown-doubt", problems=(Problem("unknown-doubt", message, hint=f"in doubt: {names}"),))


def _claim(cache: Cache, attempt: Attempt, task: str) -> None:
    row = FAMILIES.recorded(attempt.family)
    if row is not None and not row.tasks:
        raise InputError("a self-hosted server keeps no tasks: retry or drop", code="no-tasks")
    if task in cache.journal.claimed_tasks(attempt.account):
        raise InputError(f"task {task} already belongs to another picture", code="task-claimed")
    cache.journal.ticket(attempt.id, Ticket(attempt.provider, attempt.base_url, task))
