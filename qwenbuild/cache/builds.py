"""Which builds are alive: one locked file for each; the kernel frees it when the process dies, by kill -9 too.

Knows no journal and no key. A lock on an open file, so that two builds in one process are two builds.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

from qwenbuild.cache.fsops import PRIVATE_MODE, READING, Writer
from qwenbuild.errors import CacheError

_ID = re.compile(r"[0-9a-f]{32}\Z")

if sys.platform == "win32":  # pragma: no cover
    import msvcrt

    def _lock(fd: int, *, shared: bool, wait: bool) -> bool:
        """Lock the first byte; Windows has no shared form here, so a probe may for an instant look like an owner."""
        os.lseek(fd, 0, os.SEEK_SET)
        try:
            msvcrt.locking(fd, msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
else:
    import fcntl

    def _lock(fd: int, *, shared: bool, wait: bool) -> bool:
        """Lock an open file. False when somebody else holds it. Raises OSError for anything else."""
        try:
            fcntl.flock(fd, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            return False
        return True


class Build:
    """A running build: its id, and the locks that say that it runs. Close it when the build exits."""

    def __init__(self, build_id: str, fds: tuple[int, ...], path: Path) -> None:
        self.id = build_id
        self._fds = fds
        self._path = path

    def close(self) -> None:
        """The build has exited. May be called twice."""
        fds, self._fds = self._fds, ()
        if fds:
            with contextlib.suppress(OSError):
                os.unlink(self._path)
        for fd in fds:
            os.close(fd)

    def __enter__(self) -> Build:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class Builds:
    """The folder `builds`."""

    def __init__(self, root: Path, writer: Writer) -> None:
        self.folder = root / "builds"
        self._writer = writer

    def start(self) -> Build:
        """Begin a build. Waits while `cache gc` removes files. Raises OSError."""
        self._writer.folder(self.folder)
        gate = self._gate(shared=True, wait=True)
        try:
            build_id = uuid.uuid4().hex
            path = self.path(build_id)
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0), PRIVATE_MODE)
            if not _lock(fd, shared=False, wait=False):
                os.close(fd)
                raise CacheError(f"{path} cannot be locked", code="cache-lock")
        except BaseException:
            if gate is not None:
                os.close(gate)
            raise
        self._sweep()
        return Build(build_id, (fd,) if gate is None else (fd, gate), path)

    def path(self, build_id: str) -> Path:
        """The file of a build."""
        if _ID.match(build_id) is None:
            raise CacheError(f"not a build's id: {build_id[:80]!r}", code="cache-build")
        return self.folder / f"{build_id}.lock"

    def is_alive(self, build_id: str) -> bool:
        """Does the build still run? "" and what never was a build do not. Raises OSError."""
        if _ID.match(build_id) is None:
            return False
        try:
            fd = os.open(self.path(build_id), READING)
        except FileNotFoundError:
            return False
        try:
            return not _lock(fd, shared=True, wait=False)
        finally:
            os.close(fd)

    def alive(self) -> list[str]:
        """Every build that runs."""
        return [build_id for build_id in self._known() if self.is_alive(build_id)]

    @contextlib.contextmanager
    def none_running(self) -> Iterator[None]:
        """Hold off new builds, for as long as files are removed. Raises CacheError when one runs."""
        self._writer.folder(self.folder)
        gate = self._gate(shared=False, wait=False)
        if gate is None:
            raise CacheError("a build is using this cache; try again when it has ended", code="cache-busy")
        try:
            yield
        finally:
            os.close(gate)

    def _gate(self, *, shared: bool, wait: bool) -> int | None:
        if sys.platform == "win32":  # pragma: no cover
            return self._windows_gate(shared=shared)
        fd = os.open(self.folder / "gate", os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), PRIVATE_MODE)
        if _lock(fd, shared=shared, wait=wait):
            return fd
        os.close(fd)
        return None

    def _windows_gate(self, *, shared: bool) -> int | None:  # pragma: no cover
        """Without shared locks the gate is a look at who is alive."""
        if not shared and self.alive():
            return None
        return os.open(self.folder / "gate", os.O_RDWR | os.O_CREAT, PRIVATE_MODE)

    def _known(self) -> list[str]:
        try:
            names = os.listdir(self.folder)
        except FileNotFoundError:
            return []
        return [name[:32] for name in names if name.endswith(".lock") and _ID.match(name[:-5])]

    def _sweep(self) -> None:
        """Remove the files of builds that are dead: their ids never come back, and a missing file is dead too."""
        for build_id in self._known():
            if not self.is_alive(build_id) and self._older_than_a_moment(build_id):
                with contextlib.suppress(OSError):
                    self.path(build_id).unlink()

    def _older_than_a_moment(self, build_id: str) -> bool:
        """A build locks its file right after making it; one minute is ample."""
        try:
            return self._writer.ops.now() - self.path(build_id).stat().st_mtime > 60
        except FileNotFoundError:
            return False
