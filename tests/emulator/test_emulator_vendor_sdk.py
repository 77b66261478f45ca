"""The vendor's own `dashscope` package works against the emulator: so the emulator speaks the real protocol."""

from __future__ import annotations

import io
import logging
from http import HTTPStatus
from typing import Any

import httpx
import pytest
from PIL import Image

from qwenbuild.emulator import Served
from tests.walking import Project

pytestmark = pytest.mark.filterwarnings("ignore::Warning")


@pytest.fixture(autouse=True)
def sdk(emulator: Served, monkeypatch: pytest.MonkeyPatch) -> Any:
    dashscope = pytest.importorskip("dashscope")
    env = emulator.environ()
    monkeypatch.setattr(dashscope, "base_http_api_url", env["QWENBUILD_DASHSCOPE_BASE_URL"])
    monkeypatch.setattr(dashscope, "api_key", env["DASHSCOPE_API_KEY"])
    logging.getLogger("dashscope").setLevel(logging.CRITICAL)
    return dashscope


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
