"""Send requests and fetch pictures: a fresh connection for each submit, idle ones for polls, routes without credentials
for downloads. The one place where the errors of httpx become ours. Whether a request left is told by its gate.

Knows no vendor: what an answer means is for the provider to say.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urljoin, urlsplit

from qwenbuild.errors import AccountStop, ProviderError, Throttled, Unavailable, Uncertain
from qwenbuild.ports import Gate
from qwenbuild.transport.decoding import ERROR_CAP_BYTES, GZIP_MAGIC, NotUnpacked, TooLarge, says_gone, unpacked
from qwenbuild.transport.guard import AddressGuard
from qwenbuild.transport.library import httpx
from qwenbuild.transport.routes import CONNECTIONS, Resolve, Route, guarded, resolve_host
from qwenbuild.transport.secret import vendor_words

ANSWER_CAP_BYTES = 1 << 20
"""Bytes of a JSON answer; more is not read."""
TRICKLE_S = 90.0
"""Seconds for an answer that comes drop by drop: a timeout alone begins anew with each of them."""
DEPTH_CAP = 32
PICTURE_CAP_BYTES = 64 << 20
"""Bytes of a picture, unpacked; more is not read."""
MAX_REDIRECTS = 3


class LinkDead(Exception):
    """The link gives nothing out now. `gone`: the storage itself says so, in its own words, and no proxy's page does."""

    def __init__(self, status: int, *, gone: bool = False) -> None:
        super().__init__(f"HTTP {status}")
        self.status = status
        self.gone = gone


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


def fate(error: Exception, gate: Gate) -> ProviderError:
    """Our error for one that ended a request which spends. Only what was written of it can have arrived: before its first
    byte it is Unavailable, or a stop where no network failed and trying again cannot help; after that it is Uncertain.
    """
    name = type(error).__name__
    if gate.written:
        return Uncertain(f"the request was sent, and no complete answer came back ({name})", code=name)
    if isinstance(error, (httpx.TransportError, OSError)):  # a TimeoutError is an OSError
        return Unavailable(f"the request was not sent ({name})", code=name)
    words = vendor_words(f"{name}: {error}", 200)
    return AccountStop(f"requests cannot be sent from here, and nothing was sent ({words})", kind="setup", code=name)


@dataclass(frozen=True, slots=True)
class DownloadLimits:
    """Seconds and bytes: `total` for one download, `rate` bytes a second on average once `grace` seconds are over."""

    total: float = 300.0
    grace: float = 20.0
    rate: float = 1024.0
    cap: int = PICTURE_CAP_BYTES
    read: float = 30.0


class Wire:
    """The connections of one provider. Times are seconds, sizes bytes."""

    def __init__(self, guard: AddressGuard, limits: DownloadLimits | None = None, resolve: Resolve | None = None) -> None:
        self.guard = guard
        self.limits = limits or DownloadLimits()
        env = not guard.loopback
        self._submits = Route(httpx.Timeout(30.0, connect=10.0, write=60.0), keep=0, env=env)
        self._polls = Route(httpx.Timeout(30.0, connect=10.0), keep=CONNECTIONS, env=env)
        addresses = guarded(guard, resolve or resolve_host)
        patience = httpx.Timeout(self.limits.read, connect=10.0)
        self._downloads = Route(patience, keep=CONNECTIONS, addresses=addresses, env=env)

    async def post(
        self, url: str, headers: Mapping[str, str], body: bytes, gate: Gate, *, read: float, cap: int = ANSWER_CAP_BYTES
    ) -> Answer:
        """Send once over a connection of its own, through the gate. Raises Unavailable or AccountStop when no byte of it was
        written, else Uncertain.
        """
        try:
            patience = httpx.Timeout(read, connect=10.0, write=60.0)
            async with (
                asyncio.timeout(read + TRICKLE_S),
                self._submits.stream("POST", url, headers, body, patience, gate) as response,
            ):
                gate.written = True  # whatever carried it: what is answered has arrived
                return await _answer(response, cap)
        except TooLarge as error:
            raise Uncertain(f"the answer is longer than {cap} bytes", code="TooLarge") from error
        except Exception as error:
            raise fate(error, gate) from error

    async def get(self, url: str, headers: Mapping[str, str], *, cap: int = ANSWER_CAP_BYTES) -> Answer:
        """Ask something that costs nothing. Raises Unavailable for whatever stands in the way."""
        try:
            async with asyncio.timeout(TRICKLE_S), self._polls.stream("GET", url, headers) as response:
                return await _answer(response, cap)
        except Exception as error:
            raise Unavailable(
                f"no answer from {urlsplit(url).hostname} ({type(error).__name__})", code=type(error).__name__
            ) from error

    async def fetch(self, url: str) -> bytes:
        """A picture's bytes, unpacked where they came compressed. Nothing is proven by an error of it.

        Raises LinkDead, HostRefused, TooLarge; for what may pass Unavailable or Throttled.
        """
        try:
            async with asyncio.timeout(self.limits.total):
                return await self._follow(url)
        except TimeoutError as error:
            raise Unavailable(f"a download took more than {self.limits.total:.0f} s", code="deadline") from error
        except NotUnpacked as error:
            raise Unavailable(f"the download cannot be decompressed ({error})", code="not-unpacked") from error
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError) as error:
            name = type(error).__name__
            raise Unavailable(f"the download from {urlsplit(url).hostname} broke off ({name})", code=name) from error

    async def _follow(self, url: str) -> bytes:
        for _ in range(MAX_REDIRECTS + 1):
            self.guard.check(url)
            status, headers, data = await self._download(url)
            if status in (301, 302, 303, 307, 308) and headers.get("location"):
                url = urljoin(url, headers["location"])
                continue
            if status == 200:
                return data
            if status == 429:
                pause = Answer(status, headers, b"").retry_after(time.time())
                raise Throttled("the storage answered HTTP 429: too many downloads", retry_after=pause, code="429")
            if status >= 500 or status < 400 or status == 408:
                raise Unavailable(f"the storage answered HTTP {status}", code=str(status))
            raise LinkDead(status, gone=says_gone(status, data))
        raise LinkDead(310)

    async def _download(self, url: str) -> tuple[int, Mapping[str, str], bytes]:
        async with self._downloads.stream("GET", url, {}) as response:
            status, headers = response.status_code, response.headers
            if 300 <= status < 400:
                return status, headers, b""
            if status == 200:
                return status, headers, await self._body(response, self.limits.cap)
            with contextlib.suppress(TooLarge, NotUnpacked):
                return status, headers, await self._body(response, ERROR_CAP_BYTES)
            return status, headers, b""

    async def _body(self, response: httpx.Response, cap: int) -> bytes:
        data, encoding = await self._read(response, cap), response.headers.get("content-encoding", "")
        packed = bool(encoding) or data.startswith(GZIP_MAGIC)
        return await asyncio.to_thread(unpacked, data, encoding, cap) if packed else data

    async def _read(self, response: httpx.Response, cap: int) -> bytes:
        pieces, size, started = [], 0, time.monotonic()
        async for piece in response.stream:  # type: ignore[union-attr]
            pieces.append(piece)
            size += len(piece)
            if size > cap:
                raise TooLarge
            spent = time.monotonic() - started
            if spent > self.limits.grace and size < self.limits.rate * spent:
                raise Unavailable(f"a download was slower than {self.limits.rate:.0f} bytes a second", code="slow")
        return b"".join(pieces)

    async def aclose(self) -> None:
        """Close every connection."""
        for route in (self._submits, self._polls, self._downloads):
            await route.aclose()


async def _answer(response: httpx.Response, cap: int) -> Answer:
    data = bytearray()
    plain = "content-encoding" not in response.headers
    async for piece in response.stream if plain else response.aiter_bytes():  # type: ignore[union-attr]
        data += piece
        if len(data) > cap:
            raise TooLarge
    return Answer(response.status_code, dict(response.headers), bytes(data))
