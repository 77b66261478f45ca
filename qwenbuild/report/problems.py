"""Words a Problem as plain text: where, what, the line with a caret, the hint.

Knows no terminal, no colour and no exit code.
"""

from __future__ import annotations

import unicodedata

from qwenbuild.errors import Problem
from qwenbuild.report.escape import visible

NOTICES = 8
"""So many notices are printed without `-v`."""
WIDEST = 100
"""Characters of a line that are shown; a longer one is cut around the caret."""


def format_problem(problem: Problem) -> str:
    """The text block for one Problem, without a final newline.

    First line `file:line:column: message`, then the place in the manifest, the line with a caret, and the hint.
    """
    where = f"{visible(str(problem.mark))}: " if problem.mark else ""
    lines = [f"{where}{visible(problem.message)}"]
    if problem.path:
        lines.append(f"  in {visible(problem.path)}")
    if problem.snippet and problem.mark:
        lines += _excerpt(problem.snippet, problem.mark.line, problem.mark.column)
    if problem.hint:
        lines.append(f"  hint: {visible(problem.hint)}")
    return "\n".join(lines)


def _excerpt(snippet: str, line: int, column: int) -> list[str]:
    text, column = _window(snippet.replace("\t", " "), column)
    number = str(line)
    before = visible(text[: column - 1])
    return [f"  {number} | {visible(text)}".rstrip(), f"  {' ' * len(number)} | {' ' * _cells(before)}^"]


def _window(text: str, column: int) -> tuple[str, int]:
    """A part of `text` of at most WIDEST characters around `column`, and the column within it."""
    if len(text) <= WIDEST:
        return text, column
    start = max(0, min(column - 1 - WIDEST // 2, len(text) - WIDEST))
    before, after = "…" if start else "", "…" if start + WIDEST < len(text) else ""
    return f"{before}{text[start : start + WIDEST]}{after}", column - start + len(before)


def _cells(text: str) -> int:
    """Columns of a terminal that `text` takes: two for a wide character, none for a combining mark."""
    return sum(0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)
