"""The moment at which a request has left this machine, told to whoever keeps the pace.

Knows neither lanes nor connections: one side sets what is to be called, the other calls it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

_then: ContextVar[Callable[[], None] | None] = ContextVar("then", default=None)


def at_departure(then: Callable[[], None]) -> None:
    """Call this whenever a request of the current task, or of one that it starts from now on, has been written."""
    _then.set(then)


async def trace(event: str, facts: Any) -> None:
    """httpcore's reports on a request (its extension `trace`): the last byte was handed to the system."""
    then = _then.get() if event == "http11.send_request_body.complete" else None
    if then is not None:
        then()
