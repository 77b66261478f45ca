"""What pictures and files were found to be when they were held against an expectation, so that none is decoded twice.

Knows no expectation: a key stands for one and the bytes judged by it. Free to make again, so a lost one is only work.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from qwenbuild.cache.blobs import check_digest
from qwenbuild.cache.fsops import Writer, read_file
from qwenbuild.cache.seal import BrokenSeal, seal, unseal


class Judgements:
    """The folder `judged`. Methods raise OSError as the system gives it; a broken record counts as none."""

    def __init__(self, root: Path, writer: Writer) -> None:
        self.folder = root / "judged"
        self._writer = writer
        self._known: dict[str, Mapping[str, Any]] = {}

    def read(self, key: str) -> str | None:
        """What fails, "" when nothing does, None when nobody looked yet."""
        record = self._record(key)
        return None if record is None else str(record.get("fails", ""))

    def details(self, key: str) -> Sequence[Mapping[str, Any]]:
        """What was noted beside: a JSON object for each check or picture; none when nobody looked yet."""
        record = self._record(key)
        details = () if record is None else record.get("details", ())
        return [item for item in details if isinstance(item, Mapping)] if isinstance(details, list) else ()

    def write(self, key: str, fails: str, details: Sequence[Mapping[str, Any]] = ()) -> None:
        """Note what fails, "" for nothing."""
        record: dict[str, Any] = {"kind": "judgement", "v": 1, "key": key, "fails": fails}
        if details:
            record["details"] = [dict(item) for item in details]
        self._writer.write(self._path(key), seal(record) + b"\n", durable=False)
        self._known[key] = record

    def _record(self, key: str) -> Mapping[str, Any] | None:
        if key not in self._known:
            try:
                record = unseal(read_file(self._path(key)))
            except (FileNotFoundError, BrokenSeal):
                return None
            if (record.get("kind"), record.get("v"), record.get("key")) != ("judgement", 1, key):
                return None
            self._known[key] = record
        return self._known[key]

    def _path(self, key: str) -> Path:
        return self.folder / check_digest(key)[:2] / f"{key}.json"
