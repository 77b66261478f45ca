"""Whatever is sent, the emulator answers; only well-formed requests are accepted."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qwenbuild.emulator import Emulator, Served
from qwenbuild.emulator.wire import Reply, Request

HEADERS = {
    "/dashscope/singapore/api/v1": {"authorization": "Bearer sk-emulated-singapore-0001", "x-dashscope-async": "enable"},
    "/dashscope/beijing/api/v1": {"authorization": "Bearer sk-emulated-beijing-0001"},
    "/apiframe": {"x-api-key": "afk_emulated_0001"},
    "/qwen2512": {"authorization": "Bearer sk-emulated-2512-0001"},
    "/openai": {},
}
SUBMITS = {
    "/dashscope/singapore/api/v1": "/services/aigc/text2image/image-synthesis",
    "/dashscope/beijing/api/v1": "/services/aigc/multimodal-generation/generation",
    "/apiframe": "/v2/images/generate",
    "/qwen2512": "/api/generate",
    "/openai": "/v1/images/generations",
}
WORDS = ["model", "input", "prompt", "messages", "role", "user", "content", "text", "image", "parameters", "size", "seed", "n",
         "negative_prompt", "qwenParams", "aspect_ratio", "webhook_url", "output_format", "prompt_extend", "watermark",
         "qwen-image-plus", "qwen-image-2.0", "qwen-image-2", "1328*1328", "1:1", "png"]  # fmt: skip
scalars = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(WORDS) | st.just("\ud800")
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner), max_leaves=8
)
CORE = Emulator(enforce=False)


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(sorted(SUBMITS)), values)
def test_any_json_gets_an_answer(base: str, body: Any) -> None:
    request = Request("POST", base + SUBMITS[base], "", HEADERS[base], json.dumps(body).encode())
    answer = CORE.respond(request)
    assert isinstance(answer, Reply)
    assert 200 <= answer.status < 500
    json.loads(answer.body)


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.sampled_from(sorted(SUBMITS)),
    st.sampled_from(["GET", "POST"]),
    st.text(max_size=20),
    st.text(max_size=20),
    st.binary(max_size=30),
)
def test_any_request_gets_an_answer(base: str, method: str, path: str, query: str, body: bytes) -> None:
    for place in (
        f"{base}/{path}",
        f"{base}{SUBMITS[base]}",
        f"{base}/v2/jobs/{path}",
        f"{base}/tasks",
        f"{base}/tasks/{path}",
        f"/oss/{path}",
    ):
        answer = CORE.respond(Request(method, place, query, HEADERS[base], body))
        assert isinstance(answer, Reply)
        assert 200 <= answer.status < 500


def test_json_nested_beyond_reason_is_refused() -> None:
    for base in SUBMITS:
        answer = CORE.respond(Request("POST", base + SUBMITS[base], "", HEADERS[base], b"[" * 100_000))
        assert isinstance(answer, Reply)
        assert answer.status in (400, 422)


def test_two_hundred_submissions_a_second_are_borne(emulator: Served) -> None:
    core = Emulator(enforce=False)
    body = json.dumps({"model": "qwen-image-plus", "input": {"prompt": "x"}, "parameters": {}}).encode()
    base = "/dashscope/singapore/api/v1"
    requests = [Request("POST", base + SUBMITS[base], "", HEADERS[base], body)] * 400
    started = core.clock.now()
    for request in requests:
        core.respond(request)
    assert core.clock.now() - started < 1.0
    assert len(core.prompts()) == 400


@pytest.mark.parametrize("name", ["a.png", "b.png"])
def test_an_upload_is_known_by_its_content(emulator: Served, name: str) -> None:
    env = emulator.environ()
    base, headers = env["QWENBUILD_APIFRAME_BASE_URL"], {"X-API-Key": env["APIFRAME_API_KEY"]}
    answers = [
        httpx.post(base + "/v2/uploads", headers=headers, files={"file": (file, content, "image/png")}).json()
        for file, content in ((name, b"one"), ("other.png", b"one"), (name, b"two"))
    ]
    assert [answer["byteSize"] for answer in answers] == [3, 3, 3]
    assert answers[0]["url"] == answers[1]["url"] != answers[2]["url"]
    assert httpx.post(base + "/v2/uploads", headers=headers, content=b"x").status_code == 400


def test_a_fault_of_a_download_can_be_ordered_for_one_api(emulator: Served) -> None:
    env = emulator.environ()
    emulator.fault("download", "html", api="dashscope")
    base, headers = env["QWENBUILD_QWEN2512_BASE_URL"], {"Authorization": "Bearer " + env["QWEN2512_API_KEY"]}
    body = {"prompt": "x", "output_format": "png"}
    task = httpx.post(base + "/api/generate", json=body, headers=headers).json()["data"]["task_id"]
    emulator.advance(1)
    url = httpx.get(f"{base}/api/status?task_id={task}", headers=headers).json()["data"]["response"][0]
    assert httpx.get(url).headers["content-type"] == "image/png"
