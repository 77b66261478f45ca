"""What SECURITY.md and docs/shared-cache.md promise and no other test shows."""

from __future__ import annotations

import json
import os
import re
import socket
import time
from pathlib import Path

import pytest

from qwenbuild.emulator import Served
from qwenbuild.engine.remote_session import Link
from qwenbuild.ports import Event
from qwenbuild.remote import claims, transfer, web
from qwenbuild.remote.store import RemoteError
from qwenbuild.verbs import build
from tests.remote.servers import WebStore
from tests.remote.teams import Call, Machine, Team
from tests.remote.test_carrying import MANIFEST as COINS
from tests.remote.test_carrying import stored
from tests.remote.test_walk_claims import CLAIMING, PROMPTS
from tests.remote.test_walk_shared import MANIFEST
from tests.walking import Project

PAGE = Path(__file__).parents[2].joinpath("docs", "shared-cache.md").read_text(encoding="utf-8")


@pytest.fixture
def team(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Team:
    (tmp_path / "share").mkdir()
    return Team(tmp_path, (tmp_path / "share").as_uri(), monkeypatch, COINS)


@pytest.mark.parametrize(
    ("words", "value"),
    [
        (r"renewed every (\d+) seconds", claims.RENEW_S),
        (r"more than (\d+) seconds of its own clock", claims.LEASE_S),
        (r"younger than (\d+) seconds", claims.LEASE_S - claims.MARGIN_S),
        (r"waited for (\d+) minutes", claims.WAIT_LIMIT_S / 60),
        (r"write, wait (\d+) seconds, read back", claims.SETTLE_S),
        (r"after (\d+) failures in a row", transfer.GIVE_UP),
        (r"has (\d+) minutes\s+for one request", web.DEADLINE / 60),
    ],
)
def test_the_page_names_the_numbers_that_the_program_uses(words: str, value: float) -> None:
    match = re.search(words, PAGE)
    assert match is not None, words
    assert float(match[1]) == value


def test_planning_opens_no_connection(project: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DASHSCOPE_API_KEY", "sk-0123456789abcdef0123456789abcdef")
    walked = Project(project, tmp_path / "cache")
    monkeypatch.setenv("QWENBUILD_CACHE_DIR", str(walked.cache_dir))
    walked.manifest(MANIFEST)

    def refused(*args: object, **said: object) -> None:
        raise AssertionError(f"a plan opened a connection: {args}")

    monkeypatch.setattr(socket.socket, "connect", refused)
    monkeypatch.setattr(socket, "getaddrinfo", refused)
    assert set(walked.verdicts().values()) == {"generate"}


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="users have no numbers here")
def test_a_cache_of_somebody_else_is_named(team: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = team.machine("bob")
    assert machine.build().exit_code == 0
    assert not [notice for notice in machine.plan().notices if "another user" in notice.message]
    monkeypatch.setattr(os, "getuid", lambda: machine.cache_dir.stat().st_uid + 1)
    assert [notice for notice in machine.plan().notices if "belongs to another user" in notice.message]


# ---------------------------------------------------------------- a claim that ran out before the request left


@pytest.fixture
def claiming(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, emulated: Served) -> Team:
    (tmp_path / "share").mkdir()
    return Team(tmp_path, (tmp_path / "share").as_uri(), monkeypatch, CLAIMING)


def test_a_claim_that_may_have_run_out_before_the_request_left_is_taken_anew_and_then_paid_once(
    claiming: Team, emulated: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    secure, slept = Link.secure, set[str]()

    def after_a_sleep(self: Link, key: str) -> bool:
        assert self.claims is not None
        if key not in slept:
            slept.add(key)
            self.claims._mine[key].lost = True
        return secure(self, key)

    monkeypatch.setattr(Link, "secure", after_a_sleep)
    machine = claiming.machine("bob")
    summary = machine.build()
    assert (summary.exit_code, summary.counts) == (0, {"generated": 3})
    assert len(slept) == 3
    assert sorted(emulated.prompts()) == PROMPTS
    assert [event.data["message"] for event in machine.events.events if event.event == "retry"] == [
        "its claim in the shared cache may have run out before it was sent"
    ] * 3


def test_what_another_machine_took_over_meanwhile_is_waited_for_and_not_bought(
    claiming: Team, emulated: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = claiming.machine("ann")
    first.build()
    key = first.keys()[0]
    share = claiming.place / "share"
    receipt = share / "receipts" / key[:2] / f"{key}.json"
    drawn = receipt.read_bytes()
    receipt.unlink()
    taken_over = share / "claims" / key[:2] / f"{key}.1.json"
    secure = Link.secure

    def asleep(self: Link, key: str) -> bool:
        assert self.claims is not None
        if not taken_over.exists():
            self.claims._mine[key].lost = True
            taken_over.write_text(json.dumps({"holder": "eve", "released": False}))
        return secure(self, key)

    told: list[str] = []

    def note(event: Event) -> None:
        told.append(str(event.data.get("text", "")))
        if "eve draws" in told[-1]:
            receipt.write_bytes(drawn)
            taken_over.unlink()

    monkeypatch.setattr(Link, "secure", asleep)
    second = claiming.machine("bob")
    second.at()
    recorder = type("Noting", (), {"event": staticmethod(note)})()
    assert build(second.options(yes=True), recorder, None).exit_code == 0
    assert sorted(emulated.prompts()) == PROMPTS
    assert [text for text in told if "30 minutes at most" in text]


def test_an_endless_claim_ends_the_entry_with_words_and_without_a_purchase(
    claiming: Team, emulated: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims, "WAIT_LIMIT_S", -1.0)
    machine = claiming.machine("bob")
    machine.at()
    keys = [candidate.candidate.key for step in machine.plan().plan.steps for candidate in step.candidates]
    for key in keys:
        path = claiming.place / "share" / "claims" / key[:2] / f"{key}.0.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"holder": "eve", "released": False}))
    summary = machine.build()
    assert (summary.exit_code, summary.counts, emulated.prompts()) == (1, {"failed": 3}, [])
    assert "eve has held the claim" in summary.failures[0][2]
    assert "nothing was bought" in summary.failures[0][2]


# ---------------------------------------------------------------- gc


def make_loose(team: Team, age: float) -> None:
    """Another project's objects, of an age by the store's clock."""
    now = (team.place / "share" / "VERSION").stat().st_mtime
    for name in ("blobs/ee/" + "ee" * 32, "receipts/ee/" + "ee" * 32 + ".json", "claims/ee/" + "ee" * 32 + ".0.json"):
        path = team.place / "share" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"1")
        os.utime(path, (now - age,) * 2)


@pytest.mark.parametrize("days", [2, -2])
def test_gc_judges_age_by_the_stores_clock_and_not_by_ours(
    team: Team,
    ann: Machine,
    call: Call,
    monkeypatch: pytest.MonkeyPatch,
    days: int,
) -> None:
    call(ann, "cache", "push")
    make_loose(team, 3600)
    before = stored(team)
    now = time.time
    monkeypatch.setattr("qwenbuild.engine.carry.time.time", lambda: now() + days * 86_400)
    assert call(ann, "cache", "gc", "--remote", "--yes")[0] == 0
    assert stored(team) == before
    make_loose(team, 25 * 3600)
    assert "3 objects" in call(ann, "cache", "gc", "--remote", "--yes")[1]
    assert len(stored(team)) == len(before) - 3


def test_gc_leaves_a_dead_claim_on_which_a_living_one_follows(team: Team, ann: Machine, call: Call) -> None:
    """Without the first the next machine would find the name free, and buy."""
    call(ann, "cache", "push")
    make_loose(team, 25 * 3600)
    second = team.place / "share" / "claims" / "ee" / ("ee" * 32 + ".1.json")
    second.write_bytes(b"1")
    assert "2 objects" in call(ann, "cache", "gc", "--remote", "--yes")[1]
    assert {name for name in stored(team) if name.startswith("claims/")} == {f"claims/ee/{'ee' * 32}.{n}.json" for n in (0, 1)}


@pytest.mark.parametrize("version", [b"2\n", b"<html>", None])
def test_gc_removes_nothing_from_a_place_that_it_does_not_know(
    team: Team,
    ann: Machine,
    call: Call,
    version: bytes | None,
) -> None:
    call(ann, "cache", "push")
    make_loose(team, 25 * 3600)
    place = team.place / "share" / "VERSION"
    place.unlink() if version is None else place.write_bytes(version)
    before = stored(team)
    assert call(ann, "cache", "gc", "--remote", "--yes")[0] == 1
    assert stored(team) == before


# ---------------------------------------------------------------- pull, verify


def test_pull_and_verify_of_a_place_that_was_never_started_say_so(team: Team, ann: Machine, call: Call) -> None:
    machine = team.clone("bob")
    for command in (["pull"], ["pull", "-n"], ["verify", "--remote"]):
        code, _, err = call(machine, "cache", *command)
        assert code == 1
        assert "has no VERSION" in err


def test_push_of_nothing_starts_a_shared_cache(team: Team, call: Call) -> None:
    assert call(team.machine("bob"), "cache", "push")[0] == 0
    assert stored(team) == {"VERSION"}


def test_a_broken_receipt_is_named_by_pull_and_the_pictures_come_all_the_same(
    team: Team,
    ann: Machine,
    call: Call,
) -> None:
    call(ann, "cache", "push")
    for name in stored(team):
        if name.startswith("receipts/"):
            (team.place / "share" / name).write_bytes(b"<html>")
    machine = team.clone("bob")
    code, out, _ = call(machine, "cache", "pull", "--receipts")
    assert code == 1
    assert "is no receipt that can be read" in out
    assert machine.cache().known_blobs() == set(machine.digests())


def test_a_web_server_that_never_ends_its_answer_is_left_after_the_deadline(
    web: WebStore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from contextlib import closing

    from qwenbuild.remote.addresses import open_remote

    monkeypatch.setattr("qwenbuild.remote.web.DEADLINE", 0.2)

    def trickle(handler: object) -> bool:
        handler.send_response(200)  # type: ignore[attr-defined]
        handler.send_header("Content-Length", "1000")  # type: ignore[attr-defined]
        handler.end_headers()  # type: ignore[attr-defined]
        for _ in range(1000):
            handler.wfile.write(b"x")  # type: ignore[attr-defined]
            handler.wfile.flush()  # type: ignore[attr-defined]
            time.sleep(0.02)
        return True

    web.fault = trickle
    with closing(open_remote(web.url, {})) as remote, pytest.raises(RemoteError, match="not complete within"):
        remote.get("VERSION")
    assert web.count("GET") == 1
