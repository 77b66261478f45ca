"""Put bytes under a name in one step: written beside, synced where they must last, renamed over what was there.

Knows no format. The cache's own writes, whose every system call a test can make fail, are in `cache/fsops.py`.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias

    Name: TypeAlias = str | os.PathLike[str]

SUFFIX = ".tmp"
WINDOWS_REPLACE_TRIES = 20
WINDOWS_REPLACE_PAUSE_S = 0.05
LONGEST_STEM = 80
"""Characters of a name that are kept in the temporary one: file systems allow 255 bytes."""


def rename(source: Name, target: Name, *, dir_fd: int | None = None, sleep: Callable[[float], None] = time.sleep) -> None:
    """Rename over `target`, both in `dir_fd` where one is given. Raises OSError.

    On Windows a reader or a virus scanner may hold a file for a moment: tried again for a second.
    """
    for attempt in range(WINDOWS_REPLACE_TRIES):
        try:
            return os.replace(source, target, src_dir_fd=dir_fd, dst_dir_fd=dir_fd)
        except PermissionError:
            if sys.platform != "win32" or attempt == WINDOWS_REPLACE_TRIES - 1:
                raise
        sleep(WINDOWS_REPLACE_PAUSE_S)  # pragma: no cover


def replace(path: Name, data: bytes, *, durable: bool = True) -> None:
    """Readers of `path` see the old bytes or the new ones. `durable`: they are on the disk when this returns.

    Its folder must be there. A failure leaves what was there, and nothing beside it. Raises OSError.
    """
    folder, name = os.path.split(os.fspath(path))
    temporary = os.path.join(folder, f".{name[:LONGEST_STEM]}.{os.urandom(6).hex()}{SUFFIX}")
    try:
        with open(temporary, "xb") as file:
            file.write(data)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        rename(temporary, path)
    except BaseException:
        remove(temporary)
        raise
    if durable:
        sync_folder(folder or ".")


def remove(path: Name) -> None:
    """Remove a file that need not be there, and whose removal nothing depends on."""
    try:
        os.unlink(path)
    except OSError:
        return


def sync_folder(folder: Name) -> None:
    """Make the names in a folder durable. Windows has no such call; its renames are journaled. Raises OSError."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
