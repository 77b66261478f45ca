"""Reads rows from a data file: .csv, .json, .jsonl or .yaml, each mistake with its own line and column.

Knows nothing of what the columns mean.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from qwenbuild.errors import Mark, Problem
from qwenbuild.manifest.events import build, paused_collector
from qwenbuild.manifest.fields import kind
from qwenbuild.manifest.padding import Padding, without_padding
from qwenbuild.manifest.rows_csv import csv_rows
from qwenbuild.manifest.rows_json import json_lines, json_rows
from qwenbuild.manifest.text import Text, read, stop
from qwenbuild.nearmiss import did_you_mean, near

DATA_BYTES_MAX = 512_000_000
"""Bytes of a data file."""

SPREADSHEETS = (".xlsx", ".xls", ".xlsm", ".ods", ".numbers")

Row = dict[str, Any]


def read_data(path: Path, shown: str) -> tuple[list[Row], tuple[Problem, ...]]:
    """The rows of a data file of at most 512 MB, and warnings of padding and when there are none. `shown` names it in messages.

    Raises InputError for what cannot be read, with the data file's own line and column.
    """
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise stop(_unknown_type(path.suffix.lower(), shown))
    text = read(path, shown, DATA_BYTES_MAX)
    padding = Padding()
    with paused_collector():
        rows = reader(text, padding) if text.characters.strip() else []
    warnings = [padding.warning(text), None if rows else _empty(shown)]
    return rows, tuple(warning for warning in warnings if warning is not None)


def _unknown_type(suffix: str, shown: str) -> Problem:
    hint = did_you_mean(near(suffix, READERS), quote="") or "the extension tells what is in it"
    if suffix in SPREADSHEETS:
        hint = "save it as CSV UTF-8 from the spreadsheet program"
    return Problem("data-type", f"a data file is one of {', '.join(READERS)}", Mark(shown, 1, 1), hint=hint)


def _empty(shown: str) -> Problem:
    return Problem("empty-data", "the data file has no rows, so it gives no entries", Mark(shown, 1, 1))


# ---------------------------------------------------------------- yaml


def _yaml_rows(text: Text, padding: Padding) -> list[Row]:
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
    return without_padding(tree.value, lambda number: text.mark(tree.rows[number]).line, padding)


READERS: dict[str, Callable[[Text, Padding], list[Row]]] = {
    ".csv": csv_rows,
    ".json": json_rows,
    ".jsonl": json_lines,
    ".yaml": _yaml_rows,
    ".yml": _yaml_rows,
}
