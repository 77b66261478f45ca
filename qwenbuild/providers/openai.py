"""A self-hosted server of Qwen-Image weights (vLLM-Omni, SGLang): `POST /v1/images/generations`, the picture in the answer
or behind a link of the same server.

Knows no cache, no journal and no pace. Facts are read in vllm-omni 0.30.0 and sglang 0.5.23.
"""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import urljoin, urlsplit

from qwenbuild.errors import (
    AccountStop,
    BadPicture,
    FailedAtProvider,
    Lost,
    NotFetched,
    ProviderError,
    Refused,
    Unavailable,
    Uncertain,
)
from qwenbuild.images import NotWhole
from qwenbuild.model import Action, Order, Picture, Ticket
from qwenbuild.ports import Gate
from qwenbuild.providers.account import AccountReport
from qwenbuild.providers.site import MEDIA, Hosted, Site, answered, checked, compact, is_page, strange
from qwenbuild.transport.clocks import clock_difference_s
from qwenbuild.transport.http import PICTURE_CAP_BYTES, Answer
from qwenbuild.transport.secret import vendor_words, without_keys

ANSWER_CAP_BYTES = PICTURE_CAP_BYTES * 4 // 3 + (4 << 20)
URL_SAFE = str.maketrans("-_", "+/")


class OpenAI(Hosted):
    """One server. It keeps nothing: an answer that is lost is asked for again where it costs nothing, else for a person."""

    def __init__(self, site: Site) -> None:
        super().__init__(site)
        self._v1 = self.base_url if self.base_url.endswith("/v1") else f"{self.base_url}/v1"

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.site.key.reveal()}"} if self.site.key else {}

    def body(self, order: Order) -> bytes:
        """The exact bytes of the request: every value said, because the two servers' defaults differ."""
        action = order.action
        row = self.row(action.model)
        fields: dict[str, Any] = {"model": action.model, "prompt": action.prompt, "negative_prompt": action.negative_prompt}
        fields |= {"n": 1, "size": action.size.replace("*", "x")}
        for name, value in action.extra:
            fields[name] = float(value) if row.extra.get(name, {}).get("type") == "number" else value
        fields |= {"seed": action.seed, "response_format": "b64_json", "output_format": action.output_format}
        return compact(fields)

    async def submit(self, order: Order, body: bytes, gate: Gate) -> Ticket:
        """Send once and wait for the picture itself."""
        headers = {**self._headers(), "Content-Type": "application/json"}
        url = f"{self._v1}/images/generations"
        answer = await self.wire.post(url, headers, body, gate, read=self.settings.timeout, cap=ANSWER_CAP_BYTES)
        record = answered(answer)
        if answer.status >= 300:
            raise self._error(answer, record)
        for item in _items(record):
            revised = item.get("revised_prompt")
            facts = {"actual_prompt": without_keys(revised)} if isinstance(revised, str) else {}
            ticket = Ticket(self.name, self.base_url, str(record.get("id") or "")[:100], facts=facts)
            data, link = _decoded(item), item.get("url")
            if data:
                return replace(ticket, data=data)
            if isinstance(link, str) and link:
                return replace(ticket, url=urljoin(f"{self._v1}/", link))
        message = _error_message(record)
        words = f"the server answered without a picture that can be read{': ' if message else ''}{message}"
        raise Uncertain(words, code="no-picture", data=answer.body)

    async def collect(self, ticket: Ticket, action: Action) -> Picture:
        """Check the picture that the ticket holds, or fetch it. Raises Lost without a whole one: the server keeps none."""
        free = self.price(action) == {}
        facts = Picture(b"", "", 0, 0, ticket.task_id, billed={} if free else None)
        accept = (MEDIA[action.output_format],)
        if ticket.url and not ticket.data:
            return _revised(await self.picture(ticket.url, action, accept=accept, facts=facts), ticket)
        if not ticket.data:
            raise Lost("the server keeps no pictures, and the one it sent was not stored", code="not-kept")
        words = f"what {self.name} sent is not the requested picture"
        try:
            picture = await checked(ticket.data, action, accept, facts)
        except NotWhole as error:
            raise Lost(f"{words}: {error}", code="not-whole", data=ticket.data) from error
        except ValueError as error:
            raise BadPicture(f"{words}: {error}", data=ticket.data, code="bad-picture") from error
        return _revised(picture, ticket)

    async def bytes_of(self, url: str) -> bytes:
        """What a link brings: asked of the server itself where it is the server's own, elsewhere as any other download."""
        parts, server = urlsplit(url), urlsplit(self._v1)
        if (parts.scheme, parts.netloc) != (server.scheme, server.netloc):
            return await super().bytes_of(url)
        try:
            answer = await self.wire.get(url, self._headers(), cap=PICTURE_CAP_BYTES)
        except Unavailable as error:
            raise NotFetched(error.message, url=url) from error
        if answer.status != 200:
            pause = answer.retry_after(self.waits.wall()) if answer.status == 429 else None
            raise NotFetched(f"the link does not work (HTTP {answer.status})", url=url, retry_after=pause)
        return answer.body

    def _error(self, answer: Answer, record: Mapping[str, Any]) -> ProviderError:
        status, message = answer.status, _error_message(record)
        code = str(status)
        if status == 429:
            return self.throttled(answer, message)
        if not message or status in (408, 504) or status < 400:
            return Uncertain(
                f"the server answered HTTP {status}, which does not tell whether the request was accepted", code=code
            )
        if status in (401, 403):
            return AccountStop(f"{self.name} refused the key: {message}", kind="credentials", code=code)
        if status == 404 or _wrong_model(message):
            return AccountStop(f"{self.name}: {message}", kind="model", code=code)
        if status >= 500:
            return FailedAtProvider(message, code=code)
        return Refused(message, code=code)

    async def account_report(self) -> AccountReport:
        """The models that the server names."""
        answer = await self.wire.get(f"{self._v1}/models", self._headers())
        served = _served(answer)
        key = {401: "refused", 403: "refused"}.get(answer.status, "accepted" if self.site.key else "not needed")
        reachable = answer.status < 500 and not is_page(answer)
        report = AccountReport(self.name, self.family, self.base_url, reachable=reachable, key=key if reachable else "")
        message = vendor_words(f"serves {', '.join(served)}" if served else strange(answer))
        ahead = clock_difference_s(answer, self.waits.wall()) if reachable else None
        return replace(report, message=message, clock_difference_s=ahead)

    async def names(self, models: Sequence[str]) -> Mapping[str, bool | None]:
        """Whether the server names each of these models."""
        served = _served(await self.wire.get(f"{self._v1}/models", self._headers()))
        return {model: model in served if served else None for model in models}


def _served(answer: Answer) -> list[str]:
    """The ids of the models that a server names."""
    data = answered(answer).get("data")
    return [str(item.get("id")) for item in (data if isinstance(data, list) else ()) if isinstance(item, dict)]


def _items(record: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The pictures of an answer: a list of objects, or one."""
    data = record.get("data")
    yield from (item for item in (data if isinstance(data, list) else [data]) if isinstance(item, dict))


def _decoded(item: Mapping[str, Any]) -> bytes:
    """The bytes in `b64_json`, or in a `data:` address, in every spelling of base64; b"" where there are none to read.

    A `data:` prefix, line breaks, the alphabet for addresses and missing padding change nothing of what is meant.
    """
    for name in ("b64_json", "url"):
        text = item.get(name)
        if not isinstance(text, str) or (name == "url" and not text.startswith("data:")):
            continue
        head, _, tail = text.partition(",")
        text = "".join((tail if head.strip().startswith("data:") else text).split()).rstrip("=")
        try:
            data = b64decode(text.translate(URL_SAFE) + "=" * (-len(text) % 4), validate=True)
        except (binascii.Error, ValueError):
            continue
        if data:
            return data
    return b""


def _revised(picture: Picture, ticket: Ticket) -> Picture:
    return replace(picture, actual_prompt=str(ticket.facts.get("actual_prompt", "")))


def _error_message(record: Mapping[str, Any]) -> str:
    """The message of `{"detail": ...}` or `{"error": {"message": ...}}`."""
    error = record.get("error")
    message = error.get("message") if isinstance(error, dict) else error
    return vendor_words(message or record.get("detail") or record.get("message") or "")


def _wrong_model(message: str) -> bool:
    low = message.lower()
    return "model" in low and ("does not exist" in low or "not found" in low or "mismatch" in low)
