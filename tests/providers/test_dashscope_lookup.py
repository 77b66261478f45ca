"""DashScope's task list as proof: what is missing in it, on which clock it was read, and what is never concluded from it."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import formatdate
from typing import Any

import httpx
import pytest

from qwenbuild.errors import AccountStop, ProviderError, Throttled, Unavailable, Uncertain
from qwenbuild.pace.clock import FakeTime
from qwenbuild.providers.dashscope.tasks import PAGES_MAX, page_of, windows
from tests.providers.bench import KEYS, build, order

BASE = "https://dashscope-intl.aliyuncs.com/api/v1"
OURS = "a paper lantern"


@dataclass
class Vendor:
    """Tasks that the vendor has, on its own clock, which is `ahead` of ours; lists them by pages, newest first.

    `edit` changes an honest page, `headers` each answer's.
    """

    clock: FakeTime
    ahead: float = 0.0
    zone: float = 0.0
    dated: bool = True
    headers: Mapping[str, str] = field(default_factory=dict)
    edit: Any = None
    tasks: dict[str, tuple[float, str]] = field(default_factory=dict)
    lists: int = 0
    polls: int = 0

    def now(self) -> float:
        return self.clock.started + self.clock.now + self.ahead

    def accepts(self, id: str, prompt: str, ago: float = 10.0) -> None:
        self.tasks[id] = (self.now() - ago, prompt)

    def serve(self, wire: Any) -> None:
        wire.get(url__regex=rf"{BASE}/tasks\?").mock(side_effect=self._list)
        wire.get(url__regex=rf"{BASE}/tasks/.*").mock(side_effect=self._poll)

    def _answer(self, value: Any) -> httpx.Response:
        dated = {"date": formatdate(self.now(), usegmt=True)} if self.dated else {}
        if isinstance(value, httpx.Response):
            value.headers.update({**dated, **self.headers})
            return value
        return httpx.Response(200, json=value, headers={**dated, **self.headers})

    def _list(self, request: httpx.Request) -> httpx.Response:
        self.lists += 1
        asked = dict(request.url.params)
        since, until = (self._moment(asked[name]) for name in ("start_time", "end_time"))
        number, size = int(asked["page_no"]), int(asked["page_size"])
        found = sorted(((made, id) for id, (made, _) in self.tasks.items() if since <= made <= until), reverse=True)
        lines = [
            {"task_id": id, "status": "SUCCEEDED", "model_name": asked["model_name"], "gmt_create": int(made * 1000)}
            for made, id in found[(number - 1) * size : number * size]
        ]
        page = {"request_id": "r", "total": len(found), "total_page": -(-len(found) // size), "data": lines}
        return self._answer(page if self.edit is None else self.edit(page, number))

    def _moment(self, digits: str) -> float:
        return datetime.strptime(digits, "%Y%m%d%H%M%S").replace(tzinfo=UTC).timestamp() - self.zone * 3600

    def _poll(self, request: httpx.Request) -> httpx.Response:
        self.polls += 1
        id = request.url.path.rpartition("/")[2]
        result = {"orig_prompt": self.tasks[id][1], "url": "https://x.aliyuncs.com/a.png"}
        return self._answer({"output": {"task_id": id, "task_status": "SUCCEEDED", "results": [result]}})


async def looked(vendor: Vendor, wire: Any, claimed: frozenset[str] = frozenset()) -> tuple[str, ...]:
    """The tasks that may be ours of a request that was sent 30 s ago by our clock."""
    vendor.serve(wire)
    made, asked = build("dashscope", KEYS, vendor.clock.waits()), order("dashscope", prompt=OURS)
    now = vendor.clock.started + vendor.clock.now
    try:
        tickets = await made.find(asked, made.body(asked), now - 30, now, claimed)
    finally:
        await made.close()
    return tuple(ticket.task_id for ticket in tickets)


async def verdict(vendor: Vendor, wire: Any) -> type[BaseException] | tuple[str, ...]:
    try:
        return await looked(vendor, wire)
    except ProviderError as error:
        return type(error)


# ---------------------------------------------------------------- what a page may be


def without(name: str) -> Any:
    return lambda page, number: {key: value for key, value in page.items() if key != name}


def having(**changes: Any) -> Any:
    return lambda page, number: {**page, **changes}


def lines_with(**changes: Any) -> Any:
    return lambda page, number: {**page, "data": [{**line, **changes} for line in page["data"]]}


def lines_without(name: str) -> Any:
    return lambda page, number: {**page, "data": [{k: v for k, v in line.items() if k != name} for line in page["data"]]}


def answering(value: Any) -> Any:
    return lambda page, number: value


def refusing(status: int, code: str) -> Any:
    return lambda page, number: httpx.Response(status, json={"code": code, "message": "m"})


def doubled(page: Any, number: int) -> Any:
    return {**page, "data": page["data"] * 2}


def halved(page: Any, number: int) -> Any:
    return httpx.Response(200, text=json.dumps(page)[: len(json.dumps(page)) // 2])


def growing(page: Any, number: int) -> Any:
    return {**page, "total": page["total"] + number - 1}


SAYS_NOTHING: dict[str, tuple[Any, type[ProviderError]]] = {
    "an empty object": (answering({}), Uncertain),
    "an unknown shape": (answering({"tasks": []}), Uncertain),
    "no lines": (having(data=None), Uncertain),
    "lines dropped": (without("data"), Uncertain),
    "lines of another type": (having(data={}), Uncertain),
    "a total without lines": (having(total=7, data=[]), Uncertain),
    "no total": (without("total"), Uncertain),
    "a total of null": (having(total=None), Uncertain),
    "a total of true": (having(total=True), Uncertain),
    "a total in words": (having(total="3"), Uncertain),
    "too small a total": (having(total=1), Uncertain),
    "no count of pages": (without("total_page"), Uncertain),
    "a count of pages of null": (having(total_page=None), Uncertain),
    "too few pages": (having(total_page=0), Uncertain),
    "a total that grows from page to page": (growing, Uncertain),
    "the same lines on each page": (lambda page, number: {**page, "data": page["data"][:50]}, Uncertain),
    "lines that are no objects": (having(data=["t"]), Uncertain),
    "lines without an id": (lines_without("task_id"), Uncertain),
    "ids that are numbers": (lines_with(task_id=7), Uncertain),
    "lines without a time": (lines_without("gmt_create"), Uncertain),
    "times in words": (lines_with(gmt_create="2026-11-20 10:00:00"), Uncertain),
    "lines without a state": (lines_without("status"), Uncertain),
    "states that nobody knows": (lines_with(status="ARCHIVED"), Uncertain),
    "cut in half": (halved, Unavailable),
    "a list": (answering(httpx.Response(200, json=[])), Unavailable),
    "HTML": (answering(httpx.Response(200, text="<html>Please log in</html>")), Unavailable),
    "nothing": (answering(httpx.Response(200)), Unavailable),
    "throttled, in a 200": (refusing(200, "Throttling"), Throttled),
    "an error, in a 200": (refusing(200, "InternalError"), Unavailable),
    "an error beside an empty list": (having(code="InternalError", total=0, total_page=0, data=[]), Unavailable),
    "a 404 of its own": (refusing(404, "NotFound"), Unavailable),
    "a 400 of its own": (refusing(400, "InvalidParameter"), Unavailable),
    "a 429 page": (answering(httpx.Response(429, text="<html>")), Throttled),
    "a 502 page": (answering(httpx.Response(502, text="<html>")), Unavailable),
    "a refused key": (refusing(401, "InvalidApiKey"), AccountStop),
}


@pytest.mark.parametrize("name", SAYS_NOTHING)
@pytest.mark.parametrize("hidden", [False, True])
async def test_a_list_that_says_nothing_is_never_taken_for_absence_nor_for_a_match(wire: Any, name: str, hidden: bool) -> None:
    edit, error = SAYS_NOTHING[name]
    vendor = Vendor(FakeTime(), edit=edit)
    for number in range(130):
        vendor.accepts(f"t{number}", f"lantern {number}", ago=10 + number)
    if hidden:
        vendor.accepts("ours", OURS)
    assert await verdict(vendor, wire) is error


async def test_every_page_is_read_before_a_request_counts_as_never_arrived(wire: Any) -> None:
    vendor = Vendor(FakeTime())
    for number in range(130):
        vendor.accepts(f"t{number}", f"lantern {number}", ago=5.0)
    assert await looked(vendor, wire) == ()
    vendor.accepts("ours", OURS, ago=25.0)
    assert await looked(vendor, wire) == ("ours",)


async def test_a_match_in_one_window_does_not_count_while_the_other_one_is_not_whole(wire: Any) -> None:
    vendor = Vendor(FakeTime())
    vendor.accepts("ours", OURS, ago=320.0)
    assert await looked(vendor, wire) == ("ours",)
    vendor.edit = lambda page, number: page if page["total"] else {}
    assert await verdict(vendor, wire) is Uncertain


@pytest.mark.parametrize("pages", [2, 1000, 5000])
async def test_a_large_count_of_pages_hides_no_task(wire: Any, pages: int) -> None:
    vendor = Vendor(FakeTime(), edit=lambda page, number: {**page, "total_page": pages})
    for number in range(130):
        vendor.accepts(f"t{number}", f"lantern {number}", ago=5.0)
    vendor.accepts("ours", OURS, ago=25.0)
    assert await looked(vendor, wire) == ("ours",)


async def test_a_list_without_an_end_is_left_and_proves_nothing(wire: Any) -> None:
    def endless(page: Any, number: int) -> Any:
        line = {"task_id": f"t{number}", "status": "SUCCEEDED", "gmt_create": 1}
        return {"total": 10**9, "total_page": 10**7, "data": [line]}

    vendor = Vendor(FakeTime(), edit=endless)
    assert await verdict(vendor, wire) is Uncertain
    assert vendor.lists <= PAGES_MAX


# ---------------------------------------------------------------- clocks


@pytest.mark.parametrize("zone", [0.0, 8.0])
@pytest.mark.parametrize("ahead", [0.0, 20.0, 1200.0, -1200.0, 7200.0, -7200.0, 40 * 3600.0])
async def test_a_task_is_found_however_far_this_machines_clock_is_off(wire: Any, ahead: float, zone: float) -> None:
    vendor = Vendor(FakeTime(), ahead=ahead, zone=zone)
    assert await looked(vendor, wire) == ()
    vendor.accepts("ours", OURS)
    assert await looked(vendor, wire) == ("ours",)


@pytest.mark.parametrize("how", ["no date", "a stored answer", "no date at all that can be read"])
async def test_without_the_servers_clock_nothing_is_proved_absent_and_a_match_still_counts(wire: Any, how: str) -> None:
    headers = {"no date": {}, "a stored answer": {"age": "600"}}.get(how, {"date": "yesterday"})
    vendor = Vendor(FakeTime(), dated=how == "a stored answer", headers=headers)
    assert await verdict(vendor, wire) is Uncertain
    vendor.accepts("ours", OURS)
    assert await looked(vendor, wire) == ("ours",)


@pytest.mark.parametrize("ago", [3600.0, 7200.0, 20 * 3600.0])
async def test_the_same_words_at_another_time_of_the_day_are_neither_ours_nor_proof_of_absence(wire: Any, ago: float) -> None:
    """The clock may have been wrong when the request was sent: a task of these words may be its own."""
    vendor = Vendor(FakeTime())
    vendor.accepts("other", OURS, ago=ago)
    assert await verdict(vendor, wire) is Uncertain
    assert await looked(vendor, wire, frozenset({"other"})) == ()
    vendor.accepts("ours", OURS)
    assert await looked(vendor, wire) == ("ours",)


def test_the_windows_cover_the_time_in_both_zones_and_are_a_day_long_at_most() -> None:
    since, until = 1_795_000_000.0, 1_795_080_000.0
    spans = [
        tuple(datetime.strptime(text, "%Y%m%d%H%M%S").replace(tzinfo=UTC).timestamp() for text in pair)
        for pair in windows(since, until)
    ]
    assert all(0 < end - start <= 24 * 3600 for start, end in spans)
    assert all(later[0] == earlier[1] for earlier, later in itertools.pairwise(spans))
    for zone in (0, 8 * 3600):
        assert spans[0][0] - zone <= since
        assert spans[-1][1] - zone >= until


# ---------------------------------------------------------------- matches


async def test_a_task_of_another_model_or_one_that_hides_its_words_is_nobodys_and_no_proof(wire: Any) -> None:
    vendor = Vendor(FakeTime(), edit=lines_with(model_name="qwen-image"))
    vendor.accepts("other", OURS)
    assert await verdict(vendor, wire) is Uncertain
    vendor = Vendor(FakeTime())
    vendor.accepts("hidden", "")
    assert await verdict(vendor, wire) is Uncertain


async def test_a_task_that_failed_is_not_asked_for_its_words_and_is_nobodys(wire: Any) -> None:
    vendor = Vendor(FakeTime(), edit=lines_with(status="FAILED"))
    vendor.accepts("failed", OURS)
    assert (await looked(vendor, wire), vendor.polls) == ((), 0)


async def test_a_list_of_strangers_without_end_is_not_gone_through(wire: Any) -> None:
    vendor = Vendor(FakeTime())
    for number in range(1001):
        vendor.accepts(f"t{number}", f"lantern {number}")
    assert (await verdict(vendor, wire), vendor.polls) == (Uncertain, 0)


async def test_thirty_look_ups_at_once_share_their_readings_and_each_task_is_read_once(wire: Any) -> None:
    vendor = Vendor(FakeTime())
    for number in range(30):
        vendor.accepts(f"t{number}", f"lantern {number}")
    vendor.serve(wire)
    made = build("dashscope", KEYS, vendor.clock.waits())
    now = vendor.clock.started
    orders = [order("dashscope", prompt=f"lantern {number}") for number in range(30)]
    answers = await asyncio.gather(*(made.find(each, made.body(each), now - 30, now, frozenset()) for each in orders))
    assert [[ticket.task_id for ticket in answer] for answer in answers] == [[f"t{number}"] for number in range(30)]
    assert (vendor.lists, vendor.polls) == (2, 30)
    vendor.clock.now += 1
    await made.find(orders[0], made.body(orders[0]), now - 30, now, frozenset())
    assert (vendor.lists, vendor.polls) == (4, 30)
    await made.close()


def test_a_page_under_output_is_read_too() -> None:
    page = page_of({"output": {"total": 0, "total_page": 1, "data": []}})
    assert page is not None
    assert (page.total, page.lines) == (0, ())
