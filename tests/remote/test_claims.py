"""Claims: of two machines that want the same picture one draws it, also after the first has died."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing

import pytest

from qwenbuild.remote.claims import Claims, HeldClaim, uptime
from qwenbuild.remote.store import Remote, RemoteError
from tests.remote.memory import Memory
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


def settled(claims: Claims, clock: Clock) -> HeldClaim | None:
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
        pair.remote.put(f"claims/ab/{KEY}.0.json", told("ann", number=clock.now))
    assert pair.bob.take(KEY) is not None


def told(holder: str, **more: object) -> bytes:
    """A claim as another machine writes it."""
    return json.dumps({"holder": holder, "released": False, **more}).encode()


@pytest.mark.parametrize("wrong", [0, 1200, -1200, 86_400, -86_400, -1e9, 1e9])
def test_no_time_that_another_machine_wrote_takes_its_claim_away_or_keeps_it(pair: Pair, clock: Clock, wrong: float) -> None:
    time = clock.now + wrong
    pair.remote.put(f"claims/ab/{KEY}.0.json", told("ann", time=time, expires=time + 180))
    assert pair.bob.take(KEY) is not None
    clock.now += 179
    assert pair.bob.take(KEY) is not None
    clock.now += 2
    assert settled(pair.bob, clock) is None


RUBBISH = {
    "a login page": b"<html>please log in</html>",
    "nothing": b"",
    "another shape": b'{"ok": true}',
    "a list": b"[1, 2]",
    "null": b"null",
    "no text": b"\x00\xff\xfe",
    "cut short": b'{"holder": "ann", "rel',
    "no holder": b'{"released": false}',
    "an empty holder": told(""),
    "a holder that is no name": b'{"holder": 7, "released": false}',
    "a release that is no truth": b'{"holder": "ann", "released": "no"}',
    "a version that is no number": told("ann", v="1"),
    "version 0": told("ann", v=0),
    "too deep": b"[" * 100_000,
    "a newer version": told("ann", v=2),
}


@pytest.mark.parametrize("name", RUBBISH)
def test_what_is_no_claim_is_an_error_and_never_a_free_key(opened: Opener, web: WebStore, name: str, clock: Clock) -> None:
    web.names[f"claims/ab/{KEY}.0.json"] = RUBBISH[name]
    with closing(Claims(opened(web.url), clock, clock, holder="bob")) as claims:
        for _ in range(2):
            with pytest.raises(RemoteError, match=f"claims/ab/{KEY}.0.json in the shared cache") as caught:
                claims.take(KEY)
            assert caught.value.code == ("remote-version" if name == "a newer version" else "remote-unreadable")
            clock.now += 500
        assert not claims.holds(KEY)
    assert web.count("PUT") == 0


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
    answers: list[HeldClaim | None] = []
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


# ---------------------------------------------------------------- in memory: each answer that a store can give


@pytest.fixture
def ann(clock: Clock) -> Iterator[Claims]:
    with closing(Claims(Memory(), clock, clock, holder="ann")) as claims:
        yield claims


def memory(claims: Claims) -> Memory:
    assert isinstance(claims.remote, Memory)
    return claims.remote


def best_effort(clock: Clock, **said: object) -> Claims:
    return Claims(Memory(exact=False, **said), clock, clock, holder="ann")  # type: ignore[arg-type]


def test_an_exact_store_that_acknowledges_and_keeps_nothing_is_an_error_at_once(ann: Claims) -> None:
    memory(ann).keeps = False
    with pytest.raises(RemoteError, match="acknowledged a claim on abababababab but did not keep it") as caught:
        ann.take(KEY)
    assert caught.value.code == "remote-unkept"
    assert not ann.holds(KEY)


def test_a_store_without_conditions_that_keeps_nothing_is_an_error_after_three_tries(clock: Clock) -> None:
    with closing(best_effort(clock, keeps=False)) as claims:
        for _ in range(2):
            assert claims.take(KEY) == HeldClaim("ann", 2.0)
            clock.now += 2
            assert claims.take(KEY) == HeldClaim("another machine", 1.0)
            assert not claims.holds(KEY)
        assert claims.take(KEY) == HeldClaim("ann", 2.0)
        clock.now += 2
        with pytest.raises(RemoteError, match="did not keep it") as caught:
            claims.take(KEY)
        assert caught.value.code == "remote-unkept"
        assert not claims.holds(KEY)


def test_claims_lost_now_and_then_are_no_proof_that_a_store_keeps_nothing(clock: Clock) -> None:
    with closing(best_effort(clock)) as claims:
        store = memory(claims)
        for _ in range(4):
            for keeps in (False, False, True):
                store.keeps = keeps
                assert claims.take(KEY) == HeldClaim("ann", 2.0)
                clock.now += 2
                assert (claims.take(KEY) is None) is keeps
            claims.release(KEY, done=True)


def test_settling_is_waited_out_and_no_longer(clock: Clock) -> None:
    with closing(best_effort(clock)) as claims:
        assert claims.take(KEY) == HeldClaim("ann", 2.0)
        clock.now += 0.5
        assert claims.take(KEY) == HeldClaim("ann", 1.5)
        assert not claims.secure(KEY)
        clock.now += 1.0
        assert claims.take(KEY) == HeldClaim("ann", 0.5)
        clock.now += 0.5
        assert claims.take(KEY) is None
        assert claims.secure(KEY)


@pytest.mark.parametrize(("seconds", "settle"), [(0.5, 2.0), (0.51, 60.0), (30.0, 60.0)])
def test_a_slow_write_settles_until_a_claim_that_it_covered_was_renewed(clock: Clock, seconds: float, settle: float) -> None:
    with closing(best_effort(clock)) as claims:

        def slow(method: str, name: str) -> None:
            clock.now += seconds if "trial" not in name else 0

        memory(claims).before = slow
        assert claims.take(KEY) == HeldClaim("ann", settle)
        memory(claims).before = lambda method, name: None
        assert claims.take(KEY) == HeldClaim("ann", settle)


def test_who_wrote_last_is_believed_and_the_other_waits(clock: Clock) -> None:
    with closing(best_effort(clock)) as claims:
        claims.take(KEY)
        memory(claims).names[f"claims/ab/{KEY}.0.json"] = told("bob")
        clock.now += 2
        assert claims.take(KEY) == HeldClaim("bob", 1.0)
        assert not claims.holds(KEY)
        claims.release(KEY, done=True)
        assert memory(claims).names[f"claims/ab/{KEY}.0.json"] == told("bob")


def test_what_is_not_sure_is_not_renewed(clock: Clock) -> None:
    """It may cover the claim of a machine that is at work."""
    with closing(best_effort(clock)) as claims:
        claims.take(KEY)
        memory(claims).names[f"claims/ab/{KEY}.0.json"] = told("bob")
        claims.renew()
        assert memory(claims).names[f"claims/ab/{KEY}.0.json"] == told("bob")


def test_a_write_that_is_refused_because_it_was_made_twice_is_ours(ann: Claims) -> None:
    """The store's client lost the first answer and asked again by itself."""
    store = memory(ann)
    create = store.create

    def twice(name: str, data: bytes) -> bool | None:
        create(name, data)
        return create(name, data)

    assert ann.exact
    store.create = twice  # type: ignore[method-assign]
    assert ann.take(KEY) is None
    assert ann.secure(KEY)


def test_when_another_machine_writes_first_its_name_is_said(ann: Claims) -> None:
    store = memory(ann)

    def first(method: str, name: str) -> None:
        if method == "create" and KEY in name:
            store.names[name] = told("bob")

    assert ann.exact
    store.before = first
    assert ann.take(KEY) == HeldClaim("bob", 1.0)
    assert not ann.holds(KEY)


def test_a_store_that_said_yes_to_both_gives_the_picture_to_the_claim_that_stands(ann: Claims) -> None:
    """Two machines believed its yes once; the second one's claim is there, so the first does not buy."""
    store = memory(ann)
    assert ann.exact

    def yes(name: str, data: bytes) -> bool:
        store.names[name] = told("bob")
        return True

    store.create = yes  # type: ignore[method-assign]
    assert ann.take(KEY) == HeldClaim("bob", 1.0)
    assert not ann.holds(KEY)
    assert store.names[f"claims/ab/{KEY}.0.json"] == told("bob")


def test_what_is_done_is_removed_from_the_newest_claim_to_the_oldest_and_nothing_else(ann: Claims) -> None:
    """The newest first: with an older one gone, another machine would write there while ours still stands above it."""
    store = memory(ann)
    given_up = json.dumps({"holder": "bob", "released": True}).encode()
    store.names = {f"claims/ab/{KEY}.{n}.json": given_up for n in range(3)}
    assert ann.take(KEY) is None
    store.calls.clear()
    ann.release(KEY, done=True)
    assert store.calls == [("delete", f"claims/ab/{KEY}.{n}.json") for n in (3, 2, 1, 0)]


def test_a_claim_says_who_holds_it_and_when_it_was_written(ann: Claims, clock: Clock) -> None:
    """Read by a person who looks into the store, and by other versions of qwenbuild."""
    clock.now = 1000.12345
    assert ann.take(KEY) is None
    claim = json.loads(memory(ann).names[f"claims/ab/{KEY}.0.json"])
    assert claim == {"v": 1, "holder": "ann", "time": 1000.123, "number": 0, "released": False}


def test_a_claim_that_came_and_went_meanwhile_is_asked_for_again(ann: Claims) -> None:
    store = memory(ann)
    assert ann.exact
    store.create = lambda name, data: False  # type: ignore[method-assign]
    assert ann.take(KEY) == HeldClaim("another machine", 1.0)
    assert not ann.holds(KEY)


def test_another_machine_is_waited_for_half_an_hour_and_no_longer(ann: Claims, clock: Clock) -> None:
    """It renews and renews: a request that hangs, or a program that does."""
    store, name = memory(ann), f"claims/ab/{KEY}.0.json"
    begun = clock.now
    while clock.now <= begun + 1800:
        store.names[name] = told("bob", number=clock.now)
        assert ann.take(KEY) == HeldClaim("bob", 1.0)
        clock.now += 60
    clock.now = begun + 1800.5
    store.names[name] = told("bob", number=0)
    with pytest.raises(RemoteError, match="bob has held the claim on abababababab for 30 minutes") as caught:
        ann.take(KEY)
    assert caught.value.code == "remote-claimed"
    assert ann.take(KEY) == HeldClaim("bob", 1.0)


def test_what_was_waited_for_one_picture_is_not_counted_for_the_next_time(ann: Claims, clock: Clock) -> None:
    store, name = memory(ann), f"claims/ab/{KEY}.0.json"
    store.names[name] = told("bob")
    assert ann.take(KEY) is not None
    del store.names[name]
    assert ann.take(KEY) is None
    ann.release(KEY, done=True)
    clock.now += 2000
    store.names[name] = told("bob", number=2)
    assert ann.take(KEY) is not None


def test_a_store_full_of_claims_that_were_given_up_is_an_error_and_no_endless_search(ann: Claims) -> None:
    given_up = json.dumps({"holder": "bob", "released": True}).encode()
    store = memory(ann)
    store.names = {f"claims/ab/{KEY}.{n}.json": given_up for n in range(255)}
    assert ann.take(KEY) is None
    ann.keep(KEY)
    store.names[f"claims/ab/{KEY}.255.json"] = given_up
    with pytest.raises(RemoteError, match=f"{Memory().url} holds 256 claims on abababababab that were given up") as caught:
        ann.take(KEY)
    assert caught.value.code == "remote-claimed"


def test_a_login_page_for_every_claim_is_one_question_and_an_error(ann: Claims) -> None:
    memory(ann).answer = lambda name: b"<html>please log in</html>"
    with pytest.raises(RemoteError, match="is not a readable claim"):
        ann.take(KEY)
    assert memory(ann).calls == [("get", f"claims/ab/{KEY}.0.json")]


def test_what_is_done_leaves_nothing_and_what_is_given_up_leaves_a_word(ann: Claims, clock: Clock) -> None:
    store = memory(ann)
    store.names[f"claims/ab/{KEY}.0.json"] = json.dumps({"holder": "bob", "released": True}).encode()
    assert ann.take(KEY) is None
    assert sorted(store.names) == [f"claims/ab/{KEY}.{n}.json" for n in (0, 1)]
    ann.release(KEY, done=False)
    claim = json.loads(store.names[f"claims/ab/{KEY}.1.json"])
    assert (claim["holder"], claim["released"], claim["v"]) == ("ann", True, 1)
    with closing(Claims(store, clock, clock, holder="eve")) as eve:
        assert eve.take(KEY) is None
        eve.release(KEY, done=True)
    assert store.names == {}


def test_an_older_claim_of_the_same_build_is_no_reason_to_wait(ann: Claims) -> None:
    assert ann.take(KEY) is None
    ann.keep(KEY)
    assert ann.take(KEY) is None
    assert sorted(memory(ann).names) == [f"claims/ab/{KEY}.{n}.json" for n in (0, 1)]


def test_a_claim_is_dead_only_when_it_was_read_twice_a_lease_apart(ann: Claims, clock: Clock) -> None:
    """What an answer that took minutes says may be minutes old."""
    store, name = memory(ann), f"claims/ab/{KEY}.0.json"
    store.names[name] = told("bob")

    def slow(method: str, name: str) -> None:
        clock.now += 200

    store.before = slow
    assert ann.take(KEY) == HeldClaim("bob", 1.0)
    assert ann.take(KEY) == HeldClaim("bob", 1.0)
    store.before = lambda method, name: None
    assert ann.take(KEY) is None


def test_a_dead_claim_is_dead_after_three_minutes_and_not_before(ann: Claims, clock: Clock) -> None:
    memory(ann).names[f"claims/ab/{KEY}.0.json"] = told("bob")
    assert ann.take(KEY) is not None
    clock.now += 180
    assert ann.take(KEY) is not None
    clock.now += 0.1
    assert ann.take(KEY) is None


def test_whether_a_store_is_exact_is_tried_once_and_leaves_nothing(ann: Claims) -> None:
    assert ann.exact
    assert ann.exact
    assert memory(ann).names == {}
    assert [method for method, _ in memory(ann).calls] == ["create", "create", "delete"]


@pytest.mark.parametrize("answers", [(True, True), (False, False), (True, None), (None, None)])
def test_only_a_first_yes_and_a_second_no_are_exact(ann: Claims, answers: tuple[bool | None, ...]) -> None:
    said = iter(answers)
    memory(ann).create = lambda name, data: next(said)  # type: ignore[method-assign]
    assert ann.exact is False


def test_no_two_texts_of_a_claim_are_equal_even_with_a_clock_that_stands(ann: Claims) -> None:
    texts = set()
    assert ann.take(KEY) is None
    for _ in range(5):
        texts.add(memory(ann).names[f"claims/ab/{KEY}.0.json"])
        ann.renew()
    assert len(texts) == 5


def test_a_long_name_of_another_machine_is_cut(ann: Claims) -> None:
    memory(ann).names[f"claims/ab/{KEY}.0.json"] = told("b" * 500)
    assert ann.take(KEY) == HeldClaim("b" * 80, 1.0)


def test_every_build_has_a_name_of_its_own_and_a_clock_that_only_goes_on() -> None:
    first, second = Claims(Memory()), Claims(Memory())
    assert first.holder != second.holder
    assert len(first.holder.rpartition("-")[2]) == 12
    assert 0 < first.clock() <= first.clock()
    first.close()
    assert abs(first.wall() - time.time()) < 60


def test_a_machines_sleep_counts_where_the_system_counts_it(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(time, "clock_gettime", lambda number: asked.append(number) or 12_345.0, raising=False)
    for name, number in (("CLOCK_BOOTTIME", 7), ("CLOCK_MONOTONIC", 1)):
        monkeypatch.setattr(time, name, number, raising=False)
    assert uptime() == 12_345.0
    monkeypatch.delattr(time, "CLOCK_BOOTTIME")
    assert uptime() == 12_345.0
    assert asked == [7, 1]
    monkeypatch.delattr(time, "CLOCK_MONOTONIC")
    assert uptime() != 12_345.0


def test_closing_waits_for_a_renewal_that_hangs_and_then_goes(ann: Claims, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qwenbuild.remote.claims.RENEW_S", 0.01)
    monkeypatch.setattr("qwenbuild.remote.claims.CLOSE_S", 0.05)
    hanging, free = threading.Event(), threading.Event()

    def hang(method: str, name: str) -> None:
        if method == "put":
            hanging.set()
            free.wait(60)

    memory(ann).before = hang
    assert ann.take(KEY) is None
    assert hanging.wait(30)
    ann.close()
    assert not free.is_set()
    free.set()


def test_after_closing_nothing_is_renewed(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qwenbuild.remote.claims.RENEW_S", 0.01)
    before = set(threading.enumerate())
    claims = Claims(Memory(), clock, clock, holder="ann")
    renewed = threading.Event()
    memory(claims).before = lambda method, name: renewed.set() if method == "put" else None
    assert claims.take(KEY) is None
    assert renewed.wait(30)
    claims.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "qwenbuild-claims" and thread not in before]
