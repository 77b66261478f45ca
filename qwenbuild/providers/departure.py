"""The moments at which a request is ready to leave this machine and has left it, told to whoever keeps the pace.

Knows neither lanes nor connections: one side sets what is to be called, the other calls it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class _Wanted:
    due: Callable[[], Awaitable[None]]
    left: Callable[[], None]


_wanted: ContextVar[_Wanted | None] = ContextVar("wanted", default=None)


def at_departure(due: Callable[[], Awaitable[None]], left: Callable[[], None]) -> None:
    """For requests of the current task, and of those that it starts from now on: `due` is waited for when the connection
    is open and nothing has been written, `left` is called when all is written.
    """
    _wanted.set(_Wanted(due, left))


async def trace(event: str, facts: Any) -> None:
    """httpcore's reports on a request (its extension `trace`), which are waited for. A proxy is asked to connect at once."""
    wanted = _wanted.get()
    if wanted is None:
        return
    if event == "http11.send_request_headers.started" and facts["request"].method != b"CONNECT":
        await wanted.due()
    elif event == "http11.send_request_body.complete":
        wanted.left()
