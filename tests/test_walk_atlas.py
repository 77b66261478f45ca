"""Atlases: packed from entries' files, written again only when a member changed, kept in the lockfile."""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from qwenbuild.engine.prune import clean
from qwenbuild.errors import InputError, NotUpToDate
from tests.walking import Project

UI = """\
version: 1
defaults: {params: {size: "256*256"}}
assets:
  icons:
    prompt: "icon {{ n }}"
    matrix: {n: [1, 2, 3, 4, 5]}
    tags: [ui]
    outputs:
      - {path: "full/{{ n }}.png"}
      - {as: icon, path: "icons/{{ n }}.png", steps: [{resize: {width: 32}}]}
  other: {prompt: "another"}
atlases:
  ui: {select: "tag:ui", from: icon, output: "atlas/ui.png"}
"""
SHEETS = ["atlas/ui.json", "atlas/ui.png"]


@pytest.fixture
def ui(walked: Project) -> Project:
    walked.manifest(UI)
    return walked


@pytest.fixture
def built(ui: Project) -> Project:
    assert ui.build().exit_code == 0
    return ui


def sheet(project: Project, name: str = "ui") -> tuple[Image.Image, dict[str, Any]]:
    image = Image.open(BytesIO((project.out / f"atlas/{name}.png").read_bytes()))
    return image, json.loads((project.out / f"atlas/{name}.json").read_bytes())


def verdicts(project: Project) -> dict[str, str]:
    return {atlas.name: atlas.verdict.value for atlas in project.plan().plan.atlases}


def test_the_sheet_holds_every_member_where_its_json_says(built: Project) -> None:
    image, record = sheet(built)
    assert sorted(record["frames"]) == [f"icons/{n}.png" for n in range(1, 6)]
    assert record["meta"]["image"] == "ui.png"
    for name, entry in record["frames"].items():
        box = entry["frame"]
        cut = image.crop((box["x"], box["y"], box["x"] + box["w"], box["y"] + box["h"])).convert("RGB")
        assert cut.tobytes() == Image.open(built.out / name).convert("RGB").tobytes()


def test_an_unchanged_build_writes_nothing(built: Project) -> None:
    lock = built.lock.read_bytes()
    assert verdicts(built) == {"ui": "fresh"}
    assert (built.build().exit_code, built.written, built.lock.read_bytes()) == (0, [], lock)


def test_two_hundred_icons_and_one_that_changes_writes_one_sheet_and_its_json(ui: Project) -> None:
    ui.edit("[1, 2, 3, 4, 5]", f"[{', '.join(str(n) for n in range(200))}]")
    ui.edit("256*256", "64*64")
    assert ui.build().exit_code == 0
    assert (ui.build().exit_code, ui.written) == (0, [])
    ui.edit(" 77,", " x77,")
    ui.edit('path: "full/{{ n }}.png"', "path: \"full/{{ n | replace('x', '') }}.png\"")
    ui.edit('path: "icons/{{ n }}.png"', "path: \"icons/{{ n | replace('x', '') }}.png\"")
    assert ui.build().exit_code == 0
    assert ui.submitted == ["icons/x77"]
    assert sorted(ui.written) == [*SHEETS, "full/77.png", "icons/77.png"]


def test_a_changed_step_packs_anew_and_buys_nothing(built: Project) -> None:
    built.edit("{resize: {width: 32}}", "{resize: {width: 48}}")
    assert verdicts(built) == {"ui": "derive"}
    assert (built.build().exit_code, built.submitted) == (0, [])
    assert sheet(built)[1]["frames"]["icons/1.png"]["sourceSize"] == {"w": 48, "h": 48}


def test_changed_options_pack_anew(built: Project) -> None:
    built.edit('output: "atlas/ui.png"}', 'output: "atlas/ui.png", scales: [1, 2]}')
    assert built.build().exit_code == 0
    assert sorted(built.written) == ["atlas/ui.json", "atlas/ui.png", "atlas/ui@2x.json", "atlas/ui@2x.png"]
    built.edit(", scales: [1, 2]}", "}")
    assert built.build().exit_code == 0
    assert '"orphan": true' in built.lock.read_text()
    assert verdicts(built) == {"ui": "fresh"}


@pytest.mark.parametrize(
    "lost", [("outputs",), ("lockfile",), ("outputs", "lockfile", "index"), ("cache",), ("state",)], ids="+".join
)
def test_whatever_is_lost_comes_back_byte_for_byte(built: Project, lost: tuple[str, ...]) -> None:
    tree, lock = built.tree(), built.lock.read_bytes()
    built.lose(*lost)
    assert (built.build().exit_code, built.submitted) == (0, [])
    assert (built.tree(), built.lock.read_bytes()) == (tree, lock)


def test_a_sheet_that_a_person_changed_is_left_alone_and_kept_aside_by_overwrite(built: Project) -> None:
    before = built.tree()
    (built.out / "atlas/ui.png").write_bytes(b"a person's work")
    assert verdicts(built) == {"ui": "modified"}
    assert built.build().exit_code == 0
    assert (built.out / "atlas/ui.png").read_bytes() == b"a person's work"
    assert built.build(overwrite=True).exit_code == 0
    assert built.tree() == before
    assert [path.read_bytes() for path in (built.folder / ".qwenbuild/overwritten").iterdir()] == [b"a person's work"]


def test_a_persons_file_where_a_sheet_will_stand_is_never_replaced(ui: Project) -> None:
    (ui.out / "atlas").mkdir(parents=True)
    (ui.out / "atlas/ui.json").write_text("mine")
    assert ui.build().exit_code == 0
    assert (ui.out / "atlas/ui.json").read_text() == "mine"
    assert not (ui.out / "atlas/ui.png").exists()


def test_a_removed_atlas_stays_until_it_is_cleaned(built: Project) -> None:
    built.edit('atlases:\n  ui: {select: "tag:ui", from: icon, output: "atlas/ui.png"}\n', "")
    assert verdicts(built) == {"ui": "orphan"}
    assert built.build().exit_code == 0
    assert (built.out / "atlas/ui.png").exists()
    assert sorted(clean(built.options(), all=False, dry=True).removed) == SHEETS
    assert (built.out / "atlas/ui.png").exists()
    assert sorted(clean(built.options(), all=False, dry=False).removed) == SHEETS
    assert not (built.out / "atlas").exists()
    assert "atlases" not in built.lock.read_text()


def test_prune_removes_the_sheets_of_a_removed_atlas(built: Project) -> None:
    built.edit('atlases:\n  ui: {select: "tag:ui", from: icon, output: "atlas/ui.png"}\n', "")
    assert built.build(prune=True).exit_code == 0
    assert not (built.out / "atlas").exists()
    assert "atlases" not in built.lock.read_text()


def test_a_part_of_the_entries_leaves_the_atlas_alone_and_all_of_them_pack_it(built: Project) -> None:
    built.edit('"icon {{ n }}"', '"new icon {{ n }}"')
    built.build(select=("icons/1",))
    assert built.written == ["full/1.png", "icons/1.png"]
    built.build(select=("atlas:ui",))
    assert set(SHEETS) <= set(built.written)


def test_a_member_that_fails_leaves_the_sheet_as_it_is_and_says_so(ui: Project) -> None:
    ui.edit("[{resize: {width: 32}}]}", "[{resize: {width: 32}}], expect: {max_bytes: 1}}")
    summary = ui.build()
    assert summary.exit_code == 1
    assert [(id, message) for id, code, message in summary.failures if code == "atlas"] == [
        ("atlas:ui", "icons/1.png is not there, and 4 more")
    ]
    assert not (ui.out / "atlas").exists()


def test_locked_refuses_an_atlas_that_is_not_what_the_lockfile_names(built: Project) -> None:
    built.lose("outputs")
    assert built.build(locked=True).exit_code == 0
    built.edit('output: "atlas/ui.png"}', 'output: "atlas/ui.png", padding: 4}')
    with pytest.raises(NotUpToDate, match="atlas:ui"):
        built.build(locked=True)


def test_the_same_icons_in_another_order_are_the_same_sheet(built: Project, tmp_path: Path) -> None:
    before = built.tree()
    built.edit("[1, 2, 3, 4, 5]", "[5, 4, 3, 2, 1]")
    assert (built.build().exit_code, built.written) == (0, [])
    assert built.tree() == before


WRONG = [
    ('{select: "tag:uy", output: a.png}', "matches nothing", '"tag:uy"'),
    ('{select: "tag:ui", from: ikon, output: a.png}', "has an output called `ikon`", "ikon"),
    ('{select: "tag:ui", output: a.webp}', "a sheet is a PNG", "a.webp"),
    ('{select: "tag:ui", output: full/1.png}', "`full/1.png` is wanted by both", "full/1.png"),
    ('{select: "tag:ui", output: a.png, padding: 999}', "from 0 to 256", "999"),
    ('{select: "tag:ui", output: a.png, scales: [9]}', "scales must be a list", "[9]"),
]


@pytest.mark.parametrize(("atlas", "message", "where"), WRONG, ids=[row[1] for row in WRONG])
def test_a_bad_atlas_is_a_named_error_with_line_and_column(ui: Project, atlas: str, message: str, where: str) -> None:
    ui.edit('{select: "tag:ui", from: icon, output: "atlas/ui.png"}', atlas)
    with pytest.raises(InputError) as caught:
        ui.plan()
    problem = caught.value.problems[0]
    assert message in problem.message
    assert problem.mark is not None
    line = (ui.folder / "qwenbuild.yaml").read_text().splitlines()[problem.mark.line - 1]
    assert line[problem.mark.column - 1 :].startswith(where)
