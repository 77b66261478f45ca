"""What SECURITY.md and docs/shared-cache.md promise and no other test shows."""

from __future__ import annotations

import json
import os
import re
import socket
import time
from pathlib import Path

import pytest

from qwenbuild.cache.seal import seal, unseal
from qwenbuild.emulator import Served
from qwenbuild.engine.remote_session import Link
from qwenbuild.errors import GateStop
from qwenbuild.planning.remote_pictures import size_words
from qwenbuild.ports import Event
from qwenbuild.remote import claims, transfer, web
from qwenbuild.remote.store import RemoteError, blob_name
from qwenbuild.run.world import Times
from qwenbuild.verbs import build
from tests.remote.memory import Memory
from tests.remote.servers import Handler, WebStore
from tests.remote.teams import Call, Machine, Team
from tests.remote.test_carrying import MANIFEST as COINS
from tests.remote.test_carrying import stored
from tests.remote.test_walk_claims import CLAIMING, PROMPTS
from tests.remote.test_walk_shared import MANIFEST, words
from tests.remote.test_walk_trouble import many
from tests.walking import Project

ROOT = Path(__file__).parents[2]
PAGE = ROOT.joinpath("docs", "shared-cache.md").read_text(encoding="utf-8")
SECURITY = ROOT.joinpath("SECURITY.md").read_text(encoding="utf-8")


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
        (r"after (\d+) failures in a row", transfer.FAILURES_MAX),
        (r"from (\d+) on a\s+folder at a time", transfer.LISTED_FROM),
        (r"has (\d+) minutes\s+for one request", web.DEADLINE_S / 60),
    ],
)
def test_the_page_names_the_numbers_that_the_program_uses(words: str, value: float) -> None:
    match = re.search(words, PAGE)
    assert match is not None, words
    assert float(match[1]) == value


def test_security_names_the_hours_in_which_a_lost_answer_is_looked_up() -> None:
    assert [float(hours) for hours in re.findall(r"within (\d+) hours", SECURITY)] == [Times().retention / 3600] * 2


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


# ---------------------------------------------------------------- who asks, who writes


def test_the_address_in_the_environment_wins_over_the_manifests(team: Team, ann: Machine, call: Call) -> None:
    other = team.place / "other"
    other.mkdir()
    ann.manifest(f"{COINS}remote: {other.as_uri()}\n")
    assert call(ann, "cache", "push")[0] == 0
    assert (len(stored(team)), list(other.iterdir())) == (7, [])
    team.share("")
    assert call(ann, "cache", "push")[0] == 0
    assert {path.name for path in other.iterdir()} == {"VERSION", "blobs", "receipts"}


def test_where_the_lockfile_names_nothing_the_shared_cache_is_not_asked(team: Team, web: WebStore) -> None:
    team.share(web.url)
    machine = team.machine("bob")
    assert set(machine.verdicts().values()) == {"generate"}
    assert machine.build().exit_code == 0
    assert web.asked == []


def test_who_does_not_push_only_reads_and_is_told_before_how_many_bytes_come(team: Team, web: WebStore) -> None:
    team.share(web.url)
    team.machine("ann").build(push=True)
    machine = team.clone("bob")
    size = sum(len(body) for name, body in web.names.items() if name.startswith("blobs/"))
    web.asked.clear()
    assert f"3 entries come from the shared cache {web.url} ({size_words(size)})" in words(machine.plan(), "shared")
    machine.edit("[a, b, c]", "[a, b, c, d]")
    assert machine.build().counts == {"restored": 3, "generated": 1}
    assert {method for method, _ in web.asked} == {"GET", "HEAD"}


def test_very_many_pictures_are_looked_for_folder_by_folder() -> None:
    digests = {f"{number % 16:02x}{number:062x}" for number in range(transfer.LISTED_FROM)}
    place = Memory(names={"VERSION": b"1\n", **{blob_name(digest): b"1" for digest in digests}})
    assert transfer.look(place, digests).sizes == dict.fromkeys(digests, 1)
    assert place.calls == [("get", "VERSION")]


def test_a_store_that_only_fails_is_not_asked_for_the_rest() -> None:
    def fails(method: str, name: str) -> None:
        raise RemoteError("down", code="remote-io")

    place = Memory(before=fails)
    answers = dict(transfer.each(place.get, [str(number) for number in range(200)]))
    assert len(place.calls) < transfer.FAILURES_MAX + transfer.AT_ONCE
    assert len([answer for answer in answers.values() if "not asked for" in str(answer)]) == 200 - len(place.calls)


def test_what_is_there_is_not_written_again_but_for_receipts_that_nobody_signed(
    team: Team, web: WebStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    team.share(web.url)
    machine = team.machine("ann")
    machine.build(push=True)
    web.asked.clear()
    machine.build(push=True)
    assert web.count("PUT") == 0
    monkeypatch.setenv("QWENBUILD_TEAM_KEY", "the team's secret")
    machine.build(push=True)
    assert (web.count("PUT"), web.count("PUT", "receipts/")) == (3, 3)
    assert all("hmac" in unseal(body) for name, body in web.names.items() if name.startswith("receipts/"))


@pytest.mark.parametrize("times", [1, 2])
def test_wrong_bytes_are_asked_for_once_more_and_no_third_time(team: Team, web: WebStore, times: int) -> None:
    team.share(web.url)
    team.machine("ann").build(push=True)
    machine = team.clone("bob")
    wrong = [name for name in web.names if name.startswith("blobs/")] * times

    def lies(handler: Handler) -> bool:
        if handler.command != "GET" or handler.name not in wrong:
            return False
        wrong.remove(handler.name)
        handler.answer(200, b"other bytes")
        return True

    web.fault = lies
    web.asked.clear()
    assert machine.build().counts == ({"restored": 3} if times == 1 else {"failed": 3})
    assert web.count("GET", "blobs/") == 6
    assert machine.submitted == []


def test_the_brake_holds_for_pictures_that_the_shared_cache_has_lost(
    tmp_path: Path, web: WebStore, monkeypatch: pytest.MonkeyPatch, emulated: Served
) -> None:
    team = Team(tmp_path, web.url, monkeypatch, many(12))
    team.machine("ann").build(push=True)
    for name in [name for name in web.names if name.startswith("blobs/")]:
        del web.names[name]
    emulated.reset()
    with pytest.raises(GateStop) as stopped:
        team.clone("bob").build()
    assert (stopped.value.code, emulated.prompts()) == ("brake", [])


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
            self.claims._own[key].lost = True
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
            self.claims._own[key].lost = True
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


def test_what_was_drawn_under_a_claim_is_pushed_before_the_build_ends(
    claiming: Team, emulated: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A build that dies after its purchases has shared them all the same."""
    monkeypatch.setattr("qwenbuild.engine.walk.share_built", lambda *_: [])
    machine = claiming.machine("ann")
    machine.build()
    assert {path.name for path in (claiming.place / "share" / "blobs").rglob("*") if path.is_file()} == {*machine.digests()}
    assert claiming.machine("bob").build().counts == {"restored": 3}
    assert sorted(emulated.prompts()) == PROMPTS


def test_a_place_that_keeps_nothing_is_found_out_before_anything_is_bought_under_a_claim(
    claiming: Team, web: WebStore, emulated: Served
) -> None:
    def keeps_nothing(handler: Handler) -> bool:
        if handler.command == "PUT":
            handler.answer(201)
        return handler.command == "PUT"

    claiming.share(web.url)
    web.fault = keeps_nothing
    summary = claiming.machine("ann").build()
    assert (summary.counts, emulated.prompts()) == ({"failed": 3}, [])
    assert "did not keep" in summary.failures[0][2]


def test_under_trust_keys_what_was_drawn_under_a_claim_and_is_not_signed_is_not_believed(
    claiming: Team, emulated: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    claiming.text = CLAIMING.replace("claims: true", "claims: true\ntrust: keys")
    assert claiming.machine("eve").build().exit_code == 0
    monkeypatch.setenv("QWENBUILD_TEAM_KEY", "the team's secret")
    for name in ("ann", "bob"):
        assert claiming.machine(name).build().exit_code == 0
        assert sorted(emulated.prompts()) == sorted(PROMPTS * 2)


def test_a_claim_stays_while_what_was_perhaps_paid_for_is_not_here(claiming: Team, emulated: Served) -> None:
    claiming.text = CLAIMING.replace("{limits:", "{mode: sync, limits:")
    emulated.fault("accepted", "reset", times=None)
    assert claiming.machine("ann").build().exit_code == 6
    held = [json.loads(path.read_bytes()) for path in (claiming.place / "share" / "claims").rglob("*.json")]
    assert [claim["released"] for claim in held] == [False] * 3


def test_force_waits_for_no_claim_and_makes_none(claiming: Team, emulated: Served) -> None:
    machine = claiming.machine("bob")
    machine.build()
    folder = claiming.place / "share" / "claims"
    keys = machine.keys()
    for key in keys:
        path = folder / key[:2] / f"{key}.0.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"holder": "eve", "released": False}))
    before = {path: path.read_bytes() for path in folder.rglob("*.json")}
    assert machine.build(force=True, all=True).exit_code == 0
    assert sorted(emulated.prompts()) == sorted(PROMPTS * 2)
    assert {path: path.read_bytes() for path in folder.rglob("*.json")} == before


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
    make_loose(team, 23 * 3600)
    before = stored(team)
    now = time.time
    monkeypatch.setattr("qwenbuild.engine.shared_cache.time.time", lambda: now() + days * 86_400)
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
    assert "is not a readable receipt" in out
    assert machine.cache().known_blobs() == set(machine.digests())


def test_a_receipt_that_names_another_picture_than_the_lockfile_is_not_brought_by_pull(
    team: Team,
    ann: Machine,
    call: Call,
) -> None:
    call(ann, "cache", "push")
    digests = ann.digests()
    for name in stored(team):
        if name.startswith("receipts/"):
            path = team.place / "share" / name
            record = unseal(path.read_bytes())
            path.write_bytes(seal({**record, "digest": digests[digests.index(record["digest"]) - 1]}))
    machine = team.clone("bob")
    assert call(machine, "cache", "pull", "--receipts")[0] == 0
    keys = machine.keys()
    found = machine.cache().results(keys)
    assert [[result.digest for result in found[key]] for key in keys] == [[digest] for digest in digests]


def test_a_picture_spoilt_at_its_own_size_is_named_and_comes_back_once_it_is_deleted(
    team: Team,
    ann: Machine,
    call: Call,
) -> None:
    call(ann, "cache", "push")
    digest = ann.digests()[0]
    path = team.place / "share" / "blobs" / digest[:2] / digest
    path.write_bytes(bytes(path.stat().st_size))
    assert f"corrupt  {digest}" in call(ann, "cache", "verify", "--remote")[1]
    path.unlink()
    assert call(ann, "cache", "push")[0] == 0
    assert call(ann, "cache", "verify", "--remote")[0] == 0


def test_a_web_server_that_never_ends_its_answer_is_left_after_the_deadline(
    web: WebStore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from contextlib import closing

    from qwenbuild.remote.addresses import open_remote

    monkeypatch.setattr("qwenbuild.remote.web.DEADLINE_S", 0.2)

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
