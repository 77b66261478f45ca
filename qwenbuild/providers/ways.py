"""The ways out of this machine: straight or through a proxy, with or without a look at the address that is connected to.

Knows no API and no size of an answer; idle connections and httpx's clients are kept here.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import ipaddress
import ssl
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import cache
from http.cookiejar import CookieJar, DefaultCookiePolicy
from importlib import import_module
from typing import Any
from urllib.request import getproxies, proxy_bypass

import httpcore
import httpx

from qwenbuild import __version__
from qwenbuild.providers.connections import Direct, Sockets
from qwenbuild.providers.departure import trace
from qwenbuild.providers.guard import Guard, HostRefused

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
"""Idle connections that are kept. Through a proxy also those of one client: httpx walks a whole pool at each request."""
EXPIRY = 30.0
"""Seconds that an idle connection is kept."""

Resolve = Callable[[str, int], Any]


@cache
def _ssl_context() -> ssl.SSLContext:
    return httpx.create_ssl_context()


@cache
def warm() -> None:
    """Import what the first connection would import: a request must leave at its turn, and not 50 ms later."""
    for name in ("anyio._backends._asyncio", "httpcore._async.http11"):
        import_module(name)
    _ssl_context()


def _no_cookies() -> CookieJar:
    return CookieJar(policy=DefaultCookiePolicy(allowed_domains=[]))


def _client(timeout: httpx.Timeout) -> httpx.AsyncClient:
    """A client that goes through the proxy that the environment names."""
    return httpx.AsyncClient(
        verify=_ssl_context(),
        timeout=timeout,
        limits=httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS, keepalive_expiry=EXPIRY),
        cookies=_no_cookies(),
        follow_redirects=False,
    )


class Way:
    """How requests of one kind leave: straight, or through the proxy that the environment names for their host.

    `keep`: how many idle connections are kept; `spends`: whoever keeps the pace is told when a request has left.
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
        self._straight = Direct(_ssl_context(), keep=keep, expiry=EXPIRY, backend=backend)
        self._keep, self._env = keep, env
        self._reports = {"trace": trace} if spends else {}
        self._proxied: dict[tuple[str, str], bool] = {}
        self._clients = _Pool(lambda: _client(patience))

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
        if self._env and self._has_proxy(request.url):
            async with self._client() as client:
                response = await client.send(request, stream=True)
                try:
                    yield response
                finally:
                    await response.aclose()
            return
        response = await self._straight.handle_async_request(request)
        try:
            yield response
        finally:
            await response.aclose()

    def _client(self) -> AbstractAsyncContextManager[httpx.AsyncClient]:
        return self._clients.client() if self._keep else _client(self._patience)

    def _has_proxy(self, url: httpx.URL) -> bool:
        known = self._proxied.get((url.scheme, url.host))
        if known is None:
            known = self._proxied[url.scheme, url.host] = _proxy_for(url.scheme, url.host)
        return known

    async def aclose(self) -> None:
        """Close every connection."""
        await self._straight.aclose()
        await self._clients.aclose()


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


def _proxy_for(scheme: str, host: str) -> bool:
    proxies = getproxies()
    found = proxies.get(scheme) or proxies.get("all")
    return bool(found) and not proxy_bypass(host)


async def resolve_host(host: str, port: int) -> list[str]:
    """The addresses of a name, or the address itself. Raises OSError."""
    with contextlib.suppress(ValueError):
        return [str(ipaddress.ip_address(host))]
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=1)
    return list(dict.fromkeys(str(item[4][0]) for item in found))


class GuardedSockets(Sockets):
    """Looks at each address before it connects to it, so that no name can lead inside."""

    def __init__(self, guard: Guard, resolve: Resolve) -> None:
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
