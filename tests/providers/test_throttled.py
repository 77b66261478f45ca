"""429 is a refusal whatever its body says: every provider × every body × every phase, and what then happens to the pace."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from qwenbuild.emulator import Served
from qwenbuild.errors import NotFetched, ProviderError, Throttled
from qwenbuild.model import Ticket
from qwenbuild.pace.clock import FakeTime
from qwenbuild.pace.retry import Retries, Then
from qwenbuild.ports import Gate
from tests.campaign.part_http import hurried
from tests.providers.bench import HOSTED, action, at, http, order, server
from tests.walking import Project

BODIES = {
    "nothing": b"",
    "HTML": b"<html><head><title>429 Too Many Requests</title></head></html>",
    "words": b"slow down",
    "an empty object": b"{}",
    "a list": b"[]",
    "no code": b'{"message":"slow down"}',
    "a code of null": b'{"code":null,"error":null,"message":null,"detail":null}',
    "its own code": b'{"code":"Throttling.RateQuota","error":"slow down","message":"slow down"}',
    "a number as code": b'{"code":429,"message":"slow down"}',
    "another number as code": b'{"code":500,"message":"slow down"}',
    "success as code": b'{"code":200,"message":"success","data":{"task_id":"t"}}',
    "a refusal's code": b'{"code":"InvalidParameter","error":"invalid","message":"invalid credit"}',
    "a timeout's code": b'{"code":"RequestTimeOut","error":{"message":"m"},"message":"m"}',
    "a code that nobody knows": b'{"code":"Whatever","detail":"m"}',
    "a task": b'{"output":{"task_id":"t","task_status":"FAILED"},"id":"t","status":"FAILED","jobId":"t"}',
    "a list of tasks": b'{"total":0,"total_page":0,"data":[]}',
    "a picture": b"\x89PNG\r\n\x1a\n",
}


async def submit(provider: Any, kind: str) -> None:
    asked = order(kind)
    await provider.submit(asked, provider.body(asked), Gate())


async def poll(provider: Any, kind: str) -> None:
    await provider.collect(Ticket(kind, provider.base_url, "t", facts={"call": "async", "accepted": 0.0}), action(kind))


async def find(provider: Any, kind: str) -> None:
    asked = order(kind)
    await provider.find(asked, provider.body(asked), 0.0, 60.0, frozenset())


async def clock(provider: Any, kind: str) -> None:
    await provider.clock_difference()


async def upload(provider: Any, kind: str) -> None:
    await provider.prepare(order(kind, 0, ((b"one", "image/png"),)))


async def download(provider: Any, kind: str) -> None:
    await provider.picture(f"{provider.base_url}/a.png", action(kind), accept=("image/png",))


Phase = Callable[[Any, str], Awaitable[None]]
TASKS = ("dashscope", "apiframe", "qwen2512")
PHASES: list[tuple[str, Phase]] = [
    *((kind, submit) for kind in HOSTED),
    *((kind, poll) for kind in TASKS),
    ("dashscope", find),
    *((kind, clock) for kind in ("dashscope", "apiframe")),
    ("apiframe", upload),
    *((kind, download) for kind in HOSTED),
]


def test_every_provider_is_asked_in_every_phase_that_it_has() -> None:
    assert {kind for kind, phase in PHASES if phase is submit} == set(HOSTED)
    for kind in HOSTED:
        provider = at(kind, "http://127.0.0.1:9")
        assert ((kind, find) in PHASES) == (provider.recovery == "listing")
        assert ((kind, clock) in PHASES) == (provider.recovery != "none")


@pytest.mark.parametrize(("kind", "phase"), PHASES, ids=lambda each: each if isinstance(each, str) else each.__name__)
@pytest.mark.parametrize("body", BODIES)
async def test_a_429_is_throttled_whatever_it_says_and_wherever_it_comes(kind: str, phase: Phase, body: str) -> None:
    async with server(lambda _: http(429, BODIES[body], "Retry-After: 17")) as (url, _):
        provider = at(kind, url, FakeTime().waits())
        with pytest.raises(ProviderError) as caught:
            await phase(provider, kind)
        await provider.close()
    error, paid = caught.value, phase is download
    assert isinstance(error, NotFetched if paid else Throttled), error
    assert (error.retry_after, error.charged) == (17.0, "yes" if paid else "no")
    assert error.message


@pytest.mark.parametrize("phase", ["submit", "collect"])
def test_a_429_is_waited_out_as_it_says_and_tried_again(phase: Any) -> None:
    decision = Retries("none", 300, FakeTime().waits()).after(Throttled("m", retry_after=17.0), phase)
    assert (decision.then, decision.pause) == (Then.AGAIN, 17.0)


def test_a_storage_that_asks_to_wait_is_asked_for_the_paid_picture_when_it_says() -> None:
    error = NotFetched("too many downloads", url="https://x/p.png", retry_after=17.0)
    assert Retries("none", 300, FakeTime().waits()).after(error, "collect").pause == 17.0


MANIFESTS = {
    "dashscope": "{region: singapore, mode: async, limits: {rps: 200, concurrency: 8}}\nmodel: qwen-image-plus",
    "apiframe": "{limits: {rps: 200, concurrency: 8}}\nmodel: qwen-image-2",
    "qwen2512": "{limits: {rps: 200, concurrency: 8}}\nmodel: qwen-image-2512",
    "openai": "{limits: {rps: 200, concurrency: 8}}\nmodel: Qwen/Qwen-Image-2512",
}


@pytest.mark.parametrize("kind", HOSTED)
@pytest.mark.parametrize("body", ["nothing", "HTML", "no code"])
def test_a_build_that_meets_a_429_waits_and_pays_once(walked: Project, emulated: Served, kind: str, body: str) -> None:
    settings, model = MANIFESTS[kind].split("\n")
    walked.manifest(
        f"version: 1\nprovider: {kind}\nproviders:\n  {kind}: {settings}\nassets:\n  lamp: {{prompt: a lamp, {model}}}\n"
    )
    phases = ("submit",) if kind == "openai" else ("submit", "poll", "download")
    for phase in phases:
        emulated.fault(phase, "status", status=429, body=BODIES[body].decode())
    with hurried():
        assert walked.build().exit_code == 0
    assert len(emulated.ledger()) == 1
