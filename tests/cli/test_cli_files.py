"""Every file of the user's that is read, in every state that nobody can read: a sentence with its name, and exit code 2."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from qwenbuild.cli.exits import run
from tests.images.pictures import png
from tests.walking import Project

MANIFEST = """\
version: 1
provider: dashscope
assets:
  lamp: {prompt_file: lamp.txt, model: qwen-image-plus, foreach: rows.csv}
  copy: {prompt: "x", model: qwen-image-edit-plus, inputs: [ref.png]}
"""
STATES: dict[str, Callable[[Path], object]] = {
    "UTF-16": lambda path: path.write_text("id,name\na,b\n", encoding="utf-16"),
    "Latin-1": lambda path: path.write_bytes("id,name\nà,é\n".encode("latin-1")),
    "NUL bytes": lambda path: path.write_bytes(b"id,name\n\0a,b\n"),
    "a folder": Path.mkdir,
    "a pipe": os.mkfifo,
    "too large": lambda path: sparse(path, 3 << 30),
    "a loop of links": lambda path: path.symlink_to(path.name),
    "vanished": lambda path: None,
}
COMMANDS = (["plan"], ["status"], ["build", "--yes"], ["validate"], ["explain", "copy"])
FILES = dict.fromkeys(("qwenbuild.yaml", "prompts/lamp.txt", "rows.csv", "ref.png"), COMMANDS)
FILES["qwenbuild.lock"] = (*COMMANDS, ["lock", "resolve"], ["pick", "copy", "1"])


def sparse(path: Path, size: int) -> None:
    path.touch()
    os.truncate(path, size)


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("name", FILES)
def test_a_file_that_cannot_be_read_is_named(
    name: str, state: str, walked: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    walked.manifest(MANIFEST)
    (walked.folder / "prompts").mkdir()
    (walked.folder / "prompts" / "lamp.txt").write_text("a {{ name }}")
    (walked.folder / "rows.csv").write_text("id,name\na,b\n")
    (walked.folder / "ref.png").write_bytes(png("rgb", "rgb"))
    monkeypatch.chdir(walked.folder)
    (walked.folder / name).unlink(missing_ok=True)
    STATES[state](walked.folder / name)
    for words in FILES[name]:
        if (name, state) == ("qwenbuild.lock", "vanished") and words != ["lock", "resolve"]:
            continue  # without a lockfile all is new
        if words == ["validate"] and name == "qwenbuild.lock":
            continue
        code = run(words)
        assert (code, name.rpartition("/")[2] in capsys.readouterr().err) == (2, True), words
