"""The pace of one lane as a value: when the next submission may leave, and what a refusal does to that.

Knows no file, no clock and no request: times are given, in seconds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

MARGIN = 1.02
"""Exact spacing is refused now and then by a server that counts per second."""


EVEN_UP_TO_RPS = 5.0
"""Up to this pace each submission keeps its distance; above, it is enough that no span has too many."""


MAX_COUNTED = 50
"""Submissions that are counted at most: faster paces are kept in equal parts of a second, for the file is written at each."""


TRAVEL_DECAY = 0.998
"""The guess shrinks by this factor at each accepted submission after a refusal."""


CLOCK_SLACK_S = 0.002


MAX_LEAD_S = 0.75
"""Seconds at most that a turn is given before its time, for what is done between a turn and the first byte."""


TRAVEL_S, TRAVEL_CAP_S = 0.01, 0.1
"""Seconds that a submission may come later than the quickest: as a guess, and at most. A refusal doubles the guess."""
OVERDUE_S = 3.0
"""Seconds until a submission that had its turn and did not leave counts as gone: its build may have been killed."""


PAUSE_CAP_S = 120.0
"""Seconds that a server's Retry-After can hold us at most."""


MAX_FACTOR = 64.0


FACTOR_DECAY = 1.25
"""Each accepted submission after a refusal makes the spacing smaller by this factor."""


PLACE_BACK_AFTER = 8
"""Accepted submissions before a place in flight that was given up is tried again."""


@dataclass(frozen=True, slots=True)
class Pace:
    """What a lane keeps to. `interval` seconds between submissions, of which `forgiven` may be made up for after a delay, and
    at most `count` in any `span` of seconds, for nobody wakes up to the millisecond.
    """

    interval: float = 0.0
    forgiven: float = 0.0
    count: int = 0
    span: float = 0.0

    @classmethod
    def of(cls, rps: float) -> Pace:
        """The pace for a limit of submissions a second; no limit, no pace."""
        if rps <= 0 or math.isinf(rps):
            return cls()
        count = max(1, int(rps / math.ceil(rps / MAX_COUNTED)))
        if rps <= EVEN_UP_TO_RPS:
            return cls(MARGIN / rps, (MARGIN - 1) / rps, count, count / rps)
        return cls(1 / rps, 0.5 / rps, count, count / rps)

    @property
    def even(self) -> bool:
        """Whether a submission that leaves late moves the next one on: at a high pace it is enough to count."""
        return self.count <= EVEN_UP_TO_RPS


@dataclass(slots=True)
class PaceState:
    """What the builds of this machine know of a lane. `next` and `until` stand in both clocks, so that a jump of one is seen.

    `factor` stretches the spacing, `fewer` takes places in flight away, `streak` counts what was accepted since. `recent` are
    the moments at which submissions left and had arrived at the latest, sorted by these; one that has had its turn and not
    left yet is late already. `travel` is the guess at what lies between.
    """

    next_steady: float = 0.0
    next_wall: float = 0.0
    until_steady: float = 0.0
    until_wall: float = 0.0
    factor: float = 1.0
    fewer: int = 0
    streak: int = 0
    travel: float = TRAVEL_S
    recent: list[tuple[float, float]] = field(default_factory=list)

    def record(self) -> dict[str, Any]:
        """The fields by name, for the file. dataclasses.asdict copies every number on its own."""
        return {name: getattr(self, name) for name in self.__slots__}

    def wait(self, steady: float, wall: float, pace: Pace) -> float:
        """Seconds until a submission may leave. What was left by a clock that has jumped holds nobody up for long."""
        spaced = min(self.next_steady - steady, self.next_wall - wall, pace.interval * self.factor + MAX_LEAD_S)
        paused = min(self.until_steady - steady, self.until_wall - wall, PAUSE_CAP_S)
        return max(spaced, paused, self._crowded(steady, pace), 0.0)

    def _crowded(self, steady: float, pace: Pace) -> float:
        """Seconds until as many as may come in one span have surely arrived longer ago than that span."""
        near = self._near(steady, pace)
        full = pace.count and len(near) >= pace.count
        return near[-pace.count][1] + pace.span + CLOCK_SLACK_S - steady if full else 0.0

    def _near(self, steady: float, pace: Pace) -> list[tuple[float, float]]:
        """What counts at that time. What another boot's clock has left lies in the future, or is long over."""
        return [
            (out, arrived)
            for out, arrived in self.recent
            if out <= steady + MAX_LEAD_S and arrived <= out + OVERDUE_S and arrived + pace.span + CLOCK_SLACK_S > steady
        ]

    def left(self, steady: float, wall: float, pace: Pace) -> None:
        """A submission has its turn at this time, `interval` after the time of the one before or a little late."""
        interval = pace.interval * self.factor
        self.next_steady = max(min(self.next_steady, steady), steady - pace.forgiven) + interval
        self.next_wall = max(min(self.next_wall, wall), wall - pace.forgiven) + interval
        if pace.count:
            self.recent = [*self._near(steady, pace)[-pace.count :], (steady, steady + OVERDUE_S)]

    def later(self, turn: float, steady: float, wall: float, pace: Pace) -> None:
        """The submission whose turn was at `turn` has left only now: the next keeps its distance from here."""
        self._taken_out(turn)
        self._add(steady, steady + self.travel)
        if not pace.even:
            return
        self.next_steady = max(self.next_steady, steady + pace.interval * self.factor)
        self.next_wall = max(self.next_wall, wall + pace.interval * self.factor)

    def arrived(self, left: float, late: float) -> None:
        """The submission that left at `left` came so many seconds later than the quickest, at most."""
        if self._taken_out(left):
            self._add(left, left + min(late, TRAVEL_CAP_S))

    def forgone(self, turn: float) -> None:
        """The submission whose turn was at `turn` does not leave."""
        self._taken_out(turn)

    def _taken_out(self, left: float) -> bool:
        """Take out the one that left at `left`, if it still counts."""
        index = next((number for number, moments in enumerate(self.recent) if moments[0] == left), None)
        if index is not None:
            self.recent = [*self.recent[:index], *self.recent[index + 1 :]]
        return index is not None

    def _add(self, left: float, arrived: float) -> None:
        self.recent = sorted([*self.recent, (left, arrived)], key=lambda moments: moments[1])

    def refused(self, steady: float, wall: float, pause: float, narrow: bool) -> None:
        """The server refused for pace."""
        self.streak = 0
        if narrow:
            self.fewer += 1
        else:
            self.factor = min(MAX_FACTOR, self.factor * 2)
            self.travel = min(TRAVEL_CAP_S, self.travel * 2)
        self.until_steady = max(self.until_steady, steady + pause)
        self.until_wall = max(self.until_wall, wall + pause)

    def went_well(self) -> None:
        """The server accepted: the spacing shrinks at once a little, a place comes back after a while."""
        self.streak += 1
        self.factor = max(1.0, self.factor / FACTOR_DECAY)
        self.travel = max(TRAVEL_S, self.travel * TRAVEL_DECAY)
        if self.fewer and self.streak >= PLACE_BACK_AFTER:
            self.fewer, self.streak = self.fewer - 1, 0
