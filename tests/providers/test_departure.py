"""What was paid hangs on one fact: whether a byte of the request was written. No list of errors takes part in it."""

from __future__ import annotations

import asyncio
import sqlite3
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext
from typing import Any
from unittest import mock

import h11
import httpcore
import httpx
import pytest

from qwenbuild.emulator import Served
from qwenbuild.errors import AccountStop, ProviderError, Unavailable, Uncertain
from qwenbuild.ports import Gate
from qwenbuild.transport.connection import Connection
from qwenbuild.transport.guard import AddressGuard
from qwenbuild.transport.http import Wire
from tests.campaign.part_http import hurried
from tests.providers.test_connections import certified, server
from tests.walking import Project


def errors_of(*libraries: Any) -> list[Exception]:
    """All but httpcore's own word, between its layers, for "take another connection"."""
    kinds = [kind for library in libraries for kind in vars(library).values() if isinstance(kind, type)]
    kinds = [kind for kind in kinds if issubclass(kind, Exception)]
    return [kind.__new__(kind) for kind in dict.fromkeys(kinds) if kind is not httpcore.ConnectionNotAvailable]


ERRORS = [
    *errors_of(httpx, httpcore, h11),
    *(ImportError("socksio"), TypeError("?"), KeyError("?"), ValueError("?"), RuntimeError("?"), MemoryError(), EOFError()),
    *(OSError(5, "?"), ConnectionResetError(), BrokenPipeError(), TimeoutError(), asyncio.IncompleteReadError(b"", 1)),
    *(ssl.SSLError(1, "?"), ssl.SSLCertVerificationError(1, "?"), UnicodeError("?"), AssertionError(), StopAsyncIteration()),
]
LOOP = "asyncio.base_events.BaseEventLoop"
LOCAL = AddressGuard((), loopback=True)
Certified = tuple[ssl.SSLContext, ssl.SSLContext]
__all__ = ["certified"]


def raising(error: Exception) -> Callable[..., Any]:
    async def fail(*_: Any, **__: Any) -> Any:
        raise error

    return fail


@contextmanager
def broken(method: str, error: Exception, whole: int = 0, after: int | None = None) -> Iterator[None]:
    """Reads or writes of connections that raise from the one after `whole` on, a write once `after` bytes of it are out."""
    real, count = getattr(Connection, method), 0

    async def call(self: Connection, *args: Any, **kwargs: Any) -> Any:
        nonlocal count
        count += 1
        if count <= whole:
            return await real(self, *args, **kwargs)
        if after is not None:
            await real(self, args[0][:after], **kwargs)
        raise error

    with mock.patch.object(Connection, method, call):
        yield


class NeverDue(Gate):
    """A gate that raises when the request could leave."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    async def __call__(self) -> None:
        raise self.error


@contextmanager
def not_due(error: Exception) -> Iterator[Gate]:
    yield NeverDue(error)


BEFORE: dict[str, Callable[[Exception], Any]] = {
    "resolve": lambda error: mock.patch(f"{LOOP}.getaddrinfo", raising(error)),
    "connect": lambda error: mock.patch(f"{LOOP}.create_connection", raising(error)),
    "the library's own code": lambda error: mock.patch("h11.Connection.send", side_effect=error),
    "when it is due": not_due,
}
AFTER: dict[str, Callable[[Exception], Any]] = {
    "a byte": lambda error: broken("write", error, after=1),
    "17 bytes": lambda error: broken("write", error, after=17),
    "the head": lambda error: broken("write", error, whole=1, after=0),
    "half the body": lambda error: broken("write", error, whole=1, after=1),
    "all of it": lambda error: broken("read", error),
    "half the answer": lambda error: broken("read", error, whole=1),
}


async def fate(url: str, fault: Any, wire: Wire) -> ProviderError:
    with fault as given:
        gate = given if isinstance(given, Gate) else Gate()
        with pytest.raises(ProviderError) as caught:
            await wire.post(url, {}, b'{"prompt": "a lamp"}', gate, read=1)
    await wire.aclose()
    return caught.value


def kind(error: Exception) -> str:
    return f"{type(error).__module__}.{type(error).__name__}"


@pytest.mark.parametrize("point", BEFORE)
async def test_nothing_was_paid_whatever_is_raised_before_the_first_byte(point: str) -> None:
    async with server(answering) as place:
        url = f"http://{place.replace('127.0.0.1', 'localhost')}/"
        fates = {kind(error): await fate(url, BEFORE[point](error), Wire(LOCAL)) for error in ERRORS}
    assert [error for error, told in fates.items() if not isinstance(told, Unavailable | AccountStop)] == []


@pytest.mark.parametrize("point", AFTER)
async def test_it_was_perhaps_paid_whatever_is_raised_after_the_first_byte(point: str) -> None:
    async with server(half_an_answer) as place:
        fates = {kind(error): await fate(f"http://{place}/", AFTER[point](error), Wire(LOCAL)) for error in ERRORS}
    assert [error for error, told in fates.items() if type(told) is not Uncertain] == []


async def half_an_answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
    await reader.read()


async def answering(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")


# ---------------------------------------------------------------- through a proxy


class Proxy:
    """A proxy on loopback that plays the server behind it as well. `words` are what it was asked for; `refuse`: it lets
    nobody through. `after`: what it says behind its word that the way is open.
    """

    def __init__(self, context: ssl.SSLContext, *, refuse: bool = False, after: bytes = b"") -> None:
        self.words: list[bytes] = []
        self._context, self._refuse, self._after = context, refuse, after

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.words.append((await reader.readuntil(b"\r\n\r\n")).split()[0])
        if self._refuse:
            writer.write(b"HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n")
            return
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n" + self._after)
        await writer.start_tls(self._context)
        self.words.append((await reader.readuntil(b"\r\n\r\n")).split()[0])
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        await reader.read()


THROUGH: dict[str, Callable[[Exception], Any]] = {
    "connect": BEFORE["connect"],
    "CONNECT is written": lambda error: broken("write", error, after=9),
    "CONNECT is answered": lambda error: broken("read", error),
    "encryption": lambda error: mock.patch(f"{LOOP}.start_tls", raising(error)),
    "when it is due": not_due,
}


@pytest.mark.parametrize("point", THROUGH)
async def test_nothing_was_paid_whatever_is_raised_while_a_proxy_is_asked_for_the_way(
    point: str, certified: Certified, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = Proxy(certified[0])
    async with server(proxy) as place:
        for error in ERRORS:
            told = await fate("https://api.example/", THROUGH[point](error), proxied(place, certified, monkeypatch))
            assert isinstance(told, Unavailable | AccountStop), kind(error)
    assert b"POST" not in proxy.words


@pytest.mark.real_clock
@pytest.mark.parametrize("error", [OSError(5, "?"), KeyError("?"), ImportError("?"), httpcore.ReadError()], ids=kind)
async def test_it_was_perhaps_paid_what_is_raised_after_a_proxy_gave_the_way(
    error: Exception, certified: Certified, monkeypatch: pytest.MonkeyPatch
) -> None:
    for fault in (broken("write", error, whole=3, after=1), broken("read", error, whole=1)):
        async with server(Proxy(certified[0])) as place:
            told = await fate("https://api.example/", fault, proxied(place, certified, monkeypatch))
        assert type(told) is Uncertain


async def test_a_proxy_that_lets_nobody_through_was_not_sent_the_request(
    certified: Certified, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = Proxy(certified[0], refuse=True)
    async with server(proxy) as place:
        told = await fate("https://api.example/", nullcontext(), proxied(place, certified, monkeypatch))
    assert type(told) is Unavailable
    assert proxy.words == [b"CONNECT"]


@pytest.mark.real_clock
async def test_a_request_goes_through_a_proxy_encrypted_and_is_answered(
    certified: Certified, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = Proxy(certified[0])
    async with server(proxy) as place:
        wire = proxied(place, certified, monkeypatch)
        gate = Watched(proxy)
        assert (await wire.post("https://api.example/", {}, b"", gate, read=5)).body == b"{}"
        assert (await wire.get("https://api.example/", {})).body == b"{}"
        await wire.aclose()
    assert proxy.words == [b"CONNECT", b"POST", b"CONNECT", b"GET"]
    assert gate.told == [("due", [b"CONNECT"]), ("left", [b"CONNECT"])]


@pytest.mark.real_clock
async def test_what_a_proxy_says_before_the_encryption_is_not_the_answer(
    certified: Certified, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = Proxy(certified[0], after=b'HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n{"a": 1}')
    async with server(proxy) as place:
        wire = proxied(place, certified, monkeypatch)
        assert (await wire.post("https://api.example/", {}, b"", Gate(), read=5)).body == b"{}"
        await wire.aclose()


class Watched(Gate):
    """A gate that notes what the proxy had been asked for when the request could leave, and when it had left."""

    def __init__(self, proxy: Proxy) -> None:
        super().__init__()
        self.proxy, self.told = proxy, []  # type: tuple[Proxy, list[tuple[str, list[bytes]]]]

    async def __call__(self) -> None:
        await asyncio.sleep(0.05)
        self.told.append(("due", list(self.proxy.words)))

    def left(self) -> None:
        self.told.append(("left", list(self.proxy.words)))


def proxied(place: str, certified: Certified, monkeypatch: pytest.MonkeyPatch) -> Wire:
    certified[1].check_hostname = False
    monkeypatch.setattr("qwenbuild.transport.routes.ssl_context", lambda: certified[1])
    monkeypatch.setenv("https_proxy", f"http://{place}")
    return Wire(AddressGuard(("*",)))


# ---------------------------------------------------------------- a whole build

PLAIN = (ImportError("?"), KeyError("?"), OSError(5, "?"), httpx.ReadTimeout("?"), ssl.SSLError(1, "?"))
LAMP = """\
version: 1
provider: dashscope
providers: {dashscope: {region: singapore, mode: sync, timeout: 1, limits: {rps: 200, concurrency: 8}}}
assets:
  lamp: {prompt: a lamp, model: qwen-image-plus}
"""


@pytest.mark.parametrize("point", ["connect", "the library's own code"])
@pytest.mark.parametrize("error", PLAIN, ids=kind)
def test_a_build_that_could_not_send_leaves_no_doubt_and_the_next_one_pays_once(
    walked: Project, emulated: Served, point: str, error: Exception
) -> None:
    walked.manifest(LAMP)
    with hurried(), BEFORE[point](error):
        assert walked.build().exit_code == 1
    assert states(walked) == ["failed"]
    assert emulated.prompts() == []
    assert walked.build().exit_code == 0
    assert emulated.prompts() == ["a lamp"]


@pytest.mark.parametrize("point", ["the head", "all of it"])
@pytest.mark.parametrize("error", PLAIN, ids=kind)
def test_a_build_that_began_to_send_leaves_a_doubt_and_no_build_sends_it_again(
    walked: Project, emulated: Served, point: str, error: Exception
) -> None:
    walked.manifest(LAMP)
    with hurried(), AFTER[point](error):
        assert walked.build().exit_code == 6
    assert states(walked) == ["doubt"]
    while not emulated.requests():  # it may arrive when the build has ended
        time.sleep(0.01)
    assert walked.build().exit_code == 6
    assert len(emulated.requests()) == 1


def test_what_no_network_raised_is_a_fault_of_the_set_up_and_is_not_tried_for_ever(walked: Project, emulated: Served) -> None:
    walked.manifest(LAMP)
    tries = []

    async def fail(*_: Any, **__: Any) -> Any:
        tries.append(1)
        raise ImportError("Using SOCKS proxy, but the 'socksio' package is not installed.")

    with hurried(), mock.patch("qwenbuild.transport.http1.Http1Transport.handle_async_request", fail):
        summary = walked.build()
    assert len(tries) == 1
    assert "nothing was sent" in summary.failures[0][2]
    assert "socksio" in summary.failures[0][2]


def states(project: Project) -> list[str]:
    with closing(sqlite3.connect(project.cache_dir / "journal.db")) as journal:
        return [row[0] for row in journal.execute("SELECT state FROM attempts")]
