"""Ask again and again until a task has ended, as often as its vendor advises.

Knows no API: `ask` is given, and answers None while the task still runs.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal, TypeVar

from qwenbuild.errors import ProviderError, Throttled, Unavailable, Waiting
from qwenbuild.pace.clock import Waits

T = TypeVar("T")

Steps = tuple[tuple[float, float], ...]
"""(from so many seconds after the start, pause between questions in seconds)."""


@dataclass(slots=True)
class Looks:
    """How often an answer that may mean an end, but says too little, is taken for "not yet".

    `unknown`: the task is not known; `blank`: it succeeded, and names no picture.
    """

    unknown: int = 3
    blank: int = 3

    def spend(self, kind: Literal["unknown", "blank"]) -> bool:
        """One look less; False when there is none left."""
        left: int = getattr(self, kind)
        setattr(self, kind, left - 1)
        return left > 0


MAX_FAILURES = 5
"""Questions in a row that may go wrong before the error is handed on."""
MIN_PAUSE_S = 0.05
MAX_UNASKED_S = 20.0
"""Seconds that a task on loopback may go unasked while another one of its kind is asked for all."""


class Cadence:
    """How long to wait before the next question. On loopback it follows how long tasks have taken so far instead."""

    def __init__(self, steps: Steps, *, loopback: bool = False) -> None:
        self._steps = steps
        self._loopback = loopback
        self._usual: float | None = None
        self._scout: object = None

    def pause(self, elapsed: float) -> float:
        """Seconds until the next question, `elapsed` seconds after the task was accepted."""
        advised = next(pause for start, pause in reversed(self._steps) if elapsed >= start)
        return min(advised, self._quick(elapsed)) if self._loopback else advised

    def _quick(self, elapsed: float) -> float:
        if self._usual is None:
            return max(2 * MIN_PAUSE_S, elapsed / 8)
        return max(MIN_PAUSE_S, self._usual - elapsed, elapsed / 20)

    def asks(self, who: object, unasked: float) -> bool:
        """Whether this task is asked for now, or waits until the first of its kind has shown how long they take."""
        if not self._loopback or self._usual is not None or unasked >= MAX_UNASKED_S:
            return True
        self._scout = self._scout or who
        return self._scout is who

    def leaves(self, who: object) -> None:
        """Nobody asks for this task any more."""
        self._scout = None if self._scout is who else self._scout

    def took(self, elapsed: float) -> None:
        """A task was seen to have ended after so many seconds."""
        usual = self._usual
        self._usual = elapsed if usual is None or elapsed < usual else 0.9 * usual + 0.1 * elapsed


async def until_done(
    ask: Callable[[], Awaitable[T | None]], cadence: Cadence, waits: Waits, *, patience: float, age: float = 0.0
) -> T:
    """What `ask` answers in the end. `age` is how many seconds ago the task was accepted.

    Raises Waiting after `patience` seconds, the last error after five in a row, and whatever else `ask` raises.
    """
    started = waits.steady()
    who = object()
    try:
        return await _asked(ask, cadence, waits, started, patience, age, who)
    finally:
        cadence.leaves(who)


async def _asked(
    ask: Callable[[], Awaitable[T | None]],
    cadence: Cadence,
    waits: Waits,
    started: float,
    patience: float,
    age: float,
    who: object,
) -> T:
    failures, last = 0, started
    pause = max(0.0, cadence.pause(0.0) - age)
    while True:
        left = patience - (waits.steady() - started)
        if left <= 0:
            raise Waiting(f"still not ready after {patience:.0f} s; the next build asks again", code="timeout")
        await waits.sleep(min(pause, left))
        elapsed = waits.steady() - started
        if not cadence.asks(who, started + elapsed - last):
            pause = cadence.pause(elapsed + age)
            continue
        last = started + elapsed
        try:
            state = await ask()
        except (Unavailable, Throttled) as error:
            failures += 1
            if failures > MAX_FAILURES:
                raise
            pause = _again(error, failures, waits)
            continue
        if state is not None:
            cadence.took(elapsed + age)
            return state
        failures, pause = 0, cadence.pause(elapsed + age)


def _again(error: ProviderError, failures: int, waits: Waits) -> float:
    asked_pause = error.retry_after if isinstance(error, Throttled) else None
    if asked_pause is not None:
        return min(asked_pause, 120.0)
    return float(min(30.0, 2.0 ** (failures - 1)) * (0.5 + waits.chance() / 2))
