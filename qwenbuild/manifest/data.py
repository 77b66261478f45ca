"""Reads rows from a data file: .csv, .json, .jsonl or .yaml, each mistake with its own line and column.

Knows nothing of what the columns mean.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path
from typing import Any

from qwenbuild.errors import Mark, Problem
from qwenbuild.manifest.events import build, paused_collector
from qwenbuild.manifest.fields import kind
from qwenbuild.manifest.rows_json import json_lines, json_rows
from qwenbuild.manifest.text import Text, read, stop

LARGEST = 64_000_000
"""Bytes of a data file."""

DELIMITERS = (",", ";", "\t")
"""In this order on a tie."""

Row = dict[str, Any]


def read_data(path: Path, shown: str) -> tuple[list[Row], tuple[Problem, ...]]:
    """The rows of a data file of at most 64 MB, and a warning when there are none. `shown` names it in messages.

    Raises InputError for what cannot be read, with the data file's own line and column.
    """
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        known = ", ".join(READERS)
        problem = Problem("data-type", f"data files are {known}", Mark(shown, 1, 1), hint="the extension tells what is in it")
        raise stop(problem)
    text = read(path, shown, LARGEST)
    with paused_collector():
        rows = reader(text) if text.characters.strip() else []
    return rows, () if rows else (_empty(shown),)


def _empty(shown: str) -> Problem:
    return Problem("empty-data", "the data file has no rows, so it gives no entries", Mark(shown, 1, 1))


# ---------------------------------------------------------------- yaml


def _yaml_rows(text: Text) -> list[Row]:
    tree = build(text, most_nodes=None, drop="")
    if tree.problems:
        raise stop(tree.problems[0])
    if tree.value is None:
        return []
    if not isinstance(tree.value, list):
        raise text.error(
            "data-shape", f"a data file holds a list of rows, not {kind(tree.value)}", 0, hint="such as `- id: red`"
        )
    for row, offset in zip(tree.value, tree.rows, strict=True):
        if not isinstance(row, dict):
            raise text.error("row", f"a row is a mapping of columns, not {kind(row)}", offset, hint="such as `- id: red`")
    return tree.value


# ---------------------------------------------------------------- csv


def _csv_rows(text: Text) -> list[Row]:
    lines = StringIO(text.characters, newline="")
    records = _records(csv.reader(lines, delimiter=_delimiter(text.characters), strict=True), text)
    line, cells = next(records)
    names = _header(cells, text, line)
    rows = []
    for line, record in records:
        if len(record) != len(names):
            raise _ragged(text, line, len(record), len(names))
        rows.append(dict(zip(names, record, strict=True)))
    return rows


def _records(reader: Any, text: Text) -> Iterator[tuple[int, list[str]]]:
    """The records with the line each starts in; blank lines are none."""
    while True:
        line = reader.line_num + 1
        try:
            record = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise _at(text, line, "csv", f"this is not CSV: {error}", _quoting(str(error))) from None
        if record:
            yield line, record


def _quoting(message: str) -> str:
    if "field larger" in message:
        return "a quote that opens here may never close"
    return 'a quote inside of a quoted cell is doubled: ""'


def _delimiter(characters: str) -> str:
    """Whichever of comma, semicolon and tab the header holds most of, outside of quotes."""
    header = next(line for line in StringIO(characters, newline="") if line.strip("\r\n"))
    plain = "".join(header.split('"')[::2])
    return max(DELIMITERS, key=plain.count)


def _header(cells: list[str], text: Text, line: int) -> list[str]:
    names: dict[str, int] = {}
    for number, name in enumerate((cell.strip() for cell in cells), 1):
        if not name:
            raise _at(text, line, "column", f"column {number} has no name", "the first line names every column")
        if name in names:
            message = f"columns {names[name]} and {number} are both called `{name[:60]}`"
            raise _at(text, line, "column", message, "rename one of them")
        names[name] = number
    return list(names)


def _ragged(text: Text, line: int, cells: int, columns: int) -> Exception:
    hint = "put a cell that holds the separator in quotes" if cells > columns else "an empty cell still needs its separator"
    return _at(text, line, "ragged-row", f"this row has {cells} cells, the header has {columns}", hint)


def _at(text: Text, line: int, code: str, message: str, hint: str) -> Exception:
    mark = Mark(text.shown, line, 1)
    return stop(Problem(code, message, mark, snippet=text.snippet(mark), hint=hint))


READERS: dict[str, Callable[[Text], list[Row]]] = {
    ".csv": _csv_rows,
    ".json": json_rows,
    ".jsonl": json_lines,
    ".yaml": _yaml_rows,
    ".yml": _yaml_rows,
}
