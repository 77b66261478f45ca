"""Alibaba Model Studio (DashScope), Singapore and Beijing: the wire formats of its synchronous and asynchronous calls.

Knows no cache, no journal and no pace. Facts are the vendor's Qwen-Image page unless said otherwise.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from qwenbuild.catalog import Model
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
    Waiting,
)
from qwenbuild.model import Action, Order, Picture, Ticket
from qwenbuild.pace.polling import Cadence, Looks, until_done
from qwenbuild.ports import Gate, Recovery
from qwenbuild.providers.account import AccountReport
from qwenbuild.providers.dashscope.answers import ErrorEnvelope, fault_of, items, mapping, request_id, text
from qwenbuild.providers.dashscope.errors import error_of, is_pace
from qwenbuild.providers.dashscope.lookup import TaskLookup
from qwenbuild.providers.dashscope.tasks import FREE, TaskPage, page_of
from qwenbuild.providers.site import Hosted, Site, compact, data_url, strange
from qwenbuild.transport.clocks import clock_difference_s
from qwenbuild.transport.http import Answer
from qwenbuild.transport.secret import vendor_words, without_keys

SYNC_PATH = "/services/aigc/multimodal-generation/generation"
TEXT_PATH = "/services/aigc/text2image/image-synthesis"
CADENCE = ((0.0, 3.0), (30.0, 5.0))
"""The page says about every 3 seconds, its samples 5."""
ASYNC_READ_S = 120.0
"""Seconds to wait for a task id; a synchronous call waits as long as the job may take."""
WORKING = frozenset({"PENDING", "RUNNING", "SUSPENDED"})
NEW_TASK_S = 10.0
"""Seconds after our own submit in which UNKNOWN may only mean that the id has not spread yet."""
SETTLE_S = 300.0
"""Seconds to wait for a task that is still running: its prompt can be read only afterwards."""
PNG = ("image/png",)
NOBODY = "00000000-0000-4000-8000-000000000000"


class DashScope(Hosted):
    """One region and one key."""

    def __init__(self, site: Site) -> None:
        super().__init__(site)
        self.region = self.settings.region
        self.recovery = "none" if self.settings.mode == "sync" else self.recovery
        self._cadence = Cadence(CADENCE, loopback=site.loopback)
        self._lookup = TaskLookup(self._task_page, self._orig_prompt, self.waits)

    def recovery_of(self, model: str) -> Recovery:
        """A synchronous call leaves no task to look for."""
        listed = self.recovery == "listing" and self.row(model).resumable
        return "listing" if listed else "none"

    # ------------------------------------------------------------ what is sent

    def body(self, order: Order) -> bytes:
        """The exact bytes of the request: `input.prompt` where the call is text to image, else one user message."""
        row = self.row(order.action.model)
        if self._path(row) == TEXT_PATH:
            return compact({"model": row.id, "input": _text_input(order.action), "parameters": _parameters(row, order.action)})
        parameters = _parameters(row, order.action)
        if order.action.negative_prompt:
            parameters = {"negative_prompt": order.action.negative_prompt, **parameters}
        return compact({"model": row.id, "input": {"messages": [_message(order)]}, "parameters": parameters})

    def _path(self, row: Model) -> str:
        return row.async_path if row.call(self.settings.mode) == "async" else SYNC_PATH

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.site.key.reveal()}"}

    async def submit(self, order: Order, body: bytes, gate: Gate) -> Ticket:
        """Send once. The ticket of a synchronous call holds the picture's address already."""
        row = self.row(order.action.model)
        path = self._path(row)
        headers = {**self._headers(), "Content-Type": "application/json"}
        if path != SYNC_PATH:
            headers["X-DashScope-Async"] = "enable"
        read = self.settings.timeout if path == SYNC_PATH else min(ASYNC_READ_S, self.settings.timeout)
        answer = await self.wire.post(self.base_url + path, headers, body, gate, read=read)
        record = answer.json()
        output = mapping(mapping(record).get("output"))
        if answer.status >= 300 or not output:
            raise self._error(answer, record, row.id)
        ticket = Ticket(self.name, self.base_url, request_id=request_id(answer, record))
        return self._task_ticket(ticket, output) if path != SYNC_PATH else self._ready_ticket(ticket, record or {})

    def _task_ticket(self, ticket: Ticket, output: Mapping[str, Any]) -> Ticket:
        task = text(output.get("task_id"))
        if not task or len(task) > 200:
            raise Uncertain("DashScope accepted the request but named no task", request_id=ticket.request_id)
        return replace(ticket, task_id=task, facts={"call": "async", "accepted": self.waits.wall()})

    def _ready_ticket(self, ticket: Ticket, record: Mapping[str, Any]) -> Ticket:
        results = items(mapping(record.get("output")))
        urls = [item.url for item in results if item.url]
        if urls:
            return replace(ticket, url=urls[0], facts={"call": "sync", "accepted": self.waits.wall(), "others": urls[1:]})
        fault = next((item.fault for item in results if item.fault), None) or fault_of(record)
        if fault is None:
            raise Uncertain("DashScope answered without a picture and without an error", request_id=ticket.request_id)
        raise self._unproven(fault, ticket.request_id)

    # ------------------------------------------------------------ what comes back

    async def collect(self, ticket: Ticket, action: Action) -> Picture:
        """Poll the task to its end and fetch its picture; a synchronous call only has to be fetched."""
        facts = Picture(b"", "", 0, 0, ticket.task_id, ticket.request_id)
        if ticket.facts.get("call") == "sync" or not ticket.task_id:
            picture = await self.picture(ticket.url, action, accept=PNG, facts=facts)
            return await self._with_others(picture, list(ticket.facts.get("others", ())), action)
        self.own(ticket)
        age = max(0.0, self.waits.wall() - float(ticket.facts.get("accepted", 0.0)))
        looks = Looks() if age < NEW_TASK_S else Looks(unknown=0)

        async def ask() -> Mapping[str, Any] | None:
            return await self._task(ticket.task_id, looks)

        output = await until_done(ask, self._cadence, self.waits, patience=self.settings.timeout, age=age)
        urls, actual = self._result(output, ticket, action)

        async def again() -> str:
            return self._result(await self._task(ticket.task_id, Looks(unknown=0, blank=0)) or {}, ticket, action)[0][0]

        facts = replace(facts, actual_prompt=without_keys(actual))
        picture = await self.picture(urls[0], action, accept=PNG, again=again, facts=facts)
        return await self._with_others(picture, urls[1:], action)

    async def _with_others(self, picture: Picture, urls: list[str], action: Action) -> Picture:
        """Further pictures of one paid task are kept as well; one that cannot be had takes nothing from the first."""
        others = []
        for url in urls:
            try:
                others.append((await self.picture(url, action, accept=PNG)).data)
            except BadPicture as error:
                others.append(error.data)
            except (ProviderError, OSError):
                continue
        return replace(picture, others=tuple(others)) if others else picture

    async def _task(self, task: str, looks: Looks) -> Mapping[str, Any] | None:
        """The task's output once it has ended well, None while it runs. Raises what its end means."""
        answer = await self.wire.get(f"{self.base_url}/tasks/{quote(task, safe='')}", self._headers())
        record = answer.json()
        output = mapping(mapping(record).get("output"))
        if answer.status != 200 or text(output.get("task_id")) != task:
            raise self._no_answer(answer, record)
        return self._state(output, looks, request_id(answer, record))

    def _state(self, output: Mapping[str, Any], looks: Looks, request: str) -> Mapping[str, Any] | None:
        status = text(output.get("task_status"))
        if status in FREE and any(item.url for item in items(output)):
            raise Unavailable(f"DashScope says {status} about a task, but names its picture", code="contradiction")
        if status == "SUCCEEDED":
            if not items(output) and looks.spend("blank"):
                raise Unavailable("DashScope says that the task succeeded, but names no picture", code="no-picture")
            return output
        if status == "FAILED":
            raise self._error_of(0, text(output.get("code")), text(output.get("message")), request)
        if status == "CANCELED":
            raise FailedAtProvider("the task was cancelled by somebody else", code="CANCELED", request_id=request)
        if status == "UNKNOWN" and not looks.spend("unknown"):
            words = "DashScope does not know the task any more; it may have been charged"
            raise Lost(words, code="UNKNOWN", request_id=request)
        return None

    def _result(self, output: Mapping[str, Any], ticket: Ticket, action: Action) -> tuple[list[str], str]:
        results = items(output)
        urls = [item.url for item in results if item.url]
        if urls:
            return urls, next((item.actual_prompt for item in results if item.actual_prompt), "")
        fault = next((item.fault for item in results if item.fault), None)
        if fault is not None:
            raise self._error_of(0, fault.code, fault.message, ticket.request_id, action.model)
        raise NotFetched("DashScope says that the task succeeded, but names no picture", url="", gone=True)

    # ------------------------------------------------------------ errors

    def _error(self, answer: Answer, record: Mapping[str, Any] | None, model: str) -> ProviderError:
        request = request_id(answer, record)
        fault = fault_of(record)
        if fault is None and answer.status == 429:
            return self.throttled(answer, request_id=request)
        if fault is None or 300 <= answer.status < 400:
            return Uncertain(f"DashScope answered HTTP {answer.status} with nothing that can be read", request_id=request)
        if answer.status < 300:
            return self._unproven(fault, request)
        return self._error_of(answer.status, fault.code, fault.message, request, model, answer.retry_after(self.waits.wall()))

    def _unproven(self, fault: ErrorEnvelope, request: str) -> ProviderError:
        """An error under a status that says success: no document promises that nothing was accepted."""
        words = f"{vendor_words(fault.code, 80)}: {vendor_words(fault.message)}"
        message = f"DashScope answered success and an error at once ({words})"
        return Uncertain(message, code="error-in-success", request_id=request)

    def _error_of(
        self, status: int, code: str, message: str, request: str, model: str = "the model", retry_after: float | None = None
    ) -> ProviderError:
        return error_of(
            status,
            vendor_words(code, 80),
            vendor_words(message),
            request_id=request,
            retry_after=retry_after,
            region=self.settings.region,
            key_env=self.site.key_env,
            model=model,
        )

    def _no_answer(self, answer: Answer, record: Mapping[str, Any] | None) -> ProviderError:
        """A question about a task that was not answered: only a refused key and a forgotten task are final."""
        fault = fault_of(record)
        if fault is not None and answer.status == 404:
            words = f"DashScope does not know the task: {vendor_words(fault.message)}"
            return Lost(words, code=fault.code, request_id=request_id(answer, record))
        return self._no_list(answer, record)

    def _no_list(self, answer: Answer, record: Mapping[str, Any] | None) -> ProviderError:
        """A free question that was not answered. An error inside a 200, too, only says that there is no answer."""
        fault, request = fault_of(record), request_id(answer, record)
        if answer.status == 429:
            return self.throttled(answer, request_id=request)
        if fault is not None and is_pace(answer.status, fault.code, fault.message):
            return self.throttled(answer, vendor_words(fault.message), code=fault.code, request_id=request)
        if fault is not None and answer.status in (401, 403):
            return self._error_of(answer.status, fault.code, fault.message, request)
        return Unavailable(f"DashScope answered HTTP {answer.status} about a task", code=str(answer.status), request_id=request)

    # ------------------------------------------------------------ recovery

    async def find(self, order: Order, body: bytes, since: float, until: float, claimed: frozenset[str]) -> tuple[Ticket, ...]:
        """Unclaimed tasks with this order's prompt and model, accepted between two wall-clock times (seconds).

        None at all is proof that there is none. Raises Uncertain where the list cannot settle it: a synchronous call leaves
        no task, a task that hides its prompt may be anybody's, and a list with a gap may hide a task. Raises Unavailable,
        Throttled or AccountStop where there was no answer.
        """
        prompt, row = _asked(body), self.row(order.action.model)
        if not row.async_path or (row.async_path == TEXT_PATH and prompt is None):
            raise Uncertain("a synchronous call leaves no task to look for", code="no-task")
        words = prompt if prompt is not None else order.action.prompt
        cut = words[: row.prompt_limit] if row.prompt_limit is not None else words
        tasks = await self._lookup.tasks(row.id, {words, cut}, since, until, claimed)
        if not tasks and prompt is None:
            raise Uncertain("the task list does not tell whether this picture was asked for", code="hidden")
        return tuple(Ticket(self.name, self.base_url, task, facts={"call": "async", "accepted": since}) for task in tasks)

    async def _task_page(self, query: str) -> TaskPage | None:
        answer = await self.wire.get(f"{self.base_url}/tasks?{query}", self._headers())
        record = answer.json()
        if answer.status != 200 or record is None or fault_of(record) is not None:
            raise self._no_list(answer, record)
        return page_of(record, clock_difference_s(answer, self.waits.wall()))

    async def _orig_prompt(self, task: str) -> str | None:
        """What a task was asked for, None when it does not say; "" for one that failed: it cost nothing and is nobody's."""
        looks = Looks(unknown=0, blank=0)

        async def ask() -> Mapping[str, Any] | None:
            return await self._task(task, looks)

        try:
            at_once, asking = CADENCE[0][1], Cadence(CADENCE, loopback=self.site.loopback)
            output = await until_done(ask, asking, self.waits, patience=SETTLE_S, age=at_once)
        except (Lost, Waiting):
            return None
        except (Refused, FailedAtProvider):
            return ""
        return next((item.orig_prompt for item in items(output) if item.orig_prompt), None)

    async def clock_difference(self) -> float | None:
        """Seconds by which DashScope's clock is ahead of ours, None when it does not say. Raises what stands in the way."""
        answer = await self.wire.get(f"{self.base_url}/tasks/{NOBODY}", self._headers())
        record = answer.json()
        if answer.status != 200 or not mapping(mapping(record).get("output")):
            raise self._no_list(answer, record)
        return clock_difference_s(answer, self.waits.wall())

    # ------------------------------------------------------------ account

    async def account_report(self) -> AccountReport:
        """Ask for a task that does not exist: free, and refused when the key is not this region's."""
        answer = await self.wire.get(f"{self.base_url}/tasks/{NOBODY}", self._headers())
        record = answer.json()
        ahead = clock_difference_s(answer, self.waits.wall())
        report = AccountReport(self.name, self.family, self.base_url, self.region, clock_difference_s=ahead)
        if answer.status == 200 and text(mapping(mapping(record).get("output")).get("task_id")):
            return replace(report, reachable=True, key="accepted")
        fault = fault_of(record)
        if fault is None:
            return replace(report, message=strange(answer), clock_difference_s=None)
        error = self._error_of(answer.status, fault.code, fault.message, request_id(answer, record))
        return replace(report, reachable=True, key=_opens(error), message=error.message)

    async def names(self, models: Sequence[str]) -> Mapping[str, bool | None]:
        """Whether the list of models has each of these. The vendor documents no such list; its own SDK (dashscope 2.0.2,
        `Models.get`) asks for it in this way. What is not in that form says nothing.
        """
        return {model: await self._names(model) for model in models}

    async def _names(self, model: str) -> bool | None:
        answer = await self.wire.get(f"{self.base_url}/models?model={quote(model)}&page_no=1&page_size=1", self._headers())
        listed = mapping(mapping(answer.json()).get("output")).get("models")
        if answer.status != 200 or not isinstance(listed, list):
            return None
        if not listed:
            return False
        return True if any(text(mapping(item).get("model")) == model for item in listed) else None


def _opens(error: ProviderError) -> str:
    """What an error says of the key: nothing when the service itself is in trouble."""
    if isinstance(error, AccountStop):
        return "refused" if error.kind == "credentials" else "accepted"
    return "accepted" if isinstance(error, Refused) else ""


def _text_input(action: Action) -> dict[str, Any]:
    text_input = {"prompt": action.prompt}
    if action.negative_prompt:
        text_input["negative_prompt"] = action.negative_prompt
    return text_input


def _message(order: Order) -> dict[str, Any]:
    content: list[dict[str, str]] = [{"image": data_url(data, media)} for data, media in order.inputs]
    return {"role": "user", "content": [*content, {"text": order.action.prompt}]}


def _parameters(row: Model, action: Action) -> dict[str, Any]:
    """Every parameter with its value said, so that a changed default of the server changes no picture."""
    parameters: dict[str, Any] = {}
    if action.size and "size" in row.params:
        parameters["size"] = action.size
    if row.n:
        parameters["n"] = row.n
    for name in ("prompt_extend", "watermark"):
        if name in row.params:
            parameters[name] = getattr(action, name)
    parameters["seed"] = action.seed
    for name, value in action.extra:
        numeric = isinstance(value, str) and row.extra.get(name, {}).get("type") == "number"
        parameters[name] = float(value) if numeric else value
    return parameters


def _asked(body: bytes) -> str | None:
    """The prompt of a text-to-image body, None for a body with messages."""
    try:
        prompt = mapping(mapping(json.loads(body)).get("input")).get("prompt")
    except ValueError:
        return None
    return prompt if isinstance(prompt, str) else None
