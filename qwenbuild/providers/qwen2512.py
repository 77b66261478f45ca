"""qwen-image-2512.org: an envelope with a code around everything, and FAILED inside a code of 200.

Knows no cache, no journal and no pace. Facts are the site's own page; it is a reseller, not Alibaba.
"""

from __future__ import annotations

from collections.abc import Mapping
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

CADENCE = ((0.0, 5.0), (30.0, 10.0))
"""The page: every 5 to 10 seconds."""
SUBMIT_READ_S = 120.0
MONEY = ("credit", "insufficient", "balance")
NOBODY = "qwenbuild-check"


class Qwen2512(Hosted):
    """One key. There is no idempotency and no list: a lost answer is for a person."""

    def __init__(self, site: Site) -> None:
        super().__init__(site)
        self._cadence = Cadence(CADENCE, loopback=site.loopback)

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.site.key.reveal()}"}

    def body(self, order: Order) -> bytes:
        """The exact bytes of the request."""
        action = order.action
        fields: dict[str, Any] = {"prompt": action.prompt, "size": action.size, "seed": action.seed}
        fields["output_format"] = action.output_format
        if self.settings.webhook:
            fields["callback_url"] = self.settings.webhook
        return compact(fields)

    async def submit(self, order: Order, body: bytes, gate: Gate) -> Ticket:
        """Send once."""
        headers = {**self._headers(), "Content-Type": "application/json"}
        read = min(SUBMIT_READ_S, self.settings.timeout)
        answer = await self.wire.post(f"{self.base_url}/api/generate", headers, body, gate, read=read)
        record = answered(answer)
        code = _code(answer, record)
        if code != 200:
            raise self._error(answer, record, code)
        task = _data(record).get("task_id")
        if not isinstance(task, str) or not 0 < len(task) <= 200:
            raise Uncertain("qwen-image-2512.org accepted the request but named no task", code="no-task")
        return Ticket(self.name, self.base_url, task, facts={"accepted": self.waits.wall()})

    async def collect(self, ticket: Ticket, action: Action) -> Picture:
        """Poll the task to its end and fetch its picture."""
        self.own(ticket)
        age = max(0.0, self.waits.wall() - float(ticket.facts.get("accepted", 0.0)))

        looks = Looks()

        async def ask() -> Mapping[str, Any] | None:
            return await self._task(ticket.task_id, looks)

        task = await until_done(ask, self._cadence, self.waits, patience=self.settings.timeout, age=age)
        url = _url(task)

        async def again() -> str:
            return _url(await self._task(ticket.task_id, Looks(blank=0)) or {})

        facts = Picture(b"", "", 0, 0, ticket.task_id, ticket.request_id, billed=_credits(task))
        return await self.picture(url, action, accept=(MEDIA[action.output_format],), again=again, facts=facts)

    async def _task(self, task: str, looks: Looks) -> Mapping[str, Any] | None:
        answer = await self.wire.get(f"{self.base_url}/api/status?task_id={quote(task, safe='')}", self._headers())
        record = answered(answer)
        code = _code(answer, record)
        own = _own(record)
        if answer.status == 429 or code == 429:
            raise self.throttled(answer)
        if own and record["code"] == 404:
            raise Lost("qwen-image-2512.org does not know the task any more; it may have been charged", code="404")
        if own and code in (401, 403):
            raise self._error(answer, record, code)
        data = _data(record)
        if code != 200 or data.get("task_id") != task:
            raise Unavailable(f"qwen-image-2512.org answered code {code} about a task", code=str(code))
        return self._state(data, looks)

    def _state(self, data: Mapping[str, Any], looks: Looks) -> Mapping[str, Any] | None:
        status, picture = data.get("status"), _named(data)
        if (status == "FAILED" and picture) or (status == "SUCCESS" and not picture and looks.spend("blank")):
            raise Unavailable(f"qwen-image-2512.org says {status}, and its response does not fit", code="contradiction")
        if status == "FAILED":
            raise failure(str(data.get("error_message") or ""))
        return data if status == "SUCCESS" else None

    def _error(self, answer: Answer, record: Mapping[str, Any], code: int) -> ProviderError:
        message = vendor_words(record.get("message") or "")
        if answer.status == 429 or code == 429:
            return self.throttled(answer, message)
        if not _own(record) or code in (408, 504) or not 400 <= code < 600:
            return Uncertain(
                f"qwen-image-2512.org answered HTTP {answer.status}, which does not tell whether the request was accepted",
                code=str(code),
            )
        if code in (401, 403):
            return AccountStop(
                f"qwen-image-2512.org refused the key in {self.site.key_env}: {message}", kind="credentials", code=str(code)
            )
        if code == 402 or any(word in message.lower() for word in MONEY):
            return AccountStop(f"qwen-image-2512.org: {message}", kind="quota", code=str(code))
        if code == 404:
            return AccountStop(f"qwen-image-2512.org: {message}", kind="endpoint", code="404")
        if code >= 500:
            return FailedAtProvider(message, code=str(code))
        return Refused(message, code=str(code))

    async def account_report(self) -> AccountReport:
        """Ask for a task that does not exist: 404 with a good key, 401 with a bad one. The API tells no credits."""
        answer = await self.wire.get(f"{self.base_url}/api/status?task_id={NOBODY}", self._headers())
        record = answered(answer)
        code = _code(answer, record)
        key = {200: "accepted", 400: "accepted", 404: "accepted", 401: "refused", 403: "refused"}.get(code, "")
        key = key if _own(record) else ""
        message = "" if key == "accepted" else vendor_words(record.get("message") or strange(answer))
        ahead = clock_difference_s(answer, self.waits.wall()) if key else None
        report = AccountReport(self.name, self.family, self.base_url, reachable=bool(key), key=key, message=message)
        return replace(report, clock_difference_s=ahead)


def _code(answer: Answer, record: Mapping[str, Any]) -> int:
    """The worse of the body's code and the HTTP status: which of the two counts is written nowhere."""
    return max(record["code"], answer.status) if _own(record) else max(answer.status, 299)


def _own(record: Mapping[str, Any]) -> bool:
    """Whether this is the site's own envelope, and not the page of something on the way."""
    return isinstance(record.get("code"), int) and not isinstance(record.get("code"), bool)


def _data(record: Mapping[str, Any]) -> Mapping[str, Any]:
    data = record.get("data")
    return data if isinstance(data, dict) else {}


def _url(task: Mapping[str, Any]) -> str:
    url = _named(task)
    if not url:
        raise NotFetched("qwen-image-2512.org says that the task succeeded, but names no picture", url="", gone=True)
    return url


def _named(task: Mapping[str, Any]) -> str:
    """The picture's address, "" where there is none."""
    response = task.get("response")
    url = response[0] if isinstance(response, list) and response else response
    return url if isinstance(url, str) else ""


def _credits(task: Mapping[str, Any]) -> dict[str, Decimal] | None:
    credits = task.get("consumed_credits")
    is_number = isinstance(credits, int | float) and not isinstance(credits, bool)
    return {"qwen2512": Decimal(str(credits))} if is_number else None
