"""The command as its users call it: exit codes, streams and JSON to the letter, in processes of their own."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from qwenbuild.emulator import Served

HEX = re.compile(r"[0-9a-f]{64}")
PAID = """\
version: 1
provider: dashscope
providers: {dashscope: {mode: sync, limits: {rps: 100, concurrency: 10}}}
defaults: {model: qwen-image-2.0, params: {prompt_extend: false}}
assets:
  lanterns: {prompt: "a {{ color }} lantern", matrix: {color: [red, blue]}, seed: 11, tags: [ui]}
"""
FREE = PAID.replace("provider: dashscope", "provider: placeholder", 1).replace("model: qwen-image-2.0, ", "")


@dataclass(frozen=True)
class Ended:
    """What a finished command left."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]


@dataclass(frozen=True)
class Desk:
    """A project folder and an environment to call the command in."""

    folder: Path
    environ: dict[str, str]

    def write(self, text: str, name: str = "qwenbuild.yaml") -> None:
        (self.folder / name).write_text(text, encoding="utf-8")

    def edit(self, old: str, new: str) -> None:
        text = (self.folder / "qwenbuild.yaml").read_text(encoding="utf-8")
        assert old in text
        self.write(text.replace(old, new))

    def __call__(self, *words: str, stdin: str | None = None, **more: str) -> Ended:
        ended = subprocess.run(
            [sys.executable, "-m", "qwenbuild", *words],
            cwd=self.folder,
            env={**self.environ, **more},
            capture_output=True,
            text=True,
            encoding="utf-8",
            input=stdin or "",
            timeout=120,
            check=False,
        )
        return Ended(ended.returncode, ended.stdout, ended.stderr)


@pytest.fixture
def desk(tmp_path: Path, emulator: Served) -> Desk:
    folder = tmp_path / "a project 项目"
    folder.mkdir()
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "SYSTEMROOT") if name in os.environ}
    environ = {**kept, **emulator.environ(), "QWENBUILD_CACHE_DIR": str(tmp_path / "cache"), "HOME": str(tmp_path / "home")}
    return Desk(folder, {**environ, "PYTHONUTF8": "1"})


@pytest.fixture
def paid(desk: Desk) -> Desk:
    desk.write(PAID)
    return desk


# ---------------------------------------------------------------- exit codes


def test_done_and_nothing_to_do_are_zero(paid: Desk) -> None:
    assert paid("build", "--yes").code == 0
    again = paid("build")
    assert (again.code, again.err) == (0, "")
    assert again.out.startswith("Nothing to do: 2 entries are fresh")


def test_a_refused_entry_is_one_each_time(paid: Desk, emulator: Served) -> None:
    emulator.configure(refuse_words=["red"])
    assert paid("build", "--yes").code == 1
    ended = paid("build", "--yes")
    assert (ended.code, emulator.prompts().count("a red lantern")) == (1, 1)
    assert "lanterns/red" in ended.err


@pytest.mark.parametrize(
    "words",
    [
        ("build", "--nonsense"),
        ("nonsense",),
        ("explain", "lanterns/green"),
        ("build", "no-such-entry"),
        ("build", "--force", "--yes"),
    ],
    ids=" ".join,
)
def test_usage_is_two_and_sends_nothing(paid: Desk, emulator: Served, words: tuple[str, ...]) -> None:
    ended = paid(*words)
    assert (ended.code, ended.out, emulator.requests()) == (2, "", [])
    assert ended.err


def test_a_bad_manifest_and_a_bad_lockfile_are_two(paid: Desk) -> None:
    paid.edit("matrix", "matricks")
    assert paid("plan").code == 2
    paid.edit("matricks", "matrix")
    (paid.folder / "qwenbuild.lock").write_text("<<<<<<< HEAD\n")
    ended = paid("build", "--yes")
    assert ended.code == 2
    assert "qwenbuild.lock:1:1" in ended.err
    assert "lock resolve" in ended.err


def test_not_up_to_date_is_three(paid: Desk, emulator: Served) -> None:
    assert paid("plan").code == 0
    for words in (("plan", "--check"), ("status", "--check"), ("build", "--locked", "--yes")):
        assert paid(*words).code == 3
    assert emulator.prompts() == []
    paid("build", "--yes")
    for words in (("plan", "--check"), ("status", "--check"), ("build", "--locked")):
        assert paid(*words).code == 0


def test_a_limit_leaves_the_rest_with_three(paid: Desk) -> None:
    assert paid("build", "--yes", "--limit", "1").code == 3
    assert paid("build", "--yes").code == 0


@pytest.mark.parametrize(
    ("words", "code"),
    [((), "consent"), (("--max-cost", "0.01"), "consent"), (("--yes", "--max-cost", "0.01"), "budget")],
)
def test_the_gate_is_four_with_its_code_and_sends_nothing(
    paid: Desk, emulator: Served, words: tuple[str, ...], code: str
) -> None:
    ended = paid("build", "--json", *words)
    assert ended.code == 4
    assert [error["code"] for error in json.loads(ended.out.splitlines()[-1])["errors"]] == [code]
    assert emulator.requests() == []


def test_a_manifests_budget_is_a_ceiling_and_never_consent(paid: Desk, emulator: Served) -> None:
    paid.edit("version: 1\n", 'version: 1\nbudget: {usd: "5.00"}\n')
    assert paid("build").code == 4
    paid.edit('usd: "5.00"', 'usd: "0.01"')
    assert paid("build", "--yes").code == 4
    assert emulator.requests() == []


def test_max_cost_has_a_twin_and_yes_has_none(paid: Desk, emulator: Served) -> None:
    assert paid("build", QWENBUILD_YES="1").code == 4
    assert emulator.requests() == []
    assert paid("build", QWENBUILD_MAX_COST="1.00").code == 0


@pytest.mark.parametrize("name", ["FORCE", "OVERWRITE", "RETRY_FAILED", "ALL", "YES"])
def test_what_spends_or_destroys_has_no_twin_in_the_environment(paid: Desk, emulator: Served, name: str) -> None:
    paid("build", "--yes")
    (paid.folder / "assets/lanterns/red.png").write_bytes(b"a person's work")
    assert paid("build", **{f"QWENBUILD_{name}": "1"}).code == 0
    assert (paid.folder / "assets/lanterns/red.png").read_bytes() == b"a person's work"
    assert len(emulator.prompts()) == 2


def test_credentials_missing_or_refused_are_five(paid: Desk, emulator: Served) -> None:
    assert paid("build", "--yes", DASHSCOPE_API_KEY="").code == 5
    assert emulator.requests() == []
    ended = paid("build", "--yes", DASHSCOPE_API_KEY="sk-of-somebody-else")
    assert (ended.code, emulator.prompts()) == (5, [])
    assert "sk-of-somebody-else" not in ended.out + ended.err


def test_a_lost_answer_is_six_until_a_person_says_what_holds(paid: Desk, emulator: Served) -> None:
    emulator.fault("accepted", "close", match="red")
    assert paid("build", "--yes").code == 6
    assert paid("build", "--yes").code == 6
    assert emulator.prompts().count("a red lantern") == 1
    doubts = paid("doubt", "list", "--json").json
    assert doubts["v"] == 1
    assert [sorted(doubt) for doubt in doubts["doubts"]] == [["attempt", "id", "key", "model", "provider", "sent"]]
    assert doubts["doubts"][0]["id"] == "lanterns/red"
    assert paid("doubt", "retry", "lanterns/red").code == 0
    assert paid("build", "--yes").code == 0
    assert emulator.prompts().count("a red lantern") == 2
    assert paid("doubt", "list", "--json").json == {"v": 1, "doubts": []}


def test_offline_with_something_to_make_is_one_and_names_it(paid: Desk, emulator: Served) -> None:
    ended = paid("build", "--offline")
    assert (ended.code, emulator.requests()) == (1, [])
    assert "lanterns/red" in ended.err
    assert "lanterns/blue" in ended.err


# ---------------------------------------------------------------- JSON


def test_plan_json_to_the_letter(paid: Desk) -> None:
    plan = paid("plan", "--json").json
    assert list(plan) == ["v", "entries", "summary"]
    assert [entry["id"] for entry in plan["entries"]] == ["lanterns/red", "lanterns/blue"]
    entry = plan["entries"][0]
    assert HEX.fullmatch(entry.pop("key"))
    key = entry["candidates"][0].pop("key")
    assert HEX.fullmatch(key)
    assert entry == {
        "id": "lanterns/red",
        "asset": "lanterns",
        "verdict": "generate",
        "held": False,
        "reasons": [{"code": "new"}],
        "provider": "dashscope",
        "model": "qwen-image-2.0",
        "prompt": "a red lantern",
        "price": {"usd": "0.035"},
        "candidates": [{"seed": 11, "verdict": "generate", "price": {"usd": "0.035"}}],
        "outputs": [{"path": "lanterns/red.png", "verdict": "restore"}],
    }
    counts = ("fresh", "restore", "resume", "recover", "doubt", "refused", "generate", "derive", "modified", "held", "orphan")
    assert {name: plan["summary"].pop(name) for name in counts} == dict.fromkeys(counts, 0) | {"generate": 2}
    assert plan["summary"].pop("seconds") > 0
    assert plan["summary"] == {"cost": {"usd": "0.07"}, "unknown_price": 0}


def test_a_change_says_its_field_old_and_new(paid: Desk) -> None:
    paid("build", "--yes")
    paid.edit('lantern"', 'lamp"')
    entry = paid("plan", "--json").json["entries"][0]
    assert entry["reasons"] == [{"code": "changed", "field": "prompt", "old": "a red lantern", "new": "a red lamp"}]


def test_build_json_is_events_with_the_summary_last(paid: Desk) -> None:
    ended = paid("build", "--yes", "--json")
    kinds = [event["event"] for event in ended.events]
    assert kinds[0] == "plan"
    assert kinds[-1] == "summary"
    assert sorted(kinds[1:-1]) == ["stored", "stored", "submitted", "submitted", "written", "written"]
    assert {event["id"] for event in ended.events[1:-1]} == {"lanterns/red", "lanterns/blue"}
    summary = ended.events[-1]
    counts = ("generated", "restored", "resumed", "derived", "fresh", "failed", "refused", "doubt", "skipped", "modified")
    assert {name: summary[name] for name in counts} == dict.fromkeys(counts, 0) | {"generated": 2}
    assert summary["spent"] == {"usd": "0.07"}
    again = paid("build", "--json").events
    assert [event["event"] for event in again] == ["plan", "summary"]
    assert again[-1]["spent"] == {}


def test_status_explain_validate_and_spend_json(paid: Desk) -> None:
    paid("build", "--yes")
    assert [entry["verdict"] for entry in paid("status", "--json").json["entries"]] == ["fresh", "fresh"]
    explained = paid("explain", "lanterns/red", "--json").json
    assert list(explained) == ["v", "id", "action", "key", "lock", "reasons", "outputs"]
    assert explained["lock"]["key"] == explained["key"]
    assert explained["action"]["prompt"] == "a red lantern"
    assert paid("validate", "--json").json == {"v": 1, "entries": 2, "errors": []}
    spend = paid("spend", "--json").json
    assert list(spend) == ["v", "attempts", "total"]
    assert (len(spend["attempts"]), spend["total"]) == (2, {"usd": "0.07"})


def test_an_entry_is_explained_alike_with_and_without_what_is_remembered_and_whatever_became_of_others(paid: Desk) -> None:
    assert paid("build", "--yes").code == 0
    before = paid("explain", "lanterns/red", "--json").json
    (paid.folder / "assets/lanterns/blue.png").unlink()
    assert paid("explain", "lanterns/red", "--json").json == before
    shutil.rmtree(paid.folder / ".qwenbuild")
    assert paid("explain", "lanterns/red", "--json").json == before


def test_an_edited_file_of_an_explained_entry_is_seen(paid: Desk) -> None:
    assert paid("build", "--yes").code == 0
    path = paid.folder / "assets/lanterns/red.png"
    data, times = path.read_bytes(), path.stat()
    path.write_bytes(data[:-1] + b"x")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    (output,) = paid("explain", "lanterns/red", "--json").json["outputs"]
    assert output["verdict"] == "modified"


def test_the_explained_key_can_be_recomputed_from_the_explained_action(paid: Desk) -> None:
    from hashlib import sha256

    explained = paid("explain", "lanterns/red", "--json").json
    canonical = json.dumps(explained["action"], sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert sha256(canonical.encode()).hexdigest() == explained["key"]


def test_errors_under_json_are_on_stdout_with_their_place(paid: Desk) -> None:
    paid.edit("matrix: {color", "matricks: {color")
    ended = paid("plan", "--json")
    assert ended.code == 2
    error = ended.json["errors"][0]
    assert list(error) == ["file", "line", "column", "path", "code", "message"]
    assert (error["file"], error["line"]) == ("qwenbuild.yaml", 6)
    assert error["path"].startswith("assets.lanterns")


# ---------------------------------------------------------------- streams and surroundings


def test_results_go_to_stdout_progress_to_stderr_and_no_colour_to_a_pipe(paid: Desk) -> None:
    ended = paid("build", "--yes")
    assert ended.out.count("\n") == 1
    assert "generated" in ended.out
    assert "lanterns/red" in ended.err
    assert "\x1b" not in ended.out + ended.err
    assert "\x1b" in paid("plan", "--color", "always").out
    assert "\x1b" not in paid("plan", NO_COLOR="1").out


def test_the_cache_is_where_the_variable_says_and_nowhere_else(paid: Desk, tmp_path: Path) -> None:
    paid("build", "--yes")
    assert paid("cache", "dir").out.strip() == str(tmp_path / "cache")
    assert (tmp_path / "cache/README").is_file()
    assert not (tmp_path / "home").exists()


def test_without_a_home_the_message_names_the_variable(paid: Desk) -> None:
    environ = {name: value for name, value in paid.environ.items() if name not in ("HOME", "QWENBUILD_CACHE_DIR")}
    ended = Desk(paid.folder, {**environ, "HOME": "/nonexistent"})("plan")
    assert ended.code == 2
    assert "QWENBUILD_CACHE_DIR" in ended.err


def test_a_tree_that_cannot_be_written_is_said_before_anything_is_paid(paid: Desk, emulator: Served) -> None:
    (paid.folder / "assets").write_text("a file where the tree should be")
    ended = paid("build", "--yes")
    assert (ended.code, emulator.prompts()) == (1, [])
    assert "assets" in ended.err


def test_another_manifest_has_its_own_lockfile(desk: Desk) -> None:
    desk.write(FREE, "other.yaml")
    assert desk("build", "-f", "other.yaml").code == 0
    assert sorted(path.name for path in desk.folder.glob("*.lock")) == ["other.lock"]
    assert desk("-C", str(desk.folder), "plan", "-f", "other.yaml", "--check").code == 0


def test_another_family_needs_another_folder_and_keeps_its_lockfile_there(paid: Desk, emulator: Served) -> None:
    paid("build", "--yes")
    lock = (paid.folder / "qwenbuild.lock").read_bytes()
    assert paid("build", "--provider", "placeholder").code == 2
    assert paid("build", "--provider", "placeholder", "--output", "draft").code == 0
    assert (paid.folder / "draft/lanterns/red.png").is_file()
    assert (paid.folder / "draft/qwenbuild.lock").is_file()
    assert (paid.folder / "qwenbuild.lock").read_bytes() == lock
    assert len(emulator.prompts()) == 2


def test_init_builds_offline_at_once_and_then_has_nothing_to_do(desk: Desk) -> None:
    for kind in ("game", "marketing"):
        folder = desk.folder / kind
        folder.mkdir()
        there = Desk(folder, desk.environ)
        assert there("init", kind).code == 0
        assert there("build").code == 0
        assert there("build").out.startswith("Nothing to do")
        assert there("init", kind).code == 2


def test_clean_removes_what_comes_back_for_nothing(paid: Desk, emulator: Served) -> None:
    paid("build", "--yes")
    assert paid("clean", "--all", "-n").code == 0
    assert (paid.folder / "assets/lanterns/red.png").is_file()
    assert paid("clean", "--all").code == 0
    assert not (paid.folder / "assets/lanterns/red.png").exists()
    assert paid("build").code == 0
    assert (paid.folder / "assets/lanterns/red.png").is_file()
    assert len(emulator.prompts()) == 2


def test_the_cache_can_be_verified_rebuilt_and_counted(paid: Desk, emulator: Served, tmp_path: Path) -> None:
    paid("build", "--yes")
    shutil.rmtree(tmp_path / "cache/index", ignore_errors=True)
    for words in (("cache", "verify"), ("cache", "rebuild"), ("cache", "stats")):
        assert paid(*words).code == 0
    assert paid("plan", "--check").code == 0


def test_a_dry_build_is_the_plan(paid: Desk, emulator: Served) -> None:
    assert paid("build", "-n").out == paid("plan").out
    assert emulator.requests() == []
    assert not (paid.folder / "assets").exists()


def test_the_schema_is_the_committed_one(desk: Desk) -> None:
    committed = Path(__file__).parent.parent / "schemas/manifest.v1.schema.json"
    assert desk("schema").out == committed.read_text(encoding="utf-8")
