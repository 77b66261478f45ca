"""What a run waits for and what leaving it would cost, in words: told when nothing else has been said for a while.

Knows neither wire formats nor files; whoever waits says for what.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass, field
from typing import Literal

SILENCE_S = 2.0
"""Seconds without a word after which is said what is waited for."""
AGAIN_S = (15.0, 30.0, 60.0)
"""Seconds until that is said again, while nothing else happens; the last one for ever."""

FLIGHTS_KEPT = 256
"""Requests that are remembered before those that are over are forgotten."""

State = Literal["ready", "sent", "accepted"]


@dataclass(slots=True)
class Flight:
    """A request on its way. `settles`: after a kill the provider can tell what became of it, or it costs nothing."""

    entry: str
    maker: str
    settles: bool
    since: float
    state: State = "ready"


@dataclass(frozen=True, slots=True)
class Wait:
    """Something that is waited for, `since` and `until` on the steady clock; None where nobody knows the end."""

    why: str
    since: float
    until: float | None


@dataclass(slots=True)
class OpenWaits:
    """Everything that is waited for at the moment. `clock` is steady, in seconds; `in_flight` holds the attempts that are
    on their way or being collected.
    """

    clock: Callable[[], float]
    in_flight: Container[str] = frozenset()
    flights: dict[str, Flight] = field(default_factory=dict)
    waits: dict[object, Wait] = field(default_factory=dict)
    messages: int = 0
    """How many messages were printed so far; `watch` sees by it that the run is not silent."""
    room: int = FLIGHTS_KEPT
    spans: dict[str, tuple[float, float]] = field(default_factory=dict)
    """For each reason when it began to be waited for, and when last: looks that follow each other are one wait."""

    def add(self, attempt: str, flight: Flight) -> None:
        """A request is made ready to leave. Those that are over are forgotten now and then."""
        if len(self.flights) >= self.room:
            self.flights = self.flying()
            self.room = max(FLIGHTS_KEPT, 2 * len(self.flights))
        self.flights[attempt] = flight

    def flying(self) -> dict[str, Flight]:
        """The requests that are not over, by their attempts."""
        return {id: flight for id, flight in self.flights.items() if flight.state != "accepted" or id in self.in_flight}

    @contextlib.contextmanager
    def waits_for(self, why: str, seconds: float | None = None) -> Iterator[None]:
        """Within the block `why` is waited for, `seconds` long where that is known."""
        place, now = object(), self.clock()
        since, ended = self.spans.get(why, (now, now))
        since = now if now - ended > SILENCE_S else since
        self.waits[place] = Wait(why, since, None if seconds is None else now + seconds)
        try:
            yield
        finally:
            del self.waits[place]
            self.spans[why] = (since, self.clock())

    def words(self) -> str:
        """One sentence about everything that is waited for; "" for nothing."""
        now = self.clock()
        counted = Counter(wait.why for wait in self.waits.values())
        parts = [f"{why}{_times(number)}{self._how_long(why, now)}" for why, number in counted.items()]
        parts += self.drawing()
        return f"Waiting: {'; '.join(parts)}." if parts else ""

    def _how_long(self, why: str, now: float) -> str:
        waits = [wait for wait in self.waits.values() if wait.why == why]
        left = round(max((wait.until or 0.0) - now for wait in waits))
        if left > 1 and all(wait.until is not None for wait in waits):
            return f", {left} s more"
        return f", {round(now - min(wait.since for wait in waits))} s so far"

    def drawing(self) -> list[str]:
        """The requests that a provider has, by who makes them, with the age of the oldest."""
        now = self.clock()
        by_maker: dict[tuple[str, str], list[Flight]] = {}
        for flight in self.flying().values():
            if flight.state != "ready":
                by_maker.setdefault((flight.maker, flight.state), []).append(flight)
        what = {"sent": "to answer", "accepted": "to draw"}
        return [
            f"{maker} {what[state]} {_pictures(len(flights))}, {max(0, round(now - min(f.since for f in flights)))} s so far"
            for (maker, state), flights in by_maker.items()
        ]

    def leaving(self) -> list[str]:
        """What leaving now would come to, a sentence for each model and state."""
        by_fate: dict[tuple[str, str, bool], list[Flight]] = {}
        for flight in self.flying().values():
            by_fate.setdefault((flight.maker, flight.state, flight.settles), []).append(flight)
        return [_fate(maker, state, settles, flights) for (maker, state, settles), flights in sorted(by_fate.items())]


def _times(number: int) -> str:
    return f" ({number:,} times)" if number > 1 else ""


def _pictures(number: int) -> str:
    return "1 picture" if number == 1 else f"{number:,} pictures"


def _fate(maker: str, state: str, settles: bool, flights: list[Flight]) -> str:
    names = ", ".join(flight.entry for flight in flights[:5]) + (f" and {len(flights) - 5:,} more" if len(flights) > 5 else "")
    if state == "ready":
        return f"{maker}: {len(flights):,} not sent yet ({names}): they cost nothing."
    if state == "accepted":
        return f"{maker}: {len(flights):,} accepted and paid for ({names}): if you leave, the next build collects them."
    if settles:
        words = "sent and not answered yet, perhaps paid for"
        return f"{maker}: {len(flights):,} {words} ({names}): if you leave, the next build asks what became of them."
    words = "sent and not answered yet, perhaps paid for"
    return (
        f"{maker}: {len(flights):,} {words} ({names}): if you leave, they will be in doubt, "
        "because nobody can be asked for them later (`qwenbuild doubt list`)."
    )


async def watch(waiting: OpenWaits, tell: Callable[[str], None]) -> None:
    """Tell what is waited for whenever nothing else was said for a while, until cancelled. Real time, whatever the clock."""
    messages, rounds, silent = waiting.messages, 0, 0.0
    while True:
        await asyncio.sleep(SILENCE_S / 4)
        if waiting.messages != messages:
            messages, rounds, silent = waiting.messages, 0, 0.0
            continue
        silent += SILENCE_S / 4
        limit = SILENCE_S if rounds == 0 else AGAIN_S[min(rounds, len(AGAIN_S)) - 1]
        if silent >= limit and (words := waiting.words()):
            tell(words)
            messages, rounds, silent = waiting.messages, rounds + 1, 0.0
