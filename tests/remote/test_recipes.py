"""The recipes for CI do what they say: their scripts are run in a fresh clone; none of them can pay."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from qwenbuild.engine.shared_cache import push_pictures
from tests.remote.teams import Machine, Team
from tests.walking import Recorder

RECIPES = Path(__file__).parents[2] / "docs" / "recipes"
PAYING = re.compile(r"--yes|--max-cost|\s-y\b|--force")
MANIFEST = """\
version: 1
defaults: {params: {size: "32*32"}}
assets:
  coins: {prompt: "coin {{ n }}", matrix: {n: [a, "b|<c>"]}, id: "coins/{{ n | slug }}"}
"""


def loaded(name: str) -> Any:
    return yaml.safe_load((RECIPES / name).read_text())


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A fresh clone of a project whose pictures are in a shared folder."""
    (tmp_path / "share").mkdir()
    team = Team(tmp_path, (tmp_path / "share").as_uri(), monkeypatch, MANIFEST)
    first = team.machine("ann")
    assert first.build().exit_code == 0
    push_pictures(first.options(), Recorder())
    return team.clone("runner")


def shell(script: str, machine: Machine, **said: str) -> subprocess.CompletedProcess[str]:
    """Run a step's script as the service would, with `qwenbuild` and `python` on the path."""
    tools = machine.folder.parent / "bin"
    tools.mkdir(exist_ok=True)
    for name, words in {"python": "", "qwenbuild": " -m qwenbuild"}.items():
        (tools / name).write_text(f'#!/bin/sh\nexec "{sys.executable}"{words} "$@"\n')
        (tools / name).chmod(0o755)
    temp = machine.folder.parent / "temp"
    temp.mkdir(exist_ok=True)
    environ = {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}", "QWENBUILD_CACHE_DIR": str(machine.cache_dir)}
    environ |= {"RUNNER_TEMP": str(temp), "GITHUB_STEP_SUMMARY": str(temp / "summary.md"), **said}
    bash = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script]
    return subprocess.run(bash, cwd=machine.folder, env=environ, capture_output=True, text=True, timeout=120)


def test_the_actions_steps_make_the_tree_and_a_summary_table(clone: Machine) -> None:
    steps = {step["id"]: step for step in loaded("github-action/action.yml")["runs"]["steps"] if "id" in step}
    assert list(steps) == ["install", "restore", "plan", "changes", "build", "gallery"]
    clone.edit('"b|<c>"', '"b|<c>", "d"')
    plan = shell(steps["plan"]["run"], clone)
    assert plan.returncode == 0, plan.stderr
    summary = (clone.folder.parent / "temp" / "summary.md").read_text()
    assert "| coins/d | generate | new | free |" in summary
    assert "3 of 3 entries, cost free" in summary
    clone.edit(', "d"', "")
    for name in ("restore", "build", "gallery"):
        done = shell(steps[name]["run"], clone)
        assert done.returncode == 0, (name, done.stderr)
    assert sorted(clone.tree().values()) == sorted(clone.digests())
    assert (clone.folder.parent / "temp" / "gallery" / "index.html").is_file()


def test_the_actions_build_refuses_what_the_lockfile_does_not_name(clone: Machine) -> None:
    clone.edit('"b|<c>"', '"d"')
    steps = {step.get("id"): step for step in loaded("github-action/action.yml")["runs"]["steps"]}
    assert shell(steps["build"]["run"], clone).returncode == 3


def test_gitlabs_script_makes_the_tree(clone: Machine) -> None:
    for line in loaded("gitlab-ci.yml")["assets"]["script"]:
        done = shell(line, clone)
        assert done.returncode == 0, (line, done.stderr)
    assert sorted(clone.tree().values()) == sorted(clone.digests())


def test_the_hooks_run_and_cannot_pay(clone: Machine) -> None:
    hooks = {hook["id"]: hook for hook in loaded("pre-commit-config.yaml")["repos"][0]["hooks"]}
    assert {hook["entry"] for hook in hooks.values()} == {"qwenbuild validate", "qwenbuild plan --check --offline"}
    assert shell(hooks["qwenbuild-validate"]["entry"], clone).returncode == 0
    assert shell(hooks["qwenbuild-plan"]["entry"], clone).returncode == 3
    assert clone.build(locked=True).exit_code == 0
    assert shell(hooks["qwenbuild-plan"]["entry"], clone).returncode == 0


def test_only_the_job_that_a_person_starts_may_pay() -> None:
    flow = loaded("github-workflow.yml")
    paying = [name for name, job in flow["jobs"].items() if any(PAYING.search(step.get("run", "")) for step in job["steps"])]
    assert paying == ["generate"]
    assert flow["jobs"]["generate"]["if"] == "github.event_name == 'workflow_dispatch'"
    for name in ("github-action/action.yml", "gitlab-ci.yml", "pre-commit-config.yaml", "Dockerfile"):
        assert not PAYING.search((RECIPES / name).read_text()), name


def test_no_input_of_a_stranger_stands_in_a_script() -> None:
    """What a pull request can choose must not become shell."""
    text = (RECIPES / "github-workflow.yml").read_text() + (RECIPES / "github-action" / "action.yml").read_text()
    assert "github.head_ref" not in text
    assert "github.event.pull_request" not in text
    assert not re.search(r"run:.*\$\{\{ *(github|secrets)", text)


def test_the_image_holds_no_key_and_runs_as_nobody_special() -> None:
    text = (RECIPES / "Dockerfile").read_text()
    assert "API_KEY" not in text
    assert text.index("USER builder") < text.index("ENTRYPOINT")
    assert shutil.which("docker") is None or "VOLUME /cache" in text


@pytest.mark.parametrize("recipe", ["github-shards.yml", "gitlab-shards.yml"])
def test_eight_runners_and_a_last_job_write_the_lockfile_of_one_build(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recipe: str
) -> None:
    (tmp_path / "share").mkdir()
    monkeypatch.setenv("QWENBUILD_TEAM_KEY", "the team's secret")
    team = Team(tmp_path, "", monkeypatch, MANIFEST.replace("version: 1", "version: 1\ntrust: keys"))
    alone = team.machine("alone")
    alone.build()
    team.share((tmp_path / "share").as_uri())
    for number in range(1, 9):
        environ = {"SHARD": f"{number}/8", "CI_NODE_INDEX": str(number), "CI_NODE_TOTAL": "8", "MAX_COST": "1"}
        ran = shell(job_script(recipe, "shard"), team.machine(f"runner{number}"), **environ)
        assert ran.returncode == 0, ran.stderr
    last = team.machine("last")
    ran = shell(job_script(recipe, "lockfile"), last)
    assert ran.returncode == 0, ran.stderr
    assert last.lock.read_bytes() == alone.lock.read_bytes()
    assert PAYING.search(job_script(recipe, "lockfile")) is None


def job_script(recipe: str, job: str) -> str:
    """What a job runs, without the installation."""
    jobs = loaded(recipe)
    steps = jobs[job]["script"] if job in jobs else [step["run"] for step in jobs["jobs"][job]["steps"] if "run" in step]
    return "\n".join(step for step in steps if "pip install" not in step)
