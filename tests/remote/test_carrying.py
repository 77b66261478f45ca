"""`cache push`, `pull`, `verify --remote`, `gc --remote`, and `build --push`, on the command line."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from tests.remote.servers import WebStore
from tests.remote.teams import Call, Machine, Team

MANIFEST = """\
version: 1
defaults: {params: {size: "32*32"}}
assets:
  coins: {prompt: "coin {{ n }}", matrix: {n: [a, b, c]}, output: "{{ n }}.png"}
"""


@pytest.fixture
def team(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Team:
    (tmp_path / "share").mkdir()
    return Team(tmp_path, (tmp_path / "share").as_uri(), monkeypatch, MANIFEST)


def stored(team: Team) -> set[str]:
    share = team.place / "share"
    return {path.relative_to(share).as_posix() for path in share.rglob("*") if path.is_file()}


def test_push_and_pull_say_first_and_do_then(team: Team, ann: Machine, call: Call) -> None:
    code, out, _ = call(ann, "cache", "push", "-n")
    assert (code, stored(team)) == (0, set())
    assert "3 pictures of 3 would be uploaded to" in out
    code, out, _ = call(ann, "cache", "push")
    assert code == 0
    assert "3 pictures of 3 uploaded to" in out
    assert len(stored(team)) == 7
    assert "0 pictures of 3 uploaded to" in call(ann, "cache", "push")[1]
    bob = team.clone("bob")
    code, out, _ = call(bob, "cache", "pull", "-n")
    assert (code, bob.cache().known_blobs()) == (0, set())
    assert "3 pictures of 3 would be fetched from" in out
    assert call(bob, "cache", "pull")[0] == 0
    assert bob.cache().known_blobs() == set(bob.digests())
    team.share("")
    assert bob.build(locked=True, offline=True).counts == {"restored": 3}


def test_only_what_is_selected_is_carried(team: Team, ann: Machine, call: Call) -> None:
    assert call(ann, "cache", "push", "coins/a")[0] == 0
    assert len([name for name in stored(team) if name.startswith("blobs/")]) == 1
    bob = team.clone("bob")
    code, out, _ = call(bob, "cache", "pull", "--json")
    assert code == 1
    said = json.loads(out)
    assert (said["wanted"], said["moved"], len(said["missing"])) == (3, 1, 2)


def test_the_stores_own_receipts_come_when_asked_for(team: Team, ann: Machine, call: Call) -> None:
    call(ann, "cache", "push")
    bob = team.clone("bob")
    assert call(bob, "cache", "pull", "--receipts")[0] == 0
    for key, results in bob.cache().results(bob.keys()).items():
        assert results[0].attempt == ann.cache().results([key])[key][0].attempt


def test_a_shared_cache_that_nobody_named_is_a_usage_error(team: Team, ann: Machine, call: Call) -> None:
    team.share("")
    code, _, err = call(ann, "cache", "push")
    assert code == 2
    assert "no shared cache is configured" in err


def test_the_environment_pushes_like_the_option(team: Team, ann: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QWENBUILD_REMOTE_PUSH", "1")
    assert ann.build().counts["fresh"] == 3
    assert len(stored(team)) == 7


def test_build_push_is_an_option(team: Team, ann: Machine, call: Call) -> None:
    assert call(ann, "build", "--push")[0] == 0
    assert len(stored(team)) == 7


def test_verify_remote_finds_what_is_corrupt_and_what_is_missing(team: Team, ann: Machine, call: Call) -> None:
    call(ann, "cache", "push")
    code, out, _ = call(ann, "cache", "verify", "--remote")
    assert code == 0
    assert "is whole: 3 pictures" in out
    first, second, _ = ann.digests()
    (team.place / "share" / "blobs" / first[:2] / first).write_bytes(b"other")
    (team.place / "share" / "blobs" / second[:2] / second).unlink()
    code, out, _ = call(ann, "cache", "verify", "--remote")
    assert code == 1
    assert f"corrupt  {first}" in out
    assert f"missing  {second}" in out
    assert call(ann, "cache", "push")[0] == 0
    assert call(ann, "cache", "verify", "--remote")[0] == 0


@pytest.mark.real_clock
def test_gc_remote_is_dry_keeps_what_is_young_and_what_any_given_lockfile_names(team: Team, ann: Machine, call: Call) -> None:
    call(ann, "cache", "push")
    keep = team.place / "main.lock"
    keep.write_bytes(ann.lock.read_bytes())
    ann.edit("[a, b, c]", "[a, b]")
    ann.build(prune=True)
    entries = json.loads(ann.lock.read_text())
    entries["entries"].pop("coins/c", None)
    ann.lock.write_text(json.dumps(entries))
    before = stored(team)
    assert "0 objects" in call(ann, "cache", "gc", "--remote", "--yes")[1]
    old = time.time() - 25 * 3600
    for path in (team.place / "share").rglob("*"):
        if path.is_file():
            os.utime(path, (old, old))
    assert "0 objects" in call(ann, "cache", "gc", "--remote", str(keep), "--yes")[1]
    code, out, _ = call(ann, "cache", "gc", "--remote")
    assert (code, stored(team)) == (0, before)
    assert "2 objects" in out
    assert call(ann, "cache", "gc", "--remote", "--yes")[0] == 0
    assert len(before - stored(team)) == 2
    assert call(ann, "cache", "verify", "--remote")[0] == 0


def test_a_store_that_cannot_list_says_so_at_gc(team: Team, ann: Machine, call: Call, web: WebStore) -> None:
    team.share(web.url)
    code, _, err = call(ann, "cache", "gc", "--remote")
    assert code == 1
    assert "cannot list what it holds" in err


def test_derived_files_are_shared_only_when_the_manifest_says_so(team: Team, call: Call) -> None:
    text = MANIFEST.replace('output: "{{ n }}.png"', 'output: "{{ n }}.png", steps: [{resize: {width: 8}}]')
    team.text = text
    first = team.machine("eve")
    first.build(push=True)
    assert len([name for name in stored(team) if name.startswith("blobs/")]) == 3
    first.manifest(text.replace("version: 1", "version: 1\nremote_derived: true"))
    assert first.build(push=True).exit_code == 0
    assert len([name for name in stored(team) if name.startswith("blobs/")]) == 6
    second = team.clone("bob", of="eve")
    assert second.build(locked=True).exit_code == 0
    assert second.tree() == first.tree()
    assert second.cache().known_blobs().isdisjoint(second.digests())


# ---------------------------------------------------------------- keys


def test_under_trust_keys_a_colleagues_signed_picture_is_imported_and_shown_so(
    team: Team, monkeypatch: pytest.MonkeyPatch, call: Call
) -> None:
    """The lockfile that names it is not merged yet."""
    team.text = MANIFEST.replace("version: 1", "version: 1\ntrust: keys")
    monkeypatch.setenv("QWENBUILD_TEAM_KEY", "the team's secret")
    first = team.machine("ann")
    first.build(push=True)
    second = team.machine("bob")
    planned = second.plan()
    assert {step.verdict.value for step in planned.plan.steps} == {"restore"}
    assert {reason.code for step in planned.plan.steps for reason in step.reasons} == {"new", "imported"}
    assert "imported" in call(second, "plan")[1]
    assert second.build().counts == {"restored": 3}
    assert second.submitted == []
    assert second.tree() == first.tree()
    third = team.machine("eve")
    monkeypatch.setenv("QWENBUILD_TEAM_KEY", "another secret")
    assert set(third.verdicts().values()) == {"generate"}
    monkeypatch.delenv("QWENBUILD_TEAM_KEY")
    assert set(third.verdicts().values()) == {"generate"}
    team.share("")
    assert set(third.verdicts().values()) == {"generate"}


def test_without_trust_keys_no_key_is_looked_up(team: Team, ann: Machine, call: Call) -> None:
    call(ann, "cache", "push")
    assert set(team.machine("bob").verdicts().values()) == {"generate"}


def test_a_key_that_cannot_be_looked_up_is_not_bought(team: Team, web: WebStore, monkeypatch: pytest.MonkeyPatch) -> None:
    team.share(web.url)
    monkeypatch.setenv("QWENBUILD_TEAM_KEY", "the team's secret")
    team.text = MANIFEST.replace("version: 1", "version: 1\ntrust: keys")
    web.fault = lambda handler: handler.answer(503, head=handler.command == "HEAD") or True  # type: ignore[func-returns-value]
    machine = team.machine("bob")
    summary = machine.build()
    assert (summary.exit_code, summary.counts, machine.submitted) == (1, {"failed": 3}, [])
    assert "cannot tell" in summary.failures[0][2]
