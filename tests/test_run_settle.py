"""How long a build waits for DashScope's task list: once, however many answers were lost. Time is virtual: no test waits."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from qwenbuild.cache import Attempt, AttemptState, Cache, Intent
from qwenbuild.errors import Uncertain
from qwenbuild.images import placeholder_png
from qwenbuild.key import action_key, document
from qwenbuild.model import Action, Candidate, Limits, Order, OutcomeKind, Picture, Ticket
from qwenbuild.pace.clock import Waits
from qwenbuild.pace.lanes import FileLanes
from qwenbuild.ports import Gate
from qwenbuild.run.purchase import buy
from qwenbuild.run.recover import finish
from qwenbuild.run.submit import Purchase
from qwenbuild.run.world import LOST_AT_ONCE, Progress, Times, World

TIMES = Times()
WHOLE = TIMES.settle + TIMES.pause


class VirtualTime:
    """A clock that goes on to the next sleeper's moment once nobody has anything to do: sleeping is parallel, and free."""

    def __init__(self) -> None:
        self.now = 0.0
        self._number = itertools.count()
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []

    async def sleep(self, seconds: float) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self.now + max(0.0, seconds), next(self._number), future))
        await future

    def waits(self) -> Waits:
        return Waits(self.sleep, lambda: self.now, lambda: 1_795_000_000.0 + self.now, lambda: 0.5)

    async def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        task = asyncio.ensure_future(work)
        while not task.done():
            for _ in range(200):
                await asyncio.sleep(0)
            if self._sleepers and not task.done():
                moment, _, future = heapq.heappop(self._sleepers)
                self.now = max(self.now, moment)
                if not future.done():
                    future.set_result(None)
        return task.result()


class Inline(Executor):
    """Does the work at once: no thread may run while virtual time goes on."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except BaseException as error:
            future.set_exception(error)
        return future


class Listed:
    """A provider with a task list. It loses the first `lost` answers of each key before it has accepted anything."""

    name, family, account, base_url, recovery = "studio", "dashscope", "a" * 64, "https://x.example", "listing"

    def __init__(self, clock: VirtualTime, lost: int) -> None:
        self.clock, self.lost, self.sent = clock, lost, {}
        self.looked: list[float] = []

    def limits(self, model: str) -> Limits:
        return Limits(2.0, 2, 300)

    def body(self, order: Order) -> bytes:
        return order.key.encode()

    async def submit(self, order: Order, body: bytes, gate: Gate) -> Ticket:
        self.sent[order.key] = self.sent.get(order.key, 0) + 1
        if self.sent[order.key] <= self.lost:
            raise Uncertain("HTTP 502 with nothing that can be read")
        return Ticket(self.name, self.base_url, f"{order.key}-{order.generation}")

    async def collect(self, ticket: Ticket, action: Action) -> Picture:
        return Picture(placeholder_png(action), "image/png", 64, 64, ticket.task_id)

    async def find(self, order: Order, body: bytes, since: float, until: float, claimed: frozenset[str]) -> tuple[Ticket, ...]:
        self.looked.append(self.clock.now)
        return ()

    async def clock_difference(self) -> float | None:
        return 0.0

    async def close(self) -> None:
        return None


class Silent:
    def event(self, event: Any) -> None:
        return None


@pytest.fixture
def clock() -> VirtualTime:
    return VirtualTime()


@pytest.fixture
def cache(tmp_path: Path, clock: VirtualTime) -> Cache:
    return Cache.open(tmp_path / "cache", clock=clock.waits().wall)


def progress_of(cache: Cache, clock: VirtualTime, provider: Listed, build: str, tmp_path: Path) -> Progress:
    lanes = FileLanes(tmp_path / "lanes", clock.waits())
    everything: Any = mock.Mock(
        lanes=lanes, get=lambda name: provider, references=lambda action: (), reserve=lambda price: True
    )
    everything.today = lambda: "2026-11-29"
    world = World(
        cache=cache,
        providers=everything,
        reporter=Silent(),
        workspace=everything,
        budget=everything,
        project="p",
        build=build,
        waits=clock.waits(),
        times=TIMES,
    )
    return Progress(world, Inline(), Inline())


def purchase(number: int) -> Purchase:
    action = Action("dashscope", "qwen-image-plus", prompt=f"lamp {number}", size="64*64", seed=number)
    return Purchase(f"n{number}", "studio", Candidate(number, action, action_key(action)), None)


def intent(cache: Cache, number: int, build: str) -> Attempt:
    bought = purchase(number)
    begun = cache.journal.begin(Intent(
        key=bought.key, build=build, project="p", entry=bought.entry, provider="studio", family="dashscope",
        account=Listed.account, base_url=Listed.base_url, model=bought.action.model, action=document(bought.action),
        body=bought.key.encode(),
    ))  # fmt: skip
    assert isinstance(begun, Attempt)
    return begun


def states(cache: Cache) -> set[AttemptState]:
    return {attempt.state for attempt in cache.journal.attempts()}


@pytest.mark.parametrize("many", [1, 30, 100])
async def test_open_intents_of_a_dead_build_are_settled_in_one_settle_time(
    cache: Cache, clock: VirtualTime, tmp_path: Path, many: int
) -> None:
    with cache.builds.start() as dead:
        attempts = [intent(cache, number, dead.id) for number in range(many)]
    provider = Listed(clock, 0)
    with cache.builds.start() as build:
        await clock.run(finish(progress_of(cache, clock, provider, build.id, tmp_path), attempts))
    assert states(cache) == {AttemptState.FAILED}
    assert provider.sent == {}
    assert set(provider.looked) == {TIMES.settle, WHOLE}
    assert clock.now == WHOLE


async def test_thirty_lost_answers_wait_together_and_hold_up_nothing_that_is_still_to_be_sent(
    cache: Cache, clock: VirtualTime, tmp_path: Path
) -> None:
    """Two places in flight, two a second: half a minute of sending, one settle time, and half a minute of sending again."""
    provider = Listed(clock, 1)
    with cache.builds.start() as build:
        progress = progress_of(cache, clock, provider, build.id, tmp_path)
        outcomes = await clock.run(asyncio.gather(*(buy(progress, purchase(number)) for number in range(30))))
    assert {outcome.kind for outcome in outcomes} == {OutcomeKind.DONE}
    assert set(provider.sent.values()) == {2}
    assert clock.now < 2 * WHOLE


async def test_a_provider_that_loses_every_answer_is_waited_for_once(cache: Cache, clock: VirtualTime, tmp_path: Path) -> None:
    provider = Listed(clock, 99)
    with cache.builds.start() as build:
        progress = progress_of(cache, clock, provider, build.id, tmp_path)
        outcomes = await clock.run(asyncio.gather(*(buy(progress, purchase(number)) for number in range(30))))
    assert {(outcome.kind, outcome.code) for outcome in outcomes} == {(OutcomeKind.FAILED, "cannot-tell")}
    assert set(provider.sent.values()) == {2}
    assert clock.now < 2 * WHOLE


async def test_only_so_many_lost_answers_may_be_open_before_sending_waits(
    cache: Cache, clock: VirtualTime, tmp_path: Path
) -> None:
    provider = Listed(clock, 1)
    most = 0

    async def watch() -> None:
        nonlocal most
        while True:
            await clock.sleep(1.0)
            most = max(most, sum(attempt.state is AttemptState.INTENT for attempt in cache.journal.attempts()))

    with cache.builds.start() as build:
        progress = progress_of(cache, clock, provider, build.id, tmp_path)
        watching = asyncio.ensure_future(watch())
        work = asyncio.gather(*(buy(progress, purchase(number)) for number in range(100)))
        await clock.run(work)
        watching.cancel()
    assert LOST_AT_ONCE <= most <= LOST_AT_ONCE + 2
