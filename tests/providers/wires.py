"""A vendor's answers by route, over real sockets: what respx does in httpx's place, a server on loopback does here.

Each test of a wire format runs both ways, so that httpx can be exchanged for its successor before respx knows it. Knows no API.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

import httpx

from qwenbuild.transport.connection import Connection
from qwenbuild.transport.http1 import Http1Transport

WAYS = tuple(os.environ.get("QWENBUILD_TEST_WIRES", "respx sockets").split())
"""How the network's place is taken: each test runs in each of these ways."""

LONG = frozenset(
    {
        "test_a_list_without_an_end_is_left_and_proves_nothing",
        "test_bytes_that_are_no_whole_picture_are_a_bad_transfer_and_asked_for_again",
    }
)
"""Tests of thousands of requests, or of a picture of 64 MB."""


@dataclass
class Call:
    """One request that came."""

    request: httpx.Request


class Calls(list[Call]):
    """The requests of a route."""

    @property
    def last(self) -> Call:
        """The latest."""
        return self[-1]


@dataclass
class Answering:
    """One route: which requests it takes, and what it answers to them."""

    rules: Mapping[str, Any]
    calls: Calls = field(default_factory=Calls)
    _answer: Callable[[httpx.Request], httpx.Response] = lambda request: httpx.Response(200)

    @property
    def call_count(self) -> int:
        """How many requests came."""
        return len(self.calls)

    def mock(self, return_value: httpx.Response | None = None, side_effect: Any = None) -> Answering:
        """Answer always the same, what a function says, or one thing after the other."""
        if return_value is not None:
            self._answer = lambda request: return_value
        elif callable(side_effect):
            self._answer = side_effect
        else:
            rest: Iterator[httpx.Response] = iter(side_effect)
            self._answer = lambda request: next(rest)
        return self

    def takes(self, request: httpx.Request) -> bool:
        """Whether the request is this route's."""
        return all(_fits(request, name, value) for name, value in self.rules.items())

    def answer(self, request: httpx.Request) -> httpx.Response:
        """Take note of the request and answer it."""
        self.calls.append(Call(request))
        return self._answer(request)


class SocketRouter:
    """Routes in the order in which they were named; a later one for the same request takes the place of an earlier."""

    def __init__(self) -> None:
        self.routes: list[Answering] = []
        self.strangers: list[str] = []

    def get(self, url: str | None = None, **rules: Any) -> Answering:
        """A route for questions."""
        return self.route(url, method="GET", **rules)

    def post(self, url: str | None = None, **rules: Any) -> Answering:
        """A route for submissions."""
        return self.route(url, method="POST", **rules)

    def route(self, url: str | None = None, **rules: Any) -> Answering:
        """A route by method, url, url__regex, url__startswith, host__regex, path and params."""
        wanted = {**rules, **({"url": url} if url is not None else {})}
        known = next((route for route in self.routes if route.rules == wanted), None)
        if known is None:
            known = Answering(wanted)
            self.routes.append(known)
        return known

    def respond(self, request: httpx.Request) -> httpx.Response:
        """The answer of the first route that takes a request."""
        found = next((route for route in self.routes if route.takes(request)), None)
        if found is None:
            self.strangers.append(f"{request.method} {request.url}")
            return httpx.Response(599)
        return found.answer(request)


def _fits(request: httpx.Request, name: str, value: Any) -> bool:
    url = str(request.url)
    if name == "params":
        return value.items() <= dict(request.url.params).items()
    if name == "url" and "?" not in value:
        url = url.partition("?")[0]
    said = {"method": request.method, "host": request.url.host, "path": request.url.path, "url": url}[name.partition("__")[0]]
    if name.endswith("__regex"):
        return re.match(value, str(request.url) if name.startswith("url") else said) is not None
    return str(request.url).startswith(value) if name.endswith("__startswith") else said == value


# ---------------------------------------------------------------- the server


@asynccontextmanager
async def over_sockets() -> AsyncIterator[SocketRouter]:
    """What the routes of this router answer comes over real connections, whatever host was meant."""
    router, origins = SocketRouter(), dict[int, tuple[str, str, int]]()

    async def ends(self: Http1Transport, origin: tuple[str, str, int]) -> tuple[list[str], int]:
        return ["127.0.0.1"], port

    async def connect(self: Connection, host: str, to: int) -> None:
        await connected(self, host, to)
        assert self._transport is not None
        origins[self._transport.get_extra_info("sockname")[1]] = self.origin

    async def encrypt(self: Connection, context: Any, host: str) -> None:
        """The way is on this machine."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                request = await _request(reader, lambda: origins[writer.get_extra_info("peername")[1]])
                writer.write(_bytes(router.respond(request)))
                await writer.drain()
        writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    port, connected = listening.sockets[0].getsockname()[1], Connection.connect
    with mock.patch.multiple(Http1Transport, _ends=ends), mock.patch.multiple(Connection, connect=connect, encrypt=encrypt):
        yield router
    listening.close()
    assert router.strangers == []


async def _request(reader: asyncio.StreamReader, origin: Callable[[], tuple[str, str, int]]) -> httpx.Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, target, _ = head[0].split(" ", 2)
    headers = [(name, value) for name, _, value in (line.partition(": ") for line in head[1:] if line)]
    length = next((int(value) for name, value in headers if name.lower() == "content-length"), 0)
    scheme, host, port = origin()
    at = host if port in (80, 443) else f"{host}:{port}"
    return httpx.Request(method, f"{scheme}://{at}{target}", headers=headers, content=await reader.readexactly(length))


def _bytes(answer: httpx.Response) -> bytes:
    head = [(name, value) for name, value in _headers(answer.headers.raw) if name.lower() != b"content-length"]
    head.append((b"content-length", str(len(answer.content)).encode()))
    lines = [b"HTTP/1.1 %d X" % answer.status_code, *(b"%b: %b" % pair for pair in head)]
    return b"\r\n".join(lines) + b"\r\n\r\n" + answer.content


def _headers(raw: Iterable[tuple[bytes, bytes]]) -> Iterator[tuple[bytes, bytes]]:
    """Without what says how the content was packed: it is given unpacked."""
    return ((name, value) for name, value in raw if name.lower() not in (b"content-encoding", b"transfer-encoding"))
