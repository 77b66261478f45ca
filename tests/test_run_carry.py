"""Who else may have bought it: earlier builds, other builds, other machines. What is asked and what is sent, in order."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from qwenbuild.cache import Attempt, AttemptState
from qwenbuild.cache.journal import Journal
from qwenbuild.errors import (
    AccountStop,
    CacheError,
    CredentialsError,
    FailedAtProvider,
    Refused,
    Throttled,
    Unavailable,
    Uncertain,
)
from qwenbuild.model import Limits, Outcome, OutcomeKind, Ticket
from qwenbuild.run.batching import Batcher
from qwenbuild.run.purchase import buy
from qwenbuild.run.recover import AT_ONCE, finish
from tests.shop import BASE, PRICE, Shop, lamp

HOUR = 3600.0
RETENTION = 23 * HOUR
FREE: Any = {}
KEY = lamp().key
DONE, FAILED, DOUBT = OutcomeKind.DONE, OutcomeKind.FAILED, OutcomeKind.DOUBT
Make = Callable[..., Shop]


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Make]:
    shops: list[Shop] = []

    def make(recovery: str = "none", **more: Any) -> Shop:
        shops.append(Shop(tmp_path, recovery=recovery, **more))
        return shops[-1]

    yield make
    for shop in shops:
        shop.end()


@pytest.fixture
def shop(made: Make) -> Shop:
    return made()


# ---------------------------------------------------------------- made already, or while this build came to it


def test_a_picture_that_is_at_hand_by_now_is_not_bought(shop: Shop) -> None:
    first = shop.buy(lamp())
    second = shop.buy(lamp())
    assert (second.kind, second.how, second.result) == (DONE, "restored", first.result)
    assert (shop.provider.asked("submit"), shop.purse) == (["lamp 0"], [("held", PRICE)])


@pytest.mark.parametrize(("forced", "sent"), [(KEY, 2), ("entry:n0", 2), ("entry:n1", 1), ("n0", 1)])
def test_what_a_person_forces_is_bought_though_it_is_at_hand(made: Make, forced: str, sent: int) -> None:
    shop = made(forced=frozenset({forced}))
    shop.buy(lamp())
    shop.buy(lamp())
    assert len(shop.provider.orders) == sent


def test_a_picture_that_another_build_stores_while_the_intent_is_written_is_not_bought(shop: Shop) -> None:
    result = shop.buy(lamp(1)).result
    shop.purse.clear()
    with mock.patch.object(type(shop.cache), "made", side_effect=[None, result]):
        outcome = shop.buy(lamp())
    assert (outcome.kind, outcome.how, outcome.result) == (DONE, "restored", result)
    assert shop.provider.asked("submit") == ["lamp 1"]
    (attempt,) = [attempt for attempt in shop.attempts if attempt.key == KEY]
    assert (attempt.state.value, attempt.code, attempt.cost) == ("failed", "made-meanwhile", {})


@pytest.mark.parametrize("error", [CacheError("cannot be read"), OSError("I/O")])
def test_a_cache_that_cannot_tell_after_the_intent_sends_nothing_and_says_so(shop: Shop, error: Exception) -> None:
    with mock.patch.object(type(shop.cache), "made", side_effect=[None, error]), pytest.raises(type(error)):
        shop.buy(lamp())
    assert shop.provider.happened == []
    assert [(attempt.state.value, attempt.code) for attempt in shop.attempts] == [("failed", "not-sent")]


def test_with_a_full_disk_nothing_is_bought(shop: Shop) -> None:
    with mock.patch.object(type(shop.cache), "free_bytes", return_value=0):
        outcome = shop.buy(lamp())
    assert (outcome.kind, outcome.code, outcome.stop) == (OutcomeKind.SKIPPED, "disk", "disk")
    assert (shop.provider.happened, shop.attempts, shop.purse, shop.progress.due) == ([], [], [], 0)


def test_room_is_kept_on_the_disk_for_everything_in_flight_and_this_picture(shop: Shop) -> None:
    shop.progress.in_flight["other"] = ("n9", 0.0)
    with (
        mock.patch.object(type(shop.cache), "room_for", return_value=1000) as asked,
        mock.patch.object(type(shop.cache), "free_bytes", return_value=1000),
    ):
        assert shop.buy(lamp()).kind is DONE
    assert [call.args for call in asked.call_args_list] == [(2,)]


def test_a_build_that_is_ended_while_an_intent_is_written_takes_it_back(shop: Shop) -> None:
    shop.provider.pace = Limits(50.0, 2, 300)
    begun, go = threading.Event(), threading.Event()
    real = Journal.begin_many

    def begin(self: Journal, intents: Any) -> Any:
        begun.set()
        go.wait(30)
        return real(self, intents)

    async def ended() -> None:
        task = asyncio.ensure_future(buy(shop.progress, lamp()))
        while not begun.is_set():  # noqa: ASYNC110  (set by a thread)
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.sleep(0)
        go.set()
        with pytest.raises(asyncio.CancelledError):
            await task

    with mock.patch.object(Journal, "begin_many", begin), ThreadPoolExecutor(1) as writers:
        shop.progress.intents = Batcher(writers, lambda: False, asyncio.sleep)
        shop.run(ended())
    assert shop.provider.happened == []
    assert [(attempt.state.value, attempt.code) for attempt in shop.attempts] == [("failed", "not-sent")]


# ---------------------------------------------------------------- reference images


def portrait() -> Any:
    return lamp(inputs=("d" * 64,))


def test_a_reference_image_is_handed_over_again_before_anything_is_ordered(shop: Shop) -> None:
    shop.provider.handed = [Unavailable("down"), Throttled("slow"), FailedAtProvider("broken")]
    assert shop.buy(portrait()).kind is DONE
    assert [what for what, _ in shop.provider.happened] == ["prepare"] * 4 + ["submit", "collect"]
    assert [b - a for a, b in zip(shop.provider.times[:3], shop.provider.times[1:4], strict=True)] == [1.0, 2.0, 4.0]
    assert shop.provider.orders[0].inputs == ((b"bytes", "image/png"),)


def test_a_reference_image_that_nobody_takes_costs_nothing(shop: Shop) -> None:
    shop.provider.handed = [Unavailable("down") for _ in range(9)]
    outcome = shop.buy(portrait())
    assert (outcome.kind, outcome.code, shop.attempts, shop.purse) == (FAILED, "upload", [], [])
    assert "could not be uploaded: down" in outcome.message
    assert len(shop.provider.happened) == 4


def test_a_reference_image_that_is_refused_is_not_handed_over_again(shop: Shop) -> None:
    shop.provider.handed = [Refused("too large")]
    assert (shop.buy(portrait()).code, len(shop.provider.happened)) == ("upload", 1)


def test_an_account_that_may_hand_over_nothing_is_stopped(shop: Shop) -> None:
    shop.provider.handed = [AccountStop("no such key", kind="credentials")]
    assert (shop.buy(portrait()).stop, shop.buy(lamp(1)).stop) == ("credentials", "credentials")
    assert (len(shop.provider.happened), shop.attempts) == (1, [])


def test_without_reference_images_nothing_is_handed_over(shop: Shop) -> None:
    shop.buy(lamp())
    assert shop.provider.asked("prepare") == []
    assert shop.provider.orders[0].inputs == ()


# ---------------------------------------------------------------- other machines


class Elsewhere:
    """Other machines: what they say before a purchase, and whether its claim still stands."""

    def __init__(self, begins: list[Any] | None = None, secures: list[bool] | None = None) -> None:
        self.begins, self.secures = begins or [], secures or []
        self.asked: list[str] = []
        self.ended: list[Outcome] = []

    def begin(self, key: str) -> Any:
        self.asked.append(key)
        return self.begins.pop(0) if self.begins else None

    def secure(self, key: str) -> bool:
        return self.secures.pop(0) if self.secures else True

    def end(self, outcome: Outcome) -> None:
        self.ended.append(outcome)


def test_what_another_machine_draws_is_waited_for_and_its_picture_taken(made: Make) -> None:
    result = made().buy(lamp(1)).result
    others = Elsewhere([30.0, 5.0, result])
    shop = made(elsewhere=others)
    outcome = shop.buy(lamp())
    assert (outcome.kind, outcome.how, outcome.result) == (DONE, "restored", result)
    assert (shop.provider.happened, shop.clock.now, others.asked) == ([], 35.0, [KEY] * 3)
    assert others.ended == [outcome]


def test_what_is_forced_asks_no_other_machine_and_tells_it_the_end(made: Make) -> None:
    others = Elsewhere([30.0])
    shop = made(elsewhere=others, forced=frozenset({"entry:n0"}))
    outcome = shop.buy(lamp())
    assert (others.asked, others.ended, shop.provider.asked("submit")) == ([], [outcome], ["lamp 0"])


def test_a_stop_while_another_machine_is_waited_for_buys_nothing(made: Make) -> None:
    others = Elsewhere([30.0])
    shop = made(elsewhere=others)

    async def stopped() -> Outcome:
        task = asyncio.ensure_future(buy(shop.progress, lamp()))
        await shop.clock.sleep(10.0)
        shop.progress.stop_all("interrupted", "Ctrl-C")
        return await task

    outcome = shop.run(stopped())
    assert (outcome.kind, outcome.stop, outcome.message) == (OutcomeKind.SKIPPED, "interrupted", "Ctrl-C")
    assert (shop.provider.happened, shop.clock.now) == ([], 10.0)
    assert others.ended == [outcome]


def test_a_claim_that_ran_out_before_the_request_left_is_taken_anew(made: Make) -> None:
    others = Elsewhere(secures=[False])
    shop = made(elsewhere=others)
    assert shop.buy(lamp()).kind is DONE
    assert [order.generation for order in shop.provider.orders] == [1]
    assert [(a.state.value, a.code) for a in shop.attempts] == [("failed", "not-sent"), ("stored", "")]
    assert others.asked == [KEY, KEY]


def test_what_may_have_arrived_is_sent_again_also_when_its_claim_ran_out(made: Make) -> None:
    """Its idempotency key is its own: given up, it would be paid for and forgotten."""
    others = Elsewhere(secures=[True, False])
    shop = made("resend", elsewhere=others)
    shop.provider.submits = [Uncertain("reset")]
    assert shop.buy(lamp()).kind is DONE
    assert [order.generation for order in shop.provider.orders] == [0, 0]
    assert others.secures == [False]


# ---------------------------------------------------------------- another build on this machine


def held_by(shop: Shop) -> tuple[Any, Attempt]:
    """A living build, and its intent of the same picture."""
    other = shop.cache.builds.start()
    return other, shop.left_by_a_dead_build(lamp(), build=other.id)


@pytest.mark.parametrize("contested", [True, False])
@pytest.mark.parametrize("end", ["refused", "doubt", "failed", "stored"])
def test_another_builds_request_is_waited_for_and_what_comes_of_it_counts(made: Make, contested: bool, end: str) -> None:
    shop = made()
    result = shop.buy(lamp(1)).result
    shop.purse.clear()
    other, attempt = held_by(shop)
    shop.progress.contested = {KEY} if contested else set()
    journal = shop.cache.journal

    async def both() -> Outcome:
        task = asyncio.ensure_future(buy(shop.progress, lamp()))
        await shop.clock.sleep(10.2)
        assert shop.provider.asked("submit") == ["lamp 1"]
        if end == "refused":
            journal.refuse(attempt.id, "no", "not allowed")
        elif end == "doubt":
            journal.doubt(attempt.id, "lost", "reset")
        elif end == "failed":
            journal.fail(attempt.id, "broken", "broken")
        else:
            journal.ticket(attempt.id, Ticket("studio", BASE, "theirs"))
            journal.stored(attempt.id, result.digest)
        return await task

    def theirs(key: str) -> Any:
        return result if shop.clock.now > 10.2 and end == "stored" else None

    with mock.patch.object(type(shop.cache), "made", side_effect=theirs):
        outcome = shop.run(both())
    other.__exit__(None, None, None)
    told = {
        "refused": (OutcomeKind.REFUSED, "no", "not allowed", ""),
        "doubt": (DOUBT, "lost", "reset", ""),
        "failed": (DONE, "", "", "generated"),
        "stored": (DONE, "", "", "resumed"),
    }
    assert (outcome.kind, outcome.code, outcome.message, outcome.how) == told[end]
    assert shop.provider.asked("submit") == ["lamp 1", *(["lamp 0"] if end == "failed" else [])]
    busy = [] if contested else [("held", PRICE), ("back", PRICE)]
    assert shop.purse == [*busy, *([("held", PRICE)] if end == "failed" else [])]
    assert 10.0 <= shop.clock.now <= (12.0 if end == "failed" else 10.8)


def test_a_doubt_of_another_build_is_not_bought_again(shop: Shop) -> None:
    attempt = shop.left_by_a_dead_build(lamp())
    shop.cache.journal.doubt(attempt.id, "lost", "reset")
    shop.progress.contested = {KEY}
    outcome = shop.buy(lamp())
    assert (outcome.kind, outcome.code, outcome.message) == (DOUBT, "lost", "reset")
    assert shop.provider.happened == []


def test_a_dead_builds_ticket_is_collected_by_who_wants_its_picture(shop: Shop) -> None:
    attempt = shop.left_by_a_dead_build(lamp())
    shop.cache.journal.ticket(attempt.id, Ticket("studio", BASE, "theirs"))
    outcome = shop.buy(lamp())
    assert (outcome.kind, outcome.how) == (DONE, "resumed")
    assert shop.provider.happened == [("collect", "theirs")]
    assert (shop.states, shop.progress.spent, shop.progress.bought) == (["stored"], {}, 0)
    assert shop.progress.in_flight == {}


def test_after_a_stop_a_dead_builds_ticket_is_left_to_the_next_build(shop: Shop) -> None:
    attempt = shop.left_by_a_dead_build(lamp())
    shop.cache.journal.ticket(attempt.id, Ticket("studio", BASE, "theirs"))
    shop.progress.contested = {KEY}
    shop.progress.stop_all("interrupted", "Ctrl-C")
    assert shop.buy(lamp()).stop == "interrupted"
    assert (shop.provider.happened, shop.states) == ([], ["ticket"])


# ---------------------------------------------------------------- a dead build's request without an answer


def test_what_nobody_can_be_asked_about_is_in_doubt(shop: Shop) -> None:
    outcome = shop.finish(shop.left_by_a_dead_build(lamp()))[KEY]
    assert (outcome.kind, outcome.code, shop.states, shop.provider.happened) == (DOUBT, "no-answer", ["doubt"], [])
    assert [entry for entry, _ in shop.progress.doubts] == ["n0"]


def test_what_costs_nothing_is_closed_and_sent_anew(shop: Shop) -> None:
    assert shop.finish(shop.left_by_a_dead_build(lamp(price=FREE))) == {}
    assert (shop.states, shop.attempts[0].code, shop.provider.happened) == (["failed"], "no-answer", [])
    assert shop.buy(lamp(price=FREE)).kind is DONE


def test_a_living_builds_request_is_left_alone(made: Make) -> None:
    shop = made("listing")
    other, attempt = held_by(shop)
    assert shop.finish(attempt) == {}
    assert (shop.states, shop.provider.happened) == (["intent"], [])
    other.__exit__(None, None, None)


def test_a_doubt_is_not_looked_at_again(made: Make) -> None:
    shop = made("listing")
    attempt = shop.left_by_a_dead_build(lamp())
    attempt = shop.cache.journal.doubt(attempt.id, "lost", "reset")
    assert shop.finish(attempt) == {}
    assert shop.provider.happened == []


def test_after_a_stop_nothing_more_is_carried_on(made: Make) -> None:
    shop = made("listing")
    attempt = shop.left_by_a_dead_build(lamp())
    shop.progress.stop_all("interrupted", "Ctrl-C")
    assert shop.finish(attempt) == {}
    assert (shop.states, shop.provider.happened) == (["intent"], [])


def test_what_is_stored_and_not_closed_asks_nobody_and_gets_its_ticket_from_the_receipt(made: Make) -> None:
    shop = made()
    with mock.patch.object(Journal, "stored_many", side_effect=SystemError), pytest.raises(SystemError):
        shop.buy(lamp())
    shop.end()
    again = made()
    outcome = again.finish(*again.attempts)[KEY]
    assert (outcome.kind, outcome.how, again.states, again.provider.happened) == (DONE, "resumed", ["stored"], [])
    ticket = again.attempts[0].ticket
    assert ticket is not None
    assert (ticket.task_id, ticket.request_id) == ("task1", "r")


def test_an_intent_whose_receipt_is_there_is_closed_with_the_receipts_task(made: Make) -> None:
    shop = made()
    attempt = shop.left_by_a_dead_build(lamp())
    result = shop.buy(lamp(1)).result
    shop.cache.put_receipt(replace(result, key=KEY, attempt=attempt.id, task_id="theirs", request_id="r9"))
    outcome = shop.finish(attempt)[KEY]
    (closed,) = [a for a in shop.attempts if a.key == KEY]
    assert (outcome.kind, outcome.how, closed.state) == (DONE, "resumed", AttemptState.STORED)
    assert closed.ticket is not None
    assert (closed.ticket.task_id, closed.ticket.request_id, closed.digest) == ("theirs", "r9", result.digest)


def test_what_is_stored_and_not_closed_needs_no_key_of_its_provider(made: Make) -> None:
    shop = made()
    with mock.patch.object(Journal, "stored_many", side_effect=SystemError), pytest.raises(SystemError):
        shop.buy(lamp())
    shop.end()
    again = made()
    again.get = mock.Mock(side_effect=CredentialsError("no key is set"))  # type: ignore[method-assign]
    assert again.finish(*again.attempts)[KEY].how == "resumed"
    assert (again.states, again.heard.events) == (["stored"], [])


def test_who_wants_what_a_dead_build_stored_and_did_not_close_takes_it(made: Make) -> None:
    shop = made()
    with mock.patch.object(Journal, "stored_many", side_effect=SystemError), pytest.raises(SystemError):
        shop.buy(lamp())
    shop.end()
    again = made()
    again.progress.contested = {KEY}
    outcome = again.buy(lamp())
    assert (outcome.kind, outcome.how, again.states, again.provider.happened) == (DONE, "resumed", ["stored"], [])


def test_a_receipt_without_its_bytes_closes_nothing_and_the_ticket_is_asked_again(made: Make) -> None:
    shop = made()
    with mock.patch.object(Journal, "stored_many", side_effect=SystemError), pytest.raises(SystemError):
        shop.buy(lamp())
    shop.end()
    again = made()
    with mock.patch.object(type(again.cache), "has_blob", return_value=False):
        again.finish(*again.attempts)
    assert (again.states, again.provider.happened) == (["stored"], [("collect", "task1")])


def test_a_receipt_of_another_attempt_closes_nothing(made: Make) -> None:
    shop = made()
    attempt = shop.left_by_a_dead_build(lamp())
    result = shop.buy(lamp(1)).result
    shop.cache.put_receipt(replace(result, key=KEY))
    assert shop.finish(attempt)[KEY].kind is DOUBT


def test_an_idempotency_key_sends_the_same_attempt_once_more(made: Make) -> None:
    shop = made("resend")
    outcome = shop.finish(shop.left_by_a_dead_build(lamp(), ago=RETENTION - 1))[KEY]
    assert (outcome.kind, outcome.how, shop.states) == (DONE, "recovered", ["stored"])
    assert shop.provider.happened == [("clock", ""), ("submit", "lamp 0"), ("collect", "task1")]
    assert (shop.provider.orders[0].generation, shop.provider.orders[0].key) == (0, KEY)
    assert (shop.progress.spent, shop.progress.in_flight, shop.purse) == ({}, {}, [])


def test_an_idempotency_key_that_may_have_been_forgotten_is_never_used_again(made: Make) -> None:
    shop = made("resend")
    outcome = shop.finish(shop.left_by_a_dead_build(lamp(), ago=RETENTION))[KEY]
    assert (outcome.kind, outcome.code, shop.provider.asked("submit")) == (DOUBT, "no-answer", [])


@pytest.mark.parametrize(("ahead", "sent"), [(-2.0, 1), (0.0, 0)])
def test_how_old_a_request_is_counts_by_the_providers_clock(made: Make, ahead: float, sent: int) -> None:
    shop = made("resend")
    shop.provider.clocks = [lambda: ahead] if ahead else []
    shop.finish(shop.left_by_a_dead_build(lamp(), ago=RETENTION + 1))
    assert len(shop.provider.orders) == sent


def test_a_provider_that_does_not_tell_its_time_gets_nothing_under_an_old_key(made: Make) -> None:
    shop = made("resend")
    with mock.patch.object(type(shop.provider), "clock_difference", mock.AsyncMock(return_value=None)):
        outcome = shop.finish(shop.left_by_a_dead_build(lamp(), ago=60.0))[KEY]
    assert (outcome.kind, outcome.code, shop.states, shop.provider.happened) == (FAILED, "cannot-tell", ["intent"], [])
    assert "the next build asks" in outcome.message


@pytest.mark.parametrize(
    ("recovery", "ago", "doubt"), [("resend", 60.0, False), ("listing", 60.0, False), ("listing", RETENTION, True)]
)
def test_a_clock_that_cannot_be_asked_is_asked_again_and_then_left_to_the_next_build(
    made: Make, recovery: str, ago: float, doubt: bool
) -> None:
    shop = made(recovery)
    shop.provider.clocks = [Unavailable("down") for _ in range(50)]
    outcome = shop.finish(shop.left_by_a_dead_build(lamp(), ago=ago))[KEY]
    assert (outcome.kind, shop.states) == ((DOUBT, ["doubt"]) if doubt else (FAILED, ["intent"]))
    assert set(shop.provider.happened) == {("clock", "")}
    pauses = [b - a for a, b in zip(shop.provider.times[:-1], shop.provider.times[1:], strict=True)]
    assert pauses == [1.875, 3.75, 7.5, 15.0, 16.0]
    assert shop.clock.now <= 60.0


def test_a_clock_is_asked_once_for_all_requests_of_an_account(made: Make) -> None:
    shop = made("resend")
    shop.finish(*(shop.left_by_a_dead_build(lamp(number), ago=60.0) for number in range(5)))
    assert (len(shop.provider.asked("clock")), len(shop.provider.orders), set(shop.states)) == (1, 5, {"stored"})


@pytest.mark.parametrize("error", [AccountStop("no such key", kind="credentials"), Uncertain("no list", code="no-list")])
def test_what_asking_again_does_not_change_is_asked_once(made: Make, error: Exception) -> None:
    shop = made("listing")
    shop.provider.finds = [error]
    outcome = shop.finish(shop.left_by_a_dead_build(lamp(), ago=60.0))[KEY]
    assert outcome.kind is (DOUBT if isinstance(error, Uncertain) else FAILED)
    assert shop.states == (["doubt"] if isinstance(error, Uncertain) else ["intent"])
    assert shop.provider.asked("find") == [""]


@pytest.mark.parametrize(("ahead", "kind", "code"), [(HOUR, DOUBT, "wrong-clock"), (HOUR - 1, DONE, "")])
def test_a_request_from_the_future_is_not_believed(made: Make, ahead: float, kind: OutcomeKind, code: str) -> None:
    shop = made("listing")
    shop.provider.finds = [(Ticket("studio", BASE, "theirs"),)]
    outcome = shop.finish(shop.left_by_a_dead_build(lamp(), ago=-ahead))[KEY]
    assert (outcome.kind, outcome.code) == (kind, code)


# ---------------------------------------------------------------- a provider's task list


def test_the_one_task_in_the_list_is_the_requests_and_nothing_is_paid_again(made: Make) -> None:
    shop = made("listing")
    shop.provider.finds = [(Ticket("studio", BASE, "theirs"),)]
    outcome = shop.finish(shop.left_by_a_dead_build(lamp(), ago=10.0))[KEY]
    assert (outcome.kind, outcome.how, shop.states) == (DONE, "recovered", ["stored"])
    assert shop.provider.happened == [("clock", ""), ("find", ""), ("collect", "theirs")]
    assert shop.provider.times[1] == 50.0
    assert shop.provider.windows == [(-310.0, 890.0, frozenset())]
    assert (shop.attempts[0].ticket or Ticket("", "")).task_id == "theirs"


def test_an_old_request_is_looked_up_at_once(made: Make) -> None:
    shop = made("listing")
    shop.provider.finds = [(Ticket("studio", BASE, "theirs"),)]
    shop.finish(shop.left_by_a_dead_build(lamp(), ago=1000.0))
    assert shop.provider.times[1] == 0.0


def test_two_tasks_that_it_could_be_leave_it_in_doubt(made: Make) -> None:
    shop = made("listing")
    shop.provider.finds = [(Ticket("studio", BASE, "one"), Ticket("studio", BASE, "two"))]
    outcome = shop.finish(shop.left_by_a_dead_build(lamp()))[KEY]
    assert (outcome.kind, outcome.code, shop.states) == (DOUBT, "no-answer", ["doubt"])


def test_a_task_that_another_attempt_has_is_not_claimed_a_second_time(made: Make) -> None:
    shop = made("listing")
    dead = shop.left_by_a_dead_build(lamp())
    other = shop.left_by_a_dead_build(lamp(1))

    def meanwhile() -> Any:
        shop.cache.journal.ticket(other.id, Ticket("studio", BASE, "one"))
        return (Ticket("studio", BASE, "one"), Ticket("studio", BASE, "two"))

    shop.provider.finds = [meanwhile]
    assert shop.finish(dead)[KEY].how == "recovered"
    assert shop.provider.asked("collect") == ["two"]


def test_two_looks_that_find_nothing_prove_that_nothing_was_bought_and_it_is_bought_then(made: Make) -> None:
    shop = made("listing")
    assert shop.finish(shop.left_by_a_dead_build(lamp())) == {}
    assert (shop.states, shop.attempts[0].code) == (["failed"], "never-arrived")
    assert shop.provider.happened == [("clock", ""), ("find", ""), ("find", "")]
    assert shop.provider.times == [0.0, 60.0, 90.0]
    assert shop.buy(lamp()).kind is DONE
    assert shop.provider.asked("submit") == ["lamp 0"]


@pytest.mark.parametrize(("error", "kind"), [(Unavailable, FAILED), (FailedAtProvider, FAILED), (Uncertain, DOUBT)])
def test_a_list_that_says_nothing_is_asked_until_it_is_late(made: Make, error: Any, kind: OutcomeKind) -> None:
    shop = made("listing")
    shop.provider.finds = [error("down") for _ in range(50)]
    outcome = shop.finish(shop.left_by_a_dead_build(lamp()))[KEY]
    assert (outcome.kind, shop.states) == (kind, ["doubt" if kind is DOUBT else "intent"])
    assert shop.provider.times[1:] == [60.0, 61.875, 65.625, 73.125, 88.125, 104.125]


@pytest.mark.parametrize(("told", "waited"), [(20.0, 20.0), (500.0, None), (0.0, 0.0)])
def test_a_list_that_throttles_says_itself_when_it_is_asked_again(made: Make, told: float, waited: float | None) -> None:
    shop = made("listing")
    shop.provider.finds = [Throttled("slow down", retry_after=told), (Ticket("studio", BASE, "theirs"),)]
    outcome = shop.finish(shop.left_by_a_dead_build(lamp()))[KEY]
    assert outcome.kind is (FAILED if waited is None else DONE)
    assert shop.provider.times[1:3] == ([60.0] if waited is None else [60.0, 60.0 + waited])


def test_a_lost_answer_is_looked_up_bought_again_when_it_never_arrived_and_looked_up_once_only(made: Make) -> None:
    shop = made("listing")
    shop.provider.submits = [Uncertain("reset"), Uncertain("reset again")]
    outcome = shop.buy(lamp())
    assert (outcome.kind, outcome.code) == (FAILED, "cannot-tell")
    assert [what for what, _ in shop.provider.happened] == ["submit", "find", "find", "submit"]
    assert [(a.state.value, a.generation) for a in shop.attempts] == [("failed", 0), ("intent", 1)]
    assert (shop.progress.in_flight, shop.progress.lost_places._value) == ({}, 32)


def test_a_lost_answer_without_a_code_of_its_own_is_called_no_answer(made: Make) -> None:
    shop = made("listing")
    seen: list[list[str]] = []

    def hidden() -> Uncertain:
        seen.append(list(shop.progress.in_flight))
        return Uncertain("hidden", code="hidden")

    shop.provider.submits, shop.provider.finds = [Uncertain("reset")], [hidden]
    assert shop.buy(lamp()).code == "no-answer"
    assert seen == [[shop.attempts[0].id]]


def test_the_time_that_a_list_needs_is_not_taken_from_a_new_attempt(made: Make) -> None:
    shop = made("listing")
    shop.provider.pace = Limits(2.0, 2, 20)
    shop.provider.submits = [Uncertain("reset")]
    assert shop.buy(lamp()).kind is DONE
    assert len(shop.provider.orders) == 2


def test_a_lost_answer_that_nobody_can_tell_of_keeps_its_own_words(made: Make) -> None:
    shop = made("listing")
    shop.provider.submits, shop.provider.finds = [Uncertain("reset", code="cut")], [Uncertain("hidden", code="hidden")]
    outcome = shop.buy(lamp())
    assert (outcome.kind, outcome.code, outcome.message, shop.states) == (DOUBT, "cut", "reset", ["doubt"])


# ---------------------------------------------------------------- rivals


def intent_beside(shop: Shop, *, prompt: str = "lamp 0", ago: float = 0.0, seed: int = 5) -> Attempt:
    return shop.left_by_a_dead_build(lamp(seed, prompt=prompt), ago=ago)


@pytest.mark.parametrize("state", ["intent", "doubt", "dropped", "failed", "refused", "ticket"])
def test_a_task_that_could_be_another_open_requests_is_claimed_for_neither(made: Make, state: str) -> None:
    shop = made("listing")
    dead, rival = shop.left_by_a_dead_build(lamp()), intent_beside(shop)
    journal = shop.cache.journal
    moves: dict[str, Callable[[], Any]] = {
        "doubt": lambda: journal.doubt(rival.id, "lost", "reset"),
        "dropped": lambda: (journal.doubt(rival.id, "lost", "reset"), journal.drop(rival.id)),
        "failed": lambda: journal.fail(rival.id, "no", "no"),
        "refused": lambda: journal.refuse(rival.id, "no", "no"),
        "ticket": lambda: journal.ticket(rival.id, Ticket("studio", BASE, "mine")),
        "intent": lambda: None,
    }
    moves[state]()
    shop.provider.finds = [(Ticket("studio", BASE, "theirs"),)]
    outcome = shop.finish(dead)[KEY]
    assert outcome.kind is (DOUBT if state in ("intent", "doubt", "dropped") else DONE)


@pytest.mark.parametrize(
    ("other", "kind"),
    [
        ({"prompt": "a boat"}, DONE),
        ({"ago": 2 * RETENTION}, DONE),
        ({"ago": 2 * RETENTION - 1}, DOUBT),
        ({"ago": -HOUR}, DOUBT),
    ],
)
def test_other_words_and_other_days_are_no_rivals(made: Make, other: dict[str, Any], kind: OutcomeKind) -> None:
    shop = made("listing")
    dead = shop.left_by_a_dead_build(lamp())
    intent_beside(shop, **other)
    shop.provider.finds = [(Ticket("studio", BASE, "theirs"),)]
    assert shop.finish(dead)[KEY].kind is kind


# ---------------------------------------------------------------- what stands in the way of one holds up no other


def test_a_missing_key_leaves_its_ticket_open_and_says_so(made: Make) -> None:
    shop = made()
    attempt = shop.left_by_a_dead_build(lamp())
    attempt = shop.cache.journal.ticket(attempt.id, Ticket("studio", BASE, "task"))

    shop.get = mock.Mock(side_effect=CredentialsError("no key is set"))  # type: ignore[method-assign]
    assert shop.finish(attempt) == {}
    assert shop.states == ["ticket"]
    (told,) = shop.heard.of("message")
    assert (told.id, told.data["level"]) == ("n0", "warning")
    assert "no key is set" in told.data["text"]


def test_a_cache_that_fails_for_one_ticket_is_its_own_outcome(made: Make) -> None:
    shop = made()
    attempts = [shop.left_by_a_dead_build(lamp(number)) for number in range(2)]
    attempts = [shop.cache.journal.ticket(a.id, Ticket("studio", BASE, a.entry)) for a in attempts]
    real = type(shop.cache).results

    def results(self: Any, keys: Any) -> Any:
        if KEY in keys:
            raise CacheError("cannot be read")
        return real(self, keys)

    with mock.patch.object(type(shop.cache), "results", results):
        drained = shop.finish(*attempts)
    assert (drained[KEY].kind, drained[KEY].code, drained[KEY].message) == (FAILED, "cannot-tell", "cannot be read")
    assert (drained[lamp(1).key].kind, shop.provider.happened) == (DONE, [("collect", "n1")])
    assert [(event.id, event.data["code"]) for event in shop.heard.of("failed")] == [("n0", "cache")]


def test_a_stop_while_lists_settle_leaves_every_request_open(made: Make) -> None:
    shop = made("listing")
    attempts = [shop.left_by_a_dead_build(lamp(number)) for number in range(3)]

    async def stopped() -> None:
        task = asyncio.ensure_future(finish(shop.progress, attempts))
        await shop.clock.sleep(10.0)
        said = "before studio is asked again what became of a request (3 times), 50 s more"
        assert shop.progress.waiting.words() == f"Waiting: {said}."
        shop.progress.stop_all("interrupted", "Ctrl-C")
        await task

    shop.run(stopped())
    assert {(o.kind, o.stop) for o in shop.progress.drained.values()} == {(OutcomeKind.SKIPPED, "interrupted")}
    assert (len(shop.progress.drained), shop.states, shop.clock.now) == (3, ["intent"] * 3, 10.0)


def test_sixteen_tickets_are_collected_at_once_and_no_more(made: Make) -> None:
    shop = made()
    attempts = [shop.left_by_a_dead_build(lamp(number)) for number in range(20)]
    attempts = [shop.cache.journal.ticket(a.id, Ticket("studio", BASE, a.entry)) for a in attempts]
    real, now, most = type(shop.provider).collect, 0, 0

    async def slow(self: Any, ticket: Any, action: Any) -> Any:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await shop.clock.sleep(5.0)
        now -= 1
        return await real(self, ticket, action)

    with mock.patch.object(type(shop.provider), "collect", slow):
        drained = shop.finish(*attempts)
    assert (len(drained), most, shop.clock.now) == (20, AT_ONCE, 10.0)


def test_all_tickets_share_one_time_for_asking_again(made: Make) -> None:
    """A network that gives nothing is not waited for by each of them."""
    shop = made()
    shop.provider.pace = Limits(2.0, 2, 20)
    attempts = [shop.left_by_a_dead_build(lamp(number)) for number in range(40)]
    attempts = [shop.cache.journal.ticket(a.id, Ticket("studio", BASE, a.entry)) for a in attempts]
    shop.provider.collects = [Unavailable("down") for _ in range(999)]
    drained = shop.finish(*attempts)
    assert {outcome.kind for outcome in drained.values()} == {FAILED}
    assert set(shop.states) == {"ticket"}
    assert shop.clock.now <= 20.5
