"""The one place of file writes: write beside, sync, rename, sync the folder.

Knows no format and no meaning of what it writes; a test double of `FileOps` fails at call n or records what was done.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import sys
import time
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from qwenbuild.files import rename

PRIVATE_MODE = 0o600
READ_ONLY_MODE = 0o444
PRIVATE_FOLDER_MODE = 0o700
TEMP_SUFFIX = ".tmp"
CHUNK_BYTES = 1 << 20
PIECE_BYTES = 1 << 18

_BINARY = getattr(os, "O_BINARY", 0)
_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)
_NO_INHERIT = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOINHERIT", 0)
READING = os.O_RDONLY | _BINARY | _NO_INHERIT
CREATING = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY | _NO_FOLLOW | _NO_INHERIT


class FileOps:
    """The system calls that change a disk, one method each."""

    sleep: Callable[[float], None] = staticmethod(time.sleep)

    def now(self) -> float:
        """Wall-clock seconds, to be compared with what a file says of itself."""
        return time.time()

    def open_new(self, path: Path, mode: int, *, dir_fd: int | None = None) -> int:
        """A descriptor of a file that was not there before; never through a link."""
        return os.open(path, CREATING, mode, dir_fd=dir_fd)

    def write(self, fd: int, data: bytes | memoryview) -> int:
        """Write some of `data`; how many bytes went."""
        return os.write(fd, data)

    def fchmod(self, fd: int, mode: int) -> None:
        """Set the mode of an open file, where the system has modes."""
        if hasattr(os, "fchmod"):
            os.fchmod(fd, mode)

    def fsync(self, fd: int) -> None:
        """Bring a file's bytes to the platter. On macOS only F_FULLFSYNC does (fsync(2) there says so)."""
        if sys.platform == "darwin":  # pragma: no cover
            import fcntl

            with contextlib.suppress(OSError):
                fcntl.fcntl(fd, fcntl.F_FULLFSYNC)
                return
        os.fsync(fd)

    def close(self, fd: int) -> None:
        """Close a descriptor."""
        os.close(fd)

    def replace(self, source: Path, target: Path) -> None:
        """Rename over `target`. On Windows a reader or a virus scanner may hold it for a moment: tried again for a second."""
        rename(source, target, sleep=self.sleep)

    def fsync_folder(self, path: Path) -> None:
        """Make the names in a folder durable. Windows has no such call; its rename is journaled."""
        if sys.platform == "win32":  # pragma: no cover
            return
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | _NO_INHERIT)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def mkdir(self, path: Path) -> None:
        """Make one folder, for its owner only."""
        os.mkdir(path, PRIVATE_FOLDER_MODE)

    def unlink(self, path: Path) -> None:
        """Remove a file; Windows refuses read-only ones, so they are made writable first."""
        if sys.platform == "win32":  # pragma: no cover
            os.chmod(path, 0o600)
        os.unlink(path)

    def rmdir(self, path: Path) -> None:
        """Remove an empty folder."""
        os.rmdir(path)


REAL = FileOps()


def write_all(ops: FileOps, fd: int, data: bytes) -> None:
    """Write every byte; a disk that takes none is full."""
    rest = memoryview(data)
    while rest:
        count = ops.write(fd, rest)
        if count <= 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        rest = rest[count:]


def create_file(ops: FileOps, path: Path, data: bytes, *, mode: int = PRIVATE_MODE, durable: bool = True) -> None:
    """A new file with these bytes. A failure leaves nothing under the name. Raises FileExistsError, OSError."""
    fd = ops.open_new(path, PRIVATE_MODE)
    try:
        try:
            write_all(ops, fd, data)
            if mode != PRIVATE_MODE:
                ops.fchmod(fd, mode)
            if durable:
                ops.fsync(fd)
        finally:
            ops.close(fd)
    except BaseException:
        with contextlib.suppress(OSError):
            ops.unlink(path)
        raise


def temp_beside(path: Path) -> Path:
    """A fresh temporary name in the same folder, so that the rename cannot cross a file system."""
    return path.with_name(f".{path.name[:16]}.{os.getpid()}-{secrets.token_hex(6)}{TEMP_SUFFIX}")


class Writer:
    """Durable writes below one folder; remembers which folders it has already made durable.

    A folder that another process made is synced again: that process may have died before its own sync.
    """

    def __init__(self, root: Path, ops: FileOps = REAL) -> None:
        self.root = root
        self.ops = ops
        self._settled: set[Path] = set()
        self._plain: set[Path] = set()

    def folder(self, path: Path) -> None:
        """Make `path` and its parents up to the root, each durable in its parent. Raises OSError."""
        if path in self._settled:
            return
        if path == self.root:
            self._make_root()
        else:
            self.folder(path.parent)
            with contextlib.suppress(FileExistsError):
                self.ops.mkdir(path)
            self.ops.fsync_folder(path.parent)
        self._settled.add(path)

    def _plain_folder(self, path: Path) -> None:
        """Make `path` for what can be had again; the first durable write to it syncs it."""
        if path in self._settled or path in self._plain:
            return
        if path == self.root:
            return self.folder(path)
        self._plain_folder(path.parent)
        with contextlib.suppress(FileExistsError):
            self.ops.mkdir(path)
        self._plain.add(path)

    def forget(self, path: Path) -> None:
        """A folder was moved or removed: make it again when it is next written to."""
        self._settled = {folder for folder in tuple(self._settled) if not folder.is_relative_to(path)}
        self._plain = {folder for folder in tuple(self._plain) if not folder.is_relative_to(path)}

    def _make_root(self) -> None:
        if self.root.exists():
            with contextlib.suppress(PermissionError):  # a parent that may not be listed was synced by whoever made the root
                self.ops.fsync_folder(self.root.parent)
        missing = []
        folder = self.root
        while not folder.exists():
            missing.append(folder)
            folder = folder.parent
        for folder in reversed(missing):
            with contextlib.suppress(FileExistsError):
                self.ops.mkdir(folder)
            self.ops.fsync_folder(folder.parent)

    def write(self, path: Path, data: bytes, *, mode: int = PRIVATE_MODE, durable: bool = True) -> None:
        """Put `data` under `path` in one step: readers see the old bytes or the new ones. Raises OSError."""
        if durable:
            self.folder(path.parent)
        else:
            self._plain_folder(path.parent)
        temp = temp_beside(path)
        create_file(self.ops, temp, data, mode=mode, durable=durable)
        try:
            self.ops.replace(temp, path)
        except BaseException:
            with contextlib.suppress(OSError):
                self.ops.unlink(temp)
            raise
        if durable:
            self.ops.fsync_folder(path.parent)

    def write_many(self, files: Sequence[tuple[Path, bytes]], *, mode: int = PRIVATE_MODE) -> None:
        """Put bytes under each path as `write` does, all durable when this returns; a folder is synced once for all of them.

        Each file is whole and synced before it gets its name. A failure leaves some under their names, and no other trace.
        Raises OSError.
        """
        self._folders({path.parent for path, _ in files})
        temps = [(temp_beside(path), path) for path, _ in files]
        try:
            for (temp, _), (_, data) in zip(temps, files, strict=True):
                create_file(self.ops, temp, data, mode=mode)
            for temp, path in temps:
                self.ops.replace(temp, path)
        except BaseException:
            for temp, _ in temps:
                with contextlib.suppress(OSError):
                    self.ops.unlink(temp)
            raise
        for folder in sorted({path.parent for path, _ in files}):
            self.ops.fsync_folder(folder)

    def _folders(self, paths: Collection[Path]) -> None:
        """`folder` for each of them, all as deep below the root: those of one parent share its sync."""
        missing = sorted(path for path in paths if path not in self._settled)
        if self.root in missing:
            return self.folder(self.root)
        parents = sorted({path.parent for path in missing})
        if parents:
            self._folders(parents)
        for path in missing:
            with contextlib.suppress(FileExistsError):
                self.ops.mkdir(path)
        for parent in parents:
            self.ops.fsync_folder(parent)
        self._settled.update(missing)

    def probe(self, folder: Path) -> None:
        """Write a file into a folder, rename it, and remove it. Raises OSError where one of these cannot be done."""
        self.folder(folder)
        temp = folder / f".probe-{os.getpid()}-{secrets.token_hex(6)}{TEMP_SUFFIX}"
        renamed = temp.with_name(temp.name.replace(".probe", ".probed"))
        create_file(self.ops, temp, b"qwenbuild\n")
        try:
            self.ops.replace(temp, renamed)
            self.ops.fsync_folder(folder)
        finally:
            for path in (temp, renamed):
                with contextlib.suppress(FileNotFoundError):
                    self.ops.unlink(path)

    def settle(self, path: Path) -> None:
        """Make a file durable that some process wrote: its bytes, its name, its folders. Raises OSError."""
        self.folder(path.parent)
        fd = os.open(path, READING)
        try:
            self.ops.fsync(fd)
        finally:
            os.close(fd)
        self.ops.fsync_folder(path.parent)

    def move_aside(self, path: Path, stem: str) -> Path:
        """Rename a file or folder to `<stem>-<n>` beside it, n being the first free number. Raises OSError."""
        number = 1
        while (target := path.with_name(f"{stem}-{number}")).exists():
            number += 1
        self.ops.replace(path, target)
        self.ops.fsync_folder(path.parent)
        return target


def same_bytes(path: Path, data: bytes) -> bool:
    """Whether a file holds exactly these bytes, read anew: as good as two digests, at a fifth of the time. Raises OSError.

    The system may forget its copy in memory then: a file that was just stored is not read again soon. A virtual machine
    must be given fresh memory for the next one, which takes longer than the writing (4 ms for 1.5 MB, measured).
    """
    with os.fdopen(os.open(path, READING), "rb") as file:
        pieces = (data[start : start + PIECE_BYTES] for start in range(0, len(data), PIECE_BYTES))
        same = all(file.read(len(piece)) == piece for piece in pieces) and not file.read(1)
        with contextlib.suppress(AttributeError, OSError):  # advice only, and not every system takes it
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        return same


def read_file(path: Path) -> bytes:
    """All bytes of a file. Raises OSError."""
    fd = os.open(path, READING)
    with os.fdopen(fd, "rb", buffering=0) as file:
        return file.read()
