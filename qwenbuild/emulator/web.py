"""Carries replies and scripts to the connection: the one place that knows starlette and uvicorn's transport.

Knows nothing of APIs; it reads a request, asks the core, waits for the moment of the answer, and writes it.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections.abc import Coroutine
from typing import Protocol, cast

from starlette.applications import Starlette
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from qwenbuild.emulator.clock import Clock
from qwenbuild.emulator.wire import Close, Hang, Pause, Reply, Request, Reset, Script, Until, Write

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
RST = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)
"""SO_LINGER on, 0 seconds: closing sends RST."""


class Answers(Protocol):
    """The core, as this module sees it."""

    clock: Clock

    def respond(self, request: Request) -> Reply | Script:
        """The answer, or what the connection shall do instead."""
        ...

    def door(self, port: int) -> str:
        """Which socket a port is: `api` or `storage`."""
        ...


class Handler:
    """The ASGI application behind both sockets."""

    def __init__(self, core: Answers) -> None:
        self._core = core

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = await _read(scope, receive, self._core)
        answer = self._core.respond(request)
        if isinstance(answer, tuple):
            await _play(answer, receive, _transport(scope), self._core.clock)
            return
        if answer.ready <= self._core.clock.now() or await self._ripe(answer.ready, receive):
            await _reply(answer, send)

    async def _ripe(self, moment: float, receive: Receive) -> bool:
        """Wait for the moment; false when the client left before."""
        disconnect = asyncio.ensure_future(_gone(receive))
        try:
            return await _either(self._core.clock.until(moment), disconnect)
        finally:
            disconnect.cancel()


class _App(Starlette):
    """Hands uvicorn's connection on: its `send` is a method of the request cycle that holds it."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Note the connection before starlette wraps `send`."""
        scope["qwenbuild.transport"] = getattr(getattr(send, "__self__", None), "transport", None)
        await super().__call__(scope, receive, send)


def application(core: Answers) -> Starlette:
    """A starlette application that answers every path."""
    return _App(routes=[Route("/{path:path}", Handler(core), methods=METHODS)])


async def _read(scope: Scope, receive: Receive, core: Answers) -> Request:
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body", False):
            break
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
    port = (scope.get("server") or ("", 0))[1] or 0
    door = "storage" if core.door(port) == "storage" else "api"
    return Request(scope["method"], scope["path"], scope["query_string"].decode("latin-1"), headers, body, door)  # type: ignore[arg-type]


async def _reply(reply: Reply, send: Send) -> None:
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in reply.headers]
    headers.append((b"content-length", str(len(reply.body)).encode()))
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body})


async def _play(script: Script, receive: Receive, transport: asyncio.Transport, clock: Clock) -> None:
    """Do to the connection what the script says; always ends with the connection gone."""
    disconnect = asyncio.ensure_future(_gone(receive))
    try:
        for step in script:
            if disconnect.done():
                break
            await _step(step, transport, disconnect, clock)
        if not transport.is_closing():
            transport.close()
        await disconnect
    finally:
        disconnect.cancel()


def _transport(scope: Scope) -> asyncio.Transport:
    transport = scope["qwenbuild.transport"]
    if transport is None:
        raise RuntimeError("faults on the wire need uvicorn's h11 server underneath")
    return cast(asyncio.Transport, transport)


async def _either(awaited: Coroutine[None, None, None], disconnect: asyncio.Future[None]) -> bool:
    """Whether what is awaited came before the client left."""
    ripe = asyncio.ensure_future(awaited)
    try:
        await asyncio.wait({ripe, disconnect}, return_when=asyncio.FIRST_COMPLETED)
        return ripe.done()
    finally:
        ripe.cancel()


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        continue


async def _step(step: object, transport: asyncio.Transport, disconnect: asyncio.Future[None], clock: Clock) -> None:
    match step:
        case Write(data, piece, every):
            await _write(transport, data, piece, every, disconnect)
        case Until(moment):
            await _either(clock.until(moment), disconnect)
        case Pause(seconds) | Hang(seconds):
            await asyncio.wait({disconnect}, timeout=seconds)
        case Reset():
            raw = transport.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RST)
            transport.abort()
        case Close():
            transport.close()


async def _write(transport: asyncio.Transport, data: bytes, piece: int, every: float, disconnect: asyncio.Future[None]) -> None:
    view = memoryview(data)
    size = piece or len(data) or 1
    for start in range(0, len(data), size):
        if disconnect.done() or transport.is_closing():
            return
        transport.write(bytes(view[start : start + size]))
        await asyncio.wait({disconnect}, timeout=max(every, 0.0)) if every else await _drained(transport, disconnect)


async def _drained(transport: asyncio.Transport, disconnect: asyncio.Future[None]) -> None:
    while transport.get_write_buffer_size() > 1 << 20 and not disconnect.done():
        await asyncio.wait({disconnect}, timeout=0.002)
