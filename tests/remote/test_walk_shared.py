"""The walk with a shared cache: whoever comes second restores, and nothing that goes wrong there is ever paid for."""

from __future__ import annotations

from pathlib import Path

import pytest

from qwenbuild.emulator import Served
from qwenbuild.errors import NotUpToDate
from qwenbuild.verbs import Planned
from tests.remote.servers import WebStore
from tests.remote.teams import Team
from tests.remote.test_stores import Opener

MANIFEST = """\
version: 1
provider: dashscope
providers: {dashscope: {limits: {rps: 200, concurrency: 20}}}
defaults: {params: {size: "1:1", prompt_extend: false}, model: qwen-image-plus}
assets:
  lanterns:
    prompt: "a {{ color }} lantern"
    matrix: {color: [red, blue, green]}
    outputs:
      - {as: full, path: "full/{{ color }}.png"}
      - {as: small, path: "small/{{ color }}.webp", steps: [{resize: {width: 64}}]}
"""


def words(planned: Planned, code: str) -> str:
    """What the plan says of the shared cache under this code."""
    return " ".join(notice.message for notice in planned.notices if notice.code == code)


@pytest.fixture
def team(tmp_path: Path, store_url: str, monkeypatch: pytest.MonkeyPatch, emulated: Served) -> Team:
    """A first machine that has bought and pushed everything, a second one with a fresh clone and an empty cache."""
    return Team(tmp_path, store_url, monkeypatch, MANIFEST)


def test_a_fresh_clone_becomes_the_exact_tree_and_nothing_is_paid(team: Team, emulated: Served) -> None:
    first = team.machine("ann")
    assert first.build(push=True).exit_code == 0
    sent = len(emulated.prompts())
    second = team.clone("bob")
    planned = second.plan()
    assert {step.candidates[0].verdict.value for step in planned.plan.steps} == {"restore"}
    assert "3 entries come from the shared cache" in words(planned, "shared")
    summary = second.build(locked=True, yes=False)
    assert (summary.exit_code, summary.counts) == (0, {"derived": 3})
    assert second.tree() == first.tree()
    assert len(emulated.prompts()) == sent
    assert second.build(locked=True).counts == {"fresh": 3, "modified": 0}
    assert second.cache().results(second.keys()).keys() == set(first.keys())


def test_without_the_shared_cache_a_locked_build_says_cache_pull_and_exits_3(team: Team, emulated: Served) -> None:
    team.machine("ann").build(push=True)
    second = team.clone("bob")
    with pytest.raises(NotUpToDate, match="cache pull") as stopped:
        second.build(locked=True, offline=True)
    assert stopped.value.exit_code == 3
    team.share("")
    with pytest.raises(NotUpToDate, match="cache pull"):
        second.build(locked=True)


def test_only_a_push_writes(team: Team, opened: Opener) -> None:
    team.machine("ann").build()
    assert opened(team.url).get("VERSION") is None
    assert team.machines["ann"].build(push=True).exit_code == 0
    assert opened(team.url).get("VERSION") == b"1\n"


def test_who_changed_a_prompt_pays_for_that_picture_alone(team: Team, emulated: Served) -> None:
    team.machine("ann").build(push=True)
    second = team.clone("bob")
    second.edit("[red, blue, green]", "[red, blue, white]")
    emulated.reset()
    assert second.build().exit_code == 0
    assert emulated.prompts() == ["a white lantern"]


def test_a_place_that_nobody_started_is_no_proof_that_pictures_are_lost(team: Team, emulated: Served) -> None:
    """A share that is not mounted, a wrong prefix, a server that says "not found" to everything: all look like a new store."""
    team.machine("ann").build()
    second = team.clone("bob")
    emulated.reset()
    assert "has no VERSION" in words(second.plan(), "shared-unknown")
    assert second.plan().plan.cost == {}
    summary = second.build()
    assert (summary.exit_code, summary.counts, emulated.prompts()) == (1, {"failed": 3}, [])
    assert "qwenbuild cache push` starts a new shared cache" in summary.failures[0][2]


def test_a_build_that_pushes_starts_an_empty_store_and_says_that_it_is_empty(
    team: Team, emulated: Served, opened: Opener
) -> None:
    team.machine("ann").build()
    second = team.clone("bob")
    assert "there is nothing in the shared cache" in words(second.plan(push=True), "shared-empty")
    assert opened(team.url).get("VERSION") is None
    assert second.build(push=True).exit_code == 0
    assert opened(team.url).get("VERSION") == b"1\n"


def test_a_plan_with_everything_at_hand_asks_nobody(
    tmp_path: Path, web: WebStore, monkeypatch: pytest.MonkeyPatch, emulated: Served
) -> None:
    first = Team(tmp_path, web.url, monkeypatch, MANIFEST).machine("ann")
    first.build()
    first.lose("outputs", "state")
    web.asked.clear()
    assert first.build().exit_code == 0
    assert web.asked == []
