"""qwen-image-2512.org's wire: the envelope, FAILED inside 200, body code against HTTP status, formats, credits."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import httpx
import pytest

from qwenbuild.errors import (
    AccountStop,
    BadPicture,
    FailedAtProvider,
    Lost,
    NotFetched,
    ProviderError,
    Refused,
    Throttled,
    Uncertain,
)
from qwenbuild.images import placeholder_png
from qwenbuild.model import Ticket
from qwenbuild.pace.clock import FakeTime
from qwenbuild.ports import Gate
from tests.providers.bench import KEYS, action, build, order

BASE = "https://qwen-image-2512.org"
SUBMIT, STATUS = f"{BASE}/api/generate", f"{BASE}/api/status"
TASK = "n00example00qwenimg"
LINK = "https://cdn.example.com/a.png"
PICTURE = placeholder_png(action("qwen2512"))


def provider(clock: FakeTime | None = None, **settings: Any) -> Any:
    return build("qwen2512", KEYS, (clock or FakeTime()).waits(), **settings)


def task(status: str, code: int = 200, http: int = 200, **fields: Any) -> httpx.Response:
    data = {"task_id": TASK, "status": status, "consumed_credits": 5, "error_message": None, "response": None, **fields}
    return httpx.Response(http, json={"code": code, "message": "success", "data": data})


async def test_the_request_is_exactly_this(wire: Any) -> None:
    route = wire.post(SUBMIT).mock(return_value=task("IN_PROGRESS"))
    made, asked = provider(webhook="https://team.example/hook"), order("qwen2512", output_format="webp", seed=0)
    ticket = await made.submit(asked, made.body(asked), Gate())
    request = route.calls.last.request
    assert json.loads(request.content) == {
        "prompt": "a paper lantern",
        "size": "1024*1024",
        "seed": 0,
        "output_format": "webp",
        "callback_url": "https://team.example/hook",
    }
    assert request.headers["authorization"] == f"Bearer {KEYS['QWEN2512_API_KEY']}"
    assert ticket.task_id == TASK
    await made.close()


async def test_a_task_is_asked_for_every_five_seconds_and_bills_its_credits(wire: Any) -> None:
    clock = FakeTime()
    route = wire.get(STATUS, params={"task_id": TASK})
    route.mock(side_effect=[task("PENDING"), task("IN_PROGRESS"), task("SUCCESS", response=[LINK])])
    download = wire.get(LINK).mock(return_value=httpx.Response(200, content=PICTURE))
    made = provider(clock)
    picture = await made.collect(Ticket("qwen2512", BASE, TASK, facts={"accepted": clock.started}), action("qwen2512"))
    assert (picture.data, picture.billed) == (PICTURE, {"qwen2512": Decimal(5)})
    assert clock.slept == [5.0, 5.0, 5.0]
    assert "authorization" not in download.calls.last.request.headers
    await made.close()


async def test_another_format_than_asked_for_is_not_the_picture(wire: Any) -> None:
    wire.get(STATUS).mock(return_value=task("SUCCESS", response=[LINK]))
    wire.get(LINK).mock(return_value=httpx.Response(200, content=PICTURE))
    made = provider()
    with pytest.raises(BadPicture):
        await made.collect(Ticket("qwen2512", BASE, TASK), action("qwen2512", output_format="jpeg"))
    await made.close()


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (task("FAILED", error_message="Content policy violation detected", consumed_credits=0), Refused),
        (task("FAILED", error_message="GPU fell over", consumed_credits=0), FailedAtProvider),
        (task("SUCCESS", response=[]), NotFetched),
        (httpx.Response(404, json={"code": 404, "message": "task not found", "data": None}), Lost),
        (httpx.Response(200, json={"code": 404, "message": "task not found", "data": None}), Lost),
        (httpx.Response(200, json={"code": 401, "message": "bad key", "data": None}), AccountStop),
    ],
)
async def test_how_a_task_ends(wire: Any, answer: httpx.Response, error: type[ProviderError]) -> None:
    wire.get(STATUS).mock(return_value=answer)
    made = provider()
    with pytest.raises(ProviderError) as caught:
        await made.collect(Ticket("qwen2512", BASE, TASK), action("qwen2512"))
    assert type(caught.value) is error
    await made.close()


@pytest.mark.parametrize(
    ("code", "http", "message", "error", "kind"),
    [
        (400, 400, "Bad Request: 'prompt' is required.", Refused, ""),
        (400, 200, "Bad Request", Refused, ""),
        (200, 400, "success", Refused, ""),
        (401, 401, "bad key", AccountStop, "credentials"),
        (401, 200, "bad key", AccountStop, "credentials"),
        (403, 403, "forbidden", AccountStop, "credentials"),
        (402, 402, "pay", AccountStop, "quota"),
        (400, 200, "Insufficient credits", AccountStop, "quota"),
        (404, 404, "no such path", AccountStop, "endpoint"),
        (429, 429, "slow down", Throttled, ""),
        (500, 500, "server error", FailedAtProvider, ""),
        (500, 200, "server error", FailedAtProvider, ""),
        (200, 500, "success", FailedAtProvider, ""),
        (504, 504, "gateway", Uncertain, ""),
        (None, 500, "", Uncertain, ""),
        (None, 200, "", Uncertain, ""),
    ],
)
async def test_each_code_and_the_worse_of_the_two_wins(
    wire: Any, code: int | None, http: int, message: str, error: type[ProviderError], kind: str
) -> None:
    body = {"message": message, "data": None} if code is None else {"code": code, "message": message, "data": None}
    wire.post(SUBMIT).mock(return_value=httpx.Response(http, json=body))
    made, asked = provider(), order("qwen2512")
    with pytest.raises(ProviderError) as caught:
        await made.submit(asked, made.body(asked), Gate())
    assert type(caught.value) is error
    assert getattr(caught.value, "kind", "") == kind
    await made.close()
