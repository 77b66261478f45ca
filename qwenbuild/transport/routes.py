"""The ways out of this machine: straight or through a proxy, with or without a look at the address that is connected to.

Knows no API and no size of an answer; idle connections are kept here.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import ipaddress
import ssl
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import cache
from importlib import import_module
from typing import Any

import httpcore
import httpx

from qwenbuild import __version__
from qwenbuild.pace.departure import trace
from qwenbuild.transport.connections import Direct, Proxied, Sockets
from qwenbuild.transport.environment import check_proxies, checked_context, proxy_for
from qwenbuild.transport.guard import AddressGuard, HostRefused

if importlib.util.find_spec("sniffio") is None:
    # httpcore tries this import for each lock it makes; where there is no such package, each try would search the whole path
    sys.modules["sniffio"] = None  # type: ignore[assignment]

COMMON = {
    "Accept": "*/*",
    "Accept-Encoding": "identity",
    "Connection": "keep-alive",
    "User-Agent": f"qwenbuild/{__version__}",
}
CONNECTIONS = 10
"""Idle connections that are kept. Through a proxy also those of one pool: httpcore walks a whole one at each request."""
EXPIRY = 30.0
"""Seconds that an idle connection is kept."""

Resolve = Callable[[str, int], Any]


@cache
def _ssl_context() -> ssl.SSLContext:
    return checked_context(httpx.create_ssl_context)


@cache
def warm() -> None:
    """Import what the first connection would import: a request must leave at its turn, and not 50 ms later."""
    for name in ("anyio._backends._asyncio", "httpcore._async.http11"):
        import_module(name)
    _ssl_context()


class Way:
    """How requests of one kind leave: straight, or through the proxy that the environment names for their host.

    `keep`: how many idle connections are kept; `spends`: whoever keeps the pace is told when a request has left.
    Raises InputError for certificates or proxies of the environment that cannot be used.
    """

    def __init__(
        self,
        patience: httpx.Timeout,
        *,
        keep: int,
        backend: httpcore.AsyncNetworkBackend | None = None,
        env: bool = True,
        spends: bool = False,
    ) -> None:
        self._patience = patience
        if env:
            check_proxies()
        self._straight = Direct(_ssl_context(), keep=keep, expiry=EXPIRY, backend=backend)
        self._keep, self._env = keep, env
        self._reports = {"trace": trace} if spends else {}
        self._proxies: dict[tuple[str, str], str | None] = {}
        self._pools: dict[str, _Pools] = {}

    @asynccontextmanager
    async def sent(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | None = None,
        patience: httpx.Timeout | None = None,
    ) -> AsyncIterator[httpx.Response]:
        """The answer to a request, its body still to be read. Raises the errors of httpx."""
        request = httpx.Request(
            method,
            url,
            headers={**COMMON, **headers},
            content=body,
            extensions={"timeout": (patience or self._patience).as_dict(), **self._reports},
        )
        async with self._transport(request.url) as transport:
            response = await transport.handle_async_request(request)
            try:
                yield response
            finally:
                with contextlib.suppress(Exception):  # an answer that was read is not lost because its connection ends badly
                    await response.aclose()

    @asynccontextmanager
    async def _transport(self, url: httpx.URL) -> AsyncIterator[httpx.AsyncBaseTransport]:
        """What carries a request there: a connection to a proxy that is not kept is closed with its answer."""
        proxy = self._proxy(url)
        if proxy is None:
            yield self._straight
        elif self._keep:
            async with self._pools.setdefault(proxy, _Pools(proxy)).one() as pool:
                yield pool
        else:
            async with _proxied(proxy) as pool:
                yield pool

    def _proxy(self, url: httpx.URL) -> str | None:
        place = url.scheme, url.host
        if self._env and place not in self._proxies:
            self._proxies[place] = proxy_for(*place)
        return self._proxies.get(place)

    async def aclose(self) -> None:
        """Close every connection."""
        await self._straight.aclose()
        for pools in self._pools.values():
            await pools.aclose()


def _proxied(proxy: str) -> Proxied:
    return Proxied(_ssl_context(), httpx.Proxy(proxy), most=CONNECTIONS, expiry=EXPIRY)


class _Pools:
    """Pools of at most ten connections each to one proxy, made as they are needed."""

    def __init__(self, proxy: str) -> None:
        self._proxy = proxy
        self._pools: list[Proxied] = []
        self._busy: list[int] = []

    @asynccontextmanager
    async def one(self) -> AsyncIterator[Proxied]:
        number = next((index for index, busy in enumerate(self._busy) if busy < CONNECTIONS), len(self._busy))
        if number == len(self._busy):
            self._pools.append(_proxied(self._proxy))
            self._busy.append(0)
        self._busy[number] += 1
        try:
            yield self._pools[number]
        finally:
            self._busy[number] -= 1

    async def aclose(self) -> None:
        for pool in self._pools:
            await pool.aclose()


async def resolve_host(host: str, port: int) -> list[str]:
    """The addresses of a name, or the address itself. Raises OSError."""
    with contextlib.suppress(ValueError):
        return [str(ipaddress.ip_address(host))]
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=1)
    return list(dict.fromkeys(str(item[4][0]) for item in found))


class GuardedSockets(Sockets):
    """Looks at each address before it connects to it, so that no name can lead inside."""

    def __init__(self, guard: AddressGuard, resolve: Resolve) -> None:
        self._guard = guard
        self._resolve = resolve

    async def connect_tcp(self, host: str, port: int, *args: Any, **kwargs: Any) -> httpcore.AsyncNetworkStream:
        """A connection to the first address that takes one. Raises HostRefused when any of them is not public."""
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
                return await super().connect_tcp(address, port, *args, **kwargs)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue
        return await super().connect_tcp(addresses[-1], port, *args, **kwargs)
