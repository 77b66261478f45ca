"""A terminal that is closed costs nothing: what was sent gets its answer, and nothing is left in doubt."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from typing import Any

import pytest

from qwenbuild.emulator import Served
from qwenbuild.run.signals import console
from tests.campaign.lab import wait_until
from tests.walking import Project

LAMPS = """\
version: 1
provider: dashscope
providers: {dashscope: {region: singapore, mode: sync, limits: {rps: 200, concurrency: 3}}}
assets:
  lamp: {prompt: "lamp {{ n }}", model: qwen-image-plus, matrix: {n: [1, 2, 3, 4, 5, 6, 7, 8]}}
"""


@pytest.mark.parametrize("name", ["SIGHUP", "SIGTERM"])
@pytest.mark.parametrize("times", [1, 2])
def test_what_was_sent_when_the_terminal_closed_is_stored_and_paid_once(
    walked: Project, emulated: Served, name: str, times: int
) -> None:
    walked.manifest(LAMPS)
    emulated.configure(latency=2)
    words = [sys.executable, "-m", "qwenbuild", "build", "--yes"]
    with subprocess.Popen(words, cwd=walked.folder, stderr=subprocess.PIPE, text=True) as build:
        wait_until(lambda: len(emulated.requests()) >= 3, 30)
        for _ in range(times):
            build.send_signal(getattr(signal, name))
        _, told = build.communicate(timeout=60)
    emulated.configure(latency=0.05)
    assert build.returncode == 130, told
    states = [attempt.state.value for attempt in walked.cache().journal.attempts()]
    assert states.count("stored") >= 3
    assert "doubt" not in states
    assert "intent" not in states
    assert walked.build().exit_code == 0
    assert sorted(emulated.prompts()) == [f"lamp {n}" for n in range(1, 9)]


def test_a_build_under_nohup_goes_on_when_the_terminal_closes(walked: Project, emulated: Served) -> None:
    walked.manifest(LAMPS)
    emulated.configure(latency=1)
    words = ["nohup", sys.executable, "-m", "qwenbuild", "build", "--yes"]
    with subprocess.Popen(words, cwd=walked.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ) as build:
        wait_until(lambda: len(emulated.requests()) >= 3, 30)
        build.send_signal(signal.SIGHUP)
        build.communicate(timeout=60)
    emulated.configure(latency=0.05)
    assert build.returncode == 0
    assert len(emulated.prompts()) == 8


async def test_windows_is_held_up_until_the_run_is_over_when_its_console_closes() -> None:
    handlers: list[Any] = []

    class Kernel:
        def SetConsoleCtrlHandler(self, handler: Any, there: bool) -> None:
            handlers.append(handler) if there else handlers.remove(handler)

    caught = asyncio.Event()
    undo = console(Kernel(), asyncio.get_running_loop(), caught.set)
    assert handlers[0](0) == 0, "Ctrl-C is another handler's"
    system = threading.Thread(target=handlers[0], args=(2,))
    system.start()
    await asyncio.wait_for(caught.wait(), 5)
    assert system.is_alive()
    undo()
    system.join(5)
    assert not system.is_alive()
    assert handlers == []
