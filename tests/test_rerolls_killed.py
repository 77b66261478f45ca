"""A build that draws failing pictures again is killed at any moment: nothing is paid for twice, and no more than `attempts`."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections import Counter

import pytest

from qwenbuild.emulator import Served
from tests.walking import Project

ENTRIES, ATTEMPTS = 6, 3
FAILING = f"""\
version: 1
provider: dashscope
defaults: {{params: {{size: "1:1", prompt_extend: false}}, model: qwen-image-plus}}
providers:
  dashscope: {{region: singapore, limits: {{rps: 200, concurrency: 3}}}}
assets:
  icons:
    prompt: "icon {{{{ n }}}}"
    matrix: {{n: [{", ".join(f"n{at}" for at in range(ENTRIES))}]}}
    expect: {{sharpness: 65025}}
    on_fail: reroll
    attempts: {ATTEMPTS}
    stop_after_failures: false
"""


def build(project: Project) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "qwenbuild", "-C", str(project.folder), "build", "--yes", "--json"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@pytest.mark.parametrize("kills", [6, pytest.param(200, marks=pytest.mark.slow)])
def test_a_killed_reroll_pays_for_each_seed_once_and_never_for_more_than_the_attempts(
    walked: Project, emulated: Served, kills: int
) -> None:
    dice, killed = random.Random(kills), 0
    while killed < kills:
        emulated.reset()
        emulated.configure(latency=0.02, enforce=False)
        walked.lose("cache", "outputs", "state", "lockfile")
        walked.manifest(FAILING)
        for _ in range(6):
            running = build(walked)
            time.sleep(dice.uniform(0.3, 3.0))
            killed += running.poll() is None
            running.kill()
            running.wait()
        for _ in range(20):
            assert walked.build().exit_code in (1, 6)
            if not walked.submitted:
                break
        bought = Counter((job["prompt"], job["seed"]) for job in emulated.ledger())
        assert max(bought.values()) == 1, "a seed was paid for twice"
        assert len(bought) <= ENTRIES * ATTEMPTS
        assert set(walked.verdicts().values()) <= {"failed", "doubt"}
