"""Time as a provider sees it: sleeping, a steady clock, the day's clock, and chance. Tests give their own.

Knows nothing of what is waited for.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Waits:
    """Seconds everywhere. `steady` never jumps, `wall` is since 1970, `chance` lies between 0 and 1."""

    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    steady: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
    chance: Callable[[], float] = random.random


class FakeTime:
    """A clock that only sleeping moves: switches all waiting off."""

    def __init__(self, wall: float = 1_795_000_000.0) -> None:
        self.now = 0.0
        self.started = wall
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        """Let other tasks run, and be later."""
        self.slept.append(seconds)
        self.now += max(0.0, seconds)
        await asyncio.sleep(0)

    def waits(self) -> Waits:
        """The clock as a provider wants it; chance is always the middle."""
        return Waits(self.sleep, lambda: self.now, lambda: self.started + self.now, lambda: 0.5)
