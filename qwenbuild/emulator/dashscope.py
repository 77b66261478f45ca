"""Plays DashScope (Alibaba Cloud Model Studio) for one region: submissions, tasks, cancellation, listing.

Knows no other region: keys and tasks of another one are strangers here, as in the real service.
"""

from __future__ import annotations

import re
import uuid
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

from qwenbuild.emulator import dashscope_answers as answers
from qwenbuild.emulator.clock import vendor_time
from qwenbuild.emulator.dashscope_bill import bill
from qwenbuild.emulator.dashscope_rules import MODELS, EmulatedModel, RefusedField, ValidRequest, read_messages, read_prompt
from qwenbuild.emulator.jobs import EmulatedJob, Fate, JobOrder, Stage
from qwenbuild.emulator.lanes import EmulatedLane, EmulatedPace
from qwenbuild.emulator.settings import Account
from qwenbuild.emulator.wire import Phase, Reply, Request, json_reply
from qwenbuild.emulator.world import EmulatorCore

SYNC_PATH = "/services/aigc/multimodal-generation/generation"
TEXT_PATH = "/services/aigc/text2image/image-synthesis"
THIRD_PATH = "/services/aigc/image-generation/generation"
SUBMITS = {SYNC_PATH: "sync", TEXT_PATH: "text2image", THIRD_PATH: "image-generation"}
TASK = re.compile(r"/tasks/([^/]+)(/cancel)?/?")
"""With a slash at its end, too: the vendor's own asynchronous client cancels so."""
REFUSALS = {"rate": "Throttling.RateQuota", "concurrency": "Throttling.Concurrency"}
WORDS = {
    Stage.WAITING: "PENDING",
    Stage.RUNNING: "RUNNING",
    Stage.DONE: "SUCCEEDED",
    Stage.FAILED: "FAILED",
    Stage.CANCELED: "CANCELED",
}


class DashScopeError(Exception):
    """An error answer."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


class DashScopeFront:
    """One region."""

    api = "dashscope"

    def __init__(self, world: EmulatorCore, region: str) -> None:
        self._world = world
        self.region = region
        self.prefix = f"/dashscope/{region}/api/v1/"
        self._queries: dict[tuple[str, str], EmulatedLane] = {}

    def phase(self, request: Request) -> Phase:
        """By path and method."""
        path = self._path(request)
        if path in SUBMITS:
            return "submit"
        if match := TASK.fullmatch(path):
            return "cancel" if match[2] else "poll"
        return "list" if path == "/tasks" else "info"

    def subject(self, request: Request, phase: Phase) -> str:
        """The prompt of a submission; the task of a query."""
        if phase == "submit":
            return _prompt_of(request)
        match = TASK.fullmatch(self._path(request))
        return match[1] if match else ""

    def refuse(self, status: int, code: str, message: str) -> Reply:
        """DashScope's flat error."""
        return _with_id(status, {"code": code, "message": message})

    def handle(self, request: Request) -> Reply:
        """Answer honestly."""
        try:
            account = self._account(request)
            return self._route(request, account)
        except DashScopeError as stop:
            reply = self.refuse(stop.status, stop.code, stop.message)
            wait = self._world.settings.retry_after
            return reply.with_headers(("retry-after", wait)) if wait and stop.status == 429 else reply

    def _path(self, request: Request) -> str:
        return request.path[len(self.prefix) - 1 :]

    def _account(self, request: Request) -> Account:
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        if scheme != "Bearer" or not key.strip():
            raise DashScopeError(401, "InvalidApiKey", "No API-key provided.")
        account = self._world.account(self.api, self.region, key.strip())
        if account is None:
            raise DashScopeError(401, "InvalidApiKey", "Invalid API-key provided.")
        return account

    def _route(self, request: Request, account: Account) -> Reply:
        path, match = self._path(request), TASK.fullmatch(self._path(request))
        if path in SUBMITS and request.method == "POST":
            return self._submit(request, account, SUBMITS[path])
        if match and match[2] and request.method == "POST":
            self._queried(account, "cancel")
            return self._cancel(match[1], account)
        if match and request.method == "GET":
            self._queried(account, "poll")
            return self._task(match[1], account)
        if path == "/tasks" and request.method == "GET" and self._world.settings.listing:
            self._queried(account, "list")
            return self._list(request, account)
        if path == "/models" and request.method == "GET":
            return _models(request.params())
        raise DashScopeError(404, "NotFound", "Not found.")

    # -- submissions ---------------------------------------------------------------------------------------------------

    def _submit(self, request: Request, account: Account, call: str) -> Reply:
        wants_async = request.headers.get("x-dashscope-async", "").lower() == "enable"
        body = _body(request)
        model = _model(body)
        _right_call(model, call, wants_async)
        self._standing(account, model)
        lane = self._world.lane(self.api, self.region, account.name, model.id)
        pace = self._world.pace(model.pace)
        if not wants_async:
            pace = EmulatedPace(pace.count, pace.window, float("inf"))
        if refusal := self._world.admit(lane, pace):
            raise DashScopeError(429, REFUSALS[refusal], "Requests rate limit exceeded, please try again later.")
        order = self._wanted(body, model, account, call, wants_async)
        job = self._world.accept(order, lane, pace.concurrency)
        return self._accepted(job) if wants_async else self._finished(job)

    def _standing(self, account: Account, model: EmulatedModel) -> None:
        if account.arrears:
            raise DashScopeError(400, "Arrearage", "Access denied, please make sure your account is in good standing.")
        if model.id in account.unpurchased:
            raise DashScopeError(
                403,
                "AccessDenied.Unpurchased",
                "Access to model denied. Please make sure you are eligible for using the model.",
            )
        if account.free_only and account.free_left(model.id) < 1:
            message = (
                'The free tier of the model has been exhausted. To continue access, disable the "use free tier only" mode.'
            )
            raise DashScopeError(403, "AllocationQuota.FreeTierOnly", message)

    def _wanted(self, body: dict[str, Any], model: EmulatedModel, account: Account, call: str, wants_async: bool) -> JobOrder:
        read = read_prompt if call == "text2image" else read_messages
        try:
            valid = read(model, body)
        except RefusedField as bad:
            if not wants_async or self._world.settings.validation == "immediate":
                raise DashScopeError(400, bad.code, bad.message) from bad
            return self._doomed(body, model, account, bad)
        return self._drawn(valid, body, model, account, "async" if wants_async else "sync")

    def _drawn(self, valid: ValidRequest, body: dict[str, Any], model: EmulatedModel, account: Account, call: str) -> JobOrder:
        return JobOrder(
            self.api, self.region, account.name, model.id, call, valid.sent, valid.negative, valid.seed, valid.size, body,
            valid.effective(model), self._bill(model, valid) * valid.n, "usd", valid.n, watermark=valid.watermark,
            extra_delay=self._world.settings.extend_delay if valid.extend else 0.0,
        )  # fmt: skip

    def _bill(self, model: EmulatedModel, asked: ValidRequest) -> Decimal:
        return bill(model.id, self.region, asked.size, rewritten=asked.extend, images=len(asked.images))

    def _doomed(self, body: dict[str, Any], model: EmulatedModel, account: Account, bad: RefusedField) -> JobOrder:
        """Accepted, and then failed for a bad field, which is what the live service was seen to do."""
        prompt, fate = str(_dig(body, "input", "prompt")), Fate("failed", bad.code, bad.message)
        return JobOrder(
            self.api, self.region, account.name, model.id, "async", prompt, "", None, (1, 1), body, {},
            Decimal(0), "usd", fate=fate,
        )  # fmt: skip

    def _accepted(self, job: EmulatedJob) -> Reply:
        return json_reply(200, {"output": {"task_status": "PENDING", "task_id": job.id}, "request_id": job.request_id})

    def _finished(self, job: EmulatedJob) -> Reply:
        """The answer to a synchronous call: it leaves when the job ends."""
        if job.fate.kind in ("failed", "item_error", "canceled"):
            reply = _with_id(
                400 if job.fate.code.startswith(("Data", "Invalid")) else 500,
                {"code": job.fate.code, "message": job.fate.message},
            )
            return Reply(reply.status, reply.body, reply.headers, job.end)
        answer = {"output": answers.finished(job, self._urls(job)), "usage": answers.usage(job), "request_id": job.request_id}
        return json_reply(200, answer, ready=job.end)

    def _urls(self, job: EmulatedJob) -> list[str]:
        return [] if job.fate.kind == "no_url" else [self._world.link(job, index) for index in range(job.order.n)]

    # -- tasks ---------------------------------------------------------------------------------------------------------

    def _queried(self, account: Account, what: str) -> None:
        rate = self._world.settings.query_rate
        lane, now = self._queries.setdefault((account.name, what), EmulatedLane()), self._world.clock.now()
        if self._world.settings.enforce and lane.over_rate(now, EmulatedPace(rate, 1.0, 0)):
            lane.refused_rate += 1
            raise DashScopeError(429, "Throttling.RateQuota", "Requests rate limit exceeded, please try again later.")
        lane.recent.append(now)

    def _known(self, task: str, account: Account) -> EmulatedJob | None:
        job = self._world.book.by_id.get(task)
        if job is None or (job.order.api, job.order.region, job.order.account) != (self.api, self.region, account.name):
            return None
        return None if job.order.call == "sync" or self._world.forgotten(job) else job

    def _task(self, task: str, account: Account) -> Reply:
        job = self._known(task, account)
        if job is None:
            return _with_id(200, {"output": {"task_id": task, "task_status": "UNKNOWN"}})
        output: dict[str, Any] = {"task_id": task, "task_status": WORDS[job.stage(self._world.clock.now())]}
        output |= self._times(job)
        fill = {"SUCCEEDED": self._succeeded, "FAILED": self._failed}.get(output["task_status"])
        answer: dict[str, Any] = {"output": output}
        if fill is not None:
            answer |= fill(job, output)
        else:
            output["task_metrics"] = {"TOTAL": job.order.n, "SUCCEEDED": 0, "FAILED": 0}
        return _with_id(200, answer)

    def _times(self, job: EmulatedJob) -> dict[str, str]:
        now, hours = self._world.clock.now(), self._world.settings.zone_hours
        ended = job.canceled if job.canceled is not None else job.end
        moments = {"submit_time": job.accepted, "scheduled_time": job.start, "end_time": ended}
        return {name: vendor_time(moment, hours) for name, moment in moments.items() if moment <= now}

    def _failed(self, job: EmulatedJob, output: dict[str, Any]) -> dict[str, Any]:
        output |= {"code": job.fate.code, "message": job.fate.message}
        output["task_metrics"] = {"TOTAL": job.order.n, "SUCCEEDED": 0, "FAILED": job.order.n}
        return {}

    def _succeeded(self, job: EmulatedJob, output: dict[str, Any]) -> dict[str, Any]:
        order = job.order
        output["task_metrics"] = {"TOTAL": order.n, "SUCCEEDED": order.n, "FAILED": 0}
        more, usage = answers.succeeded(job, self._urls(job))
        output |= more
        return {"usage": usage}

    def _cancel(self, task: str, account: Account) -> Reply:
        job = self._known(task, account)
        if job is None or job.stage(self._world.clock.now()) is not Stage.WAITING:
            message = "Failed to cancel the task, please confirm if the task is in PENDING status."
            raise DashScopeError(400, "UnsupportedOperation", message)
        lane = self._world.lane(self.api, self.region, account.name, job.order.model)
        self._world.cancel(job, lane, self._world.pace(MODELS[job.order.model].pace).concurrency)
        return _with_id(200, {})

    # -- the list ------------------------------------------------------------------------------------------------------

    def _list(self, request: Request, account: Account) -> Reply:
        params = request.params()
        page, size = _count(params, "page_no", 1), _count(params, "page_size", 10)
        since, until = self._window(params)
        jobs = [job for job in self._world.book.jobs if self._listed(job, account, params, since, until)]
        jobs.sort(key=lambda job: -job.number)
        shown = jobs[(page - 1) * size : page * size]
        answer = {
            "total": len(jobs), "total_page": -(-len(jobs) // size), "page_no": page, "page_size": size,
            "data": [self._line(job) for job in shown],
        }  # fmt: skip
        return _with_id(200, answer)

    def _window(self, params: dict[str, str]) -> tuple[float, float]:
        zone = timezone(timedelta(hours=self._world.settings.zone_hours))
        now = self._world.clock.now()
        try:
            until = _moment(params["end_time"], zone) if "end_time" in params else now
            since = _moment(params["start_time"], zone) if "start_time" in params else until - 86400
        except ValueError as error:
            raise DashScopeError(400, "InvalidParameter", "start_time and end_time must be YYYYMMDDhhmmss") from error
        if until - since > 86400 or until < since:
            raise DashScopeError(400, "InvalidParameter", "The time range must not exceed 24 hours.")
        return since, until + 1

    def _listed(self, job: EmulatedJob, account: Account, params: dict[str, str], since: float, until: float) -> bool:
        now = self._world.clock.now()
        if self._known(job.id, account) is None or job.accepted + self._world.settings.listing_lag > now:
            return False
        if "status" in params and WORDS[job.stage(now)] != params["status"]:
            return False
        return since <= job.accepted <= until and params.get("model_name", job.order.model) == job.order.model

    def _line(self, job: EmulatedJob) -> dict[str, Any]:
        """A task in the list: everything but its prompt, which the real list does not carry either."""
        now, order = self._world.clock.now(), job.order
        route = (
            "text2image:image-synthesis" if order.model in ("qwen-image", "qwen-image-plus") else "image-generation:generation"
        )
        line = {
            "task_id": job.id, "status": WORDS[job.stage(now)], "model_name": order.model, "region": self.region,
            "request_id": job.request_id, "gmt_create": int(job.accepted * 1000), "api_key_id": "1", "caller_uid": "1",
            "caller_parent_id": "1", "user_api_unique_key": f"apikey:v1:aigc:{route}:{order.model}",
        }  # fmt: skip
        if job.start <= now:
            line["start_time"] = int(job.start * 1000)
        if job.end <= now:
            line["end_time"] = int(job.end * 1000)
        return line


def _models(params: dict[str, str]) -> Reply:
    """The list of models as the vendor's SDK reads it: a page of it, or the one model asked for."""
    names = [name for name in MODELS if params.get("model", name) == name]
    page, size = _count(params, "page_no", 1), _count(params, "page_size", 10)
    shown = [{"model": name, "provider": "qwen", "opensource": False} for name in names[(page - 1) * size : page * size]]
    return _with_id(200, {"output": {"page_no": page, "page_size": size, "total": len(names), "models": shown}})


def _with_id(status: int, value: dict[str, Any]) -> Reply:
    identity = str(uuid.uuid4())
    return json_reply(status, {"request_id": identity, **value}, ("x-request-id", identity))


def _body(request: Request) -> dict[str, Any]:
    try:
        body = request.json()
    except ValueError as error:
        raise DashScopeError(400, "InvalidParameter", "Request body format invalid: it is not JSON.") from error
    if not isinstance(body, dict):
        raise DashScopeError(400, "InvalidParameter", "Request body format invalid: it is not an object.")
    return body


def _model(body: dict[str, Any]) -> EmulatedModel:
    name = body.get("model")
    if not isinstance(name, str) or name not in MODELS:
        raise DashScopeError(400, "InvalidParameter", "Model not exist.")
    return MODELS[name]


def _right_call(model: EmulatedModel, call: str, wants_async: bool) -> None:
    if call == "text2image" and not wants_async:
        raise DashScopeError(403, "AccessDenied", "current user api does not support synchronous calls.")
    if wants_async and (call == "sync" or call not in model.calls):
        raise DashScopeError(403, "AccessDenied", "current user api does not support asynchronous calls.")
    if not wants_async and "sync" not in model.calls:
        raise DashScopeError(403, "AccessDenied", "current user api does not support synchronous calls.")


def _dig(value: Any, *names: str) -> Any:
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return "" if value is None else value


def _prompt_of(request: Request) -> str:
    try:
        body = request.json()
    except ValueError:
        return ""
    prompt = _dig(body, "input", "prompt")
    messages = _dig(body, "input", "messages")
    if not prompt and isinstance(messages, list) and messages and isinstance(messages[0], dict):
        content = messages[0].get("content")
        parts = content if isinstance(content, list) else []
        prompt = next((item["text"] for item in parts if isinstance(item, dict) and isinstance(item.get("text"), str)), "")
    return prompt if isinstance(prompt, str) else ""


def _count(params: dict[str, str], name: str, default: int) -> int:
    text = params.get(name, str(default))
    if not text.isdigit() or not 1 <= int(text) <= 10_000:
        raise DashScopeError(400, "InvalidParameter", f"{name} must be a positive integer")
    return int(text)


def _moment(text: str, zone: timezone) -> float:
    return datetime.strptime(text, "%Y%m%d%H%M%S").replace(tzinfo=zone).astimezone(UTC).timestamp()
