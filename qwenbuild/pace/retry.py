"""What follows an error, as a table: by proof, not by hope.

Knows no API and no journal; the run asks `Retries.after` and does what it says.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from qwenbuild.errors import (
    AccountStop,
    BadPicture,
    FailedAtProvider,
    Lost,
    NotFetched,
    ProviderError,
    Refused,
    Throttled,
    Unavailable,
    Uncertain,
    Waiting,
)
from qwenbuild.pace.clock import Waits
from qwenbuild.ports import Recovery

Phase = Literal["submit", "collect"]

BACKOFF_FIRST_S, BACKOFF_CAP_S = 1.0, 30.0
RETRY_AFTER_CAP_S = 120.0


class Then(StrEnum):
    """What the run does next."""

    AGAIN = "again"  # the same attempt, the same body, after the pause
    ANEW = "anew"  # a new attempt with the next generation number
    LOOK_UP = "look up"  # ask the provider's task list whether it was accepted
    REFUSE = "refuse"  # remember it for this key; not charged
    FAIL = "fail"  # this build gives the entry up; not charged
    STOP = "stop"  # no more submissions for this account and model
    KEEP = "keep"  # the attempt stays open; the next build goes on with it
    DOUBT = "doubt"  # perhaps charged: a person decides


@dataclass(frozen=True, slots=True)
class Rule:
    """`then` up to `times` times within one job, afterwards `at_last`. `times` 0: as often as it happens."""

    then: Then
    times: int = 0
    at_last: Then = Then.FAIL


TABLE: Mapping[tuple[type[ProviderError], Phase], Rule] = {
    (Refused, "submit"): Rule(Then.REFUSE),
    (Refused, "collect"): Rule(Then.REFUSE),
    (Throttled, "submit"): Rule(Then.AGAIN, 5),
    (Throttled, "collect"): Rule(Then.AGAIN, 5, Then.KEEP),
    (FailedAtProvider, "submit"): Rule(Then.AGAIN, 4),
    (FailedAtProvider, "collect"): Rule(Then.ANEW, 2),
    (Unavailable, "submit"): Rule(Then.AGAIN),
    (Unavailable, "collect"): Rule(Then.AGAIN, 5, Then.KEEP),
    (AccountStop, "submit"): Rule(Then.STOP),
    (AccountStop, "collect"): Rule(Then.STOP),
    (Uncertain, "submit"): Rule(Then.DOUBT),
    (Uncertain, "collect"): Rule(Then.KEEP),
    (Lost, "submit"): Rule(Then.DOUBT),
    (Lost, "collect"): Rule(Then.DOUBT),
    (Waiting, "submit"): Rule(Then.KEEP),
    (Waiting, "collect"): Rule(Then.KEEP),
    (NotFetched, "submit"): Rule(Then.KEEP),
    (NotFetched, "collect"): Rule(Then.AGAIN, 0, Then.KEEP),
    (BadPicture, "submit"): Rule(Then.REFUSE),
    (BadPicture, "collect"): Rule(Then.REFUSE),
}
"""A submit that failed at the provider was answered, and not accepted: the same attempt goes again. A task that failed is
over: only a new attempt can follow. Unavailable and NotFetched have no count, because the job's time ends them."""

UNCERTAIN: Mapping[Recovery | Literal["free"], Rule] = {
    "free": Rule(Then.AGAIN, 4),
    "resend": Rule(Then.AGAIN, 4, Then.KEEP),
    "listing": Rule(Then.LOOK_UP),
    "none": Rule(Then.DOUBT),
}
"""After a lost answer: where a picture costs nothing it is simply sent again; an idempotency key makes resending safe, a task
list can tell, else a person must."""

ONCE = frozenset({"InternalError.Timeout", "Conflict", "InvalidURL.Timeout", "InvalidParameter.DataInspection"})
"""Codes after which one more try is all that can help."""
QUOTA = frozenset({"Throttling.AllocationQuota", "insufficient_quota"})
"""Codes of an allocation that, still used up after the tries, stops the account instead of failing the entry."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do, and how many seconds to wait before it."""

    then: Then
    pause: float = 0.0


@dataclass(slots=True)
class Retries:
    """The tries of one job, `timeout` seconds from its start at most."""

    recovery: Recovery | Literal["free"]
    timeout: float
    waits: Waits = field(default_factory=Waits)
    started: float = field(init=False)
    tries: Counter[tuple[type[ProviderError], Phase]] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.started = self.waits.steady()

    def restart(self) -> None:
        """The job's time begins now: waiting for a place in the lane does not count. What was tried stays counted."""
        self.started = self.waits.steady()

    def after(self, error: ProviderError, phase: Phase) -> Decision:
        """What follows this error."""
        kind = next(base for base in type(error).__mro__ if (base, phase) in TABLE)
        rule = UNCERTAIN[self.recovery] if (kind is Uncertain and phase == "submit") else TABLE[kind, phase]
        self.tries[kind, phase] += 1
        done = self.tries[kind, phase]
        if rule.then not in (Then.AGAIN, Then.ANEW):
            return Decision(rule.then)
        pause = self._pause(error, done)
        times = 1 if error.code in ONCE else rule.times
        if (times and done > times) or self._too_late(pause):
            return Decision(self._at_last(error, rule))
        return Decision(rule.then, pause)

    def _at_last(self, error: ProviderError, rule: Rule) -> Then:
        return Then.STOP if isinstance(error, Throttled) and error.code in QUOTA else rule.at_last

    def _too_late(self, pause: float) -> bool:
        return self.waits.steady() + pause - self.started > self.timeout

    def _pause(self, error: ProviderError, done: int) -> float:
        """The server's word, else an exponential pause with full jitter."""
        if isinstance(error, Throttled | NotFetched) and error.retry_after is not None:
            return min(RETRY_AFTER_CAP_S, error.retry_after)
        return float(min(BACKOFF_CAP_S, BACKOFF_FIRST_S * 2.0 ** (done - 1)) * self.waits.chance())
