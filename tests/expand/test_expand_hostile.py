"""Hostile templates end soon, stay small, and read nothing: all of them in one process with 1 GB."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import hostile
import pytest
from expand_making import asset, problem, prompt_problem

SECONDS = 3.0
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the limit of memory needs POSIX")


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[float, str, str]]:
    folder = tmp_path_factory.mktemp("hostile") / "project"
    folder.mkdir()
    hostile.prepare(folder)
    program = [sys.executable, str(Path(hostile.__file__)), str(folder)]
    done = subprocess.run(program, capture_output=True, text=True, timeout=120, env={**os.environ, "PYTHONPATH": os.getcwd()})
    assert done.returncode == 0, done.stderr[-2000:]
    return {name: tuple(result) for name, result in json.loads(done.stdout).items()}


@pytest.mark.parametrize("name", [*hostile.COSTLY, *hostile.BROKEN, *hostile.REFUSED])
def test_a_hostile_template_ends_in_two_seconds_with_a_clean_error(
    name: str, results: dict[str, tuple[float, str, str]]
) -> None:
    seconds, outcome, message = results[name]
    assert seconds < SECONDS
    assert outcome != "rendered"
    assert "SECRET" not in message
    assert "Traceback" not in message


@pytest.mark.parametrize(
    "name", [name for name in hostile.COSTLY if name not in ("a great many parts", "a great many statements")]
)
def test_a_costly_template_is_told_that_it_is(name: str, results: dict[str, tuple[float, str, str]]) -> None:
    assert results[name][1] in ("template-too-costly", "template-error", "empty-slug"), results[name]


@pytest.mark.parametrize("name", list(hostile.REFUSED))
def test_what_is_not_allowed_is_refused_and_not_merely_costly(name: str, results: dict[str, tuple[float, str, str]]) -> None:
    refusals = ("undefined", "template-syntax", "template-error", "template-forbidden", "outside-folder", "too-large")
    assert results[name][1] in refusals, results[name]


def test_the_same_template_fails_at_the_same_step_every_time() -> None:
    text = "{% for i in range(1000) %}{% for j in range(n) %}x{% endfor %}{% endfor %}"
    assert [prompt_problem(text, n=900).code for _ in range(2)] == ["template-too-costly"] * 2


def test_many_entries_together_have_a_budget() -> None:
    costly = "{% for i in range(300) %}{% for j in range(300) %}{{ j }}{% endfor %}{% endfor %}{{ n }}"
    found = problem(asset(prompt=costly, matrix={"n": tuple(range(2000))}))
    assert "together" in found.message


def test_many_texts_together_have_a_budget() -> None:
    found = problem(asset(prompt="{{ long }}{{ n }}", vars={"long": "x" * 900_000}, matrix={"n": tuple(range(200))}))
    assert "characters together" in found.message


def test_many_templates_together_have_a_budget() -> None:
    many = [asset(f"a{n}", prompt="{{ 1 | upper }}" * 3000 + str(n)) for n in range(200)]
    assert "together" in problem(*many[:60]).message
