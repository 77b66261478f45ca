"""Keep the pace of an account and model on this machine: even spacing between submissions, places in flight, and what a
429 does to both. Every build that uses the same folder shares it; kill -9 of one frees its places.

Knows no API and no job; a lane is two numbers and a few small files.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import math
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qwenbuild.model import Limits
from qwenbuild.pace.clock import Waits
from qwenbuild.pace.lanefiles import Note, take

MARGIN = 1.02
"""Exact spacing is refused now and then by a server that counts per second."""
FAST = 5.0
"""Submissions a second up to which each keeps its distance; above, it is enough that no span has too many."""
MOST_COUNTED = 50
"""Submissions that are counted at most: faster paces are kept in equal parts of a second, for the file is written at each."""
TRAVEL, TRAVEL_CAP = 0.01, 0.1
"""Seconds that a submission may come later than the quickest: as a guess, and at most. A refusal doubles the guess."""
SETTLES = 0.998
"""The guess shrinks by this factor at each accepted submission after a refusal."""
HAIR = 0.002
AHEAD = 0.75
"""Seconds at most that a turn is given before its time, for what is done between a turn and the first byte."""
OVERDUE = 3.0
"""Seconds until a submission that had its turn and did not leave counts as gone: its build may have been killed."""
CALMS = 0.97
"""The time that is taken for that shrinks by this factor with each quicker one."""
PAUSE_CAP = 120.0
"""Seconds that a server's Retry-After can hold us at most."""
SLOWEST = 64.0
WIDEN = 1.25
"""Each accepted submission after a refusal makes the spacing smaller by this factor."""
ROOM_AFTER = 8
"""Accepted submissions before a place in flight that was given up is tried again."""
LOOK_FIRST, LOOK_LAST = 0.05, 1.0
"""Seconds between looks for a place that another process holds."""
KNOCK = 0.002


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
        count = max(1, int(rps / math.ceil(rps / MOST_COUNTED)))
        if rps <= FAST:
            return cls(MARGIN / rps, (MARGIN - 1) / rps, count, count / rps)
        return cls(1 / rps, 0.5 / rps, count, count / rps)

    @property
    def even(self) -> bool:
        """Whether a submission that leaves late moves the next one on: at a high pace it is enough to count."""
        return self.count <= FAST


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
    travel: float = TRAVEL
    recent: list[tuple[float, float]] = field(default_factory=list)

    def record(self) -> dict[str, Any]:
        """The fields by name, for the file. dataclasses.asdict copies every number on its own."""
        return {name: getattr(self, name) for name in self.__slots__}

    def wait(self, steady: float, wall: float, pace: Pace) -> float:
        """Seconds until a submission may leave. What was left by a clock that has jumped holds nobody up for long."""
        spaced = min(self.next_steady - steady, self.next_wall - wall, pace.interval * self.factor + AHEAD)
        paused = min(self.until_steady - steady, self.until_wall - wall, PAUSE_CAP)
        return max(spaced, paused, self._crowded(steady, pace), 0.0)

    def _crowded(self, steady: float, pace: Pace) -> float:
        """Seconds until as many as may come in one span have surely arrived longer ago than that span."""
        near = self._near(steady, pace)
        full = pace.count and len(near) >= pace.count
        return near[-pace.count][1] + pace.span + HAIR - steady if full else 0.0

    def _near(self, steady: float, pace: Pace) -> list[tuple[float, float]]:
        """What counts at that time. What another boot's clock has left lies in the future, or is long over."""
        return [
            (out, there)
            for out, there in self.recent
            if out <= steady + AHEAD and there <= out + OVERDUE and there + pace.span + HAIR > steady
        ]

    def left(self, steady: float, wall: float, pace: Pace) -> None:
        """A submission has its turn at this time, `interval` after the time of the one before or a little late."""
        interval = pace.interval * self.factor
        self.next_steady = max(min(self.next_steady, steady), steady - pace.forgiven) + interval
        self.next_wall = max(min(self.next_wall, wall), wall - pace.forgiven) + interval
        if pace.count:
            self.recent = [*self._near(steady, pace)[-pace.count :], (steady, steady + OVERDUE)]

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
            self._add(left, left + min(late, TRAVEL_CAP))

    def forgone(self, turn: float) -> None:
        """The submission whose turn was at `turn` does not leave."""
        self._taken_out(turn)

    def _taken_out(self, left: float) -> bool:
        """Take out the one that left at `left`, if it still counts."""
        found = next((number for number, moments in enumerate(self.recent) if moments[0] == left), None)
        if found is not None:
            self.recent = [*self.recent[:found], *self.recent[found + 1 :]]
        return found is not None

    def _add(self, left: float, arrived: float) -> None:
        self.recent = sorted([*self.recent, (left, arrived)], key=lambda moments: moments[1])

    def refused(self, steady: float, wall: float, pause: float, narrow: bool) -> None:
        """The server refused for pace."""
        self.streak = 0
        if narrow:
            self.fewer += 1
        else:
            self.factor = min(SLOWEST, self.factor * 2)
            self.travel = min(TRAVEL_CAP, self.travel * 2)
        self.until_steady = max(self.until_steady, steady + pause)
        self.until_wall = max(self.until_wall, wall + pause)

    def went_well(self) -> None:
        """The server accepted: the spacing shrinks at once a little, a place comes back after a while."""
        self.streak += 1
        self.factor = max(1.0, self.factor / WIDEN)
        self.travel = max(TRAVEL, self.travel * SETTLES)
        if self.fewer and self.streak >= ROOM_AFTER:
            self.fewer, self.streak = self.fewer - 1, 0


@dataclass(slots=True)
class _Turn:
    """One submission on its way: when its turn was given, and when it may leave or has left."""

    given: float
    due: float
    ready: bool = False
    left: bool = False


_SENDER: ContextVar[asyncio.Task[Any] | None] = ContextVar("sender", default=None)
"""The task that had the turn: what it sends may leave in a task of its own."""


def _sender() -> asyncio.Task[Any] | None:
    return _SENDER.get() or asyncio.current_task()


class FileLanes:
    """All lanes under one folder. An account "" is nobody's: its lanes stay in this process and have no spacing."""

    def __init__(self, folder: Path, waits: Waits | None = None) -> None:
        self._folder = folder
        self._waits = waits or Waits()
        self._lanes: dict[tuple[str, str], FileLane] = {}

    def lane(self, account: str, model: str, limits: Limits) -> FileLane:
        """The lane for an account and model."""
        known = self._lanes.get((account, model))
        if known is None:
            known = self._lanes[account, model] = self._made(account, model, limits)
        return known

    def _made(self, account: str, model: str, limits: Limits) -> FileLane:
        if not account:
            return FileLane(None, limits, self._waits)
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        name = hashlib.sha256(f"{account}\0{model}".encode()).hexdigest()[:24]
        return FileLane(self._folder / name, limits, self._waits)


class FileLane:
    """One lane. `path` is the stem of its files, None for a lane of this process alone."""

    def __init__(self, path: Path | None, limits: Limits, waits: Waits) -> None:
        self._path = path
        self._waits = waits
        self._pace = Pace.of(limits.rps)
        self._places = max(1, limits.concurrency)
        self._door, self._gate = asyncio.Lock(), asyncio.Lock()
        self._freed = asyncio.Event()
        self._held: dict[int, int | None] = {}
        self._state, self._written = PaceState(), b""
        self._note_file = None if path is None else Note(path.with_suffix(".json"))
        self._turns: dict[asyncio.Task[Any] | None, _Turn] = {}
        self._lead = 0.0
        self._quickest = math.inf
        self._late: list[Callable[[PaceState], None]] = []
        self._refused_at = -math.inf

    # ------------------------------------------------------------ places in flight

    def slot(self) -> AbstractAsyncContextManager[None]:
        """A place in flight."""
        return self._slot()

    @asynccontextmanager
    async def _slot(self) -> AsyncIterator[None]:
        number = await self._take()
        try:
            yield
        finally:
            self._forgo(self._turns.pop(_sender(), None))
            lock = self._held.pop(number)
            if lock is not None:
                os.close(lock)
            self._freed.set()

    async def _take(self) -> int:
        look = LOOK_FIRST
        async with self._door:
            while True:
                self._freed.clear()
                number = self._free_place()
                if number is not None:
                    return number
                others = len(self._held) < self._open()
                look = min(LOOK_LAST, look * 1.5) if others else LOOK_LAST
                await self._until_freed(look)

    def _open(self) -> int:
        return max(1, self._places - self._state.fewer)

    def _free_place(self) -> int | None:
        for number in range(self._open()):
            if number in self._held:
                continue
            lock = None if self._path is None else take(f"{self._path}.{number}.slot")
            if lock is not None or self._path is None:
                self._held[number] = lock
                return number
        return None

    async def _until_freed(self, seconds: float) -> None:
        waiting = asyncio.ensure_future(self._freed.wait())
        asleep = asyncio.ensure_future(self._waits.sleep(seconds))
        try:
            await asyncio.wait((waiting, asleep), return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()
            asleep.cancel()

    # ------------------------------------------------------------ spacing

    async def turn(self) -> None:
        """Wait until the next submission may leave. Whoever leaves sets the time of the next, so nobody's delay bunches up.

        Turns are given as much earlier as getting ready has taken so far: what the journal and the connection need is not
        lost between two submissions. Who is ready before its time waits for it in `due`.
        """
        if self._path is None and not self._pace.interval:
            return
        async with self._gate:
            while True:
                pause = self._try_to_leave()
                if pause <= 0:
                    return
                await self._waits.sleep(pause)

    def _try_to_leave(self) -> float:
        """0 when the next submission has its turn, else seconds until it is worth asking again."""
        steady, wall = self._waits.steady(), self._waits.wall()

        def leave(state: PaceState) -> float:
            pause = state.wait(steady, wall, self._pace)
            if pause <= self._lead:
                state.left(steady + pause, wall + pause, self._pace)
            return pause

        pause = self._changed(leave)
        if pause is None:
            return KNOCK
        if pause <= self._lead:
            _SENDER.set(asyncio.current_task())
            self._forgo(self._turns.pop(_sender(), None))
            self._turns[_sender()] = _Turn(steady, steady + pause)
        unusual = pause > 2 * self._pace.interval * self._state.factor  # it may be over when another one leaves
        return min(pause - self._lead, LOOK_FIRST) if unusual else pause - self._lead

    async def due(self) -> None:
        """The submission of this task is ready to leave, its connection open: wait until it may."""
        turn = self._turns.get(_sender())
        if turn is None or turn.ready:
            return
        turn.ready = True
        took = self._waits.steady() - turn.given
        self._lead = min(AHEAD, max(took, self._lead * CALMS))
        if (pause := turn.due - turn.given - took) > 0:
            await self._waits.sleep(min(pause, AHEAD))

    def leaving(self) -> None:
        """The submission of this task has left: journal and connection took their time since its turn."""
        if self._path is None and not self._pace.interval:
            return
        steady = self._waits.steady()
        self._has_left(self._turns.setdefault(_sender(), _Turn(steady, steady)))

    def _has_left(self, turn: _Turn) -> None:
        steady, wall, due = self._waits.steady(), self._waits.wall(), turn.due
        turn.due, turn.left = steady, True
        self._note(lambda state: state.later(due, steady, wall, self._pace))

    def _forgo(self, turn: _Turn | None) -> None:
        """What had its turn will not be sent: nobody waits for it."""
        if turn is not None and not turn.left:
            self._note(lambda state: state.forgone(turn.due))

    def throttled(self, retry_after: float | None, narrow: bool) -> None:
        """The server refused for pace. Several refusals of one moment narrow once."""
        steady, wall = self._waits.steady(), self._waits.wall()
        pause = min(PAUSE_CAP, retry_after if retry_after is not None else 1.0)
        again = steady - self._refused_at < max(1.0, self._pace.interval)
        self._refused_at = steady

        def refuse(state: PaceState) -> None:
            before = state.factor, state.fewer, state.travel
            state.refused(steady, wall, pause, narrow)
            if again:
                state.factor, state.fewer, state.travel = before

        self._note(refuse)

    def accepted(self) -> None:
        """The server accepted the submission of this task."""
        turn = self._turns.pop(_sender(), None)
        if turn is not None and not turn.left:
            self._has_left(turn)
        if turn is not None:
            self._answered(turn.due, self._waits.steady() - turn.due)
        state = self._state
        if state.factor > 1 or state.fewer or state.travel > TRAVEL:
            self._note(PaceState.went_well)

    def _answered(self, left: float, took: float) -> None:
        """Against the quickest answer it is known how late this one can have come. Noted when that is later than was
        guessed, or others may be waiting for it.
        """
        late = took - (self._quickest if self._quickest < took else 0.0)
        self._quickest = min(self._quickest, took)
        if late > self._state.travel or len(self._state.recent) * 2 > self._pace.count:
            self._note(lambda state: state.arrived(left, late))

    def _note(self, change: Callable[[PaceState], None]) -> None:
        """Apply a change now, or with the next turn when another process is at the file, or the disk in trouble.

        A request has left or is about to: no trouble with its pace may hide what became of it.
        """

        def apply(state: PaceState) -> float:
            change(state)
            return 0.0

        try:
            if self._changed(apply) is not None:
                return
        except OSError:
            pass
        self._late.append(change)

    def _changed(self, change: Callable[[PaceState], float]) -> float | None:
        """The change's answer after storing the state, None when another process is at it."""
        if self._path is None or self._note_file is None:
            return change(self._state)
        lock = take(f"{self._path}.lock")
        if lock is None:
            return None
        try:
            self._read(self._note_file)
            for late in self._late:
                late(self._state)
            answer = change(self._state)
            text = json.dumps(self._state.record(), separators=(",", ":")).encode()
            if text != self._written:
                self._written = b""  # should the writing fail, what is in the file holds
                self._note_file.write(text)
                self._written = text
            self._late.clear()
            return answer
        finally:
            os.close(lock)

    def _read(self, file: Note) -> None:
        """Take over the state as it was left; one that cannot be read, because its writer was killed, starts anew."""
        text = file.read()
        if text == self._written and text:
            return
        try:
            self._state = PaceState(**json.loads(text))
        except (ValueError, TypeError):
            self._state = PaceState()
        self._written = text
