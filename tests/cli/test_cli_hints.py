"""Hints of the command line: none spends for a harmless word, and those that are given work when followed."""

from __future__ import annotations

import os
from pathlib import Path

import click
import pytest

from qwenbuild.cli.exits import run
from qwenbuild.cli.group import COMMANDS, SPEND_OR_DESTROY, LazyGroup, one_apart
from qwenbuild.cli.program import program
from qwenbuild.select import nearest
from qwenbuild.snapshot import quick_answer
from tests.walking import Project

MANIFEST = """\
version: 1
defaults: {params: {size: "64*64"}}
assets:
  weapons: {prompt: "A {{ kind }}", matrix: {kind: [sword, bow, iron-axe]}, tags: [steel]}
"""
HARMLESS = ["--format", "--forse-it", "--foo", "--year", "--overview", "--retry", "--pull", "--purge", "--al", "--yesss"]


def commands() -> list[tuple[str, click.Command]]:
    assert isinstance(program, LazyGroup)
    with click.Context(program) as context:
        return [(name, found) for name in COMMANDS if (found := program.get_command(context, name)) is not None]


@pytest.mark.parametrize("written", HARMLESS)
def test_no_command_offers_to_spend_or_destroy_for_another_word(written: str, capsys: pytest.CaptureFixture[str]) -> None:
    for name, _ in commands():
        assert run([name, written]) == 2
        told = capsys.readouterr().err
        words = {word.strip("'?,().") for word in told.split()} - {written}
        assert all(one_apart(written, word) for word in words & SPEND_OR_DESTROY), told


def test_the_list_of_what_spends_is_whole() -> None:
    options = {
        name: {
            option for each in found.params if isinstance(each, click.Option) and each.envvar is None for option in each.opts
        }
        for name, found in commands()
    }
    harmless = {"--help", "--json", "--keep-modified"}
    spending = {option for option in options["build"] if option.startswith("--")} - harmless
    shared = {option for option in options["schema"] if option.startswith("--")}
    assert spending - shared <= SPEND_OR_DESTROY
    assert spending - shared


@pytest.mark.parametrize(
    ("one", "other", "near"),
    [
        ("--force", "--forc", True),
        ("--force", "--forcee", True),
        ("--force", "--farce", True),
        ("--force", "--froce", True),
        ("--force", "--format", False),
        ("--force", "--fcroe", False),
        ("--all", "--aal", True),
        ("--yes", "--year", False),
    ],
)
def test_one_letter_apart(one: str, other: str, near: bool) -> None:
    assert (one_apart(one, other), one_apart(other, one)) == (near, near)


def test_a_word_one_letter_off_is_offered(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["build", "--forc"]) == 2
    assert "--force" in capsys.readouterr().err
    assert run(["build", "--ofline"]) == 2
    assert "--offline" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("word", "names"),
    [
        ("sword", ["weapons/sword"]),
        ("Weapons/Sword", ["weapons/sword"]),
        ("swrod*", ["weapons/sword"]),
        ("weapons/swrod", ["weapons/sword"]),
        ("axe", ["weapons/iron-axe"]),
        ("w/axes", ["weapons/iron-axe"]),
        ("zzz", []),
        ("**", []),
    ],
)
def test_near_names(word: str, names: list[str]) -> None:
    assert nearest(word, ["weapons/sword", "weapons/bow", "weapons/iron-axe"]) == names


@pytest.mark.parametrize("args", [["explain", "sword"], ["plan", "swrod*"], ["plan", "tag:stele"], ["plan", "path:sword.png"]])
def test_what_a_hint_about_an_entry_offers_is_there(
    args: list[str], walked: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    walked.manifest(MANIFEST)
    assert run(["-C", str(walked.folder), *args]) == 2
    told = capsys.readouterr().err
    assert "did you mean " in told
    for each in told.partition("did you mean ")[2].partition("?")[0].split(", "):
        assert run(["-C", str(walked.folder), args[0], each]) == 0


@pytest.fixture
def below(walked: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """The user stands two folders below the manifest."""
    walked.manifest(MANIFEST)
    deep = walked.folder / "art" / "drafts"
    deep.mkdir(parents=True)
    monkeypatch.chdir(deep)
    return walked


@pytest.mark.parametrize("verb", ["validate", "plan", "status", "build", "disclose"])
def test_the_manifest_is_looked_for_above_and_the_folder_is_told_once(
    verb: str, below: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    assert below.build().exit_code == 0
    capsys.readouterr()
    assert run([verb]) == 0
    told = capsys.readouterr().err
    assert told.count(f"The manifest of {below.folder} is used, as there is none here.") == 1
    assert run([verb, "-q"]) == 0
    assert "is used" not in capsys.readouterr().err
    assert not list(Path().iterdir())


def test_the_quick_answer_looks_above_too(
    below: Project, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from qwenbuild.snapshot import statefile

    assert quick_answer.above() == os.path.join("..", "..")
    proven: list[str] = []
    state = statefile.Snapshot({"inputs": "0", "notices": "", "more": "0", "entries": "3"}, [], statefile.array("q"), b"")
    monkeypatch.setattr(quick_answer, "proven", lambda manifest: proven.append(manifest) or state)
    for name in quick_answer.LOUD:
        monkeypatch.delenv(name, raising=False)
    assert quick_answer.answer(["build"]) == 0
    told = capsys.readouterr()
    assert proven == [os.path.join("..", "..", "qwenbuild.yaml")]
    assert told.err == f"The manifest of {below.folder} is used, as there is none here.\n"
    assert told.out == "Nothing to do: 3 entries are fresh.\n"


def test_named_folders_and_files_are_not_looked_for_above(below: Project, capsys: pytest.CaptureFixture[str]) -> None:
    for args in (["-C", ".", "plan"], ["-f", "qwenbuild.yaml", "plan"]):
        assert run(args) == 2
        assert "is used" not in capsys.readouterr().err


def test_init_writes_where_the_user_is(below: Project, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["init"]) == 0
    assert Path("qwenbuild.yaml").is_file()
    assert (below.folder / "qwenbuild.yaml").read_text(encoding="utf-8") == MANIFEST
    assert "is used" not in capsys.readouterr().err


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="the system has no owners")
def test_a_manifest_of_somebody_else_above_is_not_taken(
    below: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    own = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: own + 1)
    assert run(["plan"]) == 2
    assert "there is no qwenbuild.yaml" in capsys.readouterr().err
