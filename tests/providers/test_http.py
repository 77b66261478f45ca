"""Connections: every error of the library underneath is mapped, downloads are bounded, nothing leads inside."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import gzip
import time
import tracemalloc
import zlib
from collections.abc import Callable
from typing import Any

import pytest

from qwenbuild.errors import Unavailable
from qwenbuild.ports import Gate
from qwenbuild.transport.decoding import TooLarge
from qwenbuild.transport.guard import AddressGuard, HostRefused, is_public
from qwenbuild.transport.http import Answer, DownloadLimits, LinkDead, Wire
from tests.providers.bench import http, server

LOCAL = AddressGuard((), loopback=True)


async def test_each_submit_has_a_connection_of_its_own() -> None:
    ports = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.readuntil(b"\r\n\r\n"):
            await reader.readexactly(2)
            ports.append((writer.get_extra_info("peername")[1], head))
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

    async def quietly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        except asyncio.IncompleteReadError:
            writer.close()

    listening = await asyncio.start_server(quietly, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/"
    wire = Wire(LOCAL)
    for _ in range(3):
        await wire.post(url, {}, b"{}", Gate(), read=5)
    assert len({port for port, _ in ports}) == 3
    await wire.aclose()
    listening.close()
    await asyncio.sleep(0.01)


async def test_whoever_keeps_the_pace_holds_a_submit_until_it_is_due_and_is_told_when_it_was_written() -> None:
    told: list[tuple[str, int]] = []

    class Watched(Gate):
        async def __call__(self) -> None:
            told.append(("due", len(seen)))
            await asyncio.sleep(0.05)
            told.append(("late", len(seen)))

        def left(self) -> None:
            told.append(("left", len(seen)))

    async with server(lambda _: http(200, b"{}")) as (url, seen):
        wire = Wire(LOCAL)
        await wire.get(f"{url}/task", {})
        assert told == []
        await asyncio.create_task(wire.post(f"{url}/submit", {}, b"{}", Watched(), read=5))
        assert told == [("due", 1), ("late", 1), ("left", 1)]  # nothing is written before it is due; told before it was read
        await wire.aclose()


async def test_fifty_questions_at_once_keep_ten_connections_and_the_next_ones_use_them() -> None:
    ports, listening = await keeping()
    url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    wire = Wire(LOCAL)
    answers = await asyncio.gather(*(wire.get(f"{url}/{number}", {}) for number in range(50)))
    assert [answer.status for answer in answers] == [200] * 50
    first = set(ports)
    assert len(first) == 50
    for number in range(10):
        await wire.get(f"{url}/{number}", {})
    assert set(ports) == first
    await wire.aclose()
    listening.close()
    await asyncio.sleep(0.01)


async def keeping() -> tuple[list[int], asyncio.Server]:
    """A server that keeps its connections, and the ports from which its requests came."""
    ports: list[int] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while await reader.readuntil(b"\r\n\r\n"):
                ports.append(writer.get_extra_info("peername")[1])
                await asyncio.sleep(0.05)
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        writer.close()

    return ports, await asyncio.start_server(serve, "127.0.0.1", 0, backlog=100)


async def test_an_answer_that_is_out_when_all_is_closed_leaves_no_connection_open() -> None:
    """A build that ends by a fault closes while a question is still being answered."""
    _, listening = await keeping()
    url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    wire = Wire(LOCAL)
    asked = asyncio.create_task(wire.get(f"{url}/task", {}))
    await asyncio.sleep(0.02)
    await wire.aclose()
    assert (await asked).status == 200
    listening.close()
    await asyncio.wait_for(listening.wait_closed(), 5)
    await asyncio.sleep(0.01)
    gc.collect()  # an open connection would warn here, which is an error


@pytest.mark.parametrize("body", [b"[1]", b"null", b"{", b'{"a":NaN}', b'{"a":' * 40 + b"1" + b"}" * 40, b"\xff"])
def test_odd_json_is_no_answer(body: bytes) -> None:
    assert Answer(200, {}, body).json() is None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("5", 5.0),
        ("0.5", 0.5),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("Thu, 01 Jan 1970 00:01:00 GMT", 50.0),
        ("9" * 400, float("inf")),
    ],
)
def test_retry_after_is_read_or_left(text: str, seconds: float | None) -> None:
    assert Answer(429, {"retry-after": text}, b"").retry_after(10.0) == seconds


# ---------------------------------------------------------------- where a picture may come from


INSIDE = """
    127.0.0.1 10.0.0.1 169.254.169.254 100.100.100.200 192.168.1.1 0.0.0.0 224.0.0.1 ::1 :: fe80::1%eth0 fc00::1
    ::ffff:127.0.0.1 ::ffff:100.100.100.200 64:ff9b::7f00:1 2002:7f00:1:: ff02::1
"""
ODD = """
    https://2130706433/ https://0x7f.1/ https://127.1/ https://0/ https://[::1]/ https://localhost/ https://user@cdn.example/
    https://cdn.example@127.0.0.1/ http://cdn.example/ ftp://cdn.example/ file:///x https://metadata.google.internal/
    https://printer.local/ https://intranet/ https://cdn.example:port/ //cdn.example/
"""


@pytest.mark.parametrize("address", INSIDE.split())
def test_inside_is_not_public(address: str) -> None:
    assert not is_public(address)
    assert not AddressGuard(("*",)).address_allowed(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "47.88.1.1", "2606:4700::1111", "::ffff:8.8.8.8"])
def test_outside_is_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("url", ODD.split())
def test_odd_addresses_are_refused_by_name(url: str) -> None:
    with pytest.raises(HostRefused):
        AddressGuard(("*",)).check(url)


def test_loopback_is_for_an_api_on_loopback_only() -> None:
    LOCAL.check("http://127.0.0.1:8000/x")
    assert LOCAL.address_allowed("127.0.0.1")
    with pytest.raises(HostRefused):
        LOCAL.check("http://10.0.0.1/x")
    with pytest.raises(HostRefused):
        AddressGuard(("*.aliyuncs.com",)).check("http://127.0.0.1:8000/x")


async def test_a_public_name_that_leads_inside_is_not_connected_to() -> None:
    async def rebound(host: str, port: int) -> list[str]:
        return ["8.8.8.8", "127.0.0.1"]

    wire = Wire(AddressGuard(("*",)), resolve=rebound)
    with pytest.raises(HostRefused, match=r"127\.0\.0\.1"):
        await wire.fetch("https://cdn.example/x.png")
    await wire.aclose()


async def test_a_name_that_leads_nowhere_is_unavailable() -> None:
    async def nowhere(host: str, port: int) -> list[str]:
        raise OSError("no such name")

    wire = Wire(AddressGuard(("*",)), resolve=nowhere)
    with pytest.raises(Unavailable):
        await wire.fetch("https://cdn.example/x.png")
    await wire.aclose()


# ---------------------------------------------------------------- downloads


async def fetched(answer: Any, limits: DownloadLimits | None = None) -> bytes:
    async with server(answer if callable(answer) else lambda _: answer) as (url, _):
        wire = Wire(LOCAL, limits)
        try:
            return await wire.fetch(f"{url}/picture.png?Signature=%2B%3D")
        finally:
            await wire.aclose()


async def test_a_download_asks_for_nothing_but_the_bytes() -> None:
    seen: list[bytes] = []

    def say(request: bytes) -> bytes:
        seen.append(request)
        if len(seen) == 1:
            return http(302, b"", "Location: /picture.png?Signature=%2B%3D\r\nSet-Cookie: a=b")
        return http(200, b"picture")

    assert await fetched(say) == b"picture"
    assert len(seen) == 2
    for head in (each.lower() for each in seen):
        assert head.startswith(b"get /picture.png?signature=%2b%3d http/1.1")
        names = {line.partition(b":")[0] for line in head.split(b"\r\n")[1:] if line}
        assert names <= {b"host", b"accept-encoding", b"user-agent", b"accept", b"connection"}
        assert b"accept-encoding: identity" in head


OSS = b'<?xml version="1.0" encoding="UTF-8"?>\n<Error>\n  <Code>%s</Code><Message>m</Message></Error>'


@pytest.mark.parametrize(
    ("status", "body", "gone"),
    [
        (403, OSS % b"AccessDenied", True),
        (404, OSS % b"NoSuchKey", True),
        (410, b"<Error><Code>NoSuchKey</Code></Error>", True),
        (400, OSS % b"AccessDenied", False),
        (401, OSS % b"AccessDenied", False),
        (407, OSS % b"AccessDenied", False),
        (403, OSS % b"SignatureDoesNotMatch", False),
        (403, b"<html><Error><Code>AccessDenied</Code></Error></html>", False),
        (403, b"<!DOCTYPE html><title>Log in</title>", False),
        (404, b"", False),
        (404, b"not found", False),
        (404, b'{"Code": "NoSuchKey"}', False),
        (403, OSS % b"AccessDenied" + b" " * (1 << 17), False),
        (410, b"\x1f\x8b broken", False),
    ],
)
async def test_only_the_storages_own_words_say_that_a_picture_is_gone(status: int, body: bytes, gone: bool) -> None:
    with pytest.raises(LinkDead) as caught:
        await fetched(http(status, body))
    assert (caught.value.status, caught.value.gone) == (status, gone)


@pytest.mark.parametrize("status", [408, 500, 502, 503, 504, 206])
async def test_a_storage_in_trouble_may_pass(status: int) -> None:
    with pytest.raises(Unavailable):
        await fetched(http(status, b""))


@pytest.mark.parametrize(
    "answer",
    [b"", b"HTTP/1.1 200 OK\r\nCont", http(200, b"half", length=4000), b"garbage\r\n\r\n"],
    ids=["none", "head", "half", "garbage"],
)
async def test_a_download_that_breaks_off_may_pass(answer: bytes) -> None:
    with pytest.raises(Unavailable):
        await fetched(answer)


async def test_more_bytes_than_the_cap_are_not_read() -> None:
    with pytest.raises(TooLarge):
        await fetched(http(200, b"x" * 5000), DownloadLimits(cap=1000))


RAW = zlib.compressobj(9, zlib.DEFLATED, -15)
PACKED = {
    "gzip": (gzip.compress(b"picture"), "gzip"),
    "x-gzip in capitals": (gzip.compress(b"picture"), "X-GZip"),
    "gzip without a word of it": (gzip.compress(b"picture"), ""),
    "gzip in two members": (gzip.compress(b"pic") + gzip.compress(b"ture"), "gzip"),
    "gzip and something behind it": (gzip.compress(b"picture") + bytes(9), "gzip"),
    "deflate": (zlib.compress(b"picture"), "deflate"),
    "deflate without its header": (RAW.compress(b"picture") + RAW.flush(), "deflate"),
    "unpacked by a proxy that left the header": (b"picture", "gzip"),
    "the same of deflate": (b"picture", "deflate"),
    "an encoding that nobody asked for": (b"picture", "br"),
}


@pytest.mark.parametrize("kind", PACKED)
async def test_a_picture_that_comes_compressed_is_unpacked(kind: str) -> None:
    body, encoding = PACKED[kind]
    assert await fetched(http(200, body, *([f"Content-Encoding: {encoding}"] if encoding else []))) == b"picture"


@pytest.mark.parametrize("pack", [gzip.compress, zlib.compress], ids=["gzip", "deflate"])
async def test_a_compressed_bomb_is_unpacked_to_the_cap_and_no_further(pack: Callable[[bytes], bytes]) -> None:
    bomb = pack(bytes(300_000_000))
    tracemalloc.start()
    with pytest.raises(TooLarge):
        await fetched(http(200, bomb, "Content-Encoding: gzip, deflate"), DownloadLimits(cap=1_000_000))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10_000_000


@pytest.mark.parametrize("cut", [12, 25])
async def test_compressed_bytes_that_break_off_may_pass(cut: int) -> None:
    with pytest.raises(Unavailable):
        await fetched(http(200, gzip.compress(b"picture")[:cut], "Content-Encoding: gzip"))


async def test_a_redirect_is_followed_and_each_hop_is_checked() -> None:
    def say(request: bytes) -> bytes:
        return http(200, b"picture") if b"/second" in request else http(302, b"", "Location: /second")

    assert await fetched(say) == b"picture"
    for location in ("http://10.0.0.1/x", "file:///etc/passwd", "https://[::ffff:10.0.0.1]/x"):
        with pytest.raises(HostRefused):
            await fetched(http(302, b"", f"Location: {location}"))


async def test_redirects_in_a_circle_end() -> None:
    seen: list[bytes] = []

    def say(request: bytes) -> bytes:
        seen.append(request)
        return http(302, b"", "Location: /again")

    with pytest.raises(LinkDead):
        await fetched(say)
    assert len(seen) == 4


async def dripping(piece: bytes, every: float) -> tuple[asyncio.Server, str]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        try:
            while True:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(every)
        except (OSError, asyncio.CancelledError):
            writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    return listening, f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/x"


@pytest.mark.parametrize(
    ("limits", "code"),
    [(DownloadLimits(total=0.3, grace=9), "deadline"), (DownloadLimits(total=9, grace=0.1, rate=1e6), "slow")],
)
async def test_a_trickle_of_bytes_ends_in_time(limits: DownloadLimits, code: str) -> None:
    listening, url = await dripping(b"x", 0.02)
    wire, started = Wire(LOCAL, limits), time.monotonic()
    with pytest.raises(Unavailable) as caught:
        await wire.fetch(url)
    assert caught.value.code == code
    assert time.monotonic() - started < 3
    await wire.aclose()
    listening.close()
    await asyncio.sleep(0.05)
