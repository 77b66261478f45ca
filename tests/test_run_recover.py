"""What is paid for once stays paid for once: lost answers, deaths, doubts, signals, each through a whole build."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest

from qwenbuild.cache import AttemptState
from qwenbuild.emulator import Served
from qwenbuild.model import Ticket
from qwenbuild.ports import Event, Gate
from qwenbuild.providers.dashscope.provider import DashScope
from qwenbuild.run.submit import submit_once
from qwenbuild.verbs import build, resolve_doubt, spend
from tests.campaign.part_http import hurried
from tests.walking import Project, Recorder

APIS = {
    "async": ("dashscope", "region: singapore, mode: async", "qwen-image-plus"),
    "sync": ("dashscope", "region: singapore, mode: sync", "qwen-image-plus"),
    "apiframe": ("apiframe", "timeout: 300", "qwen-image-2"),
}


class Died(BaseException):
    """The process ends here, as far as the code under test can tell."""


@pytest.fixture(autouse=True)
def _quick() -> Iterator[None]:
    with hurried():
        yield


def stock(project: Project, api: str, *words: str, seeds: tuple[int, ...] = (0,)) -> None:
    provider, settings, model = APIS[api]
    rows = "".join(
        f'  n{n}s{seed}: {{prompt: "{text}", model: {model}, seed: {seed}}}\n' for n, text in enumerate(words) for seed in seeds
    )
    limits = "limits: {rps: 200, concurrency: 8}"
    project.manifest(f"version: 1\nprovider: {provider}\nproviders:\n  {provider}: {{{settings}, {limits}}}\nassets:\n{rows}")


def dies_before_the_ticket(project: Project) -> None:
    """The provider has accepted, and the program dies before it wrote anything down."""
    with mock.patch("qwenbuild.run.submit.commit", side_effect=Died), pytest.raises(Died):
        project.build()


def states(project: Project) -> list[str]:
    return sorted(attempt.state.value for attempt in project.cache().journal.attempts())


# ---------------------------------------------------------------- lost answers


def test_a_429_after_a_lost_answer_does_not_give_the_next_try_another_key(walked: Project, emulated: Served) -> None:
    stock(walked, "apiframe", "a lamp")
    emulated.fault("accepted", "reset")
    emulated.fault("submit", "refuse", status=429, code="429", message="slow down", at=2)
    assert walked.build().exit_code == 0
    assert len(emulated.ledger()) == 1


@pytest.mark.parametrize("status", [402, 429, 500])
def test_what_may_have_arrived_stays_open_whatever_later_answers_say(walked: Project, emulated: Served, status: int) -> None:
    stock(walked, "apiframe", "a lamp")
    emulated.fault("accepted", "reset")
    emulated.fault("submit", "refuse", status=status, code=str(status), message="not now", at=2, times=None)
    assert walked.build().exit_code in (1, 4)
    assert states(walked) == ["intent"]
    emulated.clear_faults()
    assert walked.build().exit_code == 0
    assert len(emulated.ledger()) == 1


def test_what_was_proved_not_to_have_arrived_is_closed_at_once(walked: Project, emulated: Served) -> None:
    stock(walked, "sync", "a lamp")
    emulated.fault("submit", "refuse", status=429, code="Throttling", message="slow down", times=None)
    assert walked.build().exit_code == 1
    assert states(walked) == ["failed"]
    emulated.clear_faults()
    assert walked.build().exit_code == 0


def test_a_doubt_blocks_its_key_until_a_person_speaks_and_the_retry_names_it(walked: Project, emulated: Served) -> None:
    stock(walked, "sync", "a lamp", "a boat")
    emulated.fault("accepted", "reset", match="lamp")
    assert walked.build().exit_code == 6
    sent = len(emulated.ledger())
    again = walked.build()
    assert (again.exit_code, len(emulated.ledger())) == (6, sent)
    (doubt,) = walked.cache().journal.doubts()
    resolve_doubt(walked.options(), "retry", (doubt.entry,), None)
    assert walked.build().exit_code == 0
    assert emulated.prompts().count("a lamp") == 2
    lines = [line for line in spend(walked.options()).attempts if line["id"] == doubt.entry]
    assert [(line["outcome"], line["retries"]) for line in lines] == [("dropped", ""), ("stored", doubt.id)]


# ---------------------------------------------------------------- deaths


def test_the_ticket_is_written_down_before_anything_else_happens(walked: Project, emulated: Served) -> None:
    stock(walked, "async", "a lamp")
    seen = []
    real = DashScope.submit

    async def submit(self: Any, order: Any, body: bytes, gate: Gate) -> Ticket:
        ticket = await real(self, order, body, gate)
        asyncio.get_running_loop().call_soon(lambda: seen.append(states(walked)))
        return ticket

    with mock.patch.object(DashScope, "submit", submit):
        assert walked.build().exit_code == 0
    assert seen == [["ticket"]]


async def test_a_submission_that_is_cancelled_still_writes_its_ticket_down() -> None:
    answered, written = asyncio.Event(), []

    class Slow:
        async def submit(self, order: Any, body: bytes, gate: Gate) -> Ticket:
            await answered.wait()
            return Ticket("slow", "https://example.test", "task")

    journal = SimpleNamespace(ticket=lambda attempt, ticket: written.append(ticket.task_id))
    progress: Any = SimpleNamespace(world=SimpleNamespace(cache=SimpleNamespace(journal=journal)))
    attempt: Any = SimpleNamespace(id="a")
    task = asyncio.ensure_future(submit_once(progress, Slow(), None, b"", attempt, Gate()))  # type: ignore[arg-type]
    await asyncio.sleep(0)
    task.cancel()
    answered.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.sleep(0)
    assert written == ["task"]


@pytest.mark.parametrize("api", ["async", "apiframe"])
def test_a_death_before_the_ticket_is_settled_without_paying_twice(walked: Project, emulated: Served, api: str) -> None:
    stock(walked, api, "a lamp")
    dies_before_the_ticket(walked)
    assert states(walked) == ["intent"]
    summary = walked.build()
    assert (summary.exit_code, summary.counts, summary.spent) == (0, {"resumed": 1}, {})
    assert len(emulated.ledger()) == 1


def test_a_death_during_a_synchronous_call_is_for_a_person(walked: Project, emulated: Served) -> None:
    stock(walked, "sync", "a lamp")
    dies_before_the_ticket(walked)
    assert walked.build().exit_code == 6
    assert walked.build().exit_code == 6
    assert len(emulated.ledger()) == 1


def test_two_seeds_of_one_prompt_are_never_mixed_up_by_a_task_list(walked: Project, emulated: Served) -> None:
    """Both were on their way, one arrived: the list shows one task, and not for which of them."""
    stock(walked, "async", "a lamp", seeds=(1, 2))
    real, arrived = DashScope.submit, asyncio.Event()

    async def submit(self: Any, order: Any, body: bytes, gate: Gate) -> Ticket:
        if order.action.seed == 1:
            await real(self, order, body, gate)
            arrived.set()
            await asyncio.Event().wait()
        await arrived.wait()
        raise Died

    with mock.patch.object(DashScope, "submit", submit), pytest.raises(Died):
        walked.build()
    assert (len(emulated.ledger()), states(walked)) == (1, ["intent", "intent"])
    assert walked.build().exit_code == 6
    assert (len(emulated.ledger()), states(walked), walked.tree()) == (1, ["doubt", "doubt"], {})


def test_one_empty_look_at_the_list_proves_nothing(walked: Project, emulated: Served) -> None:
    stock(walked, "async", "a lamp")
    dies_before_the_ticket(walked)
    empty = json.dumps({"request_id": "r", "data": [], "total": 0, "total_page": 1, "page_no": 1, "page_size": 100})
    for windows in (1, 2):  # a look reads two of them
        emulated.fault("list", "status", at=windows, status=200, body=empty, content_type="application/json")
    assert walked.build().exit_code == 0
    assert len(emulated.ledger()) == 1


def test_a_death_between_receipt_and_journal_asks_nobody(walked: Project, emulated: Served) -> None:
    stock(walked, "sync", "a lamp")
    with mock.patch("qwenbuild.cache.journal.Journal.stored_many", side_effect=Died), pytest.raises(Died):
        walked.build()
    asked = len(emulated.requests())
    assert walked.build().exit_code == 0
    assert len(emulated.requests()) == asked
    assert states(walked) == ["stored"]


def test_a_death_before_the_receipt_fetches_the_picture_again(walked: Project, emulated: Served) -> None:
    stock(walked, "async", "a lamp")
    with mock.patch("qwenbuild.cache.Cache.put_receipts", side_effect=Died), pytest.raises(Died):
        walked.build()
    assert walked.build().exit_code == 0
    assert len(emulated.ledger()) == 1


def test_what_was_ordered_and_is_no_longer_wanted_is_fetched_all_the_same(walked: Project, emulated: Served) -> None:
    stock(walked, "async", "a lamp")
    with mock.patch("qwenbuild.run.purchase.collect", side_effect=Died), pytest.raises(Died):
        walked.build()
    stock(walked, "async", "a boat")
    assert walked.build().exit_code == 0
    assert states(walked) == ["stored", "stored"]
    digests = {attempt.digest for attempt in walked.cache().journal.attempts()}
    assert digests == {picture for job in emulated.ledger() for picture in job["pictures"]}


# ---------------------------------------------------------------- people


class Interrupting(Recorder):
    """Presses Ctrl-C at the first request that leaves."""

    pressed = False

    def event(self, event: Event) -> None:
        super().event(event)
        if event.event == "sending" and not self.pressed:
            self.pressed = True
            os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize("api", ["async", "sync", "apiframe"])
def test_ctrl_c_finishes_what_is_in_flight_and_names_what_was_not_sent_once(
    walked: Project, emulated: Served, api: str
) -> None:
    stock(walked, api, *(f"lamp {n}" for n in range(30)))
    reporter = Interrupting()
    summary = build(walked.options(yes=True), reporter, None)
    assert summary.exit_code == 130
    assert 0 < len(emulated.ledger()) < 30
    assert set(states(walked)) == {AttemptState.STORED.value}
    assert summary.failures == ()
    sent = len(emulated.ledger())
    again = walked.build()
    assert (again.exit_code, again.counts) == (0, {"generated": 30 - sent, "fresh": sent})
    assert len(emulated.ledger()) == 30


def test_a_request_is_in_flight_before_a_synchronous_answer_comes(walked: Project, emulated: Served) -> None:
    stock(walked, "sync", "a lamp")
    walked.build()
    kinds = [event.event for event in walked.events.events if event.id]
    assert kinds == ["sending", "submitted", "stored", "written"]
    (written,) = [event for event in walked.events.events if event.event == "written"]
    assert written.data["how"] == "generated"


def test_what_was_billed_and_what_is_estimated_are_told_apart(walked: Project, emulated: Served) -> None:
    stock(walked, "apiframe", "a lamp")
    walked.build()
    stock(walked, "sync", "a lamp")
    walked.build()
    ledger = spend(walked.options())
    assert (set(ledger.billed), set(ledger.estimated)) == ({"apiframe"}, {"usd"})
    assert ledger.total == {**ledger.billed, **ledger.estimated}


def test_a_request_that_comes_to_be_in_doubt_ends_a_build_that_no_longer_wants_it_with_6(
    walked: Project, emulated: Served
) -> None:
    stock(walked, "sync", "a lamp")
    dies_before_the_ticket(walked)
    stock(walked, "sync", "lamp 1", "lamp 2")
    walked.edit("n0s0", "other")
    summary = walked.build()
    assert summary.exit_code == 6
    assert [(id, code) for id, code, _ in summary.failures] == [("n0s0", "doubt")]
