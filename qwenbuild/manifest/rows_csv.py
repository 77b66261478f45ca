"""Reads rows from CSV as spreadsheets write it: a `sep=` line, padding, and each mistake at its line and column.

Knows nothing of what the columns mean; every cell is text.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from io import StringIO
from typing import Any

from qwenbuild.errors import InputError, Mark, Problem
from qwenbuild.manifest.padding import Padding, is_blank
from qwenbuild.manifest.text import Text, stop

DELIMITERS = (",", ";", "\t")
"""In this order on a tie."""

_SEP = re.compile(r'\s*(?:sep=([^\w\s"\']|\t)|"sep=([^\w\s"\']|\t)") *(?:\r\n|\r|\n|\Z)', re.IGNORECASE)
"""The line by which Excel says what separates the cells."""

_DOUBLED = 'a quote inside of a quoted cell is doubled: ""'

Row = dict[str, Any]
Records = Iterator[tuple[int, list[str]]]


def csv_rows(text: Text, padding: Padding) -> list[Row]:
    """The rows of a CSV file; what a spreadsheet padded it with goes into `padding`. Raises InputError."""
    start, delimiter = _separator(text)
    records = _records(text, start, delimiter)
    head = next(((line, cells) for line, cells in records if _kept(line, cells, padding)), None)
    if head is None:
        return []
    header = _Header(text, *head)
    return header.rows(records, padding)


def _separator(text: Text) -> tuple[int, str]:
    """Where the table begins, and what separates its cells."""
    written = _SEP.match(text.characters)
    if written is None:
        return 0, _delimiter(text.characters)
    delimiter = written[1] or written[2]
    if delimiter not in DELIMITERS:
        message = f"cells separated by `{delimiter}` are not read"
        raise text.error("csv", message, written.start(1 if written[1] else 2), hint="separate them by , or ; or a tab")
    return written.end(), delimiter


def _delimiter(characters: str) -> str:
    """Whichever of comma, semicolon and tab the header holds most of, outside of quotes."""
    header = next(line for line in StringIO(characters, newline="") if line.strip("\r\n"))
    plain = "".join(header.split('"')[::2])
    return max(DELIMITERS, key=plain.count)


def _records(text: Text, start: int, delimiter: str) -> Records:
    """The records with the line each starts in; blank lines are none."""
    reader = csv.reader(StringIO(text.characters[start:], newline=""), delimiter=delimiter, strict=True)
    above = text.mark(start).line - 1 if start else 0
    while True:
        line = above + reader.line_num + 1
        try:
            record = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise _unreadable(text, line, above + reader.line_num, delimiter, str(error)) from None
        if record:
            yield line, record


def _kept(line: int, cells: list[str], padding: Padding) -> bool:
    """Whether anything stands in a record; one in which nothing does is padding."""
    if not all(map(is_blank, cells)):
        return True
    padding.add_row(line)
    return False


class _Header:
    """The names of the columns, and those columns that have none."""

    def __init__(self, text: Text, line: int, cells: list[str]) -> None:
        self._text = text
        self._line = line
        self._width = len(cells)
        self._names: dict[str, int] = {}
        for number, name in enumerate(cell.strip() for cell in cells):
            if name and name in self._names:
                message = f"columns {self._names[name] + 1} and {number + 1} are both called `{name[:60]}`"
                raise _at(text, line, "column", message, "rename one of them")
            if name:
                self._names[name] = number

    def rows(self, records: Records, padding: Padding) -> list[Row]:
        """The rows below the header. Raises InputError for a ragged one, and for a value in a column without a name."""
        names, places = list(self._names), list(self._names.values())
        padded, widest = len(names) < self._width, self._width
        rows = []
        for line, record in records:
            if is_blank(record[0]) and not _kept(line, record, padding):
                continue
            if padded or len(record) != self._width:
                widest = max(widest, len(record))
                record = self._named(line, record, places)
            rows.append(dict(zip(names, record, strict=True)))
        padding.header = self._line
        padding.columns = sorted(set(range(1, widest + 1)) - {place + 1 for place in places})
        return rows

    def _named(self, line: int, record: list[str], places: list[int]) -> list[str]:
        """The cells of the columns that have names, where the others are empty."""
        if len(record) <= places[-1]:
            raise self._ragged(line, len(record))
        for number, cell in enumerate(record):
            if number not in places and not is_blank(cell):
                raise self._ragged(line, len(record)) if number >= self._width else self._nameless(line, number)
        return [record[place] for place in places]

    def _nameless(self, line: int, number: int) -> InputError:
        message = f"column {number + 1} has no name, and line {line:,} has a value in it"
        return _at(self._text, self._line, "column", message, "the first line names every column that is used")

    def _ragged(self, line: int, cells: int) -> InputError:
        more = cells > self._width
        hint = "put a cell that holds the separator in quotes" if more else "an empty cell still needs its separator"
        return _at(self._text, line, "ragged-row", f"this row has {cells} cells, the header has {self._width}", hint)


# ---------------------------------------------------------------- what cannot be read


def _unreadable(text: Text, line: int, last: int, delimiter: str, error: str) -> InputError:
    """The error of a record that begins in `line` and was read up to `last`, at the quote that misled the reader."""
    opened = _opened(text.characters, text.start(line), delimiter)
    if "field larger" in error:
        message = f"this is not CSV: a cell of more than {csv.field_size_limit():,} characters"
        hint = "perhaps the quote that opens here never closes" if opened is not None else ""
        return text.error("csv", message, text.start(line) if opened is None else opened, hint=hint)
    if opened is None:
        return _at(text, line, "csv", f"this is not CSV: {error}", _DOUBLED)
    if "unexpected end" in error:
        return text.error("csv", "this is not CSV: the quote that opens here is never closed", opened, hint=_DOUBLED)
    until = f" in line {last:,}" if last > text.mark(opened).line else ""
    message = f"this is not CSV: the quote that opens here closes{until}, and no separator follows"
    return text.error("csv", message, opened, hint=_DOUBLED)


def _opened(characters: str, start: int, delimiter: str) -> int | None:
    """The offset of the quote that opens the cell in which a record cannot be read on; None when no quote does."""
    at = start
    while at < len(characters):
        if characters[at] != '"':
            at = _after(characters, at, delimiter)
            continue
        close = _closing(characters, at + 1)
        if characters[close + 1 : close + 2] not in (delimiter, "\r", "\n", "") or close == len(characters):
            return at
        at = close + 2
    return None


def _after(characters: str, at: int, delimiter: str) -> int:
    """The place after the next separator; the end of the text where the line ends before one."""
    match = re.compile(f"[{delimiter}\r\n]").search(characters, at)
    return match.end() if match and match.group() == delimiter else len(characters)


def _closing(characters: str, at: int) -> int:
    """The quote that closes a cell, doubled ones passed over; the end of the text where none does."""
    while True:
        at = characters.find('"', at)
        if at < 0:
            return len(characters)
        if characters[at + 1 : at + 2] != '"':
            return at
        at += 2


def _at(text: Text, line: int, code: str, message: str, hint: str) -> InputError:
    mark = Mark(text.shown, line, 1)
    return stop(Problem(code, message, mark, snippet=text.snippet(mark), hint=hint))
