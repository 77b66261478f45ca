"""The two example projects: how many entries, under which names, and that building them again does nothing.

Does not know how a picture is made; the placeholder makes them.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from qwenbuild.expand.expansion import expand
from qwenbuild.lock import lockfile
from qwenbuild.manifest import load
from qwenbuild.model import Entry
from qwenbuild.ports import Event
from qwenbuild.verbs import Options, Summary, build

ROOT = Path(__file__).parent.parent / "examples"
EXAMPLES = ("tavern", "launch")


def entries(folder: Path) -> tuple[Entry, ...]:
    return expand(load(folder / "qwenbuild.yaml")).entries


def of_asset(folder: Path, *assets: str) -> set[str]:
    return {entry.id for entry in entries(folder) if entry.asset in assets}


def edit(folder: Path, old: str, new: str, name: str = "qwenbuild.yaml") -> None:
    text = (folder / name).read_text(encoding="utf-8")
    assert text.count(old) == 1, f"{old!r} occurs {text.count(old)} times"
    (folder / name).write_text(text.replace(old, new), encoding="utf-8")


@pytest.mark.parametrize(("name", "least", "most"), [("tavern", 150, 250), ("launch", 60, 120)])
def test_an_example_is_as_large_as_it_says(name: str, least: int, most: int) -> None:
    found = entries(ROOT / name)
    assert least <= len(found) <= most
    readme = (ROOT / name / "README.md").read_text(encoding="utf-8")
    assert f"{len(found)} pictures" in readme
    for asset in {entry.asset for entry in found}:
        row = re.search(rf"^\| `{asset}` \|.*\| (\d+) \|$", readme, re.MULTILINE)
        assert row, f"{asset} is not in the table"
        assert int(row[1]) == sum(entry.asset == asset for entry in found)


@pytest.mark.parametrize("name", EXAMPLES)
def test_no_prompt_of_an_example_is_long_enough_to_be_cut(name: str) -> None:
    assert [entry.id for entry in entries(ROOT / name) if len(entry.prompt) > 800] == []
    assert [entry.id for entry in entries(ROOT / name) if len(str(entry.params.get("negative_prompt", ""))) > 500] == []


@pytest.mark.parametrize("name", EXAMPLES)
def test_no_two_pictures_of_an_example_have_the_same_words(name: str) -> None:
    found = entries(ROOT / name)
    assert len({(entry.prompt, entry.seed, str(entry.params)) for entry in found}) == len(found)


def test_words_that_stand_in_a_picture_are_quoted_in_their_own_script() -> None:
    prompts = {entry.id: entry.prompt for entry in entries(ROOT / "launch")}
    assert '"Light that knows dusk."' in prompts["ads/lamp/en/hero"]
    assert '"懂得黄昏的光。"' in prompts["ads/lamp/zh/hero"]
    assert '"夕暮れを知る、あかり。"' in prompts["ads/lamp/ja/hero"]
    assert '"潮の夕べ"' in prompts["posters/kyoto-wall"]
    assert '"送料無料"' in prompts["stickers/free-shipping/ja"]


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_turns_to_the_hosted_api_by_one_line(name: str, tmp_path: Path) -> None:
    folder = copied(name, tmp_path)
    edit(folder, "\nprovider: placeholder\n", "\nprovider: dashscope\n")
    assert {entry.provider for entry in entries(folder)} == {"dashscope"}


def copied(name: str, target: Path) -> Path:
    leave = shutil.ignore_patterns("assets", ".qwenbuild", ".env")
    return Path(shutil.copytree(ROOT / name, target / name, ignore=leave))


class Notes:
    """A reporter that keeps what it is told."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def event(self, event: Event) -> None:
        self.events.append(event)

    def of(self, kind: str) -> list[str]:
        return sorted(event.id for event in self.events if event.event == kind)


def built(folder: Path) -> tuple[Summary, Notes]:
    notes = Notes()
    return build(Options(folder=folder), notes, None), notes


def submitted(folder: Path) -> set[str]:
    summary, notes = built(folder)
    assert summary.exit_code == 0, summary
    return set(notes.of("submitted"))


def census(folder: Path) -> dict[str, tuple[int, int, int]]:
    """Size, time and inode of every file: equal before and after means that nothing was written."""
    stats = {str(path): path.stat() for path in sorted(folder.rglob("*")) if path.is_file() and ".qwenbuild" not in path.parts}
    return {path: (stat.st_size, stat.st_mtime_ns, stat.st_ino) for path, stat in stats.items()}


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_fresh_clone_of_an_example_builds_everything_once_and_then_nothing(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The committed lockfile names the placeholder's pictures to the byte, so a first build on a later day changes nothing."""
    monkeypatch.setattr("qwenbuild.engine.workspace.today", lambda: "2031-05-17")
    folder = copied(name, tmp_path)
    lock = (folder / "qwenbuild.lock").read_bytes()
    assert submitted(folder) == {entry.id for entry in entries(folder)}
    assert (folder / "qwenbuild.lock").read_bytes() == lock
    before = census(folder)
    summary, notes = built(folder)
    assert (notes.of("submitted"), notes.of("written"), summary.exit_code) == ([], [], 0)
    assert census(folder) == before


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache that holds every picture of both examples, drawn on the day that the committed lockfiles name.

    A receipt says on which day it was written: from one of today a lost lockfile would come back with today's date.
    """
    folder = tmp_path_factory.mktemp("warm")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("QWENBUILD_CACHE_DIR", str(folder / "cache"))
        for name in EXAMPLES:
            day = drawn_on(name)
            patch.setattr("qwenbuild.engine.workspace.today", lambda day=day: day)
            built(copied(name, folder))
    return folder


def drawn_on(name: str) -> str:
    """The one day on which all pictures of an example were drawn."""
    (day,) = {record.made for record in lockfile.read(ROOT / name / "qwenbuild.lock").entries.values()}
    return day


@pytest.fixture
def examples(warm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Both examples, built, with a cache of their own."""
    copy = Path(shutil.copytree(warm, tmp_path / "warm"))
    monkeypatch.setenv("QWENBUILD_CACHE_DIR", str(copy / "cache"))
    return copy


@pytest.mark.parametrize(
    ("name", "old", "new", "reached"),
    [
        ("tavern", "season: late autumn", "season: deep winter", ("rooms", "signs")),
        ("tavern", "tavern: The Gilded Griffin", "tavern: The Gilded Goose", ("signs",)),
        ("tavern", "backdrop: a plain flat dark slate", "backdrop: a plain flat ivory", ("portraits",)),
        ("launch", "season: early spring", "season: high summer", ("ads",)),
        ("launch", "brand: TIDEWELL", "brand: EBBWELL", ("ads", "posters")),
    ],
)
def test_a_changed_variable_submits_the_prompts_that_use_it_and_no_others(
    name: str, old: str, new: str, reached: tuple[str, ...], examples: Path
) -> None:
    folder = examples / name
    edit(folder, old, new)
    assert submitted(folder) == of_asset(folder, *reached)
    edit(folder, new, old)
    assert submitted(folder) == set()


def test_a_corrected_row_submits_that_row_only(examples: Path) -> None:
    edit(examples / "launch", "夕暮れを知る、あかり。", "夕暮れを知るあかり。", "data/products.yaml")
    placements = ("hero", "feed", "story", "shelf", "banner")
    assert submitted(examples / "launch") == {f"ads/lamp/ja/{placement}" for placement in placements}


def test_renaming_an_asset_or_moving_outputs_submits_nothing(examples: Path) -> None:
    folder = examples / "tavern"
    edit(folder, "\n  rooms:\n", "\n  backgrounds:\n")
    edit(folder, 'id: "rooms/', 'id: "backgrounds/')
    edit(folder, 'path: "icons/', 'path: "ui/icons/')
    assert submitted(folder) == set()
    assert (folder / "assets" / "ui" / "icons" / "game" / "lute-rare.png").exists()


def test_a_template_rewritten_to_the_same_words_submits_nothing(examples: Path) -> None:
    folder = examples / "tavern"
    edit(folder, '{% include "style.j2" %}', "Style: {{ style }}.", "prompts/room.j2")
    before = census(folder)
    assert submitted(folder) == set()
    assert census(folder) == before


@pytest.mark.parametrize(
    "lost", [("assets",), ("qwenbuild.lock",), (".qwenbuild",), ("assets", "qwenbuild.lock", ".qwenbuild")]
)
def test_what_is_deleted_comes_back_byte_for_byte_and_submits_nothing(lost: tuple[str, ...], examples: Path) -> None:
    folder = examples / "tavern"
    before, lock = contents(folder / "assets"), (folder / "qwenbuild.lock").read_bytes()
    for name in lost:
        path = folder / name
        shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
    assert submitted(folder) == set()
    assert contents(folder / "assets") == before
    assert (folder / "qwenbuild.lock").read_bytes() == lock
