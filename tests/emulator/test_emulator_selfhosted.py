"""The emulator speaks the self-hosted servers' /v1/images/generations; asked with plain HTTP."""

from __future__ import annotations

import base64
import io
import itertools
from typing import Any

import httpx
import pytest
from PIL import Image

from qwenbuild.emulator import Served

GOOD: dict[str, Any] = {
    "model": "Qwen/Qwen-Image-2512", "prompt": "a lantern", "negative_prompt": " ", "n": 1, "size": "1472x1140", "seed": 42,
    "num_inference_steps": 50, "true_cfg_scale": 4.0, "response_format": "b64_json", "output_format": "png",
}  # fmt: skip


def ask(served: Served, headers: dict[str, str] | None = None, **changes: Any) -> httpx.Response:
    base = served.environ()["QWENBUILD_OPENAI_BASE_URL"]
    body = {name: value for name, value in (GOOD | changes).items() if value is not None}
    return httpx.post(f"{base}/v1/images/generations", json=body, headers=headers)


def test_a_picture_comes_in_the_answer_its_sides_rounded_down_to_sixteen(emulator: Served) -> None:
    answer = ask(emulator)
    assert answer.status_code == 200
    [item] = answer.json()["data"]
    assert Image.open(io.BytesIO(base64.b64decode(item["b64_json"]))).size == (1472, 1136)
    [job] = emulator.ledger()
    assert {
        "prompt": "a lantern",
        "negative_prompt": " ",
        "seed": 42,
        "size": "1472*1136",
        "charged": {},
    }.items() <= job.items()


@pytest.mark.parametrize(
    "changes",
    [{"model": "other"}, {"prompt": None}, {"size": "1328*1328"}, {"n": 11}, {"num_inference_steps": 0},
     {"true_cfg_scale": "x"}, {"response_format": "url"}, {"output_format": "gif"}, {"seed": 1.5}],
)  # fmt: skip
@pytest.mark.parametrize("server", ["vllm", "sglang"])
def test_a_bad_field_is_refused(emulator: Served, server: Any, changes: dict[str, Any]) -> None:
    emulator.configure(server=server)
    answer = ask(emulator, **changes)
    assert answer.status_code in (400, 422)
    assert ("detail" if server == "sglang" else "error") in answer.json()
    assert emulator.ledger() == []


def test_sglang_gives_addresses_unless_it_is_told_otherwise(emulator: Served) -> None:
    assert ask(emulator, response_format=None).status_code == 200
    emulator.configure(server="sglang")
    assert ask(emulator, response_format=None).status_code == 400


def test_a_key_that_comes_here_is_a_leak(emulator: Served) -> None:
    ask(emulator)
    assert emulator.leaks() == []
    ask(emulator, {"Authorization": "Bearer " + emulator.environ()["DASHSCOPE_API_KEY"]})
    assert [leak["keys_of"] for leak in emulator.leaks()] == [["singapore"]]


def test_one_gpu_draws_one_picture_at_a_time(strict_emulator: Served) -> None:
    strict_emulator.configure(latency=0.03)
    for seed in range(3):
        ask(strict_emulator, seed=seed)
    jobs = strict_emulator.ledger()
    assert all(later["start"] >= earlier["end"] for earlier, later in itertools.pairwise(jobs))
