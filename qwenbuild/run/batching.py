"""Blocking work of many jobs, done together: one way to a thread and back, and one sync, for all that is waiting.

Knows no journal and no file; what is done comes with each item.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Executor
from typing import Generic, TypeVar

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

GATHER_S = 0.05
"""Seconds that the first of a batch waits for others, where many jobs are in flight: none of them is late by it."""
AT_ONCE = 16
"""Items of one batch: of large pictures, more would keep too much in memory."""


class Batcher(Generic[_Item, _Result]):
    """One batch at a time in a thread of `executor`; what comes meanwhile is the next one.

    While `busy`, the first of a batch waits a little for others, by `sleep`.
    """

    def __init__(self, executor: Executor, busy: Callable[[], bool], sleep: Callable[[float], Awaitable[None]]) -> None:
        self._executor, self._busy, self._sleep = executor, busy, sleep
        self._waiting: deque[tuple[_Item, asyncio.Future[_Result]]] = deque()
        self._running: asyncio.Task[None] | None = None

    def put(self, item: _Item, work: Callable[[Sequence[_Item]], Sequence[_Result]]) -> asyncio.Future[_Result]:
        """What `work`, which is the same for every item, makes of this one. Where it fails for several, each is done alone."""
        result: asyncio.Future[_Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, result))
        if self._running is None or self._running.done():
            self._running = asyncio.ensure_future(self._run(work))
            self._running.add_done_callback(self._ended)
        return result

    def _ended(self, running: asyncio.Task[None]) -> None:
        """Whoever waits when a run was cancelled, perhaps before its first step, was not begun, and never will be."""
        while running.cancelled() and self._waiting:
            self._waiting.popleft()[1].cancel()

    async def _run(self, work: Callable[[Sequence[_Item]], Sequence[_Result]]) -> None:
        while self._waiting:
            if self._busy():
                await self._sleep(GATHER_S)
            batch = [self._waiting.popleft() for _ in range(min(AT_ONCE, len(self._waiting)))]
            done = asyncio.get_running_loop().run_in_executor(
                self._executor, _together_or_alone, work, [item for item, _ in batch]
            )
            done.add_done_callback(functools.partial(_tell, [result for _, result in batch]))
            await asyncio.wait((done,))


def _together_or_alone(
    work: Callable[[Sequence[_Item]], Sequence[_Result]], items: Sequence[_Item]
) -> Sequence[_Result | BaseException]:
    if len(items) > 1:
        with contextlib.suppress(Exception):
            return work(items)
    return [_alone(work, item) for item in items]


def _alone(work: Callable[[Sequence[_Item]], Sequence[_Result]], item: _Item) -> _Result | BaseException:
    try:
        return work([item])[0]
    except Exception as error:
        return error


def _tell(waiting: Sequence[asyncio.Future[_Result]], done: asyncio.Future[Sequence[_Result | BaseException]]) -> None:
    """Everybody is told, also when the run was cancelled meanwhile: the thread goes on, and what it did is done."""
    if done.cancelled():
        for each in waiting:
            each.cancel()
        return
    error = done.exception()
    for each, result in zip(waiting, [error] * len(waiting) if error is not None else done.result(), strict=True):
        if each.done():
            continue
        if isinstance(result, BaseException):
            each.set_exception(result)
        else:
            each.set_result(result)
