"""Plays Apiframe v2: jobs, credits, an idempotency store of 24 hours, two dialects, signed webhooks.

Knows nothing of the other APIs. Where the vendor's page and its OpenAPI document contradict each other, a setting decides.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from email import message_from_bytes
from typing import Any

from qwenbuild.emulator import apiframe_first
from qwenbuild.emulator.clock import iso
from qwenbuild.emulator.dashscope_rules import MAX_SEED, image_digest
from qwenbuild.emulator.jobs import EmulatedJob, JobOrder, Stage
from qwenbuild.emulator.lanes import EmulatedPace
from qwenbuild.emulator.settings import Account
from qwenbuild.emulator.wire import Phase, Reply, Request, dumps, json_reply
from qwenbuild.emulator.world import EmulatorCore

MODELS = {"qwen-image-2": 3, "qwen-image-2-pro": 6, "qwen-image": 3}
"""Credits for a picture. 3 is documented for qwen-image-2; the others are ours."""
PACE = EmulatedPace(2, 1.0, 4)
"""The vendor publishes no figures."""
SIZES = {
    "1:1": (1328, 1328), "2:3": (1056, 1584), "3:2": (1584, 1056), "3:4": (1104, 1472), "4:3": (1472, 1104),
    "9:16": (928, 1664), "16:9": (1664, 928), "21:9": (1792, 768), "2:1": (1664, 832), "1:2": (832, 1664),
}  # fmt: skip
DOCS_RATIOS = [ratio for ratio in SIZES if ratio not in ("2:1", "1:2")]
UUID = re.compile(r"[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}")
WORDS = {
    Stage.WAITING: "QUEUED",
    Stage.RUNNING: "PROCESSING",
    Stage.DONE: "COMPLETED",
    Stage.FAILED: "FAILED",
    Stage.CANCELED: "CANCELLED",
}
ERRORS = {
    "DataInspectionFailed": "Provider returned an error: content policy violation",
    "InternalError.Algo": "Provider returned an error: something went wrong",
}
EVENTS = ("progress", "completed", "failed")


class ApiframeError(Exception):
    """An error answer."""

    def __init__(self, status: int, message: str, **more: Any) -> None:
        super().__init__(message)
        self.status, self.message, self.more = status, message, more


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one edition of the documents spells things."""

    params: Mapping[str, str]
    """Model → name of its parameter object."""
    webhook: str
    ratios: tuple[str, ...]


DOCS = Dialect(dict.fromkeys(MODELS, "qwenParams"), "webhook_url", tuple(DOCS_RATIOS))
OPENAPI = Dialect(
    {"qwen-image-2": "qwenImage2Params", "qwen-image-2-pro": "qwenImage2Params", "qwen-image": "qwenImageParams"},
    "webhookUrl",
    tuple(SIZES),
)
DIALECTS = {"docs": (DOCS,), "openapi": (OPENAPI,), "lenient": (DOCS, OPENAPI)}


class ApiframeFront:
    """The one region."""

    api = "apiframe"
    region = ""
    prefix = "/apiframe/"

    def __init__(self, world: EmulatorCore) -> None:
        self._world = world
        self._replays: dict[tuple[str, str], tuple[str, str, float]] = {}

    def phase(self, request: Request) -> Phase:
        """By path."""
        path = request.path
        if path.endswith("/v2/images/generate"):
            return "submit"
        if "/v2/jobs/" in path:
            return "poll"
        return "list" if path.endswith("/v2/jobs") else "info"

    def subject(self, request: Request, phase: Phase) -> str:
        """The prompt of a submission; the job of a query."""
        if phase != "submit":
            return request.path.rsplit("/", 1)[-1]
        return request.prompt()

    def refuse(self, status: int, code: str, message: str) -> Reply:
        """Apiframe's error: a text."""
        return _with_id(status, {"error": message})

    def handle(self, request: Request) -> Reply:
        """Answer honestly."""
        try:
            return self._route(request)
        except ApiframeError as stop:
            reply = _with_id(stop.status, {"error": stop.message, **stop.more})
            wait = self._world.settings.retry_after or "1"
            return reply.with_headers(("retry-after", wait)) if stop.status == 429 else reply

    def _route(self, request: Request) -> Reply:
        path = request.path.removeprefix("/apiframe")
        if (request.method, path) == ("GET", "/v2/models"):
            return _with_id(200, {"models": [{"id": name, "creditCost": cost} for name, cost in MODELS.items()]})
        account = self._account(request)
        if (request.method, path) == ("POST", "/v2/images/generate"):
            return self._submit(request, account)
        if request.method == "GET" and path.startswith("/v2/jobs/"):
            return self._job(path.removeprefix("/v2/jobs/"), account)
        if (request.method, path) == ("GET", "/v2/jobs") and self._world.settings.listing:
            return self._list(request, account)
        if (request.method, path) == ("GET", "/v2/me"):
            return self._me(account)
        if (request.method, path) == ("POST", "/v2/uploads"):
            return self._upload(request)
        raise ApiframeError(404, "Not found")

    def _account(self, request: Request) -> Account:
        key = request.headers.get("x-api-key", "").strip()
        if not key:
            raise ApiframeError(401, "API key is required")
        account = self._world.account(self.api, "", key)
        if account is None:
            raise ApiframeError(401, "Invalid API key")
        if account.inactive:
            raise ApiframeError(403, "API key is inactive")
        return account

    # -- submissions ---------------------------------------------------------------------------------------------------

    def _submit(self, request: Request, account: Account) -> Reply:
        key = request.headers.get("idempotency-key", "")
        if len(key) > 255:
            raise ApiframeError(400, "Validation failed", details={"Idempotency-Key": ["must be at most 255 characters"]})
        before = self._replay(key, request, account)
        if before is not None:
            return before
        order = self._wanted(_body(request), account, key)
        lane, pace = self._world.lane(self.api, "", account.name, order.model), self._world.pace(PACE)
        if self._world.admit(lane, pace):
            raise ApiframeError(429, "Rate limit exceeded")
        if account.credits < order.price:
            required, available = int(order.price), account.credits
            raise ApiframeError(402, "Insufficient credits", creditsRequired=required, creditsAvailable=available)
        job = self._world.accept(order, lane, pace.concurrency)
        if key:
            self._replays[account.name, key] = (hashlib.sha256(request.body).hexdigest(), job.id, job.accepted)
        return _with_id(202, {"jobId": job.id, "status": "QUEUED"})

    def _replay(self, key: str, request: Request, account: Account) -> Reply | None:
        replay = self._replays.get((account.name, key)) if key and self._world.settings.idempotency else None
        if replay is None or self._world.clock.now() > replay[2] + 86400:
            return None
        if replay[0] != hashlib.sha256(request.body).hexdigest():
            raise ApiframeError(409, "Idempotency key was already used with a different request body")
        self._world.replays += 1
        job = self._world.book.by_id[replay[1]]
        return _with_id(202, {"jobId": job.id, "status": WORDS[job.stage(self._world.clock.now())]})

    def _wanted(self, body: dict[str, Any], account: Account, key: str) -> JobOrder:
        details: dict[str, list[str]] = {}
        model = body.get("model")
        if not isinstance(model, str) or model not in MODELS:
            raise ApiframeError(400, "Validation failed", details={"model": [f"must be one of {', '.join(MODELS)}"]})
        prompt = _text(body, "prompt", "prompt", 2000, details, required=True)
        dialects = DIALECTS[self._world.settings.dialect]
        params = _params(body, model, dialects, details)
        negative = _text(params, "negative_prompt", "params.negative_prompt", 500, details)
        ratio = params.get("aspect_ratio", "1:1")
        if not any(ratio in dialect.ratios for dialect in dialects):
            details["params.aspect_ratio"] = [f"must be one of {', '.join(dialects[-1].ratios)}"]
        seed = _seed(params, details)
        image = _text(params, "image", "params.image", 100_000, details)
        webhook = next((str(body[one.webhook]) for one in dialects if body.get(one.webhook)), "")
        if details:
            raise ApiframeError(400, "Validation failed", details=details)
        effective = {
            "api": "apiframe", "model": model, "prompt": prompt, "negative_prompt": negative, "aspect_ratio": ratio,
            "seed": seed, "image": image_digest(image) if image else "",
        } | params.get("more", {})  # fmt: skip
        count = int(params.get("count", 1))
        return JobOrder(
            self.api, "", account.name, model, "async", prompt, negative, seed, params.get("pixels", SIZES[ratio]), body,
            effective, Decimal(MODELS[model]) * count, "apiframe", count, format=params.get("format", "png"),
            idempotency_key=key, webhook=webhook,
        )  # fmt: skip

    # -- jobs ----------------------------------------------------------------------------------------------------------

    def _job(self, identity: str, account: Account) -> Reply:
        if not UUID.fullmatch(identity):
            raise ApiframeError(400, "Invalid job id", details={"id": ["must be a UUID"]})
        job = self._world.book.by_id.get(identity)
        if job is None or job.order.account != account.name or (job.fate.kind == "unknown" and self._world.forgotten(job)):
            raise ApiframeError(404, "Job not found")
        return _with_id(200, self._shape(job))

    def _shape(self, job: EmulatedJob) -> dict[str, Any]:
        stage = job.stage(self._world.clock.now())
        ended = stage in (Stage.DONE, Stage.FAILED, Stage.CANCELED)
        done = stage is Stage.DONE and job.fate.kind == "done"
        expired = self._world.forgotten(job)
        cost = int(job.order.price) if stage is Stage.DONE else 0 if ended else None
        return {
            "id": job.id,
            "status": WORDS[stage],
            "model": job.order.model,
            "progress": 100 if stage is Stage.DONE else 0 if stage is Stage.WAITING else None if ended else 50,
            "result": self._result(job) if done and not expired else None,
            "error": self._error(job) if stage is Stage.FAILED or (job.fate.kind == "item_error" and ended) else None,
            "creditCost": cost,
            "webhookStatus": job.webhook_status,
            "createdAt": iso(job.accepted),
            "completedAt": iso(job.canceled or job.end) if ended else None,
            "expired": expired,
        }

    def _result(self, job: EmulatedJob) -> Any:
        urls = [self._world.link(job, index) for index in range(job.order.n)]
        shapes = {"images": {"images": urls}, "list": urls, "string": urls[0], "url": {"url": urls[0]}}
        return shapes[self._world.settings.result_shape]

    def _error(self, job: EmulatedJob) -> str:
        return ERRORS.get(job.fate.code, job.fate.message)

    def _list(self, request: Request, account: Account) -> Reply:
        params, now = request.params(), self._world.clock.now()
        limit = params.get("limit", "20")
        if not limit.isdigit() or not 1 <= int(limit) <= 100:
            raise ApiframeError(400, "Validation failed", details={"limit": ["must be between 1 and 100"]})
        lag, cursor = self._world.settings.listing_lag, params.get("cursor", "")
        jobs = [
            job for job in reversed(self._world.book.jobs) if job.order.account == account.name and job.accepted + lag <= now
        ]
        jobs = [job for job in jobs if params.get("status", WORDS[job.stage(now)]) == WORDS[job.stage(now)]]
        jobs = [job for job in jobs if params.get("model", job.order.model) == job.order.model]
        jobs = [job for job in jobs if not cursor.isdigit() or job.number < int(cursor)]
        shown = jobs[: int(limit)]
        more = len(jobs) > len(shown)
        cut = str(shown[-1].number) if more else None
        return _with_id(200, {"jobs": [self._shape(job) for job in shown], "nextCursor": cut, "hasMore": more})

    def _me(self, account: Account) -> Reply:
        prefix = account.keys[0][:8] if account.keys else ""
        return _with_id(200, {
            "user": {"id": "user-1", "email": "someone@example.com"},
            "team": {"id": "team-1", "name": account.name, "credits": account.credits, "plan": "pro"},
            "apiKey": {"id": "key-1", "name": "emulated", "prefix": prefix},
        })  # fmt: skip

    def _upload(self, request: Request) -> Reply:
        """Keep nothing but what the file was: its digest becomes the address."""
        kind, content = _file(request)
        expires = self._world.clock.now() + 3600
        url = f"{self._world.origins['storage']}/uploads/{hashlib.sha256(content).hexdigest()}"
        answer = {"id": str(uuid.uuid4()), "url": url, "kind": "image", "contentType": kind, "byteSize": len(content)}
        return _with_id(201, answer | {"expiresAt": iso(expires)})

    # -- webhooks ------------------------------------------------------------------------------------------------------

    def notice(self, job: EmulatedJob) -> tuple[bytes, dict[str, str]]:
        """Body and headers of what a webhook is told at the end of a job."""
        shape = self._shape(job)
        event = "completed" if shape["status"] == "COMPLETED" else "failed"
        names = {
            "completed": ("status", "progress", "result", "model", "creditCost", "completedAt"),
            "failed": ("status", "error", "model"),
        }
        body = dumps({"event": event, "jobId": job.id, **{name: shape[name] for name in names[event]}})
        account = next(one for one in self._world.accounts if one.name == job.order.account)
        secret = hashlib.sha256(account.keys[0].encode()).digest()
        signed = hmac.new(secret, body, hashlib.sha256).hexdigest()
        return body, {"X-Webhook-Event": event, "X-Webhook-Signature": f"sha256={signed}"}


def _with_id(status: int, value: dict[str, Any]) -> Reply:
    return json_reply(status, value, ("x-request-id", str(uuid.uuid4())))


def _body(request: Request) -> dict[str, Any]:
    try:
        body = request.json()
    except ValueError as error:
        raise ApiframeError(400, "Invalid JSON") from error
    if not isinstance(body, dict):
        raise ApiframeError(400, "Validation failed", details={"": ["must be an object"]})
    return body


def _file(request: Request) -> tuple[str, bytes]:
    """Content type and bytes of the part called `file`."""
    head = f"Content-Type: {request.headers.get('content-type', '')}\r\n\r\n".encode("latin-1", "replace")
    for part in message_from_bytes(head + request.body).walk():
        if part.get_param("name", header="content-disposition") == "file":
            content = part.get_payload(decode=True)
            if isinstance(content, bytes) and len(content) <= 25 * 1024 * 1024:
                return part.get_content_type(), content
    raise ApiframeError(400, "Validation failed", details={"file": ["must be a file of at most 25 MB"]})


def _params(body: dict[str, Any], model: str, dialects: tuple[Dialect, ...], details: dict[str, list[str]]) -> dict[str, Any]:
    """The parameter object under a name that the dialect knows; anything else is refused by name."""
    names = {dialect.params[model] for dialect in dialects}
    allowed = {"prompt", "model", *names, *(dialect.webhook for dialect in dialects)}
    if OPENAPI in dialects:
        allowed.add("webhookEvents")
    for name in sorted(set(body) - allowed):
        details[name] = ["unrecognized key"]
    name = next((name for name in sorted(names) if name in body), "")
    params: Any = body.get(name, {})
    if not isinstance(params, dict):
        details[min(names)] = ["must be an object"]
        return {}
    if name == apiframe_first.NAME:
        return apiframe_first.in_common_words(params, details)
    for name in sorted(set(params) - {"image", "negative_prompt", "seed", "aspect_ratio"}):
        details[f"{min(names)}.{name}"] = ["unrecognized key"]
    return params


def _text(
    source: dict[str, Any], name: str, path: str, most: int, details: dict[str, list[str]], *, required: bool = False
) -> str:
    value = source.get(name)
    if value is None and not required:
        return ""
    if not isinstance(value, str) or (required and not value):
        details[path] = ["must be a string that is not empty"]
        return ""
    if len(value) > most:
        details[path] = [f"must be at most {most} characters"]
    return value


def _seed(params: dict[str, Any], details: dict[str, list[str]]) -> int | None:
    seed = params.get("seed")
    if seed is None:
        return None
    if isinstance(seed, bool) or not isinstance(seed, int) or abs(seed) > MAX_SEED:
        details["params.seed"] = ["must be an integer"]
        return None
    return seed
