"""DashScope's list of tasks as pure values: one line that is not as the vendor writes it makes the whole page prove nothing."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

import pytest

from qwenbuild.providers.dashscope.tasks import (
    CLOCK_TOLERANCE_S,
    DAY_S,
    FREE,
    KEPT_S,
    PAGE_SIZE,
    SLACK_S,
    STATUSES,
    ZONE_S,
    TaskLine,
    TaskListing,
    TaskPage,
    page_of,
    read_listing,
    windows,
)

NOW = 1_800_000_000.0
LINE = {"task_id": "t" * 200, "gmt_create": NOW * 1000, "status": "SUCCEEDED", "model_name": "qwen-image"}


def page(*lines: Any, **fields: Any) -> TaskPage | None:
    return page_of({"total": len(lines), "total_page": 1, "data": list(lines), **fields}, 0.5)


@pytest.mark.parametrize("status", ["PENDING", "RUNNING", "SUSPENDED", "SUCCEEDED", "FAILED", "CANCELED", "UNKNOWN"])
def test_each_state_of_the_vendors_page_is_a_line(status: str) -> None:
    made = page({**LINE, "status": status})
    assert made == TaskPage(1, 1, (TaskLine("t" * 200, NOW, status, "qwen-image"),), 0.5)
    assert status in STATUSES


def test_only_a_task_that_failed_or_was_cancelled_cost_nothing() -> None:
    assert {"CANCELED", "FAILED"} == FREE


@pytest.mark.parametrize(
    "wrong",
    [
        {"task_id": ""},
        {"task_id": "t" * 201},
        {"task_id": None},
        {"task_id": 7},
        {"status": "DONE"},
        {"status": ""},
        {"status": ["SUCCEEDED"]},
        {"status": None},
        {"gmt_create": True},
        {"gmt_create": "1800000000000"},
        {"gmt_create": None},
        {"gmt_create": math.inf},
        {"gmt_create": math.nan},
    ],
    ids=str,
)
def test_a_page_with_a_line_of_another_shape_proves_nothing(wrong: dict[str, Any]) -> None:
    assert page(LINE) is not None
    assert page(LINE, {**LINE, "task_id": "second", **wrong}) is None


@pytest.mark.parametrize("line", [None, "t", 7, [], ["t"]])
def test_a_page_with_a_line_that_is_no_object_proves_nothing(line: Any) -> None:
    assert page(LINE, line) is None


@pytest.mark.parametrize("name", ["total", "total_page"])
@pytest.mark.parametrize("count", [True, False, -1, 1.0, "1", None, [1]])
def test_a_page_that_does_not_count_its_lines_proves_nothing(name: str, count: Any) -> None:
    assert page(LINE, **{name: count}) is None


def test_an_empty_list_is_a_page_and_a_model_that_is_no_text_is_left_out() -> None:
    assert page(total_page=0) == TaskPage(0, 0, (), 0.5)
    made = page({**LINE, "model_name": 7})
    assert made is not None
    assert made.lines[0].model == ""


@pytest.mark.parametrize(
    ("listing", "proves"),
    [
        (TaskListing((), "", 0.0), True),
        (TaskListing((), "", -90.0), True),
        (TaskListing((), "a page is missing", 0.0), False),
        (TaskListing((), "", None), False),
        (TaskListing((), "a page is missing", None), False),
    ],
)
def test_absence_is_proven_by_a_whole_list_and_a_measured_clock_alone(listing: TaskListing, proves: bool) -> None:
    assert listing.proves_absence is proves


@pytest.mark.parametrize(
    ("created", "inside"),
    [(NOW - SLACK_S, True), (NOW - SLACK_S - 0.5, False), (NOW + 60 + SLACK_S, True), (NOW + 60 + SLACK_S + 0.5, False)],
)
def test_a_task_counts_that_was_accepted_nearly_in_the_time_of_sending(created: float, inside: bool) -> None:
    assert TaskLine("t", created, "RUNNING").within(NOW, NOW + 60) is inside


# ---------------------------------------------------------------- all pages


class Server:
    """Answers every query with the same pages, and keeps the queries."""

    def __init__(self, *pages: TaskPage | None) -> None:
        self.pages = pages
        self.asked: list[str] = []

    async def ask(self, query: str) -> TaskPage | None:
        number = sum(query.split("&page_no=")[0] == asked.split("&page_no=")[0] for asked in self.asked)
        self.asked.append(query)
        return self.pages[min(number, len(self.pages) - 1)]

    def starts(self) -> list[str]:
        return [query.partition("start_time=")[2][:14] for query in self.asked]


def digits(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y%m%d%H%M%S")


def lines(count: int, first: int = 0) -> tuple[TaskLine, ...]:
    return tuple(TaskLine(f"t{number}", NOW, "RUNNING") for number in range(first, first + count))


async def read(*pages: TaskPage | None) -> tuple[TaskListing, Server]:
    server = Server(*pages)
    return await read_listing(server.ask, "qwen image", lambda: NOW), server


def first_start(ahead: float = 0.0) -> str:
    """A day back, and the slack."""
    return digits(NOW + ahead - KEPT_S - SLACK_S)


async def test_a_list_without_tasks_is_asked_for_once_in_each_window() -> None:
    listing, server = await read(TaskPage(0, 0, (), 0.0))
    assert listing == TaskListing((), "", 0.0)
    assert server.starts() == [first_start(), digits(NOW - SLACK_S)]
    assert all(query.endswith(f"&model_name=qwen%20image&page_no=1&page_size={PAGE_SIZE}") for query in server.asked)


@pytest.mark.parametrize("ahead", [CLOCK_TOLERANCE_S, -CLOCK_TOLERANCE_S, 0.0])
async def test_clocks_that_nearly_agree_need_one_reading(ahead: float) -> None:
    listing, server = await read(TaskPage(0, 0, (), ahead))
    assert (listing.clock_difference_s, len(server.asked)) == (ahead, 2)


@pytest.mark.parametrize("ahead", [CLOCK_TOLERANCE_S + 1, -CLOCK_TOLERANCE_S - 1, 4000.0])
async def test_a_server_with_another_clock_is_read_again_in_its_own_time(ahead: float) -> None:
    listing, server = await read(TaskPage(0, 0, (), ahead))
    assert listing == TaskListing((), "", ahead)
    assert server.starts()[0] == first_start()
    assert server.starts()[2] == first_start(ahead)


async def test_pages_are_read_until_every_line_of_the_total_is_there() -> None:
    listing, server = await read(TaskPage(150, 2, lines(100), 0.0), TaskPage(150, 2, lines(50, 100), 0.0))
    assert (len(listing.lines), listing.gap, len(server.asked)) == (150, "", 4)


@pytest.mark.parametrize(
    ("pages", "gap"),
    [
        ((None,), "it is not in the form that is known"),
        ((TaskPage(7, 1, (), 0.0),), "it names 7 tasks and shows 0"),
        ((TaskPage(1, 1, lines(2), 0.0),), "its pages contradict each other"),
        ((TaskPage(150, 1, lines(100), 0.0),), "its pages contradict each other"),
        ((TaskPage(101, 2, lines(100), 0.0), TaskPage(102, 2, lines(2, 100), 0.0)), "its pages contradict each other"),
        ((TaskPage(102, 2, lines(100), 0.0), TaskPage(102, 2, lines(1, 0), 0.0)), "it names 102 tasks and shows 100"),
    ],
)
async def test_a_list_with_a_gap_says_what_is_missing(pages: tuple[TaskPage | None, ...], gap: str) -> None:
    listing, _ = await read(*pages)
    assert (listing.gap, listing.proves_absence) == (gap, False)


async def test_one_page_without_a_date_leaves_the_clock_unknown() -> None:
    listing, _ = await read(TaskPage(150, 2, lines(100), 0.0), TaskPage(150, 2, lines(50, 100), None))
    assert (listing.clock_difference_s, listing.proves_absence) == (None, False)


@pytest.mark.parametrize(("second", "gap"), [(2 * CLOCK_TOLERANCE_S, False), (2 * CLOCK_TOLERANCE_S + 1, True)])
async def test_a_clock_that_is_set_while_the_list_is_read_proves_nothing(second: float, gap: bool) -> None:
    listing, _ = await read(TaskPage(101, 2, lines(100), 0.0), TaskPage(101, 2, lines(1, 100), second))
    assert bool(listing.gap) is gap


def test_windows_cover_the_time_in_both_zones_without_a_gap_and_none_is_longer_than_a_day() -> None:
    made = list(windows(NOW - KEPT_S, NOW))
    assert made[0][0] == first_start()
    assert made[-1][1] == digits(NOW + SLACK_S + ZONE_S)
    assert [end for _, end in made[:-1]] == [start for start, _ in made[1:]]
    assert made[0][1] == digits(NOW - KEPT_S - SLACK_S + DAY_S)
    assert (DAY_S, ZONE_S, SLACK_S) == (86_400.0, 28_800.0, 300.0)
