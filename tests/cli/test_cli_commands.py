"""The smaller verbs: validate, explain, clean, spend, doubt, providers, schema, completion, init, cache, lock."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace

import pytest
from fakewalk import KEY, Ended, Walk

from qwenbuild.cache import Cache
from qwenbuild.cli.reachability import reachable
from qwenbuild.errors import InputError, Mark, Problem
from qwenbuild.lock import layout
from qwenbuild.model import ActionResult, LockEntry, LockOutput, OutputPlan, OutputSpec, Reason, Verdict
from qwenbuild.providers.account import AccountReport

Call = Callable[..., Ended]


def test_validate_counts_entries_or_lists_errors(call: Call, walk: Walk) -> None:
    walk.entries = (1, 2, 3)
    assert json.loads(call("validate", "--json").out) == {"v": 1, "entries": 3, "errors": []}
    assert call("validate").out == "qwenbuild.yaml: 3 entries, no errors.\n"
    problem = Problem("unknown-key", "unknown key", Mark("qwenbuild.yaml", 2, 1), "asets")
    walk.raises = InputError("x", problems=(problem, problem))
    ended = call("validate", "--json")
    assert ended.code == 2
    said = json.loads(ended.out)
    assert (said["v"], said["entries"], len(said["errors"])) == (1, 0, 2)
    assert said["errors"][0]["line"] == 2
    assert call("validate").err.count("qwenbuild.yaml:2:1: unknown key") == 2


def test_explain_shows_the_action_and_what_the_lockfile_had(call: Call, walk: Walk) -> None:
    output = OutputPlan(OutputSpec("icons/red.png"), Verdict.RESTORE, "", "", "", "missing")
    walk.explanation = SimpleNamespace(
        id="potions/red",
        action={"model": "qwen-image-plus", "prompt": "a red potion", "seed": 11},
        key=KEY,
        lock={"key": "cd" * 32, "action": {"model": "qwen-image-plus", "prompt": "a blue potion", "seed": 11}},
        reasons=(Reason("changed", "prompt", "a blue potion", "a red potion"),),
        outputs=(output,),
        facts={"made": "2026-11-20"},
    )
    assert json.loads(call("explain", "potions/red", "--json").out) == {
        "v": 1,
        "id": "potions/red",
        "action": walk.explanation.action,
        "key": KEY,
        "lock": walk.explanation.lock,
        "reasons": [{"code": "changed", "field": "prompt", "old": "a blue potion", "new": "a red potion"}],
        "outputs": [{"path": "icons/red.png", "verdict": "restore"}],
    }
    assert call("explain", "potions/red").out.splitlines() == [
        "potions/red",
        f"key             {KEY}",
        "model           qwen-image-plus",
        "prompt          a red potion",
        "                was: a blue potion",
        "seed            11",
        "lockfile        has another key:",
        f"                {'cd' * 32}",
        "file            icons/red.png: restore (missing)",
        "why             prompt: blue → red",
        "made            2026-11-20",
    ]


def test_clean_says_what_it_removes_and_what_it_keeps(call: Call, walk: Walk) -> None:
    walk.cleaned = SimpleNamespace(removed=("icons/old.png",), kept=(("icons/mine.png", "changed by hand"),))
    ended = call("clean", "-n")
    assert walk.asked[-1][2:] == (False, True)
    assert ended.out.splitlines() == [
        "would remove  icons/old.png",
        "kept  icons/mine.png: changed by hand",
        "1 file would be removed, 1 kept.",
    ]
    call("clean", "--all")
    assert walk.asked[-1][2:] == (True, False)


def test_spend_lists_attempts_and_the_total(call: Call, walk: Walk) -> None:
    attempt = {
        "id": "a/x",
        "model": "qwen-image-plus",
        "task_id": "t-1",
        "outcome": "stored",
        "price": {"usd": "0.03"},
        "sent": "2026-11-20T10:00:00+00:00",
    }
    price = {"usd": Decimal("0.03")}
    walk.ledger = SimpleNamespace(attempts=[attempt], total=price, billed={}, estimated=price)
    said = {"v": 1, "attempts": [attempt], "total": {"usd": "0.03"}}
    assert json.loads(call("spend", "--json").out) == said
    out = call("spend").out
    assert "stored" in out
    assert "t-1" in out
    assert out.endswith("1 attempt, $0.03 spent.\n")


def test_doubts_are_listed_and_settled(call: Call, walk: Walk) -> None:
    doubt = {"id": "a/x", "key": KEY, "provider": "dashscope", "model": "m", "sent": "2026-11-20", "attempt": "7f3c"}
    walk.doubts = [doubt]
    assert json.loads(call("doubt", "list", "--json").out) == {"v": 1, "doubts": [doubt]}
    listed = call("doubt", "list")
    assert "7f3c" in listed.out
    assert "retry ID (may pay again)" in listed.err
    call("doubt", "claim", "a/x", "--task", "t-1")
    assert walk.asked[-1][2:] == ("claim", ("a/x",), "t-1")
    call("doubt", "retry", "a/x", "a/y")
    assert walk.asked[-1][2:] == ("retry", ("a/x", "a/y"), None)
    assert call("doubt", "drop").code == 2


def test_providers_lists_every_row_of_the_model_table(call: Call) -> None:
    from qwenbuild.catalog import Catalog

    rows = list(Catalog.load({}).rows())
    said = json.loads(call("providers", "--json").out)
    assert [(model["provider"], model["model"]) for model in said["models"]] == [(row.family, row.id) for row in rows]
    out = call("providers").out
    assert "retires 2026-10-10" in out
    assert [line for line in out.splitlines() if len(line) > 80] == []


@pytest.mark.parametrize(
    ("reachable", "key", "code"),
    [(True, "accepted", 0), (True, "not needed", 0), (True, "refused", 5), (False, "", 1)],
)
def test_an_accounts_check_ends_with_its_own_code(call: Call, walk: Walk, reachable: bool, key: str, code: int) -> None:
    walk.account = [
        AccountReport("dashscope", "dashscope", "https://h.example", "beijing", reachable, key, Decimal(7), "hello")
    ]
    ended = call("providers", "check", "dashscope")
    assert ended.code == code
    assert walk.asked[-1][2] == "dashscope"
    assert "  credits: 7\n  hello\n" in ended.out
    assert ("does not answer" in ended.out) is not reachable
    said = json.loads(call("providers", "check", "--json").out)["providers"][0]
    assert (said["reachable"], said["key"], said["credits"]) == (reachable, key, "7")


def test_schema_is_the_grammars(call: Call) -> None:
    assert "assets" in json.loads(call("schema").out)["properties"]


# ---------------------------------------------------------------- init


@pytest.mark.parametrize("kind", ["game", "marketing"])
def test_what_init_writes_is_valid_at_once(call: Call, project: Path, kind: str) -> None:
    assert call("init", kind).code == 0
    first = (project / "qwenbuild.yaml").read_text(encoding="utf-8").splitlines()[0]
    assert first == "# yaml-language-server: $schema=schemas/manifest.v1.schema.json"
    assert (project / "schemas" / "manifest.v1.schema.json").read_text(encoding="utf-8") == call("schema").out
    assert (project / ".env.example").is_file()
    ended = call("validate", "--strict", "--json")
    said = json.loads(ended.out)
    assert (ended.code, said["errors"]) == (0, [])
    assert said["entries"] > 5


def test_the_commented_lines_of_init_are_valid_too(call: Call, project: Path) -> None:
    from qwenbuild.catalog import Catalog

    call("init")
    path = project / "qwenbuild.yaml"
    text = path.read_text(encoding="utf-8").replace("provider: placeholder\n", "")
    block = text[text.index("# provider: dashscope") : text.index("\n\n# A ceiling")]
    said = "\n".join(line.removeprefix("# ") for line in block.splitlines())
    path.write_text(text.replace(block, said), encoding="utf-8")
    assert "    model: qwen-image-2.0" in said
    assert call("validate", "--json").code == 0
    model = Catalog.load({}).find("dashscope", "qwen-image-2.0")
    assert model is not None
    assert not model.retires


def test_init_overwrites_nothing_and_lists_what_is_in_the_way(call: Call, project: Path) -> None:
    (project / "prompts").mkdir()
    (project / "prompts" / "item.j2").write_text("mine", encoding="utf-8")
    ended = call("init", "game")
    assert ended.code == 2
    assert "prompts/item.j2" in ended.err
    assert sorted(path.name for path in project.iterdir()) == ["prompts"]


def test_init_adds_to_a_gitignore_what_is_missing(call: Call, project: Path) -> None:
    (project / ".gitignore").write_text("node_modules/\n.env", encoding="utf-8")
    call("init")
    lines = (project / ".gitignore").read_text(encoding="utf-8").splitlines()
    assert lines[:2] == ["node_modules/", ".env"]
    assert lines.count(".env") == 1
    assert {"/assets/", ".qwenbuild/"} <= set(lines)
    assert "qwenbuild.lock" not in lines


# ---------------------------------------------------------------- completion


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script(call: Call, shell: str) -> None:
    assert "_QWENBUILD_COMPLETE" in call("completion", shell).out


def complete(line: str, folder: Path) -> list[str]:
    words = line.split(" ")
    environ = {**os.environ, "_QWENBUILD_COMPLETE": "zsh_complete", "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
    done = subprocess.run(
        [sys.executable, "-m", "qwenbuild"], env=environ, cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    return lines[1::3]


def test_ids_tags_and_assets_are_completed(call: Call, project: Path) -> None:
    call("init", "game")
    assert complete("qwenbuild build items/sw", project) == ["items/sword-common", "items/sword-rare"]
    assert complete("qwenbuild build tag:", project) == ["tag:items", "tag:portraits"]
    assert complete("qwenbuild plan asset:", project) == ["asset:items", "asset:portraits"]
    assert complete("qwenbuild explain portraits/bard", project) == ["portraits/bard-calm", "portraits/bard-laughing"]


def bash_completes(line: str, folder: Path, script: str) -> list[str]:
    """What bash itself would offer at the end of `line`."""
    program = f"{Path(sys.executable).parent}/qwenbuild"
    asks = f'COMP_LINE="{line}"; COMP_POINT=${{#COMP_LINE}}; _qwenbuild_completion "{program}"'
    text = f"{script}\ncompopt() {{ :; }}\n{asks}\nprintf '%s\\n' \"${{COMPREPLY[@]}}\""
    done = subprocess.run(["bash", "-c", text], cwd=folder, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return done.stdout.split()


def test_bash_completes_words_with_colons(call: Call, project: Path) -> None:
    call("init", "game")
    script = call("completion", "bash").out
    assert bash_completes("qwenbuild build tag:p", project, script) == ["portraits"]
    assert bash_completes("qwenbuild build items/sw", project, script) == ["items/sword-common", "items/sword-rare"]
    assert bash_completes("qwenbuild val", project, script) == ["validate"]


def test_completion_is_silent_about_errors(project: Path) -> None:
    assert complete("qwenbuild build x", project) == []
    (project / "qwenbuild.yaml").write_text("assets: [", encoding="utf-8")
    (project / "qwenbuild.lock").write_text("<<<<<<<", encoding="utf-8")
    assert complete("qwenbuild build x", project) == []


# ---------------------------------------------------------------- cache and lock


def test_the_caches_folder_is_told(call: Call) -> None:
    assert call("cache", "dir").out == os.environ["QWENBUILD_CACHE_DIR"] + "\n"


def test_an_empty_cache_is_whole_and_has_nothing_to_remove(call: Call) -> None:
    assert json.loads(call("cache", "stats", "--json").out)["blobs"] == 0
    assert json.loads(call("cache", "verify", "--json").out)["sound"] is True
    assert call("cache", "gc").out == "Nothing to remove: every picture is named by a lockfile.\n"


def test_gc_stops_when_a_lockfile_it_must_ask_is_not_there(call: Call, project: Path) -> None:
    gone = project / "gone" / "qwenbuild.lock"
    Cache.open(Path(os.environ["QWENBUILD_CACHE_DIR"])).add_root(gone)
    ended = call("cache", "gc", "--yes")
    assert ended.code == 2
    assert str(gone) in ended.err
    assert call("cache", "gc", "--forget", str(gone)).code == 0


def stored(cache: Cache, color: bytes) -> tuple[str, str]:
    """A picture of two days ago in the cache: its key and its digest."""
    digest = cache.put_blob(b"picture " + color)
    key = hashlib.sha256(color).hexdigest()
    cache.put_result(ActionResult(key, digest, "image/png", 1, 1, 9, "2026-11-18", billed={"usd": Decimal("0.03")}))
    past = time.time() - 2 * 24 * 3600
    os.utime(cache.blob_path(digest), (past, past))
    return key, digest


def test_gc_keeps_what_a_lockfile_names_and_removes_the_rest_only_after_a_yes(call: Call, project: Path) -> None:
    cache = Cache.open(Path(os.environ["QWENBUILD_CACHE_DIR"]))
    (kept, kept_digest), (_, lost_digest) = stored(cache, b"red"), stored(cache, b"blue")
    path = project / "qwenbuild.lock"
    path.write_bytes(layout.text({"a": LockEntry(kept, kept_digest, {"family": "placeholder"})}, "qwenbuild.yaml"))
    cache.add_root(path)
    cache.close()
    looked = call("cache", "gc", "-n")
    assert looked.out.splitlines()[:2] == [
        "1 picture that no lockfile names (12 B).",
        "Making them again would cost $0.03.",
    ]
    assert call("cache", "gc").code == 4
    assert cache.has_blob(lost_digest)
    assert call("cache", "gc", "--yes").code == 0
    assert not cache.has_blob(lost_digest)
    assert cache.has_blob(kept_digest)


def test_everything_that_a_lockfile_names_is_reachable(project: Path) -> None:
    names = [digit * 64 for digit in "123456789ab"]
    record = LockEntry(
        names[0],
        names[1],
        {"family": "placeholder"},
        outputs={"a.png": LockOutput(names[2], names[3])},
        picked=names[4],
        rejected=(names[5],),
        accepted={names[6]: names[7]},
        candidates={names[8]: names[9]},
    )
    path = project / "qwenbuild.lock"
    path.write_bytes(layout.text({"a": record}, "qwenbuild.yaml"))
    found = reachable([path])
    assert found.keys == {names[0], names[4], names[5], names[6], names[7], names[8]}
    assert found.digests == {names[1], names[2], names[3], names[9]}
