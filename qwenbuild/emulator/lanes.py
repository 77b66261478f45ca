"""Rates and places in flight for one account and model, and what was seen of them.

Knows no API; the clock's time is handed in.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from qwenbuild.emulator.jobs import EmulatedJob


@dataclass(frozen=True, slots=True)
class EmulatedPace:
    """At most `count` submissions in any `window` seconds and `concurrency` unfinished jobs; infinite = no limit."""

    count: float
    window: float
    concurrency: float


@dataclass(slots=True)
class EmulatedLane:
    """One account and model: recent submissions, unfinished jobs, counters."""

    recent: deque[float] = field(default_factory=deque)
    """Accepted submissions within the window."""
    unfinished: list[EmulatedJob] = field(default_factory=list)
    arrivals: int = 0
    accepted: int = 0
    refused_rate: int = 0
    refused_concurrency: int = 0
    max_in_flight: int = 0
    max_in_window: int = 0
    min_spacing: float = math.inf
    last: float = -math.inf

    def arrive(self, now: float) -> None:
        """Note that a submission came, whatever becomes of it."""
        self.arrivals += 1
        self.min_spacing = min(self.min_spacing, now - self.last)
        self.last = now

    def over_rate(self, now: float, pace: EmulatedPace, grace: float = 0.0) -> bool:
        """Whether one more submission would be too many within the window, which is `grace` seconds shorter."""
        while self.recent and self.recent[0] <= now - pace.window + grace:
            self.recent.popleft()
        return len(self.recent) + 1 > pace.count

    def in_flight(self, now: float) -> int:
        """Unfinished jobs."""
        self.unfinished = [job for job in self.unfinished if job.canceled is None and job.end > now]
        return len(self.unfinished)

    def enter(self, job: EmulatedJob, now: float) -> None:
        """Count an accepted job."""
        self.accepted += 1
        self.recent.append(now)
        self.max_in_window = max(self.max_in_window, len(self.recent))
        self.unfinished.append(job)
        self.max_in_flight = max(self.max_in_flight, self.in_flight(now))

    def earliest(self, now: float, concurrency: float) -> float:
        """When a job accepted now may start: at once, or when enough of those before it have ended."""
        if self.in_flight(now) < concurrency:
            return now
        ends = sorted(job.end for job in self.unfinished)
        return ends[len(ends) - int(concurrency)]

    def leave(self, job: EmulatedJob, now: float, concurrency: float) -> None:
        """Drop a canceled job and let those behind it move up."""
        waiting = [other for other in self.unfinished if other is not job and other.start > now]
        self.unfinished = [other for other in self.unfinished if other is not job and other.start <= now]
        for other in sorted(waiting, key=lambda item: item.number):
            lasts = other.end - other.start
            other.start = min(other.start, max(self.earliest(now, concurrency), now))
            other.end = other.start + lasts
            self.unfinished.append(other)

    def seen(self) -> dict[str, Any]:
        """What was seen, as JSON values; `min_spacing` in seconds, null before a second submission came."""
        return {
            "arrivals": self.arrivals,
            "accepted": self.accepted,
            "refused_rate": self.refused_rate,
            "refused_concurrency": self.refused_concurrency,
            "max_in_flight": self.max_in_flight,
            "max_in_window": self.max_in_window,
            "min_spacing": None if math.isinf(self.min_spacing) else self.min_spacing,
        }
