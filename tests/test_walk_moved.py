"""A project that is renamed, moved, copied or deleted leaves no paid picture behind that nobody fetches or names."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest

from qwenbuild.emulator import Served
from qwenbuild.errors import CacheError, Waiting
from qwenbuild.providers.dashscope.provider import DashScope
from qwenbuild.verbs import doubts, spend
from tests.campaign.part_http import hurried
from tests.walking import Project

HEAD = """\
version: 1
provider: {provider}
providers:
  {provider}: {{type: dashscope, region: singapore, mode: async, limits: {{rps: 200, concurrency: 20}}}}
defaults: {{params: {{size: "1:1", prompt_extend: false}}, model: qwen-image-plus}}
assets:
"""
EIGHT = [f"lamp {number}" for number in range(8)]


@pytest.fixture(autouse=True)
def _quick() -> Iterator[None]:
    with hurried():
        yield


def write(project: Project, *prompts: str, provider: str = "dashscope") -> None:
    project.manifest(HEAD.format(provider=provider) + "".join(f'  a{n}: {{prompt: "{p}"}}\n' for n, p in enumerate(prompts)))


@pytest.fixture
def left(walked: Project, emulated: Served) -> Project:
    """Eight tickets that a build paid for and that it left with the provider."""
    write(walked, *EIGHT)
    with mock.patch.object(DashScope, "collect", side_effect=Waiting("the build was killed")):
        walked.build()
    assert states(walked) == ["ticket"] * 8
    return walked


def states(project: Project) -> list[str]:
    return sorted(attempt.state.value for attempt in project.cache().journal.attempts())


def moved(project: Project, name: str = "moved") -> Project:
    target = project.folder.with_name(name)
    project.folder.rename(target)
    return Project(target, project.cache_dir)


def other(project: Project, *prompts: str, provider: str = "dashscope") -> Project:
    folder = project.folder.with_name("another")
    folder.mkdir()
    made = Project(folder, project.cache_dir)
    write(made, *prompts, provider=provider)
    return made


def notes(project: Project) -> list[str]:
    return [notice.message for notice in project.plan().notices if notice.code == "paid-elsewhere"]


def test_a_moved_project_collects_every_ticket_wanted_or_not(left: Project, emulated: Served) -> None:
    project = moved(moved(left), "moved twice")
    write(project, EIGHT[0])
    assert notes(project) == []
    assert project.build().counts == {"resumed": 1}
    assert states(project) == ["stored"] * 8
    assert len(spend(project.options()).attempts) == 8
    assert sorted(emulated.prompts()) == EIGHT


def test_a_moved_project_finds_its_doubts_and_its_budget_again(left: Project, emulated: Served) -> None:
    attempts = list(left.cache().journal.attempts())
    left.cache().journal.doubt(attempts[0].id, "lost", "nobody knows")
    project = moved(left)
    assert [doubt["attempt"] for doubt in doubts(project.options())] == [attempts[0].id]
    assert project.plan().loaded.project == attempts[0].project


def test_moving_a_project_writes_nothing_and_looking_at_it_neither(left: Project) -> None:
    project = moved(left)
    before = {path: path.stat().st_mtime_ns for path in (*project.folder.rglob("*"), *project.cache_dir.rglob("*"))}
    project.plan()
    spend(project.options())
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_a_project_that_bought_nothing_has_no_name_of_its_own(walked: Project) -> None:
    walked.manifest("version: 1\nassets: {cup: {prompt: a cup}}\n")
    assert walked.build().exit_code == 0
    assert not (walked.folder / ".qwenbuild" / "projects.json").exists()


def test_a_journal_from_before_names_were_written_down_goes_on(left: Project, emulated: Served) -> None:
    (left.folder / ".qwenbuild" / "projects.json").unlink()
    assert left.build().counts == {"resumed": 8}
    assert sorted(emulated.prompts()) == EIGHT


def test_both_copies_of_a_project_fetch_what_one_of_them_paid_for(left: Project, emulated: Served) -> None:
    copy = Project(left.folder.with_name("copy"), left.cache_dir)
    shutil.copytree(left.folder, copy.folder)
    assert copy.build().counts == {"resumed": 8}
    assert left.build().counts == {"restored": 8}
    assert sorted(emulated.prompts()) == EIGHT


def test_tickets_of_a_project_that_is_gone_are_collected_by_any_build_with_the_account(
    left: Project, emulated: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Moved without its `.qwenbuild`, cloned anew, or deleted: nothing tells that this was the project."""
    monkeypatch.setenv("QWENBUILD_STUDIO_BASE_URL", emulated.environ()["QWENBUILD_DASHSCOPE_BASE_URL"])
    shutil.rmtree(left.folder)
    project = other(left, "a candle", provider="studio")
    (note,) = notes(project)
    assert note.startswith(f"8 paid pictures of {left.lock} are still with dashscope: ")
    assert "any build here" in note
    assert project.build().counts == {"generated": 1}
    assert states(project) == ["stored"] * 9
    assert len(spend(project.options()).attempts) == 1
    assert sorted(emulated.prompts()) == ["a candle", *EIGHT]


def test_a_build_with_nothing_else_to_do_collects_them_too(left: Project, emulated: Served) -> None:
    project = other(left, "a candle")
    assert project.build().exit_code == 0
    assert states(project) == ["stored"] + ["ticket"] * 8
    shutil.rmtree(left.folder)
    assert project.build().exit_code == 0
    assert states(project) == ["stored"] * 9


def test_they_are_asked_for_only_by_the_account_that_paid(
    left: Project, emulated: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(left.folder)
    project = other(left, "a candle")
    monkeypatch.setenv("DASHSCOPE_API_KEY", emulated.environ()["DASHSCOPE_BEIJING_API_KEY"])
    monkeypatch.setenv("QWENBUILD_DASHSCOPE_BASE_URL", emulated.environ()["QWENBUILD_DASHSCOPE_BEIJING_BASE_URL"])
    assert project.build().exit_code == 0
    assert states(project) == ["stored"] + ["ticket"] * 8
    assert len(notes(project)) == 1


def test_tickets_of_a_project_that_is_there_are_named_and_left_to_it(left: Project, emulated: Served) -> None:
    project = other(left, "a candle")
    (note,) = notes(project)
    assert "8 paid pictures" in note
    assert "run `qwenbuild build` there" in note
    assert project.build().exit_code == 0
    assert states(project) == ["stored"] + ["ticket"] * 8
    assert left.build().counts == {"resumed": 8}
    assert notes(project) == []


def test_a_strangers_tickets_do_not_count_against_the_budget(left: Project, emulated: Served) -> None:
    shutil.rmtree(left.folder)
    project = other(left, "a candle")
    project.edit("assets:", 'budget: {usd: "0.04"}\nassets:')
    assert project.build().counts == {"generated": 1}
    assert states(project) == ["stored"] * 9


def test_a_doubt_of_a_project_that_is_gone_can_be_settled_anywhere(left: Project, emulated: Served) -> None:
    attempt = next(left.cache().journal.attempts())
    left.cache().journal.doubt(attempt.id, "lost", "nobody knows")
    project = other(left, "a candle")
    assert doubts(project.options()) == []
    shutil.rmtree(left.folder)
    assert [doubt["attempt"] for doubt in doubts(project.options())] == [attempt.id]


NAME = {
    "empty": "",
    "cut": '{"v": 1, "projects": {',
    "foreign": "<html>",
    "versionless": '{"projects": {}}',
    "listed": '{"v": 1, "projects": []}',
    "numbered": '{"v": 1, "projects": {"../qwenbuild.lock": 7}}',
    "newer": json.dumps({"v": 2, "projects": {}}),
}


@pytest.mark.parametrize("damage", NAME)
def test_a_name_that_cannot_be_read_is_no_new_project(left: Project, emulated: Served, damage: str) -> None:
    project = moved(left)
    write(project, *EIGHT, "a candle")
    path = project.folder / ".qwenbuild" / "projects.json"
    path.write_text(NAME[damage])
    with pytest.raises(CacheError, match="update qwenbuild" if damage == "newer" else "delete that file") as caught:
        project.build()
    assert str(path) in str(caught.value)
    assert sorted(emulated.prompts()) == EIGHT


def test_the_lockfile_in_another_folder_is_another_project(left: Project, emulated: Served, tmp_path: Path) -> None:
    other_lock = left.folder / "preview" / "qwenbuild.lock"
    planned = left.plan(output="preview")
    assert planned.loaded.project == str(other_lock)
