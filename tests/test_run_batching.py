"""What many jobs write is written together; each is told what became of its own, whatever happens to the others."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from qwenbuild.run.batching import AT_ONCE, Batcher

Work = Callable[[Sequence[int]], Sequence[int]]


class Desk:
    """Doubles numbers, and notes which came together. `bad` cannot be doubled; `slept` are pauses for others."""

    def __init__(self, *bad: int, busy: bool = False) -> None:
        self.bad, self.busy = bad, busy
        self.batches: list[list[int]] = []
        self.slept: list[float] = []

    def work(self, numbers: Sequence[int]) -> list[int]:
        self.batches.append(list(numbers))
        if not set(self.bad).isdisjoint(numbers):
            raise ValueError(f"one of {list(numbers)}")
        return [2 * number for number in numbers]

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await asyncio.sleep(0)

    def run(self, story: Callable[[Batcher[int, int]], Any]) -> Any:
        async def told() -> Any:
            with ThreadPoolExecutor(2) as executor:
                return await asyncio.wait_for(story(Batcher(executor, lambda: self.busy, self.sleep)), 20)

        return asyncio.run(told())


def test_what_comes_while_a_batch_is_written_is_the_next_batch() -> None:
    desk = Desk()

    async def story(batcher: Batcher[int, int]) -> list[int]:
        first = batcher.put(1, desk.work)
        await asyncio.sleep(0)  # on its way to the thread
        rest = [batcher.put(number, desk.work) for number in (2, 3)]
        return list(await asyncio.gather(first, *rest))

    assert desk.run(story) == [2, 4, 6]
    assert desk.batches == [[1], [2, 3]]
    assert desk.slept == []


def test_where_many_jobs_are_in_flight_the_first_waits_a_little_for_others() -> None:
    desk = Desk(busy=True)

    async def story(batcher: Batcher[int, int]) -> list[int]:
        return list(await asyncio.gather(*(batcher.put(number, desk.work) for number in range(AT_ONCE + 1))))

    assert desk.run(story) == [2 * number for number in range(AT_ONCE + 1)]
    assert [len(batch) for batch in desk.batches] == [AT_ONCE, 1]
    assert len(desk.slept) == 2


def test_one_that_fails_takes_nothing_of_the_others_back() -> None:
    desk = Desk(2)

    async def story(batcher: Batcher[int, int]) -> list[Any]:
        return list(await asyncio.gather(*(batcher.put(number, desk.work) for number in (1, 2, 3)), return_exceptions=True))

    one, two, three = desk.run(story)
    assert (one, three) == (2, 6)
    assert str(two) == "one of [2]"


def test_what_follows_a_finished_batch_at_once_is_begun_too() -> None:
    desk = Desk()

    async def story(batcher: Batcher[int, int]) -> list[int]:
        return [await batcher.put(number, desk.work) for number in range(5)]

    assert desk.run(story) == [0, 2, 4, 6, 8]


@pytest.mark.parametrize("steps", [0, 1, 2])
def test_nobody_waits_for_ever_when_the_build_is_ended(steps: int) -> None:
    """Whoever was not begun is cancelled; what a thread has begun is told all the same."""
    desk = Desk(busy=True)

    async def story(batcher: Batcher[int, int]) -> Any:
        waiting = batcher.put(1, desk.work)
        for _ in range(steps):
            await asyncio.sleep(0)
        for task in asyncio.all_tasks():
            if "Batcher._run" in repr(task):
                task.cancel()
        return (await asyncio.gather(waiting, return_exceptions=True))[0]

    ended = desk.run(story)
    assert ended == 2 if desk.batches else isinstance(ended, asyncio.CancelledError)
