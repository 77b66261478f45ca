"""An emulator in a process of its own, seen and set through its control surface."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from qwenbuild.emulator import Remote, Served, serve
from qwenbuild.emulator.server import bind
from qwenbuild.emulator.standalone import exports


@pytest.fixture
def env_file(tmp_path: Path) -> Iterator[Path]:
    """The exports of a running `python -m qwenbuild.emulator`."""
    path = tmp_path / "emu.env"
    command = [
        sys.executable,
        "-m",
        "qwenbuild.emulator",
        "--latency",
        "0",
        "--export-file",
        str(path),
        "--set",
        "enforce=false",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        deadline = time.monotonic() + 20
        while not path.exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        yield path
        process.terminate()
        assert process.wait(10) == 0
    assert not path.exists()


def variables(path: Path) -> dict[str, str]:
    lines = [line.removeprefix("export ").partition("=") for line in path.read_text().splitlines()]
    return {name: value for name, _, value in lines}


def test_another_process_submits_and_this_one_judges(env_file: Path) -> None:
    env = variables(env_file)
    base = env["QWENBUILD_QWEN2512_BASE_URL"]
    remote = Remote(base.removesuffix("/qwen2512"))
    assert remote.environ() == env
    headers = {"Authorization": "Bearer " + env["QWEN2512_API_KEY"]}
    body = {"prompt": "a lantern", "output_format": "png"}
    remote.fault("submit", "refuse", status=500, message="on order")
    assert httpx.post(base + "/api/generate", json=body, headers=headers).status_code == 500
    answer = httpx.post(base + "/api/generate", json=body, headers=headers).json()
    remote.advance(5)
    assert remote.prompts() == ["a lantern"]
    [job] = remote.ledger()
    assert job["task"] == answer["data"]["task_id"]
    assert remote.picture_for(job["task"]).startswith(b"\x89PNG")
    assert remote.spent() == {"qwen2512": "5"}
    assert [line["status"] for line in remote.requests()] == [500, 200]
    assert remote.leaks() == remote.webhooks() == []
    assert remote.limits_seen()[0]["accepted"] == 1
    remote.configure(latency=60, accounts={"qwen2512": {"credits": 0}})
    assert httpx.post(base + "/api/generate", json=body, headers=headers).status_code == 402
    with pytest.raises(ValueError, match="unknown setting 'latncy'"):
        remote.configure(latncy=1)
    remote.reset()
    assert remote.state()["accepted"] == 0
    assert remote.ledger() == []


def test_every_verb_of_the_control_surface_is_named_to_whoever_misspells_one(emulator: Served) -> None:
    answer = httpx.get(emulator.url + "/__emu/ledgr")
    assert answer.status_code == 404
    assert "GET ledger" in answer.json()["error"]
    assert httpx.post(emulator.url + "/__emu/fault", json={"phase": "nowhere", "kind": "reset"}).status_code == 400


def test_the_control_surface_and_the_log_say_the_same(emulator: Served) -> None:
    remote = Remote(emulator.url)
    httpx.get(emulator.environ()["QWENBUILD_DASHSCOPE_BASE_URL"] + "/tasks/x")
    assert remote.requests() == emulator.requests()
    remote.freeze()
    assert remote.state()["now"] == remote.state()["now"]
    remote.fault("poll", "reset")
    assert [fault["kind"] for fault in remote.state()["faults"]] == ["reset"]
    remote.clear_faults()
    assert remote.state()["faults"] == []


def test_only_loopback_is_served() -> None:
    with pytest.raises(ValueError, match="loopback only"):
        bind("0.0.0.0", 0)


def test_a_setting_that_does_not_exist_stops_the_start() -> None:
    with pytest.raises(ValueError, match="unknown setting"), serve(latncy=1):
        raise AssertionError("it started")


def test_each_region_can_be_the_plain_dashscope() -> None:
    with serve() as served:
        singapore, beijing = served.environ(), served.environ("beijing")
    assert singapore["DASHSCOPE_API_KEY"] == beijing["DASHSCOPE_SINGAPORE_API_KEY"]
    assert beijing["DASHSCOPE_API_KEY"] == singapore["DASHSCOPE_BEIJING_API_KEY"]
    assert beijing["QWENBUILD_DASHSCOPE_BASE_URL"] == singapore["QWENBUILD_BEIJING_BASE_URL"]


def test_exports_survive_a_shell() -> None:
    text = exports({"B": "two words", "A": "http://127.0.0.1:1/x", "EMPTY": ""})
    shell = subprocess.run(["sh", "-c", text + 'printf "%s|%s" "$A" "$B"'], capture_output=True, text=True, check=True)
    assert shell.stdout == "http://127.0.0.1:1/x|two words"


def test_a_picture_does_not_change_with_the_settings_of_later_jobs() -> None:
    with serve(unique=False, enforce=False) as served:
        env = served.environ()
        headers = {"Authorization": "Bearer " + env["QWEN2512_API_KEY"]}
        body = {"prompt": "a lantern", "output_format": "png", "seed": 1}
        task = httpx.post(env["QWENBUILD_QWEN2512_BASE_URL"] + "/api/generate", json=body, headers=headers).json()["data"][
            "task_id"
        ]
        before = served.picture_for(task)
        served.configure(unique=True, weight=100_000)
        assert served.picture_for(task) == before
