"""What changed between two lockfiles: as values, as text, as JSON, and as Markdown that a pull request can show."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from qwenbuild.cli.changes import as_json, markdown_lines, text_lines
from qwenbuild.cli.exits import run
from qwenbuild.lock.diff import Change, ChangeKind, compare
from qwenbuild.model import LockEntry, LockOutput
from qwenbuild.report.terminal import Terminal
from qwenbuild.verbs import adopt, choices
from tests.walking import Project

MANIFEST = """\
version: 1
defaults: {params: {size: "64*64"}}
assets:
  heroes: {prompt: "A {{ kind }}", matrix: {kind: [archer, baker]}, variants: 2}
  shields: {prompt: "A round shield"}
"""


def record(key: str, digest: str = "", **more: Any) -> LockEntry:
    return LockEntry(key * 64, (digest or key) * 64, {"prompt": key, "seed": 7}, **more)


A, B = record("a"), record("b")


def one(old: LockEntry | None, new: LockEntry | None) -> Change:
    (found,) = compare({"x": old} if old else {}, {"x": new} if new else {})
    return found


KINDS = {
    ChangeKind.CHANGED: (A, B),
    ChangeKind.ADDED: (None, A),
    ChangeKind.REMOVED: (A, None),
    ChangeKind.REKEYED: (A, record("b", "a")),
    ChangeKind.FILES: (replace(A, outputs={"x.png": LockOutput()}), replace(A, outputs={"y.png": LockOutput()})),
    ChangeKind.CHOICES: (A, replace(A, approved=True)),
}


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_change_is_told_apart(kind: ChangeKind) -> None:
    assert one(*KINDS[kind]).kind is kind


def test_every_kind_is_told() -> None:
    assert set(KINDS) | {ChangeKind.MOVED} == set(ChangeKind)


def test_a_renamed_entry_moved_and_a_second_one_like_it_was_added() -> None:
    found = compare({"old": A}, {"new": A, "twin": A})
    assert [(change.id, change.kind, change.was) for change in found] == [
        ("new", ChangeKind.MOVED, "old"),
        ("twin", ChangeKind.ADDED, ""),
    ]


def test_an_orphan_counts_as_removed_and_what_it_was_renamed_to_as_moved() -> None:
    assert one(A, replace(A, orphan=True)).kind is ChangeKind.REMOVED
    (found,) = compare({"old": A}, {"old": replace(A, orphan=True), "new": A})
    assert (found.kind, found.was) == (ChangeKind.MOVED, "old")


def test_the_fields_and_the_choices_behind_a_change_are_named() -> None:
    found = one(A, replace(B, approved=True, rejected=("1" * 64, "2" * 64), seeds=(9,), accepted={"b" * 64: "a" * 64}))
    assert found.fields == (("prompt", "a", "b"),)
    assert found.choices == ("approved", "edit accepted", "2 candidates rejected", "1 candidate added")


def test_a_note_is_a_change_of_its_own_and_is_told_as_it_is_now() -> None:
    first, second = replace(A, note="too *shiny*\x1b[2J"), replace(A, note="")
    assert [(one(A, first).kind, one(A, first).choices), one(first, second).choices] == [
        (ChangeKind.CHOICES, ("noted",)),
        ("note removed",),
    ]
    assert one(first, replace(A, note="dull")).choices == ("note changed",)
    told = "\n".join(text_lines([one(A, first)], ("HEAD", "here"), Terminal(width=80)))
    assert "\n              noted\n              note: too *shiny*\\x1b[2J\n" in told
    (*_, row) = markdown_lines([one(A, first)], ("HEAD", "here"), {})
    assert row.endswith(r"| noted<br>note\: too \*shiny\*\\x1b\[2J |")
    assert as_json([one(A, first)], ("HEAD", "here"))["changes"][0]["new"]["note"] == first.note


def test_the_same_lockfile_has_no_changes() -> None:
    assert compare({"x": A}, {"x": A}) == ()


# ---------------------------------------------------------------- through git


def git(project: Project, *args: str) -> None:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "init.defaultBranch=main"]
    subprocess.run(["git", *identity, *args], cwd=project.folder, check=True, capture_output=True)


@pytest.fixture
def repository(walked: Project) -> Project:
    walked.manifest(MANIFEST)
    (walked.folder / ".gitignore").write_text(".qwenbuild/\nassets/\n", encoding="utf-8")
    git(walked, "init")
    git(walked, "add", "qwenbuild.yaml", ".gitignore")
    git(walked, "commit", "-m", "before any build")
    assert walked.build().exit_code == 0
    git(walked, "add", ".")
    git(walked, "commit", "-m", "built")
    return walked


Say = Callable[..., str]


@pytest.fixture
def diff(repository: Project, capsys: pytest.CaptureFixture[str]) -> Say:
    def said(*args: str, code: int = 0) -> str:
        capsys.readouterr()
        assert run(["diff", *args]) == code
        ended = capsys.readouterr()
        return ended.out if code == 0 else ended.err

    return said


def test_a_change_is_told_with_its_fields_and_choices(repository: Project, diff: Say) -> None:
    assert diff() == "No picture changed (HEAD → working tree).\n"
    repository.edit("A round shield", "A square shield")
    repository.build()
    choices.pick(repository.options(), "heroes/archer", 2)
    told = diff()
    assert re.search(r"^  changed   heroes/archer  [0-9a-f]{12} → [0-9a-f]{12}$", told, re.MULTILINE)
    assert "    seed: 7 → 8" not in told
    assert "    seed: 0 → 1\n" in told
    assert "    picked\n" in told
    assert "    prompt: round → square\n" in told
    assert told.endswith("2 changed (HEAD → working tree).\n")


def test_a_cosmetic_edit_changes_no_picture(repository: Project, diff: Say) -> None:
    repository.edit("A round shield", "A  round shield")
    adopt.accept(repository.options(), ("shields",))
    choices.approve(repository.options(), ("heroes/baker",))
    told = diff()
    assert "  rekeyed   shields" in told
    assert "  choices   heroes/baker" in told
    assert told.endswith("1 rekeyed, 1 with other choices (HEAD → working tree).\n")


def test_two_revisions_are_compared_and_one_without_a_lockfile_is_empty(repository: Project, diff: Say) -> None:
    assert diff("HEAD~1", "HEAD").endswith("3 added (HEAD~1 → HEAD).\n")
    assert diff("HEAD", "HEAD~1").endswith("3 removed (HEAD → HEAD~1).\n")


def test_a_revision_that_git_does_not_know_is_an_error(diff: Say) -> None:
    assert "git knows no revision 'nowhere'" in diff("nowhere", code=2)
    assert "git knows no revision '--output=x'" in diff("--", "--output=x", code=2)


def test_json_has_every_change(repository: Project, diff: Say) -> None:
    repository.edit("A round shield", "A square shield")
    repository.build()
    said = json.loads(diff("--json"))
    (change,) = said["changes"]
    assert (said["v"], said["from"], said["to"]) == (1, "HEAD", "working tree")
    assert (change["id"], change["change"]) == ("shields", "changed")
    assert change["fields"] == [{"field": "prompt", "old": "A round shield", "new": "A square shield"}]
    assert change["new"] == {"key": json.loads(repository.lock.read_bytes())["entries"]["shields"]["key"]} | {
        "digest": repository.tree()["shields.png"]
    }
    assert said["summary"]["changed"] == 1


def test_markdown_shows_both_pictures_also_when_only_git_and_the_cache_have_the_old_one(repository: Project, diff: Say) -> None:
    repository.edit("A round shield", "A square shield")
    repository.build()
    told = diff("--markdown", "--thumbnails", "my thumbs", "--width", "32")
    (row,) = [line for line in told.splitlines() if line.startswith("| shields")]
    names = re.findall(r"!\[[0-9a-f]{12}\]\(my%20thumbs/([0-9a-f]{16}\.webp)\)", row)
    assert len(set(names)) == 2
    for name in names:
        with Image.open(Path("my thumbs") / name) as picture:
            assert (picture.format, picture.width) == ("WEBP", 32)
    assert "| changed |" in row


def test_markdown_without_thumbnails_names_digests(repository: Project, diff: Say) -> None:
    repository.edit("A round shield", "A square shield")
    repository.build()
    assert re.search(r"^\| shields \| changed \| `[0-9a-f]{12}` \| `[0-9a-f]{12}` \| prompt", diff("--markdown"), re.MULTILINE)
    assert "thumbnails needs" in diff("--thumbnails", "x", code=2)


ATTACKS = [
    "a | b",
    "<img src=x onerror=alert(1)>",
    "![x](http://x/)",
    "@somebody #12",
    "`code`",
    "*bold* _it_",
    "a\nb",
    "\u202e",
]


@pytest.mark.parametrize("text", ATTACKS)
def test_a_prompt_is_nothing_but_text_in_markdown(text: str) -> None:
    new = replace(B, action={"prompt": text, "seed": 7})
    rows = list(markdown_lines([one(A, new)], ("HEAD", "here"), {}))
    row = rows[-1]
    assert len(rows) == 7
    assert len(re.findall(r"(?<!\\)\|", row)) == 6
    cell = re.split(r"(?<!\\)\|", row)[5]
    assert not re.search(r"(?<!\\)[*_`\[\]@#!]|<(?!br>)|\u202e", cell)
