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


def action() -> dict[str, Any]:
    return {step["id"]: step for step in loaded("github-action/action.yml")["runs"]["steps"]}


def test_the_actions_steps_make_the_tree_a_page_and_one_comment(clone: Machine) -> None:
    steps, temp = action(), clone.folder.parent / "temp"
    assert list(steps) == ["install", "restore", "plan", "build", "changes", "artifact", "comment", "post"]
    clone.edit('"b|<c>"', '"b|<c>", "d"')
    outputs = {"GITHUB_OUTPUT": str(temp / "output"), "BASE": "", "PAGE": "https://example.invalid/1"}
    for name in ("plan", "changes", "comment"):
        done = shell(steps[name]["run"], clone, **outputs)
        assert done.returncode == 0, (name, done.stderr)
    said = dict(line.split("=", 1) for line in (temp / "output").read_text().splitlines())
    assert (said["pictures"], said["cost"], said["up-to-date"], said["changed"]) == ("1", "{}", "false", "0")
    comment = Path(said["file"]).read_text()
    assert comment.startswith("<!-- qwenbuild: art review -->\n### Plan: 1 picture to buy, free\n")
    assert "| coins/d | to buy | new | free |" in comment
    assert "(https://example.invalid/1)" in comment
    assert 'failures="0"' in (temp / "qwenbuild-junit.xml").read_text()
    assert (temp / "qwenbuild-page" / "index.html").is_file()
    clone.edit(', "d"', "")
    for name in ("restore", "build"):
        done = shell(steps[name]["run"], clone)
        assert done.returncode == 0, (name, done.stderr)
    assert sorted(clone.tree().values()) == sorted(clone.digests())


def test_the_action_posts_one_comment_and_renews_its_own(clone: Machine) -> None:
    """`gh` is played: it says which comments there are, and writes down what it is asked for."""
    gh, asked = clone.folder.parent / "bin" / "gh", clone.folder.parent / "asked"
    gh.parent.mkdir(exist_ok=True)
    environ = {"GITHUB_REF": "refs/pull/12/merge", "REPOSITORY": "a/b", "FILE": "comment.md"}
    for own, wanted in (("", "POST repos/a/b/issues/12/comments"), ("7", "PATCH repos/a/b/issues/comments/7")):
        gh.write_text(f'#!/bin/sh\n[ "$2" = --paginate ] && echo "{own}" || echo "$3 $4" > {asked}\n')
        gh.chmod(0o755)
        done = shell(action()["post"]["run"], clone, **environ)
        assert done.returncode == 0, done.stderr
        assert asked.read_text().strip() == wanted


def test_the_actions_build_refuses_what_the_lockfile_does_not_name(clone: Machine) -> None:
    clone.edit('"b|<c>"', '"d"')
    assert shell(action()["build"]["run"], clone).returncode == 3


def test_the_action_says_where_an_error_is(clone: Machine) -> None:
    clone.edit("version: 1", "version: 1\nasets: {}")
    done = shell(action()["plan"]["run"], clone, GITHUB_OUTPUT=os.devnull, GITHUB_WORKSPACE=str(clone.folder))
    assert done.returncode == 2
    assert "::error file=qwenbuild.yaml,line=2,col=1,title=" in done.stderr


def test_gitlabs_script_makes_the_tree_a_page_and_a_note(clone: Machine) -> None:
    done = shell("\n".join(loaded("gitlab-ci.yml")["assets"]["script"]), clone, CI_JOB_URL="https://example.invalid/1")
    assert done.returncode == 0, done.stderr
    assert sorted(clone.tree().values()) == sorted(clone.digests())
    assert (clone.folder / "gallery" / "index.html").is_file()
    assert "### Plan: nothing to buy" in (clone.folder / "comment.md").read_text()
    assert 'failures="0"' in (clone.folder / "junit.xml").read_text()


def test_the_hooks_run_and_cannot_pay(clone: Machine) -> None:
    published = yaml.safe_load((RECIPES.parents[1] / ".pre-commit-hooks.yaml").read_text())
    hooks = {hook["id"]: hook for hook in published}
    assert [hook["id"] for hook in loaded("pre-commit-config.yaml")["repos"][0]["hooks"]] == list(hooks)
    assert {hook["entry"] for hook in hooks.values()} == {"qwenbuild validate", "qwenbuild plan --check --offline"}
    assert shell(hooks["qwenbuild-validate"]["entry"], clone).returncode == 0
    assert shell(hooks["qwenbuild-plan"]["entry"], clone).returncode == 3
    assert clone.build(locked=True).exit_code == 0
    assert shell(hooks["qwenbuild-plan"]["entry"], clone).returncode == 0


def test_every_recipe_installs_from_an_address_and_pins_what_it_uses() -> None:
    for path in RECIPES.rglob("*"):
        text = path.read_text() if path.is_file() else ""
        assert not re.search(r"pip install[^\n]*['\" ]qwenbuild", text), path
        assert not re.search(r"additional_dependencies: \[qwenbuild", text), path
        for used in re.findall(r"uses: (\S+)", text):
            assert used.startswith("./") or re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", used), (path, used)


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
