"""Apiframe's wire: both dialects, the idempotency key, four shapes of a result, credits, every error of its table."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import httpx
import pytest

from qwenbuild.emulator import Served
from qwenbuild.errors import (
    AccountStop,
    FailedAtProvider,
    Lost,
    NotFetched,
    ProviderError,
    Refused,
    Throttled,
    Unavailable,
    Uncertain,
)
from qwenbuild.images import placeholder_png
from qwenbuild.model import Ticket
from qwenbuild.pace.clock import FakeTime
from qwenbuild.ports import Gate
from tests.providers.bench import KEYS, action, build, order

BASE = "https://api.apiframe.ai"
SUBMIT = f"{BASE}/v2/images/generate"
JOB = "22222222-3333-4444-8555-666666666666"
LINK = "https://cdn2.apiframe.ai/x/y.png"
PICTURE = placeholder_png(action("placeholder"))


def provider(clock: FakeTime | None = None, **settings: Any) -> Any:
    return build("apiframe", KEYS, (clock or FakeTime()).waits(), **settings)


def job(status: str, **fields: Any) -> httpx.Response:
    known = {"id": JOB, "status": status, "model": "qwen-image-2", "result": None, "error": None, "creditCost": None}
    return httpx.Response(200, json={**known, **fields})


async def sent(wire: Any, generation: int = 0, **settings: Any) -> httpx.Request:
    inputs = settings.pop("inputs", ())
    changes = settings.pop("changes", {})
    route = wire.post(SUBMIT).mock(return_value=httpx.Response(202, json={"jobId": JOB, "status": "QUEUED"}))
    made, asked = provider(**settings), order("apiframe", generation, inputs, **changes)
    await made.submit(asked, made.body(asked), Gate())
    await made.close()
    return route.calls.last.request


async def test_the_documented_request_is_exactly_this(wire: Any) -> None:
    request = await sent(wire)
    assert json.loads(request.content) == {
        "model": "qwen-image-2",
        "prompt": "a paper lantern",
        "qwenParams": {"negative_prompt": "blurry", "seed": 7, "aspect_ratio": "16:9"},
    }
    assert request.headers["x-api-key"] == KEYS["APIFRAME_API_KEY"]
    assert "authorization" not in request.headers


async def test_the_other_dialect_has_other_names(wire: Any) -> None:
    request = await sent(wire, dialect="openapi", webhook="https://team.example/hook")
    assert json.loads(request.content) == {
        "model": "qwen-image-2",
        "prompt": "a paper lantern",
        "qwenImage2Params": {"negative_prompt": "blurry", "seed": 7, "aspect_ratio": "16:9"},
        "webhookUrl": "https://team.example/hook",
        "webhookEvents": ["completed", "failed"],
    }
    request = await sent(wire, webhook="https://team.example/hook")
    assert json.loads(request.content)["webhook_url"] == "https://team.example/hook"


async def test_the_first_models_parameters_have_an_object_of_their_own(wire: Any) -> None:
    changes = {"model": "qwen-image", "size": "3:4", "extra": (("acceleration", "high"), ("guidance_scale", "4.5"))}
    request = await sent(wire, dialect="openapi", changes=changes)
    assert json.loads(request.content)["qwenImageParams"] == {
        "num_images": 1,
        "output_format": "png",
        "seed": 7,
        "negative_prompt": "blurry",
        "image_size": "portrait_4_3",
        "acceleration": "high",
        "guidance_scale": 4.5,
    }


async def test_no_size_and_no_negative_prompt_are_left_out(wire: Any) -> None:
    request = await sent(wire, changes={"size": "", "negative_prompt": ""})
    assert json.loads(request.content)["qwenParams"] == {"seed": 7}


UPLOADED = "https://uploads.example/one.png"


async def test_a_reference_image_is_uploaded_once_and_its_address_passed_on(wire: Any) -> None:
    upload = wire.post(f"{BASE}/v2/uploads").mock(return_value=httpx.Response(201, json={"url": UPLOADED}))
    submit = wire.post(SUBMIT).mock(return_value=httpx.Response(202, json={"jobId": JOB, "status": "QUEUED"}))
    made = provider()
    for _ in range(2):
        asked = await made.prepare(order("apiframe", 0, ((b"one", "image/png"),)))
        await made.submit(asked, made.body(asked), Gate())
    await made.close()
    assert json.loads(submit.calls.last.request.content)["qwenParams"]["image"] == UPLOADED
    assert upload.call_count == 1
    sent = upload.calls.last.request
    boundary = sent.headers["content-type"].partition("boundary=")[2]
    assert sent.content.startswith(f"--{boundary}\r\n".encode())
    assert b'name="file"' in sent.content
    assert b"\r\n\r\none\r\n--" in sent.content


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (httpx.Response(401, json={"error": "Invalid API key"}), AccountStop),
        (httpx.Response(400, json={"error": "file is no image"}), Refused),
        (httpx.Response(502, text="<html>"), Unavailable),
        (httpx.Response(201, json={}), Unavailable),
    ],
)
async def test_an_upload_that_fails_costs_nothing(wire: Any, answer: httpx.Response, error: type) -> None:
    wire.post(f"{BASE}/v2/uploads").mock(return_value=answer)
    made = provider()
    with pytest.raises(error):
        await made.prepare(order("apiframe", 0, ((b"one", "image/png"),)))
    await made.close()


async def test_an_address_that_may_have_died_is_not_put_into_a_paid_request(wire: Any) -> None:
    """Apiframe keeps an upload for an hour or two: a long build hands its picture over again."""
    fresh = [httpx.Response(201, json={"url": f"https://uploads.example/{number}.png"}) for number in range(3)]
    wire.post(f"{BASE}/v2/uploads").mock(side_effect=fresh)
    clock, addresses = FakeTime(), []
    made = provider(clock)
    for wait in (0.0, 1700.0, 200.0, 3600.0):
        clock.now += wait
        asked = await made.prepare(order("apiframe", 0, ((b"one", "image/png"),)))
        addresses.append(json.loads(made.body(asked))["qwenParams"]["image"])
    await made.close()
    assert addresses == [f"https://uploads.example/{number}.png" for number in (0, 0, 1, 2)]


async def test_every_attempt_has_its_own_idempotency_key_and_a_resend_keeps_it(wire: Any) -> None:
    keys = [(await sent(wire, generation)).headers["idempotency-key"] for generation in (0, 0, 1)]
    asked = order("apiframe")
    assert keys == [f"qwenbuild-{asked.key[:48]}-{number}" for number in (0, 0, 1)]


async def test_a_lost_answer_sent_again_makes_one_job(emulator: Served) -> None:
    made, asked = build("apiframe", emulator.environ()), order("apiframe")
    emulator.fault("accepted", "close")
    with pytest.raises(Uncertain):
        await made.submit(asked, made.body(asked), Gate())
    ticket = await made.submit(asked, made.body(asked), Gate())
    assert (await made.collect(ticket, asked.action)).data
    assert len(emulator.ledger()) == 1
    await made.close()


SHAPES = [LINK, [LINK], {"images": [LINK]}, {"url": LINK}]


@pytest.mark.parametrize("result", SHAPES)
async def test_four_shapes_of_a_result_are_read(wire: Any, result: Any) -> None:
    clock = FakeTime()
    wire.get(f"{BASE}/v2/jobs/{JOB}").mock(
        side_effect=[job("QUEUED"), job("PROCESSING"), job("COMPLETED", result=result, creditCost=3)]
    )
    download = wire.get(LINK).mock(return_value=httpx.Response(200, content=PICTURE))
    made = provider(clock)
    picture = await made.collect(Ticket("apiframe", BASE, JOB, facts={"accepted": clock.started}), action("apiframe"))
    assert (picture.data, picture.billed) == (PICTURE, {"apiframe": Decimal(3)})
    assert clock.slept == [2.0, 3.0, 4.5]
    assert "x-api-key" not in download.calls.last.request.headers
    await made.close()


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (job("FAILED", error="Provider returned an error: content policy violation"), Refused),
        (job("FAILED", error="Unsupported value"), Refused),
        (job("FAILED", error="upstream exploded"), FailedAtProvider),
        (job("FAILED"), FailedAtProvider),
        (job("CANCELLED"), FailedAtProvider),
        (job("COMPLETED", result=None), NotFetched),
        (job("COMPLETED", result={"images": [LINK]}, expired=True), NotFetched),
        (httpx.Response(404, json={"error": "Job not found"}), Lost),
        (httpx.Response(401, json={"error": "Invalid API key"}), AccountStop),
    ],
)
async def test_how_a_job_ends(wire: Any, answer: httpx.Response, error: type[ProviderError]) -> None:
    wire.get(f"{BASE}/v2/jobs/{JOB}").mock(return_value=answer)
    made = provider()
    with pytest.raises(ProviderError) as caught:
        await made.collect(Ticket("apiframe", BASE, JOB), action("apiframe"))
    assert type(caught.value) is error
    await made.close()


@pytest.mark.parametrize(
    ("status", "body", "error", "kind"),
    [
        (400, {"error": "Validation failed", "details": {"prompt": ["too long"]}}, Refused, ""),
        (400, {"error": "Validation failed", "details": {"qwenParams": ["unknown key"]}}, AccountStop, "endpoint"),
        (400, {"error": "Validation failed", "details": {"webhook_url": ["unknown key"]}}, AccountStop, "endpoint"),
        (401, {"error": "Invalid API key"}, AccountStop, "credentials"),
        (402, {"error": "Insufficient credits", "creditsRequired": 3, "creditsAvailable": 1}, AccountStop, "quota"),
        (403, {"error": "API key is inactive"}, AccountStop, "credentials"),
        (409, {"error": "Idempotency key reused"}, Refused, ""),
        (429, {"error": "Rate limit"}, Throttled, ""),
        (500, {"error": "Oops"}, FailedAtProvider, ""),
        (501, {"error": "Not implemented"}, AccountStop, "endpoint"),
        (503, {"error": "Busy"}, FailedAtProvider, ""),
        (503, None, Uncertain, ""),
        (202, {"status": "QUEUED"}, Uncertain, ""),
    ],
)
async def test_each_error_of_the_table(wire: Any, status: int, body: Any, error: type[ProviderError], kind: str) -> None:
    answer = httpx.Response(status, text="<html>") if body is None else httpx.Response(status, json=body)
    wire.post(SUBMIT).mock(return_value=answer)
    made, asked = provider(), order("apiframe")
    with pytest.raises(ProviderError) as caught:
        await made.submit(asked, made.body(asked), Gate())
    assert type(caught.value) is error
    assert getattr(caught.value, "kind", "") == kind
    if status == 402:
        assert "3 credits needed, 1 there" in caught.value.message
    if kind == "endpoint" and status == 400:
        assert "dialect: openapi" in caught.value.message
    await made.close()


async def test_retry_after_may_be_a_date(wire: Any) -> None:
    clock = FakeTime(wall=784111767.0)
    headers = {"Retry-After": "Sun, 06 Nov 1994 08:49:37 GMT"}
    wire.post(SUBMIT).mock(return_value=httpx.Response(429, json={"error": "Rate limit"}, headers=headers))
    made, asked = provider(clock), order("apiframe")
    with pytest.raises(Throttled) as caught:
        await made.submit(asked, made.body(asked), Gate())
    assert caught.value.retry_after == 10.0
    await made.close()
