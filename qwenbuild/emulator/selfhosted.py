"""Plays a self-hosted OpenAI-style image server (vLLM-Omni or SGLang) of Qwen-Image weights: one GPU, no accounts.

Knows nothing of the other APIs. Sides are rounded down to multiples of 16, as the pipeline behind such servers does.
"""

from __future__ import annotations

import base64
import re
from decimal import Decimal
from typing import Any

from qwenbuild.emulator.jobs import EmulatedJob, JobOrder
from qwenbuild.emulator.lanes import EmulatedPace
from qwenbuild.emulator.wire import Phase, Reply, Request, json_reply
from qwenbuild.emulator.world import EmulatorCore

PACE = EmulatedPace(float("inf"), 1.0, 1)
SIZE = re.compile(r"([1-9]\d{0,4})x([1-9]\d{0,4})")
FILE = re.compile(r"/openai/v1/files/([\w-]+)/(\d)")
FORMATS = ("png", "jpeg", "webp")
NUMBERS = {"num_inference_steps": (1, 200), "true_cfg_scale": (0, 20), "guidance_scale": (0, 20)}


class SelfHostedError(Exception):
    """An error answer."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


class SelfHosted:
    """One server with one model."""

    api = "openai"
    region = ""
    prefix = "/openai/"

    def __init__(self, world: EmulatorCore) -> None:
        self._world = world

    def phase(self, request: Request) -> Phase:
        """By path."""
        if FILE.fullmatch(request.path):
            return "download"
        return "submit" if request.path.endswith("/v1/images/generations") else "info"

    def subject(self, request: Request, phase: Phase) -> str:
        """The prompt, or the job whose picture is asked for."""
        picture = FILE.fullmatch(request.path)
        return picture[1] if picture else request.prompt()

    def refuse(self, status: int, code: str, message: str) -> Reply:
        """The error envelope of the server that is played."""
        if self._world.settings.server == "sglang":
            return json_reply(status, {"detail": message})
        return json_reply(status, {"error": {"message": message, "type": code or "BadRequestError", "code": status}})

    def handle(self, request: Request) -> Reply:
        """Answer honestly; a credential here is a leak."""
        self._world.book.leaked(request, "openai")
        path = request.path.removeprefix("/openai")
        try:
            if (request.method, path) == ("POST", "/v1/images/generations"):
                return self._generate(request)
            if (request.method, path) == ("GET", "/v1/models"):
                return json_reply(
                    200, {"object": "list", "data": [{"id": self._world.settings.served_model, "object": "model"}]}
                )
            if (request.method, path) == ("GET", "/health"):
                return json_reply(200, {})
            picture = FILE.fullmatch(request.path)
            if picture and picture[1] in self._world.book.by_id:
                return Reply(200, self._world.picture_for(picture[1], int(picture[2])), (("content-type", "image/png"),))
            raise SelfHostedError(404, "Not Found")
        except SelfHostedError as stop:
            return self.refuse(stop.status, "", stop.message)

    def _generate(self, request: Request) -> Reply:
        order = self._wanted(_body(request))
        lane, pace = self._world.lane(self.api, "", "", order.model), self._world.pace(PACE)
        if self._world.admit(lane, pace):
            raise SelfHostedError(503, "The server is overloaded.")
        job = self._world.accept(order, lane, pace.concurrency)
        if job.fate.kind != "done":
            code = 400 if job.fate.code.startswith("Data") else 500
            reply = self.refuse(code, "", job.fate.message)
            return Reply(reply.status, reply.body, reply.headers, job.end)
        return self._pictures(job)

    def _pictures(self, job: EmulatedJob) -> Reply:
        shape = self._world.settings.answer_shape
        entries: Any = [self._entry(job, index, shape) for index in range(job.order.n if shape != "none" else 0)]
        answer: dict[str, Any] = {"created": int(job.accepted), "data": entries[0] if shape == "one" else entries}
        if shape == "error":
            answer = {"error": {"message": "CUDA out of memory while decoding", "type": "server_error"}}
        width, height = job.order.size
        more = {"output_format": job.order.format, "size": f"{width}x{height}"}
        if self._world.settings.server == "sglang":
            more = {"id": job.id, "inference_time_s": str(job.end - job.start)}
        return json_reply(200, answer | more, ready=job.end)

    def _entry(self, job: EmulatedJob, index: int, shape: str) -> dict[str, Any]:
        """One picture of an answer, as this server spells it."""
        data, path = self._world.picture_for(job.id, index), f"/openai/v1/files/{job.id}/{index}"
        text = base64.b64encode(data[:-20] if shape == "cut" else data).decode()
        link = {"url": self._world.origins["api"] + path, "relative_url": path, "data_in_url": f"data:image/png;base64,{text}"}
        spelled = {
            "data_url": f"data:image/png;base64,{text}",
            "lines": base64.encodebytes(data).decode(),
            "url_safe": base64.urlsafe_b64encode(data).decode().rstrip("="),
        }
        written = None if shape in link else spelled.get(shape, text)
        return {"b64_json": written, "url": link.get(shape), "revised_prompt": None}

    def _wanted(self, body: dict[str, Any]) -> JobOrder:
        served = self._world.settings.served_model
        self._envelope(body, served)
        size = _size(body, "1024x1024")
        kind = body.get("output_format", "png")
        if kind not in FORMATS:
            raise SelfHostedError(400, f"output_format must be one of {', '.join(FORMATS)}")
        count = _number(body, "n", 1, 10, 1)
        for name, (low, high) in NUMBERS.items():
            _number(body, name, low, high, None)
        seed = body.get("seed")
        if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int)):
            raise SelfHostedError(400, "seed must be an integer")
        keys = ("prompt", "negative_prompt", "seed", "output_format", *NUMBERS)
        effective = {"api": "openai", "model": served, "size": list(size)} | {name: body.get(name) for name in keys}
        negative = str(body.get("negative_prompt") or "")
        return JobOrder(
            self.api, "", "", served, "sync", body["prompt"], negative, seed, size, body, effective,
            Decimal(0), "usd", int(count or 1), format=kind,
        )  # fmt: skip

    def _envelope(self, body: dict[str, Any], served: str) -> None:
        if not isinstance(body.get("prompt"), str) or not body["prompt"]:
            raise SelfHostedError(422 if self._world.settings.server == "vllm" else 400, "prompt: field required")
        if body.get("model", served) != served:
            raise SelfHostedError(400, f"The model `{body.get('model')}` does not exist; this server serves `{served}`.")
        default = "b64_json" if self._world.settings.server == "vllm" else "url"
        if body.get("response_format", default) != "b64_json":
            raise SelfHostedError(400, "only response_format b64_json is available on this server")


def _size(body: dict[str, Any], default: str) -> tuple[int, int]:
    text = body.get("size", default)
    match = SIZE.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise SelfHostedError(400, "size must be WIDTHxHEIGHT, such as 1328x1328")
    width, height = (int(side) // 16 * 16 for side in match.groups())
    if not (16 <= width <= 4096 and 16 <= height <= 4096):
        raise SelfHostedError(400, "each side must be between 16 and 4096 pixels")
    return width, height


def _number(body: dict[str, Any], name: str, low: float, high: float, default: float | None) -> float | None:
    value = body.get(name, default)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise SelfHostedError(400, f"{name} must be between {low} and {high}")
    return value


def _body(request: Request) -> dict[str, Any]:
    try:
        body = request.json()
    except ValueError as error:
        raise SelfHostedError(400, "invalid JSON") from error
    if not isinstance(body, dict):
        raise SelfHostedError(422, "the body must be an object")
    return body
