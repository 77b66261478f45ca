"""The lanes of an account and model on this machine: turns and places in flight, shared by every build over one folder.

Knows no API and no job. kill -9 of a build frees its places.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import math
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

from qwenbuild.model import Limits
from qwenbuild.pace.clock import Waits
from qwenbuild.pace.lanefiles import Note, try_lock
from qwenbuild.pace.spacing import MAX_LEAD_S, PAUSE_CAP_S, TRAVEL_S, Pace, PaceState

LEAD_DECAY = 0.97
"""The lead that turns are given shrinks by this factor with each submission that is ready sooner."""
FIRST_RETRY_S, MAX_RETRY_S = 0.05, 1.0
"""Seconds between looks for a place that another process holds."""
LOCK_RETRY_S = 0.002


class FileLanes:
    """All lanes under one folder. An account "" is nobody's: its lanes stay in this process and have no spacing."""

    def __init__(self, folder: Path, waits: Waits | None = None) -> None:
        self._folder = folder
        self._waits = waits or Waits()
        self._lanes: dict[tuple[str, str], FileLane] = {}

    def lane(self, account: str, model: str, limits: Limits) -> FileLane:
        """The lane for an account and model."""
        lane = self._lanes.get((account, model))
        if lane is None:
            lane = self._lanes[account, model] = self._made(account, model, limits)
        return lane

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
        self._place_lock, self._turn_lock = asyncio.Lock(), asyncio.Lock()
        self._freed = asyncio.Event()
        self._held: dict[int, int | None] = {}
        self._state, self._written = PaceState(), b""
        self._note_file = None if path is None else Note(path.with_suffix(".json"))
        self._lead = 0.0
        self._quickest = math.inf
        self._unnoted: list[Callable[[PaceState], None]] = []
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
            lock = self._held.pop(number)
            if lock is not None:
                os.close(lock)
            self._freed.set()

    async def _take(self) -> int:
        look = FIRST_RETRY_S
        async with self._place_lock:
            while True:
                self._freed.clear()
                number = self._free_place()
                if number is not None:
                    return number
                others = len(self._held) < self._open()
                look = min(MAX_RETRY_S, look * 1.5) if others else MAX_RETRY_S
                await self._until_freed(look)

    def _open(self) -> int:
        return max(1, self._places - self._state.fewer)

    def _free_place(self) -> int | None:
        for number in range(self._open()):
            if number in self._held:
                continue
            lock = None if self._path is None else try_lock(f"{self._path}.{number}.slot")
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

    async def turn(self) -> LaneTurn:
        """The next submission's turn, once it may be made ready. Whoever leaves sets the time of the next, so that nobody's
        delay bunches up.

        Turns are given as much earlier as getting ready has taken so far: what the journal and the connection need is not
        lost between two submissions. Who is ready before its time waits for it in `Turn.due`.
        """
        if self._path is None and not self._pace.interval:
            return LaneTurn(self, 0.0, 0.0, paced=False)
        async with self._turn_lock:
            while not isinstance(turn := self._try_to_leave(), LaneTurn):
                await self._waits.sleep(turn)
            return turn

    def _try_to_leave(self) -> LaneTurn | float:
        """The next submission's turn, else the seconds until it is worth asking again."""
        steady, wall = self._waits.steady(), self._waits.wall()

        def leave(state: PaceState) -> float:
            pause = state.wait(steady, wall, self._pace)
            if pause <= self._lead:
                state.left(steady + pause, wall + pause, self._pace)
            return pause

        pause = self._changed(leave)
        if pause is None:
            return LOCK_RETRY_S
        if pause <= self._lead:
            return LaneTurn(self, steady, steady + pause)
        unusual = pause > 2 * self._pace.interval * self._state.factor  # it may be over when another one leaves
        return min(pause - self._lead, FIRST_RETRY_S) if unusual else pause - self._lead

    async def ready(self, given: float, due: float) -> None:
        """A submission whose turn was given at `given` could leave now: learn from it, and wait until it is due."""
        took = self._waits.steady() - given
        self._lead = min(MAX_LEAD_S, max(took, self._lead * LEAD_DECAY))
        if (pause := due - given - took) > 0:
            await self._waits.sleep(min(pause, MAX_LEAD_S))

    def leave(self, due: float) -> float:
        """The submission that was due at `due` has left only now: the next keeps its distance from here."""
        steady, wall = self._waits.steady(), self._waits.wall()
        self._note(lambda state: state.later(due, steady, wall, self._pace))
        return steady

    def forgo(self, due: float) -> None:
        """The submission that was due at `due` will not be sent: nobody waits for it."""
        self._note(lambda state: state.forgone(due))

    def throttled(self, retry_after: float | None, narrow: bool) -> None:
        """The server refused for pace. Several refusals of one moment narrow once."""
        steady, wall = self._waits.steady(), self._waits.wall()
        pause = min(PAUSE_CAP_S, retry_after if retry_after is not None else 1.0)
        again = steady - self._refused_at < max(1.0, self._pace.interval)
        self._refused_at = steady

        def refuse(state: PaceState) -> None:
            before = state.factor, state.fewer, state.travel
            state.refused(steady, wall, pause, narrow)
            if again:
                state.factor, state.fewer, state.travel = before

        self._note(refuse)

    def went_well(self) -> None:
        """The server accepted a submission: widen again, slowly."""
        state = self._state
        if state.factor > 1 or state.fewer or state.travel > TRAVEL_S:
            self._note(PaceState.went_well)

    def answered(self, left: float) -> None:
        """Against the quickest answer it is known how late this one can have come. Noted when that is later than was
        guessed, or others may be waiting for it.
        """
        took = self._waits.steady() - left
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
        self._unnoted.append(change)

    def _changed(self, change: Callable[[PaceState], float]) -> float | None:
        """The change's answer after storing the state, None when another process is at it."""
        if self._path is None or self._note_file is None:
            return change(self._state)
        lock = try_lock(f"{self._path}.lock")
        if lock is None:
            return None
        try:
            self._read(self._note_file)
            for noted in self._unnoted:
                noted(self._state)
            answer = change(self._state)
            text = json.dumps(self._state.record(), separators=(",", ":")).encode()
            if text != self._written:
                self._written = b""  # should the writing fail, what is in the file holds
                self._note_file.write(text)
                self._written = text
            self._unnoted.clear()
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


class LaneTurn:
    """One submission's place in the pace of a lane: given at `given`, due at `due`, both by the steady clock.

    As a context: what has not left at the end of the block will not be sent, and nobody waits for it.
    """

    __slots__ = ("_due", "_given", "_lane", "_left", "_over", "_paced", "_ready")

    def __init__(self, lane: FileLane, given: float, due: float, *, paced: bool = True) -> None:
        self._lane, self._given, self._due, self._paced = lane, given, due, paced
        self._ready = self._left = self._over = False

    async def due(self) -> None:
        """The submission is ready to leave, its connection open: wait until it may."""
        if self._paced and not self._ready:
            self._ready = True
            await self._lane.ready(self._given, self._due)

    def left(self) -> None:
        """The submission has left this machine: spacing counts from here, even where nobody waits for its answer any more."""
        if self._paced:
            self._due, self._left = self._lane.leave(self._due), True

    def accepted(self) -> None:
        """The server accepted the submission, which has left at the latest now."""
        if self._paced and not self._over:
            if not self._left:
                self.left()
            self._lane.answered(self._due)
        self._over = True
        self._lane.went_well()

    def __enter__(self) -> LaneTurn:
        return self

    def __exit__(self, *raised: object) -> None:
        if self._paced and not self._left and not self._over:
            self._lane.forgo(self._due)
        self._over = True
