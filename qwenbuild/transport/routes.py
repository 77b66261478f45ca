"""The routes out of this machine: straight or through a proxy, with or without a look at the address that is connected to.

Knows no API and no size of an answer; which connections are kept is the transport's.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import ssl
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import cache
from typing import Any

from qwenbuild import __version__
from qwenbuild.ports import Gate
from qwenbuild.transport.environment import check_proxies, checked_context, proxy_for
from qwenbuild.transport.guard import AddressGuard, HostRefused
from qwenbuild.transport.http1 import Addresses, Http1Transport
from qwenbuild.transport.library import httpx

COMMON = {
    "Accept": "*/*",
    "Accept-Encoding": "identity",
    "Connection": "keep-alive",
    "User-Agent": f"qwenbuild/{__version__}",
}
CONNECTIONS = 10
"""Idle connections that are kept."""
EXPIRY_S = 30.0
"""Seconds that an idle connection is kept."""

Resolve = Callable[[str, int], Any]


@cache
def ssl_context() -> ssl.SSLContext:
    """Made before the first request: that one must leave at its turn, and not 30 ms later."""
    context = checked_context(httpx.create_ssl_context)
    context.set_alpn_protocols(["http/1.1"])
    return context


class Route:
    """How requests of one kind leave: straight, or through the proxy that the environment names for their host.

    `keep`: how many idle connections are kept; `addresses` looks up the names that are gone to straight.
    Raises InputError for certificates or proxies of the environment that cannot be used.
    """

    def __init__(self, patience: httpx.Timeout, *, keep: int, addresses: Addresses | None = None, env: bool = True) -> None:
        self._patience = patience
        if env:
            check_proxies()
        self._keep, self._env = keep, env
        self._proxies: dict[tuple[str, str], str | None] = {}
        straight = Http1Transport(ssl_context(), keep=keep, expiry_s=EXPIRY_S, addresses=addresses)
        self._transports: dict[str | None, Http1Transport] = {None: straight}

    @asynccontextmanager
    async def stream(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | None = None,
        patience: httpx.Timeout | None = None,
        gate: Gate | None = None,
    ) -> AsyncIterator[httpx.Response]:
        """The answer to a request, its body still to be read. Raises the errors of httpx."""
        request = httpx.Request(
            method,
            url,
            headers={**COMMON, **headers},
            content=body,
            extensions={"timeout": (patience or self._patience).as_dict(), "gate": gate},
        )
        response = await self._transport(request.url).handle_async_request(request)
        try:
            yield response
        finally:
            with contextlib.suppress(Exception):  # an answer that was read is not lost because its connection ends badly
                await response.aclose()

    def _transport(self, url: httpx.URL) -> Http1Transport:
        proxy = self._proxy(url)
        if proxy not in self._transports:
            self._transports[proxy] = Http1Transport(
                ssl_context(), keep=self._keep, expiry_s=EXPIRY_S, proxy=None if proxy is None else httpx.Proxy(proxy)
            )
        return self._transports[proxy]

    def _proxy(self, url: httpx.URL) -> str | None:
        place = url.scheme, url.host
        if self._env and place not in self._proxies:
            self._proxies[place] = proxy_for(*place)
        return self._proxies.get(place)

    async def aclose(self) -> None:
        """Close every connection."""
        for transport in self._transports.values():
            await transport.aclose()


async def resolve_host(host: str, port: int) -> list[str]:
    """The addresses of a name, or the address itself. Raises OSError."""
    with contextlib.suppress(ValueError):
        return [str(ipaddress.ip_address(host))]
    results = await asyncio.get_running_loop().getaddrinfo(host, port, type=1)
    return list(dict.fromkeys(str(item[4][0]) for item in results))


def guarded(guard: AddressGuard, resolve: Resolve) -> Addresses:
    """Looks at each address before it is connected to, so that no name can lead inside."""

    async def addresses(host: str, port: int) -> Sequence[str]:
        """Raises HostRefused when any of them is not public."""
        resolved: list[str] = await resolve(host, port)
        for address in resolved:
            if not guard.address_allowed(address):
                raise HostRefused(f"the host {host}, whose address {address} is not public")
        return resolved

    return addresses
