"""The small files that builds share a pace by: locks that the kernel frees with their holder, and a short note.

Knows nothing of paces. A build touches them several times a picture, so each is a handful of system calls.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

PADDING_BYTES = 512
"""Notes are padded to a multiple of so many bytes and never made shorter: a file that is cut to nothing and written again
is brought to the disk at once by some file systems."""

_FLAGS = os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOINHERIT", 0) | getattr(os, "O_BINARY", 0)

if sys.platform == "win32":  # pragma: no cover
    import msvcrt

    def _lock(fd: int) -> bool:
        try:
            msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
else:
    import fcntl

    def _lock(fd: int) -> bool:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def try_lock(path: str) -> int | None:
    """A descriptor that holds the lock of this file until it is closed; None when another one does. Never waits."""
    while True:
        fd = _opened(path)
        try:
            if not _lock(fd):
                os.close(fd)
                return None
            if os.fstat(fd).st_nlink:
                return fd
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)  # somebody removed the file in between: who comes next would lock another one


def _opened(path: str) -> int:
    """The file, made with its folder where it is not there: somebody may have removed the cache while a build runs."""
    try:
        return os.open(path, _FLAGS, 0o644)
    except FileNotFoundError:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        return os.open(path, _FLAGS, 0o644)


class Note:
    """One file that is read and written whole, by who holds the lock beside it."""

    def __init__(self, path: Path) -> None:
        self._path = str(path)

    def read(self) -> bytes:
        """What was written last, without its padding; nothing when there is no such file. Raises OSError."""
        try:
            fd = os.open(self._path, os.O_RDONLY | (_FLAGS & ~(os.O_RDWR | os.O_CREAT)))
        except FileNotFoundError:
            return b""
        try:
            return os.read(fd, 1 << 20).rstrip()
        finally:
            os.close(fd)

    def write(self, text: bytes) -> None:
        """Replace it. Raises OSError."""
        fd = os.open(self._path, _FLAGS, 0o644)
        try:
            size = os.fstat(fd).st_size
            os.write(fd, text.ljust(max(size, -(-len(text) // PADDING_BYTES) * PADDING_BYTES)))
        finally:
            os.close(fd)
