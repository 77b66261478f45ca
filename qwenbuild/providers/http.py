"""Send requests and fetch pictures: a fresh connection for each submit, small pools for polls, a client without credentials
for downloads. The only module that knows httpx, and the one place where its errors become ours.

Knows no vendor: what an answer means is for the provider to say.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import ssl
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from functools import cache
from http.cookiejar import CookieJar, DefaultCookiePolicy
from importlib import import_module
from typing import Any
from urllib.parse import urljoin, urlsplit
from urllib.request import getproxies, proxy_bypass

import httpcore
import httpx

from qwenbuild import __version__
from qwenbuild.errors import ProviderError, Unavailable, Uncertain
from qwenbuild.providers.guard import Guard, HostRefused

if importlib.util.find_spec("sniffio") is None:
    # httpcore tries this import for each lock it makes; where there is no such package, each try would search the whole path
    sys.modules["sniffio"] = None  # type: ignore[assignment]
httpcore.AsyncHTTP11Connection.READ_NUM_BYTES = 1 << 20
"""A picture comes in few pieces instead of one for each 64 KiB; every piece costs the same whatever its size."""

USER_AGENT = f"qwenbuild/{__version__}"
ANSWER_CAP = 1 << 20
"""Bytes of a JSON answer; more is not read."""
DRIPS = 90.0
"""Seconds for an answer that comes drop by drop: a timeout alone begins anew with each of them."""
DEPTH_CAP = 32
PICTURE_CAP = 64 << 20
"""Bytes of a picture; more is not read."""
CONNECTIONS = 10
"""Per client: httpx walks all connections of a pool at each request, so pools stay small."""
REDIRECTS = 3
DEAD = frozenset({400, 401, 403, 404, 410})

NEVER_LEFT: tuple[type[Exception], ...] = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
    httpx.InvalidURL,
)
"""The request did not reach the server: sending it again cannot pay twice."""

PERHAPS_ARRIVED: tuple[type[Exception], ...] = (
    httpx.ReadError,
    httpx.ReadTimeout,
    httpx.WriteError,
    httpx.WriteTimeout,
    httpx.CloseError,
    httpx.NetworkError,
    httpx.TimeoutException,
    httpx.RemoteProtocolError,
    httpx.LocalProtocolError,
    httpx.ProtocolError,
    httpx.DecodingError,
    httpx.TooManyRedirects,
    httpx.TransportError,
    httpx.RequestError,
    httpx.HTTPStatusError,
    httpx.HTTPError,
    httpx.StreamError,
    httpx.StreamClosed,
    httpx.StreamConsumed,
    httpx.RequestNotRead,
    httpx.ResponseNotRead,
    httpx.CookieConflict,
)
"""Bytes may have arrived, and no whole answer came back."""


class LinkDead(Exception):
    """The storage no longer gives the picture out: expired, gone, or never there. `status` is the HTTP status."""

    def __init__(self, status: int) -> None:
        super().__init__(f"HTTP {status}")
        self.status = status


class TooLarge(Exception):
    """More bytes than may be read."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer; header names are lower case."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    def json(self) -> dict[str, Any] | None:
        """The body as an object, or None when it is not one: too deep, not JSON, NaN in it, or something else."""
        try:
            value = json.loads(self.body, parse_constant=_no_constant)
        except (ValueError, RecursionError):
            return None
        return value if isinstance(value, dict) and _shallow(value) else None

    def retry_after(self, now: float) -> float | None:
        """Seconds that the server asks to wait, from seconds or an HTTP date; None when it names none that can be read."""
        text = self.headers.get("retry-after", "").strip()
        try:
            return max(0.0, float(text) if text[:1].isdigit() else parsedate_to_datetime(text).timestamp() - now)
        except (ValueError, TypeError, OverflowError):
            return None


def _no_constant(name: str) -> Any:
    raise ValueError(name)


def _shallow(value: Any) -> bool:
    level: list[Any] = [value]
    for _ in range(DEPTH_CAP):
        level = [item for node in level for item in _children(node)]
        if not level:
            return True
    return False


def _children(node: Any) -> Iterable[Any]:
    if isinstance(node, dict):
        return node.values()
    return node if isinstance(node, list) else ()


def foreign(error: BaseException, what: str) -> ProviderError:
    """Our error for one of httpx: Unavailable where the request surely did not arrive, else Uncertain."""
    name = type(error).__name__
    if isinstance(error, NEVER_LEFT):
        return Unavailable(f"{what} did not go out ({name})", code=name)
    return Uncertain(f"{what} went out and no whole answer came back ({name})", code=name)


@dataclass(frozen=True, slots=True)
class DownloadLimits:
    """Seconds and bytes: `total` for one download, `rate` bytes a second on average once `grace` seconds are over."""

    total: float = 300.0
    grace: float = 20.0
    rate: float = 1024.0
    cap: int = PICTURE_CAP
    read: float = 30.0


@cache
def _ssl_context() -> ssl.SSLContext:
    return httpx.create_ssl_context()


@cache
def _warm() -> None:
    """Import what the first connection would import: a request must leave at its turn, and not 50 ms later."""
    for name in ("anyio._backends._asyncio", "httpcore._backends.anyio", "httpcore._async.http11"):
        import_module(name)
    _ssl_context()


def _no_cookies() -> CookieJar:
    return CookieJar(policy=DefaultCookiePolicy(allowed_domains=[]))


def _client(
    timeout: httpx.Timeout, *, keep: int, env: bool = True, transport: httpx.AsyncBaseTransport | None = None
) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        verify=_ssl_context(),
        timeout=timeout,
        limits=httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=keep, keepalive_expiry=30.0),
        headers={"User-Agent": USER_AGENT, "Accept-Encoding": "identity"},
        cookies=_no_cookies(),
        follow_redirects=False,
        transport=transport,
        trust_env=env,
    )


class _Pool:
    """Clients of at most ten connections each, made as they are needed."""

    def __init__(self, make: Callable[[], httpx.AsyncClient]) -> None:
        self._make = make
        self._clients: list[httpx.AsyncClient] = []
        self._busy: list[int] = []

    @asynccontextmanager
    async def client(self) -> AsyncIterator[httpx.AsyncClient]:
        number = next((index for index, busy in enumerate(self._busy) if busy < CONNECTIONS), len(self._busy))
        if number == len(self._busy):
            self._clients.append(self._make())
            self._busy.append(0)
        self._busy[number] += 1
        try:
            yield self._clients[number]
        finally:
            self._busy[number] -= 1

    async def aclose(self) -> None:
        for client in self._clients:
            await client.aclose()


class Wire:
    """The connections of one provider. Times are seconds, sizes bytes."""

    def __init__(self, guard: Guard, limits: DownloadLimits | None = None, resolve: Resolve | None = None) -> None:
        _warm()
        self.guard = guard
        self.limits = limits or DownloadLimits()
        polls = httpx.Timeout(30.0, connect=10.0)
        downloads = httpx.Timeout(self.limits.read, connect=10.0)
        self._polls = _Pool(lambda: _client(polls, keep=CONNECTIONS, env=not guard.loopback))
        self._direct = _Pool(lambda: _client(downloads, keep=4, transport=_guarded(guard, resolve)))
        self._proxied = _Pool(lambda: _client(downloads, keep=4))

    async def post(self, url: str, headers: Mapping[str, str], body: bytes, *, read: float, cap: int = ANSWER_CAP) -> Answer:
        """Send once over a connection of its own. Raises Unavailable when it surely did not arrive, else Uncertain."""
        timeout = httpx.Timeout(read, connect=10.0, write=60.0)
        try:
            async with asyncio.timeout(read + DRIPS), _client(timeout, keep=0, env=not self.guard.loopback) as client:
                return await _exchange(client, "POST", url, headers, body, cap)
        except TooLarge as error:
            raise Uncertain(f"the answer is longer than {cap} bytes", code="TooLarge") from error
        except Exception as error:
            raise foreign(error, "the request") from error

    async def get(self, url: str, headers: Mapping[str, str]) -> Answer:
        """Ask something that costs nothing. Raises Unavailable for whatever stands in the way."""
        try:
            async with asyncio.timeout(DRIPS), self._polls.client() as client:
                return await _exchange(client, "GET", url, headers, None, ANSWER_CAP)
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, TooLarge, OSError, TimeoutError) as error:
            raise Unavailable(
                f"no answer from {urlsplit(url).hostname} ({type(error).__name__})", code=type(error).__name__
            ) from error

    async def fetch(self, url: str) -> bytes:
        """A picture's bytes as they come. Raises LinkDead, HostRefused, TooLarge, or Unavailable for what may pass."""
        try:
            async with asyncio.timeout(self.limits.total):
                return await self._follow(url)
        except TimeoutError as error:
            raise Unavailable(f"a download took more than {self.limits.total:.0f} s", code="deadline") from error
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError) as error:
            name = type(error).__name__
            raise Unavailable(f"the download from {urlsplit(url).hostname} broke off ({name})", code=name) from error

    async def _follow(self, url: str) -> bytes:
        for _ in range(REDIRECTS + 1):
            self.guard.check(url)
            status, headers, data = await self._download(url)
            if status in (301, 302, 303, 307, 308) and headers.get("location"):
                url = urljoin(url, headers["location"])
                continue
            return _body_or_reason(status, data)
        raise LinkDead(310)

    async def _download(self, url: str) -> tuple[int, Mapping[str, str], bytes]:
        pool = self._proxied if not self.guard.loopback and _proxy_for(url) else self._direct
        async with pool.client() as client, client.stream("GET", url) as response:
            if response.status_code != 200:
                return response.status_code, response.headers, b""
            return 200, response.headers, await self._read(response)

    async def _read(self, response: httpx.Response) -> bytes:
        data, started = bytearray(), time.monotonic()
        async for piece in response.aiter_raw():
            data += piece
            if len(data) > self.limits.cap:
                raise TooLarge
            spent = time.monotonic() - started
            if spent > self.limits.grace and len(data) < self.limits.rate * spent:
                raise Unavailable(f"a download came in slower than {self.limits.rate:.0f} bytes a second", code="slow")
        return bytes(data)

    async def aclose(self) -> None:
        """Close every connection."""
        for pool in (self._polls, self._direct, self._proxied):
            await pool.aclose()


def _body_or_reason(status: int, data: bytes) -> bytes:
    if status == 200:
        return data
    if status in DEAD:
        raise LinkDead(status)
    raise Unavailable(f"the storage answered HTTP {status}", code=str(status))


async def _exchange(
    client: httpx.AsyncClient, method: str, url: str, headers: Mapping[str, str], body: bytes | None, cap: int
) -> Answer:
    async with client.stream(method, url, headers=dict(headers), content=body) as response:
        data = bytearray()
        async for piece in response.aiter_bytes():
            data += piece
            if len(data) > cap:
                raise TooLarge
        return Answer(response.status_code, dict(response.headers), bytes(data))


def _proxy_for(url: str) -> bool:
    parts, proxies = urlsplit(url), getproxies()
    found = proxies.get(parts.scheme) or proxies.get("all")
    return bool(found) and not proxy_bypass(parts.hostname or "")


Resolve = Callable[[str, int], Any]


def _guarded(guard: Guard, resolve: Resolve | None) -> httpx.AsyncHTTPTransport:
    """A transport that looks at each address before it connects to it, so that no name can lead inside."""
    transport = httpx.AsyncHTTPTransport(verify=_ssl_context())
    # httpx has no parameter for the network backend that its pool takes
    transport._pool = httpcore.AsyncConnectionPool(
        ssl_context=_ssl_context(),
        max_connections=CONNECTIONS,
        max_keepalive_connections=4,
        keepalive_expiry=30.0,
        network_backend=_GuardedBackend(guard, resolve or _resolve),
    )
    return transport


async def _resolve(host: str, port: int) -> list[str]:
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=1)
    return list(dict.fromkeys(str(item[4][0]) for item in found))


class _GuardedBackend(httpcore.AsyncNetworkBackend):
    def __init__(self, guard: Guard, resolve: Resolve) -> None:
        self._guard = guard
        self._resolve = resolve
        self._inner = httpcore.AnyIOBackend()

    async def connect_tcp(self, host: str, port: int, *args: Any, **kwargs: Any) -> httpcore.AsyncNetworkStream:
        try:
            addresses = await self._resolve(host, port)
        except OSError as error:
            raise httpcore.ConnectError(str(error)) from error
        for address in addresses:
            if not self._guard.address_allowed(address):
                raise HostRefused(f"the host {host}, whose address {address} is not public")
        return await self._first(addresses, port, *args, **kwargs)

    async def _first(self, addresses: list[str], port: int, *args: Any, **kwargs: Any) -> httpcore.AsyncNetworkStream:
        for address in addresses[:-1]:
            try:
                return await self._inner.connect_tcp(address, port, *args, **kwargs)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue
        return await self._inner.connect_tcp(addresses[-1], port, *args, **kwargs)

    async def sleep(self, seconds: float) -> None:
        await self._inner.sleep(seconds)
