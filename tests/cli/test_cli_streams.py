"""Output that is lost is told, a stream that is missing is harmless, and nothing is imported from the project's folder."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from qwenbuild.cli.group import COMMANDS
from tests.walking import Project

MANIFEST = """\
version: 1
provider: placeholder
assets: {lamp: {prompt: "a lämp {{ n }}", matrix: {n: [é, b]}}}
"""
HELPED = (
    "init", "diff", "pick", "import", "emulate", "review", "reject", "reroll", "unpick", "release", "accept", "lock", "approve",
)  # fmt: skip
WORDS: dict[str, Sequence[str]] = dict.fromkeys(HELPED, ("--help",)) | {
    "build": ("--yes",),
    "explain": ("lamp/b",),
    "completion": ("bash",),
    "note": ("lamp/b", "words"),
    "cache": ("dir",),
    "doubt": ("list",),
    "clean": ("--dry-run",),
    "migrate": ("--model", "placeholder=flat", "-n"),
}
"""What each command is given here; a command of which nothing is said is called alone."""
LINES = [(name, *WORDS.get(name, ())) for name in COMMANDS] + [("--version",), ("--help",), ("plan", "--json")]
FULL = Path("/dev/full")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project that is built; each command is called in it."""
    made = Project(tmp_path_factory.mktemp("project"), tmp_path_factory.mktemp("cache"))
    made.manifest(MANIFEST)
    assert shell(made, ("build", "--yes"), "").returncode == 0
    return made


def shell(project: Project, words: Sequence[str], redirections: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """A command in a shell, which can close streams."""
    line = f'"$PY" -m qwenbuild "$@" {redirections}'
    more = {"PY": sys.executable, "QWENBUILD_CACHE_DIR": str(project.cache_dir), **environ}
    called, environ = ["sh", "-c", line, "sh", *words], {**os.environ, **more}
    return subprocess.run(called, cwd=project.folder, env=environ, capture_output=True, text=True, timeout=120)


@pytest.mark.skipif(not FULL.exists(), reason="there is no full device here")
@pytest.mark.parametrize("words", LINES, ids=" ".join)
def test_what_could_not_be_written_is_an_error(words: Sequence[str], built: Project) -> None:
    done = shell(built, words, ">/dev/full")
    assert done.returncode not in (0, 70)
    assert "the output could not be written: No space left" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", ">&- 2>&-", ">&- 2>&- <&-"])
@pytest.mark.parametrize("words", [("build", "--yes"), ("plan",), ("status",), ("--help",), ("disclose",)], ids=" ".join)
def test_a_missing_stream_is_harmless(words: Sequence[str], closed: str, built: Project) -> None:
    done = shell(built, words, closed)
    assert (done.returncode, "Traceback" in done.stderr) == (0, False)


@pytest.mark.parametrize("words", LINES, ids=" ".join)
def test_no_command_needs_a_stdout_or_an_encoding(words: Sequence[str], built: Project) -> None:
    done = shell(built, words, ">&-", PYTHONIOENCODING="ascii", LC_ALL="C")
    assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr


def test_a_build_whose_first_file_would_be_stdout_does_not_print_into_it(built: Project) -> None:
    (built.folder / "qwenbuild.yaml").write_text(MANIFEST.replace("a lämp", "another lamp"), encoding="utf-8")
    assert shell(built, ("build", "--yes"), ">&- 2>&- <&-").returncode == 0
    assert shell(built, ("cache", "verify"), "").returncode == 0
    built.manifest(MANIFEST)


@pytest.mark.parametrize("words", [("plan",), ("build", "--yes"), ("status",)], ids=" ".join)
def test_a_name_that_the_system_cannot_write_has_a_sentence(words: Sequence[str], built: Project) -> None:
    done = shell(built, words, "", LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    assert done.returncode == 1
    assert "LC_ALL=C.UTF-8" in done.stderr


def test_a_file_that_cannot_be_removed_is_named_and_the_others_are_removed(
    walked: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    from qwenbuild import tree
    from qwenbuild.cli.exits import run

    walked.manifest(MANIFEST.replace("é", "a"))
    assert walked.build().exit_code == 0
    monkeypatch.chdir(walked.folder)
    real = tree.remove

    def remove(root: Path, path: str, expected: tree.Signature) -> bool:
        if path.endswith("a.png"):
            raise tree.NotWritten("Operation not permitted")
        return real(root, path, expected)

    monkeypatch.setattr(tree, "remove", remove)
    assert run(["clean", "--all"]) == 1
    assert list(walked.tree()) == ["lamp/a.png"]


def test_nothing_is_imported_from_the_folder_of_a_project(tmp_path: Path) -> None:
    first = subprocess.run([sys.executable, "-c", "import runpy, sys; print(*sys.modules)"], capture_output=True, text=True)
    names = {*sys.stdlib_module_names, "yaml", "click", "httpx", "pydantic", "jinja2", "rich", "PIL", "diskcache"}
    names -= {*first.stdout.split()}  # what Python itself imports before any file of ours is run
    assert {"json", "argparse", "asyncio", "sqlite3", "yaml", "select", "__future__"} <= names
    for name in names:
        (tmp_path / f"{name}.py").write_text("raise SystemExit('imported from the project')\n")
    called = [sys.executable, "-m", "qwenbuild"]
    done = subprocess.run([*called, "--help"], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    (tmp_path / "qwenbuild.yaml").write_text(MANIFEST)
    done = subprocess.run([*called, "plan"], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
