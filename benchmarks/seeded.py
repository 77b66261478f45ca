"""Bring a project to where a build would have brought it, without drawing its pictures: receipts, pictures, files, lockfile.

    python benchmarks/seeded.py FOLDER CACHE          # FOLDER holds a manifest and was never built

Every entry gets a PNG of 8 by 8 pixels and its own text, so that 100,000 entries need minutes and not hours. One real build
follows: it must find nothing to do, and leaves the remembered state. Does not know what is measured afterwards.
"""

from __future__ import annotations

import hashlib
import os
import struct
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

from qwenbuild import verbs
from qwenbuild.cache import Cache
from qwenbuild.cache.fsops import FileOps
from qwenbuild.key import document, short_document
from qwenbuild.lock import layout
from qwenbuild.model import ActionResult, LockEntry, LockOutput, Step

DAY = "2026-01-01"


class Unsynced(FileOps):
    """The disk is not waited for: what a power cut takes from a benchmark is made again."""

    def fsync(self, fd: int) -> None:
        return

    def fsync_folder(self, path: Path) -> None:
        return


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def picture(text: str) -> bytes:
    """A grey PNG of 8 by 8 pixels that says `text`, so that its bytes are its own."""
    header = struct.pack(">IIBBBBB", 8, 8, 8, 0, 0, 0, 0)
    parts = ((b"IHDR", header), (b"tEXt", b"Comment\0" + text.encode("latin-1", "replace")), (b"IDAT", PIXELS), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(name, body) for name, body in parts)


PIXELS = zlib.compress((b"\0" + b"\x80" * 8) * 8)


def seed(folder: Path, root: Path) -> None:
    """Make the project's pictures, receipts, files and lockfile; the index is left to `cache rebuild`."""
    os.environ["QWENBUILD_CACHE_DIR"] = str(root)
    planned = verbs.plan(verbs.Options(folder))
    cache = Cache(root, Unsynced())
    records = dict(_made(step, cache, planned.loaded.root) for step in planned.plan.steps)
    planned.loaded.lock_path.write_bytes(layout.text(records, Path(planned.manifest.file).name))
    cache.close()


def _made(step: Step, cache: Cache, tree: Path) -> tuple[str, LockEntry]:
    data = picture(step.id)
    digest = cache.put_blob(data)
    action, key = step.candidates[0].candidate.action, step.candidates[0].candidate.key
    cache.put_receipt(ActionResult(key, digest, "image/png", 8, 8, len(data), DAY, "benchmark", action=document(action)))
    for path in _paths(step):
        target = tree / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    return step.id, LockEntry(key, digest, short_document(action), DAY, {path: LockOutput() for path in _paths(step)})


def _paths(step: Step) -> Iterator[str]:
    return (spec.path for spec in step.keyed.entry.outputs)


def settle(folder: Path, root: Path, command: str) -> None:
    """Make the index, and let a build find that nothing is to do."""
    env = {**os.environ, "QWENBUILD_CACHE_DIR": str(root)}
    subprocess.run([command, "cache", "rebuild"], cwd=folder, env=env, check=True, stdout=subprocess.DEVNULL)
    said = subprocess.run([command, "build"], cwd=folder, env=env, check=True, capture_output=True, text=True).stdout
    if "Nothing to do" not in said:
        raise RuntimeError(f"the seeded project is not what a build makes: {said}")


def main() -> None:
    folder, root = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()
    assert hashlib.sha256(picture("a")).digest() != hashlib.sha256(picture("b")).digest()
    seed(folder, root)
    settle(folder, root, str(Path(sys.executable).with_name("qwenbuild")))


if __name__ == "__main__":
    main()
