"""A request goes through a SOCKS proxy, and whatever the proxy says instead has cost nothing."""

from __future__ import annotations

import asyncio
import ssl

import pytest

from qwenbuild.errors import Unavailable
from qwenbuild.ports import Gate
from qwenbuild.transport.guard import AddressGuard
from qwenbuild.transport.http import Wire
from tests.providers.test_connections import answer, certified, server

pytest.importorskip("socksio")

pytestmark = pytest.mark.real_clock
__all__ = ["certified"]
Certified = tuple[ssl.SSLContext, ssl.SSLContext]


class Socks:
    """A SOCKS 5 proxy on loopback that plays the server behind it as well; `reply` is its word about the way there."""

    def __init__(self, context: ssl.SSLContext, *, sign_in: bytes = b"", accepted: bytes = b"\0", reply: bytes = b"\0") -> None:
        self.seen: list[bytes] = []
        self._context, self._sign_in, self._accepted, self._reply = context, sign_in, accepted, reply

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(3)
        writer.write(b"\5\2" if self._sign_in else b"\5\0")
        if self._sign_in:
            assert await reader.readexactly(len(self._sign_in)) == self._sign_in
            writer.write(b"\1" + self._accepted)
        head = await reader.readexactly(5)
        host = await reader.readexactly(head[4] + 2)
        self.seen.append(host[:-2] + b":%d" % int.from_bytes(host[-2:]))
        writer.write(b"\5" + self._reply + b"\0\1" + bytes(6))
        if self.seen[-1].endswith(b":443"):
            await writer.start_tls(self._context)
        self.seen.append((await reader.readuntil(b"\r\n\r\n")).split()[0])
        writer.write(answer(b"{}"))
        await reader.read()


def through(place: str, certified: Certified, monkeypatch: pytest.MonkeyPatch, sign_in: str = "") -> Wire:
    certified[1].check_hostname = False
    monkeypatch.setattr("qwenbuild.transport.routes.ssl_context", lambda: certified[1])
    monkeypatch.setenv("all_proxy", f"socks5://{sign_in}{place}")
    return Wire(AddressGuard(("*",)))


@pytest.mark.parametrize(("scheme", "port"), [("http", b"80"), ("https", b"443")])
async def test_a_request_goes_through_plain_and_encrypted(
    scheme: str, port: bytes, certified: Certified, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = Socks(certified[0])
    async with server(proxy) as place:
        wire = through(place, certified, monkeypatch)
        assert (await wire.post(f"{scheme}://api.example/submit", {}, b"{}", Gate(), read=5)).body == b"{}"
        await wire.aclose()
    assert proxy.seen == [b"api.example:" + port, b"POST"]


async def test_whoever_has_to_sign_in_does(certified: Certified, monkeypatch: pytest.MonkeyPatch) -> None:
    proxy = Socks(certified[0], sign_in=b"\1\4team\3key")
    async with server(proxy) as place:
        wire = through(place, certified, monkeypatch, "team:key@")
        assert (await wire.get("https://api.example/task", {})).body == b"{}"
        await wire.aclose()


REFUSALS = {"the way": {"reply": b"\5"}, "the name": {"sign_in": b"\1\4team\3key", "accepted": b"\1"}}


@pytest.mark.parametrize("refused", REFUSALS)
async def test_a_refusal_was_not_sent(refused: str, certified: Certified, monkeypatch: pytest.MonkeyPatch) -> None:
    proxy, gate = Socks(certified[0], **REFUSALS[refused]), Gate()
    async with server(proxy) as place:
        wire = through(place, certified, monkeypatch, "team:key@" if refused == "the name" else "")
        with pytest.raises(Unavailable):
            await wire.post("https://api.example/submit", {}, b"{}", gate, read=5)
        await wire.aclose()
    assert not gate.written
    assert b"POST" not in proxy.seen
