"""The two example projects: how many entries, under which names, and that building them again does nothing.

Does not know how a picture is made; the placeholder makes them.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from qwenbuild.expand import expand
from qwenbuild.manifest import load
from qwenbuild.model import Entry

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
