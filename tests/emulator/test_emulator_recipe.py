"""The recipe for GitHub Actions of docs/emulator.md, run step by step as a runner does; only installing is left out."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.walking import Project

PAGE = Path(__file__).parent.parent.parent / "docs" / "emulator.md"
MANIFEST = """\
version: 1
assets:
  lanterns: {prompt: "a {{ color }} lantern", model: qwen-image-plus, matrix: {color: [red, blue]}}
"""

pytestmark = pytest.mark.skipif(not all(map(shutil.which, ("bash", "curl", "timeout"))), reason="needs bash, curl and timeout")


def steps() -> list[str]:
    """What the recipe runs, in order."""
    (recipe,) = [
        text for text in re.findall(r"```yaml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL) if "jobs:" in text
    ]
    found = yaml.safe_load(recipe)["jobs"]["build"]["steps"]
    return [step["run"] for step in found if "run" in step and not step["run"].startswith("pip install")]


class Runner:
    """Runs one step after the other, each in a shell of its own, with the environment that earlier ones left."""

    def __init__(self, checkout: Path, temp: Path) -> None:
        self.checkout, self.kept = checkout, temp / "github.env"
        self.temp = temp
        self.kept.touch()
        self.groups: list[int] = []

    def environ(self) -> dict[str, str]:
        """The runner's own variables and those that steps wrote."""
        lines = (line.partition("=") for line in self.kept.read_text(encoding="utf-8").splitlines())
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        own = {"PATH": path, "RUNNER_TEMP": str(self.temp), "GITHUB_ENV": str(self.kept)}
        return {**os.environ, **own, **{name: value for name, _, value in lines}}

    def run(self, step: str) -> str:
        """What the step prints. What it leaves running keeps running."""
        said = self.temp / "said.txt"
        with said.open("w", encoding="utf-8") as out:
            process = subprocess.Popen(
                ["bash", "-e", "-o", "pipefail", "-c", step], cwd=self.checkout, env=self.environ(), stdin=subprocess.DEVNULL,
                stdout=out, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
            self.groups.append(process.pid)
            code = process.wait(timeout=120)
        text = said.read_text(encoding="utf-8")
        assert code == 0, text
        return text


@pytest.fixture
def runner(walked: Project, tmp_path: Path) -> Iterator[Runner]:
    """A runner whose checkout is the project."""
    temp = tmp_path / "runner"
    temp.mkdir()
    made = Runner(walked.folder, temp)
    yield made
    for group in made.groups:
        try:
            os.killpg(group, signal.SIGTERM)
        except ProcessLookupError:
            continue


def test_the_recipe_builds_into_another_folder_and_says_the_cost(runner: Runner, walked: Project) -> None:
    walked.manifest(MANIFEST)
    said = [runner.run(step) for step in steps()]
    assert len(said) == 3
    assert said[-1].replace(" ", "") == '{"usd":"0.06"}'
    assert len(list((runner.temp / "pictures" / "lanterns").glob("*.png"))) == 2
    assert sorted(path.name for path in walked.folder.iterdir()) in (["qwenbuild.yaml"], [".qwenbuild", "qwenbuild.yaml"])


def test_the_recipe_fails_for_what_the_api_cannot_express(runner: Runner, walked: Project) -> None:
    walked.manifest(MANIFEST.replace("model:", "params: {num_inference_steps: 30}, model:"))
    start, build, _ = steps()
    runner.run(start)
    with pytest.raises(AssertionError, match="num_inference_steps"):
        runner.run(build)
