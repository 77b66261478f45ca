"""What we send a self-hosted server, understood by the real pipeline: sizes, seeds, guidance, steps, negative prompts.

Needs torch and diffusers and is no part of CI: `pip install -e '.[test]' torch diffusers transformers accelerate`, then
`pytest tests/model`. Weights are random and tiny; nothing is fetched.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from qwenbuild.errors import InputError
from tests.walking import Project

MISSING = [name for name in ("torch", "diffusers", "transformers") if find_spec(name) is None]
pytestmark = [pytest.mark.model, pytest.mark.skipif(bool(MISSING), reason=f"needs {', '.join(MISSING)}")]

MANIFEST = """\
version: 1
provider: gpu
providers:
  gpu: {type: openai, model: Qwen/Qwen-Image-2512, weights: "tiny, random"}
assets:
  lamp:
    prompt: a paper lamp “点”
    seed: 7
    params: {size: "64*64", num_inference_steps: 2}
"""


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """The address of the pipeline's server, in a process of its own: torch takes seconds to load."""
    environ = {**os.environ, "HF_HUB_OFFLINE": "1"}
    argv = [sys.executable, "-m", "tests.model.server"]
    root = Path(__file__).parent.parent.parent
    with subprocess.Popen(argv, cwd=root, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.stdin.close()


@pytest.fixture
def gpu(server: str, walked: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project whose provider is the real pipeline."""
    monkeypatch.setenv("QWENBUILD_GPU_BASE_URL", server)
    walked.manifest(MANIFEST)
    return walked


def asked(server: str, path: str) -> Any:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"{server}{path}", timeout=30) as answer:
        return json.loads(answer.read())


def picture(project: Project, name: str = "lamp.png") -> bytes:
    assert project.build().exit_code == 0
    return (project.out / name).read_bytes()


def test_the_pipeline_is_called_with_what_the_manifest_says(gpu: Project, server: str) -> None:
    gpu.edit("num_inference_steps: 2", "num_inference_steps: 3, true_cfg_scale: 2.5, negative_prompt: dark")
    picture(gpu)
    assert asked(server, "/calls")[-1] == {
        "prompt": "a paper lamp “点”", "negative_prompt": "dark", "num_inference_steps": 3, "true_cfg_scale": 2.5, "width": 64,
        "height": 64, "num_images_per_prompt": 1, "seed": 7, "warnings": [],
    }  # fmt: skip


def test_without_a_negative_prompt_a_blank_is_sent_so_that_guidance_runs(gpu: Project, server: str) -> None:
    picture(gpu)
    call = asked(server, "/calls")[-1]
    assert (call["negative_prompt"], call["true_cfg_scale"], call["warnings"]) == (" ", 4.0, [])


def test_the_defaults_of_our_table_are_the_pipelines(gpu: Project, server: str) -> None:
    gpu.edit(", num_inference_steps: 2", "")
    action = gpu.plan().plan.steps[0].candidates[0].candidate.action
    told, extra = asked(server, "/defaults"), dict(action.extra)
    assert int(extra["num_inference_steps"]) == told["num_inference_steps"] == 50
    assert float(extra["true_cfg_scale"]) == told["true_cfg_scale"] == 4.0
    assert "negative_prompt" in told


def test_the_same_seed_gives_the_same_bytes_and_nothing_is_drawn_twice(gpu: Project, server: str) -> None:
    first = picture(gpu)
    calls = len(asked(server, "/calls"))
    assert gpu.build().counts == {"fresh": 1, "modified": 0}
    assert len(asked(server, "/calls")) == calls
    gpu.lose("cache", "outputs", "lockfile", "state")
    assert picture(gpu) == first
    assert len(asked(server, "/calls")) == calls + 1


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("seed: 7", "seed: 8"),
        ("a paper lamp", "a silk kite"),
        ("num_inference_steps: 2", "num_inference_steps: 3"),
        ("num_inference_steps: 2", "num_inference_steps: 2, true_cfg_scale: 2"),
        ("num_inference_steps: 2", "num_inference_steps: 2, negative_prompt: dark and blurry"),
    ],
)
def test_each_field_of_the_key_changes_the_picture(gpu: Project, old: str, new: str) -> None:
    first = picture(gpu)
    gpu.edit(old, new)
    assert picture(gpu) != first


@pytest.mark.parametrize(("size", "rounded"), [("100*70", (96, 64)), ("79*143", (64, 128)), ("112*48", (112, 48))])
def test_sizes_are_rounded_as_the_pipeline_rounds_them_and_before_they_are_sent(
    gpu: Project, server: str, size: str, rounded: tuple[int, int]
) -> None:
    gpu.edit("64*64", size)
    notices = [notice.code for notice in gpu.plan().notices]
    assert ("size-rounded" in notices) is (size != f"{rounded[0]}*{rounded[1]}")
    picture(gpu)
    with Image.open(gpu.out / "lamp.png") as image:
        assert image.size == rounded
    assert asked(server, "/calls")[-1]["warnings"] == []
    assert drawn_size(server, size.replace("*", "x")) == rounded


def drawn_size(server: str, size: str) -> tuple[int, int]:
    """The size of what the pipeline draws when it is asked for a size that nobody has rounded."""
    import base64
    import io

    body = {"prompt": "a lamp", "size": size, "num_inference_steps": 1, "seed": 1}
    request = urllib.request.Request(f"{server}/v1/images/generations", json.dumps(body).encode())
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60) as answer:
        data = base64.b64decode(json.loads(answer.read())["data"][0]["b64_json"])
    with Image.open(io.BytesIO(data)) as image:
        return image.size


def test_a_model_that_is_not_served_stops_and_names_the_servers_reason(gpu: Project) -> None:
    gpu.edit("model: Qwen/Qwen-Image-2512", "model: Qwen/Qwen-Image")
    summary = gpu.build()
    assert (summary.exit_code, len(summary.failures)) == (1, 1)
    assert "Qwen/Qwen-Image" in summary.failures[0][2]


def test_a_field_that_the_pipeline_lacks_is_refused_before_it_is_sent(gpu: Project, server: str) -> None:
    calls = len(asked(server, "/calls"))
    gpu.edit("num_inference_steps: 2", "num_inference_steps: 2, prompt_extend: true")
    with pytest.raises(InputError, match="prompt_extend"):
        gpu.build()
    assert len(asked(server, "/calls")) == calls
