"""Results to stdout, messages to stderr; a reader that has gone away is no error.

Does not know what is said.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from qwenbuild.cli.call import current

if TYPE_CHECKING:
    from qwenbuild.errors import Problem


def result(lines: Iterable[str]) -> None:
    """Lines on stdout."""
    from qwenbuild.report.streams import Lines

    stream = Lines(sys.stdout)
    for line in lines:
        stream.line(line)
        if stream.gone:
            return


def pieces(texts: Iterable[str]) -> None:
    """Pieces of one text on stdout, as they are, without a flush between them."""
    from qwenbuild.report.streams import Lines

    Lines(sys.stdout).write_all(texts)


def as_json(value: Any) -> None:
    """One JSON value on stdout, in ASCII, on one line."""
    import json

    result([json.dumps(value)])


def message(text: str) -> None:
    """A line on stderr, unless `-q`."""
    if not current().quiet:
        problem_text(text)


def problem_text(text: str) -> None:
    """A line on stderr, whatever the user wants to read."""
    from qwenbuild.report.streams import Lines

    Lines(sys.stderr).line(text)


def notices(problems: Sequence[Problem]) -> None:
    """Warnings and notices on stderr, unless `-q`; without `-v` the first few, a line each."""
    from qwenbuild.report.problems import NOTICES, format_problem

    call = current()
    shown = problems if call.verbose else problems[:NOTICES]
    for problem in shown:
        said = format_problem(problem)
        message(call.err().style("note: ", "yellow") + (said if call.verbose else said.partition("\n")[0]))
    if len(shown) < len(problems):
        message(f"note: and {len(problems) - len(shown):,} more (-v shows them)")
