"""A self-hosted server's wire: everything explicit, the picture in the answer, no key for a manifest's address."""

from __future__ import annotations

import base64
import json
from typing import Any

import httpx
import pytest

from qwenbuild.catalog import Catalog
from qwenbuild.errors import (
    AccountStop,
    BadPicture,
    FailedAtProvider,
    InputError,
    Lost,
    NotFetched,
    ProviderError,
    Refused,
    Throttled,
    Uncertain,
)
from qwenbuild.images import placeholder_png
from qwenbuild.model import ProviderSettings, Ticket
from qwenbuild.ports import Gate
from qwenbuild.providers import build_provider
from tests.providers.bench import action, order

BASE = "http://127.0.0.1:8091"
SUBMIT = f"{BASE}/v1/images/generations"
PICTURE = placeholder_png(action("openai"))


def provider(environ: dict[str, str] | None = None, **settings: Any) -> Any:
    given = {"base_url": BASE, **settings}
    return build_provider(ProviderSettings("gpu", "openai", **given), Catalog.load(), environ or {})


def answer(data: bytes = PICTURE, **more: Any) -> httpx.Response:
    item = {"b64_json": base64.b64encode(data).decode(), "url": None, "revised_prompt": None}
    return httpx.Response(200, json={"created": 1, "data": [item], **more})


async def test_the_request_says_everything(wire: Any) -> None:
    route = wire.post(SUBMIT).mock(return_value=answer())
    made, asked = provider(), order("openai")
    ticket = await made.submit(asked, made.body(asked), Gate())
    request = route.calls.last.request
    assert json.loads(request.content) == {
        "model": "Qwen/Qwen-Image-2512",
        "prompt": "a paper lantern",
        "negative_prompt": " ",
        "n": 1,
        "size": "1024x1024",
        "num_inference_steps": 50,
        "true_cfg_scale": 4.0,
        "seed": 7,
        "response_format": "b64_json",
        "output_format": "png",
    }
    assert b'"true_cfg_scale":4.0' in request.content
    assert "authorization" not in request.headers
    picture = await made.collect(ticket, asked.action)
    assert (picture.data, picture.billed, ticket.data) == (PICTURE, {}, PICTURE)
    assert PICTURE[:20].hex() not in repr(ticket)
    await made.close()


@pytest.mark.parametrize("base", ["http://gpu-box:8091", "http://gpu-box:8091/", "http://gpu-box:8091/v1"])
async def test_any_host_may_be_named_with_or_without_v1(wire: Any, base: str) -> None:
    route = wire.post("http://gpu-box:8091/v1/images/generations").mock(return_value=answer())
    made, asked = provider(base_url=base), order("openai")
    await made.submit(asked, made.body(asked), Gate())
    assert route.call_count == 1
    await made.close()


@pytest.mark.parametrize(
    ("environ", "settings", "sends"),
    [
        ({"OPENAI_API_KEY": "sk-mine"}, {"base_url": "https://gpu.example"}, False),
        (
            {"OPENAI_API_KEY": "sk-mine", "GPU_API_KEY": "sk-gpu"},
            {"base_url": "https://gpu.example", "api_key_env": "GPU_API_KEY"},
            False,
        ),
        ({"OPENAI_API_KEY": "sk-mine"}, {"base_url": BASE}, False),
        ({"GPU_API_KEY": "sk-gpu"}, {"base_url": BASE, "api_key_env": "GPU_API_KEY"}, True),
        ({"OPENAI_API_KEY": "sk-mine", "QWENBUILD_GPU_BASE_URL": "https://gpu.example"}, {}, False),
        (
            {"OPENAI_API_KEY": "sk-mine", "QWENBUILD_GPU_BASE_URL": "https://gpu.example"},
            {"api_key_env": "OPENAI_API_KEY"},
            True,
        ),
        ({"OPENAI_API_KEY": "sk-mine", "QWENBUILD_GPU_BASE_URL": BASE}, {}, False),
        ({"OPENAI_API_KEY": "sk-mine", "QWENBUILD_GPU_BASE_URL": "http://gpu.example"}, {}, False),
    ],
)
async def test_a_key_goes_only_where_the_environment_sends_it(
    wire: Any, environ: dict[str, str], settings: dict[str, Any], sends: bool
) -> None:
    route = wire.post(path="/v1/images/generations").mock(return_value=answer())
    made, asked = provider(environ, **settings), order("openai")
    await made.submit(asked, made.body(asked), Gate())
    assert ("authorization" in route.calls.last.request.headers) is sends
    await made.close()


async def test_without_an_address_nothing_is_built() -> None:
    with pytest.raises(InputError, match="QWENBUILD_GPU_BASE_URL"):
        provider(base_url=None)


@pytest.mark.parametrize(
    ("status", "body", "error", "kind"),
    [
        (400, {"detail": "size must be WxH"}, Refused, ""),
        (400, {"error": {"message": "The model `x` does not exist", "type": "t", "code": 404}}, AccountStop, "model"),
        (401, {"error": {"message": "Unauthorized"}}, AccountStop, "credentials"),
        (404, {"detail": "Not Found"}, AccountStop, "model"),
        (422, {"detail": [{"loc": ["body", "n"], "msg": "too many"}]}, Refused, ""),
        (429, {"error": {"message": "busy"}}, Throttled, ""),
        (500, {"error": {"message": "CUDA out of memory"}}, FailedAtProvider, ""),
        (503, {"detail": "loading"}, FailedAtProvider, ""),
        (500, None, Uncertain, ""),
        (200, {"data": []}, Uncertain, ""),
        (200, {"data": None}, Uncertain, ""),
        (200, {"data": [{"b64_json": None, "url": None}]}, Uncertain, ""),
        (200, {"data": [{"b64_json": ""}]}, Uncertain, ""),
        (200, {"data": ["https://gpu.example/x.png"]}, Uncertain, ""),
        (200, {"error": {"message": "CUDA out of memory"}}, Uncertain, ""),
        (200, {"data": [{"b64_json": "not base64!"}]}, Uncertain, ""),
    ],
)
async def test_each_error(wire: Any, status: int, body: Any, error: type[ProviderError], kind: str) -> None:
    reply = httpx.Response(status, text="Internal Server Error") if body is None else httpx.Response(status, json=body)
    wire.post(SUBMIT).mock(return_value=reply)
    made, asked = provider(), order("openai")
    with pytest.raises(ProviderError) as caught:
        await made.submit(asked, made.body(asked), Gate())
    assert type(caught.value) is error
    assert getattr(caught.value, "kind", "") == kind
    await made.close()


async def test_a_picture_of_another_size_is_kept_and_named() -> None:
    made = provider()
    wrong = placeholder_png(action("openai", size="64*64"))
    with pytest.raises(BadPicture) as caught:
        await made.collect(Ticket("gpu", BASE, data=wrong), action("openai"))
    assert caught.value.data == wrong
    with pytest.raises(Lost):
        await made.collect(Ticket("gpu", BASE), action("openai"))
    await made.close()


TEXT = base64.b64encode(PICTURE).decode()
SPELLINGS: dict[str, Any] = {
    "plain": [{"b64_json": TEXT}],
    "with a prefix": [{"b64_json": f"data:image/png;base64,{TEXT}"}],
    "in lines": [{"b64_json": base64.encodebytes(PICTURE).decode()}],
    "in lines of another system": [{"b64_json": base64.encodebytes(PICTURE).decode().replace("\n", "\r\n")}],
    "for addresses": [{"b64_json": base64.urlsafe_b64encode(PICTURE).decode()}],
    "without padding": [{"b64_json": TEXT.rstrip("=")}],
    "in place of an address": [{"url": f"data:image/png;base64,{TEXT}"}],
    "one object": {"b64_json": TEXT},
    "behind an empty one": [{"b64_json": None, "url": None}, {"b64_json": TEXT}],
}


@pytest.mark.parametrize("spelling", SPELLINGS)
async def test_a_picture_is_read_however_the_server_spells_it(wire: Any, spelling: str) -> None:
    wire.post(SUBMIT).mock(return_value=httpx.Response(200, json={"data": SPELLINGS[spelling]}))
    made, asked = provider(), order("openai")
    ticket = await made.submit(asked, made.body(asked), Gate())
    assert (await made.collect(ticket, asked.action)).data == PICTURE
    await made.close()


OWN = {"GPU_API_KEY": "sk-gpu", "QWENBUILD_GPU_BASE_URL": "https://gpu.example"}


@pytest.mark.parametrize(
    ("link", "asked_at", "with_key"),
    [
        ("/files/1.png", "https://gpu.example/files/1.png", True),
        ("images/1/content", "https://gpu.example/v1/images/1/content", True),
        ("https://gpu.example/files/1.png", "https://gpu.example/files/1.png", True),
    ],
)
async def test_a_picture_behind_a_link_of_the_server_itself_is_fetched_from_there(
    wire: Any, link: str, asked_at: str, with_key: bool
) -> None:
    wire.post("https://gpu.example/v1/images/generations").mock(
        return_value=httpx.Response(200, json={"data": [{"b64_json": None, "url": link}]})
    )
    fetched = wire.get(asked_at).mock(return_value=httpx.Response(200, content=PICTURE))
    made, asked = provider(OWN, base_url=None, api_key_env="GPU_API_KEY"), order("openai")
    picture = await made.collect(await made.submit(asked, made.body(asked), Gate()), asked.action)
    assert (picture.data, picture.billed) == (PICTURE, {})
    assert ("authorization" in fetched.calls.last.request.headers) is with_key
    await made.close()


@pytest.mark.parametrize(
    "link",
    [
        "https://evil.example/x.png",
        "//evil.example/x.png",
        "http://gpu.example/x.png",
        "https://gpu.example:8443/x.png",
        "https://gpu.example@evil.example/x.png",
        "file:///etc/passwd",
        "http://169.254.169.254/latest/meta-data/",
    ],
)
async def test_a_link_to_another_host_is_not_followed_and_gets_no_key(wire: Any, link: str) -> None:
    wire.post("https://gpu.example/v1/images/generations").mock(
        return_value=httpx.Response(200, json={"data": [{"url": link}]})
    )
    elsewhere = wire.get(url__regex=".*").mock(return_value=httpx.Response(200, content=PICTURE))
    made, asked = provider(OWN, base_url=None, api_key_env="GPU_API_KEY"), order("openai")
    ticket = await made.submit(asked, made.body(asked), Gate())
    with pytest.raises(NotFetched) as caught:
        await made.collect(ticket, asked.action)
    assert (caught.value.stuck, elsewhere.call_count) == (True, 0)
    await made.close()


async def test_an_answer_without_a_picture_is_shown_in_the_servers_words_and_kept(wire: Any) -> None:
    body = b'{"error": {"message": "out of memory, key sk-canary-000000000000"}}'
    wire.post(SUBMIT).mock(return_value=httpx.Response(200, content=body))
    made, asked = provider(), order("openai")
    with pytest.raises(Uncertain, match="out of memory") as caught:
        await made.submit(asked, made.body(asked), Gate())
    assert caught.value.data == body
    assert "canary" not in str(caught.value)
    with pytest.raises(Lost) as cut:
        await made.collect(Ticket("gpu", BASE, data=PICTURE[:-20]), asked.action)
    assert cut.value.data == PICTURE[:-20]
    await made.close()


async def test_a_rewritten_prompt_is_kept_without_a_key_that_a_server_put_into_it(wire: Any) -> None:
    item = {"b64_json": base64.b64encode(PICTURE).decode(), "revised_prompt": "glowing, for gpu-canary-0001"}
    environ = {"QWENBUILD_GPU_BASE_URL": "https://gpu.example", "GPU_API_KEY": "gpu-canary-0001"}
    made, asked = provider(environ, base_url=None, api_key_env="GPU_API_KEY"), order("openai")
    wire.post("https://gpu.example/v1/images/generations").mock(return_value=httpx.Response(200, json={"data": [item]}))
    ticket = await made.submit(asked, made.body(asked), Gate())
    assert ticket.facts == {"actual_prompt": "glowing, for ***"}
    await made.close()
