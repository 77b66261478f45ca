"""DashScope's list of tasks: what one page says, and whether all pages together are the whole list.

Knows no connection. The list's times of day carry no zone, so every window is asked wide enough for UTC and for UTC+8,
and lines are chosen by their epoch milliseconds. Only a complete list proves that a task is not there.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

DAY_S = 24 * 3600.0
KEPT_S = DAY_S
"""Seconds for which the vendor keeps a task in its list."""
ZONE_S = 8 * 3600.0
SLACK_S = 300.0
"""Seconds by which a task may lie outside of the time in which it was sent."""
CLOCK_TOLERANCE_S = 30.0
"""Seconds by which two measurements of the clock difference may differ: answers take a while, `Date` has no fractions."""
PAGE_SIZE = 100
PAGES_MAX = 2000
"""Pages of one window that are read; a longer list proves nothing."""
STATUSES = frozenset({"PENDING", "RUNNING", "SUSPENDED", "SUCCEEDED", "FAILED", "CANCELED", "UNKNOWN"})
FREE = frozenset({"FAILED", "CANCELED"})
"""States of a task that ended without a picture, and cost nothing."""


@dataclass(frozen=True, slots=True)
class TaskLine:
    """One task of the list. `created` is in seconds since 1970 by the server's clock; `model` may be empty."""

    id: str
    created: float
    status: str
    model: str = ""

    def within(self, since: float, until: float) -> bool:
        """Whether the task was accepted between two times of the server's clock, in seconds, or nearly."""
        return since - SLACK_S <= self.created <= until + SLACK_S


@dataclass(frozen=True, slots=True)
class TaskPage:
    """One page. `total` counts the lines of all pages; `clock_difference_s` is how far the server's clock is ahead of ours."""

    total: int
    pages: int
    lines: tuple[TaskLine, ...]
    clock_difference_s: float | None = None


@dataclass(frozen=True, slots=True)
class TaskListing:
    """Every task of one model that the vendor keeps. `gap` says what is missing in it, "" when it is complete."""

    lines: tuple[TaskLine, ...] = ()
    gap: str = ""
    clock_difference_s: float | None = None

    @property
    def proves_absence(self) -> bool:
        """Whether a task that is not in it does not exist: all of it was read, and it covers the time by the server's clock."""
        return not self.gap and self.clock_difference_s is not None


AskPage = Callable[[str], Awaitable[TaskPage | None]]
"""Answers a query with a page, or None where what came has not the shape of one. Raises ProviderError without an answer."""


# ---------------------------------------------------------------- one page


def page_of(record: Mapping[str, Any], clock_difference_s: float | None = None) -> TaskPage | None:
    """The page in an answer, None when a single part of it is not as the vendor writes it."""
    page = record if "data" in record else record.get("output")
    if not isinstance(page, dict) or not isinstance(page.get("data"), list):
        return None
    total, pages = _count(page.get("total")), _count(page.get("total_page"))
    lines = [_line(line) for line in page["data"]]
    if total is None or pages is None or None in lines:
        return None
    return TaskPage(total, pages, tuple(line for line in lines if line is not None), clock_difference_s)


def _line(line: Any) -> TaskLine | None:
    if not isinstance(line, dict):
        return None
    id, created, status, model = (line.get(name) for name in ("task_id", "gmt_create", "status", "model_name"))
    if not isinstance(id, str) or not 0 < len(id) <= 200 or not isinstance(status, str) or status not in STATUSES:
        return None
    if isinstance(created, bool) or not isinstance(created, int | float) or not math.isfinite(created):
        return None
    return TaskLine(id, created / 1000, status, model if isinstance(model, str) else "")


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


# ---------------------------------------------------------------- all pages


async def read_listing(ask: AskPage, model: str, wall: Callable[[], float]) -> TaskListing:
    """The list of a model's tasks, by windows of the server's clock. `wall` is ours, in seconds since 1970.

    Where the two clocks turn out to differ, the list is read once more in windows that are shifted by the difference.
    """
    listing = await _Reading(ask, model, wall() - KEPT_S, wall(), 0.0).listing()
    ahead = listing.clock_difference_s
    if ahead is None or abs(ahead) <= CLOCK_TOLERANCE_S:
        return listing
    return await _Reading(ask, model, wall() + ahead - KEPT_S, wall() + ahead, ahead).listing()


@dataclass(slots=True)
class _Reading:
    """One reading of the list, window by window and page by page."""

    ask: AskPage
    model: str
    since: float
    until: float
    ahead: float
    lines: dict[str, TaskLine] = field(default_factory=dict)
    differences: list[float | None] = field(default_factory=list)

    async def listing(self) -> TaskListing:
        gap = ""
        for start, end in windows(self.since, self.until):
            gap = await self._window(f"start_time={start}&end_time={end}&model_name={quote(self.model, safe='')}")
            if gap:
                break
        measured = [each for each in self.differences if each is not None]
        if not measured or len(measured) < len(self.differences):
            return TaskListing(tuple(self.lines.values()), gap)
        if max(measured) - min(measured) > 2 * CLOCK_TOLERANCE_S:
            gap = gap or "its clock, or this machine's, was set while it was read"
        middle = sorted(measured)[len(measured) // 2]
        if self.ahead and abs(middle - self.ahead) > CLOCK_TOLERANCE_S:
            gap = gap or "its clock, or this machine's, was set while it was read"
        return TaskListing(tuple(self.lines.values()), gap, middle)

    async def _window(self, query: str) -> str:
        """Read all pages of one window; what is missing, or ""."""
        lines: dict[str, TaskLine] = {}
        total = None
        for number in range(1, PAGES_MAX + 1):
            page = await self.ask(f"{query}&page_no={number}&page_size={PAGE_SIZE}")
            if page is None:
                return "it is not in the form that is known"
            self.differences.append(page.clock_difference_s)
            total = page.total if total is None else total
            before = len(lines)
            lines.update((line.id, line) for line in page.lines)
            if page.total != total or page.pages * PAGE_SIZE < total or len(lines) > total:
                return "its pages contradict each other"
            if len(lines) == total:
                self.lines |= lines
                return ""
            if len(lines) == before:
                return f"it names {total} tasks and shows {len(lines)}"
        return f"it is longer than {PAGES_MAX} pages"


def windows(since: float, until: float) -> Iterator[tuple[str, str]]:
    """Start and end, as the list wants them, of windows of at most 24 hours that cover the time in both zones."""
    start, end = since - SLACK_S, until + SLACK_S + ZONE_S
    while start < end:
        stop = min(end, start + DAY_S)
        yield _digits(start), _digits(stop)
        start = stop


def _digits(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y%m%d%H%M%S")
