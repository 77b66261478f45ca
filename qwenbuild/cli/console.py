"""Results to stdout, messages to stderr; a reader that has gone away is no error.

Does not know what is said.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from qwenbuild.cli import findings
from qwenbuild.cli.call import current
from qwenbuild.later import later

with later:
    from qwenbuild.report import problems as wording
    from qwenbuild.report import streams

if TYPE_CHECKING:
    from qwenbuild.errors import Problem


def result(lines: Iterable[str]) -> None:
    """Lines on stdout."""
    stream = streams.Lines(sys.stdout)
    for line in lines:
        stream.line(line)
        if stream.gone:
            return


def pieces(texts: Iterable[str]) -> None:
    """Pieces of one text on stdout, as they are, without a flush between them."""
    streams.Lines(sys.stdout).write_all(texts)


def as_json(value: Any) -> None:
    """One JSON value on stdout, in ASCII, on one line."""
    result([json.dumps(value)])


def message(text: str) -> None:
    """A line on stderr, unless `-q`."""
    if not current().quiet:
        problem_text(text)


def problem_text(text: str) -> None:
    """A line on stderr, whatever the user wants to read."""
    streams.Lines(sys.stderr).line(text)


def failures(problems: Sequence[Problem]) -> None:
    """What failed in a command that ends with a code of its own: beside a change, and in a report, where that is asked for."""
    findings.note(problems)
    if current().format == findings.GITHUB:
        findings.annotate(problems)


def notices(problems: Sequence[Problem]) -> None:
    """Warnings and notices on stderr, unless `-q`; without `-v` the first few, a line each."""
    call = current()
    if call.format == findings.GITHUB:
        findings.annotate(problems, "warning")
        return
    shown = problems if call.verbose else problems[: wording.NOTICES]
    for problem in shown:
        text = wording.format_problem(problem)
        message(call.err().style("note: ", "yellow") + (text if call.verbose else text.partition("\n")[0]))
    if len(shown) < len(problems):
        message(f"note: and {len(problems) - len(shown):,} more (-v shows them)")
