"""Attempts: what was, is or may be paid for, and which state may follow which.

Knows no database; rows and their seals are turned into values here.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from qwenbuild.cache.receipts import price_of, price_text
from qwenbuild.cache.seal import BrokenSeal, without_query
from qwenbuild.errors import CacheError
from qwenbuild.model import Price, Ticket


class AttemptState(StrEnum):
    """Where an attempt stands."""

    INTENT = "intent"  # the body is written down; it may or may not have left this machine
    TICKET = "ticket"  # the provider accepted it and said where to ask
    READY = "ready"  # the picture waits behind a link, for a while
    STORED = "stored"  # the picture is in the vault
    FAILED = "failed"  # it is proven that nothing was charged, or the provider failed after all
    REFUSED = "refused"  # the provider refused this very key, or its bytes (they have a digest then) are no picture
    DOUBT = "doubt"  # nobody can know whether it was charged; a person decides
    DROPPED = "dropped"  # a person gave it up, perhaps charged


LIVE = (AttemptState.INTENT, AttemptState.TICKET, AttemptState.READY, AttemptState.DOUBT)
"""At most one attempt of a key is in one of these."""

COSTS = (*LIVE, AttemptState.STORED, AttemptState.DROPPED)
"""States whose price counts against a budget, because it was charged or may have been; REFUSED too when bytes came."""

WIPED = (AttemptState.STORED, AttemptState.REFUSED, AttemptState.DROPPED)
"""States after which the request's body and signed links serve nobody."""

EDGES: Mapping[AttemptState, frozenset[AttemptState]] = {
    AttemptState.INTENT: frozenset(
        {AttemptState.TICKET, AttemptState.FAILED, AttemptState.REFUSED, AttemptState.DOUBT, AttemptState.DROPPED}
    ),
    AttemptState.TICKET: frozenset(
        {
            AttemptState.TICKET,
            AttemptState.READY,
            AttemptState.STORED,
            AttemptState.FAILED,
            AttemptState.REFUSED,
            AttemptState.DOUBT,
            AttemptState.DROPPED,
        }
    ),
    AttemptState.READY: frozenset(
        {
            AttemptState.READY,
            AttemptState.STORED,
            AttemptState.FAILED,
            AttemptState.REFUSED,
            AttemptState.DOUBT,
            AttemptState.DROPPED,
        }
    ),
    AttemptState.DOUBT: frozenset(
        {AttemptState.TICKET, AttemptState.STORED, AttemptState.FAILED, AttemptState.REFUSED, AttemptState.DROPPED}
    ),
    AttemptState.FAILED: frozenset({AttemptState.INTENT}),
    AttemptState.STORED: frozenset(),
    AttemptState.REFUSED: frozenset(),
    AttemptState.DROPPED: frozenset(),
}


def follow(now: AttemptState, then: AttemptState) -> AttemptState:
    """The next state, when it may follow. The one function for all transitions; raises CacheError otherwise."""
    if then not in EDGES[now]:
        raise CacheError(f"an attempt cannot go from {now} to {then}", code="journal-edge")
    return then


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """One picture that is about to be asked for, and by whom. `body` are the exact bytes, or a function that makes them from
    the generation, which the journal allocates from 0. `price` is None when nobody knows it; `reserved` is what is held of
    the budget, the price when it is None. `names_attempt` is an attempt in doubt that a person gave up for this one.
    """

    build: str
    project: str
    entry: str
    key: str
    provider: str
    family: str
    account: str
    base_url: str
    model: str
    action: Mapping[str, Any]
    body: bytes | Callable[[int], bytes]
    price: Price | None = None
    reserved: Price | None = None
    names_attempt: str = ""


PLAIN_FIELDS = ("build", "project", "entry", "key", "provider", "family", "account", "base_url", "model", "names_attempt")
"""The fields of an intent that stand in the journal as they are."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt to buy a picture. `sent` and `updated` are wall-clock seconds; prices are by unit.

    `project` is the lockfile's path when the project first bought; `provider` the settings' name in the manifest;
    `names_attempt` the attempt that it retries; `reserved` what a budget holds for it; `body` is empty once it serves
    nobody (`body_sha256` stays).
    """

    id: str
    key: str
    generation: int
    state: AttemptState
    build: str
    project: str
    entry: str
    provider: str
    family: str
    account: str
    base_url: str
    model: str
    action: Mapping[str, Any]
    body: bytes = field(repr=False)
    body_sha256: str
    price: Price | None
    reserved: Price
    ticket: Ticket | None
    url: str = field(repr=False)
    digest: str
    code: str
    message: str
    sent: float
    updated: float
    billed: Price | None
    names_attempt: str

    @property
    def live(self) -> bool:
        """Is it still open, so that the key must not be bought again?"""
        return self.state in LIVE

    @property
    def cost(self) -> Price:
        """What it cost or may have cost: as billed, else the estimate; {} when nothing was charged."""
        if self.billed is not None:
            return self.billed
        charged = self.state in COSTS or (self.state is AttemptState.REFUSED and self.digest)
        return (self.price or {}) if charged else {}


@dataclass(frozen=True, slots=True)
class Busy:
    """Another attempt of this key is open; it is waited for, not bought again."""

    attempt: Attempt


COLUMNS = (
    "id", "key", "generation", "state", "build", "project", "entry", "provider", "family", "account", "base_url", "model",
    "action", "body_sha256", "price", "reserved", "ticket", "task_id", "url", "digest", "code", "message", "sent", "updated",
    "billed", "names_attempt", "session",
)  # fmt: skip
"""The columns that a row's seal covers, in its order."""


def row_seal(values: Sequence[Any]) -> str:
    """SHA-256 over a row: a flipped bit must not change what was paid for."""
    return hashlib.sha256(json.dumps(values, ensure_ascii=True, separators=(",", ":"), default=repr).encode()).hexdigest()


def attempt_of(row: Sequence[Any]) -> Attempt:
    """The attempt in a row of COLUMNS, its seal, and its body or None. Raises BrokenSeal."""
    values, (row_digest, body) = row[: len(COLUMNS)], row[len(COLUMNS) :]
    if row_seal(values) != row_digest:
        raise BrokenSeal(f"attempt {str(values[0])[:40]!r} was altered")
    return attempt_from(values, body)


def attempt_from(values: Sequence[Any], body: bytes | None) -> Attempt:
    """The attempt in the values of COLUMNS, and its body. Raises BrokenSeal."""
    row = dict(zip(COLUMNS, values, strict=True))
    if not _body_is_whole(body, row):
        raise BrokenSeal(f"the body of attempt {row['id']} was altered")
    del row["task_id"], row["session"]
    try:
        return Attempt(**{**row, **_typed(row), "body": body or b""})
    except (ValueError, TypeError) as error:
        raise BrokenSeal(f"attempt {row['id']} cannot be read: {error}") from None


def _body_is_whole(body: Any, row: Mapping[str, Any]) -> bool:
    """An intent without its body could be resent as something else; later states do not need it any more."""
    if body is None:
        return str(row["state"]) != AttemptState.INTENT
    return type(body) is bytes and hashlib.sha256(body).hexdigest() == str(row["body_sha256"])


def _typed(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "state": AttemptState(row["state"]),
        "action": json.loads(row["action"]),
        "price": price_from(row["price"]),
        "reserved": price_from(row["reserved"]) or {},
        "billed": price_from(row["billed"]),
        "ticket": ticket_of(row["ticket"], row["url"]),
    }


def price_column(price: Price | None) -> str | None:
    """A price as a column holds it."""
    return None if price is None else json.dumps(price_text(price), separators=(",", ":"))


def price_from(text: str | None) -> Price | None:
    """The price in a column. Raises BrokenSeal."""
    return None if text is None else price_of(json.loads(text))


def ticket_column(ticket: Ticket, *, wiped: bool = False) -> str:
    """A ticket as a column holds it: never its bytes; its link stands in a column of its own, and is wiped with the rest."""
    facts = without_query(ticket.facts) if wiped else dict(ticket.facts)
    record = {
        "provider": ticket.provider,
        "base_url": ticket.base_url,
        "task_id": ticket.task_id,
        "request_id": ticket.request_id,
        "digest": ticket.digest,
        "facts": facts,
    }
    return json.dumps(record, separators=(",", ":"), sort_keys=True)


def ticket_of(text: str | None, url: str) -> Ticket | None:
    """The ticket in a column."""
    return None if text is None else Ticket(**json.loads(text), url=url)
