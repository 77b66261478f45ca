"""The lockfiles that use this cache, one JSON string a line: what `cache gc` starts from.

Knows no lockfile's content.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from qwenbuild.cache.fsops import Writer, read_file


class Roots:
    """The file `roots`. Methods raise OSError."""

    def __init__(self, root: Path, writer: Writer) -> None:
        self.path = root / "roots"
        self._writer = writer

    def known(self) -> tuple[Path, ...]:
        """Every lockfile noted, there or not, in the order in which they came. A broken line is skipped; see `unreadable`."""
        return tuple(dict.fromkeys(path for line in self._lines() if (path := _path(line)) is not None))

    def unreadable(self) -> list[int]:
        """The numbers of the lines, from 1, that name nothing: a lockfile may be lost with each."""
        return [number for number, line in enumerate(self._lines(), 1) if line.strip() and _path(line) is None]

    def _lines(self) -> list[str]:
        try:
            return read_file(self.path).decode("utf-8", "replace").split("\n")
        except FileNotFoundError:
            return []

    def add(self, lockfile: Path) -> None:
        """Note a lockfile; nothing is written when it is known. Two writers at once: both lines stay, for they append."""
        path = Path(os.path.abspath(lockfile))
        if path in self.known():
            return
        if not self.path.exists():
            self._writer.write(self.path, b"")
        line = f"\n{json.dumps(str(path), ensure_ascii=True)}\n".encode()
        fd = os.open(self.path, os.O_WRONLY | os.O_APPEND | getattr(os, "O_CLOEXEC", 0))
        try:
            self._writer.ops.write(fd, line)
            self._writer.ops.fsync(fd)
        finally:
            self._writer.ops.close(fd)

    def forget(self, lockfile: Path) -> None:
        """Take a lockfile off the list, because a person said that its project is gone."""
        rest = [path for path in self.known() if path != Path(os.path.abspath(lockfile))]
        self._writer.write(self.path, "".join(f"{json.dumps(str(path))}\n" for path in rest).encode())


def _path(line: str) -> Path | None:
    try:
        value = json.loads(line)
    except ValueError:
        return None
    return Path(value) if isinstance(value, str) and os.path.isabs(value) else None
