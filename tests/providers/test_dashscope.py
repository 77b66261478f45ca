"""DashScope's wire: exact requests, both result shapes, every error of its table, tasks, links, recovery."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from typing import Any

import httpx
import pytest

from qwenbuild.emulator import Served
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
from qwenbuild.model import Order, Ticket
from qwenbuild.pace.clock import FakeTime
from qwenbuild.ports import Gate
from qwenbuild.providers import base_url
from qwenbuild.providers.dashscope.errors import CODES, meaning_of
from tests.providers.bench import KEYS, action, build, order

BASE = "https://dashscope-intl.aliyuncs.com/api/v1"
SYNC = f"{BASE}/services/aigc/multimodal-generation/generation"
ASYNC = f"{BASE}/services/aigc/text2image/image-synthesis"
THIRD = f"{BASE}/services/aigc/image-generation/generation"
TASK = "11111111-2222-4333-8444-555555555555"
LINK = (
    "https://dashscope-result-sz.oss-cn-shenzhen.aliyuncs.com/7d/x.png?Expires=1763200000&OSSAccessKeyId=ID&Signature=S%2BG%3D"
)
PICTURE = placeholder_png(action("dashscope"))


def provider(clock: FakeTime | None = None, **settings: Any) -> Any:
    return build("dashscope", KEYS, (clock or FakeTime()).waits(), **settings)


def accepted(task: str = TASK) -> httpx.Response:
    return httpx.Response(200, json={"output": {"task_status": "PENDING", "task_id": task}, "request_id": "r-1"})


def state(status: str, **output: Any) -> httpx.Response:
    return httpx.Response(200, json={"request_id": "r-2", "output": {"task_id": TASK, "task_status": status, **output}})


def done(*items: Mapping[str, Any]) -> httpx.Response:
    return state(
        "SUCCEEDED", results=list(items) or [{"url": LINK, "orig_prompt": "a paper lantern", "actual_prompt": "glowing"}]
    )


def ticket(clock: FakeTime, **facts: Any) -> Ticket:
    return Ticket("dashscope", BASE, TASK, facts={"call": "async", "accepted": clock.started, **facts})


async def submitted(made: Any, asked: Order) -> Ticket:
    ticket: Ticket = await made.submit(asked, made.body(asked), Gate())
    await made.close()
    return ticket


# ---------------------------------------------------------------- requests


async def test_the_asynchronous_request_is_exactly_this(wire: Any) -> None:
    route = wire.post(ASYNC).mock(return_value=accepted())
    given = await submitted(provider(), order("dashscope"))
    request = route.calls.last.request
    assert json.loads(request.content) == {
        "model": "qwen-image-plus",
        "input": {"prompt": "a paper lantern", "negative_prompt": "blurry"},
        "parameters": {"size": "1328*1328", "n": 1, "prompt_extend": False, "watermark": False, "seed": 7},
    }
    assert request.headers["authorization"] == f"Bearer {KEYS['DASHSCOPE_API_KEY']}"
    assert request.headers["x-dashscope-async"] == "enable"
    assert request.headers["content-type"] == "application/json"
    assert request.headers["user-agent"].startswith("qwenbuild/")
    assert "cookie" not in request.headers
    assert (given.task_id, given.request_id, given.base_url) == (TASK, "r-1", BASE)


async def test_the_synchronous_request_is_exactly_this(wire: Any) -> None:
    output = {"choices": [{"finish_reason": "stop", "message": {"role": "assistant", "content": [{"image": LINK}]}}]}
    route = wire.post(SYNC).mock(return_value=httpx.Response(200, json={"output": output, "request_id": "r-9"}))
    given = await submitted(provider(mode="sync"), order("dashscope", prompt_extend=True))
    request = route.calls.last.request
    assert json.loads(request.content) == {
        "model": "qwen-image-plus",
        "input": {"messages": [{"role": "user", "content": [{"text": "a paper lantern"}]}]},
        "parameters": {
            "negative_prompt": "blurry",
            "size": "1328*1328",
            "n": 1,
            "prompt_extend": True,
            "watermark": False,
            "seed": 7,
        },
    }
    assert "x-dashscope-async" not in request.headers
    assert (given.url, given.task_id) == (LINK, "")


async def test_no_negative_prompt_is_left_out(wire: Any) -> None:
    made = provider()
    assert b"negative_prompt" not in made.body(order("dashscope", negative_prompt=""))
    assert b"negative_prompt" not in provider(mode="sync").body(order("dashscope", negative_prompt=""))
    await made.close()


async def test_the_third_generation_has_its_own_asynchronous_path(wire: Any) -> None:
    route = wire.post(THIRD).mock(return_value=accepted())
    extra = (("enable_thinking", True), ("prompt_extend_mode", "direct"))
    await submitted(provider(), order("dashscope", model="qwen-image-3.0", size="2048*2048", extra=extra))
    body = json.loads(route.calls.last.request.content)
    assert body["input"]["messages"][0]["content"] == [{"text": "a paper lantern"}]
    assert body["parameters"]["enable_thinking"] is True
    assert body["parameters"]["prompt_extend_mode"] == "direct"
    assert route.calls.last.request.headers["x-dashscope-async"] == "enable"


async def test_reference_images_travel_before_the_text(wire: Any) -> None:
    made = provider()
    inputs = ((b"one", "image/png"), (b"two", "image/jpeg"))
    body = json.loads(made.body(order("dashscope", inputs=inputs, model="qwen-image-edit", size="")))
    assert body["input"]["messages"][0]["content"] == [
        {"image": "data:image/png;base64,b25l"},
        {"image": "data:image/jpeg;base64,dHdv"},
        {"text": "a paper lantern"},
    ]
    assert "size" not in body["parameters"]
    await made.close()


async def test_a_turbo_body_has_only_what_its_page_knows() -> None:
    made = provider()
    asked = order("dashscope", model="z-image-turbo", size="1024*1536", negative_prompt="")
    assert json.loads(made.body(asked))["parameters"] == {"size": "1024*1536", "prompt_extend": False, "seed": 7}
    await made.close()


@pytest.mark.parametrize(
    ("region", "address"),
    [("singapore", BASE), ("beijing", "https://dashscope.aliyuncs.com/api/v1")],
)
async def test_a_region_is_an_address(region: str, address: str) -> None:
    made = provider(region=region)
    assert made.base_url == address
    assert made.site.catalog.families["dashscope"].regions[region] == address
    await made.close()


async def test_the_environments_address_wins() -> None:
    environ = {**KEYS, "QWENBUILD_DASHSCOPE_BASE_URL": "http://127.0.0.1:8000/api/v1/"}
    made = build("dashscope", environ, base_url="https://dashscope.aliyuncs.com/api/v1")
    assert made.base_url == "http://127.0.0.1:8000/api/v1"
    assert base_url(made.settings, made.site.catalog.families["dashscope"], {}) == "https://dashscope.aliyuncs.com/api/v1"
    await made.close()


# ---------------------------------------------------------------- tasks


async def test_polling_keeps_the_vendors_cadence(wire: Any) -> None:
    clock = FakeTime()
    wire.get(f"{BASE}/tasks/{TASK}").mock(side_effect=[state("PENDING"), *[state("RUNNING")] * 12, done()])
    wire.get(LINK).mock(return_value=httpx.Response(200, content=PICTURE))
    made = provider(clock)
    picture = await made.collect(ticket(clock), action("dashscope"))
    assert clock.slept == [3.0] * 10 + [5.0] * 4
    assert (picture.data, picture.actual_prompt, picture.task_id) == (PICTURE, "glowing", TASK)
    await made.close()


async def test_an_old_ticket_is_asked_at_once(wire: Any) -> None:
    clock = FakeTime()
    wire.get(f"{BASE}/tasks/{TASK}").mock(return_value=done())
    wire.get(LINK).mock(return_value=httpx.Response(200, content=PICTURE))
    made = provider(clock)
    await made.collect(ticket(clock, accepted=clock.started - 600), action("dashscope"))
    assert clock.slept == [0.0]
    await made.close()


async def test_a_link_is_used_as_it_is_and_without_a_credential(wire: Any) -> None:
    clock = FakeTime()
    wire.get(f"{BASE}/tasks/{TASK}").mock(return_value=done())
    route = wire.get(url__startswith=LINK.split("?")[0]).mock(return_value=httpx.Response(200, content=PICTURE))
    made = provider(clock)
    await made.collect(ticket(clock), action("dashscope"))
    request = route.calls.last.request
    assert str(request.url) == LINK
    assert request.url.raw_path.decode() == LINK.split("aliyuncs.com")[1]
    assert "authorization" not in request.headers
    assert request.headers["accept-encoding"] == "identity"
    await made.close()


@pytest.mark.parametrize("shape", ["results", "choices", "typed"])
async def test_both_shapes_of_a_result_are_read(wire: Any, shape: str) -> None:
    content = [{"text": "the prompt used"}, {"image": LINK}] if shape == "choices" else [{"type": "image", "image": LINK}]
    output = {"results": [{"url": LINK}]} if shape == "results" else {"choices": [{"message": {"content": content}}]}
    clock = FakeTime()
    wire.get(f"{BASE}/tasks/{TASK}").mock(return_value=state("SUCCEEDED", **output))
    wire.get(LINK).mock(return_value=httpx.Response(200, content=PICTURE))
    made = provider(clock)
    assert (await made.collect(ticket(clock), action("dashscope"))).data == PICTURE
    await made.close()


async def test_a_plain_http_link_of_the_vendors_storage_is_fetched_over_https(wire: Any) -> None:
    clock = FakeTime()
    wire.get(f"{BASE}/tasks/{TASK}").mock(return_value=done({"url": LINK.replace("https:", "http:")}))
    wire.get(LINK).mock(return_value=httpx.Response(200, content=PICTURE))
    made = provider(clock)
    assert (await made.collect(ticket(clock), action("dashscope"))).data == PICTURE
    await made.close()


async def test_every_picture_of_a_paid_task_is_kept_and_no_web_page_in_its_place(wire: Any) -> None:
    clock = FakeTime()
    links = [LINK, *(LINK.replace("x.png", f"{name}.png") for name in "abc")]
    small = placeholder_png(action("dashscope", size="64*64"))
    page = httpx.Response(200, content=b"<html>")
    wire.get(f"{BASE}/tasks/{TASK}").mock(return_value=done(*({"url": link} for link in links)))
    for link, answers in zip(links, ([PICTURE], [PICTURE], [small], []), strict=True):
        wire.get(link).mock(side_effect=[*(httpx.Response(200, content=data) for data in answers), page, page, page])
    made = provider(clock)
    assert (await made.collect(ticket(clock), action("dashscope"))).others == (PICTURE, small)
    await made.close()


async def collected(wire: Any, answers: list[httpx.Response], clock: FakeTime | None = None, **facts: Any) -> Any:
    clock = clock or FakeTime()
    route = wire.get(f"{BASE}/tasks/{TASK}").mock(side_effect=answers)
    wire.get(LINK).mock(return_value=httpx.Response(200, content=PICTURE))
    made, before = provider(clock), route.call_count
    try:
        await made.collect(ticket(clock, **facts), action("dashscope"))
    except ProviderError as error:
        return error, route.call_count - before
    finally:
        await made.close()
    return None, route.call_count - before


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("DataInspectionFailed", Refused),
        ("InvalidParameter", Refused),
        ("InternalError.Algo", FailedAtProvider),
        ("InternalError.Timeout", FailedAtProvider),
        ("Throttling.RateQuota", FailedAtProvider),
        ("SomethingNew", FailedAtProvider),
        ("Arrearage", AccountStop),
    ],
)
async def test_a_failed_task_means_what_its_code_says(wire: Any, code: str, error: type[ProviderError]) -> None:
    found, _ = await collected(wire, [state("FAILED", code=code, message="why")])
    assert type(found) is error
    assert found.code == code
    found, _ = await collected(wire, [done({"code": code, "message": "why"})])
    assert type(found) is error


async def test_a_cancelled_task_cost_nothing(wire: Any) -> None:
    assert type((await collected(wire, [state("CANCELED")]))[0]) is FailedAtProvider


async def test_unknown_right_after_our_submit_is_asked_again_and_later_is_lost(wire: Any) -> None:
    found, asked = await collected(wire, [state("UNKNOWN")] * 3 + [done()])
    assert (found, asked) == (None, 4)
    found, asked = await collected(wire, [state("UNKNOWN")] * 9)
    assert (type(found), asked) == (Lost, 4)
    clock = FakeTime()
    found, asked = await collected(wire, [state("UNKNOWN")] * 9, clock, accepted=clock.started - 3600)
    assert (type(found), asked) == (Lost, 1)


async def test_success_without_a_picture_is_asked_for_again_and_is_paid_for_in_the_end(wire: Any) -> None:
    found, asked = await collected(wire, [state("SUCCEEDED", results=[])] * 9)
    assert (type(found), asked) == (NotFetched, 4)
    found, asked = await collected(wire, [state("SUCCEEDED"), state("SUCCEEDED", results=None), done()])
    assert (found, asked) == (None, 3)


async def test_bad_answers_while_polling_are_asked_again(wire: Any) -> None:
    odd = [
        httpx.Response(500, json={"code": "InternalError", "message": "m"}),
        httpx.Response(200, text="<html>"),
        httpx.Response(429, json={"code": "Throttling", "message": "m"}, headers={"retry-after": "7"}),
        state("RUNNING"),
        httpx.Response(200, json={"output": {"task_id": "somebody-elses", "task_status": "SUCCEEDED"}}),
        state("SUSPENDED"),
        state("SOMETHING-NEW"),
        done(),
    ]
    clock = FakeTime()
    found, asked = await collected(wire, odd, clock)
    assert (found, asked) == (None, 8)
    assert 7.0 in clock.slept


async def test_a_key_refused_while_polling_stops_the_account(wire: Any) -> None:
    found, _ = await collected(
        wire, [httpx.Response(401, json={"code": "InvalidApiKey", "message": "Invalid API-key provided."})]
    )
    assert (type(found), found.kind) == (AccountStop, "credentials")


# ---------------------------------------------------------------- links


EXPIRED = httpx.Response(403, text="<Error><Code>AccessDenied</Code><Message>Request has expired.</Message></Error>")


async def test_an_expired_link_is_asked_for_once_more(wire: Any) -> None:
    clock = FakeTime()
    fresh = LINK.replace("x.png", "fresh.png")
    asked = wire.get(f"{BASE}/tasks/{TASK}").mock(side_effect=[done(), done({"url": fresh})])
    wire.get(LINK).mock(return_value=EXPIRED)
    wire.get(fresh).mock(return_value=httpx.Response(200, content=PICTURE))
    made = provider(clock)
    assert (await made.collect(ticket(clock), action("dashscope"))).data == PICTURE
    assert asked.call_count == 2
    await made.close()


async def test_a_link_that_gives_nothing_proves_nothing_and_nothing_is_submitted(wire: Any) -> None:
    clock = FakeTime()
    submit = wire.post(ASYNC).mock(return_value=accepted())
    wire.get(f"{BASE}/tasks/{TASK}").mock(return_value=done())
    made = provider(clock)
    for answer, gone in ((EXPIRED, True), (httpx.Response(403, text="<html>Log in</html>"), False)):
        wire.get(LINK).mock(return_value=answer)
        for asked in (ticket(clock), Ticket("dashscope", BASE, url=LINK, facts={"call": "sync"})):
            with pytest.raises(NotFetched, match="paid for, not yet fetched") as caught:
                await made.collect(asked, action("dashscope"))
            assert (caught.value.url, caught.value.gone) == (LINK, gone)
    assert submit.call_count == 0
    await made.close()


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/x.png",
        "http://evil.example/x.png",
        "file:///etc/passwd",
        "https://100.100.100.200/latest/meta-data",
        "https://user@dashscope-result-sz.oss-cn-shenzhen.aliyuncs.com/x.png",
        "https://aliyuncs.com.evil.example/x.png",
    ],
)
async def test_a_picture_elsewhere_is_not_fetched_and_its_ticket_stays(wire: Any, url: str) -> None:
    clock = FakeTime()
    wire.get(f"{BASE}/tasks/{TASK}").mock(return_value=done({"url": url}))
    elsewhere = wire.route(host__regex=".*(evil|100.100).*").mock(return_value=httpx.Response(200, content=PICTURE))
    made = provider(clock)
    with pytest.raises(NotFetched, match="QWENBUILD_DOWNLOAD_HOSTS") as caught:
        await made.collect(ticket(clock), action("dashscope"))
    assert caught.value.stuck
    assert elsewhere.call_count == 0
    await made.close()


async def test_a_whole_picture_of_another_size_is_the_picture_and_is_kept_and_named(wire: Any) -> None:
    clock, data = FakeTime(), placeholder_png(action("dashscope", size="64*64"))
    wire.get(f"{BASE}/tasks/{TASK}").mock(return_value=done())
    fetched = wire.get(LINK).mock(return_value=httpx.Response(200, content=data))
    made = provider(clock)
    with pytest.raises(BadPicture) as caught:
        await made.collect(ticket(clock), action("dashscope"))
    assert caught.value.data == data
    assert fetched.call_count == 1
    await made.close()


@pytest.mark.parametrize("data", [b"", b"<html>", PICTURE[:-20], PICTURE + b"more", b"x" * (65 << 20)], ids=len)
async def test_bytes_that_are_no_whole_picture_are_a_bad_transfer_and_asked_for_again(wire: Any, data: bytes) -> None:
    clock = FakeTime()
    wire.get(f"{BASE}/tasks/{TASK}").mock(return_value=done())
    fetched = wire.get(LINK).mock(return_value=httpx.Response(200, content=data))
    made = provider(clock)
    with pytest.raises(NotFetched):
        await made.collect(ticket(clock), action("dashscope"))
    assert fetched.call_count == 3
    wire.get(LINK).mock(return_value=httpx.Response(200, content=PICTURE))
    assert (await made.collect(ticket(clock), action("dashscope"))).data == PICTURE
    await made.close()


async def test_a_download_that_broke_off_is_fetched_again(wire: Any) -> None:
    clock = FakeTime()
    wire.get(f"{BASE}/tasks/{TASK}").mock(return_value=done())
    whole = httpx.Response(200, content=PICTURE)
    wire.get(LINK).mock(side_effect=[httpx.Response(200, content=PICTURE[:5000]), whole])
    made = provider(clock)
    assert (await made.collect(ticket(clock), action("dashscope"))).data == PICTURE
    await made.close()


# ---------------------------------------------------------------- errors of a submit

WHAT = {
    "refused": Refused,
    "throttled": Throttled,
    "narrow": Throttled,
    "slow": Throttled,
    "failed": FailedAtProvider,
    "uncertain": Uncertain,
}
STATUS = {"throttled": 429, "narrow": 429, "slow": 429, "failed": 500, "uncertain": 504, "credentials": 401}


@pytest.mark.parametrize("code", [*CODES, "Throttling.BurstRate", "InvalidParameter.Foo", "InternalError.Upload"])
@pytest.mark.parametrize("envelope", ["native", "compatible"])
async def test_each_code_of_the_table_leads_where_the_table_says(wire: Any, code: str, envelope: str) -> None:
    meaning = meaning_of(400, code, "")
    said = {"code": code, "message": "m", "request_id": "r"}
    body = said if envelope == "native" else {"error": {"message": "m", "type": "t", "code": code}}
    wire.post(ASYNC).mock(return_value=httpx.Response(STATUS.get(meaning, 400), json=body))
    with pytest.raises(ProviderError) as caught:
        await submitted(provider(), order("dashscope"))
    assert type(caught.value) is WHAT.get(meaning, AccountStop)
    if isinstance(caught.value, AccountStop):
        assert caught.value.kind == meaning
    if isinstance(caught.value, Throttled):
        assert caught.value.narrow is (meaning == "narrow")


@pytest.mark.parametrize(
    ("status", "body", "error", "kind"),
    [
        (400, {"code": "InvalidParameter", "message": "Model not exist."}, AccountStop, "model"),
        (429, {"code": "Throttling.AllocationQuota", "message": "Free allocated quota exceeded."}, AccountStop, "quota"),
        (418, {"code": "Teapot", "message": "m"}, Refused, ""),
        (599, {"code": "Whatever", "message": "m"}, FailedAtProvider, ""),
        (429, {"code": "Whatever", "message": "m"}, Throttled, ""),
        (200, {"code": "InvalidParameter", "message": "m", "request_id": "r"}, Uncertain, ""),
        (200, {"code": "Throttling", "message": "m", "request_id": "r"}, Uncertain, ""),
        (200, {"error": {"code": "InvalidApiKey", "message": "m"}}, Uncertain, ""),
        (504, {"code": "InternalError", "message": "m"}, Uncertain, ""),
        (408, {"code": "InvalidParameter", "message": "m"}, Uncertain, ""),
        (403, None, Uncertain, ""),
        (500, None, Uncertain, ""),
        (200, {"request_id": "r"}, Uncertain, ""),
        (200, {"output": {"task_status": "PENDING"}}, Uncertain, ""),
    ],
)
async def test_an_answer_outside_the_table_is_read_by_its_status(
    wire: Any, status: int, body: Any, error: type[ProviderError], kind: str
) -> None:
    answer = httpx.Response(status, text="<html>") if body is None else httpx.Response(status, json=body)
    wire.post(ASYNC).mock(return_value=answer)
    with pytest.raises(ProviderError) as caught:
        await submitted(provider(), order("dashscope"))
    assert type(caught.value) is error
    assert getattr(caught.value, "kind", "") == kind


async def test_retry_after_is_told(wire: Any) -> None:
    said = {"code": "Throttling", "message": "m"}
    wire.post(ASYNC).mock(return_value=httpx.Response(429, json=said, headers={"Retry-After": "12"}))
    with pytest.raises(Throttled) as caught:
        await submitted(provider(), order("dashscope"))
    assert caught.value.retry_after == 12.0


async def test_a_key_of_the_other_region_is_one_clear_sentence(wire: Any) -> None:
    said = {"code": "InvalidApiKey", "message": "Invalid API-key provided."}
    wire.post(ASYNC).mock(return_value=httpx.Response(401, json=said))
    with pytest.raises(AccountStop, match="region: beijing") as caught:
        await submitted(provider(), order("dashscope"))
    assert "DASHSCOPE_API_KEY" in caught.value.message
    assert caught.value.kind == "credentials"


# ---------------------------------------------------------------- recovery, against the emulator


def live(emulator: Served, **settings: Any) -> Any:
    return build("dashscope", emulator.environ(), **settings)


async def found(emulator: Served, asked: Order, claimed: frozenset[str] = frozenset(), **settings: Any) -> tuple[Ticket, ...]:
    made = live(emulator, **settings)
    now = time.time()
    try:
        tickets: tuple[Ticket, ...] = await made.find(asked, made.body(asked), now - 30, now, claimed)
    finally:
        await made.close()
    return tickets


async def test_a_task_of_a_lost_answer_is_found_in_the_list(emulator: Served) -> None:
    asked = order("dashscope", prompt="a lost lantern")
    emulator.fault("accepted", "close", match="lost")
    made = live(emulator)
    with pytest.raises(Uncertain):
        await made.submit(asked, made.body(asked), Gate())
    other = order("dashscope", prompt="another lantern")
    await made.submit(other, made.body(other), Gate())
    tickets = await found(emulator, asked)
    assert [ticket.task_id for ticket in tickets] == [emulator.ledger()[0]["task"]]
    assert (await made.collect(tickets[0], asked.action)).data
    assert await found(emulator, asked, frozenset({tickets[0].task_id})) == ()
    assert len(emulator.ledger()) == 2
    await made.close()


async def test_pages_and_other_models_are_gone_through(emulator: Served) -> None:
    emulator.configure(enforce=False, concurrency=1000, query_rate=1000)
    made = live(emulator)
    models = {number: "qwen-image" if number % 40 == 0 else "qwen-image-plus" for number in range(105)}
    orders = [order("dashscope", prompt=f"lantern {number}", model=model) for number, model in models.items()]
    await asyncio.gather(*(made.submit(asked, made.body(asked), Gate()) for asked in orders))
    assert len(await found(emulator, order("dashscope", prompt="lantern 1"))) == 1
    assert await found(emulator, order("dashscope", prompt="lantern 0")) == ()
    await made.close()


@pytest.mark.parametrize("zone", [0.0, 8.0])
async def test_the_lists_zone_does_not_matter(emulator: Served, zone: float) -> None:
    emulator.configure(zone_hours=zone)
    made, asked = live(emulator), order("dashscope")
    await made.submit(asked, made.body(asked), Gate())
    assert len(await found(emulator, asked)) == 1
    await made.close()


@pytest.mark.parametrize(
    ("model", "mode"), [("qwen-image-2.0", "auto"), ("qwen-image-plus", "sync"), ("qwen-image-3.0", "auto")]
)
async def test_what_no_list_can_settle_stays_in_doubt(emulator: Served, model: str, mode: str) -> None:
    with pytest.raises(Uncertain):
        await found(emulator, order("dashscope", model=model), mode=mode)


async def test_the_provider_says_whether_a_lost_answer_can_be_settled() -> None:
    assert provider().recovery == "listing"
    assert provider(mode="sync").recovery == "none"


async def test_a_picture_with_every_parameter_is_the_same_in_both_calls_and_regions(emulator: Served) -> None:
    emulator.configure(unique=False)
    pictures = set()
    for region in ("singapore", "beijing"):
        for mode in ("async", "sync"):
            made = build("dashscope", emulator.environ(region), mode=mode, region=region)
            asked: Order = order("dashscope", prompt_extend=True)
            pictures.add((await made.collect(await made.submit(asked, made.body(asked), Gate()), asked.action)).data)
            await made.close()
    assert len(pictures) == 1


async def test_a_rewritten_prompt_is_kept_without_a_key_that_a_server_put_into_it(wire: Any) -> None:
    clock = FakeTime()
    said = f"glowing, for {KEYS['DASHSCOPE_API_KEY']}, see https://a.example/?q=1"
    wire.get(f"{BASE}/tasks/{TASK}").mock(return_value=done({"url": LINK, "actual_prompt": said}))
    wire.get(LINK).mock(return_value=httpx.Response(200, content=PICTURE))
    made = provider(clock)
    picture = await made.collect(ticket(clock), action("dashscope"))
    assert picture.actual_prompt == "glowing, for ***, see https://a.example/?q=1"
    await made.close()
