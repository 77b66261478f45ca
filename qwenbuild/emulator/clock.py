"""A clock that a test can push forward, so that 24 hours pass in no time.

Knows nothing of jobs or links; whoever waits for a moment is woken when the clock is pushed past it.
"""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta, timezone


class Clock:
    """Wall-clock seconds since 1970 that never run backwards, plus an offset; it can stand still."""

    def __init__(self) -> None:
        self._start = time.time() - time.monotonic()
        self._offset = 0.0
        self._stopped: float | None = None
        self._waiting: set[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = set()

    def now(self) -> float:
        """The moment, in seconds since 1970."""
        flowing = self._start + time.monotonic() if self._stopped is None else self._stopped
        return flowing + self._offset

    def freeze(self) -> None:
        """Stand still; from now on only `advance` moves the clock."""
        self._stopped = self._start + time.monotonic() if self._stopped is None else self._stopped

    def advance(self, seconds: float) -> None:
        """Push the clock forward and wake whoever waits; callable from any thread."""
        self._offset += seconds
        for loop, event in tuple(self._waiting):
            loop.call_soon_threadsafe(event.set)

    def reset(self) -> None:
        """Back to real time."""
        self._offset, self._stopped = 0.0, None

    async def until(self, moment: float) -> None:
        """Wait until the clock shows the moment."""
        if moment <= self.now():
            return
        waiter = (asyncio.get_running_loop(), asyncio.Event())
        self._waiting.add(waiter)
        try:
            while (left := moment - self.now()) > 0:
                await _set_within(waiter[1], left)
        finally:
            self._waiting.discard(waiter)


async def _set_within(event: asyncio.Event, seconds: float) -> None:
    event.clear()
    try:
        async with asyncio.timeout(min(seconds, 3600.0)):
            await event.wait()
    except TimeoutError:
        return


def iso(moment: float) -> str:
    """ISO 8601 in UTC with milliseconds, as Apiframe writes times."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def vendor_time(moment: float, hours: float) -> str:
    """`YYYY-MM-DD HH:mm:ss.SSS` without a zone, as DashScope writes times, `hours` east of UTC."""
    zone = timezone(timedelta(hours=hours))
    return datetime.fromtimestamp(moment, zone).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
