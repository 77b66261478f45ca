"""The rows of `foreach`: from a list in place, or from a data file of the manifest's folder, each file read once.

Knows no format: the manifest's loader reads the files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from qwenbuild.errors import InputError, Problem
from qwenbuild.expand.faults import WHOLE_FILE, Fault, near, of_whole_file
from qwenbuild.expand.fields import RESERVED, Path, reserved
from qwenbuild.expand.templates import beside
from qwenbuild.expand.values import kind_of, plain
from qwenbuild.model import Manifest

Rows = Sequence[Mapping[str, Any]]


class Data:
    """The data files of one manifest."""

    def __init__(self, manifest: Manifest) -> None:
        self._manifest = manifest
        self._files: dict[str, list[dict[str, Any]]] = {}
        self.warnings: list[Problem] = []

    def read_files(self) -> list[str]:
        """The files that were read, relative to the manifest's folder."""
        return list(self._files)

    def rows(self, foreach: str | Rows, where: Path, axes: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The rows as a template sees them. Raises Fault, or InputError with a problem in the file."""
        rows = self._file(foreach, where) if isinstance(foreach, str) else _in_place(foreach, where)
        if not rows and not isinstance(foreach, str):
            message = "the list has no rows, so it gives no entries"
            self.warnings.append(self._manifest.source.problem("empty-data", message, where))
        columns: dict[str, None] = {}
        for row in rows:
            columns.update(dict.fromkeys(row))
        if RESERVED in columns:
            raise reserved(where)
        both = [name for name in columns if name in axes]
        if both:
            raise _at(Fault("row-and-axis", f"`{both[0]}` is both a column of the rows and an axis of `matrix`"), where)
        return rows

    def _file(self, relative: str, where: Path) -> list[dict[str, Any]]:
        from qwenbuild import manifest as loader

        cached = self._files.get(relative)
        if cached is not None:
            return cached
        try:
            path = loader.inside(self._manifest.folder, relative)
        except ValueError as error:
            raise _at(Fault("outside-folder", str(error)), where) from None
        if not path.exists():
            folder = path.parent
            names = sorted(each.name for each in folder.iterdir()) if folder.is_dir() else []
            hint = near(path.name, names)
            raise _at(Fault("no-such-file", f"there is no data file `{relative}`", hint=hint), where)
        try:
            rows, warnings = loader.read_data(path, beside(self._manifest, relative))
        except InputError as error:
            raise _at(of_whole_file(error, relative), where) if error.code in WHOLE_FILE else error from None
        self.warnings += warnings
        self._files[relative] = rows if path.suffix.lower() == ".csv" else [plain(row) for row in rows]  # CSV has texts alone
        return self._files[relative]


def _in_place(rows: Rows, where: Path) -> list[dict[str, Any]]:
    for at, row in enumerate(rows):
        if not isinstance(row, Mapping):
            raise _at(Fault("bad-row", f"a row is a mapping of names to values, got {kind_of(row)}"), (*where, at))
    return [plain(row) for row in rows]


def _at(fault: Fault, path: Path) -> Fault:
    fault.path = path
    return fault
