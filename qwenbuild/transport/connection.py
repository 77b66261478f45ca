"""One HTTP/1.1 connection on asyncio's own sockets: opened, encrypted, a request written, its answer read piece by piece.

A request passes its gate just before its first byte, and marks it. Knows no proxy, no other connection and no API. What is on
the wire is h11's, what went wrong is said in the errors of httpx.
"""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
import time
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import h11

from qwenbuild.ports import Gate
from qwenbuild.transport.library import httpx

READ_AHEAD_BYTES = 4 << 20
"""Bytes that wait to be read before the sender is held up."""
HEAD_CAP_BYTES = 100 << 10
"""Bytes of an answer's status and headers."""
HAPPY_EYEBALLS_DELAY_S = 0.25
"""Seconds until a second address of a name is tried beside the first (RFC 8305)."""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds, as httpx names them in the extension `timeout`."""

    connect: float | None = None
    read: float | None = None
    write: float | None = None
    pool: float | None = None


class Connection(asyncio.Protocol, httpx.AsyncByteStream):
    """One connection, and the body of the answer that is being read from it. `origin`: scheme, host and port it leads to."""

    def __init__(self, origin: tuple[str, str, int], timeouts: Timeouts, release: Callable[[Connection], None]) -> None:
        self.origin, self.timeouts, self._release = origin, timeouts, release
        self.expires = 0.0
        self.restart()
        self._transport: asyncio.Transport | None = None
        self._pieces: deque[bytes] = deque()
        self._held = 0
        self._ended = self._full = self._paused = False
        self._error: Exception | None = None
        self._reader: asyncio.Future[None] | None = None
        self._writer: asyncio.Future[None] | None = None

    def restart(self) -> None:
        """What comes now has nothing to do with what came before: a proxy has given the way."""
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=HEAD_CAP_BYTES)

    @property
    def reusable(self) -> bool:
        """Whether an idle connection may carry another request: nothing came that nobody waits for, not even its end."""
        return not (self._ended or self._pieces or self._http.trailing_data[0] or time.monotonic() > self.expires)

    # ------------------------------------------------------------ opening

    async def connect(self, host: str, port: int) -> None:
        """Connect to a name or an address, once."""
        race = None if _is_address(host) else HAPPY_EYEBALLS_DELAY_S
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self.timeouts.connect):
                await loop.create_connection(lambda: self, host, port, happy_eyeballs_delay=race)
        except TimeoutError as error:
            raise httpx.ConnectTimeout(f"no connection within {self.timeouts.connect} s") from error
        except OSError as error:
            raise httpx.ConnectError(str(error)) from error

    async def encrypt(self, context: ssl.SSLContext, host: str) -> None:
        """Whatever goes over this connection from now on is encrypted, and the server is `host`."""
        assert self._transport is not None
        loop = asyncio.get_running_loop()
        self._pieces.clear()  # nobody vouches for what came before
        self._held = 0
        try:
            async with asyncio.timeout(self.timeouts.connect):
                transport = await loop.start_tls(self._transport, self, context, server_hostname=host)
        except TimeoutError as error:
            raise httpx.ConnectTimeout(f"no TLS handshake within {self.timeouts.connect} s") from error
        except OSError as error:  # ssl.SSLError is one
            raise httpx.ConnectError(str(error)) from error
        if transport is None:
            raise httpx.ConnectError("the connection was closed while it was being encrypted")
        self._transport = transport

    # ------------------------------------------------------------ a request and its answer

    async def send(self, head: h11.Request, body: AsyncIterable[bytes], gate: Gate) -> None:
        """Pass the gate and write; from the gate on the request may have arrived."""
        first = self._http.send(head)
        await gate()
        if self._ended:
            raise httpx.ConnectError("the connection was closed before anything was sent")
        gate.written = True
        try:
            await self.write(first or b"")
            async for piece in body:
                await self.write(self._http.send(h11.Data(piece)) or b"")
            await self.write(self._http.send(h11.EndOfMessage()) or b"")
        except httpx.WriteError:
            return  # a server may answer, and close, before it has read all
        gate.left()

    async def head(self) -> h11.Response | h11.InformationalResponse:
        """Status and headers of the answer."""
        while isinstance(event := await self._event(), h11.InformationalResponse) and event.status_code != 101:
            continue
        if not isinstance(event, h11.Response | h11.InformationalResponse):
            raise httpx.RemoteProtocolError("the server did not answer with a response")
        return event

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while isinstance(event := await self._event(), h11.Data):
            yield bytes(event.data)

    async def _event(self) -> Any:
        try:
            while (event := self._http.next_event()) is h11.NEED_DATA:
                data = await self.read()
                if not data and self._http.their_state is h11.SEND_RESPONSE:
                    raise httpx.RemoteProtocolError("Server disconnected without sending a response.")
                self._http.receive_data(data)
        except h11.RemoteProtocolError as error:
            raise httpx.RemoteProtocolError(str(error)) from error
        return event

    async def aclose(self) -> None:
        """The answer is done with: a connection that is through with it may carry another request."""
        if self._http.our_state is h11.DONE and self._http.their_state is h11.DONE:
            self._http.start_next_cycle()
            self._release(self)
        else:
            self.close()

    def close(self) -> None:
        """Close at once: whatever was wanted has been read."""
        if self._transport is not None:
            self._transport.abort()

    # ------------------------------------------------------------ bytes

    async def write(self, data: bytes) -> None:
        """Send, and wait while the other side is slow."""
        assert self._transport is not None
        if self._error is not None:
            raise httpx.WriteError(str(self._error)) from self._error
        self._transport.write(data)
        if self._full and not self._ended:
            self._writer = asyncio.get_running_loop().create_future()
            if not await _woken_within(self._writer, self.timeouts.write):
                raise httpx.WriteTimeout(f"nothing could be sent for {self.timeouts.write} s")

    async def read(self) -> bytes:
        """The oldest piece that came, however long; none at the end."""
        if not self._pieces and not self._ended:
            self._reader = asyncio.get_running_loop().create_future()
            if not await _woken_within(self._reader, self.timeouts.read):
                raise httpx.ReadTimeout(f"nothing was received for {self.timeouts.read} s")
        if not self._pieces:
            if self._error is not None:
                raise httpx.ReadError(str(self._error)) from self._error
            return b""
        piece = self._pieces.popleft()
        self._held -= len(piece)
        if self._paused and self._held <= READ_AHEAD_BYTES and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()
        return piece

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio has made the connection."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """asyncio has read something."""
        self._pieces.append(data)
        self._held += len(data)
        if self._held > READ_AHEAD_BYTES and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()
        _wake(self._reader)

    def eof_received(self) -> None:
        """The other side says no more."""
        self._ended = True
        _wake(self._reader)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is over, by an error where `exc` is one."""
        self._ended, self._error = True, exc
        _wake(self._reader)
        _wake(self._writer)

    def pause_writing(self) -> None:
        """The other side does not take as fast as was written."""
        self._full = True

    def resume_writing(self) -> None:
        """The other side has caught up."""
        self._full = False
        _wake(self._writer)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _wake(waiting: asyncio.Future[None] | None) -> None:
    if waiting is not None and not waiting.done():
        waiting.set_result(None)


async def _woken_within(waiting: asyncio.Future[None], seconds: float | None) -> bool:
    """Wait until somebody wakes this future, so many seconds at most; whether somebody did."""
    late = None if seconds is None else asyncio.get_running_loop().call_later(seconds, _expire, waiting)
    try:
        await waiting
    except TimeoutError:
        return False
    finally:
        if late is not None:
            late.cancel()
    return True


def _expire(waiting: asyncio.Future[None]) -> None:
    if not waiting.done():
        waiting.set_exception(TimeoutError())
