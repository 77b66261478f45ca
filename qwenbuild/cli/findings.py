"""Where errors are listed besides the terminal: `--format github` and `--junit FILE`, for every command.

Does not know what is wrong, and reads the words of the command line itself: an error may come before any option is read.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from qwenbuild.errors import Problem
from qwenbuild.later import later, load

with later:
    from qwenbuild import files
    from qwenbuild.report import ci_reports, streams

META = "qwenbuild.findings"
GITHUB = "github"


@dataclass(frozen=True, slots=True)
class Listing:
    """How errors are listed: `github` as workflow commands, `junit` into a file."""

    github: bool = False
    junit: str = ""


def listing(args: Sequence[str]) -> Listing:
    """What the words of a command line, or the environment, ask for."""
    words = list(args)
    words = words[: words.index("--")] if "--" in words else words
    github = _value(words, "--format") or os.environ.get("QWENBUILD_FORMAT", "")
    wanted = Listing(github == GITHUB, _value(words, "--junit") or os.environ.get("QWENBUILD_JUNIT", ""))
    if wanted.github or wanted.junit:
        load("qwenbuild.report.ci_reports")
    return wanted


def _value(words: Sequence[str], name: str) -> str:
    """The last value that an option was given."""
    value = ""
    for at, word in enumerate(words):
        if word.startswith(f"{name}="):
            value = word[len(name) + 1 :]
        elif word == name:
            value = words[at + 1] if at + 1 < len(words) else ""
    return value


def annotate(problems: Sequence[Problem], severity: str = "error") -> None:
    """Print problems as GitHub shows them beside the lines that they are about; on stderr, which GitHub reads too."""
    stream = streams.Lines(sys.stderr)
    for line in ci_reports.github_lines(problems, severity, os.environ.get("GITHUB_WORKSPACE", "")):
        stream.line(line)


def note(problems: Sequence[Problem]) -> None:
    """Errors of a command that goes on, or ends with a code of its own: they are in the report as well."""
    click.get_current_context().meta.setdefault(META, []).extend(problems)


def noted(context: click.Context) -> list[Problem]:
    """What was noted while the command ran."""
    problems: list[Problem] = context.meta.get(META, [])
    return problems


def write_junit(path: str, problems: Sequence[Problem]) -> None:
    """Write the report. Raises OSError."""
    files.replace(Path(path), ci_reports.junit_text(problems).encode(), durable=False)
