"""HTTP/1.1 for httpx over connections of our own: straight or through a proxy, one request at a time on each.

A request passes its gate (the extension `gate`) once its way is open, just before its first byte. Asking a proxy for the way is
not the request: CONNECT, SOCKS and the handshake of an encryption come before the gate. Knows no environment and no API.

httpx's own transport has no such moment, and takes two to three times the CPU. Of what it takes, this one takes 0.52, 0.35 and
0.29 for submissions and questions at 2, 50 and 200 in flight; 0.59, 0.39 and 0.32 with a picture of 1.5 MB each, as measured by
`python -m benchmarks.transport`.
"""

from __future__ import annotations

import base64
import contextlib
import ssl
import time
from collections.abc import Awaitable, Callable, Sequence
from importlib import import_module
from typing import Any

import h11

from qwenbuild.ports import Gate
from qwenbuild.transport.connection import Connection, Timeouts
from qwenbuild.transport.library import httpx

PORTS = {"http": 80, "https": 443}
SOCKS_PORT = 1080

Addresses = Callable[[str, int], Awaitable[Sequence[str]]]
"""The addresses of a host and port that may be connected to."""


class Http1Transport(httpx.AsyncBaseTransport):
    """Sends over an idle connection to the same origin, else over a new one. `keep` idle ones are kept for `expiry_s` seconds.

    `addresses` looks names up in origin of the system's resolver; a proxy looks names up itself. Raises the errors of httpx.
    """

    def __init__(
        self,
        context: ssl.SSLContext,
        *,
        keep: int,
        expiry_s: float = 30.0,
        proxy: httpx.Proxy | None = None,
        addresses: Addresses | None = None,
    ) -> None:
        self._context, self._proxy, self._addresses = context, proxy, addresses
        self._keep, self._expiry_s = keep, expiry_s
        self._idle: list[Connection] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """The answer, with its body still to be read and to be closed."""
        if request.url.scheme not in PORTS:
            raise httpx.UnsupportedProtocol(f"unsupported URL scheme: {request.url.scheme}")
        timeouts = Timeouts(**request.extensions.get("timeout", {}))
        connection = await self._connection(request.url, timeouts)
        try:
            assert isinstance(request.stream, httpx.AsyncByteStream)
            await connection.send(self._head(request), request.stream, request.extensions.get("gate") or Gate())
            head = await connection.head()
        except BaseException:
            connection.close()
            raise
        facts = {"http_version": b"HTTP/" + head.http_version, "reason_phrase": head.reason}
        return httpx.Response(head.status_code, headers=head.headers.raw_items(), stream=connection, extensions=facts)

    def _head(self, request: httpx.Request) -> h11.Request:
        url, headers, target = request.url, request.headers.raw, request.url.raw_path
        if self._proxy is not None and self._forwards(url):
            target = b"%b://%b%b" % (url.raw_scheme, url.netloc, target)
            headers = [*_proxy_headers(self._proxy), *headers]
        return _request(request.method, target, headers)

    def _forwards(self, url: httpx.URL) -> bool:
        """Whether the proxy is given the request itself, and not asked for the way."""
        return self._proxy is not None and url.scheme == "http" and self._proxy.url.scheme in PORTS

    async def _connection(self, url: httpx.URL, timeouts: Timeouts) -> Connection:
        origin = url.scheme, url.raw_host.decode("ascii"), url.port or PORTS[url.scheme]
        for connection in reversed(self._idle):
            if connection.origin == origin:
                self._idle.remove(connection)
                if connection.reusable:
                    connection.timeouts = timeouts
                    return connection
                connection.close()
        connection = await self._connected(origin, timeouts)
        try:
            await self._open(connection, tunnel=not self._forwards(url))
        except BaseException:
            connection.close()
            raise
        return connection

    async def _connected(self, origin: tuple[str, str, int], timeouts: Timeouts) -> Connection:
        """To the first address that takes a connection, or to the proxy."""
        hosts, port = await self._ends(origin)
        for host in hosts[:-1]:
            with contextlib.suppress(httpx.ConnectError, httpx.ConnectTimeout):
                return await self._connect(origin, timeouts, host, port)
        return await self._connect(origin, timeouts, hosts[-1], port)

    async def _connect(self, origin: tuple[str, str, int], timeouts: Timeouts, host: str, port: int) -> Connection:
        connection = Connection(origin, timeouts, self._release)
        await connection.connect(host, port)
        return connection

    async def _ends(self, origin: tuple[str, str, int]) -> tuple[Sequence[str], int]:
        _, host, port = origin
        if self._proxy is not None:
            url = self._proxy.url
            return [url.raw_host.decode("ascii")], url.port or PORTS.get(url.scheme, SOCKS_PORT)
        if self._addresses is None:
            return [host], port
        try:
            return await self._addresses(host, port), port
        except OSError as error:
            raise httpx.ConnectError(str(error)) from error

    async def _open(self, connection: Connection, *, tunnel: bool) -> None:
        scheme, host, _ = connection.origin
        if (proxy := self._proxy) is not None:
            if proxy.url.scheme == "https":
                await connection.encrypt(self._context, proxy.url.raw_host.decode("ascii"))
            if proxy.url.scheme not in PORTS:
                await _open_socks(connection, proxy.raw_auth)
            elif tunnel:
                await _open_tunnel(connection, _proxy_headers(proxy))
        if scheme == "https":
            await connection.encrypt(self._context, host)

    def _release(self, connection: Connection) -> None:
        """Keep a connection whose answer was read."""
        if len(self._idle) < self._keep:
            connection.expires = time.monotonic() + self._expiry_s
            self._idle.append(connection)
        else:
            connection.close()

    async def aclose(self) -> None:
        """Close the idle ones, and from now on each one as soon as its answer was read."""
        self._keep = 0
        idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()


def _request(method: str | bytes, target: bytes, headers: Sequence[tuple[bytes, bytes]]) -> h11.Request:
    try:
        return h11.Request(method=method, target=target, headers=list(headers))
    except h11.LocalProtocolError as error:
        raise httpx.LocalProtocolError(str(error)) from error


def _proxy_headers(proxy: httpx.Proxy) -> list[tuple[bytes, bytes]]:
    if proxy.raw_auth is None:
        return proxy.headers.raw
    return [(b"Proxy-Authorization", b"Basic " + base64.b64encode(b":".join(proxy.raw_auth))), *proxy.headers.raw]


async def _open_tunnel(connection: Connection, headers: Sequence[tuple[bytes, bytes]]) -> None:
    """Have an HTTP proxy lead to the connection's origin."""
    _, host, port = connection.origin
    target = (f"[{host}]:{port}" if ":" in host else f"{host}:{port}").encode("ascii")
    head = _request("CONNECT", target, [(b"Host", target), (b"Accept", b"*/*"), *headers])
    await connection.send(head, httpx.ByteStream(b""), Gate())
    answer = await connection.head()
    if not 200 <= answer.status_code < 300:
        raise httpx.ProxyError(f"{answer.status_code} {answer.reason.decode('ascii', 'ignore')}")
    connection.restart()


async def _open_socks(connection: Connection, auth: tuple[bytes, bytes] | None) -> None:
    """Have a SOCKS proxy lead to the connection's origin. Raises ImportError where socksio is not installed."""
    socks = import_module("socksio.socks5")
    dialogue = socks.SOCKS5Connection()

    async def answer(request: Any) -> Any:
        dialogue.send(request)
        await connection.write(dialogue.data_to_send())
        return dialogue.receive_data(await connection.read())

    methods = socks.SOCKS5AuthMethod
    method = methods.NO_AUTH_REQUIRED if auth is None else methods.USERNAME_PASSWORD
    if (await answer(socks.SOCKS5AuthMethodsRequest([method]))).method != method:
        raise httpx.ProxyError("the SOCKS proxy asks for another way to sign in")
    if auth is not None and not (await answer(socks.SOCKS5UsernamePasswordRequest(*auth))).success:
        raise httpx.ProxyError("the SOCKS proxy refused the user name or the password")
    request = socks.SOCKS5CommandRequest.from_address(socks.SOCKS5Command.CONNECT, connection.origin[1:])
    reply = (await answer(request)).reply_code
    if reply != socks.SOCKS5ReplyCode.SUCCEEDED:
        raise httpx.ProxyError(f"the SOCKS proxy could not connect ({reply})")
