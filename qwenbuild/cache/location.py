"""Where the cache is, and whether that is a place for paid pictures: owner, mode, kind of file system.

Knows nothing of what is inside.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Mapping
from pathlib import Path

from qwenbuild.errors import CacheError, InputError

VARIABLE = "QWENBUILD_CACHE_DIR"

_SERVERS = ("nfs", "nfs3", "nfs4", "cifs", "smb", "smb2", "smb3", "smbfs", "afpfs", "afs", "ncpfs", "webdav", "davfs", "prl_fs")
_CLUSTERS = ("ceph", "lustre", "beegfs", "gpfs", "glusterfs", "ocfs2", "gfs2")
_FUSE = ("sshfs", "glusterfs", "rclone", "s3fs", "davfs", "davfs2", "ceph", "gcsfuse", "blobfuse", "juicefs")
NETWORK_TYPES = frozenset((*_SERVERS, *_CLUSTERS, *(f"fuse.{name}" for name in _FUSE)))
"""File systems over which SQLite's locks are not reliable (sqlite.org/howtocorrupt.html, section 2.1)."""


def cache_dir(environ: Mapping[str, str]) -> Path:
    """The cache's folder, absolute; nothing is made. Raises InputError when there is no home directory to put it in."""
    folder = environ.get(VARIABLE)
    if folder:
        return Path(os.path.abspath(os.path.expanduser(folder)))
    if environ.get("XDG_DATA_HOME") and sys.platform not in ("win32", "darwin"):
        return Path(os.path.abspath(environ["XDG_DATA_HOME"])) / "qwenbuild"
    home = environ.get("HOME") or environ.get("USERPROFILE") or ""
    if not home or not Path(home).is_dir():
        raise InputError(
            f"there is no home directory for the cache ({home or 'HOME is not set'}); "
            f"set {VARIABLE} to a folder on a local disk",
            code="no-home",
        )
    return _below_home(Path(home))


def _below_home(home: Path) -> Path:
    import platformdirs

    path = Path(platformdirs.user_data_dir("qwenbuild", appauthor=False))
    own = Path(os.path.expanduser("~"))
    return home / path.relative_to(own) if path.is_relative_to(own) else path


def check_place(root: Path, mounts: str | None = None) -> list[str]:
    """Notices about who else can write here. Raises CacheError when the root is a file or on a network file system."""
    existing = root
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    if existing == root and not root.is_dir():
        raise CacheError(f"{root} is not a folder; set {VARIABLE} to one on a local disk", code="cache-place")
    kind = file_system(existing, mounts)
    if kind in NETWORK_TYPES:
        raise CacheError(
            f"the cache {root} is on a network file system ({kind}), whose locks cannot keep two builds apart; "
            f"set {VARIABLE} to a folder on a local disk (to share pictures with others use `remote:`)",
            code="cache-network",
        )
    return _trust(root) if existing == root else []


def _trust(root: Path) -> list[str]:
    if not hasattr(os, "getuid"):
        return []  # pragma: no cover
    status = root.stat()
    notices = []
    if status.st_uid != os.getuid():
        notices.append(f"the cache {root} belongs to another user: whoever that is decides which pictures you get")
    if stat.S_IMODE(status.st_mode) & 0o022:
        notices.append(f"the cache {root} can be written by other users; close it with: chmod 700 {root}")
    return notices


def file_system(path: Path, mounts: str | None = None) -> str:
    """The type of the file system under an existing path, "" where it cannot be told. `mounts` replaces mountinfo."""
    if sys.platform == "win32":  # pragma: no cover
        return _windows_type(path)
    if sys.platform == "darwin" and mounts is None:  # pragma: no cover
        return _bsd_type(path)
    if mounts is None:
        try:
            mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape")
        except OSError:
            return ""
    return mount_type(os.path.realpath(path), mounts)


def mount_type(path: str, mountinfo: str) -> str:
    """The type of the mount that holds an absolute path, by proc(5)'s mountinfo: the longest mount point, the last on a tie."""
    best, kind = -1, ""
    for line in mountinfo.splitlines():
        left, _, right = line.partition(" - ")
        fields = left.split(" ")
        if len(fields) < 5 or not right:
            continue
        point = fields[4].replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\")
        if len(point) >= best and (path == point or path.startswith(point.rstrip("/") + "/")):
            best, kind = len(point), right.split(" ", 1)[0]
    return kind


def _bsd_type(path: Path) -> str:  # pragma: no cover
    import subprocess

    output = subprocess.run(["/sbin/mount"], capture_output=True, text=True, check=False).stdout
    return bsd_mount_type(os.path.realpath(path), output)


def bsd_mount_type(path: str, output: str) -> str:
    """The type by the output of macOS's `mount`: `//host/share on /Volumes/x (smbfs, nodev)`."""
    best, kind = -1, ""
    for line in output.splitlines():
        point, _, rest = line.partition(" on ")[2].rpartition(" (")
        if len(point) >= best and point and (path == point or path.startswith(point.rstrip("/") + "/")):
            best, kind = len(point), rest.split(",", 1)[0].rstrip(")")
    return kind


def _windows_type(path: Path) -> str:  # pragma: no cover
    import ctypes

    drive = os.path.splitdrive(os.path.abspath(path))[0]
    if drive.startswith("\\\\"):
        return "smb"
    remote = 4  # DRIVE_REMOTE of fileapi.h
    windll: object = getattr(ctypes, "windll", None)
    kernel: object = getattr(windll, "kernel32", None)
    ask = getattr(kernel, "GetDriveTypeW", None)
    return "smb" if ask is not None and ask(drive + "\\") == remote else ""
