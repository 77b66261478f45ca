"""Builds with `claims: true`: what another machine draws is waited for, and nothing is bought twice or because of an error."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from qwenbuild.emulator import Served
from qwenbuild.remote.claims import Claims
from tests.remote.servers import Handler, WebStore
from tests.remote.teams import Team
from tests.remote.test_stores import Opener
from tests.remote.test_walk_shared import MANIFEST

CLAIMING = MANIFEST.replace("version: 1", "version: 1\nclaims: true")
PROMPTS = ["a blue lantern", "a green lantern", "a red lantern"]


@pytest.fixture
def team(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, emulated: Served) -> Team:
    (tmp_path / "share").mkdir()
    return Team(tmp_path, (tmp_path / "share").as_uri(), monkeypatch, CLAIMING)


def claims_left(team: Team) -> list[str]:
    return [path.name for path in (team.place / "share" / "claims").rglob("*.json")]


def test_what_another_machine_drew_is_taken_without_a_lockfile(team: Team, emulated: Served) -> None:
    assert team.machine("ann").build().exit_code == 0
    assert claims_left(team) == []
    second = team.machine("bob")
    summary = second.build()
    assert (summary.exit_code, summary.counts) == (0, {"restored": 3})
    assert sorted(emulated.prompts()) == PROMPTS
    assert any("imported" in str(event.data.get("text", "")) for event in second.events.events)


def test_while_a_claim_lives_its_picture_is_waited_for(team: Team, emulated: Served, opened: Opener) -> None:
    first = team.machine("ann")
    first.build()
    key = first.keys()[0]
    receipt = team.place / "share" / "receipts" / key[:2] / f"{key}.json"
    drawn = receipt.read_bytes()
    receipt.unlink()
    other = Claims(opened(team.url), holder="eve")
    assert other.take(key) is None
    second = team.machine("bob")
    told: list[str] = []

    def note(event: object) -> None:
        text = str(getattr(event, "data", {}).get("text", ""))
        told.append(text)
        if "eve draws" in text:
            receipt.write_bytes(drawn)
            other.release(key, done=True)

    recorder = type("Noting", (), {"event": staticmethod(note)})()
    second.at()
    from qwenbuild.verbs import build

    assert build(second.options(yes=True), recorder, None).exit_code == 0
    other.close()
    assert any("eve draws" in text for text in told)
    assert sorted(emulated.prompts()) == PROMPTS


def test_a_refused_prompt_frees_its_claim(team: Team, emulated: Served) -> None:
    emulated.configure(refuse_words=["red"])
    assert team.machine("ann").build().exit_code == 1
    emulated.configure(refuse_words=[])
    second = team.machine("bob")
    assert second.build().exit_code == 0
    assert sorted(emulated.prompts()) == sorted([*PROMPTS, "a red lantern"])


def test_where_no_claim_can_be_written_nothing_is_bought(team: Team, web: WebStore, emulated: Served) -> None:
    team.share(web.url)

    def closed(handler: Handler) -> bool:
        if handler.command != "PUT":
            return False
        handler.answer(403)
        return True

    web.fault = closed
    summary = team.machine("ann").build()
    assert (summary.exit_code, summary.counts, emulated.prompts()) == (1, {"failed": 3}, [])
    assert "nothing was bought" in summary.failures[0][2]


def test_a_result_that_cannot_be_pushed_is_said_and_its_claim_stays(team: Team, web: WebStore, emulated: Served) -> None:
    team.share(web.url)

    def full(handler: Handler) -> bool:
        if handler.command != "PUT" or handler.name.startswith(("claims/", "VERSION")):
            return False
        handler.answer(507)
        return True

    web.fault = full
    summary = team.machine("ann").build()
    assert (summary.exit_code, summary.counts) == (1, {"generated": 3})
    assert "shared cache" in summary.failures[-1][2]
    held = [json.loads(body) for name, body in web.names.items() if name.startswith("claims/")]
    assert [claim["released"] for claim in held] == [False] * 3


def test_a_picture_that_is_none_is_not_imported(team: Team, emulated: Served) -> None:
    """A key's receipt that names other bytes than a whole picture of its size."""
    first = team.machine("ann")
    first.build()
    for digest in first.digests():
        (team.place / "share" / "blobs" / digest[:2] / digest).write_bytes(b"<html>")
    second = team.machine("bob")
    summary = second.build()
    assert (summary.exit_code, summary.counts) == (1, {"failed": 3})
    assert sorted(emulated.prompts()) == PROMPTS
