"""Small pictures for the page, made once for each picture and kept by its digest.

Knows no page; where the bytes come from is a callable's matter.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from qwenbuild.images import sniff

SMALL, LARGE = 480, 1024
"""Widths in pixels: in the grid, and when one picture fills the screen."""
_NUMBERS = count()


@dataclass(frozen=True, slots=True)
class Thumbnails:
    """The folder where they are kept, and how a picture's bytes are found."""

    folder: Path
    read: Callable[[str], bytes | None]

    def make(self, digest: str, width: int) -> Path | None:
        """The thumbnail of a picture; None when its bytes are nowhere or are no picture. Raises OSError."""
        path = self.path(digest, width)
        if path.is_file():
            return path
        data = self._larger(digest, width) or self.read(digest)
        if data is None:
            return None
        from qwenbuild.images import thumbnail

        try:
            small = thumbnail(data, width)
        except ValueError:
            return None
        _write(path, small)
        return path

    def path(self, digest: str, width: int) -> Path:
        """Where the thumbnail is, or will be."""
        return self.folder / name_of(digest, width)

    def make_all(self, digests: Iterable[str], told: Callable[[int], None] = lambda done: None) -> dict[str, tuple[int, int]]:
        """Make both widths for all; the size in pixels of each picture that could be shown. `told` hears how many are done."""
        wanted = list(dict.fromkeys(digests))
        sizes: dict[str, tuple[int, int]] = {}
        with ThreadPoolExecutor(max_workers=os.cpu_count() or 2) as workers:
            for number, (digest, size) in enumerate(zip(wanted, workers.map(self._both, wanted), strict=True), 1):
                if size is not None:
                    sizes[digest] = size
                told(number)
        return sizes

    def _both(self, digest: str) -> tuple[int, int] | None:
        """The large one first: the small one is then made from it."""
        if self.make(digest, LARGE) is None or self.make(digest, SMALL) is None:
            return None
        return webp_size(self.path(digest, LARGE))

    def _larger(self, digest: str, width: int) -> bytes | None:
        path = self.path(digest, LARGE)
        return path.read_bytes() if width < LARGE and path.is_file() else None


def name_of(digest: str, width: int) -> str:
    """A thumbnail's file name."""
    return f"{digest}-{width}.webp"


def webp_size(path: Path) -> tuple[int, int] | None:
    """Width and height in pixels by the header alone."""
    from qwenbuild.images.structure import size_of

    with open(path, "rb") as file:
        head = file.read(64)
    if sniff(head) is None:
        return None
    return size_of(head)[1:]


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{next(_NUMBERS)}.tmp")
    try:
        temporary.write_bytes(data)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
