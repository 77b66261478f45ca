"""Changes of the journal that come together share a transaction: each is durable before its caller
goes on, and none spoils another."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from cachelab import begin, begun, digest_of, key, ticket

from qwenbuild.cache import Cache
from qwenbuild.cache.attempts import Attempt, AttemptState
from qwenbuild.errors import CacheError
from qwenbuild.run import purchase
from qwenbuild.run.batching import Batcher


class Held:
    """The journal's transactions counted, and the next one held up while others queue behind it."""

    def __init__(self, cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
        self.file = cache.journal._file
        self.count = 0
        self.inside, self.free = threading.Event(), threading.Event()
        self.broken: Exception | None = None
        real = self.file.writing

        @contextmanager
        def writing() -> Iterator[sqlite3.Connection]:
            with real() as db:
                self.count += 1
                if self.count == 1:
                    self.inside.set()
                    assert self.free.wait(20)
                yield db
                if self.broken is not None and self.count > 1:
                    raise self.broken

        monkeypatch.setattr(self.file, "writing", writing)

    def behind(self, threads: ThreadPoolExecutor, *works: Any) -> list[Future[Any]]:
        """Start the works behind a transaction that is under way, and let it go once all of them wait."""
        assert self.inside.wait(20)
        started = [threads.submit(work) for work in works]
        while len(self.file._waiting) < len(works):
            threading.Event().wait(0.001)
        self.free.set()
        return started


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(20) as made:
        yield made


def states(cache: Cache) -> dict[str, AttemptState]:
    with Cache.open(cache.root) as other:
        return {attempt.key: attempt.state for attempt in other.journal.attempts()}


def test_what_waits_for_a_sync_goes_into_the_next_transaction_together(
    cache: Cache, threads: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun(cache, 0)
    held = Held(cache, monkeypatch)
    first = threads.submit(lambda: begun(cache, 1))
    others = held.behind(threads, *[lambda number=number: begun(cache, number) for number in range(2, 12)])
    made = [first.result(20), *(other.result(20) for other in others)]
    assert held.count == 2
    assert [attempt.key for attempt in made] == [key(number) for number in range(1, 12)]
    assert states(cache) == {key(number): AttemptState.INTENT for number in range(12)}


def test_each_is_on_the_disk_before_its_caller_goes_on(
    cache: Cache, threads: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun(cache, 0)
    held = Held(cache, monkeypatch)

    def sure(number: int) -> AttemptState:
        attempt = begun(cache, number)
        return states(cache)[attempt.key]

    first = threads.submit(lambda: sure(1))
    others = held.behind(threads, *[lambda number=number: sure(number) for number in range(2, 8)])
    assert {first.result(20), *(other.result(20) for other in others)} == {AttemptState.INTENT}


def test_a_change_that_fails_takes_nothing_of_the_others_back(
    cache: Cache, threads: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    bought = begun(cache, 1)
    cache.journal.ticket(bought.id, ticket(1))
    over = begun(cache, 4)
    cache.journal.refuse(over.id, "content", "no")
    held = Held(cache, monkeypatch)
    first = threads.submit(lambda: begun(cache, 2))
    good, twice, unknown, illegal, last = held.behind(
        threads,
        lambda: cache.journal.stored(bought.id, digest_of(b"picture")),
        lambda: begin(cache, 1),
        lambda: cache.journal.ticket("0" * 32, ticket(3)),
        lambda: cache.journal.ticket(over.id, ticket(4)),
        lambda: begun(cache, 3),
    )
    assert isinstance(first.result(20), Attempt)
    assert good.result(20).state is AttemptState.STORED
    assert last.result(20).state is AttemptState.INTENT
    for wrong in (unknown, illegal):
        with pytest.raises(CacheError):
            wrong.result(20)
    twice.result(20)
    assert states(cache)[key(3)] is AttemptState.INTENT


def test_half_a_change_that_fails_is_not_kept(
    cache: Cache, threads: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second live attempt breaks an index of the table after its bodies were touched: all of that one is taken back."""
    begun(cache, 1)
    held = Held(cache, monkeypatch)
    first = threads.submit(lambda: begun(cache, 2))

    def halfway(db: sqlite3.Connection) -> None:
        db.execute("DELETE FROM bodies")
        raise sqlite3.IntegrityError("planted")

    wrong, good = held.behind(threads, lambda: cache.journal._file.change(halfway), lambda: begun(cache, 3))
    with pytest.raises(CacheError, match="planted"):
        wrong.result(20)
    first.result(20)
    good.result(20)
    with Cache.open(cache.root) as other:
        assert all(attempt.body for attempt in other.journal.attempts())


def test_a_transaction_that_cannot_be_written_fails_everybody_in_it(
    cache: Cache, threads: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun(cache, 0)
    held = Held(cache, monkeypatch)
    first = threads.submit(lambda: begun(cache, 1))
    held.broken = sqlite3.OperationalError("disk I/O error")
    others = held.behind(threads, *[lambda number=number: begun(cache, number) for number in range(2, 6)])
    first.result(20)
    for other in others:
        with pytest.raises(CacheError, match="disk I/O error"):
            other.result(20)
    assert set(states(cache)) == {key(0), key(1)}
    held.broken = None
    assert begun(cache, 6).state is AttemptState.INTENT


async def test_an_intent_whose_build_ends_before_it_was_sent_is_taken_back(
    cache: Cache, threads: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered, go_on = threading.Event(), threading.Event()

    def slow(jobs: Sequence[Any]) -> list[Attempt]:
        entered.set()
        assert go_on.wait(20)
        return [begun(cache, 1)]

    monkeypatch.setattr(purchase, "_begin", slow)
    intents = Batcher[Any, Any](threads, lambda: False, asyncio.sleep)
    job: Any = SimpleNamespace(progress=SimpleNamespace(intents=intents, world=SimpleNamespace(cache=cache)))
    writing = asyncio.ensure_future(purchase._begun(job, b"{}"))
    await asyncio.to_thread(entered.wait, 20)
    writing.cancel()
    await asyncio.sleep(0)
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await writing
    (attempt,) = cache.journal.attempts()
    assert (attempt.state, attempt.code, attempt.cost) == (AttemptState.FAILED, "not-sent", {})
