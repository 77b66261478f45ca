"""What the cache's tests share: made-up results, file operations that fail, record, and replay every legal disk."""

from __future__ import annotations

import errno
import hashlib
import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from qwenbuild.cache import Cache, Intent
from qwenbuild.cache.attempts import Attempt, Busy
from qwenbuild.cache.fsops import FileOps
from qwenbuild.model import ActionResult, Ticket

PICTURE = b"\x89PNG picture " + bytes(range(256)) * 8


def key(number: int) -> str:
    return hashlib.sha256(f"key {number}".encode()).hexdigest()


def picture(number: int) -> bytes:
    return PICTURE + str(number).encode()


def digest_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def result(number: int, data: bytes | None = None, **changes: Any) -> ActionResult:
    data = picture(number) if data is None else data
    given: dict[str, Any] = {
        "key": key(number),
        "digest": digest_of(data),
        "media_type": "image/png",
        "width": 1,
        "height": 2,
        "size": len(data),
        "made": "2026-11-20",
        "provider": "dashscope",
        "task_id": f"task-{number}",
        "request_id": "r",
        "actual_prompt": "a fox 狐",
        "billed": {"usd": Decimal("0.03")},
        "attempt": hashlib.md5(f"attempt {number}".encode()).hexdigest(),
        "action": {
            "prompt": "a fox",
            "seed": number,
            "model": "m",
            "family": "dashscope",
            "size": "1*2",
            "negative_prompt": "",
        },
    }
    return ActionResult(**{**given, **changes})


def store(cache: Cache, number: int) -> ActionResult:
    made = result(number)
    cache.put_blob(picture(number))
    cache.put_result(made)
    return made


def begin(cache: Cache, number: int, build: str = "", **changes: Any) -> Attempt | Busy:
    given: dict[str, Any] = {
        "build": build,
        "project": "/p/qwenbuild.lock",
        "entry": f"e{number}",
        "key": key(number),
        "provider": "dashscope",
        "family": "dashscope",
        "account": "acc",
        "base_url": "https://example.test",
        "model": "m",
        "action": {"prompt": "a fox", "seed": number},
        "body": b'{"prompt": "a fox"}',
        "price": {"usd": Decimal("0.03")},
    }
    return cache.journal.begin(Intent(**{**given, **changes}))


def begun(cache: Cache, number: int, build: str = "", **changes: Any) -> Attempt:
    attempt = begin(cache, number, build, **changes)
    assert isinstance(attempt, Attempt)
    return attempt


def ticket(number: int, **changes: Any) -> Ticket:
    given = {"provider": "dashscope", "base_url": "https://example.test", "task_id": f"task-{number}"}
    return Ticket(**{**given, "url": f"https://cdn.test/{number}.png?Signature=secret", **changes})


CHANGING = ("open_new", "write", "fchmod", "fsync", "close", "replace", "fsync_folder", "mkdir", "unlink", "rmdir")


class Failing(FileOps):
    """Fails once, at call n of the operations that change a disk. Syncs are only counted."""

    def __init__(self, at: int, code: int = errno.ENOSPC, *, forever: bool = False) -> None:
        self.at, self.code, self.forever, self.calls = at, code, forever, 0
        for name in CHANGING:
            setattr(self, name, self._counting(getattr(FileOps, name)))

    def _counting(self, real: Any) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            self.calls += 1
            if self.calls == self.at or (self.forever and self.calls > self.at):
                if real is FileOps.close:
                    os.close(args[0])
                raise OSError(self.code, os.strerror(self.code))
            return None if real in (FileOps.fsync, FileOps.fsync_folder) else real(self, *args, **kwargs)

        return call


@dataclass
class Op:
    kind: str
    path: Path = Path()
    inode: int = 0
    data: bytes = b""
    folder: Path = Path()


@dataclass
class Recording(FileOps):
    """Does everything for real and writes down what was done, an inode a file."""

    log: list[Op] = field(default_factory=list)
    forget: tuple[str, ...] = ()
    _names: dict[Path, int] = field(default_factory=dict)
    _fds: dict[int, int] = field(default_factory=dict)
    _count: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def _note(self, op: Op) -> None:
        if op.kind not in self.forget:
            self.log.append(op)

    def open_new(self, path: Path, mode: int, *, dir_fd: int | None = None) -> int:
        fd = super().open_new(path, mode, dir_fd=dir_fd)
        self._fds[fd] = self._names[path] = next(self._count)
        self._note(Op("create", path, self._fds[fd], folder=path.parent))
        return fd

    def write(self, fd: int, data: bytes | memoryview) -> int:
        count = super().write(fd, data)
        if fd in self._fds:
            self._note(Op("write", inode=self._fds[fd], data=bytes(data[:count])))
        return count

    def fsync(self, fd: int) -> None:
        super().fsync(fd)
        if fd in self._fds:
            self._note(Op("fsync", inode=self._fds[fd]))

    def close(self, fd: int) -> None:
        super().close(fd)
        self._fds.pop(fd, None)

    def replace(self, source: Path, target: Path) -> None:
        super().replace(source, target)
        self._names[target] = self._names.pop(source, 0)
        self._note(Op("replace", target, self._names[target], folder=target.parent, data=str(source).encode()))

    def fsync_folder(self, path: Path) -> None:
        super().fsync_folder(path)
        self._note(Op("fsync_folder", folder=path))

    def mkdir(self, path: Path) -> None:
        super().mkdir(path)
        self._note(Op("mkdir", path, folder=path.parent))

    def unlink(self, path: Path) -> None:
        super().unlink(path)
        self._note(Op("unlink", path, folder=path.parent))

    def event(self, kind: str, data: bytes = b"") -> None:
        """Something that other parties know from here on: an acknowledgement, a commit of the journal."""
        self.log.append(Op(kind, data=data))


NAMING = ("create", "replace", "mkdir", "unlink")
AT_ONCE = 3
"""So many names are lost together at most: with every sync in its place no more are ever loose; without, one is enough."""


def disks(log: list[Op]) -> Iterator[tuple[int, dict[Path, bytes | None]]]:
    """Every legal disk after a crash: (operations done, path → bytes, None for a folder).

    A name counts once its folder is synced, before that any subset of the names may have survived; bytes count once
    their file is synced, before that they may be old, empty, half, one short or zeros.
    """
    seen = set()
    for done in range(len(log) + 1):
        past = log[:done]
        events = tuple(op.kind for op in past).count("ack"), tuple(op.kind for op in past).count("stored")
        loose = [index for index, op in enumerate(past) if op.kind in NAMING and not _synced(past, index)]
        for size in range(min(len(loose), AT_ONCE) + 1):
            for lost in itertools.combinations(loose, size):
                for disk in _contents(past, set(lost)):
                    mark = (events, tuple(sorted((str(path), data) for path, data in disk.items() if data is not None)))
                    if mark not in seen:
                        seen.add(mark)
                        yield done, disk


def _synced(past: list[Op], index: int) -> bool:
    return any(op.kind == "fsync_folder" and op.folder == past[index].folder for op in past[index + 1 :])


def _contents(past: list[Op], lost: set[int]) -> Iterator[dict[Path, bytes | None]]:
    tree: dict[Path, int] = {}
    folders = {op.folder for op in past if op.kind in NAMING}
    made = {op.path for op in past if op.kind == "mkdir"}
    standing = folders - made
    for index, op in enumerate(past):
        if op.kind not in NAMING or index in lost or not all(parent in standing for parent in _chain(op.folder, made)):
            continue
        if op.kind == "mkdir":
            standing.add(op.path)
        elif op.kind == "unlink":
            tree.pop(op.path, None)
        else:
            tree[op.path] = op.inode
            if op.kind == "replace":
                tree.pop(Path(op.data.decode()), None)
    options = {path: _bytes_of(past, inode) for path, inode in tree.items()}
    whole: dict[Path, bytes | None] = {**dict.fromkeys(standing & made), **{path: data[0] for path, data in options.items()}}
    yield whole
    for path, others in options.items():
        for data in others[1:]:
            yield {**whole, path: data}


def _chain(folder: Path, made: set[Path]) -> list[Path]:
    return [path for path in (folder, *folder.parents) if path in made]


def _bytes_of(past: list[Op], inode: int) -> list[bytes]:
    """The whole bytes first, then what else the disk may hold."""
    whole, safe = b"", b""
    for op in past:
        if op.inode == inode and op.kind == "write":
            whole += op.data
        elif op.inode == inode and op.kind == "fsync":
            safe = whole
    if safe == whole:
        return [whole]
    return [whole, safe, whole[: len(whole) // 2], whole[:-1], bytes(len(whole))]


def lay_out(disk: dict[Path, bytes | None], source: Path, target: Path) -> Path:
    """Write a disk down below `target`; its paths stood below `source`."""
    target.mkdir(parents=True)
    for path, data in sorted(disk.items()):
        new = target / path.relative_to(source)
        if data is None:
            new.mkdir(parents=True, exist_ok=True)
        else:
            new.parent.mkdir(parents=True, exist_ok=True)
            new.write_bytes(data)
    return target
