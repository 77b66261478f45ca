"""The moments at which a request is ready to leave this machine, begins to leave it, and has left it.

Knows neither lanes nor connections: one side sets what is to be called or asks what was written, the other reports it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

HEADERS, BODY_SENT = "http11.send_request_headers.started", "http11.send_request_body.complete"
SOCKS = "setup_socks5_connection.started"


@dataclass(slots=True)
class Departure:
    """One request on its way out. `written`: a byte of it was handed to a socket, so that it may have arrived.

    Whatever is written counts as the request, except while a proxy is asked for the way (`asking_proxy`); the handshake of
    an encryption is never written by the transport itself.
    """

    written: bool = False
    asking_proxy: bool = False


@dataclass(frozen=True, slots=True)
class _Wanted:
    due: Callable[[], Awaitable[None]]
    left: Callable[[], None]


_wanted: ContextVar[_Wanted | None] = ContextVar("wanted", default=None)
_departure: ContextVar[Departure | None] = ContextVar("departure", default=None)


@contextmanager
def departing() -> Iterator[Departure]:
    """What becomes of the one request that this task sends within the block."""
    departure = Departure()
    token = _departure.set(departure)
    try:
        yield departure
    finally:
        _departure.reset(token)


def writing() -> None:
    """Called by a socket before it takes bytes: from here on the request of this task may have arrived."""
    departure = _departure.get()
    if departure is not None and not departure.asking_proxy:
        departure.written = True


def at_departure(due: Callable[[], Awaitable[None]], left: Callable[[], None]) -> None:
    """For requests of the current task, and of those that it starts from now on: `due` is waited for when the connection
    is open and nothing has been written, `left` is called when all is written.
    """
    _wanted.set(_Wanted(due, left))


async def trace(event: str, facts: Any) -> None:
    """httpcore's reports on a request (its extension `trace`), which are waited for. A proxy is asked to connect at once."""
    wanted, departure = _wanted.get(), _departure.get() or Departure()
    if event == HEADERS or event.endswith(SOCKS):
        departure.asking_proxy = event != HEADERS or facts["request"].method == b"CONNECT"
        if wanted is not None and not departure.asking_proxy:
            await wanted.due()
    elif event == BODY_SENT and wanted is not None and not departure.asking_proxy:
        wanted.left()
