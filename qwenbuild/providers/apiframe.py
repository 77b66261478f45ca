"""Apiframe v2: jobs with an idempotency key, in the spelling of its page (`docs`) or of its OpenAPI document (`openapi`).

Knows no cache, no journal and no pace. Facts are Apiframe's Qwen Image 2 page; those of `openapi` are its Node SDK's copy.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any
from urllib.parse import quote

from qwenbuild.errors import AccountStop, FailedAtProvider, Lost, NotFetched, ProviderError, Refused, Unavailable, Uncertain
from qwenbuild.model import Action, Order, Picture, Ticket
from qwenbuild.pace.polling import Cadence, Looks, until_done
from qwenbuild.ports import Gate
from qwenbuild.providers.account import AccountReport
from qwenbuild.providers.site import MEDIA, Hosted, Site, answered, compact, failure, strange
from qwenbuild.transport.clocks import clock_difference_s
from qwenbuild.transport.http import Answer
from qwenbuild.transport.secret import vendor_words

CADENCE = ((0.0, 2.0), (2.0, 3.0), (5.0, 4.5), (9.0, 5.0))
"""Two seconds, half as much again each time, five at most."""
SUBMIT_READ_S = 120.0
LINK_LIVES_S = 1800.0
"""Seconds for which an upload's address is used again; Apiframe keeps uploads for one to two hours (its OpenAPI document)."""
IMAGE_SIZES = {
    "1:1": "square_hd",
    "3:4": "portrait_4_3",
    "9:16": "portrait_16_9",
    "4:3": "landscape_4_3",
    "16:9": "landscape_16_9",
}
ENDED = frozenset({"FAILED", "CANCELLED"})
"""States of a job that ended without a picture."""
SPELLED = ("qwenparams", "qwenimage2params", "qwenimageparams", "webhook_url", "webhookurl")
"""Names that differ between the two dialects."""


class Apiframe(Hosted):
    """One key. A lost answer is sent again under the same idempotency key, which gives the job that exists."""

    def __init__(self, site: Site) -> None:
        super().__init__(site)
        self._cadence = Cadence(CADENCE, loopback=site.loopback)
        self._links: dict[str, tuple[str, float]] = {}
        self._uploading = asyncio.Lock()

    def _headers(self) -> dict[str, str]:
        return {"X-API-Key": self.site.key.reveal()}

    def body(self, order: Order) -> bytes:
        """The exact bytes of the request."""
        action = order.action
        name = self._params_name(action.model)
        params = _old_params(order) if name == "qwenImageParams" else _params(order)
        return compact({"model": action.model, "prompt": action.prompt, name: params, **self._webhook()})

    def _params_name(self, model: str) -> str:
        if self.settings.dialect != "openapi":
            return "qwenParams"
        return "qwenImageParams" if model == "qwen-image" else "qwenImage2Params"

    def _webhook(self) -> dict[str, Any]:
        if not self.settings.webhook:
            return {}
        if self.settings.dialect != "openapi":
            return {"webhook_url": self.settings.webhook}
        return {"webhookUrl": self.settings.webhook, "webhookEvents": ["completed", "failed"]}

    async def prepare(self, order: Order) -> Order:
        """Upload the reference images: this API is told addresses. The same bytes are uploaded once in a while."""
        return replace(order, links=tuple([await self._link(data, media_type) for data, media_type in order.inputs]))

    async def _link(self, data: bytes, media_type: str) -> str:
        digest = hashlib.sha256(data).hexdigest()
        async with self._uploading:
            link = self._links.get(digest)
            if link is None or self.waits.steady() - link[1] > LINK_LIVES_S:
                link = self._links[digest] = (await self._uploaded(data, media_type, digest), self.waits.steady())
            return link[0]

    async def _uploaded(self, data: bytes, media_type: str, digest: str) -> str:
        boundary, name = f"qwenbuild-{digest[:32]}", f"{digest[:16]}.{media_type.rpartition('/')[2]}"
        head = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
            f"Content-Type: {media_type}\r\n\r\n"
        )
        headers = {**self._headers(), "Content-Type": f"multipart/form-data; boundary={boundary}"}
        body = head.encode() + data + f"\r\n--{boundary}--\r\n".encode()
        try:
            answer = await self.wire.post(f"{self.base_url}/v2/uploads", headers, body, Gate(), read=SUBMIT_READ_S)
        except Uncertain as error:
            raise Unavailable(f"the upload got no answer ({error.message})", code=error.code) from error
        record, request = answered(answer), answer.headers.get("x-request-id", "")
        if answer.status >= 300:
            problem = self._error(answer, record, request)
            raise Unavailable(problem.message, code=problem.code) if isinstance(problem, Uncertain) else problem
        if not isinstance(record.get("url"), str):
            raise Unavailable("the upload was answered without an address", request_id=request)
        return str(record["url"])

    async def submit(self, order: Order, body: bytes, gate: Gate) -> Ticket:
        """Send once; the same order and generation, sent again, gives the same job for 24 hours."""
        key = f"qwenbuild-{order.key[:48]}-{order.generation}"
        headers = {**self._headers(), "Content-Type": "application/json", "Idempotency-Key": key}
        read = min(SUBMIT_READ_S, self.settings.timeout)
        answer = await self.wire.post(f"{self.base_url}/v2/images/generate", headers, body, gate, read=read)
        record, request = answered(answer), answer.headers.get("x-request-id", "")
        if answer.status >= 300:
            raise self._error(answer, record, request)
        job = record.get("jobId")
        if not isinstance(job, str) or not 0 < len(job) <= 200:
            raise Uncertain("Apiframe accepted the request but named no job", request_id=request)
        return Ticket(self.name, self.base_url, job, request_id=request, facts={"accepted": self.waits.wall()})

    async def collect(self, ticket: Ticket, action: Action) -> Picture:
        """Poll the job to its end and fetch its picture."""
        self.own(ticket)
        age = max(0.0, self.waits.wall() - float(ticket.facts.get("accepted", 0.0)))

        looks = Looks()

        async def ask() -> Mapping[str, Any] | None:
            return await self._job(ticket.task_id, looks)

        job = await until_done(ask, self._cadence, self.waits, patience=self.settings.timeout, age=age)
        urls = _urls(job)

        async def again() -> str:
            return _urls(await self._job(ticket.task_id, Looks(blank=0)) or {})[0]

        facts = Picture(b"", "", 0, 0, ticket.task_id, ticket.request_id, billed=_credits(job))
        return await self.picture(urls[0], action, accept=tuple(MEDIA.values()), again=again, facts=facts)

    async def _job(self, job: str, looks: Looks) -> Mapping[str, Any] | None:
        answer = await self.wire.get(f"{self.base_url}/v2/jobs/{quote(job, safe='')}", self._headers())
        record, request = answered(answer), answer.headers.get("x-request-id", "")
        if answer.status == 404 and _error_message(record):
            raise Lost("Apiframe does not know the job any more; it may have been charged", code="404", request_id=request)
        if answer.status in (401, 403) and _error_message(record):
            raise self._error(answer, record, request)
        if answer.status == 429:
            raise self.throttled(answer, request_id=request)
        job_id = record.get("id", record.get("jobId"))
        ended = _status(record) in ENDED or record.get("expired") is True
        if answer.status != 200 or (job_id is None and ended) or job_id not in (None, job):
            raise Unavailable(
                f"Apiframe answered HTTP {answer.status} about a job", code=str(answer.status), request_id=request
            )
        return self._state(record, request, looks)

    def _state(self, record: Mapping[str, Any], request: str, looks: Looks) -> Mapping[str, Any] | None:
        status = _status(record)
        if record.get("expired") is True:
            raise NotFetched("Apiframe says that the job's files are removed", url="", gone=True)
        pictures = any(_flat(record.get("result")))
        if (status in ENDED and pictures) or (status == "COMPLETED" and not pictures and looks.spend("blank")):
            raise Unavailable(f"Apiframe says {status} of a job, and its result does not fit", code="contradiction")
        if status == "COMPLETED":
            return record
        if status == "FAILED":
            raise failure(str(record.get("error") or ""), request)
        if status == "CANCELLED":
            raise FailedAtProvider("the job was cancelled by somebody else", code="CANCELLED", request_id=request)
        return None

    def _error(self, answer: Answer, record: Mapping[str, Any], request: str) -> ProviderError:
        status, message = answer.status, _error_message(record)
        code = str(status)
        if status == 429:
            return self.throttled(answer, message, request_id=request)
        if not message or status in (408, 504) or status < 400:
            return Uncertain(
                f"Apiframe answered HTTP {status}, which does not tell whether the request was accepted",
                code=code,
                request_id=request,
            )
        if status in (401, 402, 403, 404, 501):
            return self._stop(status, message, record, request)
        if status == 409:
            words = f"{message}: the idempotency key was used with another body; please report this"
            return Refused(words, code=code, request_id=request)
        if status >= 500:
            return FailedAtProvider(message, code=code, request_id=request)
        return self._bad_request(message, record, request)

    def _stop(self, status: int, message: str, record: Mapping[str, Any], request: str) -> AccountStop:
        kind = {402: "quota", 404: "endpoint", 501: "endpoint"}.get(status, "credentials")
        words = (
            f"Apiframe refused the key in {self.site.key_env}: {message}" if kind == "credentials" else f"Apiframe: {message}"
        )
        if kind == "quota" and "creditsRequired" in record:
            need, have = record.get("creditsRequired"), record.get("creditsAvailable")
            words += f" ({vendor_words(need, 20)} credits needed, {vendor_words(have, 20)} there)"
        return AccountStop(words, kind=kind, code=str(status), request_id=request)

    def _bad_request(self, message: str, record: Mapping[str, Any], request: str) -> ProviderError:
        details = record.get("details")
        text = " ".join(details).lower() if isinstance(details, dict) else message.lower()
        words = f"{message} ({vendor_words(details)})" if details else message
        if any(name in text for name in SPELLED):
            other = "docs" if self.settings.dialect == "openapi" else "openapi"
            sentence = f"{words}. Apiframe expects the other dialect: write `dialect: {other}` in providers.{self.name}"
            return AccountStop(sentence, kind="endpoint", code="400", request_id=request)
        return Refused(words, code="400", request_id=request)

    async def clock_difference(self) -> float | None:
        """Seconds by which Apiframe's clock is ahead of ours, None when it does not say. Raises what stands in the way."""
        answer = await self.wire.get(f"{self.base_url}/v2/me", self._headers())
        record = answered(answer)
        if answer.status == 429:
            raise self.throttled(answer)
        if answer.status in (401, 403) and _error_message(record):
            raise self._error(answer, record, "")
        if answer.status != 200 or not record:
            raise Unavailable(f"Apiframe answered HTTP {answer.status} about the account", code=str(answer.status))
        return clock_difference_s(answer, self.waits.wall())

    async def account_report(self) -> AccountReport:
        """The team's credits from `GET /v2/me`."""
        answer = await self.wire.get(f"{self.base_url}/v2/me", self._headers())
        record = answered(answer)
        key = {200: "accepted", 401: "refused", 403: "refused"}.get(answer.status, "") if record else ""
        message = "" if key == "accepted" else vendor_words(_error_message(record) or strange(answer))
        credits = _decimal(record.get("team", {}).get("credits")) if isinstance(record.get("team"), dict) else None
        ahead = clock_difference_s(answer, self.waits.wall()) if key else None
        report = AccountReport(self.name, self.family, self.base_url, reachable=bool(key), key=key, credits=credits)
        return replace(report, message=message, clock_difference_s=ahead)


def _status(record: Mapping[str, Any]) -> str:
    """The job's state, "" for what is none."""
    status = record.get("status")
    return status if isinstance(status, str) else ""


def _error_message(record: Mapping[str, Any]) -> str:
    error = record.get("error")
    if isinstance(error, dict):
        error = error.get("message")
    return vendor_words(error) if isinstance(error, str) else ""


def _params(order: Order) -> dict[str, Any]:
    action = order.action
    params: dict[str, Any] = {}
    if action.negative_prompt:
        params["negative_prompt"] = action.negative_prompt
    params["seed"] = action.seed
    if action.size:
        params["aspect_ratio"] = action.size
    if order.inputs:
        params["image"] = order.links[0]
    return params


def _old_params(order: Order) -> dict[str, Any]:
    action = order.action
    params: dict[str, Any] = {"num_images": 1, "output_format": action.output_format, "seed": action.seed}
    if action.negative_prompt:
        params["negative_prompt"] = action.negative_prompt
    if action.size:
        params["image_size"] = IMAGE_SIZES[action.size]
    if order.inputs:
        params["image_url"] = order.links[0]
    for name, value in action.extra:
        params[name] = float(value) if name in ("guidance_scale", "strength") else value
    return params


def _urls(job: Mapping[str, Any]) -> list[str]:
    """The addresses in `result`: a string, a list of strings, `{images: [...]}` or `{url: ...}`."""
    urls = [url for url in _flat(job.get("result")) if url]
    if not urls:
        raise NotFetched("Apiframe says that the job is complete, but names no picture", url="", gone=True)
    return urls


def _flat(result: Any) -> Iterator[str]:
    if isinstance(result, str):
        yield result
    elif isinstance(result, list):
        for item in result:
            yield from _flat(item)
    elif isinstance(result, dict):
        yield from _flat(result.get("images") or result.get("url"))


def _credits(job: Mapping[str, Any]) -> dict[str, Decimal] | None:
    amount = _decimal(job.get("creditCost"))
    return None if amount is None else {"apiframe": amount}


def _decimal(value: Any) -> Decimal | None:
    return Decimal(str(value)) if isinstance(value, int | float) and not isinstance(value, bool) else None
