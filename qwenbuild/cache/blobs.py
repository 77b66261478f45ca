"""Image bytes exactly as received, one read-only file a digest, hashed whenever they are read.

Knows no key, no receipt and no price: only bytes and their SHA-256.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import sys
import threading
from collections.abc import Container, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from qwenbuild.cache.fsops import CHUNK_BYTES, READ_ONLY_MODE, READING, Writer, read_file, same_bytes, write_all
from qwenbuild.cache.seal import seal, sha256, without_query
from qwenbuild.errors import CacheError

FICLONE = 0x40049409
"""linux/fs.h: share the bytes of another file until one of the two is changed."""

HELD_BYTES_MAX = 64 << 20
"""Bytes of pictures on their way from the network to the tree that are held in memory at most."""

_DIGEST = re.compile(r"[0-9a-f]{64}\Z")


class BlobCorrupt(CacheError):
    """A blob's bytes are not those its name promises. The file was set aside, not deleted."""


class CopyFailed(OSError):
    """A copy could not be written where it was wanted: another disk's fault than the cache's."""


@contextlib.contextmanager
def _copying() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise CopyFailed(*error.args) from error


def is_digest(text: str) -> bool:
    """Is this 64 lower-case hex digits?"""
    return _DIGEST.match(text) is not None


def check_digest(text: str) -> str:
    """The text when it is a digest; a file name is made from it. Raises CacheError."""
    if not is_digest(text):
        raise CacheError(f"not a SHA-256: {text[:80]!r}", code="cache-digest")
    return text


class Blobs:
    """The folders `blobs` and `quarantine`. Every method raises OSError as the system gives it."""

    def __init__(self, root: Path, writer: Writer) -> None:
        self.folder = root / "blobs"
        self.aside = root / "quarantine"
        self._writer = writer
        self._held: dict[str, bytes] = {}
        self._holding = threading.Lock()

    def path(self, digest: str) -> Path:
        """Where the bytes are, or would be."""
        return self.folder / check_digest(digest)[:2] / digest

    def has(self, digest: str) -> bool:
        """Is there a file of that name? Its bytes are not read."""
        try:
            os.stat(self.path(digest))
        except FileNotFoundError:
            return False
        return True

    def sweep(self) -> Iterator[os.DirEntry[str]]:
        """Every blob's directory entry, folder by folder."""
        for shard in folders_of(self.folder):
            with os.scandir(shard) as entries:
                yield from (entry for entry in entries if is_digest(entry.name))

    def names(self, shards: Container[str] | None = None) -> Iterator[str]:
        """The digests of all blobs, or of those whose first two digits are among `shards`."""
        for shard in folders_of(self.folder):
            if shards is None or shard.name in shards:
                yield from filter(_DIGEST.match, os.listdir(shard))

    def read(self, digest: str) -> bytes:
        """The bytes. Raises FileNotFoundError, BlobCorrupt (the file is then in quarantine)."""
        data = read_file(self.path(digest))
        if sha256(data) != digest:
            raise self.set_aside(digest)
        return data

    def put(self, data: bytes, *, durable: bool = True) -> str:
        """Store bytes durably and read them back; storing the same twice is harmless. Returns their digest.

        Without `durable` nothing is synced: a power cut may leave a blob that is set aside when it is read.

        Raises BlobCorrupt when the disk gives other bytes back than were written.
        """
        digest = sha256(data)
        path = self.path(digest)
        if self._holds(path, digest):
            if durable:
                self._writer.settle(path)
            return digest
        self._writer.write(path, data, mode=READ_ONLY_MODE, durable=durable)
        if not same_bytes(path, data):
            raise self.set_aside(digest)
        return digest

    def put_many(self, pictures: Sequence[bytes]) -> list[str]:
        """Store the bytes of several pictures as `put` does; they share the syncs of folders. Their digests, in order."""
        digests = [sha256(data) for data in pictures]
        fresh = {}
        for digest, data in zip(digests, pictures, strict=True):
            if digest in fresh:
                continue
            if self.has(digest):
                self.put(data)
            else:
                fresh[digest] = data
        self._writer.write_many([(self.path(digest), data) for digest, data in fresh.items()], mode=READ_ONLY_MODE)
        for digest, data in fresh.items():
            if not same_bytes(self.path(digest), data):
                raise self.set_aside(digest)
        return digests

    def hold(self, data: bytes, digest: str) -> None:
        """Keep bytes that `put` has just stored in memory until `fill` asks for them; the oldest go first."""
        with self._holding:
            self._held[digest] = data
            while sum(map(len, self._held.values())) > HELD_BYTES_MAX:
                del self._held[next(iter(self._held))]

    def put_again(self, data: bytes, digest: str) -> None:
        """Store bytes that were just verified and can be had again: nothing is synced, and nothing read back."""
        path = self.path(digest)
        if not self._holds(path, digest):
            self._writer.write(path, data, mode=READ_ONLY_MODE, durable=False)

    def _holds(self, path: Path, digest: str) -> bool:
        try:
            good = sha256(read_file(path)) == digest
        except FileNotFoundError:
            return False
        if not good:
            self.set_aside(digest)
        return good

    def set_aside(self, digest: str) -> BlobCorrupt:
        """Move a blob whose bytes are wrong into quarantine; returns the error to raise."""
        self._writer.folder(self.aside)
        number = 1
        while (target := self.aside / f"{digest}.corrupt-{number}").exists():
            number += 1
        with contextlib.suppress(FileNotFoundError):
            self._writer.ops.replace(self.path(digest), target)
            self._writer.ops.fsync_folder(self.aside)
        return BlobCorrupt(f"blob {digest} does not match its digest; set aside as {target}", code="blob-corrupt")

    def quarantine(self, data: bytes, note: Mapping[str, Any]) -> Path:
        """Keep bytes that were paid for and failed a check, with a sealed note about them; the bytes' path."""
        digest = sha256(data)
        path = self.aside / digest
        self._writer.write(path, data, mode=READ_ONLY_MODE)
        record = {"kind": "quarantine", "v": 1, "digest": digest, "size": len(data), "note": without_query(note)}
        self._writer.write(path.with_name(f"{digest}.json"), seal(record))
        return path

    def copy(self, digest: str, target: Path, *, mode: int = 0o666, dir_fd: int | None = None) -> None:
        """Make `target`, which must not exist, a copy that shares no later change with the blob: a reflink, else a copy.

        Never a hard link: an edit of the output would change the blob. The bytes are hashed on the way; when they are
        wrong the target is removed again and BlobCorrupt raised. `target` is relative to `dir_fd` where one is given;
        `mode` is cut by the umask.
        """
        source = os.open(self.path(digest), READING)
        try:
            fd = self._writer.ops.open_new(target, mode, dir_fd=dir_fd)
            try:
                copied_digest = self._fill(source, fd)
            except BaseException:
                self._drop(fd, target, dir_fd)
                raise
            if copied_digest != digest:
                self._drop(fd, target, dir_fd)
                raise self.set_aside(digest)
            self._writer.ops.close(fd)
        finally:
            os.close(source)

    def fill(self, digest: str, fd: int) -> None:
        """Write a blob's bytes into an open, empty file; BlobCorrupt when they are wrong, and the file is nobody's then."""
        with self._holding:
            data = self._held.pop(digest, None)
        source = os.open(self.path(digest), READING)
        try:
            if data is None and self._fill(source, fd) != digest:
                raise self.set_aside(digest)
            if data is not None:
                with _copying():
                    if not _clone(source, fd):
                        write_all(self._writer.ops, fd, data)
        finally:
            os.close(source)

    def _fill(self, source: int, fd: int) -> str:
        with _copying():
            cloned = _clone(source, fd)
        hasher = hashlib.sha256()
        while chunk := os.read(source, CHUNK_BYTES):
            hasher.update(chunk)
            if not cloned:
                with _copying():
                    write_all(self._writer.ops, fd, chunk)
        return hasher.hexdigest()

    def _drop(self, fd: int, target: Path, dir_fd: int | None) -> None:
        self._writer.ops.close(fd)
        with contextlib.suppress(OSError):
            os.unlink(target, dir_fd=dir_fd)


def folders_of(path: Path) -> list[Path]:
    """The two-hex folders below a folder, sorted; none when it is not there. Raises OSError."""
    try:
        names = sorted(name for name in os.listdir(path) if len(name) == 2)
    except FileNotFoundError:
        return []
    return [path / name for name in names]


def _clone(source: int, target: int) -> bool:
    if not sys.platform.startswith("linux"):
        return False  # pragma: no cover
    import fcntl

    try:
        fcntl.ioctl(target, FICLONE, source)
    except OSError as error:
        if error.errno in (errno.EOPNOTSUPP, errno.EXDEV, errno.EINVAL, errno.ENOTTY, errno.ENOSYS, errno.EPERM, errno.EBADF):
            return False
        raise
    return True
