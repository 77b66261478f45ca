"""Claims: of two machines that want the same picture one draws it, also after the first has died."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing

import pytest

from qwenbuild.cache.remote import Remote, RemoteError
from qwenbuild.cache.remote.claims import Claims, Taken
from tests.remote.servers import WebStore
from tests.remote.test_stores import Opener

KEY = "ab" * 32


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


class Pair:
    """Two machines over one store."""

    def __init__(self, stack: ExitStack, remote: Remote, clock: Clock) -> None:
        self.remote = remote
        self.ann, self.bob, self.eve = (
            stack.enter_context(closing(Claims(remote, clock, clock, holder=name))) for name in ("ann", "bob", "eve")
        )


@pytest.fixture
def pair(store_url: str, opened: Opener, clock: Clock) -> Iterator[Pair]:
    with ExitStack() as stack:
        yield Pair(stack, opened(store_url), clock)


def settled(claims: Claims, clock: Clock) -> Taken | None:
    """Take, and where the store cannot promise anything, look again after the settling."""
    taken = claims.take(KEY)
    if taken is not None and taken.holder == claims.holder:
        clock.now += taken.again
        taken = claims.take(KEY)
    return taken


def test_the_second_waits_while_the_first_draws_and_claims_when_it_is_done(pair: Pair, clock: Clock) -> None:
    assert settled(pair.ann, clock) is None
    taken = pair.bob.take(KEY)
    assert taken is not None
    assert taken.holder == "ann"
    assert taken.again > 0
    pair.ann.release(KEY, done=True)
    assert settled(pair.bob, clock) is None
    assert pair.ann.holds(KEY) is False


def test_a_claim_given_up_without_a_picture_is_free_at_once(pair: Pair, clock: Clock) -> None:
    assert settled(pair.ann, clock) is None
    pair.ann.release(KEY, done=False)
    assert settled(pair.bob, clock) is None
    assert pair.ann.take(KEY) is not None


def test_what_an_interrupted_build_holds_stays_until_it_expires(pair: Pair, clock: Clock) -> None:
    assert settled(pair.ann, clock) is None
    pair.ann.close()
    assert pair.bob.take(KEY) is not None


def test_a_dead_machines_claim_expires_by_our_own_clock(pair: Pair, clock: Clock) -> None:
    assert settled(pair.ann, clock) is None
    assert pair.bob.take(KEY) is not None
    clock.now += 179
    assert pair.bob.take(KEY) is not None
    clock.now += 2
    assert settled(pair.bob, clock) is None
    taken = pair.eve.take(KEY)
    assert taken is not None
    assert taken.holder in ("ann", "bob")


def test_a_renewed_claim_does_not_expire(pair: Pair, clock: Clock) -> None:
    assert settled(pair.ann, clock) is None
    for _ in range(5):
        assert pair.bob.take(KEY) is not None
        clock.now += 100
        pair.remote.put(f"claims/ab/{KEY}.0.json", pair.ann._text())
    assert pair.bob.take(KEY) is not None


def test_a_wrong_clock_elsewhere_takes_no_claim_away(pair: Pair, clock: Clock) -> None:
    past = json.dumps({"holder": "ann", "time": clock.now - 500, "expires": clock.now - 320, "released": False}).encode()
    pair.remote.put(f"claims/ab/{KEY}.0.json", past)
    assert pair.bob.take(KEY) is not None


def test_a_claim_of_last_week_is_dead_at_once(pair: Pair, clock: Clock) -> None:
    old = json.dumps({"holder": "ann", "time": 0, "expires": clock.now - 601, "released": False}).encode()
    pair.remote.put(f"claims/ab/{KEY}.0.json", old)
    assert settled(pair.bob, clock) is None


def test_rubbish_in_a_claim_is_somebodys_until_it_expires(pair: Pair, clock: Clock) -> None:
    pair.remote.put(f"claims/ab/{KEY}.0.json", b"\x00not json")
    assert pair.bob.take(KEY) is not None
    clock.now += 181
    assert settled(pair.bob, clock) is None


def test_when_two_find_a_dead_claim_at_once_one_takes_it(pair: Pair, clock: Clock) -> None:
    assert settled(pair.ann, clock) is None
    for claims in (pair.bob, pair.eve):
        assert claims.take(KEY) is not None
    clock.now += 181
    answers = [pair.bob.take(KEY), pair.eve.take(KEY)]
    clock.now += 2.1
    answers = [pair.bob.take(KEY), pair.eve.take(KEY)]
    assert answers.count(None) == 1


def test_of_many_at_once_one_gets_it(pair: Pair) -> None:
    if not pair.ann.exact:
        pytest.skip("this store cannot promise who was first")
    machines = [Claims(pair.remote, holder=f"m{n}") for n in range(8)]
    answers: list[Taken | None] = []
    threads = [threading.Thread(target=lambda c=c: answers.append(c.take(KEY))) for c in machines]  # type: ignore[misc]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for claims in machines:
        claims.close()
    assert answers.count(None) == 1


def test_a_store_that_says_yes_twice_is_not_believed(web: WebStore, opened: Opener) -> None:
    """Some S3 servers accept the condition and overwrite all the same."""
    remote = opened(web.url)

    class Lying:
        def __getattr__(self, name: str) -> object:
            return getattr(remote, name)

        def create(self, name: str, data: bytes) -> bool:
            remote.put(name, data)
            return True

    with closing(Claims(Lying(), holder="ann")) as claims:  # type: ignore[arg-type]
        assert claims.exact is False


def test_a_store_that_fails_gives_no_claim(web: WebStore, opened: Opener) -> None:
    web.fault = lambda handler: handler.answer(503) or True  # type: ignore[func-returns-value]
    with closing(Claims(opened(web.url), holder="ann")) as claims, pytest.raises(RemoteError):
        claims.take(KEY)
