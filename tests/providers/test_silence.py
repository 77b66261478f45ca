"""What a provider's answer about a task leaves unsaid ends no ticket: every provider with tasks × every such answer."""

from __future__ import annotations

import json
from typing import Any

import pytest

from qwenbuild.errors import ProviderError
from qwenbuild.images import placeholder_png
from qwenbuild.model import Ticket
from qwenbuild.pace.clock import FakeTime
from tests.providers.bench import action, at, http, server

TASK = "n00example00task"
PICTURE = "https://x.aliyuncs.com/a.png"


def dashscope(status: Any, url: str = "", id: str | None = TASK) -> dict[str, Any]:
    output = {"task_id": id, "task_status": status, "results": [{"url": url}] if url else []}
    return {"request_id": "r", "output": {name: value for name, value in output.items() if value is not None}}


def apiframe(status: Any, url: str = "", id: str | None = TASK) -> dict[str, Any]:
    job = {
        "id": id,
        "status": status,
        "result": {"images": [url]} if url else None,
        "error": "m" if status == "FAILED" else None,
    }
    return {name: value for name, value in job.items() if name != "id" or value is not None}


def qwen2512(status: Any, url: str = "", id: str | None = TASK) -> dict[str, Any]:
    data = {"task_id": id, "status": status, "response": [url] if url else None, "error_message": None}
    return {"code": 200, "message": "success", "data": {k: v for k, v in data.items() if k != "task_id" or v is not None}}


SHAPES = {"dashscope": (dashscope, "SUCCEEDED"), "apiframe": (apiframe, "COMPLETED"), "qwen2512": (qwen2512, "SUCCESS")}


def page(status: int, text: str = "<html>nginx</html>") -> bytes:
    return http(status, text.encode())


def answers(kind: str) -> dict[str, bytes]:
    """Answers that look like an end to a hasty reader."""
    shape, done = SHAPES[kind]
    values = {
        "a failure that names no task": shape("FAILED", id=None),
        "a failure of another task": shape("FAILED", id="another"),
        "a failure that names its picture": shape("FAILED", PICTURE),
        "a success of another task": shape(done, PICTURE, id="another"),
        "a state that nobody knows": shape("ARCHIVED"),
        "no state": shape(None),
        "a state that is a number": shape(7),
        "an empty object": {},
        "an error in a 200": {"code": "InternalError", "message": "m", "error": "m"},
        "throttled, in a 200": {"code": "Throttling", "message": "m", "error": "m"},
        "null where the task should be": {"code": 200, "output": None, "data": None},
    }
    pages = {f"a {status} page": page(status) for status in (200, 400, 401, 403, 404, 410, 429, 500, 502, 503)}
    nothing = {f"a {status} of nothing": page(status, "") for status in (200, 401, 403, 404)}
    return {**{name: http(200, json.dumps(value).encode()) for name, value in values.items()}, **pages, **nothing}


CASES = [(kind, name) for kind in SHAPES for name in answers(kind)]


@pytest.mark.parametrize(("kind", "name"), CASES)
async def test_an_answer_that_is_not_the_providers_own_word_ends_no_ticket(kind: str, name: str) -> None:
    async with server(lambda _: answers(kind)[name]) as (url, _):
        clock = FakeTime()
        provider = at(kind, url, clock.waits(), timeout=600)
        ticket = Ticket(kind, provider.base_url, TASK, facts={"call": "async", "accepted": clock.started - 60})
        with pytest.raises(ProviderError) as caught:
            await provider.collect(ticket, action(kind))
        await provider.close()
    assert type(caught.value).__name__ in ("Unavailable", "Throttled", "Waiting"), caught.value


@pytest.mark.parametrize("kind", SHAPES)
async def test_a_success_that_names_its_picture_a_moment_late_is_fetched(kind: str) -> None:
    shape, done = SHAPES[kind]
    drawn = placeholder_png(action(kind))
    asked = []

    def say(request: bytes) -> bytes:
        if b"/a.png" in request.split(b"\r\n")[0]:
            return http(200, drawn)
        asked.append(request)
        return http(200, json.dumps(shape(done, f"{address[0]}/a.png" if len(asked) > 3 else "")).encode())

    address: list[str] = []
    async with server(say) as (url, _):
        address.append(url)
        clock = FakeTime()
        provider = at(kind, url, clock.waits(), timeout=600)
        ticket = Ticket(kind, provider.base_url, TASK, facts={"call": "async", "accepted": clock.started - 60})
        assert (await provider.collect(ticket, action(kind))).data == drawn
        await provider.close()
    assert len(asked) == 4
