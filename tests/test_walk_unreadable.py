"""What a build reads and cannot read is never taken for a picture that was not bought."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from qwenbuild.cache.seal import seal, unseal
from qwenbuild.emulator import Served
from qwenbuild.errors import QwenbuildError
from tests.walking import Project

ONE = """\
version: 1
provider: dashscope
providers:
  dashscope: {region: singapore, mode: async, limits: {rps: 200, concurrency: 20}}
defaults: {params: {size: "1:1", prompt_extend: false}}
assets:
  lantern: {prompt: "a red lantern", model: qwen-image-plus}
"""


@pytest.fixture
def lantern(walked: Project, emulated: Served) -> Project:
    walked.manifest(ONE)
    assert walked.build().exit_code == 0
    return walked


def receipt(project: Project) -> Path:
    (path,) = (path for path in (project.cache_dir / "receipts").rglob("*.json") if len(path.parent.name) == 64)
    return path


def blob(project: Project) -> Path:
    (path,) = (path for path in (project.cache_dir / "blobs").rglob("*") if path.is_file())
    return path


def flip(path: Path) -> None:
    path.chmod(0o600)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


def newer(path: Path) -> None:
    path.write_bytes(seal({**unseal(path.read_bytes()), "v": 2}) + b"\n")


def forget(project: Project) -> None:
    """Everything that names the picture but its receipt and the journal."""
    project.lose("index", "lockfile", "outputs", "state")


RECEIPT: dict[str, Callable[[Path], object]] = {
    "flipped": flip,
    "newer": newer,
    "empty": lambda path: path.write_bytes(b""),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:90]),
    "deleted": lambda path: path.unlink(),
    "folder deleted": lambda path: shutil.rmtree(path.parents[2]),
}


@pytest.mark.parametrize("damage", RECEIPT)
def test_a_picture_whose_receipt_says_nothing_is_restored_by_the_journal(
    lantern: Project, emulated: Served, damage: str
) -> None:
    picture = lantern.tree()
    path = receipt(lantern)
    RECEIPT[damage](path)
    forget(lantern)
    assert lantern.build().counts == {"restored": 1}
    assert lantern.tree() == picture
    if damage != "newer":  # what a newer qwenbuild wrote is left as it is
        assert unseal(path.read_bytes())["digest"] == blob(lantern).name
    forget(lantern)
    assert lantern.build().counts == {"restored": 1}
    assert emulated.prompts() == ["a red lantern"]


@pytest.mark.parametrize(("damage", "words"), [("flipped", "--force"), ("newer", "update qwenbuild"), ("empty", "--force")])
def test_a_receipt_that_nothing_stands_in_for_stops_its_entry_alone(
    lantern: Project, emulated: Served, damage: str, words: str
) -> None:
    """The receipt came from another machine: this journal is younger."""
    RECEIPT[damage](receipt(lantern))
    forget(lantern)
    for name in ("journal.db", "journal.made"):
        (lantern.cache_dir / name).unlink()
    lantern.edit("assets:", 'assets:\n  candle: {prompt: "a candle", model: qwen-image-plus}')
    assert lantern.verdicts() == {"candle": "generate", "lantern": "doubt"}
    summary = lantern.build()
    assert summary.exit_code == 6
    assert summary.counts == {"generated": 1, "doubt": 1}
    ((_, _, message),) = summary.failures
    assert words in message
    assert str(receipt_folder(lantern)) in message
    assert emulated.prompts() == ["a red lantern", "a candle"]


def receipt_folder(project: Project) -> Path:
    return project.cache_dir / "receipts"


def test_a_person_who_says_force_buys_what_an_unreadable_receipt_stopped(lantern: Project, emulated: Served) -> None:
    flip(receipt(lantern))
    forget(lantern)
    for name in ("journal.db", "journal.made"):
        (lantern.cache_dir / name).unlink()
    assert lantern.build(select=("lantern",), force=True).counts == {"generated": 1}
    assert lantern.build().counts == {"fresh": 1, "modified": 0}
    assert len(emulated.prompts()) == 2


def rewrite(path: Path, change: Callable[[dict[str, object]], object]) -> None:
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))


FILES: dict[str, Callable[[Project], object]] = {
    "journal deleted": lambda p: (p.cache_dir / "journal.db").unlink(),
    "journal emptied": lambda p: (p.cache_dir / "journal.db").write_bytes(b""),
    "journal cut": lambda p: (p.cache_dir / "journal.db").write_bytes((p.cache_dir / "journal.db").read_bytes()[:8000]),
    "journal flipped": lambda p: flip(p.cache_dir / "journal.db"),
    "VERSION newer": lambda p: (p.cache_dir / "VERSION").write_text("2\n"),
    "VERSION flipped": lambda p: (p.cache_dir / "VERSION").write_text("q\n"),
    "VERSION emptied": lambda p: (p.cache_dir / "VERSION").write_text(""),
    "VERSION deleted": lambda p: (p.cache_dir / "VERSION").unlink(),
    "index of garbage": lambda p: (p.cache_dir / "index" / "cache.db").write_bytes(b"garbage" * 999),
    "blobs and receipts as a file": lambda p: (
        (p.cache_dir / "receipts").rename(p.cache_dir / "r") and (p.cache_dir / "receipts").touch()
    ),
    "lockfile cut": lambda p: p.lock.write_bytes(p.lock.read_bytes()[:-30]),
    "lockfile emptied": lambda p: p.lock.write_bytes(b""),
    "lockfile newer": lambda p: rewrite(p.lock, lambda data: data.update(version=2)),
    "lockfile in conflict": lambda p: p.lock.write_text("<<<<<<< ours\n" + p.lock.read_text()),
    "state flipped": lambda p: flip(p.folder / ".qwenbuild" / "qwenbuild.state"),
    "state emptied": lambda p: (p.folder / ".qwenbuild" / "qwenbuild.state").write_bytes(b""),
    "state of a newer qwenbuild": lambda p: (p.folder / ".qwenbuild" / "qwenbuild.state").write_bytes(b"qwenbuild-state 3 x\n"),
    "roots of garbage": lambda p: (p.cache_dir / "roots").write_bytes(b"\xff\xfe{"),
}
"""Every file that the program reads between builds, in states in which it says nothing."""


def outcome(project: Project) -> str:
    """The exit code of a build, or the words with which it stopped."""
    try:
        return str(project.build().exit_code)
    except QwenbuildError as error:
        return str(error)


@pytest.mark.parametrize("damage", FILES)
def test_no_file_that_says_nothing_buys_a_second_picture(lantern: Project, emulated: Served, damage: str) -> None:
    lantern.build()  # writes the remembered state
    picture = blob(lantern).read_bytes()
    FILES[damage](lantern)
    shutil.rmtree(lantern.out)
    if not damage.startswith(("lockfile", "state", "index")):
        lantern.lock.unlink()
    for _ in range(2):
        words = outcome(lantern)
        assert words in ("0", "6") or damage.split()[0] in words or "receipts" in words or "lock" in words
    assert emulated.prompts() == ["a red lantern"]
    assert blob(lantern).read_bytes() == picture
