"""Notes to entries: kept with the choices in the lockfile, through builds, renames and merges, and deciding nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from qwenbuild.cli.exits import run
from qwenbuild.errors import InputError
from qwenbuild.lock import layout, lockfile
from qwenbuild.model import LockEntry
from qwenbuild.ports import Event
from qwenbuild.verbs import build, choices, clean, notes
from qwenbuild.verbs.explanation import explain
from tests.walking import Project, Recorder

SHIELDS = """\
version: 1
defaults: {params: {size: "64*64"}}
assets:
  shields: {prompt: "A {{ kind }} shield", matrix: {kind: [round, square]}, variants: 2}
"""
ROUND, SQUARE = "shields/round", "shields/square"


@pytest.fixture
def shields(walked: Project) -> Project:
    walked.manifest(SHIELDS)
    return walked


@pytest.fixture
def built(shields: Project) -> Project:
    assert shields.build().exit_code == 0
    return shields


def note(project: Project, text: str, id: str = ROUND) -> str:
    return notes.note(project.options(), id, text).words


def noted(project: Project, id: str = ROUND) -> str:
    return lockfile.read(project.lock).entries[id].note


def keys(project: Project) -> list[tuple[str, str, str]]:
    steps = project.plan().plan.steps
    return [(step.id, step.verdict.value, one.candidate.key) for step in steps for one in step.candidates]


# ---------------------------------------------------------------- in the lockfile


def test_a_note_stands_in_the_entrys_record_and_its_end_leaves_the_lockfile_as_it_was(built: Project) -> None:
    before = built.lock.read_bytes()
    assert note(built, "  too shiny\n") == "note saved"
    assert b'\n      "note": "too shiny",\n' in built.lock.read_bytes()
    assert note(built, "too shiny") == "the note already says that"
    assert note(built, " \n") == "note removed"
    assert built.lock.read_bytes() == before
    assert note(built, "") == "there was no note"


def test_a_note_decides_nothing(built: Project) -> None:
    before = keys(built)
    note(built, "too shiny")
    assert keys(built) == before
    lock = built.lock.read_bytes()
    assert (built.build(locked=True).exit_code, built.submitted, built.written) == (0, [], [])
    assert built.lock.read_bytes() == lock


def test_a_note_stays_through_picks_approvals_new_prompts_and_new_names(built: Project) -> None:
    note(built, "too shiny")
    choices.pick(built.options(), ROUND, 2)
    choices.approve(built.options(), (ROUND,))
    choices.release(built.options(), (ROUND,))
    built.edit("A {{ kind }} shield", "A {{ kind }} wooden shield")
    built.build()
    assert noted(built) == "too shiny"
    built.edit("  shields:", "  boards:")
    built.build()
    assert built.submitted == []
    assert noted(built, "boards/round") == "too shiny"


def test_a_note_to_a_renamed_entry_takes_its_record_along(built: Project) -> None:
    built.edit("  shields:", "  boards:")
    note(built, "too shiny", "boards/round")
    assert noted(built, "boards/round") == "too shiny"
    assert ROUND not in lockfile.read(built.lock).entries


def test_a_note_to_what_is_not_made_yet_is_refused_and_nothing_is_written(shields: Project) -> None:
    with pytest.raises(InputError, match="nothing is made yet of shields/round") as caught:
        note(shields, "too shiny")
    assert (caught.value.code, caught.value.problems[0].hint) == ("not-made", "`qwenbuild build` makes it")
    assert not shields.lock.exists()
    with pytest.raises(InputError, match="matches nothing"):
        note(shields, "x", "shields/oval")


def test_a_note_has_its_longest(built: Project) -> None:
    note(built, "é" * notes.NOTE_LENGTH_MAX)
    with pytest.raises(InputError, match="4,001 characters; 4,000 is the most"):
        note(built, "x" * (notes.NOTE_LENGTH_MAX + 1))
    assert noted(built) == "é" * notes.NOTE_LENGTH_MAX


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("a\r\nb\rc\u2028d\n\ne", "a\nb\nc\nd\n\ne"),
        ("\x1b[31mred\x1b[0m\x07\x9b", "[31mred[0m"),
        ("one\ttwo\x00\x7f", "one\ttwo"),
        ("\ud83d alone", "alone"),
        ("👩\u200d🎨 好 ‏עברית", "👩\u200d🎨 好 ‏עברית"),
        ("<<<<<<< ours\n=======\n>>>>>>> theirs", "<<<<<<< ours\n=======\n>>>>>>> theirs"),
    ],
)
def test_a_note_is_kept_as_it_was_typed_but_for_what_acts_on_a_terminal(built: Project, typed: str, kept: str) -> None:
    note(built, typed)
    assert noted(built) == kept
    assert note(built, typed) == "the note already says that"


def test_a_note_that_is_no_text_is_refused_with_its_line(built: Project) -> None:
    note(built, "too shiny")
    built.lock.write_bytes(built.lock.read_bytes().replace(b'"note": "too shiny"', b'"note": ["too shiny"]'))
    with pytest.raises(InputError, match=r"entries\.shields/round\.note") as caught:
        built.plan()
    mark = caught.value.problems[0].mark
    assert mark is not None
    assert '"note"' in built.lock.read_text(encoding="utf-8").splitlines()[mark.line - 1]


# ---------------------------------------------------------------- beside other writers


@dataclass
class Person:
    """Somebody who does something as soon as the first picture of a build is submitted."""

    project: Project
    does: Callable[[], object]
    done: bool = False

    def event(self, event: Event) -> None:
        self.project.events.event(event)
        if event.event == "submitted" and not self.done:
            self.done = True
            self.does()


def beside(project: Project, does: Callable[[], object], **said: Any) -> None:
    project.events = Recorder()
    assert build(project.options(yes=True, **said), Person(project, does), None).exit_code == 0
    assert project.submitted


def test_what_is_noted_while_a_build_runs_is_not_lost(built: Project) -> None:
    note(built, "too shiny")
    note(built, "sharp", SQUARE)
    built.edit("A {{ kind }} shield", "A {{ kind }} wooden shield")

    def writes() -> None:
        note(built, "now of wood")
        note(built, "", SQUARE)

    beside(built, writes)
    assert (noted(built), noted(built, SQUARE)) == ("now of wood", "")
    assert (built.build().exit_code, built.submitted) == (0, [])


def test_what_is_noted_under_the_old_name_while_a_build_renames_is_not_lost(built: Project) -> None:
    old = (built.folder / "qwenbuild.yaml").read_text(encoding="utf-8")
    new = old.replace("  shields:", "  boards:").replace("variants: 2", "variants: 3")
    built.manifest(new)

    def writes() -> None:
        built.manifest(old)
        note(built, "of a tab that is behind")
        built.manifest(new)

    beside(built, writes)
    assert noted(built, "boards/round") == "of a tab that is behind"


def test_what_is_noted_while_orphans_are_cleaned_is_not_lost(built: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    built.edit("variants: 2}", "variants: 2, output: 'other/{{ kind }}.png'}")
    built.build()
    update = lockfile.update

    def late(*told: Any, **more: Any) -> bool:
        monkeypatch.setattr(lockfile, "update", update)
        note(built, "written meanwhile")
        return update(*told, **more)

    monkeypatch.setattr(lockfile, "update", late)
    assert clean(built.options(), all=False, dry=False).removed
    record = lockfile.read(built.lock).entries[ROUND]
    assert (record.note, list(record.outputs)) == ("written meanwhile", ["other/round.png"])


# ---------------------------------------------------------------- where it is shown


def test_explain_shows_the_note_and_nothing_in_it_acts_on_the_terminal(
    built: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["-C", str(built.folder), "note", ROUND, "too shiny"]) == 0
    assert capsys.readouterr().out == "shields/round: note saved\n"
    assert explain(built.options(), ROUND).facts["note"] == "too shiny"
    raw = built.lock.read_text(encoding="utf-8").replace('"too shiny"', json.dumps("by hand \x1b[2J\u202e"))
    built.lock.write_text(raw, encoding="utf-8")
    assert run(["-C", str(built.folder), "explain", ROUND]) == 0
    told = capsys.readouterr().out
    assert "\nnote            by hand \\x1b[2J\\u202e\n" in told
    assert run(["-C", str(built.folder), "explain", ROUND, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["lock"]["note"] == "by hand \x1b[2J\u202e"


def test_the_command_line_takes_a_note_away(built: Project, capsys: pytest.CaptureFixture[str]) -> None:
    note(built, "too shiny")
    assert run(["-C", str(built.folder), "note", ROUND, ""]) == 0
    assert capsys.readouterr().out == "shields/round: note removed\n"
    assert run(["-C", str(built.folder), "note", "shields/*", "x"]) == 2
    assert "names 2 entries; this takes one" in capsys.readouterr().err


def test_a_note_beside_the_lockfile_is_a_file_of_somebody_else(built: Project) -> None:
    (built.folder / "qwenbuild.notes.json").write_text("not ours", encoding="utf-8")
    assert note(built, "too shiny") == "note saved"
    assert Path(built.folder / "qwenbuild.notes.json").read_text(encoding="utf-8") == "not ours"


def test_a_lock_record_has_no_note_until_somebody_writes_one() -> None:
    assert "note" not in layout.record(LockEntry("a" * 64, "b" * 64, {}))
