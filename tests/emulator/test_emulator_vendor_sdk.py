"""The vendor's own `dashscope` package works against the emulator: so the emulator speaks the real protocol."""

from __future__ import annotations

import base64
import importlib
import io
import logging
from collections.abc import AsyncIterator, Iterator
from http import HTTPStatus
from typing import Any

import httpx
import pytest
from PIL import Image

from qwenbuild.catalog import FAMILIES
from qwenbuild.emulator import Served
from qwenbuild.emulator.dashscope_rules import MODELS
from tests.walking import Project

pytestmark = pytest.mark.filterwarnings("ignore::Warning")


@pytest.fixture(autouse=True)
def sdk(emulator: Served, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    dashscope = pytest.importorskip("dashscope")
    env = emulator.environ()
    monkeypatch.setattr(dashscope, "base_http_api_url", env["QWENBUILD_DASHSCOPE_BASE_URL"])
    monkeypatch.setattr(dashscope, "api_key", env["DASHSCOPE_API_KEY"])
    logging.getLogger("dashscope").setLevel(logging.CRITICAL)
    yield dashscope
    importlib.import_module("dashscope.api_entities.http_request").close_shared_sync_session()


def submit(sdk: Any, **changes: Any) -> Any:
    call = {"model": "qwen-image-plus", "prompt": "a lantern", "negative_prompt": "blurry", "n": 1, "size": "928*1664"}
    return sdk.ImageSynthesis.async_call(**call | {"prompt_extend": False, "watermark": False, "seed": 3} | changes)


def test_its_asynchronous_call_gives_a_picture(sdk: Any, emulator: Served) -> None:
    accepted = submit(sdk)
    assert accepted.status_code == HTTPStatus.OK
    assert accepted.output.task_status == "PENDING"
    emulator.advance(1)
    done = sdk.ImageSynthesis.wait(accepted)
    assert done.output.task_status == "SUCCEEDED"
    picture = httpx.get(done.output.results[0].url).content
    assert Image.open(io.BytesIO(picture)).size == (928, 1664)
    [job] = emulator.ledger()
    wanted = {"prompt": "a lantern", "negative_prompt": "blurry", "seed": 3, "size": "928*1664", "call": "async"}
    assert wanted.items() <= job.items()


def test_its_call_that_submits_and_waits_gives_a_picture(sdk: Any, emulator: Served) -> None:
    emulator.configure(latency=0.0)
    done = sdk.ImageSynthesis.call(model="qwen-image-plus", prompt="a lantern", n=1, size="928*1664", prompt_extend=False)
    assert (done.status_code, done.output.task_status) == (HTTPStatus.OK, "SUCCEEDED")
    assert size_of(done.output.results[0].url) == (928, 1664)
    assert [job["call"] for job in emulator.ledger()] == ["async"]


@pytest.mark.usefixtures("session")
async def test_its_asynchronous_twin_that_submits_and_waits_gives_a_picture(sdk: Any, emulator: Served) -> None:
    emulator.configure(latency=0.0)
    twin = importlib.import_module("dashscope.aigc.image_synthesis").AioImageSynthesis
    done = await twin.call(model="qwen-image-plus", prompt="a lantern", n=1, size="928*1664", prompt_extend=False)
    assert (done.status_code, done.output.task_status) == (HTTPStatus.OK, "SUCCEEDED")
    assert size_of(done.output.results[0].url) == (928, 1664)
    assert len(emulator.ledger()) == 1


def test_its_fetch_list_and_cancel_work(sdk: Any, emulator: Served) -> None:
    emulator.configure(pending=30)
    first, second = submit(sdk), submit(sdk, prompt="a boat")
    assert sdk.ImageSynthesis.fetch(first).output.task_status == "PENDING"
    assert sdk.ImageSynthesis.cancel(first).status_code == HTTPStatus.OK
    assert sdk.ImageSynthesis.fetch(first.output.task_id).output.task_status == "CANCELED"
    emulator.advance(31)
    refused = sdk.ImageSynthesis.cancel(second)
    assert (refused.status_code, refused.code) == (400, "UnsupportedOperation")
    listed = sdk.ImageSynthesis.list(page_no=1, page_size=10)
    assert listed.status_code == HTTPStatus.OK
    assert listed.output["total"] == 2


def test_its_synchronous_call_gives_a_picture(sdk: Any, emulator: Served) -> None:
    answer = sdk.MultiModalConversation.call(
        model="qwen-image-plus",
        messages=[{"role": "user", "content": [{"text": "a lantern"}]}],
        result_format="message",
        stream=False,
        watermark=False,
        prompt_extend=False,
        negative_prompt="blurry",
        size="1328*1328",
    )
    assert answer.status_code == HTTPStatus.OK
    url = answer.output.choices[0].message.content[0]["image"]
    assert Image.open(io.BytesIO(httpx.get(url).content)).size == (1328, 1328)
    assert emulator.ledger()[0]["negative_prompt"] == "blurry"


def test_a_bad_key_a_bad_model_and_a_bad_size_come_back_as_the_vendors_codes(sdk: Any, emulator: Served) -> None:
    refused = submit(sdk, api_key="sk-nobody")
    assert (refused.status_code, refused.code) == (401, "InvalidApiKey")
    unknown = submit(sdk, model="qwen-image-9")
    assert (unknown.status_code, unknown.code) == (400, "InvalidParameter")
    accepted = submit(sdk, size="5*5")
    emulator.advance(1)
    failed = sdk.ImageSynthesis.wait(accepted)
    assert (failed.status_code, failed.output.task_status, failed.output.code) == (200, "FAILED", "InvalidParameter")


def test_a_task_of_the_other_region_is_unknown_to_it(sdk: Any, emulator: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    accepted = submit(sdk)
    beijing = emulator.environ("beijing")
    monkeypatch.setattr(sdk, "base_http_api_url", beijing["QWENBUILD_DASHSCOPE_BASE_URL"])
    assert sdk.ImageSynthesis.fetch(accepted).status_code == 401
    monkeypatch.setattr(sdk, "api_key", beijing["DASHSCOPE_API_KEY"])
    assert sdk.ImageSynthesis.fetch(accepted).output.task_status == "UNKNOWN"


SAME = """\
version: 1
provider: dashscope
providers: {dashscope: {limits: {rps: 200, concurrency: 20}}}
assets:
  lantern:
    prompt: a lantern
    model: qwen-image-plus
    seed: 3
    params: {size: "9:16", negative_prompt: blurry, prompt_extend: false, watermark: false}
"""


def test_it_and_our_client_get_the_same_picture_for_the_same_request(sdk: Any, emulated: Served, walked: Project) -> None:
    emulated.configure(unique=False)
    accepted = submit(sdk)
    emulated.advance(1)
    theirs = httpx.get(sdk.ImageSynthesis.wait(accepted).output.results[0].url).content
    walked.manifest(SAME)
    assert walked.build().exit_code == 0
    assert (walked.out / "lantern.png").read_bytes() == theirs
    first, second = emulated.ledger()
    assert first["pictures"] == second["pictures"]
    assert first["fields"] == second["fields"]


# -- Every image call of it: the newer module, its asynchronous twins, its second client, and the list of models ------


def messages(*images: str, text: str = "a lantern") -> list[dict[str, Any]]:
    return [{"role": "user", "content": [*({"image": image} for image in images), {"text": text}]}]


def size_of(url: str) -> tuple[int, int]:
    return Image.open(io.BytesIO(httpx.get(url).content)).size


def shown(answer: Any) -> list[tuple[int, int]]:
    """The sizes of the pictures in an answer in chat form."""
    assert answer.status_code == HTTPStatus.OK, answer
    return [size_of(part["image"]) for choice in answer.output.choices for part in choice.message.content if "image" in part]


@pytest.fixture
def png() -> str:
    """A local picture as the SDK takes it inline."""
    target = io.BytesIO()
    Image.new("RGB", (512, 512), "teal").save(target, "PNG")
    return "data:image/png;base64," + base64.b64encode(target.getvalue()).decode()


def of_call(call: str) -> list[str]:
    return [name for name, model in MODELS.items() if call in model.calls and model.images[0] == 0]


@pytest.mark.parametrize("model", of_call("sync"))
def test_every_model_draws_by_its_synchronous_call(sdk: Any, model: str) -> None:
    size = next(iter(MODELS[model].sizes), "1024*1024")
    answer = sdk.MultiModalConversation.call(model=model, messages=messages(), n=1, size=size, watermark=False)
    assert shown(answer) == [tuple(int(side) for side in size.split("*"))]


@pytest.mark.parametrize("model", [name for name, model in MODELS.items() if model.images[1]])
def test_every_model_that_takes_images_gets_them(sdk: Any, emulator: Served, png: str, model: str) -> None:
    most = MODELS[model].images[1]
    answer = sdk.MultiModalConversation.call(model=model, messages=messages(*[png] * most), n=1, watermark=False)
    assert len(shown(answer)) == 1
    content = emulator.ledger()[0]["fields"]["input"]["messages"][0]["content"]
    assert [part for part in content if "image" in part] == [{"image": png}] * most


@pytest.mark.parametrize("model", of_call("text2image"))
def test_every_model_of_the_older_call_draws_by_it(sdk: Any, emulator: Served, model: str) -> None:
    accepted = submit(sdk, model=model)
    emulator.advance(1)
    [drawn] = sdk.ImageSynthesis.wait(accepted).output.results
    assert size_of(drawn.url) == (928, 1664)


@pytest.mark.parametrize("model", of_call("image-generation"))
def test_its_newer_module_submits_waits_fetches_cancels_and_lists(sdk: Any, emulator: Served, model: str) -> None:
    module = importlib.import_module("dashscope.aigc.image_generation").ImageGeneration
    emulator.configure(pending=30)
    call = {"model": model, "messages": messages(), "n": 2, "size": "1024*1024", "seed": 3, "watermark": False}
    first, second = module.async_call(**call), module.call(**call, is_async=True)
    assert (first.status_code, first.output.task_status) == (200, "PENDING")
    assert module.fetch(first).output.task_status == "PENDING"
    assert module.cancel(first).status_code == HTTPStatus.OK
    assert module.fetch(first.output.task_id).output.task_status == "CANCELED"
    emulator.advance(31)
    done = module.wait(second)
    assert (done.output.task_status, shown(done)) == ("SUCCEEDED", [(1024, 1024)] * 2)
    refused = module.cancel(second)
    assert (refused.status_code, refused.code) == (400, "UnsupportedOperation")
    assert module.list(model_name=model, status="SUCCEEDED").output["total"] == 1
    assert module.list(page_no=1, page_size=1).output["total"] == 2
    emulator.configure(pending=0)
    assert shown(module.call(**call)) == [(1024, 1024)] * 2


@pytest.fixture
async def session() -> AsyncIterator[None]:
    """The one that the asynchronous client keeps per event loop: closed, for it does not do so itself."""
    yield
    await importlib.import_module("dashscope.api_entities.aio_session").close_shared_aio_session()


@pytest.mark.usefixtures("session")
async def test_the_asynchronous_twins_do_the_same(sdk: Any, emulator: Served) -> None:
    newer = importlib.import_module("dashscope.aigc.image_generation").AioImageGeneration
    older = importlib.import_module("dashscope.aigc.image_synthesis").AioImageSynthesis
    emulator.configure(pending=30)
    first = await newer.async_call(model="wan2.7-image", messages=messages(), n=1, size="1024*1024")
    second = await older.async_call(model="qwen-image-plus", prompt="a lantern", n=1, size="928*1664")
    third = await older.async_call(model="qwen-image-plus", prompt="a boat", n=1, size="928*1664")
    fourth = await newer.async_call(model="qwen-image-3.0", messages=messages(), n=1, size="1024*1024")
    assert (await newer.cancel(fourth)).status_code == (await older.cancel(third)).status_code == HTTPStatus.OK
    assert (await newer.fetch(fourth)).output.task_status == (await older.fetch(third)).output.task_status == "CANCELED"
    emulator.advance(31)
    assert shown(await newer.wait(first)) == [(1024, 1024)]
    assert size_of((await older.wait(second)).output.results[0].url) == (928, 1664)
    assert [(await module.list()).output["total"] for module in (newer, older)] == [4, 4]
    emulator.configure(pending=0)
    assert shown(await newer.call(model="wan2.7-image", messages=messages(), n=1, size="1024*1024")) == [(1024, 1024)]
    spoken = await sdk.AioMultiModalConversation.call(model="qwen-image-2.0", messages=messages(), n=1, size="512*512")
    assert shown(spoken) == [(512, 512)]


def test_its_second_client_draws_waits_cancels_and_lists(sdk: Any, emulator: Served) -> None:
    env = emulator.environ()
    with sdk.Client(api_key=env["DASHSCOPE_API_KEY"], base_url=env["QWENBUILD_DASHSCOPE_BASE_URL"], max_retries=0) as client:
        call = {"model": "qwen-image-plus", "prompt": "a lantern", "n": 1, "size": "928x1664", "watermark": False}
        emulator.configure(pending=30)
        first, second = client.images.jobs.create(**call), client.images.jobs.create(**call)
        assert client.images.jobs.fetch(first.job_id).finished is False
        client.images.jobs.cancel(first.job_id)
        emulator.advance(31)
        [url] = client.images.jobs.wait(second).image_urls
        assert size_of(url) == (928, 1664)
        assert client.images.jobs.list(model_name="qwen-image-plus").total == 2
        assert client.models.get("wan2.7-image").model == "wan2.7-image"
        assert client.models.list(page_size=100).total_count == len(MODELS)


def test_its_second_client_draws_in_one_call(sdk: Any, emulator: Served) -> None:
    env = emulator.environ()
    emulator.configure(latency=0.0)
    with sdk.Client(api_key=env["DASHSCOPE_API_KEY"], base_url=env["QWENBUILD_DASHSCOPE_BASE_URL"], max_retries=0) as client:
        job = client.images.generate(model="qwen-image-plus", prompt="a lantern", n=1, size="928x1664", poll_interval=0.1)
        assert [size_of(url) for url in job.image_urls] == [(928, 1664)]
    assert len(emulator.ledger()) == 1


async def test_its_second_clients_asynchronous_twin_draws(sdk: Any, emulator: Served) -> None:
    env = emulator.environ()
    emulator.configure(latency=0.0)
    settings = {"api_key": env["DASHSCOPE_API_KEY"], "base_url": env["QWENBUILD_DASHSCOPE_BASE_URL"], "max_retries": 0}
    async with sdk.AsyncClient(**settings) as client:
        job = await client.images.generate(model="qwen-image-plus", prompt="a lantern", n=1, size="928x1664", poll_interval=0.1)
        assert [size_of(url) for url in job.image_urls] == [(928, 1664)]
        assert (await client.images.jobs.list(model_name="qwen-image-plus")).total == 1
    assert len(emulator.ledger()) == 1


def test_its_list_of_models_is_read_the_same_way_by_both(sdk: Any) -> None:
    assert [item["model"] for item in sdk.Models.list(page=1, page_size=3).output["models"]] == list(MODELS)[:3]
    assert sdk.Models.get("qwen-image-2.0").output["model"] == "qwen-image-2.0"
    assert sdk.Models.get("qwen-image-9").status_code == HTTPStatus.NOT_FOUND


@pytest.mark.parametrize(("region", "theirs"), [("singapore", "ap-southeast-1"), ("beijing", "cn-beijing")])
def test_a_workspaces_host_is_the_one_that_the_vendor_builds(sdk: Any, region: str, theirs: str) -> None:
    family = FAMILIES["dashscope"]
    before = sdk.base_http_api_url, sdk.base_compatible_api_url, sdk.base_websocket_api_url
    try:
        sdk.set_region(theirs, "llm-canary")
        assert family.workspace_url(region, "llm-canary") == sdk.base_http_api_url
    finally:
        sdk.base_http_api_url, sdk.base_compatible_api_url, sdk.base_websocket_api_url = before
