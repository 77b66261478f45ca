"""What a run waits for is said, what leaving it costs is told by what the provider can settle, and doubts are told at once."""

from __future__ import annotations

import asyncio
import io
import json
import os
import signal
from collections.abc import Iterator
from importlib import import_module
from typing import Any
from unittest import mock

import pytest

from qwenbuild.catalog import Catalog
from qwenbuild.emulator import Served
from qwenbuild.ports import Event, recovery_of
from qwenbuild.providers import build_provider
from qwenbuild.report.events import JsonLines
from qwenbuild.report.progress import Live, Plain, event_words
from qwenbuild.report.terminal import Terminal
from qwenbuild.run import waits
from qwenbuild.run.waits import Flight, OpenWaits
from qwenbuild.verbs import doubts, resolve_doubt
from tests.campaign.part_http import hurried
from tests.test_run_recover import APIS, dies_before_the_ticket, stock
from tests.walking import Project


@pytest.fixture(autouse=True)
def _quick() -> Iterator[None]:
    with hurried():
        yield


# ---------------------------------------------------------------- what leaving costs


FATES = {
    ("ready", True): "they cost nothing",
    ("ready", False): "they cost nothing",
    ("sent", True): "perhaps paid for (a): if you leave, the next build asks what became of them",
    ("sent", False): "perhaps paid for (a): if you leave, they will be in doubt",
    ("accepted", True): "accepted and paid for (a): if you leave, the next build collects them",
    ("accepted", False): "accepted and paid for (a): if you leave, the next build collects them",
}


@pytest.mark.parametrize(("state", "settles"), list(FATES))
def test_leaving_is_told_by_how_far_a_request_came_and_who_can_settle_it(state: Any, settles: bool) -> None:
    flying = OpenWaits(lambda: 0.0, {"one"}, {"one": Flight("a", "maker model", settles, 0.0, state)})
    (said,) = flying.leaving()
    assert said.startswith("maker model: 1 ")
    assert FATES[state, settles] in said


def test_what_is_over_is_not_in_flight_and_not_remembered_for_ever() -> None:
    flying = OpenWaits(lambda: 0.0, set())
    for number in range(3 * waits.FLIGHTS_KEPT):
        flying.add(str(number), Flight("a", "maker", True, 0.0, "accepted"))
    assert (flying.leaving(), flying.flying()) == ([], {})
    assert len(flying.flights) <= waits.FLIGHTS_KEPT


@pytest.mark.parametrize(
    ("api", "words"),
    [
        ("async", "dashscope qwen-image-plus: 1 sent and not answered yet, perhaps paid for (n0s0): if you leave, the next"),
        ("sync", "dashscope qwen-image-plus: 1 sent and not answered yet, perhaps paid for (n0s0): if you leave, they will be"),
        ("apiframe", "apiframe qwen-image-2: 1 sent and not answered yet, perhaps paid for (n0s0): if you leave, the next"),
    ],
)
def test_ctrl_c_says_of_each_api_what_leaving_costs(walked: Project, emulated: Served, api: str, words: str) -> None:
    stock(walked, api, "a lantern")
    said = interrupted(walked, "qwenbuild.transport.http.Wire.post", before=False)
    assert words in said
    assert "in flight, and paid for" not in said.lower()


def test_a_request_that_has_not_left_is_not_called_paid_for(walked: Project, emulated: Served) -> None:
    stock(walked, "async", "a lantern")
    said = interrupted(walked, "qwenbuild.pace.lanes.LaneTurn.due", before=True)
    assert "1 not sent yet (n0s0): they cost nothing." in said


def interrupted(project: Project, place: str, *, before: bool) -> str:
    """A build that gets Ctrl-C at a place on the way of its first request; what it then says."""
    module, name, method = place.rsplit(".", 2)
    real = getattr(getattr(import_module(module), name), method)
    times = iter([True])

    async def pressed(*said: Any, **named: Any) -> Any:
        if before and next(times, False):
            await press()
        answer = await real(*said, **named)
        if not before and next(times, False):
            await press()
        return answer

    with mock.patch(place, pressed):
        project.build()
    return " ".join(str(event.data["text"]) for event in project.events.events if event.event == "message")


async def press() -> None:
    os.kill(os.getpid(), signal.SIGINT)
    await asyncio.sleep(0.05)


def test_the_table_says_of_each_family_what_its_provider_says_of_itself() -> None:
    catalog = Catalog.load({})
    environ = {family.key_env: "key" for family in catalog.families.values() if family.key_env}
    environ |= {"QWENBUILD_OPENAI_BASE_URL": "http://127.0.0.1:1"}
    from qwenbuild.model import ProviderSettings

    for name, family in catalog.families.items():
        provider = build_provider(ProviderSettings(name, name), catalog, environ)
        assert provider.recovery == family.recovery, name
        for row in catalog.rows():
            if row.family == name and not row.resumable:
                assert recovery_of(provider, row.id) == "none", row.id


# ---------------------------------------------------------------- doubts at once


@pytest.mark.parametrize("api", list(APIS))
def test_a_dead_builds_request_is_in_doubt_at_once_where_nobody_can_settle_it(
    walked: Project, emulated: Served, api: str
) -> None:
    stock(walked, api, "a lantern", seeds=(7,))
    dies_before_the_ticket(walked)
    told = doubts(walked.options())
    assert [(one["id"], one["seed"]) for one in told] == ([("n0s7", 7)] if api == "sync" else [])
    if told:
        assert walked.verdicts() == {"n0s7": "doubt"}
        resolve_doubt(walked.options(), "drop", ("n0s7",), None)
        assert doubts(walked.options()) == []
        assert walked.verdicts() == {"n0s7": "generate"}


def test_doubts_are_told_also_where_the_manifest_is_broken(walked: Project, emulated: Served) -> None:
    stock(walked, "sync", "a lantern")
    dies_before_the_ticket(walked)
    walked.manifest("version: [")
    assert isinstance(doubts(walked.options()), list)


def test_a_line_of_doubt_names_the_candidate() -> None:
    assert event_words(Event("doubt", "heroes/cat", {"seed": 7, "message": "lost"})) == "in doubt  heroes/cat (seed 7): lost"


# ---------------------------------------------------------------- waits


def test_a_wait_says_for_what_and_how_long() -> None:
    now = [100.0]
    told = OpenWaits(lambda: now[0], {"one"}, {"one": Flight("a", "maker model", True, 90.0, "accepted")})
    assert told.words() == "Waiting: maker model to draw 1 picture, 10 s so far."
    with told.waits_for("before maker is asked again", 58.0), told.waits_for("for a place", None):
        now[0] = 103.0
        assert told.words() == (
            "Waiting: before maker is asked again, 55 s more; for a place, 3 s so far; "
            "maker model to draw 1 picture, 13 s so far."
        )


def test_looks_that_follow_each_other_are_one_wait() -> None:
    now = [0.0]
    told = OpenWaits(lambda: now[0])
    for _ in range(20):
        with told.waits_for("for another build", 0.5):
            now[0] += 0.5
            said = told.words()
    assert said == "Waiting: for another build, 10 s so far."


def test_silence_is_broken_again_and_again_and_a_word_begins_it_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waits, "SILENCE_S", 0.01)
    monkeypatch.setattr(waits, "AGAIN_S", (0.01,))
    told = OpenWaits(lambda: 0.0)
    said: list[str] = []

    async def silent() -> None:
        enough = asyncio.Event()

        def tell(words: str) -> None:
            said.append(words)
            if len(said) == 3:
                enough.set()

        watching = asyncio.ensure_future(waits.watch(told, tell))
        with told.waits_for("for nothing"):
            await enough.wait()
        watching.cancel()

    asyncio.run(asyncio.wait_for(silent(), 30))
    assert said == ["Waiting: for nothing, 0 s so far."] * 3


class Screen(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


WAITS = Event("message", "", {"text": "Waiting: for the list, 50 s more.", "waiting": True, "drawing": False})


def test_a_wait_is_told_on_a_terminal_in_a_log_and_to_a_machine() -> None:
    screen, log, out, err = Screen(), io.StringIO(), io.StringIO(), io.StringIO()
    live, plain, machine = Live(screen, Terminal(person=True)), Plain(log, Terminal()), JsonLines(out, err)
    for told in (live, plain, machine):
        told.event(WAITS)
        told.close()
    assert "Waiting: for the list, 50 s more." in screen.getvalue()
    assert log.getvalue() == "Waiting: for the list, 50 s more.\n"
    assert json.loads(out.getvalue()) == {"event": "message", "message": "Waiting: for the list, 50 s more."}


def test_a_build_that_stands_still_says_why(walked: Project, emulated: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waits, "SILENCE_S", 0.02)
    stock(walked, "async", "a lantern")
    emulated.fault("submit", "refuse", status=429, code="Throttling.RateQuota", message="slow down", retry_after=1, times=1)
    walked.build()
    said = [str(event.data.get("text")) for event in walked.events.events if event.data.get("waiting")]
    assert said
    assert all(text.startswith("Waiting: ") for text in said)
