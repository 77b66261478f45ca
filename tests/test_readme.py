"""The README says what the program does: its sessions are run, its manifest is loaded, its links and tables are checked.

Does not know the README's prose; `…` on a line of its own stands for lines that are left out.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
TIMES = re.compile(r"\b\d+(?:\.\d+)? ?(?:ms|s|min|h)\b(?: \d+ s\b)?")
ELSEWHERE = re.compile(r"^(?:https?:|mailto:|#)")


@dataclass(frozen=True)
class Command:
    line: str
    output: tuple[str, ...]


def fences(language: str) -> list[str]:
    return [body for name, body in FENCE.findall(README) if name == language]


def session(body: str) -> list[Command]:
    commands: list[Command] = []
    for line in body.splitlines():
        if line.startswith("$ "):
            commands.append(Command(line[2:], ()))
        else:
            last = commands.pop()
            commands.append(Command(last.line, (*last.output, line)))
    return commands


def plain(line: str) -> str:
    return TIMES.sub("<time>", line.rstrip())


def matches(shown: tuple[str, ...], real: list[str]) -> bool:
    """`…` on a line of its own stands for any number of lines."""
    wanted = [plain(line) for line in shown if line.strip()]
    found = [plain(line) for line in real if line.strip()]
    pattern = "".join(r"(?:.*\n)*" if line.strip() == "…" else re.escape(line) + r"\n" for line in wanted)
    return re.fullmatch(pattern, "".join(f"{line}\n" for line in found)) is not None


def shell(line: str, folder: Path) -> list[str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    env = {**os.environ, "PATH": path, "COLUMNS": "80", "LC_ALL": "C.UTF-8"}
    done = subprocess.run(["bash", "-c", line], cwd=folder, env=env, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr, done.stderr
    return (done.stdout or done.stderr).splitlines()


def copy_of_examples(folder: Path) -> Path:
    return Path(
        shutil.copytree(ROOT / "examples", folder / "examples", ignore=shutil.ignore_patterns("assets", ".qwenbuild", "*.lock"))
    )


def test_every_session_in_the_readme_prints_what_it_says(tmp_path: Path) -> None:
    """One project and one cache for all sessions, in the order of the page."""
    copy_of_examples(tmp_path)
    sessions = fences("console")
    assert sessions
    folder = tmp_path
    for body in sessions:
        for command in session(body):
            if command.line.startswith("cd "):
                folder = (folder / command.line[3:]).resolve()
                continue
            real = shell(command.line, folder)
            assert matches(command.output, real), f"$ {command.line}\n" + "\n".join(real)


def test_the_first_screen_holds_the_two_commands() -> None:
    first_screen = "\n".join(README.splitlines()[:30])
    assert ".venv/bin/qwenbuild build -C examples/tavern" in first_screen
    assert ".venv/bin/python -m pytest" in first_screen


def test_every_manifest_shown_in_the_readme_expands(tmp_path: Path) -> None:
    from qwenbuild.expand.expansion import expand
    from qwenbuild.manifest import load

    shown = [body for body in fences("yaml") if "version: 1" in body]
    assert shown
    for body in shown:
        (tmp_path / "data").mkdir(exist_ok=True)
        (tmp_path / "data" / "potions.csv").write_text("id,look\nhealing,crimson\nmana,azure\n")
        (tmp_path / "qwenbuild.yaml").write_text(body, encoding="utf-8")
        assert expand(load(tmp_path / "qwenbuild.yaml")).entries


def test_every_link_of_the_pages_leads_somewhere() -> None:
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md"), *ROOT.glob("examples/*/README.md")]
    broken = []
    for page in pages:
        for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
            if not ELSEWHERE.match(target) and not (page.parent / target.partition("#")[0]).exists():
                broken.append(f"{page.relative_to(ROOT)}: {target}")
    assert broken == []


@pytest.mark.parametrize("page", ["SECURITY.md", "docs/shared-cache.md"])
def test_every_test_that_a_promise_names_is_there(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    files = set(re.findall(r"`(tests/[\w/.]*)`", text))
    tests = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    assert files
    assert sorted(name for name in files if not (ROOT / name).exists()) == []
    assert sorted(name for name in re.findall(r"`(test_\w+)`", text) if f"def {name}(" not in tests) == []


@pytest.mark.parametrize("code", ["0", "1", "2", "3", "4", "5", "6", "70", "130"])
def test_the_readme_lists_every_exit_code(code: str) -> None:
    assert re.search(rf"^\| {code} \|", README, re.MULTILINE)


def test_every_option_named_in_the_readme_exists() -> None:
    """Options of other programs do not occur in the README's backquotes beside `qwenbuild`."""
    said = {option for line in re.findall(r"`(qwenbuild [^`]+)`", README) for option in re.findall(r"(?<!\w)--[a-z-]+", line)}
    verbs = ["build", "plan", "status", "explain", "clean", "gallery"]
    known = "\n".join("\n".join(shell(f"qwenbuild {verb} --help", ROOT)) for verb in verbs)
    assert sorted(option for option in said if option not in known) == []


def test_every_command_named_in_the_pages_exists() -> None:
    pages = [README, *(page.read_text(encoding="utf-8") for page in (ROOT / "examples").glob("*/README.md"))]
    said = {verb for text in pages for verb in re.findall(r"(?:^|`|\$ |run: )qwenbuild ([a-z]+)", text, re.MULTILINE)}
    known = "\n".join(shell("qwenbuild --help", ROOT))
    assert sorted(verb for verb in said if not re.search(rf"^  {verb} ", known, re.MULTILINE)) == []


@pytest.mark.parametrize("named", sorted(set(re.findall(r"`([a-z_]+(?:/[a-z_]*)*(?:/|\.py|\.json))`", ARCHITECTURE))))
def test_every_module_named_in_the_architecture_is_there(named: str) -> None:
    assert (ROOT / named).exists() or (ROOT / "qwenbuild" / named).exists()
