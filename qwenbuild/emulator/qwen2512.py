"""Plays qwen-image-2512.org: an envelope around everything, five sizes, three formats, five credits a picture.

Knows nothing of the other APIs. The callback's body is our invention: the `data` object of the status call.
"""

from __future__ import annotations

import secrets
from decimal import Decimal
from typing import Any

from qwenbuild.emulator.clock import iso
from qwenbuild.emulator.dashscope_rules import MAX_SEED
from qwenbuild.emulator.jobs import EmulatedJob, JobOrder, Stage
from qwenbuild.emulator.lanes import EmulatedPace
from qwenbuild.emulator.settings import Account
from qwenbuild.emulator.wire import Phase, Reply, Request, dumps, json_reply
from qwenbuild.emulator.world import EmulatorCore

SIZES = ("1024*1024", "1024*1536", "1536*1024", "768*1024", "1024*768")
FORMATS = ("jpeg", "png", "webp")
CREDITS = 5
PACE = EmulatedPace(1, 1.0, 2)
"""The vendor publishes no figures."""
WORDS = {
    Stage.WAITING: "PENDING",
    Stage.RUNNING: "IN_PROGRESS",
    Stage.DONE: "SUCCESS",
    Stage.FAILED: "FAILED",
    Stage.CANCELED: "FAILED",
}
ERRORS = {"DataInspectionFailed": "Content policy violation detected"}


class Qwen2512Error(Exception):
    """An error answer; `code` stands in the body, and in the status line unless that is always 200."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


class Qwen2512Front:
    """The one region."""

    api = "qwen2512"
    region = ""
    prefix = "/qwen2512/"

    def __init__(self, world: EmulatorCore) -> None:
        self._world = world

    def phase(self, request: Request) -> Phase:
        """By path."""
        if request.path.endswith("/api/generate"):
            return "submit"
        return "poll" if request.path.endswith("/api/status") else "info"

    def subject(self, request: Request, phase: Phase) -> str:
        """The prompt of a submission; the task of a query."""
        if phase != "submit":
            return request.params().get("task_id", "")
        return request.prompt()

    def refuse(self, status: int, code: str, message: str) -> Reply:
        """The envelope with a code and no data."""
        return self._envelope(status, message, None)

    def handle(self, request: Request) -> Reply:
        """Answer honestly."""
        try:
            return self._route(request)
        except Qwen2512Error as stop:
            reply = self._envelope(stop.code, stop.message, None)
            wait = self._world.settings.retry_after
            return reply.with_headers(("retry-after", wait)) if wait and stop.code == 429 else reply

    def _envelope(self, code: int, message: str, data: Any) -> Reply:
        status = 200 if self._world.settings.always_200 else code
        return json_reply(status, {"code": code, "message": message, "data": data})

    def _route(self, request: Request) -> Reply:
        path = request.path.removeprefix("/qwen2512")
        account = self._account(request)
        if (request.method, path) == ("POST", "/api/generate"):
            return self._submit(request, account)
        if (request.method, path) == ("GET", "/api/status"):
            return self._status(request, account)
        raise Qwen2512Error(404, "Not Found")

    def _account(self, request: Request) -> Account:
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        account = self._world.account(self.api, "", key.strip()) if scheme == "Bearer" else None
        if account is None:
            raise Qwen2512Error(401, "Unauthorized: API key is missing or wrong.")
        return account

    def _submit(self, request: Request, account: Account) -> Reply:
        order = self._wanted(_body(request), account)
        lane, pace = self._world.lane(self.api, "", account.name, order.model), self._world.pace(PACE)
        if self._world.admit(lane, pace):
            raise Qwen2512Error(429, "Too Many Requests")
        if account.credits < CREDITS:
            raise Qwen2512Error(402, "Insufficient credits, please top up your balance.")
        task = f"n{secrets.token_hex(8)}qwenimg"
        job = self._world.accept(order, lane, pace.concurrency, task)
        return self._envelope(200, "success", {"task_id": job.id, "status": "IN_PROGRESS"})

    def _wanted(self, body: dict[str, Any], account: Account) -> JobOrder:
        prompt = body.get("prompt")
        if not isinstance(prompt, str) or not prompt:
            raise Qwen2512Error(400, "Bad Request: 'prompt' is required.")
        if len(prompt) > 2000:
            raise Qwen2512Error(400, "Bad Request: 'prompt' must be at most 2000 characters.")
        size = body.get("size", "1024*1024")
        if size not in SIZES:
            raise Qwen2512Error(400, f"Bad Request: invalid size, must be one of {', '.join(SIZES)}.")
        kind = body.get("output_format", "jpeg")
        if kind not in FORMATS:
            raise Qwen2512Error(400, f"Bad Request: 'output_format' must be one of {', '.join(FORMATS)}.")
        seed = body.get("seed", -1)
        if isinstance(seed, bool) or not isinstance(seed, int) or not -1 <= seed <= MAX_SEED:
            raise Qwen2512Error(400, "Bad Request: 'seed' must be an integer.")
        width, _, height = size.partition("*")
        effective = {"api": "qwen2512", "prompt": prompt, "size": size, "seed": seed, "output_format": kind}
        return JobOrder(
            self.api, "", account.name, "qwen-image-2512", "async", prompt, "", None if seed < 0 else seed,
            (int(width), int(height)), body, effective, Decimal(CREDITS), "qwen2512", format=kind,
            webhook=str(body.get("callback_url") or ""),
        )  # fmt: skip

    def _status(self, request: Request, account: Account) -> Reply:
        job = self._world.book.by_id.get(request.params().get("task_id", ""))
        if job is None or job.order.account != account.name or self._world.forgotten(job):
            raise Qwen2512Error(404, "Not Found: the task does not exist.")
        return self._envelope(200, "success", self._data(job))

    def _data(self, job: EmulatedJob) -> dict[str, Any]:
        stage = job.stage(self._world.clock.now())
        failed = stage in (Stage.FAILED, Stage.CANCELED)
        urls = [self._world.link(job)] if stage is Stage.DONE and job.fate.kind == "done" else None
        return {
            "task_id": job.id,
            "status": WORDS[stage],
            "consumed_credits": 0 if failed else CREDITS,
            "error_message": ERRORS.get(job.fate.code, job.fate.message) if failed else None,
            "created_at": iso(job.accepted),
            "request": {"prompt": job.order.prompt, "size": f"{job.order.size[0]}*{job.order.size[1]}"},
            "response": urls,
        }

    def notice(self, job: EmulatedJob) -> tuple[bytes, dict[str, str]]:
        """Body and headers of what the callback address is told at the end of a task."""
        return dumps(self._data(job)), {}


def _body(request: Request) -> dict[str, Any]:
    try:
        body = request.json()
    except ValueError as error:
        raise Qwen2512Error(400, "Bad Request: the body is not JSON.") from error
    if not isinstance(body, dict):
        raise Qwen2512Error(400, "Bad Request: the body is not an object.")
    return body
