"""What every provider has: its settings, its address, its key, its rows of the model table, its connections.

Knows no wire format.
"""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

from qwenbuild.catalog import Catalog, Model
from qwenbuild.errors import (
    BadPicture,
    FailedAtProvider,
    NotFetched,
    ProviderError,
    Refused,
    Throttled,
    Unavailable,
    Uncertain,
    Waiting,
)
from qwenbuild.images import NotWhole, check, sniff
from qwenbuild.model import Action, Limits, Order, Picture, Price, ProviderSettings, Ticket
from qwenbuild.pace.clock import Waits
from qwenbuild.resolve import unsaid
from qwenbuild.transport.decoding import TooLarge
from qwenbuild.transport.guard import AddressGuard, HostRefused, is_loopback
from qwenbuild.transport.http import Answer, DownloadLimits, LinkDead, Wire
from qwenbuild.transport.routes import Resolve
from qwenbuild.transport.secret import Secret, vendor_words

YOUNG_PAUSES_S = (1.0, 3.0)
"""Pauses in seconds before a link is asked again within one `collect`: storage may know a new picture a moment late."""
QUICK_CHECK_BYTES = 4 << 20
"""Bytes of a PNG that is checked at once: a millisecond or two."""
CONTENT = ("policy", "moderation", "nsfw", "unsafe", "sensitive")
INPUT = ("invalid", "unsupported", "too long")
MEDIA = {"png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp"}


@dataclass(frozen=True, slots=True)
class Site:
    """Where one provider's account lives. `key` is empty where none is needed; `key_env` names its variable."""

    settings: ProviderSettings
    catalog: Catalog
    base_url: str
    key: Secret = field(default_factory=lambda: Secret(""))
    key_env: str = ""
    hosts: tuple[str, ...] = ()
    waits: Waits = field(default_factory=Waits)
    downloads: DownloadLimits = field(default_factory=DownloadLimits)
    resolve_host: Resolve | None = None

    @property
    def host(self) -> str:
        """The API's host."""
        return urlsplit(self.base_url).hostname or ""

    @property
    def loopback(self) -> bool:
        """Whether the API is on this machine."""
        return is_loopback(self.host)

    def wire(self) -> Wire:
        """Connections to this site."""
        return Wire(AddressGuard(self.hosts, self.loopback), self.downloads, self.resolve_host)


class Hosted:
    """The members that do not depend on the API. Lost answers are settled as the family's row says."""

    recovery: Any

    def __init__(self, site: Site) -> None:
        self.site = site
        self.settings = site.settings
        self.name = site.settings.name
        self.family = site.settings.type
        self.recovery = site.catalog.families[self.family].recovery
        self.base_url = site.base_url
        self.region = ""
        self.waits = site.waits
        self.wire = site.wire()
        self.account = site.key.digest(urlsplit(site.base_url).netloc)

    def row(self, model: str) -> Model:
        """The model's row; an unknown id has the strictest one."""
        row = self.site.catalog.find(self.family, model, allow_unknown=True)
        assert row is not None
        return row

    def limits(self, model: str) -> Limits:
        """The pace: the manifest's, else the table's."""
        row, settings = self.row(model), self.settings
        rps = row.rate(settings.rps, settings.rpm)
        places = settings.concurrency if settings.concurrency is not None else row.in_flight
        return Limits(rps, places, settings.timeout)

    def check(self, action: Action) -> tuple[str, ...]:
        """What this API cannot express of the Action."""
        return unsaid(self.row(action.model), action)

    def price(self, action: Action) -> Price | None:
        """The estimate for one picture."""
        extended, inputs = action.prompt_extend, len(action.inputs)
        return self.row(action.model).price_of(self.settings.region, size=action.size, extended=extended, inputs=inputs)

    async def prepare(self, order: Order) -> Order:
        """Nothing has to be there before a request of this API: reference images travel inside of it."""
        return order

    async def find(self, order: Order, body: bytes, since: float, until: float, claimed: frozenset[str]) -> tuple[Ticket, ...]:
        """Raises Uncertain: this API keeps no list of tasks that could be asked."""
        raise Uncertain(f"{self.name} keeps no list of requests", code="no-list")

    async def clock_difference(self) -> float | None:
        """Seconds by which the server's clock is ahead of ours, None when nobody can tell. Raises what stands in the way."""
        return None

    def throttled(self, answer: Answer, words: str = "", *, code: str = "429", request_id: str = "") -> Throttled:
        """Too many requests: nothing was accepted, whatever else the answer says."""
        pause = answer.retry_after(self.waits.wall())
        words = words or f"{self.name} answered HTTP {answer.status}: too many requests"
        return Throttled(words, retry_after=pause, code=code, request_id=request_id)

    async def close(self) -> None:
        """Close connections."""
        await self.wire.aclose()

    def own(self, ticket: Ticket) -> None:
        """Raises Waiting when the ticket was given at another address, where this key must not be sent."""
        if ticket.base_url != self.base_url:
            message = f"accepted at {urlsplit(ticket.base_url).hostname}, and this build asks {self.site.host}"
            raise Waiting(f"{message}; build with the settings it was sent with to fetch it", code="other-site")

    async def picture(
        self,
        url: str,
        action: Action,
        *,
        accept: Collection[str],
        again: Callable[[], Awaitable[str]] | None = None,
        facts: Picture | None = None,
    ) -> Picture:
        """Fetch and check; `again` asks for a fresh link. What is not a complete picture is a bad transfer, and proves nothing.

        Raises NotFetched after a few tries, and BadPicture for a whole picture of another type or size.
        """
        for pause in YOUNG_PAUSES_S:
            try:
                return await self._checked(url, action, accept, facts)
            except NotFetched as error:
                if error.stuck:
                    raise
            await self.waits.sleep(pause)
            url = await _fresh(again, url)
        return await self._checked(url, action, accept, facts)

    async def _checked(self, url: str, action: Action, accept: Collection[str], facts: Picture | None) -> Picture:
        data = await self.bytes_of(url)
        try:
            return await checked(data, action, accept, facts)
        except NotWhole as error:
            raise NotFetched(f"what the link brings is not a complete picture ({error})", url=url, data=data) from error
        except ValueError as error:
            words = f"what {self.name} sent is not the requested picture: {error}"
            raise BadPicture(words, data=data, code="bad-picture") from error

    async def bytes_of(self, url: str) -> bytes:
        """What a link brings. Raises NotFetched, whatever stands in the way."""
        try:
            return await self.wire.fetch(url)
        except HostRefused as error:
            words = f"the picture is at {error}; QWENBUILD_DOWNLOAD_HOSTS may name more hosts"
            raise NotFetched(words, url=url, stuck=True) from error
        except TooLarge as error:
            cap = self.site.downloads.cap >> 20
            raise NotFetched(f"the link leads to more than {cap} MB, which cannot be the picture", url=url) from error
        except LinkDead as dead:
            raise NotFetched(f"the link does not work (HTTP {dead.status})", url=url, gone=dead.gone) from dead
        except Throttled as error:
            raise NotFetched(error.message, url=url, retry_after=error.retry_after) from error
        except Unavailable as error:
            raise NotFetched(error.message, url=url) from error


async def _fresh(again: Callable[[], Awaitable[str]] | None, url: str) -> str:
    """The link as the provider names it now; the one at hand where it names none, for a picture that was made stays made."""
    try:
        return await again() if again is not None else url
    except ProviderError:
        return url


async def checked(data: bytes, action: Action, accept: Collection[str], facts: Picture | None = None) -> Picture:
    """The bytes as a Picture with `facts` about it. Raises ValueError when their structure, type or size is wrong."""
    size = pixels(action.size)
    quick = (
        len(data) <= QUICK_CHECK_BYTES and sniff(data) == "image/png"
    )  # its checksums take less than the way to a thread and back
    structure = check(data, size, accept) if quick else await asyncio.to_thread(check, data, size, accept)
    base = facts or Picture(b"", "", 0, 0)
    return replace(base, data=data, media_type=structure.media_type, width=structure.width, height=structure.height)


def pixels(size: str) -> tuple[int, int] | None:
    """Width and height of `W*H`, None for a ratio or no size."""
    width, star, height = size.partition("*")
    return (int(width), int(height)) if star else None


def compact(value: Mapping[str, Any]) -> bytes:
    """A request's body: the same bytes for the same value, keys in the order written."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def data_url(data: bytes, media_type: str) -> str:
    """A picture inside an address."""
    return f"data:{media_type};base64,{b64encode(data).decode('ascii')}"


def answered(answer: Answer) -> Mapping[str, Any]:
    """The object of an answer, an empty one when it is something else."""
    return answer.json() or {}


def strange(answer: Answer) -> str:
    """What to say of an answer that is not the API's: its status, and that a page came where one did."""
    words = ": a web page and no answer of the API came, as from a proxy or a network that wants a login"
    return f"HTTP {answer.status}{words if is_page(answer) else ''}"


def is_page(answer: Answer) -> bool:
    """Whether an answer is a page for people."""
    return "html" in answer.headers.get("content-type", "").lower() or answer.body.lstrip()[:1] == b"<"


def failure(message: str, request_id: str = "") -> ProviderError:
    """The error of a task that failed, from free text: refused for its content or its input, else the provider's own."""
    words = vendor_words(message) or "the provider gives no reason"
    low = message.lower()
    if any(word in low for word in CONTENT):
        return Refused(words, code="content", request_id=request_id)
    if any(word in low for word in INPUT):
        return Refused(words, code="input", request_id=request_id)
    return FailedAtProvider(words, code="failed", request_id=request_id)
