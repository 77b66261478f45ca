"""What pictures and files were found to be when they were held against an expectation, so that none is decoded twice.

Knows no expectation: a key stands for one and the bytes judged by it. Free to make again, so a lost one is only work.
"""

from __future__ import annotations

from pathlib import Path

from qwenbuild.cache.blobs import check_digest
from qwenbuild.cache.fsops import Writer, read_file
from qwenbuild.cache.seal import BrokenSeal, seal, unseal


class Judgements:
    """The folder `judged`. Methods raise OSError as the system gives it; a broken record counts as none."""

    def __init__(self, root: Path, writer: Writer) -> None:
        self.folder = root / "judged"
        self._writer = writer
        self._known: dict[str, str] = {}

    def read(self, key: str) -> str | None:
        """What fails, "" when nothing does, None when nobody looked yet."""
        if key not in self._known:
            try:
                record = unseal(read_file(self._path(key)))
            except (FileNotFoundError, BrokenSeal):
                return None
            if (record.get("kind"), record.get("v"), record.get("key")) != ("judgement", 1, key):
                return None
            self._known[key] = str(record.get("fails", ""))
        return self._known[key]

    def write(self, key: str, fails: str) -> None:
        """Note what fails, "" for nothing."""
        record = {"kind": "judgement", "v": 1, "key": key, "fails": fails}
        self._writer.write(self._path(key), seal(record) + b"\n", durable=False)
        self._known[key] = fails

    def _path(self, key: str) -> Path:
        return self.folder / check_digest(key)[:2] / f"{key}.json"
