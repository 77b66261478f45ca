"""Leaves out what a spreadsheet pads a table with: rows, and columns without a name, in which nothing stands.

Knows no file format: the readers say in which line a row stands.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from qwenbuild.errors import Mark, Problem
from qwenbuild.manifest.text import Text

MOST_NAMED = 5
"""Lines or columns that a warning names; of more it gives the number."""

Row = dict[str, Any]


@dataclass(slots=True)
class Padding:
    """What was left out of one file: how many empty rows and the lines of the first, and empty columns (numbers from 1)."""

    rows: int = 0
    lines: list[int] = field(default_factory=list)
    columns: list[int] = field(default_factory=list)
    header: int = 1
    """The line that names the columns."""

    def add_row(self, line: int) -> None:
        """Enter an empty row."""
        self.rows += 1
        if self.rows <= MOST_NAMED:
            self.lines.append(line)

    def warning(self, text: Text) -> Problem | None:
        """One warning for the whole file at the first padding; None where there is none."""
        if not self.rows and not self.columns:
            return None
        parts = [
            _counted(self.rows, "empty row", "line", self.lines),
            _counted(len(self.columns), "empty column without a name", "column", self.columns),
        ]
        message = f"left out: {' and '.join(part for part in parts if part)}"
        first = min([*self.lines[:1], *([self.header] if self.columns else [])])
        mark = Mark(text.shown, first, 1)
        return Problem("padding", message, mark, snippet=text.snippet(mark), hint="delete them, if nothing should stand there")


def is_blank(value: Any) -> bool:
    """Whether a cell holds nothing: no text but blanks, or null."""
    return not value.strip() if isinstance(value, str) else value is None


def without_padding(rows: Sequence[Row], line_of: Callable[[int], int], padding: Padding) -> list[Row]:
    """The rows in which something stands, without a nameless key that is empty in all of them.

    `line_of` gives the line of a row by its number. What is left out is entered in `padding`.
    """
    empty = [number for number, row in enumerate(rows) if all(map(is_blank, row.values()))]
    padding.rows, padding.lines = len(empty), [line_of(number) for number in empty[:MOST_NAMED]]
    left_out = set(empty)
    filled = [row for number, row in enumerate(rows) if number not in left_out] if empty else list(rows)
    if any("" in row for row in filled) and all(is_blank(row.get("")) for row in filled):
        first = next(number for number, row in enumerate(rows) if "" in row)
        padding.header, padding.columns = line_of(first), [1 + list(rows[first]).index("")]
        filled = [{name: value for name, value in row.items() if name} for row in filled]
    return filled


def _counted(number: int, noun: str, place: str, places: Sequence[int]) -> str:
    if not number:
        return ""
    words = f"{number:,} {noun}" if number == 1 else f"{number:,} {noun.replace('row', 'rows').replace('column', 'columns')}"
    if number > MOST_NAMED:
        return f"{words} (the first in {place} {places[0]:,})"
    return f"{words} ({place}{'s' if number > 1 else ''} {', '.join(f'{each:,}' for each in places)})"
