"""Problems for machines that show them beside a change: GitHub's workflow commands, and a JUnit report.

Knows no command and no environment but where a repository's root is told to be.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from xml.sax.saxutils import escape, quoteattr

from qwenbuild.errors import Problem
from qwenbuild.report.problems import format_problem

_UNPRINTABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What no XML 1.0 document may hold."""


def github_lines(problems: Sequence[Problem], severity: str, root: str = "") -> Iterator[str]:
    """A workflow command for each problem, `severity` error or warning; files relative to the repository's `root`."""
    for problem in problems:
        mark = problem.mark
        where = f"file={_property(_relative(mark.file, root))},line={mark.line},col={mark.column}," if mark else ""
        words = ". ".join(part for part in (problem.message, problem.hint) if part)
        yield f"::{severity} {where}title={_property(f'qwenbuild {problem.code}')}::{_data(words)}"


def _relative(file: str, root: str) -> str:
    return os.path.relpath(os.path.abspath(file), root).replace(os.sep, "/") if root else file


def _data(text: str) -> str:
    """A message that stays one command: https://github.com/actions/toolkit, packages/core/src/command.ts (2025-11)."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def junit_text(problems: Sequence[Problem]) -> str:
    """A JUnit report: a failing case for each problem, and one that passes when there is none."""
    cases = [_case(problem) for problem in problems] or ['    <testcase classname="qwenbuild" name="no errors"/>']
    head = f'<testsuite name="qwenbuild" tests="{len(cases)}" failures="{len(problems)}" errors="0" skipped="0">'
    around = (['<?xml version="1.0" encoding="UTF-8"?>', "<testsuites>", f"  {head}"], ["  </testsuite>", "</testsuites>", ""])
    return "\n".join([*around[0], *cases, *around[1]])


def _case(problem: Problem) -> str:
    mark = problem.mark
    place = f' file={_attribute(mark.file)} line="{mark.line}"' if mark else ""
    name = _attribute(": ".join(part for part in (problem.code, problem.path or (str(mark) if mark else "")) if part))
    said = f"type={_attribute(problem.code)} message={_attribute(problem.message)}"
    failure = f"<failure {said}>{_text(format_problem(problem))}</failure>"
    return f"    <testcase classname={_attribute(mark.file if mark else 'qwenbuild')} name={name}{place}>{failure}</testcase>"


def _text(text: str) -> str:
    return escape(_UNPRINTABLE.sub("\ufffd", text))


def _attribute(text: str) -> str:
    return quoteattr(_UNPRINTABLE.sub("\ufffd", text))
