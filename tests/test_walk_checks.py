"""Checks of pictures in a build: what stops, what is remembered, what the lockfile says, and who has the last word."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from qwenbuild import verbs
from qwenbuild.checks import judges
from qwenbuild.cli.program import program
from qwenbuild.errors import InputError
from qwenbuild.images import features
from qwenbuild.verbs import choices
from qwenbuild.verbs.checking import CheckReport
from tests.walking import Project

ICONS = """\
version: 1
assets:
  icons:
    prompt: "icon {{ n }}"
    matrix: {n: [a, b, c]}
    params: {size: "96*96"}
    expect: {sharpness: 1, likeness: {to: icons/a, min: 0}}
"""


@pytest.fixture
def icons(walked: Project) -> Project:
    walked.manifest(ICONS)
    return walked


def checks(project: Project) -> dict[str, dict[str, str]]:
    """What the lockfile says of each entry's checks."""
    entries = json.loads(project.lock.read_text(encoding="utf-8"))["entries"]
    return {id: entry.get("checks", {}) for id, entry in entries.items()}


def failures(project: Project, **said: Any) -> list[str]:
    return [failure.entry for failure in project.build(**said).failures]


PASSED = {"sharpness": "pass", "likeness": "pass"}


def test_the_lockfile_says_of_each_picture_what_its_checks_found(icons: Project) -> None:
    assert icons.build().exit_code == 0
    assert checks(icons) == dict.fromkeys(("icons/a", "icons/b", "icons/c"), PASSED)
    assert icons.verdicts() == dict.fromkeys(("icons/a", "icons/b", "icons/c"), "fresh")


def test_what_a_file_simply_is_does_not_stand_in_the_lockfile(walked: Project) -> None:
    walked.manifest(ICONS.replace("{sharpness: 1, likeness: {to: icons/a, min: 0}}", '{size: "96x96", not_blank: true}'))
    assert walked.build().exit_code == 0
    assert "checks" not in walked.lock.read_text(encoding="utf-8")


def test_a_changed_check_judges_what_is_there_again_and_generates_nothing(icons: Project) -> None:
    icons.build()
    icons.edit("sharpness: 1", "sharpness: 60000")
    summary = icons.build()
    assert (summary.exit_code, icons.submitted, len(summary.failures)) == (1, [], 3)
    assert checks(icons)["icons/a"] == {"sharpness": "fail", "likeness": "pass"}
    icons.edit("sharpness: 60000", "sharpness: 1")
    assert (icons.build().exit_code, icons.submitted, checks(icons)["icons/a"]) == (0, [], PASSED)


def test_a_changed_check_judges_none_of_the_others_again(icons: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    icons.edit("{sharpness: 1, likeness: {to: icons/a, min: 0}}", "{sharpness: 1, border: 1}")
    icons.build()
    icons.edit("sharpness: 1", "sharpness: 2")

    def never(*_: Any) -> Any:
        raise AssertionError("judged twice")

    monkeypatch.setitem(judges.JUDGES, "border", never)  # type: ignore[arg-type]
    assert icons.build().exit_code == 0


def test_no_picture_is_looked_at_twice(icons: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    icons.build()

    def never(*_: Any) -> Any:
        raise AssertionError("looked at twice")

    monkeypatch.setattr(features, "look", never)
    monkeypatch.setattr(features, "sharpness", never)
    icons.lose("state")
    assert icons.build().exit_code == 0
    icons.edit("min: 0", "min: 0.001")
    assert icons.build().exit_code == 0


def test_look_alikes_are_written_and_said_in_every_build_until_somebody_decides(icons: Project) -> None:
    icons.edit("likeness: {to: icons/a, min: 0}", "near_duplicate: true")
    icons.edit("icon {{ n }}", "icon {{ 'b' if n == 'c' else n }}")
    summary = icons.build()
    assert (summary.exit_code, [failure.entry for failure in summary.failures]) == (1, ["icons/c"])
    assert "it looks like icons/b: they differ by 0.0 of 255" in summary.failures[0].message
    assert sorted(icons.tree()) == ["icons/a.png", "icons/b.png", "icons/c.png"]
    assert icons.verdicts() == {"icons/a": "fresh", "icons/b": "fresh", "icons/c": "failed"}
    assert (failures(icons), icons.submitted) == (["icons/c"], [])


def test_warnings_stop_nothing_and_stand_in_the_lockfile(icons: Project) -> None:
    icons.edit("min: 0}}", "min: 1}}\n    on_fail: warn")
    icons.edit("sharpness: 1", "sharpness: 60000")
    assert icons.build().exit_code == 0
    assert checks(icons)["icons/c"] == {"sharpness": "warn", "likeness": "warn"}
    assert set(icons.verdicts().values()) == {"fresh"}
    (notice,) = [notice for notice in verbs.status(icons.options()).notices if notice.code == "checks"]
    assert notice.message == "checks: 5 warn"


def test_a_person_who_approves_a_picture_overrules_every_check_and_the_lockfile_says_it_warns(icons: Project) -> None:
    icons.build()
    choices.approve(icons.options(), ("icons/b",))
    icons.edit("sharpness: 1", "sharpness: 60000")
    assert failures(icons) == ["icons/a", "icons/c"]
    assert checks(icons)["icons/b"]["sharpness"] == "warn"
    assert icons.verdicts() == {"icons/a": "failed", "icons/b": "fresh", "icons/c": "failed"}
    assert failures(icons, retry_failed=True) == ["icons/a", "icons/c"]
    assert sorted(icons.submitted) == ["icons/a", "icons/c"]


def test_a_new_picture_of_the_set_judges_the_set_again_and_no_other_picture(
    icons: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    icons.build()
    looked: list[int] = []
    look = features.look
    monkeypatch.setattr(features, "look", lambda image: looked.append(1) or look(image))
    icons.edit("[a, b, c]", "[a, b, c, d]")
    assert (icons.build().exit_code, icons.submitted, looked) == (0, ["icons/d"], [1])


def test_a_check_that_is_expected_no_more_leaves_the_lockfile(icons: Project) -> None:
    icons.build()
    icons.edit("    expect: {sharpness: 1, likeness: {to: icons/a, min: 0}}\n", "")
    assert icons.build().exit_code == 0
    assert "checks" not in icons.lock.read_text(encoding="utf-8")


def test_a_selection_judges_beside_all_pictures_and_writes_only_what_was_selected(icons: Project) -> None:
    icons.build()
    before = checks(icons)
    icons.edit("min: 0", "min: 1")
    assert failures(icons, select=("icons/c",)) == ["icons/c"]
    assert checks(icons) == before | {"icons/c": {"sharpness": "pass", "likeness": "fail"}}


def test_two_machines_find_the_same_and_write_the_same_lockfile(icons: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    icons.edit("likeness:", "near_duplicate: 255, outlier: true, palette: {of: icons/a}, likeness:")
    icons.build()
    first = icons.lock.read_bytes()
    monkeypatch.setenv("QWENBUILD_CACHE_DIR", str(icons.folder.parent / "another"))
    icons.lose("state", "outputs")
    icons.lock.unlink()
    icons.build()
    assert icons.lock.read_bytes() == first


def test_on_a_fresh_clone_without_the_pictures_the_lockfile_s_word_stands(icons: Project) -> None:
    icons.build()
    before = icons.lock.read_bytes()
    icons.lose("cache", "state")
    assert (icons.build().exit_code, icons.submitted) == (0, [])
    assert icons.lock.read_bytes() == before


@pytest.mark.parametrize(
    ("expect", "sentence"),
    [
        ("{likeness: {to: icons/z}}", "`icons/a` needs the entry `icons/z`, which does not exist"),
        ('{outlier: {within: "tag:ui"}}', "`icons/a` is compared within tag:ui (outlier), and has no such tag"),
    ],
)
def test_what_cannot_be_compared_is_an_error_before_anything_is_spent(icons: Project, expect: str, sentence: str) -> None:
    icons.edit("{sharpness: 1, likeness: {to: icons/a, min: 0}}", expect)
    with pytest.raises(InputError) as caught:
        icons.build()
    problem = caught.value.problems[0]
    assert problem.message == sentence
    assert problem.mark is not None
    assert problem.mark.line == 7


def test_explain_shows_what_was_measured_and_the_limit(icons: Project) -> None:
    icons.build()
    facts = verbs.explain(icons.options(), "icons/b").facts
    assert facts["likeness"].startswith("pass  0.")
    assert "(limit 0)" in facts["likeness"]
    assert facts["sharpness"].startswith("pass")


def test_candidates_that_look_alike_are_told_and_buy_nothing(icons: Project) -> None:
    icons.edit("{sharpness: 1, likeness: {to: icons/a, min: 0}}", "{near_duplicate: {within: entry, distance: 255}}")
    icons.edit("    params:", "    variants: 3\n    on_fail: reroll\n    params:")
    summary = icons.build()
    assert (summary.exit_code, len(icons.submitted)) == (0, 9)
    assert set(icons.verdicts().values()) == {"fresh"}
    assert (icons.build().exit_code, icons.submitted) == (0, [])


def test_an_anchor_of_an_asset_without_checks_is_compared_with_also_after_a_small_change(icons: Project) -> None:
    icons.edit("likeness: {to: icons/a, min: 0}", "likeness: {to: hero, min: 0}")
    icons.edit("assets:\n", "assets:\n  hero: {prompt: a hero, params: {size: 96x96}}\n")
    assert icons.build().exit_code == 0
    icons.edit("icon {{ n }}", "an icon {{ n }}")
    assert (icons.build().exit_code, len(icons.submitted)) == (0, 3)
    assert checks(icons)["icons/b"]["likeness"] == "pass"
    assert icons.verdicts()["hero"] == "fresh"


NOTHING = """
import sys
from qwenbuild.__main__ import main
sys.argv = ["qwenbuild", "build"]
code = 0
try:
    code = main()
except SystemExit as ended:
    code = ended.code
judging = [name for name in sys.modules if name.startswith("qwenbuild.checks.")]
assert not code and judging == [], (code, judging)
"""


@pytest.mark.parametrize("changed", [False, True])
def test_a_manifest_without_checks_loads_none_of_their_code(walked: Project, changed: bool) -> None:
    walked.manifest("version: 1\nassets:\n  a: {prompt: x, params: {size: 96x96}}\n")
    walked.build()
    if changed:
        walked.edit("prompt: x", "prompt: y")
    done = subprocess.run([sys.executable, "-c", NOTHING], cwd=walked.folder, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, done.stderr)


# ---------------------------------------------------------------- qwenbuild check


def words(report: CheckReport) -> dict[str, dict[str, str]]:
    """Entry (and file) to check to word."""
    found: dict[str, dict[str, str]] = {}
    for row in report.rows:
        found.setdefault(f"{row.id} {row.path}".strip(), {})[row.check] = row.word
    return found


def files_below(*folders: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for folder in folders for path in folder.rglob("*") if path.is_file()}


def test_check_judges_what_is_there_and_writes_neither_tree_nor_lockfile(icons: Project) -> None:
    icons.build()
    icons.edit("sharpness: 1", "sharpness: 60000")
    before = files_below(icons.folder)
    report = verbs.check(icons.options())
    assert words(report) == {id: {"sharpness": "fail", "likeness": "pass"} for id in ("icons/a", "icons/b", "icons/c")}
    assert (report.counts, report.stale) == (
        {"pass": 3, "warn": 0, "fail": 3, "unjudged": 0},
        ("icons/a", "icons/b", "icons/c"),
    )
    assert files_below(icons.folder) == before


def test_check_of_files_and_of_what_is_not_built_yet(icons: Project) -> None:
    outputs = "outputs: [{path: '{{ n }}.png', steps: [{resize: {width: 32}}], expect: {width: 32, max_bytes: 9}}]"
    icons.edit("    expect:", f"    {outputs}\n    expect:")
    assert set(words(verbs.check(icons.options()))["icons/a"].values()) == {"unjudged"}
    assert {row.missing for row in verbs.check(icons.options()).rows} == {"there is no picture yet"}
    icons.build()
    icons.edit("max_bytes: 9}", "max_bytes: 90000}")
    icons.build()
    assert words(verbs.check(icons.options()))["icons/a a.png"] == {"width": "pass", "max_bytes": "pass"}


def test_check_reads_pictures_of_the_tree_where_the_cache_is_gone_and_keeps_none(icons: Project) -> None:
    icons.build()
    icons.lose("cache", "state")
    report = verbs.check(icons.options())
    assert (report.counts["pass"], report.counts["unjudged"], report.stale) == (6, 0, ())
    assert icons.cache().known_blobs() == set()
    icons.lose("cache", "state", "outputs")
    report = verbs.check(icons.options())
    assert (report.counts["unjudged"], len(report.stale)) == (6, 3)


def test_check_of_a_selection_says_nothing_of_the_rest(icons: Project) -> None:
    icons.build()
    assert list(words(verbs.check(icons.options(select=("icons/b",))))) == ["icons/b"]


def test_check_exits_1_on_a_fail_and_3_where_the_lockfile_says_something_else(
    icons: Project, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def code(*said: str) -> int:
        return int(program.main(["-C", str(icons.folder), "check", *said], standalone_mode=False) or 0)

    icons.build()
    assert (code(), code("--locked")) == (0, 0)
    icons.edit("min: 0}", "min: 0}, border: 1")
    assert (code(), code("--locked")) == (0, 3)
    assert "the lockfile has other verdicts for icons/a, icons/b, icons/c" in capsys.readouterr().err
    icons.edit("min: 0}", "min: 1}")
    assert code("--locked", "--junit", "out.xml") == 1
    assert "fail icons/b: its likeness to icons/a is" in capsys.readouterr().out
    suite = ElementTree.parse(icons.folder / "out.xml").getroot()[0]
    assert dict(suite.attrib) == {"name": "icons", "tests": "9", "failures": "2", "errors": "0", "skipped": "0"}
    failed = [case for case in suite if len(case)]
    assert [(case.get("classname"), case.get("name")) for case in failed] == [("icons/b", "likeness"), ("icons/c", "likeness")]
    assert code("--json", "icons/b") == 1
    said = json.loads(capsys.readouterr().out)
    assert said["summary"] == {"pass": 2, "warn": 0, "fail": 1, "unjudged": 0}
    assert set(said["checks"][0]) == {"id", "asset", "path", "check", "version", "verdict", "measured", "threshold", "evidence"}


THREADS = """
import threading
from qwenbuild.planning import planner
from qwenbuild.engine import walk
from qwenbuild.verbs import Options
from tests.walking import Recorder
import sys
from pathlib import Path
summary = walk.build(Options(Path(sys.argv[1]), yes=True), Recorder(), None)
assert summary.exit_code == 0, summary
"""


def test_many_pictures_that_are_judged_at_once_find_every_module_whole(walked: Project) -> None:
    """A module whose import was put off is half a module to the second thread."""
    numbers = ", ".join(str(number) for number in range(24))
    walked.manifest(ICONS.replace("[a, b, c]", f"[{numbers}]").replace(", likeness: {to: icons/a, min: 0}", ""))
    command = [sys.executable, "-c", THREADS, str(walked.folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parent.parent)
    assert (done.returncode, done.stderr) == (0, "")
