"""A lost answer is looked up, and nothing that the provider leaves unsaid counts as "never arrived": through whole builds."""

from __future__ import annotations

import contextlib
import json
import shutil
import time
from collections.abc import Iterator
from typing import Any
from unittest import mock

import pytest

from qwenbuild.cache import Intent
from qwenbuild.cache.journal import Journal
from qwenbuild.emulator import Served
from qwenbuild.verbs import resolve_doubt
from tests.campaign.part_http import hurried
from tests.test_run_recover import dies_before_the_ticket, states, stock
from tests.walking import Project

HOUR = 3600.0


@pytest.fixture(autouse=True)
def _quick() -> Iterator[None]:
    with hurried():
        yield


def says(value: Any) -> dict[str, Any]:
    text = value if isinstance(value, str) else json.dumps(value)
    return {"kind": "status", "status": 200, "body": text, "content_type": "application/json"}


LINE = {"task_id": "t", "status": "SUCCEEDED", "gmt_create": 1}
SILENT: dict[str, dict[str, Any]] = {
    "an empty object": says({}),
    "throttled, in a 200": says({"code": "Throttling", "message": "m"}),
    "an error, in a 200": says({"code": "InternalError", "message": "m"}),
    "no lines": says({"data": None}),
    "a total without lines": says({"total": 7, "data": []}),
    "a total and pages without lines": says({"total": 7, "total_page": 1, "data": []}),
    "an unknown shape": says({"tasks": [], "count": 0}),
    "lines of an unknown shape": says({"total": 1, "total_page": 1, "data": [{**LINE, "status": "GONE"}]}),
    "HTML": says("<html>"),
    "half": says('{"total": 0, "total_page": 0, "da'),
    "a 429 page": {"kind": "status", "status": 429},
    "a 502 page": {"kind": "status", "status": 502},
    "a 404 page": {"kind": "status", "status": 404},
    "a reset": {"kind": "reset"},
    "no total": {"kind": "edit", "drop": ["total"]},
    "no count of pages": {"kind": "edit", "drop": ["total_page"]},
    "one line too few": {"kind": "edit", "set": {"data": []}},
    "a refused key": {"kind": "refuse", "status": 401, "code": "InvalidApiKey"},
}


def ordered(emulated: Served, silent: dict[str, Any], **more: Any) -> None:
    rule = dict(silent)
    emulated.fault("list", rule.pop("kind"), **{"times": None, **rule, **more})


@pytest.mark.parametrize("silent", SILENT)
@pytest.mark.parametrize("dead", [False, True])
def test_a_task_list_that_says_nothing_never_leads_to_a_second_purchase(
    walked: Project, emulated: Served, silent: str, dead: bool
) -> None:
    stock(walked, "async", "a lamp")
    if dead:
        dies_before_the_ticket(walked)
    else:
        emulated.fault("accepted", "reset")
    ordered(emulated, SILENT[silent])
    first = walked.build()
    emulated.clear_faults()
    second = walked.build()
    assert (first.exit_code, second.exit_code) in {(6, 6), (1, 0)}
    assert len(emulated.ledger()) == 1
    assert states(walked) == (["doubt"] if second.exit_code else ["stored"])


@pytest.mark.parametrize("silent", sorted(set(SILENT) - {"a refused key"}))
def test_a_task_list_that_says_nothing_for_a_moment_is_asked_again(walked: Project, emulated: Served, silent: str) -> None:
    """On a machine so busy that no moment is sure, it may be in doubt: never bought again, and tried again here."""
    for attempt in range(1, 4):
        shutil.rmtree(walked.cache_dir, ignore_errors=True)
        stock(walked, "async", f"a lamp, {attempt}")
        emulated.fault("accepted", "reset")
        ordered(emulated, SILENT[silent], times=2)
        summary = walked.build()
        assert len(emulated.ledger()) == attempt
        if summary.exit_code != 6:
            break
        emulated.clear_faults()
    assert (summary.exit_code, summary.counts) == (0, {"resumed": 1})


def test_a_request_that_the_whole_list_does_not_show_twice_is_sent_again(walked: Project, emulated: Served) -> None:
    stock(walked, "async", "a lamp")
    emulated.fault("submit", "status", status=502)
    assert walked.build().exit_code == 0
    assert (len(emulated.ledger()), states(walked)) == (1, ["failed", "stored"])


def test_what_could_not_be_asked_is_not_in_doubt_but_asked_by_the_next_build(walked: Project, emulated: Served) -> None:
    stock(walked, "async", "a lamp")
    dies_before_the_ticket(walked)
    ordered(emulated, SILENT["a 502 page"])
    summary = walked.build()
    assert (summary.exit_code, states(walked)) == (1, ["intent"])
    assert "the next build asks" in summary.failures[0][2]


# ---------------------------------------------------------------- clocks


@contextlib.contextmanager
def sent_by_a_clock(slow: float) -> Iterator[None]:
    """This machine's clock is so many seconds slow while requests are written down."""

    begin = Journal.begin

    def slow_begin(self: Any, intent: Intent) -> Any:
        with mock.patch.object(self, "_clock", side_effect=lambda: time.time() - slow):
            return begin(self, intent)

    with mock.patch.object(Journal, "begin", slow_begin):
        yield


@pytest.mark.parametrize("wrong", [-22 * HOUR, -2 * HOUR, 0.0, 2 * HOUR, 22 * HOUR, 400 * HOUR])
@pytest.mark.parametrize("api", ["async", "apiframe"])
def test_a_wrong_clock_leaves_nothing_in_doubt_that_the_providers_clock_can_settle(
    walked: Project, emulated: Served, api: str, wrong: float
) -> None:
    stock(walked, api, "a lamp")
    dies_before_the_ticket(walked)
    with hurried(wrong):
        assert walked.build().exit_code == 0
    assert (len(emulated.ledger()), states(walked)) == (1, ["stored"])


@pytest.mark.parametrize("slow", [-12 * HOUR, -2 * HOUR, -0.5 * HOUR, 0.5 * HOUR, 2 * HOUR, 12 * HOUR, 30 * HOUR])
@pytest.mark.parametrize("api", ["async", "apiframe"])
def test_a_clock_that_was_wrong_when_it_was_sent_never_leads_to_a_second_purchase(
    walked: Project, emulated: Served, api: str, slow: float
) -> None:
    stock(walked, api, "a lamp")
    with sent_by_a_clock(slow):
        dies_before_the_ticket(walked)
    exit_code = walked.build().exit_code
    assert exit_code in (0, 6)
    assert (len(emulated.ledger()), states(walked)) == (1, ["doubt" if exit_code else "stored"])


def test_apiframe_is_not_asked_with_a_key_that_it_has_forgotten(walked: Project, emulated: Served) -> None:
    """This machine's clock stands still at the moment of sending; only the provider's tells that a day has gone by."""
    stock(walked, "apiframe", "a lamp")
    dies_before_the_ticket(walked)
    emulated.advance(25 * HOUR)
    assert (walked.build().exit_code, states(walked)) == (6, ["doubt"])
    assert len(emulated.ledger()) == 1


@pytest.mark.parametrize("how", ["no date", "a 502 page", "HTML"])
def test_apiframe_is_not_resent_to_while_its_clock_is_not_known(walked: Project, emulated: Served, how: str) -> None:
    stock(walked, "apiframe", "a lamp")
    dies_before_the_ticket(walked)
    if how == "no date":
        emulated.configure(date_header=False)
    else:
        emulated.fault("info", *(("html",) if how == "HTML" else ("status",)), times=None)
    assert (walked.build().exit_code, states(walked)) == (1, ["intent"])
    emulated.clear_faults()
    emulated.configure(date_header=True)
    assert (walked.build().exit_code, states(walked)) == (0, ["stored"])
    assert len(emulated.ledger()) == 1


# ---------------------------------------------------------------- once in a build


def test_a_second_lost_answer_of_a_picture_is_left_to_the_next_build(walked: Project, emulated: Served) -> None:
    stock(walked, "async", "a lamp", "a boat", "a hat")
    emulated.fault("submit", "status", status=502, times=None)
    summary = walked.build()
    assert (summary.exit_code, states(walked)) == (1, ["failed"] * 3 + ["intent"] * 3)
    assert sum(request["phase"] == "submit" for request in emulated.requests()) == 6
    emulated.clear_faults()
    assert walked.build().exit_code == 0
    assert len(emulated.ledger()) == 3


# ---------------------------------------------------------------- whose task it is


def test_a_task_of_a_request_that_a_person_gave_up_is_not_taken_for_anothers(walked: Project, emulated: Served) -> None:
    """One prompt, two seeds: the first was paid for and given up, the second never arrived. The list shows no seed."""
    stock(walked, "async", "a lamp", seeds=(1,))
    emulated.fault("accepted", "reset")
    ordered(emulated, SILENT["an empty object"])
    assert (walked.build().exit_code, states(walked)) == (6, ["doubt"])
    emulated.clear_faults()
    resolve_doubt(walked.options(), "drop", ("n0s1",), None)
    stock(walked, "async", "a lamp", seeds=(2,))
    emulated.fault("submit", "status", status=502)
    assert (walked.build().exit_code, states(walked), walked.tree()) == (6, ["doubt", "dropped"], {})
    assert [job["seed"] for job in emulated.ledger()] == [1]
