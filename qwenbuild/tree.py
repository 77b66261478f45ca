"""Read, write and remove files of the output tree, without ever following a link out of it.

Knows neither manifest nor cache: it is told paths that were guarded, and filled with bytes by whoever calls.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
import stat
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from qwenbuild import files

Signature = tuple[int, int, int, int]
"""Size in bytes, mtime and ctime in nanoseconds, inode: by these a file is recognised as untouched."""

Remembered = Mapping[str, tuple[Signature, str]]
"""Path to the signature under which its digest was known, and the digest."""

CHUNK_BYTES = 1024 * 1024
BATCH = 64
SUFFIX = ".qwb-tmp"
STALE_S = 600.0
"""Seconds after which a temporary file is nobody's: writing one takes milliseconds."""
NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)
DIRECTORY = getattr(os, "O_DIRECTORY", 0)
HAS_DIR_FD = os.open in os.supports_dir_fd and os.rename in os.supports_dir_fd


class NotWritten(Exception):
    """A file of the tree could not be replaced; its bytes are in the vault, the next build writes it."""


@dataclass(frozen=True, slots=True)
class TreeFile:
    """A regular file of the tree."""

    digest: str
    signature: Signature


def signature_of(status: os.stat_result) -> Signature:
    """What a file is recognised by."""
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino


def observe(root: Path, paths: Collection[str], remembered: Remembered | None = None) -> dict[str, TreeFile]:
    """The regular files among `paths`, with their digests. What a link leads to is not there.

    Files whose signature is remembered are not read. Raises OSError for anything but "not there".
    """
    remembered = remembered or {}
    files: dict[str, TreeFile] = {}
    unread: list[tuple[str, Signature]] = []
    for path, signature in signatures(root, paths):
        entry = remembered.get(path)
        if entry is not None and entry[0] == signature:
            files[path] = TreeFile(entry[1], signature)
        else:
            unread.append((path, signature))
    for path, signature, digest in _digests(root, unread):
        files[path] = TreeFile(digest, signature)
    return files


def signatures(root: Path, paths: Collection[str]) -> Iterator[tuple[str, Signature]]:
    """The signature of each regular file among `paths`. Raises OSError for anything but "not there"."""
    real: dict[str, bool] = {"": True}
    base = str(root)
    for path in paths:
        if not _is_real_folder(base, path.rpartition("/")[0], real):
            continue
        try:
            status = os.lstat(f"{base}/{path}")
        except (FileNotFoundError, NotADirectoryError):
            continue
        if stat.S_ISREG(status.st_mode):
            yield path, signature_of(status)


def _is_real_folder(base: str, folder: str, answers: dict[str, bool]) -> bool:
    """Whether `folder` is there and no part of it below the root is a link. Asked once for each folder."""
    answer = answers.get(folder)
    if answer is None:
        above = _is_real_folder(base, folder.rpartition("/")[0], answers)
        answer = answers[folder] = above and _is_there(f"{base}/{folder}")
    return answer


def _is_there(folder: str) -> bool:
    """Whether something is there that is no link. A folder that cannot be looked at is asked for each file, for its error."""
    try:
        return not stat.S_ISLNK(os.lstat(folder).st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True


def _digests(root: Path, unread: list[tuple[str, Signature]]) -> Iterator[tuple[str, Signature, str]]:
    if len(unread) < BATCH:
        yield from _digest_batch(root, unread)
        return
    batches = [unread[start : start + BATCH] for start in range(0, len(unread), BATCH)]
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as threads:
        for batch in threads.map(lambda batch: list(_digest_batch(root, batch)), batches):
            yield from batch


def _digest_batch(root: Path, batch: list[tuple[str, Signature]]) -> Iterator[tuple[str, Signature, str]]:
    for path, signature in batch:
        with contextlib.suppress(FileNotFoundError):
            yield path, signature, digest_of(root / path)


def digest_of(path: Path) -> str:
    """SHA-256 of a file's bytes, never through a link."""
    descriptor = os.open(path, os.O_RDONLY | NO_FOLLOW | getattr(os, "O_BINARY", 0))
    with open(descriptor, "rb", buffering=0) as file:
        return hashlib.file_digest(file, hashlib.sha256).hexdigest()


def read(root: Path, path: str) -> bytes:
    """The bytes of a file of the tree, never through a link."""
    descriptor = os.open(root / path, os.O_RDONLY | NO_FOLLOW | getattr(os, "O_BINARY", 0))
    with open(descriptor, "rb") as file:
        return file.read()


# ---------------------------------------------------------------- writing


def place(root: Path, path: str, fill: Callable[[int], None], expected: Signature | None, digest: str = "") -> Signature:
    """Replace the file at `path` by what `fill` writes into the descriptor it gets; the new file's signature.

    `expected` is the signature seen when the plan was made, None for "not there": whatever came since is a person's, unless
    it has the very bytes, by `digest`, that are to be written: then another build was quicker.
    Raises NotWritten with a sentence. The file is not fsynced: the vault has the bytes.
    """
    try:
        with _folder(root, path, make=True) as (descriptor, name):
            newcomer = _signature(descriptor, name)
            if newcomer is None or newcomer == expected:
                return _replace(descriptor, name, fill)
            if digest and _digest(descriptor, name) == digest:
                return newcomer
            raise NotWritten("the file changed while the build ran; it is left alone")
    except OSError as error:
        raise NotWritten(_why(error)) from error


def remove(root: Path, path: str, expected: Signature) -> bool:
    """Remove a file that is still the one that was seen, and the folders it leaves empty. False when it is gone.

    Raises NotWritten with a sentence.
    """
    try:
        with _folder(root, path, make=False) as (descriptor, name):
            if _signature(descriptor, name) != expected:
                return False
            _unlink(descriptor, name)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise NotWritten(_why(error)) from error
    _remove_empty(root, path)
    return True


def probe(folder: Path) -> None:
    """Make `folder` if it is not there, write a file into it, rename it and remove it. Raises NotWritten with a sentence."""
    stem = f".probe.{secrets.token_hex(4)}"
    first, second = folder / f"{stem}.1{SUFFIX}", folder / f"{stem}.2{SUFFIX}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            first.write_bytes(b"qwenbuild")
            files.rename(first, second)
        finally:
            for path in (first, second):
                path.unlink(missing_ok=True)
    except OSError as error:
        raise NotWritten(_why(error)) from error


def sweep(root: Path, paths: Collection[str]) -> None:
    """Remove temporary files that a killed build left beside `paths`; young ones may belong to a build that runs."""
    real: dict[str, bool] = {"": True}
    for folder in {path.rpartition("/")[0] for path in paths}:
        if not _is_real_folder(str(root), folder, real):
            continue
        with contextlib.suppress(OSError), os.scandir(root / folder) as items:
            for item in items:
                if item.name.endswith(SUFFIX) and _is_stale(item):
                    os.unlink(item.path)


def _is_stale(item: os.DirEntry[str]) -> bool:
    status = item.stat(follow_symlinks=False)
    return stat.S_ISREG(status.st_mode) and time.time() - status.st_mtime > STALE_S


Place = tuple["int | str", str]


@contextlib.contextmanager
def _folder(root: Path, path: str, *, make: bool) -> Iterator[Place]:
    """The folder of `path`, opened part by part without following links, and the file's name."""
    parts = PurePosixPath(path).parts
    if not parts or parts[0] == "/" or ".." in parts:
        raise OSError(errno.EINVAL, "the path leads out of the output folder", path)
    if not HAS_DIR_FD:
        yield _checked_folder(root, parts, make=make), parts[-1]
        return
    if make:
        root.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(root, os.O_RDONLY | DIRECTORY)
    try:
        for part in parts[:-1]:
            descriptor = _step_down(descriptor, part, make=make)
        yield descriptor, parts[-1]
    finally:
        os.close(descriptor)


def _step_down(descriptor: int, part: str, *, make: bool) -> int:
    flags = os.O_RDONLY | DIRECTORY | NO_FOLLOW
    try:
        below = os.open(part, flags, dir_fd=descriptor)
    except FileNotFoundError:
        if not make:
            raise
        with contextlib.suppress(FileExistsError):
            os.mkdir(part, dir_fd=descriptor)
        below = os.open(part, flags, dir_fd=descriptor)
    os.close(descriptor)
    return below


def _checked_folder(root: Path, parts: tuple[str, ...], *, make: bool) -> str:
    """Where the system has no directory descriptors: each part is looked at before it is used."""
    folder = root
    for part in parts[:-1]:
        folder = folder / part
        if folder.is_symlink():
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(folder))
    if make:
        folder.mkdir(parents=True, exist_ok=True)
    return str(folder)


def _at(folder: int | str, name: str) -> tuple[str, int | None]:
    return (name, folder) if isinstance(folder, int) else (os.path.join(folder, name), None)


def _signature(folder: int | str, name: str) -> Signature | None:
    where, descriptor = _at(folder, name)
    try:
        status = os.stat(where, dir_fd=descriptor, follow_symlinks=False)
    except FileNotFoundError:
        return None
    if stat.S_ISLNK(status.st_mode):
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), name)
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EISDIR, "a folder or special file stands there", name)
    return signature_of(status)


def _digest(folder: int | str, name: str) -> str:
    where, descriptor = _at(folder, name)
    with open(os.open(where, os.O_RDONLY | NO_FOLLOW | getattr(os, "O_BINARY", 0), dir_fd=descriptor), "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _replace(folder: int | str, name: str, fill: Callable[[int], None]) -> Signature:
    temporary = f".{name[:80]}.{secrets.token_hex(4)}{SUFFIX}"
    where, descriptor = _at(folder, temporary)
    file = os.open(where, os.O_RDWR | os.O_CREAT | os.O_EXCL | NO_FOLLOW | getattr(os, "O_BINARY", 0), 0o666, dir_fd=descriptor)
    try:
        try:
            fill(file)
            status = _stamped(file)
        finally:
            os.close(file)
        target, _ = _at(folder, name)
        files.rename(where, target, dir_fd=descriptor)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(where, dir_fd=descriptor)
        raise
    written, current = signature_of(status), _signature(folder, name)
    ours = current is not None and (current[0], current[1], current[3]) == (written[0], written[1], written[3])
    return current if current is not None and ours else written  # what a person put there meanwhile never counts as ours


def _stamped(file: int) -> os.stat_result:
    """The status of a file that was just written, its time made exact: the system's own clock for files ticks in
    milliseconds, and another writing within the same tick must still show.
    """
    if os.utime in os.supports_fd:
        now = time.time_ns()
        os.utime(file, ns=(now, now))
    return os.fstat(file)


def _unlink(folder: int | str, name: str) -> None:
    where, descriptor = _at(folder, name)
    os.unlink(where, dir_fd=descriptor)


def _remove_empty(root: Path, path: str) -> None:
    folder = (root / path).parent
    while folder != root and root in folder.parents:
        try:
            folder.rmdir()
        except OSError:
            return
        folder = folder.parent


WORDS = {
    errno.ELOOP: "a link stands in the way and is not followed",
    errno.ENOTDIR: "a link or a file stands where a folder is needed",
    errno.EISDIR: "a folder or special file stands there",
    errno.EACCES: "permission denied",
    errno.EPERM: "permission denied",
    errno.EROFS: "the file system is read-only",
    errno.ENOSPC: "no space left on the device",
}


def _why(error: OSError) -> str:
    return WORDS.get(error.errno or 0, error.strerror or str(error))


def write_all(descriptor: int, data: bytes) -> None:
    """Write all of `data`."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
