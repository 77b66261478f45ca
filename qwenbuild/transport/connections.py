"""Transports for httpx on asyncio's own sockets: a connection for each request in flight, or through a proxy. The sockets say
when a byte of a request is first written.

Knows no API, no environment and no size. httpx's pool looks at all its connections at each request, and its sockets stand on a
layer that takes longer than the request itself: with hundreds in flight the two are most of what a picture costs.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import ssl
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Iterator
from typing import Any

import httpcore
import httpx

from qwenbuild.pace.departure import writing

READ_AHEAD = 4 << 20
"""Bytes that wait to be read before the sender is held up."""
PIECE = 1 << 20
"""Bytes read from a socket at once; asyncio's own figure is 256 KiB."""
EYEBALLS = 0.25
"""Seconds until a second address of a name is tried beside the first (RFC 8305)."""


@contextlib.contextmanager
def _as_httpx(request: httpx.Request) -> Iterator[None]:
    """Errors of httpcore become those of httpx, which have the same names."""
    try:
        yield
    except Exception as error:
        kind = _HTTPX.get(type(error))
        if kind is None:
            raise
        raise kind(str(error), request=request) from error


_HTTPX: dict[type[Exception], type[httpx.RequestError]] = {
    found: getattr(httpx, name)
    for name, found in vars(httpcore).items()
    if isinstance(found, type) and issubclass(found, Exception) and hasattr(httpx, name)
}


class Direct(httpx.AsyncBaseTransport):
    """Sends over an idle connection to the same place, else over a new one. `keep` idle ones are kept for `expiry` seconds.

    Raises the errors of httpx.
    """

    def __init__(
        self, context: ssl.SSLContext, *, keep: int, expiry: float = 30.0, backend: httpcore.AsyncNetworkBackend | None = None
    ) -> None:
        self._context = context
        self._keep, self._expiry = keep, expiry
        self._backend = backend or Sockets()
        self._idle: list[httpcore.AsyncHTTPConnection] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """The answer, with its body still to be read and to be closed."""
        asked = _as_httpcore(request)
        connection = await self._connection(asked.url.origin)
        with _as_httpx(request):
            answer = await connection.handle_async_request(asked)
        body = _Body(self, connection, answer, request)
        return httpx.Response(answer.status, headers=answer.headers, stream=body, extensions=answer.extensions)

    async def _connection(self, origin: httpcore.Origin) -> httpcore.AsyncHTTPConnection:
        for number in range(len(self._idle) - 1, -1, -1):
            if self._idle[number].can_handle_request(origin):
                found = self._idle.pop(number)
                if not found.has_expired():
                    return found
                await found.aclose()
        return httpcore.AsyncHTTPConnection(
            origin, ssl_context=self._context, keepalive_expiry=self._expiry, network_backend=self._backend
        )

    async def free(self, connection: httpcore.AsyncHTTPConnection) -> None:
        """Keep a connection whose answer was read, close any other."""
        if len(self._idle) < self._keep and connection.is_available() and not connection.has_expired():
            self._idle.append(connection)
        else:
            await connection.aclose()

    async def aclose(self) -> None:
        """Close the idle ones, and from now on each one as soon as its answer was read."""
        self._keep = 0
        idle, self._idle = self._idle, []
        for connection in idle:
            await connection.aclose()


class Proxied(httpx.AsyncBaseTransport):
    """Sends through a proxy, over at most `most` connections, which are kept for `expiry` seconds while they are idle.

    Raises the errors of httpx; ImportError for a SOCKS proxy where socksio is not installed.
    """

    def __init__(self, context: ssl.SSLContext, proxy: httpx.Proxy, *, most: int, expiry: float = 30.0) -> None:
        url = proxy.url
        options: dict[str, Any] = {
            "proxy_url": httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
            "proxy_auth": proxy.raw_auth,
            "ssl_context": context,
            "max_connections": most,
            "max_keepalive_connections": most,
            "keepalive_expiry": expiry,
            "network_backend": Sockets(),
        }
        if url.scheme.startswith("socks5"):
            self._pool: httpcore.AsyncConnectionPool = httpcore.AsyncSOCKSProxy(**options)
        else:
            self._pool = httpcore.AsyncHTTPProxy(proxy_headers=proxy.headers.raw, **options)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """The answer, with its body still to be read and to be closed."""
        with _as_httpx(request):
            answer = await self._pool.handle_async_request(_as_httpcore(request))
        body = _Body(None, None, answer, request)
        return httpx.Response(answer.status, headers=answer.headers, stream=body, extensions=answer.extensions)

    async def aclose(self) -> None:
        """Close every connection."""
        await self._pool.aclose()


def _as_httpcore(request: httpx.Request) -> httpcore.Request:
    """The same request for the layer below. Raises UnsupportedProtocol."""
    url = request.url
    if url.scheme not in ("http", "https"):
        raise httpx.UnsupportedProtocol(f"unsupported URL scheme: {url.scheme}", request=request)
    return httpcore.Request(
        method=request.method,
        url=httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
        headers=request.headers.raw,
        content=request.stream,
        extensions=request.extensions,
    )


class _Body(httpx.AsyncByteStream):
    """An answer's body; closing it frees its connection, where that is one of ours."""

    def __init__(
        self,
        transport: Direct | None,
        connection: httpcore.AsyncHTTPConnection | None,
        answer: httpcore.Response,
        request: httpx.Request,
    ) -> None:
        self._transport, self._connection, self._answer, self._request = transport, connection, answer, request

    async def __aiter__(self) -> AsyncIterator[bytes]:
        assert isinstance(self._answer.stream, AsyncIterable)
        with _as_httpx(self._request):
            async for piece in self._answer.stream:
                yield piece

    async def aclose(self) -> None:
        with _as_httpx(self._request):
            await self._answer.aclose()
        if self._transport is not None and self._connection is not None:
            await self._transport.free(self._connection)


# ---------------------------------------------------------------- sockets


class Sockets(httpcore.AsyncNetworkBackend):
    """asyncio's connections as httpcore wants them. Raises the errors of httpcore."""

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109  (httpcore calls it so, here and below)
        local_address: str | None = None,
        socket_options: Any = None,
    ) -> httpcore.AsyncNetworkStream:
        """A connection to a name or an address."""
        loop, protocol = asyncio.get_running_loop(), _Pieces()
        try:
            async with asyncio.timeout(timeout):
                race = None if _is_address(host) else EYEBALLS
                await loop.create_connection(lambda: protocol, host, port, happy_eyeballs_delay=race)
        except TimeoutError as error:
            raise httpcore.ConnectTimeout(f"no connection within {timeout} s") from error
        except OSError as error:
            raise httpcore.ConnectError(str(error)) from error
        return _Socket(protocol)

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


class _Pieces(asyncio.Protocol):
    """What a transport reports: pieces that came, the end, and whether it takes more to send."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self.pieces: deque[bytes] = deque()
        self.held = 0
        self.ended = False
        self.error: Exception | None = None
        self.reader: asyncio.Future[None] | None = None
        self.writer: asyncio.Future[None] | None = None
        self._full = self._paused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.max_size = PIECE  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        self.pieces.append(data)
        self.held += len(data)
        if self.held > READ_AHEAD and not self._paused:
            self._paused = True
            self.transport.pause_reading()
        _wake(self.reader)

    def taken(self) -> bytes:
        """The oldest piece."""
        piece = self.pieces.popleft()
        self.held -= len(piece)
        if self._paused and self.held <= READ_AHEAD:
            self._paused = False
            self.transport.resume_reading()
        return piece

    def eof_received(self) -> None:
        self.ended = True
        _wake(self.reader)

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended, self.error = True, exc
        self.resume_writing()
        _wake(self.reader)

    def pause_writing(self) -> None:
        self._full = True

    def resume_writing(self) -> None:
        self._full = False
        _wake(self.writer)

    @property
    def full(self) -> bool:
        """Whether the receiver does not take as fast as was written."""
        return self._full and not self.ended


def _wake(waiting: asyncio.Future[None] | None) -> None:
    if waiting is not None and not waiting.done():
        waiting.set_result(None)


class _Socket(httpcore.AsyncNetworkStream):
    """One connection. A read gives a whole piece as it came, however many bytes were asked for: httpcore takes any."""

    def __init__(self, protocol: _Pieces) -> None:
        self._protocol = protocol

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109
        """The next bytes, none at the end."""
        protocol = self._protocol
        if not protocol.pieces and not protocol.ended:
            protocol.reader = asyncio.get_running_loop().create_future()
            await _woken(protocol.reader, timeout)
            if not protocol.pieces and not protocol.ended:
                raise httpcore.ReadTimeout(f"nothing came for {timeout} s")
        if protocol.pieces:
            return protocol.taken()
        if protocol.error is not None:
            raise httpcore.ReadError(str(protocol.error)) from protocol.error
        return b""

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109
        """Send, and wait while the receiver is slow."""
        protocol = self._protocol
        if protocol.ended and protocol.error is not None:
            raise httpcore.WriteError(str(protocol.error)) from protocol.error
        if buffer:
            writing()
        protocol.transport.write(buffer)
        if protocol.full:
            protocol.writer = asyncio.get_running_loop().create_future()
            await _woken(protocol.writer, timeout)
            if protocol.full:
                raise httpcore.WriteTimeout(f"nothing was taken for {timeout} s")

    async def aclose(self) -> None:
        """Close at once: whatever was wanted has been read."""
        self._protocol.transport.abort()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> httpcore.AsyncNetworkStream:
        """The same connection, encrypted."""
        loop, protocol = asyncio.get_running_loop(), self._protocol
        try:
            async with asyncio.timeout(timeout):
                transport = await loop.start_tls(protocol.transport, protocol, ssl_context, server_hostname=server_hostname)
        except TimeoutError as error:
            await self.aclose()
            raise httpcore.ConnectTimeout(f"no encryption within {timeout} s") from error
        except (OSError, ssl.SSLError) as error:
            await self.aclose()
            raise httpcore.ConnectError(str(error)) from error
        except BaseException:
            await self.aclose()
            raise
        if transport is None:
            raise httpcore.ConnectError("the connection was closed while it was being encrypted")
        protocol.connection_made(transport)
        return self

    def get_extra_info(self, info: str) -> Any:
        """What httpcore asks for: the encryption, and whether something came that nobody waits for."""
        if info == "is_readable":
            return self._protocol.ended or bool(self._protocol.pieces)
        return self._protocol.transport.get_extra_info({"ssl_object": "ssl_object", "socket": "socket"}.get(info, info))


async def _woken(waiting: asyncio.Future[None], seconds: float | None) -> None:
    """Wait until somebody wakes this future, so many seconds at most."""
    late = None if seconds is None else asyncio.get_running_loop().call_later(seconds, _wake, waiting)
    try:
        await waiting
    finally:
        if late is not None:
            late.cancel()
