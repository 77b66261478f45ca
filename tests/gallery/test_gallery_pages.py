"""The gallery's folder and page without a browser: what is in it, what it says, what it refuses, what it never says."""

from __future__ import annotations

import json
import os
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from xss import HOSTILE

from qwenbuild.errors import InputError
from qwenbuild.gallery import page
from qwenbuild.gallery.page import safe_json
from qwenbuild.verbs import choices, gallery, notes
from tests.walking import Project


class Parsed(HTMLParser):
    """Elements by name with their attributes, and the data block's text."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.data = ""
        self._in_data = False
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._in_data = dict(attrs).get("id") == "data"

    def handle_endtag(self, tag: str) -> None:
        self._in_data = False

    def handle_data(self, data: str) -> None:
        if self._in_data:
            self.data += data

    def tags(self) -> list[str]:
        return [tag for tag, _ in self.elements]


def written(project: Project, **said: Any) -> tuple[Path, dict[str, Any]]:
    folder = project.folder / "page"
    shown = gallery.gallery(project.options(), folder, **said)
    return folder, json.loads(Parsed(shown.gallery.index.read_text(encoding="utf-8")).data)


def card(data: dict[str, Any], id: str) -> dict[str, Any]:
    return next(card for card in data["cards"] if card["id"] == id)


def git(project: Project, *words: str) -> None:
    who = ["-c", "user.name=a", "-c", "user.email=a@example.invalid"]
    subprocess.run(["git", *who, *words], cwd=project.folder, check=True, capture_output=True)


def committed(project: Project, *paths: str) -> None:
    if not (project.folder / ".git").exists():
        git(project, "init", "-q", "-b", "main")
    git(project, "add", *paths)
    git(project, "commit", "-qm", "state")


# ---------------------------------------------------------------- the folder


def test_the_folder_holds_a_page_and_thumbnails_and_refers_to_nothing_else(heroes: Project) -> None:
    folder, data = written(heroes)
    assert sorted(path.name for path in folder.iterdir()) == ["files", "index.html", "thumbs"]
    pictures = {one["digest"] for card in data["cards"] for one in card["candidates"]}
    assert len(pictures) == 21
    assert {path.name[:64] for path in (folder / "thumbs").iterdir()} == pictures
    parsed = Parsed((folder / "index.html").read_text(encoding="utf-8"))
    assert not {"link", "iframe", "base", "img"} & set(parsed.tags())
    assert not [attrs for _, attrs in parsed.elements if {"src", "href", "style", "onclick"} & attrs.keys()]


def test_thumbnails_are_made_once_and_dropped_when_no_card_shows_them(heroes: Project) -> None:
    folder, _ = written(heroes)
    kept = heroes.folder / ".qwenbuild" / "thumbnails"
    before = {path.name: path.stat().st_mtime_ns for path in kept.glob("*.webp")}
    heroes.edit("bard]", "monk]")
    heroes.build()
    written(heroes)
    assert {name: (kept / name).stat().st_mtime_ns for name in before} == before
    assert len(list((folder / "thumbs").iterdir())) == 3 * 21
    assert len(list(kept.iterdir())) == 3 * 24 + 1


def test_a_thumbnail_that_nothing_showed_for_a_month_goes_and_one_that_is_shown_stays(heroes: Project) -> None:
    written(heroes)
    kept = heroes.folder / ".qwenbuild" / "thumbnails"
    foreign = kept / "of-somebody.webp"
    foreign.write_bytes(b"")
    (kept / f".{'a' * 64}-480.webp.1.2.tmp").write_bytes(b"of a run that died")
    before = {path.name for path in kept.iterdir() if not path.name.startswith(".")}
    for path in kept.iterdir():
        os.utime(path, (0, 0))
    heroes.edit("bard]", "monk]")
    heroes.build()
    written(heroes)
    after = {path.name for path in kept.iterdir()}
    assert len(before - after) == 3 * 3
    assert len(after) == 3 * 21 + 2
    assert all(path.stat().st_mtime for path in kept.iterdir() if path != foreign)


def test_a_folder_that_is_no_gallery_is_left_alone(heroes: Project) -> None:
    folder = heroes.folder / "page"
    folder.mkdir()
    (folder / "index.html").write_text("mine", encoding="utf-8")
    with pytest.raises(InputError, match="is not a gallery"):
        gallery.gallery(heroes.options(), folder)
    assert [path.name for path in folder.iterdir()] == ["index.html"]


def test_a_part_of_the_entries_makes_a_part_of_the_page(heroes: Project) -> None:
    shown = gallery.gallery(heroes.options(select=("asset:icons",)), None)
    assert (shown.gallery.cards, shown.gallery.pictures) == (12, 12)
    assert shown.gallery.index == heroes.folder / ".qwenbuild" / "gallery" / "index.html"


def test_a_picture_whose_bytes_are_nowhere_is_shown_as_lost(heroes: Project) -> None:
    heroes.lose("outputs", "cache")
    folder, data = written(heroes)
    assert {one["digest"] for card in data["cards"] for one in card["candidates"]} == {""}
    assert list((folder / "thumbs").iterdir()) == []


def test_a_picture_that_only_the_output_tree_has_is_shown(heroes: Project) -> None:
    heroes.lose("cache")
    _, data = written(heroes)
    assert card(data, "icons/sword")["candidates"][0]["digest"]


DERIVED = """\
version: 1
defaults: {params: {size: "64*64"}}
assets:
  shields:
    prompt: "A {{ kind }} shield"
    matrix: {kind: [round, square]}
    outputs:
      - {path: "web/{{ kind }}.webp", steps: [{resize: {width: 8}}]}
      - {path: "icon/{{ kind }}.png", steps: [{resize: {width: 32}}]}
"""


def test_a_file_made_from_it_stands_in_for_a_picture_that_is_nowhere(walked: Project) -> None:
    walked.manifest(DERIVED)
    assert walked.build().exit_code == 0
    _, data = written(walked)
    assert "file" not in card(data, "shields/round")["candidates"][0]
    walked.lose("cache")
    (walked.out / "icon" / "square.png").write_bytes(b"changed by hand")
    (walked.out / "web" / "square.webp").unlink()
    folder, data = written(walked)
    (one,), (lost,) = (card(data, f"shields/{kind}")["candidates"] for kind in ("round", "square"))
    assert (one["file"], one["digest"]) == ("icon/round.png", walked.tree()["icon/round.png"])
    assert (one["size"], (folder / "thumbs" / f"{one['digest']}-480.webp").exists()) == ([32, 32], True)
    assert lost["digest"] == ""


def test_the_earlier_picture_of_which_git_has_only_a_file_is_shown_by_it(walked: Project) -> None:
    walked.manifest(DERIVED)
    walked.build()
    digest = walked.tree()["web/round.webp"]
    committed(walked, "qwenbuild.lock", "qwenbuild.yaml", "assets/web")
    walked.edit("A {{ kind }}", "An oval {{ kind }}")
    walked.build()
    _, data = written(walked, against="main")
    assert "file" not in card(data, "shields/round")["before"]
    walked.lose("cache")
    _, data = written(walked, against="main")
    before = card(data, "shields/round")["before"]
    assert (before["file"], before["digest"], before["size"]) == ("web/round.webp", digest, [8, 8])


def test_sheets_hold_every_candidate_that_nobody_rejected(heroes: Project) -> None:
    from PIL import Image

    choices.reject(heroes.options(), ["heroes/knight"], [3])
    shown = gallery.gallery(heroes.options(), heroes.folder / "page", sheets=True)
    assert [path.name for path in shown.gallery.sheets] == ["heroes.png", "icons.png"]
    with Image.open(shown.gallery.sheets[0]) as sheet:
        assert sheet.format == "PNG"
        assert sheet.width > 1500


# ---------------------------------------------------------------- the cards


def test_a_card_says_what_was_chosen(heroes: Project) -> None:
    choices.pick(heroes.options(), "heroes/knight", 2)
    choices.approve(heroes.options(), ["heroes/witch"])
    choices.reject(heroes.options(), ["heroes/bard"], [1])
    notes.note(heroes.options(), "icons/key", "too shiny")
    _, data = written(heroes)
    knight, bard = card(data, "heroes/knight"), card(data, "heroes/bard")
    assert (knight["used"], knight["candidates"][1]["picked"], knight["marks"]) == (1, True, ["picked"])
    assert card(data, "heroes/witch")["marks"] == ["approved"]
    assert ([one["rejected"] for one in bard["candidates"]], bard["used"]) == ([True, False, False], 1)
    assert (card(data, "icons/key")["note"], card(data, "icons/key")["marks"]) == ("too shiny", ["noted"])
    assert [one["seed"] for one in knight["candidates"]] == [7, 8, 9]
    assert knight["tags"] == ["hero", "knight"]


def test_a_stamp_changes_with_the_entry_and_with_nothing_else(heroes: Project) -> None:
    _, before = written(heroes)
    choices.pick(heroes.options(), "heroes/knight", 2)
    _, after = written(heroes)
    assert [card["id"] for card in after["cards"] if card["stamp"] not in {c["stamp"] for c in before["cards"]}] == [
        "heroes/knight"
    ]


def test_before_is_the_revisions_picture_and_says_what_changed(heroes: Project) -> None:
    committed(heroes, "qwenbuild.lock", "qwenbuild.yaml")
    old = card(written(heroes)[1], "heroes/knight")["candidates"][0]
    heroes.edit("in full armour", "in light leather")
    heroes.edit("map]", "rope]")
    heroes.build()
    _, data = written(heroes, against="main")
    knight = card(data, "heroes/knight")
    assert knight["before"]["digest"] == old["digest"]
    assert knight["before"]["changes"] == [["prompt", "full armour → light leather"]]
    assert "changed" in knight["marks"]
    assert card(data, "icons/sword")["before"] is None
    assert card(data, "icons/rope")["marks"] == ["new"]
    assert card(data, "icons/map")["verdict"] == "removed"
    assert data["against"] == "main"


def test_a_renamed_entry_is_neither_new_nor_removed(heroes: Project) -> None:
    committed(heroes, "qwenbuild.lock")
    heroes.edit("  icons:", "  glyphs:")
    heroes.build()
    _, data = written(heroes, against="main")
    assert {mark for card in data["cards"] for mark in card["marks"]} <= {"unpicked"}
    assert len(data["cards"]) == 15


def test_before_comes_out_of_git_when_no_cache_has_it(heroes: Project) -> None:
    committed(heroes, "qwenbuild.lock", "assets")
    heroes.edit("An icon of", "A picture of")
    heroes.lose("cache", "outputs")
    heroes.build()
    _, data = written(heroes, against="main")
    assert card(data, "icons/sword")["before"]["digest"]


def test_an_unknown_revision_is_an_error_and_a_revision_without_a_lockfile_a_notice(heroes: Project) -> None:
    (heroes.folder / "readme").write_text("x", encoding="utf-8")
    committed(heroes, "readme")
    with pytest.raises(InputError, match="no revision '--help'"):
        written(heroes, against="--help")
    shown = gallery.gallery(heroes.options(), None, against="main")
    assert [problem.code for problem in shown.notices] == ["no-lockfile"]


# ---------------------------------------------------------------- hostile texts


def test_hostile_texts_come_back_as_they_were_and_make_no_element() -> None:
    plain = Parsed(page([], title="x", facts={})).tags()
    cards = [{"id": text, "prompt": text, "note": text} for text in HOSTILE]
    parsed = Parsed(page(cards, title=HOSTILE[0], facts={"against": HOSTILE[1]}))
    assert parsed.tags() == plain
    assert json.loads(parsed.data) == {"cards": cards, "title": HOSTILE[0], "against": HOSTILE[1], "boards": {}, "atlases": []}


@pytest.mark.parametrize("text", HOSTILE)
def test_no_text_ends_the_element_that_holds_it(text: str) -> None:
    made = safe_json({text: text})
    assert not set("<>&\u2028\u2029") & set(made)
    assert json.loads(made) == {text: text}


def test_the_policy_names_every_script_and_style_of_the_page() -> None:
    text = page([], title="x", facts={})
    policy = next(a["content"] for tag, a in Parsed(text).elements if a.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert policy.startswith("default-src 'none'; img-src 'self' file:; style-src 'sha256-")
    assert policy.count("'sha256-") == text.count("<style>") + text.count("<script>")
    assert "unsafe" not in policy


def test_no_path_of_this_machine_is_on_the_page(heroes: Project) -> None:
    folder, _ = written(heroes)
    text = (folder / "index.html").read_text(encoding="utf-8")
    assert str(heroes.folder.parent) not in text
    assert os.environ["QWENBUILD_CACHE_DIR"] not in text


# ---------------------------------------------------------------- notes


def test_a_note_of_an_entry_that_is_gone_is_shown_with_its_picture(heroes: Project) -> None:
    notes.note(heroes.options(), "icons/sword", "too shiny")
    committed(heroes, "qwenbuild.lock", "qwenbuild.yaml")
    heroes.edit("sword, ", "")
    heroes.build()
    _, data = written(heroes, against="main")
    gone = card(data, "icons/sword")
    assert (gone["verdict"], gone["note"], gone["locked"]) == ("removed", "too shiny", False)
