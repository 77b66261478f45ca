"""Lockfiles of two branches become one: by git itself, by `lock resolve`, and by git's merge driver."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace

import pytest

from qwenbuild.cli.exits import run
from qwenbuild.errors import InputError
from qwenbuild.lock import layout, lockfile
from qwenbuild.model import LockAtlas, LockEntry, LockOutput
from qwenbuild.verbs import choices, notes
from qwenbuild.verbs.merge import Merged, Question, merge, merge_atlases
from tests.walking import Project

KINDS = ["archer", "baker", "cook", "druid", "elf"]
HEROES = f"""\
version: 1
defaults: {{params: {{size: "64*64"}}}}
assets:
  heroes: {{prompt: "A {{{{ kind }}}}", matrix: {{kind: [{", ".join(KINDS)}]}}, variants: 3}}
"""


def entry(key: str, **more: object) -> LockEntry:
    return LockEntry(key * 64, key * 64, {"family": "placeholder"}, **more)  # type: ignore[arg-type]


def named(key: str) -> str:
    return key * 64


A, B, C = entry("a"), entry("b"), entry("c")


def merged(
    base: LockEntry | None,
    ours: LockEntry,
    theirs: LockEntry,
    wanted: tuple[str, ...] = (),
    said: str = "",
    *,
    known: bool = True,
) -> Merged:
    olds = None if not known else {} if base is None else {"x": base}
    keys = {"x": tuple(named(key) for key in wanted)}
    return merge(olds, {"x": ours}, {"x": theirs}, keys, lambda question: said)


# ---------------------------------------------------------------- entry by entry


def test_what_one_side_changed_wins_over_what_the_other_left_alone() -> None:
    base = {"kept": A, "ours": A, "theirs": A, "gone": A, "both": A}
    ours = {"kept": A, "ours": B, "theirs": A, "both": B, "new-here": C}
    theirs = {"kept": A, "ours": A, "theirs": C, "gone": A, "both": C, "new-there": B}
    wanted = {id: {named("c")} for id in base}
    found = merge(base, ours, theirs, wanted, lambda question: "")
    assert found.entries == {"kept": A, "ours": B, "theirs": C, "both": C, "new-here": C, "new-there": B}
    assert (found.both, found.open) == (("both",), ())


@pytest.mark.parametrize(("wanted", "key"), [(("b",), "b"), (("c",), "c"), ((), "b"), (("b", "c"), "b")])
def test_the_record_stays_whose_key_the_manifest_wants(wanted: tuple[str, ...], key: str) -> None:
    assert merged(A, B, C, wanted).entries["x"].key == named(key)
    assert merged(None, B, C, wanted, known=False).entries["x"].key == named(key)


def test_the_choices_of_both_sides_stay() -> None:
    base = replace(A, rejected=(named("9"),), seeds=(1,))
    ours = replace(B, rejected=(named("1"), named("9")), seeds=(1, 5), accepted={named("7"): named("a")})
    theirs = replace(C, rejected=(named("2"),), seeds=(1, 3))
    found = merged(base, ours, theirs, ("c",)).entries["x"]
    assert found.key == named("c")
    assert found.rejected == (named("1"), named("2"))
    assert found.seeds == (1, 3, 5)
    assert found.accepted == {named("7"): named("a")}


def test_a_pick_of_one_side_stands_beside_a_rejection_of_the_other() -> None:
    base = replace(A, candidates={named("b"): named("b"), named("c"): named("c")})
    ours = replace(B, picked=named("b"), candidates={named("a"): named("a"), named("c"): named("c")})
    theirs = replace(base, rejected=(named("c"),))
    found = merged(base, ours, theirs, ("a", "b", "c"))
    assert found.open == ()
    record = found.entries["x"]
    assert (record.key, record.picked, record.rejected) == (named("b"), named("b"), (named("c"),))
    assert set(record.candidates) == {named("a"), named("c")}


NOTES = {
    "one side wrote": ("", "shiny", "", "shiny"),
    "the other side wrote": ("old", "old", "new", "new"),
    "both wrote": ("", "shiny", "dull", "dull\n\nshiny"),
    "both wrote the same": ("", "shiny", "shiny", "shiny"),
    "one wrote on": ("shiny", "shiny, and red", "shiny, and red, and tall", "shiny, and red, and tall"),
    "one took it away, the other changed it": ("old", "", "new", "new"),
    "both took it away": ("old", "", "", ""),
}


@pytest.mark.parametrize("case", NOTES)
def test_notes_of_both_sides_are_kept_and_nobody_is_asked(case: str) -> None:
    base, ours, theirs, kept = NOTES[case]
    old, mine, other = replace(A, note=base), replace(A, note=ours, seeds=(1,)), replace(A, note=theirs, seeds=(2,))
    found = merged(old, mine, other)
    assert (found.entries["x"].note, found.entries["x"].seeds, found.open) == (kept, (1, 2), ())
    assert merged(old, other, mine).entries["x"].note == kept


def test_notes_of_both_sides_are_kept_where_nobody_knows_what_they_began_from() -> None:
    mine, other = replace(A, note="shiny"), replace(A, note="dull")
    assert merged(None, mine, other, known=False).entries["x"].note == "dull\n\nshiny"
    assert merged(None, mine, A, known=False).entries["x"].note == "shiny"


def test_notes_of_both_sides_are_kept_also_where_a_person_must_choose_a_side() -> None:
    ours, theirs = replace(B, picked=named("b"), note="ours"), replace(C, picked=named("c"), note="theirs")
    assert merged(A, ours, theirs, ("b", "c"), "theirs").entries["x"].note == "ours\n\ntheirs"


ASKED = {
    "two picks": (A, replace(B, picked=named("b")), replace(C, picked=named("c"))),
    "a pick that the other side rejected": (A, replace(B, picked=named("b")), replace(A, rejected=(named("b"),))),
    "an approval of a picture that the other side replaced": (A, replace(A, approved=True), C),
    "two approvals of two pictures": (A, replace(B, approved=True), replace(C, approved=True)),
}


@pytest.mark.parametrize("case", ASKED)
def test_a_person_is_asked_where_choices_differ(case: str) -> None:
    base, ours, theirs = ASKED[case]
    wanted = ("a", "b", "c")
    found = merged(base, ours, theirs, wanted)
    assert [question.id for question in found.open] == ["x"]
    for said, side in (("ours", ours), ("theirs", theirs)):
        answered = merged(base, ours, theirs, wanted, said)
        record = answered.entries["x"]
        assert answered.open == ()
        assert (record.key, record.picked, record.approved) == (side.key, side.picked, side.approved)


def test_two_picks_are_no_question_when_the_manifest_knows_only_one_of_them() -> None:
    found = merged(A, replace(B, picked=named("b")), replace(C, picked=named("c")), ("c",))
    assert (found.open, found.entries["x"].picked, found.entries["x"].key) == ((), named("c"), named("c"))


def test_an_approval_stays_with_the_picture_that_was_approved() -> None:
    ours, theirs = replace(A, approved=True), replace(A, rejected=(named("b"),))
    record = merged(A, ours, theirs, ("a", "b")).entries["x"]
    assert (record.approved, record.key, record.rejected) == (True, named("a"), (named("b"),))


def test_an_approved_picture_stays_also_where_the_manifest_wants_the_other_one() -> None:
    record = merged(A, replace(B, approved=True), replace(A, rejected=(named("c"),)), ("a",)).entries["x"]
    assert (record.key, record.approved, record.rejected) == (named("b"), True, (named("c"),))


def test_a_release_of_one_side_ends_the_approval() -> None:
    base = replace(A, approved=True)
    record = merged(base, A, replace(base, rejected=(named("b"),)), ("a",)).entries["x"]
    assert (record.approved, record.rejected) == (False, (named("b"),))


def test_merging_the_other_way_round_comes_to_the_same() -> None:
    base = replace(A, seeds=(1,))
    sides = replace(B, seeds=(1, 2)), replace(A, rejected=(named("9"),), seeds=(1,))
    one = merged(base, *sides, ("b",)).entries
    other = merged(base, *reversed(sides), ("b",)).entries
    assert one == other


def test_what_one_side_removed_and_the_other_changed_stays_only_where_it_is_wanted() -> None:
    def found(wanted: Mapping[str, tuple[str, ...]]) -> Mapping[str, LockEntry]:
        return merge({"x": A}, {}, {"x": B}, wanted, lambda question: "").entries

    assert found({"x": ()}) == {"x": B}
    assert found({}) == {}


# ---------------------------------------------------------------- with git


def git(project: Project, *args: str, check: bool = True) -> str:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "init.defaultBranch=main"]
    done = subprocess.run(["git", *identity, *args], cwd=project.folder, check=check, capture_output=True, text=True)
    return done.stdout


@pytest.fixture
def repository(walked: Project) -> Project:
    walked.manifest(HEROES)
    (walked.folder / ".gitignore").write_text(".qwenbuild/\nassets/\n", encoding="utf-8")
    assert walked.build().exit_code == 0
    git(walked, "init")
    commit(walked)
    git(walked, "branch", "other")
    return walked


def commit(project: Project) -> None:
    git(project, "add", ".")
    git(project, "commit", "-m", "x")


def pick(project: Project, kind: str, number: int) -> None:
    choices.pick(project.options(), f"heroes/{kind}", number)


def on_the_other_branch(project: Project, kind: str, number: int) -> None:
    git(project, "checkout", "other")
    pick(project, kind, number)
    commit(project)
    git(project, "checkout", "main")


def records(project: Project) -> Mapping[str, LockEntry]:
    return lockfile.read(project.lock).entries


def resolve(project: Project, *args: str) -> int:
    return run(["-C", str(project.folder), "lock", "resolve", *args])


@pytest.mark.parametrize(("ours", "theirs"), [("archer", "druid"), ("elf", "archer"), ("baker", "druid")])
def test_two_branches_that_pick_different_entries_merge_without_a_conflict(repository: Project, ours: str, theirs: str) -> None:
    on_the_other_branch(repository, theirs, 2)
    pick(repository, ours, 3)
    commit(repository)
    git(repository, "merge", "other")
    picked = {id for id, record in records(repository).items() if record.picked}
    assert picked == {f"heroes/{ours}", f"heroes/{theirs}"}
    assert (repository.build().exit_code, repository.submitted) == (0, [])


@pytest.fixture
def conflicted(repository: Project) -> Project:
    """Both branches picked for the cook; one of them rejected a baker."""
    on_the_other_branch(repository, "cook", 2)
    pick(repository, "cook", 3)
    choices.reject(repository.options(), ("heroes/baker",), (1,))
    commit(repository)
    git(repository, "merge", "other", check=False)
    assert b"<<<<<<<" in repository.lock.read_bytes()
    return repository


def test_a_lockfile_with_a_byte_order_mark_buys_nothing_and_resolves(conflicted: Project) -> None:
    mark = b"\xef\xbb\xbf"
    git(conflicted, "add", "qwenbuild.lock")
    conflicted.lock.write_bytes(mark + conflicted.lock.read_bytes())
    assert resolve(conflicted, "--ours") == 0
    conflicted.lock.write_bytes(mark + conflicted.lock.read_bytes())
    assert resolve(conflicted) == 0
    assert (conflicted.build().exit_code, conflicted.submitted) == (0, [])


def test_a_conflict_is_explained_and_no_command_that_spends_runs_on_it(
    conflicted: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    before = conflicted.lock.read_bytes()
    for verb in ("status", "plan", "build", "approve"):
        assert run(["-C", str(conflicted.folder), verb]) == 2
        told = capsys.readouterr().err
        assert "qwenbuild.lock:" in told
        assert "merge conflict: both sides changed heroes/cook" in told
        assert "qwenbuild lock resolve" in told
    with pytest.raises(InputError, match="merge conflict"):
        conflicted.build()
    assert (conflicted.submitted, conflicted.lock.read_bytes()) == ([], before)


def test_without_a_terminal_differing_choices_are_named_and_nothing_is_written(
    conflicted: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    before = conflicted.lock.read_bytes()
    assert resolve(conflicted) == 2
    told = capsys.readouterr().err
    assert "heroes/cook: our side picked" in told
    assert "their side picked" in told
    assert conflicted.lock.read_bytes() == before


@pytest.mark.parametrize(("side", "seed"), [("--ours", 2), ("--theirs", 1)])
def test_a_side_may_be_said_and_the_rest_is_merged(conflicted: Project, side: str, seed: int) -> None:
    assert resolve(conflicted, side) == 0
    found = records(conflicted)
    assert found["heroes/cook"].action["seed"] == seed
    assert found["heroes/cook"].picked == found["heroes/cook"].key
    assert found["heroes/baker"].rejected
    assert (conflicted.build().exit_code, conflicted.submitted) == (0, [])
    assert resolve(conflicted) == 0


def test_two_notes_to_one_entry_are_a_conflict_for_git_and_none_for_the_merge(
    repository: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    git(repository, "checkout", "other")
    notes.note(repository.options(), "heroes/cook", "too tall")
    commit(repository)
    git(repository, "checkout", "main")
    notes.note(repository.options(), "heroes/cook", "a better hat?")
    commit(repository)
    git(repository, "merge", "other", check=False)
    assert b"<<<<<<<" in repository.lock.read_bytes()
    assert resolve(repository) == 0
    assert records(repository)["heroes/cook"].note == "a better hat?\n\ntoo tall"
    assert "the notes of both are kept" in capsys.readouterr().out
    assert (repository.build().exit_code, repository.submitted) == (0, [])


def test_a_conflict_is_mended_from_its_markers_when_git_has_forgotten_it(conflicted: Project) -> None:
    git(conflicted, "add", ".")
    assert resolve(conflicted, "--theirs") == 0
    assert records(conflicted)["heroes/cook"].action["seed"] == 1


def test_both_sides_made_another_picture_and_the_merged_manifest_decides(repository: Project) -> None:
    git(repository, "checkout", "other")
    repository.edit("A {{ kind }}", "An old {{ kind }}")
    repository.build()
    commit(repository)
    git(repository, "checkout", "main")
    repository.edit("A {{ kind }}", "A young {{ kind }}")
    repository.build()
    commit(repository)
    git(repository, "merge", "other", check=False)
    text = HEROES.replace("A {{ kind }}", "An old {{ kind }}")
    repository.manifest(text)
    assert resolve(repository) == 0
    assert {record.action["prompt"] for record in records(repository).values()} == {f"An old {kind}" for kind in KINDS}
    assert (repository.build().exit_code, repository.submitted) == (0, [])


# ---------------------------------------------------------------- the merge driver


def install(project: Project) -> None:
    assert run(["-C", str(project.folder), "lock", "install-driver"]) == 0
    here = f"{sys.executable} -m qwenbuild lock resolve --driver %O %A %B %P"
    assert git(project, "config", "merge.qwenbuild.driver").strip() == "qwenbuild lock resolve --driver %O %A %B %P"
    git(project, "config", "merge.qwenbuild.driver", here)


@pytest.fixture
def driven(repository: Project) -> Project:
    """Both branches have the driver."""
    install(repository)
    commit(repository)
    git(repository, "branch", "-f", "other")
    return repository


def test_the_driver_is_installed_once(repository: Project) -> None:
    install(repository)
    install(repository)
    assert (repository.folder / ".gitattributes").read_text() == "qwenbuild.lock merge=qwenbuild\n"


def test_the_driver_merges_what_git_cannot(driven: Project) -> None:
    git(driven, "checkout", "other")
    choices.reject(driven.options(), ("heroes/cook",), (3,))
    commit(driven)
    git(driven, "checkout", "main")
    pick(driven, "cook", 2)
    commit(driven)
    git(driven, "merge", "other")
    record = records(driven)["heroes/cook"]
    assert (record.picked, len(record.rejected)) == (record.key, 1)


def test_the_driver_joins_two_notes(driven: Project) -> None:
    git(driven, "checkout", "other")
    notes.note(driven.options(), "heroes/cook", "too tall")
    commit(driven)
    git(driven, "checkout", "main")
    notes.note(driven.options(), "heroes/cook", "a better hat?")
    commit(driven)
    git(driven, "merge", "other")
    assert records(driven)["heroes/cook"].note == "a better hat?\n\ntoo tall"


def test_the_driver_leaves_open_what_a_person_must_say_and_merges_the_rest(driven: Project) -> None:
    git(driven, "checkout", "other")
    choices.reject(driven.options(), ("heroes/baker",), (3,))
    pick(driven, "cook", 2)
    commit(driven)
    git(driven, "checkout", "main")
    pick(driven, "baker", 2)
    pick(driven, "cook", 3)
    commit(driven)
    git(driven, "merge", "other", check=False)
    raw = driven.lock.read_bytes()
    assert b"<<<<<<< ours" in raw
    with pytest.raises(InputError, match=r"both sides changed heroes/cook$"):
        lockfile.read(driven.lock)
    assert resolve(driven, "--theirs") == 0
    found = records(driven)
    assert found["heroes/cook"].action["seed"] == 1
    assert (found["heroes/baker"].action["seed"], len(found["heroes/baker"].rejected)) == (1, 1)


def test_a_question_is_put_to_a_person_at_a_terminal(conflicted: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    import io

    from qwenbuild.cli import show

    monkeypatch.setattr(show, "may_ask", lambda *, as_json: True)
    monkeypatch.setattr(sys, "stdin", io.StringIO("t\n"))
    assert resolve(conflicted) == 0
    assert records(conflicted)["heroes/cook"].action["seed"] == 1


def test_a_question_names_both_pictures() -> None:
    (question,) = merged(A, replace(B, picked=named("b")), replace(C, picked=named("c")), ("b", "c")).open
    assert question == Question("x", "picked bbbbbbbbbbbb", "picked cccccccccccc")


def test_the_sheets_of_both_sides_stay(walked: Project) -> None:
    def sheet(path: str) -> LockAtlas:
        return LockAtlas({path: LockOutput("1" * 64, "2" * 64)})

    old, new = sheet("old.png"), sheet("new.png")
    base = {"a": old, "b": old, "gone": old}
    assert merge_atlases(base, {"a": new, "b": old, "gone": old}, {"a": old, "b": new, "c": new}) == {
        "a": new,
        "b": new,
        "c": new,
    }
    assert merge_atlases(None, {"a": new}, {"a": old, "b": old}) == {"a": new, "b": old}


def test_a_conflicted_lockfile_keeps_its_sheets(conflicted: Project) -> None:
    raw = conflicted.lock.read_bytes()
    sheets = b'{\n  "atlases": {\n    "ui": {\n      "outputs": {\n        "ui.png": {}\n      }\n    }\n  },\n'
    conflicted.lock.write_bytes(raw.replace(b"{\n", sheets, 1))
    git(conflicted, "add", ".")
    assert resolve(conflicted, "--ours") == 0
    assert set(lockfile.read(conflicted.lock).atlases) == {"ui"}


@pytest.mark.parametrize("field", ["picked", "rejected", "candidates", "accepted"])
def test_a_choice_that_is_no_digest_is_refused(walked: Project, field: str) -> None:
    bad = "../../../etc/passwd"
    value = {"picked": bad, "rejected": (bad,)}.get(field, {named("1"): bad})
    raw = layout.text({"x": replace(A, **{field: value})}, "qwenbuild.yaml")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="is not a SHA-256"):
        lockfile.parse(raw, walked.lock)
