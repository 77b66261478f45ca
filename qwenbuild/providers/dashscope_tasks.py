"""DashScope's list of tasks: which time windows to ask for, and which of its lines may be ours.

Knows no connection. The list's times of day carry no zone, so every window is asked wide enough for UTC and for UTC+8,
and lines are chosen by their epoch milliseconds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

DAY = 24 * 3600.0
ZONE = 8 * 3600.0
SLACK = 300.0
"""Seconds by which the two clocks may differ."""
SETTLE = 300.0
"""Seconds to wait for a task that is still running: its prompt can be read only afterwards."""


def windows(since: float, until: float) -> Iterator[tuple[str, str]]:
    """Start and end, as the list wants them, of windows of at most 24 hours that cover the time in both zones."""
    start, end = since - SLACK, until + SLACK + ZONE
    while start < end:
        stop = min(end, start + DAY)
        yield _digits(start), _digits(stop)
        start = stop


def _digits(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y%m%d%H%M%S")


def matching(record: Mapping[str, Any], since: float, until: float) -> tuple[list[str], int]:
    """The ids of one page that were accepted in the time, and how many pages there are."""
    held = record if isinstance(record.get("data"), list) else record.get("output")
    page = held if isinstance(held, dict) else {}
    lines = page.get("data") if isinstance(page.get("data"), list) else []
    pages = page.get("total_page")
    ids = [line["task_id"] for line in lines or () if _ours(line, since, until)]
    return ids, pages if isinstance(pages, int) and pages < 1000 else 1


def _ours(line: Any, since: float, until: float) -> bool:
    if not isinstance(line, dict) or not isinstance(line.get("task_id"), str):
        return False
    created = line.get("gmt_create")
    if not isinstance(created, int | float):
        return True
    return since - SLACK <= created / 1000 <= until + SLACK
