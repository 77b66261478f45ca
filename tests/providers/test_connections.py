"""The transport below the requests: encryption, time limits, broken connections, what is kept and what is not."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import httpx
import pytest

from qwenbuild.errors import Unavailable, Uncertain
from qwenbuild.ports import Gate
from qwenbuild.transport.connection import READ_AHEAD_BYTES
from qwenbuild.transport.guard import AddressGuard
from qwenbuild.transport.http import Wire
from qwenbuild.transport.http1 import Http1Transport

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
PLAIN = ssl.create_default_context()


@asynccontextmanager
async def server(serve: Serve, context: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """A server that treats each connection as `serve` does; its host and port."""
    at_work: set[asyncio.Task[None]] = set()

    async def quietly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            await serve(reader, writer)
        writer.close()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(quietly(reader, writer))
        at_work.add(task)
        task.add_done_callback(at_work.discard)

    listening = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=context)
    try:
        yield f"127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    finally:
        listening.close()
        for task in at_work:
            task.cancel()
        await asyncio.gather(*at_work, return_exceptions=True)


async def said(transport: Http1Transport, url: str, body: bytes | None = None, **seconds: float) -> bytes:
    """The body of an answer, read to its end."""
    patience = {"connect": 5.0, "read": 5.0, "write": 5.0, "pool": 5.0, **seconds}
    request = httpx.Request("GET" if body is None else "POST", url, content=body, extensions={"timeout": patience})
    response = await transport.handle_async_request(request)
    try:
        return await response.aread()
    finally:
        await response.aclose()


def answer(body: bytes, *headers: bytes) -> bytes:
    return b"\r\n".join([b"HTTP/1.1 200 OK", b"Content-Length: %d" % len(body), *headers, b"", body])


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers each request with the port it came from."""
    while await reader.readuntil(b"\r\n\r\n"):
        writer.write(answer(str(writer.get_extra_info("peername")[1]).encode()))


@pytest.fixture
def certified(tmp_path: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's context with a certificate for 127.0.0.1, and a client's that trusts it."""
    x509 = pytest.importorskip("cryptography.x509")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.now(datetime.UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    made = x509.CertificateBuilder(name, name, key.public_key(), 7, now, now + datetime.timedelta(days=1))
    made = made.add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
    made = made.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    pem = made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (tmp_path / "both.pem").write_bytes(private + pem)
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(tmp_path / "both.pem")
    return serving, ssl.create_default_context(cadata=pem.decode())


@pytest.mark.real_clock
async def test_an_encrypted_answer_is_read_whole(certified: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    picture = bytes(range(256)) * 12_000

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readuntil(b"\r\n\r\n"):
            writer.write(answer(picture))
            await writer.drain()

    async with server(serve, certified[0]) as place:
        transport = Http1Transport(certified[1], keep=1)
        assert await said(transport, f"https://{place}/x") == picture
        assert await said(transport, f"https://{place}/y") == picture
        await transport.aclose()


async def test_a_certificate_that_nobody_signed_is_no_connection(certified: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    async with server(echo, certified[0]) as place:
        with pytest.raises(httpx.ConnectError):
            await said(Http1Transport(PLAIN, keep=1), f"https://{place}/x")
        with pytest.raises(Unavailable):
            await Wire(AddressGuard((), loopback=True)).post(f"https://{place}/x", {}, b"{}", Gate(), read=5)


async def test_a_server_that_does_not_speak_encryption_is_no_connection() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with server(serve) as place:
        with pytest.raises(httpx.ConnectError):
            await said(Http1Transport(PLAIN, keep=1), f"https://{place}/x")


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


async def test_each_kind_of_silence_has_its_own_name() -> None:
    async with server(silent) as place:
        with pytest.raises(httpx.ReadTimeout):
            await said(Http1Transport(PLAIN, keep=0), f"http://{place}/x", read=0.05)
        with pytest.raises(httpx.WriteTimeout):
            await said(Http1Transport(PLAIN, keep=0), f"http://{place}/x", b"x" * 50_000_000, write=0.1)
        with pytest.raises(httpx.ConnectTimeout):
            await said(Http1Transport(PLAIN, keep=0), f"https://{place}/x", connect=0.05)


async def test_nobody_there_never_left_and_a_reset_perhaps_arrived() -> None:
    async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.transport.abort()

    async with server(reset) as place:
        with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
            await said(Http1Transport(PLAIN, keep=0), f"http://{place}/x")
        with pytest.raises(Uncertain):
            await Wire(AddressGuard((), loopback=True)).post(f"http://{place}/x", {}, b"{}", Gate(), read=5)
    with pytest.raises(httpx.ConnectError):
        await said(Http1Transport(PLAIN, keep=0), f"http://{place}/x")
    with pytest.raises(httpx.UnsupportedProtocol):
        await said(Http1Transport(PLAIN, keep=0), "ftp://127.0.0.1/x")


async def test_an_idle_connection_that_the_server_closed_is_not_used_again() -> None:
    closing = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer(b"once"))
        await closing.wait()

    async with server(serve) as place:
        transport = Http1Transport(PLAIN, keep=1)
        assert await said(transport, f"http://{place}/x") == b"once"
        closing.set()
        await asyncio.sleep(0.05)
        assert await said(transport, f"http://{place}/x") == b"once"
        await transport.aclose()


async def test_a_connection_goes_to_its_own_place_only() -> None:
    async with server(echo) as one, server(echo) as other:
        transport = Http1Transport(PLAIN, keep=5)
        first = await said(transport, f"http://{one}/x")
        elsewhere = await said(transport, f"http://{other}/x")
        assert await said(transport, f"http://{one}/y") == first
        assert await said(transport, f"http://{other}/y") == elsewhere
        await transport.aclose()


async def test_a_reader_that_is_slow_holds_the_sender_up() -> None:
    sent = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        for _ in range(100):
            writer.write(b"x" * 1_000_000)
            await writer.drain()
            sent += 1_000_000

    async with server(serve) as place:
        transport = Http1Transport(PLAIN, keep=0)
        response = await transport.handle_async_request(httpx.Request("GET", f"http://{place}/x"))
        await asyncio.sleep(0.3)
        assert sent < READ_AHEAD_BYTES + 20_000_000
        assert len(await response.aread()) == 100_000_000
        await response.aclose()


async def test_whoever_gives_up_leaves_no_connection_behind() -> None:
    ended = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
        await reader.read()
        ended.set()

    async with server(serve) as place:
        transport = Http1Transport(PLAIN, keep=5)
        asking = asyncio.ensure_future(said(transport, f"http://{place}/x"))
        await asyncio.sleep(0.05)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        async with asyncio.timeout(2):
            await ended.wait()


async def test_a_proxy_of_the_environment_is_gone_through(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bytes] = []

    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            seen.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(answer(b"{}"))

    async with server(proxy) as place:
        monkeypatch.setenv("http_proxy", f"http://{place}")
        monkeypatch.delenv("no_proxy", raising=False)
        wire = Wire(AddressGuard(("*",)))
        await wire.get("http://api.example/tasks/1", {"Authorization": "Bearer x"})
        await wire.post("http://api.example/submit", {}, b"", Gate(), read=5)
        await wire.aclose()
    assert [head.partition(b" HTTP")[0] for head in seen] == [
        b"GET http://api.example/tasks/1",
        b"POST http://api.example/submit",
    ]
