"""Hostile input, from end to end: manifests, templates, paths, lockfiles, answers, index rows, escapes; and where the key goes.

What single modules refuse is tested beside them, and their lists are borrowed here: the whole program must refuse it, too.
"""

from __future__ import annotations

import importlib.util
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from qwenbuild.cache.care import rebuild
from qwenbuild.emulator import Served
from qwenbuild.errors import InputError
from tests.campaign.part_http import hurried
from tests.campaign.shop import attempt_build, build_and_die, command, manifest, paid, right_pictures
from tests.walking import Project

TESTS = Path(__file__).parents[1]
CANARY = "sk-canary-5b1f0c77d2e94a"
posix = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX")


def borrowed(path: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A test module of another folder, for its list of attacks."""
    monkeypatch.syspath_prepend(str((TESTS / path).parent))
    spec = importlib.util.spec_from_file_location("borrowed_" + Path(path).stem, TESTS / path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def everything_below(*folders: Path) -> bytes:
    return b"\n".join(
        path.name.encode() + path.read_bytes() for folder in folders for path in folder.rglob("*") if path.is_file()
    )


# ---------------------------------------------------------------- the key

CRASHING = """
import os, sys
from qwenbuild.cache.vault import Cache
def crash(self, key):
    held = os.environ["DASHSCOPE_API_KEY"]
    raise RuntimeError("Authorization: Bearer " + held + " for https://x.test/a.png?Signature=" + held)
Cache.index_result = crash
sys.argv = ["qwenbuild", "-v", "build", "--yes"]
from qwenbuild.__main__ import main
main()
"""


@posix
def test_the_key_is_nowhere_but_in_its_header(shop: Project, emulated: Served, tmp_path: Path) -> None:
    emulated.configure(accounts={"singapore": {"keys": [CANARY]}})
    emulated.fault("submit", "refuse", status=400, match="red", message=f"The key {CANARY} says: Bearer {CANARY}")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    environ = {**emulated.environ(), "DASHSCOPE_API_KEY": CANARY, "TMPDIR": str(scratch)}
    said = ""
    for words in (
        ["-v", "plan"],
        ["-v", "build", "--yes"],
        ["-v", "build", "--yes", "--retry-failed"],
        ["plan", "--json"],
        ["explain", "lanterns/red"],
        ["explain", "lanterns/blue", "--json"],
        ["spend", "--json"],
        ["doubt", "list"],
        ["providers", "check"],
        ["status", "--json"],
        ["cache", "verify"],
        ["gallery"],
    ):
        done = command(shop, environ, *words)
        said += done.stdout + done.stderr
        assert done.returncode not in (2, 70), (words, done.stderr)
    assert paid(emulated).keys() >= {"a blue lantern", "a green lantern"}
    shop.manifest(manifest(("amber",)))
    crashed = subprocess.run(
        [sys.executable, "-c", CRASHING],
        cwd=shop.folder,
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert crashed.returncode == 70, crashed.stderr
    logs = [*scratch.glob("crash-*.log"), *shop.cache_dir.glob("crash-*.log")]
    assert len(logs) == 1
    assert "RuntimeError" in logs[0].read_text()
    said += crashed.stdout + crashed.stderr
    assert said.count(CANARY) == 0
    assert everything_below(shop.folder, shop.cache_dir, scratch).count(CANARY.encode()) == 0
    assert list(shop.folder.rglob("*.html"))
    assert emulated.leaks() == []


def test_a_plan_asks_no_provider_what_became_of_a_request_that_may_be_paid(shop: Project, emulated: Served) -> None:
    build_and_die(shop)
    asked = len(emulated.requests())
    shop.plan()
    for words in (["plan", "--json"], ["status"], ["explain", "lanterns/red"], ["doubt", "list"], ["spend"]):
        assert command(shop, emulated.environ(), *words).returncode == 0
    assert len(emulated.requests()) == asked
    assert shop.build().exit_code == 0
    assert sum(paid(emulated).values()) == 3


# ---------------------------------------------------------------- addresses

INWARD = [
    "https://2130706433:PORT",
    "https://0x7f.1:PORT",
    "https://0x7f000001:PORT",
    "https://127.1:PORT",
    "https://0:PORT",
    "https://0.0.0.0:PORT",
    "https://017700000001:PORT",
    "https://[::ffff:127.0.0.1]:PORT",
    "https://[::]:PORT",
    "https://user@127.0.0.1:PORT",
    "https://cdn.aliyuncs.com@127.0.0.1:PORT",
    "https://10.0.0.1",
    "https://169.254.169.254",
    "http://169.254.169.254",
    "https://100.100.100.200",
    "https://192.168.1.1",
    "https://224.0.0.1",
    "https://[fe80::1]",
    "https://[fc00::1]",
    "https://[64:ff9b::7f00:1]",
    "https://[2002:7f00:1::]",
    "https://metadata.google.internal",
    "https://printer.local",
    "https://intranet",
    "https://evil.example",
    "http://evil.example",
    "https://aliyuncs.com.evil.example",
    "file:///etc",
    "ftp://127.0.0.1:PORT",
    "gopher://127.0.0.1:PORT",
    "https://127.0.0.1:PORT@evil.example",
    "javascript:alert(1)",
    "https://dashscope-result-sgp.oss-ap-southeast-1.aliyuncs.com.127.0.0.1.nip.io",
    "data:image/png;base64,",
]


def test_there_are_thirty_hostile_addresses() -> None:
    assert len(set(INWARD)) >= 30


@pytest.mark.parametrize("address", INWARD)
def test_a_picture_at_a_hostile_address_opens_no_connection_and_is_not_lost(
    shop: Project, emulated: Served, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.manifest(manifest(("red",)))
    reached: list[Any] = []
    connect, look_up = socket.socket.connect, socket.getaddrinfo
    here = int(emulated.url.rpartition(":")[2])

    def connected(self: socket.socket, to: Any) -> Any:
        if to[1] != here:
            reached.append(to)
        return connect(self, to)

    def looked_up(host: Any, port: Any, *rest: Any, **more: Any) -> Any:
        if port != here:
            reached.append((host, port))
        return look_up(host, port, *rest, **more)

    with socket.create_server(("127.0.0.1", 0)) as trap, monkeypatch.context() as patched:
        patched.setattr(socket.socket, "connect", connected)
        patched.setattr(socket, "getaddrinfo", looked_up)
        patched.setitem(emulated.core.origins, "storage", address.replace("PORT", str(trap.getsockname()[1])))
        assert shop.build().exit_code != 0
    assert reached == []
    assert shop.build().exit_code in (0, 6)
    assert paid(emulated) == {"a red lantern": 1}


# ---------------------------------------------------------------- paths


def test_two_hundred_hostile_paths_write_nothing_outside(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each as the path of a free picture, from end to end: whatever is allowed stands below the output folder."""
    paths = borrowed("expand/test_expand_paths.py", monkeypatch).HOSTILE
    walked = Project(project, Path(os.environ["QWENBUILD_CACHE_DIR"]))
    refused = 0
    for path in paths:
        try:
            text = json.dumps({"version": 1, "assets": {"a": {"prompt": "x", "outputs": {"path": path}}}}, ensure_ascii=True)
            walked.manifest(text)
            walked.build()
        except InputError:
            refused += 1
    assert (refused, len(paths)) == (len(paths), refused)
    assert refused >= 200
    below = {path.relative_to(tmp_path).parts[0] for path in tmp_path.rglob("*")}
    assert below <= {"project"}
    assert [path for path in project.rglob("*") if path.suffix == ".png"] == []


@posix
def test_a_link_in_the_tree_leads_nowhere(shop: Project, emulated: Served, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "red.png").write_bytes(b"somebody's")
    shop.out.mkdir()
    (shop.out / "lanterns").symlink_to(outside)
    summary = shop.build()
    assert summary.exit_code == 1
    assert {code for _, code, _ in summary.failures} == {"not-written"}
    assert [path.name for path in outside.iterdir()] == ["red.png"]
    assert (outside / "red.png").read_bytes() == b"somebody's"
    (shop.out / "lanterns").unlink()
    assert shop.build().counts == {"restored": 3}
    assert sum(paid(emulated).values()) == 3


# ---------------------------------------------------------------- templates and YAML


@posix
def test_hostile_templates_and_yaml_bombs_end_in_two_seconds_and_one_gigabyte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hostile = borrowed("expand/hostile.py", monkeypatch)
    bombs = borrowed("manifest/test_manifest_yaml.py", monkeypatch).BOMBS
    templates = {**hostile.COSTLY, **hostile.BROKEN, **hostile.REFUSED}
    assert len(templates) >= 25
    assert len(bombs) >= 15
    texts = {f"bomb {name}": text for name, text in bombs.items()}
    for name, template in templates.items():
        asset = {"prompt": template, "data": {"long": "x" * 60_000, "other": "x" * 59_999 + "y", "words": "a b " * 9_000}}
        texts[f"template {name}"] = json.dumps({"version": 1, "assets": {"a": asset}})
    for name, text in texts.items():
        folder = tmp_path / "all" / name
        folder.mkdir(parents=True)
        (folder / "qwenbuild.yaml").write_text(text)
    done = subprocess.run(
        [sys.executable, "-m", "tests.campaign.validating", str(tmp_path / "all")],
        cwd=TESTS.parent,
        env={**os.environ, "PYTHONPATH": str(TESTS.parent)},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    results = json.loads(done.stdout)
    assert results.keys() == texts.keys()
    wrong = {name: result for name, result in results.items() if result[0] > 2 or result[1] != 2 or "Traceback" in result[2]}
    assert wrong == {}


# ---------------------------------------------------------------- index rows, lockfiles


def test_tampered_index_rows_run_nothing_delete_nothing_and_buy_nothing(
    shop: Project, emulated: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    attacks = borrowed("cache/test_cache_index.py", monkeypatch).tampered()
    assert len(attacks) >= 10
    shop.manifest(manifest(("red",)))
    shop.build()
    victim, executed = tmp_path / "victim", tmp_path / "executed"
    victim.write_bytes(b"somebody's")
    monkeypatch.setenv("BOMB", str(executed))
    for attack in attacks.values():
        with shop.cache() as cache:
            rebuild.rebuild(cache)
        attack(shop.cache_dir / "index" / "cache.db", victim)
        shop.lose("outputs", "state")
        assert shop.build().counts == {"restored": 1}
    assert not executed.exists()
    assert victim.read_bytes() == b"somebody's"
    assert paid(emulated) == {"a red lantern": 1}


def hostile_lockfiles(text: str) -> dict[str, str]:
    """Lockfiles that a merge, a script or an enemy may have left."""
    whole = json.loads(text)

    def changed(**fields: Any) -> str:
        copy = json.loads(text)
        copy["entries"]["lanterns/red"].update(fields)
        return json.dumps(copy)

    def at(path: str) -> str:
        return changed(outputs={path: {}})

    entry = json.dumps(whole["entries"]["lanterns/red"])
    paths = (
        "/etc/passwd",
        "../../x.png",
        "a/../../x.png",
        ".git/config",
        "C:\\x.png",
        "a\x00b.png",
        "qwenbuild.yaml",
        "a\x1b[2J",
    )
    return {
        **{f"path {path!r}": at(path) for path in paths},
        "not a digest": changed(digest="../../../etc/passwd"),
        "a short digest": changed(digest="ab"),
        "not a key": changed(key="../x"),
        "wrong types": changed(outputs=[1, 2]),
        "an unknown field": changed(evil=True),
        "duplicate entries": text.replace('"entries": {', '"entries": {\n    "lanterns/red": {' + entry[1:] + ",", 1),
        "nested": '{"entries": ' + '{"a":' * 100_000 + "1" + "}" * 100_000 + "}",
        "lists": "[" * 200_000,
        "not a number": text.replace('"version": 1', '"version": NaN'),
        "a long number": text.replace('"version": 1', '"version": ' + "9" * 5000),
        "a newer version": text.replace('"version": 1', '"version": 99'),
        "no version": json.dumps({"entries": whole["entries"], "manifest": "qwenbuild.yaml"}),
        "half": text[: len(text) // 2],
        "nothing": "",
        "conflict": "<<<<<<< ours\n" + text + "=======\n" + text + ">>>>>>> theirs\n",
        "nul bytes": "\x00" * len(text),
    }


def test_a_hostile_lockfile_is_refused_in_words_and_costs_nothing(shop: Project, emulated: Served, tmp_path: Path) -> None:
    shop.build()
    sent = len(emulated.requests())
    text = shop.lock.read_text()
    for name, hostile in hostile_lockfiles(text).items():
        shop.lock.write_text(hostile)
        started = time.process_time()
        answer = attempt_build(shop, prune=True)
        assert isinstance(answer, InputError), (name, answer)
        assert answer.exit_code == 2, name
        assert time.process_time() - started < 3, name
        assert len(emulated.requests()) == sent, name
    os.truncate(shop.lock, 10 << 30)
    assert "larger than 768 MB" in str(attempt_build(shop))
    shop.lock.write_text(text)
    assert shop.build().exit_code == 0
    assert {path.name for path in tmp_path.iterdir()} == {"project"}


def test_a_lockfile_whose_pictures_were_swapped_publishes_none_under_a_wrong_name(shop: Project, emulated: Served) -> None:
    """Red's record names blue's picture: the receipt of red's key knows better, and nothing is bought."""
    shop.build()
    lock = json.loads(shop.lock.read_text())
    red, blue = lock["entries"]["lanterns/red"], lock["entries"]["lanterns/blue"]
    red["digest"], blue["digest"] = blue["digest"], red["digest"]
    shop.lock.write_text(json.dumps(lock))
    shop.lose("outputs", "state")
    summary = shop.build()
    assert summary.exit_code == 1
    assert "which was bought for lanterns/blue" in str(summary.failures)
    assert sum(paid(emulated).values()) == 3
    assert right_pictures(shop, emulated) == {"lanterns/green.png": True}


# ---------------------------------------------------------------- answers

ODD_TASKS = [
    "null",
    "[]",
    '"text"',
    "{}",
    '{"output": null}',
    '{"output": []}',
    '{"output": {"task_id": 7, "task_status": 7}}',
    '{"output": {"task_status": "SUCCEEDED"}}',
    '{"output": {"task_status": "SUCCEEDED", "results": 7}}',
    '{"output": {"task_status": "SUCCEEDED", "results": [7, null, {"url": 7}, {"url": ""}]}}',
    '{"output": {"task_status": "SUCCEEDED", "results": [{"url": "https://[::1"}]}}',
    '{"output": {"task_status": "\\u001b[2J"}}',
    '{"output": ' * 5000 + "1" + "}" * 5000,
    '{"output": {"task_status": NaN}}',
]


@pytest.mark.parametrize("body", ODD_TASKS, ids=range(len(ODD_TASKS)))
def test_an_odd_answer_costs_no_second_picture(shop: Project, emulated: Served, body: str) -> None:
    shop.manifest(manifest(("red",)))
    emulated.fault("poll", "status", status=200, content_type="application/json", body=body, times=2)
    summary = shop.build()
    assert summary.exit_code in (0, 1, 6)
    assert "\x1b" not in str(summary.failures)
    assert paid(emulated) == {"a red lantern": 1}
    for _ in range(2):
        if summary.exit_code == 1:
            summary = shop.build()
    assert summary.exit_code in (0, 6)
    assert paid(emulated) == {"a red lantern": 1}


BOMB = b"\x89PNG\r\n\x1a\n" + bytes.fromhex("0000000d49484452000075300000753008060000") + bytes(40)
BODIES = {
    "a page": b"<html><script>alert(1)</script></html>",
    "a vector picture": b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>",
    "a program": b"\x7fELF" + bytes(100),
    "a pixel bomb": BOMB,
    "half a picture": b"\x89PNG\r\n\x1a\n" + bytes(20),
}


@pytest.mark.parametrize("name", BODIES)
def test_paid_bytes_that_are_no_picture_are_kept_aside_and_not_bought_again(shop: Project, emulated: Served, name: str) -> None:
    """The storage brings the same bytes every time: nothing of them reaches the tree, and no second job is made."""
    shop.manifest(manifest(("red",)))
    emulated.fault("download", "status", status=200, content_type="image/png", body=BODIES[name].decode("latin-1"), times=None)
    with hurried():
        summary, again = shop.build(), shop.build()
    assert (summary.exit_code, again.exit_code) == (1, 1)
    assert paid(emulated) == {"a red lantern": 1}
    assert not shop.out.exists() or shop.tree() == {}
    assert "Traceback" not in str(summary.failures)


# ---------------------------------------------------------------- terminals

ESCAPES = [
    *(f"\x1b{tail}" for tail in ("[2J", "[31m", "]0;owned\x07", "]8;;http://evil\x07x", "c", "[6n", "P1$r0m\x1b\\", "[?1049h")),
    *("\x9b2J", "\x9d0;owned\x9c", "\x90x\x9c", "\x9f", "\x85", "\x84", "\x8d", "\x98"),
    *("\x07", "\x08\x08\x08", "\r", "\x0b", "\x0c", "\x0e", "\x0f", "\x00", "\x7f", "\x05", "\x1a", "\x18"),
    *("\u202e", "\u202d", "\u202a", "\u202b", "\u202c", "\u2066", "\u2067", "\u2068", "\u2069", "\u200e", "\u200f", "\u061c"),
    *("\u2028", "\u2029", "\ufeff", "\x1b[201~", "\x1b[1;1H", "\x1b[3J", "\x1bM", "\x1b#8", "\x1b(0", "\x1b[5i"),
]
RAW = {*range(0x20), *range(0x7F, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A)}
RAW |= {0x061C, 0x200E, 0x200F, 0x2028, 0x2029, 0xFEFF}
ALLOWED = {0x0A, 0x0D}
FAST = {"dashscope": {"limits": {"rps": 200, "concurrency": 20}}}


def on_a_terminal(folder: Path, environ: dict[str, str], *words: str) -> str:
    """What the program writes to a terminal that has no colours and moves no cursor."""
    import pty

    master, slave = pty.openpty()
    env = {**os.environ, **environ, "TERM": "dumb", "NO_COLOR": "1", "COLUMNS": "400"}
    process = subprocess.Popen(
        [sys.executable, "-m", "qwenbuild", *words], cwd=folder, env=env, stdin=slave, stdout=slave, stderr=slave
    )
    os.close(slave)
    said = b""
    while True:
        try:
            piece = os.read(master, 65536)
        except OSError:
            break
        if not piece:
            break
        said += piece
    os.close(master)
    assert process.wait(60) != 70, said
    return said.decode("utf-8")


def raw_controls(text: str) -> set[str]:
    return {repr(character) for character in text if ord(character) in RAW - ALLOWED}


@posix
def test_fifty_escape_sequences_reach_no_terminal(project: Path, emulated: Served) -> None:
    """In ids, prompts, data and templates' errors; in the provider's messages; in file names."""
    assert len(set(ESCAPES)) >= 50
    texts = [f"a{number}{escape}b" for number, escape in enumerate(ESCAPES)]
    broken = {text: {"prompt": text + "{{ nothing }}", "data": {text: text}} for text in texts}
    (project / "qwenbuild.yaml").write_text(json.dumps({"version": 1, "assets": broken}))
    said = on_a_terminal(project, emulated.environ(), "validate")
    assert said.count("a1") >= 1
    assets = {f"n{number}": {"prompt": f"word {number}.", "model": "qwen-image-plus"} for number in range(len(texts))}
    for number, text in enumerate(texts):
        emulated.fault("submit", "refuse", status=400, code="Invalid" + text, message=f"no {text}", match=f"word {number}.")
    (project / "qwenbuild.yaml").write_text(
        json.dumps({"version": 1, "provider": "dashscope", "providers": FAST, "assets": assets})
    )
    built = on_a_terminal(project, emulated.environ(), "build", "--yes")
    assert all(f"no a{number}" in built for number in range(len(texts)))
    said += built + on_a_terminal(project, emulated.environ(), "-v", "plan")
    for text in texts[::6]:
        name = text.replace("\0", "0").replace("/", "_") + ".yaml"
        (project / name).write_text("{")
        said += on_a_terminal(project, emulated.environ(), "-f", name, "validate")
    assert raw_controls(said) == set()
