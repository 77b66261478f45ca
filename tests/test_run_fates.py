"""What becomes of one paid request after each answer: what is sent, what the journal says, what is counted as spent."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import itertools
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from qwenbuild.cache.journal import Journal
from qwenbuild.errors import (
    AccountStop,
    BadPicture,
    CacheError,
    FailedAtProvider,
    Lost,
    NotFetched,
    ProviderError,
    Refused,
    Throttled,
    Unavailable,
    Uncertain,
    Waiting,
)
from qwenbuild.images import placeholder_png
from qwenbuild.key import document
from qwenbuild.model import Limits, OutcomeKind, Ticket
from qwenbuild.pace.lanes import LaneTurn
from qwenbuild.run.purchase import buy
from qwenbuild.run.submit import Job
from qwenbuild.run.transfers import still_made
from tests.shop import BASE, PRICE, Shop, lamp, picture_of

HOUR = 3600.0
URL = "https://x.example/picture.png?Signature=s"
FREE: Any = {}
KEY = lamp().key
PNG = placeholder_png(lamp(7).action)

Make = Callable[..., Shop]


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Make]:
    shops: list[Shop] = []

    def make(**more: Any) -> Shop:
        shops.append(Shop(tmp_path, **more))
        return shops[-1]

    yield make
    for shop in shops:
        shop.end()


@pytest.fixture
def shop(made: Make) -> Shop:
    return made()


def link(why: str = "HTTP 503", **more: Any) -> NotFetched:
    return NotFetched(why, **{"url": URL, **more})


# ---------------------------------------------------------------- a picture that was made, and did not come


@pytest.mark.parametrize("error", [FailedAtProvider("broken"), Refused("no"), Lost("gone")])
def test_a_picture_that_has_a_link_stays_paid_for_whatever_is_said_later(error: ProviderError) -> None:
    still = still_made(error, URL)
    assert isinstance(still, NotFetched)
    assert (still.url, still.gone, still.stuck) == (URL, isinstance(error, Lost), False)
    assert error.message in still.message
    assert still_made(error, "") is error


@pytest.mark.parametrize("error", [Throttled("slow"), Unavailable("down"), Waiting("draws"), link()])
def test_an_answer_that_denies_nothing_is_taken_as_it_is(error: ProviderError) -> None:
    assert still_made(error, URL) is error


def test_a_link_that_fails_is_asked_again_and_the_picture_is_paid_for_once(shop: Shop) -> None:
    seen: list[list[str]] = []
    shop.provider.collects = [link(), lambda: seen.append(shop.states)]
    outcome = shop.buy(lamp())
    assert (outcome.kind, outcome.how) == (OutcomeKind.DONE, "generated")
    assert shop.provider.happened == [("submit", "lamp 0"), ("collect", "task1"), ("collect", "task1")]
    assert seen == [["ready"]]
    assert (shop.states, shop.progress.bought, shop.progress.spent) == (["stored"], 1, PRICE)
    (retry,) = shop.heard.of("retry")
    assert retry.id == "n0"
    assert "asked for again in 0 s" in retry.data["message"]
    assert shop.provider.times[2] - shop.provider.times[1] == 0.5


def test_a_picture_whose_link_was_named_is_not_made_anew_when_the_provider_takes_it_back(shop: Shop) -> None:
    shop.provider.collects = [link(), FailedAtProvider("nothing was made", code="Internal"), Refused("no"), Lost("gone")]
    outcome = shop.buy(lamp())
    assert outcome.kind is OutcomeKind.DONE
    assert shop.provider.asked("submit") == ["lamp 0"]
    assert len(shop.provider.asked("collect")) == 5


def test_a_link_that_was_named_once_is_remembered_when_a_later_failure_names_none(shop: Shop) -> None:
    shop.provider.collects = [link(), link(url=""), FailedAtProvider("nothing was made")]
    assert shop.buy(lamp()).kind is OutcomeKind.DONE
    assert shop.provider.asked("submit") == ["lamp 0"]


@pytest.mark.parametrize(("named", "sent"), [(True, 0), (False, 1)])
def test_only_a_link_that_the_journal_has_from_the_provider_proves_that_a_picture_was_made(
    shop: Shop, named: bool, sent: int
) -> None:
    """A ticket may name an address before there is a picture behind it."""
    attempt = shop.left_by_a_dead_build(lamp())
    attempt = shop.cache.journal.ticket(attempt.id, Ticket("studio", BASE, "theirs", url=URL))
    if named:
        attempt = shop.cache.journal.ready(attempt.id, URL)
    shop.provider.collects = [FailedAtProvider("nothing was made")]
    assert shop.buy(lamp()).kind is OutcomeKind.DONE
    assert len(shop.provider.orders) == sent
    assert shop.states == ["failed"] * sent + ["stored"]


def test_a_link_without_a_name_leaves_the_ticket_to_lead_to_the_picture(shop: Shop) -> None:
    seen: list[list[str]] = []
    shop.provider.collects = [link(url=""), lambda: seen.append(shop.states)]
    assert shop.buy(lamp()).kind is OutcomeKind.DONE
    assert seen == [["ticket"]]


def test_a_journal_that_cannot_note_the_link_does_not_lose_the_picture(shop: Shop) -> None:
    shop.provider.collects = [link()]
    with mock.patch.object(Journal, "ready", side_effect=sqlite3.OperationalError("disk is full")):
        assert shop.buy(lamp()).kind is OutcomeKind.DONE
    assert shop.states == ["stored"]


def test_what_a_person_must_mend_first_is_not_asked_again_and_the_next_build_fetches_it_unpaid(made: Make) -> None:
    shop = made()
    shop.provider.collects = [link("the proxy forbids it", stuck=True, data=PNG[:500])]
    outcome = shop.buy(lamp())
    assert (outcome.kind, outcome.code) == (OutcomeKind.FAILED, "not-fetched")
    assert "the next build fetches it without paying again" in outcome.message
    assert "what came is kept in" in outcome.message
    assert shop.provider.asked("collect") == ["task1"]
    assert (shop.states, shop.attempts[0].url.partition("?")[0]) == (["ready"], URL.partition("?")[0])
    assert (shop.attempts[0].code, shop.aside) == ("not-fetched", [PNG[:500]])
    assert (shop.progress.bought, shop.progress.spent) == (1, PRICE)
    shop.end()
    again = made()
    done = again.finish(*shop.attempts)[lamp().key]
    assert (done.kind, done.how) == (OutcomeKind.DONE, "resumed")
    assert again.provider.happened == [("collect", "task1")]
    assert (again.states, again.progress.bought, again.progress.spent) == (["stored"], 0, {})
    assert [event.data["price"] for event in again.heard.of("stored")] == [{}]


def test_a_resumed_picture_that_still_does_not_come_is_not_counted_as_spent_again(made: Make) -> None:
    shop = made()
    shop.provider.collects = [link(stuck=True)]
    shop.buy(lamp())
    shop.end()
    again = made()
    again.provider.collects = [link(stuck=True, data=b"<html>no picture</html>")]
    outcome = again.finish(*shop.attempts)[lamp().key]
    assert (outcome.kind, outcome.code, again.states) == (OutcomeKind.FAILED, "not-fetched", ["ready"])
    assert "what came is kept" not in outcome.message
    assert (again.aside, again.progress.bought, again.progress.spent) == ([], 0, {})


def test_a_link_that_never_gives_ends_with_the_time_of_its_job_and_stays_open(shop: Shop) -> None:
    shop.provider.pace = Limits(2.0, 2, 20)
    shop.provider.collects = [link() for _ in range(50)]
    outcome = shop.buy(lamp())
    assert (outcome.kind, outcome.code, shop.states) == (OutcomeKind.FAILED, "not-fetched", ["ready"])
    assert 2 < len(shop.provider.asked("collect")) < 10
    assert shop.clock.now <= 20.5
    assert shop.progress.bought == 1


def test_a_stop_while_a_link_is_waited_for_leaves_the_picture_to_the_next_build(shop: Shop) -> None:
    def stop() -> NotFetched:
        shop.progress.stop_all("interrupted", "Ctrl-C")
        return link()

    shop.provider.collects = [stop]
    outcome = shop.buy(lamp())
    assert (outcome.kind, outcome.code, shop.states) == (OutcomeKind.FAILED, "not-fetched", ["ready"])
    assert shop.provider.asked("collect") == ["task1"]


LINK, OVERDUE = 25 * HOUR, 7 * 24 * HOUR


@pytest.mark.parametrize(
    ("age", "gone", "over"),
    [
        (LINK, True, False),
        (LINK + 1, True, True),
        (LINK + 1, False, False),
        (OVERDUE, False, False),
        (OVERDUE + 1, False, True),
    ],
)
def test_a_paid_picture_is_in_doubt_only_when_its_link_is_over(made: Make, age: float, gone: bool, over: bool) -> None:
    shop = made()
    attempt = shop.left_by_a_dead_build(lamp(), ago=age)
    attempt = shop.cache.journal.ticket(attempt.id, Ticket("studio", BASE, "task1"))
    shop.provider.collects = [link(gone=gone, stuck=True)]
    outcome = shop.finish(attempt)[lamp().key]
    assert outcome.kind is (OutcomeKind.DOUBT if over else OutcomeKind.FAILED)
    assert outcome.code == ("expired" if over else "not-fetched")
    assert shop.states == (["doubt"] if over else ["ready"])
    assert [entry for entry, _ in shop.progress.doubts] == (["n0"] if over else [])
    assert shop.provider.happened == [("collect", "task1")]


def test_a_picture_that_costs_nothing_is_made_anew_when_its_link_fails(shop: Shop) -> None:
    shop.provider.collects = [link()]
    assert shop.buy(lamp(price=FREE)).kind is OutcomeKind.DONE
    assert shop.provider.asked("submit") == ["lamp 0", "lamp 0"]
    assert [(a.state.value, a.generation) for a in shop.attempts] == [("failed", 0), ("stored", 1)]


def test_a_picture_that_costs_nothing_and_is_stuck_is_not_drawn_again(shop: Shop) -> None:
    shop.provider.collects = [link(stuck=True)]
    assert shop.buy(lamp(price=FREE)).code == "not-fetched"
    assert (shop.provider.asked("submit"), shop.states) == (["lamp 0"], ["ready"])


# ---------------------------------------------------------------- a ticket's end


def test_a_wrong_picture_is_paid_for_kept_aside_and_refused_for_its_key(shop: Shop) -> None:
    shop.provider.collects = [BadPicture("it is a GIF", data=b"GIF89a")]
    outcome = shop.buy(lamp())
    assert (outcome.kind, outcome.code) == (OutcomeKind.REFUSED, "bad-picture")
    assert "it is a GIF; the bytes are kept in" in outcome.message
    (attempt,) = shop.attempts
    assert (attempt.state.value, attempt.digest) == ("refused", hashlib.sha256(b"GIF89a").hexdigest())
    assert (attempt.cost, shop.aside) == (PRICE, [b"GIF89a"])
    assert shop.notes == [{"key": KEY, "attempt": attempt.id, "problem": "it is a GIF", "action": document(lamp().action)}]
    assert (shop.progress.bought, shop.progress.spent) == (1, PRICE)
    assert [event.data.get("refused") for event in shop.heard.of("failed")] == [True]


@pytest.mark.parametrize(("failures", "sent", "kind"), [(2, 3, OutcomeKind.DONE), (3, 3, OutcomeKind.FAILED)])
def test_a_failed_task_is_bought_anew_twice_and_no_more(shop: Shop, failures: int, sent: int, kind: OutcomeKind) -> None:
    shop.provider.collects = [FailedAtProvider("it broke") for _ in range(failures)]
    outcome = shop.buy(lamp())
    assert (outcome.kind, outcome.code) == (kind, "" if kind is OutcomeKind.DONE else "failedatprovider")
    assert [order.generation for order in shop.provider.orders] == list(range(sent))
    assert shop.states == ["failed"] * failures + ["stored"] * (sent - failures)
    assert {(a.code, a.message) for a in shop.attempts[:failures]} == {("failed", "it broke")}
    assert len(shop.heard.of("retry")) == 2
    failed = [time for (what, _), time in zip(shop.provider.happened, shop.provider.times, strict=True) if what == "collect"]
    again = [time for (what, _), time in zip(shop.provider.happened, shop.provider.times, strict=True) if what == "submit"]
    assert [begun - end >= pause for end, begun, pause in zip(failed, again[1:], (0.5, 1.0), strict=False)] == [True, True]


def test_the_providers_own_code_of_a_failure_is_what_the_journal_and_the_end_say(shop: Shop) -> None:
    shop.provider.collects = [FailedAtProvider("it broke", code="Internal") for _ in range(3)]
    assert shop.buy(lamp()).code == "Internal"
    assert {attempt.code for attempt in shop.attempts} == {"Internal"}


def test_a_task_list_that_throttles_is_asked_five_times_more_and_then_the_next_build_collects(shop: Shop) -> None:
    shop.provider.collects = [Throttled("slow down") for _ in range(9)]
    outcome = shop.buy(lamp())
    assert (outcome.kind, outcome.code, shop.states) == (OutcomeKind.FAILED, "waiting", ["ticket"])
    assert "the next build collects it" in outcome.message
    assert (len(shop.provider.asked("collect")), shop.provider.asked("submit")) == (6, ["lamp 0"])
    assert [b - a for a, b in itertools.pairwise(shop.provider.times[1:])] == [0.5, 1.0, 2.0, 4.0, 8.0]
    assert shop.progress.bought == 0


def test_a_throttled_link_says_that_its_picture_is_paid_for(shop: Shop) -> None:
    shop.provider.collects = [link(), *(Throttled("slow down", code="Throttling") for _ in range(9))]
    outcome = shop.buy(lamp())
    assert (outcome.kind, outcome.code, shop.states) == (OutcomeKind.FAILED, "not-fetched", ["ready"])
    assert "paid for, not yet fetched: slow down" in outcome.message


def test_a_ticket_that_the_provider_still_works_on_stays_open(shop: Shop) -> None:
    shop.provider.collects = [Waiting("it still draws", code="timeout")]
    outcome = shop.buy(lamp())
    assert (outcome.kind, outcome.code, shop.states) == (OutcomeKind.FAILED, "timeout", ["ticket"])


def test_a_refusal_after_acceptance_is_remembered_and_costs_nothing(shop: Shop) -> None:
    shop.provider.collects = [Refused("not allowed", code="DataInspection")]
    outcome = shop.buy(lamp())
    assert (outcome.kind, outcome.code, shop.states) == (OutcomeKind.REFUSED, "DataInspection", ["refused"])
    assert (shop.attempts[0].digest, shop.attempts[0].cost, shop.progress.spent) == ("", {}, {})


def test_a_lost_ticket_is_in_doubt_with_what_came_kept_aside(shop: Shop) -> None:
    shop.provider.collects = [Lost("unknown task", data=b"<html>")]
    outcome = shop.buy(lamp())
    assert (outcome.kind, outcome.code, shop.states) == (OutcomeKind.DOUBT, "lost", ["doubt"])
    assert "unknown task (what came is kept in" in outcome.message
    assert shop.aside == [b"<html>"]
    (note,), (attempt,) = shop.notes, shop.attempts
    assert note == {"key": KEY, "attempt": attempt.id, "problem": "unknown task", "action": document(lamp().action)}
    (told,) = shop.heard.of("doubt")
    assert (told.id, told.data["seed"], told.data["attempt"]) == ("n0", 0, shop.attempts[0].id)


def test_a_lost_ticket_that_costs_nothing_is_drawn_anew(shop: Shop) -> None:
    shop.provider.collects = [Lost("unknown task", code="404")]
    assert shop.buy(lamp(price=FREE)).kind is OutcomeKind.DONE
    assert (shop.states, shop.attempts[0].code) == (["failed", "stored"], "404")


def test_an_account_that_is_stopped_keeps_its_tickets_and_sends_nothing_more(shop: Shop) -> None:
    shop.provider.collects = [AccountStop("no such key", kind="credentials", code="InvalidApiKey")]
    outcome = shop.buy(lamp())
    assert (outcome.kind, outcome.code, shop.states) == (OutcomeKind.FAILED, "InvalidApiKey", ["ticket"])
    second = shop.buy(lamp(1))
    assert (second.kind, second.code, second.stop) == (OutcomeKind.SKIPPED, "credentials", "credentials")
    assert shop.provider.asked("submit") == ["lamp 0"]
    assert shop.progress.stops() == (("credentials", "no such key"),)
    assert [event.data["level"] for event in shop.heard.of("message")] == ["error"]


def test_an_answer_that_brought_the_bytes_is_a_blob_before_anything_is_awaited_and_is_read_from_it(shop: Shop) -> None:
    shop.provider.submits = [Ticket("studio", BASE, "task1", data=b"the bytes")]
    seen: list[bool] = []

    def collected() -> Any:
        seen.append(shop.cache.has_blob(hashlib.sha256(b"the bytes").hexdigest()))

    shop.provider.collects = [collected]
    with mock.patch.object(type(shop.cache), "read_blob", side_effect=AssertionError("they are at hand")):
        assert shop.buy(lamp()).kind is OutcomeKind.DONE
        assert shop.buy(lamp(1)).kind is OutcomeKind.DONE
    ticket = shop.provider.tickets[0]
    assert (seen, ticket.data, ticket.digest) == ([True], b"the bytes", hashlib.sha256(b"the bytes").hexdigest())


def test_a_ticket_whose_bytes_are_a_blob_is_collected_from_it_by_the_next_build(made: Make) -> None:
    shop = made()
    attempt = shop.left_by_a_dead_build(lamp())
    digest = shop.cache.put_blob(b"the bytes")
    attempt = shop.cache.journal.ticket(attempt.id, Ticket("studio", BASE, "task1", digest=digest))
    shop.finish(attempt)
    assert [ticket.data for ticket in shop.provider.tickets] == [b"the bytes"]


def test_what_was_billed_counts_before_what_was_estimated_and_every_picture_of_the_task_is_kept(shop: Shop) -> None:
    others = (b"second", b"third")
    billed: Any = {"credits": 3}
    picture = picture_of(lamp().action, "t", request_id="r1", actual_prompt="a lamp, lit", billed=billed, others=others)
    shop.provider.collects = [picture]
    outcome = shop.buy(lamp())
    assert (shop.progress.bought, shop.progress.spent) == (1, {"credits": 3})
    assert [event.data["price"] for event in shop.heard.of("stored")] == [{"credits": "3"}]
    assert all(shop.cache.has_blob(hashlib.sha256(other).hexdigest()) for other in others)
    result, (attempt,) = outcome.result, shop.attempts
    assert (result.task_id, result.request_id, result.actual_prompt, result.billed) == (
        "t",
        "r1",
        "a lamp, lit",
        {"credits": 3},
    )
    assert (result.size, result.width, result.height, result.made) == (len(picture.data), 64, 64, "2026-11-29")
    assert (result.attempt, result.key, attempt.digest) == (attempt.id, lamp().key, result.digest)
    assert attempt.cost == {"credits": 3}
    assert shop.cache.made(lamp().key) == result


def test_a_price_that_nobody_knows_is_told_as_unknown(shop: Shop) -> None:
    shop.buy(lamp(price=None))
    assert [event.data["price"] for event in shop.heard.of("stored")] == [None]
    assert (shop.progress.bought, shop.progress.spent) == (1, {})


def test_a_paid_picture_that_the_cache_refuses_is_saved_in_the_project_and_nothing_more_is_bought(shop: Shop) -> None:
    with mock.patch.object(type(shop.cache), "put_receipts", side_effect=OSError("disk is full")):
        outcome = shop.buy(lamp())
    assert (outcome.kind, outcome.code, shop.states) == (OutcomeKind.FAILED, "cache", ["ticket"])
    assert "saved as saved.png" in outcome.message
    ((data, result),) = shop.saved
    assert hashlib.sha256(data).hexdigest() == result.digest
    assert shop.buy(lamp(1)).stop == "cache"
    assert shop.provider.asked("submit") == ["lamp 0"]


def test_a_paid_picture_that_nobody_can_keep_is_fetched_by_the_next_build(shop: Shop) -> None:
    shop.rescues = [OSError("no room")]
    with mock.patch.object(type(shop.cache), "put_blobs", side_effect=CacheError("full")):
        outcome = shop.buy(lamp())
    assert (outcome.code, shop.states, shop.saved) == ("cache", ["ticket"], [])
    assert "the next build fetches the picture again" in outcome.message


def test_bytes_receipt_journal_and_index_are_written_in_this_order(shop: Shop) -> None:
    """Each is durable before the next: whatever the program dies of between them, nothing is paid for twice."""
    done: list[str] = []

    def noted(owner: Any, name: str) -> Any:
        real = getattr(owner, name)

        def call(self: Any, *said: Any) -> Any:
            done.append(name)
            return real(self, *said)

        return mock.patch.object(owner, name, call)

    cache = type(shop.cache)
    owners = [(cache, "put_blobs"), (cache, "put_receipts"), (Journal, "stored_many"), (cache, "hold"), (cache, "index_result")]
    with contextlib.ExitStack() as stack:
        for owner, name in owners:
            stack.enter_context(noted(owner, name))
        shop.buy(lamp())
    assert done == [name for _, name in owners]


def test_an_index_that_cannot_be_written_costs_no_picture(shop: Shop) -> None:
    with mock.patch.object(type(shop.cache), "index_result", side_effect=CacheError("locked")):
        assert shop.buy(lamp()).kind is OutcomeKind.DONE
    assert shop.states == ["stored"]


# ---------------------------------------------------------------- sending


def test_a_refused_request_is_remembered_and_never_sent_again(shop: Shop) -> None:
    shop.provider.submits = [Refused("not allowed")]
    outcome = shop.buy(lamp())
    assert (outcome.kind, outcome.code, shop.states) == (OutcomeKind.REFUSED, "refused", ["refused"])
    assert shop.heard.kinds == ["sending", "failed"]


def test_an_account_without_money_stops_before_the_next_request(shop: Shop) -> None:
    shop.provider.submits = [AccountStop("no balance", kind="arrears")]
    outcome = shop.buy(lamp())
    assert (outcome.kind, outcome.code, outcome.stop) == (OutcomeKind.SKIPPED, "accountstop", "arrears")
    assert (shop.states, shop.attempts[0].code) == (["failed"], "accountstop")
    assert shop.buy(lamp(1)).stop == "arrears"
    assert shop.provider.asked("submit") == ["lamp 0"]


def test_a_throttled_request_goes_again_as_the_same_attempt_with_its_price_held_again(shop: Shop) -> None:
    seen: list[list[str]] = []

    def slow() -> Throttled:
        seen.append(shop.states)
        return Throttled("slow down", retry_after=7.0)

    shop.provider.submits = [slow, slow]
    with mock.patch.object(type(shop.progress.lane(shop.provider, "m")), "throttled") as told:  # type: ignore[arg-type]
        outcome = shop.buy(lamp())
    assert outcome.kind is OutcomeKind.DONE
    assert [call.args for call in told.call_args_list] == [(7.0, False)] * 2
    assert seen == [["intent"], ["intent"]]
    assert [order.generation for order in shop.provider.orders] == [0, 0, 0]
    assert shop.provider.times[1] - shop.provider.times[0] >= 7.0
    assert shop.purse == [("held", PRICE), ("held", PRICE), ("back", PRICE), ("held", PRICE), ("back", PRICE)]
    assert [event.data["seconds"] for event in shop.heard.of("retry")] == [7.0, 7.0]


def test_while_a_throttled_request_waits_the_journal_says_that_nothing_was_sent(shop: Shop) -> None:
    shop.provider.submits = [Throttled("slow down", retry_after=50.0)]
    seen: list[list[str]] = []

    async def watched() -> None:
        task = asyncio.ensure_future(buy(shop.progress, lamp()))
        await shop.clock.sleep(20.0)
        seen.append(shop.states)
        await task

    shop.run(watched())
    assert (seen, shop.states) == ([["failed"]], ["stored"])


@pytest.mark.parametrize(
    ("recovery", "error", "state", "journal"),
    [("none", Throttled("slow", retry_after=50.0), "ready", "failed"), ("resend", Uncertain("reset"), "sent", "intent")],
)
def test_a_request_that_is_to_go_again_is_called_paid_for_only_where_it_may_have_arrived(
    made: Make, recovery: str, error: ProviderError, state: str, journal: str
) -> None:
    shop = made(recovery=recovery)
    shop.provider.submits = [error]
    seen: list[Any] = []

    async def watched() -> None:
        task = asyncio.ensure_future(buy(shop.progress, lamp()))
        await shop.clock.sleep(0.3)
        seen.append(([flight.state for flight in shop.progress.waiting.flying().values()], shop.states))
        await task

    shop.run(watched())
    assert seen == [([state], [journal])]
    assert shop.states == ["stored"]


def test_a_stop_while_a_throttled_request_waits_leaves_it_unsent_and_unpaid(shop: Shop) -> None:
    shop.provider.submits = [Throttled("slow down", retry_after=50.0)]

    async def stopped() -> Any:
        task = asyncio.ensure_future(buy(shop.progress, lamp()))
        await shop.clock.sleep(20.0)
        said = shop.progress.waiting.words()
        assert said.startswith("Waiting: before studio is asked again, after: slow down, 30 s more")
        shop.progress.stop_all("interrupted", "Ctrl-C")
        return await task

    outcome = shop.run(stopped())
    assert (outcome.kind, outcome.code, outcome.message) == (OutcomeKind.SKIPPED, "interrupted", "Ctrl-C")
    assert (shop.provider.asked("submit"), shop.states, shop.clock.now) == (["lamp 0"], ["failed"], 20.0)
    assert shop.progress.waiting.flights == {}


def test_no_request_leaves_before_there_is_a_place_in_its_lane(shop: Shop) -> None:
    shop.provider.pace = Limits(0.0, 1, 300)
    shop.buy(*(lamp(number) for number in range(3)))
    assert [what for what, _ in shop.provider.happened] == ["submit", "collect"] * 3


def test_waiting_for_a_place_is_not_taken_from_the_time_of_a_paid_picture(shop: Shop) -> None:
    shop.provider.pace = Limits(0.0, 1, 20)
    shop.provider.collects = [link(retry_after=19.0), link(retry_after=19.0), link(retry_after=5.0)]
    first, second = shop.buy(lamp(0), lamp(1))
    assert (first.code, second.kind) == ("not-fetched", OutcomeKind.DONE)
    assert shop.provider.times[-1] == shop.provider.times[-2] + 5.0


def test_who_waits_for_a_place_says_so(shop: Shop) -> None:
    shop.provider.pace = Limits(0.0, 1, 300)
    shop.provider.collects = [link(retry_after=19.0)]

    async def watched() -> str:
        tasks = [asyncio.ensure_future(buy(shop.progress, lamp(number))) for number in range(2)]
        await shop.clock.sleep(10.0)
        said = shop.progress.waiting.words()
        await asyncio.gather(*tasks)
        return said

    said = shop.run(watched())
    assert "for a free slot at studio qwen-image-plus, 10 s so far" in said
    assert "before n0, which is paid for, is fetched again, 9 s more" in said


def test_requests_leave_one_after_the_other_at_the_pace_of_their_lane(shop: Shop) -> None:
    shop.provider.pace = Limits(0.5, 8, 300)
    shop.buy(*(lamp(number) for number in range(4)))
    times = [time for (what, _), time in zip(shop.provider.happened, shop.provider.times, strict=True) if what == "submit"]
    assert all(2.0 <= b - a < 2.1 for a, b in itertools.pairwise(times))


def test_a_request_waits_until_it_is_due_and_its_lane_is_told_that_it_left_and_was_accepted(shop: Shop) -> None:
    done: list[str] = []

    shop.provider.submits = [lambda: done.append("submit")]
    with (
        mock.patch.object(LaneTurn, "due", side_effect=lambda: done.append("due")),
        mock.patch.object(LaneTurn, "left", side_effect=lambda: done.append("left")),
        mock.patch.object(LaneTurn, "accepted", side_effect=lambda: done.append("accepted")),
    ):
        shop.buy(lamp())
    assert done == ["due", "left", "submit", "accepted"]


def test_what_came_with_a_lost_answer_is_kept_aside_and_nothing_of_it_is_in_flight(shop: Shop) -> None:
    shop.provider.submits = [Uncertain("unreadable", data=b"<html>")]
    outcome = shop.buy(lamp())
    assert outcome.message.startswith("unreadable (what came is kept in ")
    assert (shop.aside, shop.progress.waiting.flights, shop.progress.in_flight) == ([b"<html>"], {}, {})


def test_a_quarantine_that_cannot_be_written_changes_nothing_about_the_money(shop: Shop) -> None:
    shop.provider.submits = [Uncertain("unreadable", data=b"<html>")]
    with mock.patch.object(type(shop.cache), "quarantine", side_effect=OSError("full")):
        outcome = shop.buy(lamp())
    assert (outcome.kind, outcome.message, shop.states) == (OutcomeKind.DOUBT, "unreadable", ["doubt"])


def test_a_throttled_request_does_not_go_again_when_another_build_has_begun_to_buy_the_picture(shop: Shop) -> None:
    shop.provider.submits = [Throttled("slow down", retry_after=50.0)]

    async def overtaken() -> Any:
        task = asyncio.ensure_future(buy(shop.progress, lamp()))
        await shop.clock.sleep(20.0)
        shop.left_by_a_dead_build(lamp())
        return await task

    outcome = shop.run(overtaken())
    assert outcome.kind is OutcomeKind.DOUBT
    assert (shop.provider.asked("submit"), shop.states) == (["lamp 0"], ["failed", "doubt"])
    assert shop.purse == [("held", PRICE), *[("held", PRICE), ("back", PRICE)] * 2]
    assert [event.data["message"] for event in shop.heard.of("retry")][1:] == ["another build has begun to buy this picture"]


def test_a_journal_that_fails_when_a_request_is_to_go_again_sends_nothing(shop: Shop) -> None:
    shop.provider.submits = [Throttled("slow down")]
    error = CacheError("locked", code="journal-locked")
    with mock.patch.object(Journal, "reopen", side_effect=error), pytest.raises(CacheError, match="locked"):
        shop.buy(lamp())
    assert (shop.provider.asked("submit"), shop.states) == (["lamp 0"], ["failed"])
    assert shop.purse == [("held", PRICE), ("held", PRICE), ("back", PRICE)]


def test_a_request_throttled_six_times_fails_and_costs_nothing(shop: Shop) -> None:
    shop.provider.submits = [Throttled("slow down", code="Throttling") for _ in range(9)]
    outcome = shop.buy(lamp())
    assert (outcome.kind, outcome.code, shop.states) == (OutcomeKind.FAILED, "Throttling", ["failed"])
    assert len(shop.provider.orders) == 6
    assert outcome.message == "slow down"


def test_an_allocation_that_is_used_up_stops_the_account_as_a_quota(shop: Shop) -> None:
    shop.provider.submits = [Throttled("used up", code="insufficient_quota") for _ in range(9)]
    outcome = shop.buy(lamp())
    assert (outcome.kind, outcome.code, outcome.stop) == (OutcomeKind.SKIPPED, "insufficient_quota", "quota")
    assert shop.progress.stops() == (("quota", "used up"),)


def test_when_the_budget_is_used_up_meanwhile_a_throttled_request_does_not_go_again(shop: Shop) -> None:
    def slow() -> Throttled:
        shop.room = False
        return Throttled("slow down")

    shop.provider.submits = [slow]
    outcome = shop.buy(lamp())
    assert (outcome.kind, outcome.code, outcome.stop) == (OutcomeKind.SKIPPED, "budget", "budget")
    assert (shop.provider.asked("submit"), shop.states) == (["lamp 0"], ["failed"])
    assert shop.purse == [("held", PRICE), ("held", PRICE)]


def test_without_room_in_the_budget_no_intent_is_written(shop: Shop) -> None:
    shop.room = False
    outcome = shop.buy(lamp())
    assert (outcome.kind, outcome.code, outcome.stop) == (OutcomeKind.SKIPPED, "budget", "budget")
    assert (shop.provider.happened, shop.attempts, shop.purse) == ([], [], [("held", PRICE)])


def test_an_intent_that_cannot_be_written_gives_its_price_back_and_sends_nothing(shop: Shop) -> None:
    with mock.patch.object(Journal, "begin_many", side_effect=CacheError("full")), pytest.raises(CacheError):
        shop.buy(lamp())
    assert (shop.provider.happened, shop.purse) == ([], [("held", PRICE), ("back", PRICE)])


def test_a_lost_answer_is_in_doubt_where_nobody_can_be_asked(shop: Shop) -> None:
    shop.provider.submits = [Uncertain("reset")]
    outcome = shop.buy(lamp())
    assert (outcome.kind, outcome.code, shop.states) == (OutcomeKind.DOUBT, "no-answer", ["doubt"])
    assert shop.progress.doubts == [("n0", "reset")]
    assert shop.provider.asked("submit") == ["lamp 0"]


def test_a_lost_answer_that_costs_nothing_is_sent_again_and_its_attempt_closed_between(shop: Shop) -> None:
    shop.provider.submits = [Uncertain("reset")]
    assert shop.buy(lamp(price=FREE)).kind is OutcomeKind.DONE
    assert (shop.provider.asked("submit"), shop.states) == (["lamp 0", "lamp 0"], ["stored"])
    assert shop.purse == [("held", {}), ("held", {}), ("back", {})]


def test_a_lost_answer_is_sent_again_under_its_idempotency_key_and_never_closed(made: Make) -> None:
    shop = made(recovery="resend")
    shop.provider.submits = [Uncertain("reset"), *(Throttled("slow down", code="429") for _ in range(9))]
    outcome = shop.buy(lamp())
    assert (outcome.kind, outcome.code, shop.states) == (OutcomeKind.FAILED, "429", ["intent"])
    assert "under the same idempotency key" in outcome.message
    assert {order.generation for order in shop.provider.orders} == {0}
    assert shop.purse == [("held", PRICE)]


def test_a_ticket_that_cannot_be_written_down_is_collected_all_the_same_and_nothing_more_is_bought(shop: Shop) -> None:
    real, times = Journal.ticket, iter([True])

    def ticket(self: Journal, attempt: str, told: Ticket) -> Any:
        if next(times, False):
            raise sqlite3.OperationalError("disk is full")
        return real(self, attempt, told)

    with mock.patch.object(Journal, "ticket", ticket):
        outcome = shop.buy(lamp())
        second = shop.buy(lamp(1))
    assert (outcome.kind, shop.states) == (OutcomeKind.DONE, ["stored"])
    assert shop.attempts[0].ticket == Ticket("studio", BASE, "task1", request_id="r", digest=outcome.result.digest)
    assert (second.kind, second.stop) == (OutcomeKind.SKIPPED, "cache")


@pytest.mark.parametrize(("rps", "apart"), [(0.0, False), (0.1, True), (5.0, True), (5.1, False)])
def test_slow_lanes_write_one_intent_after_the_other(shop: Shop, rps: float, apart: bool) -> None:
    assert Job.of(shop.progress, lamp(), shop.provider).apart is True  # type: ignore[arg-type]
    shop.provider.pace = Limits(rps, 2, 300)
    assert Job.of(shop.progress, lamp(), shop.provider).apart is apart  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("recovery", "price", "settles"),
    [("none", PRICE, False), ("none", FREE, True), ("none", None, False), ("listing", PRICE, True)],
)
def test_a_request_settles_after_a_kill_where_it_is_free_or_somebody_can_tell(
    made: Make, recovery: str, price: Any, settles: bool
) -> None:
    shop = made(recovery=recovery)
    flight = Job.of(shop.progress, lamp(price=price), shop.provider).flight()  # type: ignore[arg-type]
    assert (flight.entry, flight.maker, flight.settles, flight.state) == ("n0", "studio qwen-image-plus", settles, "ready")


def test_a_request_counts_as_on_its_way_from_its_turn_until_its_picture_is_kept(shop: Shop) -> None:
    seen: list[tuple[list[str], list[str]]] = []

    def look() -> None:
        seen.append(([flight.state for flight in shop.progress.waiting.flying().values()], list(shop.progress.in_flight)))

    shop.provider.submits, shop.provider.collects = [look], [look]
    shop.buy(lamp())
    (attempt,) = shop.attempts
    assert seen == [(["sent"], [attempt.id]), (["accepted"], [attempt.id])]
    assert (shop.progress.waiting.flying(), shop.progress.in_flight, shop.progress.due) == ({}, {}, 0)
    assert shop.heard.kinds == ["sending", "submitted", "stored"]
    assert shop.heard.of("submitted")[0].data == {"key": lamp().key, "provider": "studio", "task": "task1"}


# ---------------------------------------------------------------- stops


def stopped_meanwhile(shop: Shop, stop: Callable[[asyncio.Task[Any]], None]) -> Any:
    """The end of a second picture that waits 100 s for its turn, while after 10 s something happens to it."""
    shop.provider.pace = Limits(0.01, 8, 300)
    shop.progress.assets = {"n1": "cats"}

    async def work() -> Any:
        tasks = [asyncio.ensure_future(buy(shop.progress, lamp(number))) for number in range(2)]
        await shop.clock.sleep(10.0)
        stop(tasks[1])
        first, second = await asyncio.gather(*tasks, return_exceptions=True)
        assert first.kind is OutcomeKind.DONE
        return second

    return shop.run(work())


def pause_cats(shop: Shop, asset: str = "cats") -> None:
    for _ in range(5):
        shop.progress.note_picture(asset, "too dark")


@pytest.mark.parametrize(
    ("stop", "kind"),
    [
        (lambda shop: shop.progress.stop_all("interrupted", "x"), "interrupted"),
        (lambda shop: shop.progress.stop_lane("a" * 64, "qwen-image-plus", "quota", "x"), "quota"),
        (pause_cats, "paused"),
    ],
)
def test_a_stop_ends_the_waiting_for_a_turn_at_once_and_nothing_is_sent(
    shop: Shop, stop: Callable[[Shop], None], kind: str
) -> None:
    outcome = stopped_meanwhile(shop, lambda task: stop(shop))
    assert (outcome.kind, outcome.stop) == (OutcomeKind.SKIPPED, kind)
    assert (shop.provider.asked("submit"), shop.clock.now, shop.states) == (["lamp 0"], 10.0, ["stored"])
    assert [told for told, _ in shop.progress.stops()] == [kind]
    levels = [event.data["level"] for event in shop.heard.of("message")]
    assert levels == ([] if kind == "interrupted" else ["error"])
    assert shop.progress.waiting.waits == {}


@pytest.mark.parametrize(
    "stop",
    [
        lambda shop: shop.progress.stop_lane("b" * 64, "qwen-image-plus", "quota", "x"),
        lambda shop: shop.progress.stop_lane("a" * 64, "another model", "quota", "x"),
        lambda shop: pause_cats(shop, "dogs"),
    ],
)
def test_a_stop_of_others_wakes_nobody(shop: Shop, stop: Callable[[Shop], None]) -> None:
    assert stopped_meanwhile(shop, lambda task: stop(shop)).kind is OutcomeKind.DONE
    assert (shop.provider.asked("submit"), shop.clock.now >= 100.0) == (["lamp 0", "lamp 1"], True)


@pytest.mark.parametrize("stops", [True, False])
def test_a_build_that_is_ended_while_it_waits_is_ended_whatever_else_stops_it(shop: Shop, stops: bool) -> None:
    def end(task: asyncio.Task[Any]) -> None:
        if stops:
            shop.progress.stop_all("interrupted", "x")
            shop.progress.stop_all("again", "x")
        task.cancel()

    assert isinstance(stopped_meanwhile(shop, end), asyncio.CancelledError)


def test_two_stops_at_once_are_one_and_the_first_reason_stands(shop: Shop) -> None:
    def stop(task: asyncio.Task[Any]) -> None:
        shop.progress.stop_all("cache", "the disk is full")
        shop.progress.stop_all("interrupted", "Ctrl-C")
        shop.progress.stop_lane("a" * 64, "qwen-image-plus", "quota", "used up")
        shop.progress.stop_lane("a" * 64, "qwen-image-plus", "arrears", "no money")

    outcome = stopped_meanwhile(shop, stop)
    assert (outcome.stop, outcome.message) == ("cache", "the disk is full")
    assert shop.progress.stops() == (("cache", "the disk is full"), ("quota", "used up"))
    assert [(event.data["text"], event.data["level"]) for event in shop.heard.of("message")] == [("used up", "error")]


def test_what_several_pictures_cost_is_added_up_by_its_unit(shop: Shop) -> None:
    credits: Any = {"credits": 2}
    shop.buy(lamp(0), lamp(1), lamp(2, price=credits), lamp(3, price=None))
    assert (shop.progress.bought, shop.progress.spent) == (4, {"usd": 2, "credits": 2})


def test_every_word_to_the_reporter_breaks_the_silence(shop: Shop) -> None:
    shop.buy(lamp())
    assert shop.progress.waiting.messages == len(shop.heard.events) == 3
