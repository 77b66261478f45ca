"""Small pictures for the page, made once for each picture and kept by its digest.

Knows no page; where the bytes come from is a callable's matter.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from qwenbuild import files
from qwenbuild.images import sniff
from qwenbuild.later import later
from qwenbuild.model import ImageStep

with later:
    from qwenbuild import images
    from qwenbuild.images import structure

TINY, SMALL, LARGE = 112, 480, 1024
"""Widths in pixels: on the board, in the grid, and when one picture fills the screen."""
KEEP_S = 30 * 24 * 3600.0
"""Seconds; a thumbnail that was not shown for so long goes. It is made again from the picture."""
TOUCH_INTERVAL_S = 24 * 3600.0
"""Seconds; how exactly it is known when one was shown last."""
OURS = re.compile(r"\.?[0-9a-f]{64}-\d+\.webp(\.\d+\.\d+\.tmp)?").fullmatch
Stages = tuple[str, Sequence[ImageStep], list[str]]
"""A picture, its steps, and the names of what it is after each of them but the last."""


@dataclass(frozen=True, slots=True)
class Thumbnails:
    """The folder where they are kept, and how a picture's bytes are found."""

    folder: Path
    read: Callable[[str], bytes | None]

    def make(self, digest: str, width: int) -> Path | None:
        """The thumbnail of a picture; None when its bytes are nowhere or are no picture. Raises OSError."""
        path = self.path(digest, width)
        if _is_kept(path):
            return path
        data = self._larger(digest, width) or self.read(digest)
        if data is None:
            return None
        try:
            small = images.thumbnail(data, width)
        except ValueError:
            return None
        _write(path, small)
        return path

    def path(self, digest: str, width: int) -> Path:
        """Where the thumbnail is, or will be."""
        return self.folder / name_of(digest, width)

    def make_all(
        self, digests: Iterable[str], progress: Callable[[int], None] = lambda done: None
    ) -> dict[str, tuple[int, int]]:
        """Make every width for all; the pixels of each picture that could be shown. `progress` hears the number done."""
        pictures = list(dict.fromkeys(digests))
        sizes: dict[str, tuple[int, int]] = {}
        with ThreadPoolExecutor(max_workers=os.cpu_count() or 2) as workers:
            for number, (digest, size) in enumerate(zip(pictures, workers.map(self._all, pictures), strict=True), 1):
                if size is not None:
                    sizes[digest] = size
                progress(number)
        return sizes

    def _all(self, digest: str) -> tuple[int, int] | None:
        """The large one first: the others are then made from it."""
        if any(self.make(digest, width) is None for width in (LARGE, SMALL, TINY)):
            return None
        return webp_size(self.path(digest, LARGE))

    def make_stages(self, stages: Iterable[Stages], palettes: Callable[[Iterable[ImageStep]], dict[str, bytes]]) -> set[str]:
        """Make the small pictures of what is between two steps; the names of those that could be made. Raises OSError."""
        with ThreadPoolExecutor(max_workers=os.cpu_count() or 2) as workers:
            made = workers.map(lambda each: self._stages(each, palettes), list(stages))
        return {name for names in made for name in names}

    def _stages(self, stages: Stages, palettes: Callable[[Iterable[ImageStep]], dict[str, bytes]]) -> list[str]:
        picture, steps, names = stages
        if all(_is_kept(self.path(name, SMALL)) for name in names):
            return names
        data = self.read(picture)
        try:
            small = images.stages(data, steps, SMALL, palettes(steps)) if data else []
        except ValueError:
            return []
        for name, each in zip(names, small, strict=False):
            _write(self.path(name, SMALL), each)
        return names if small else []

    def prune(self) -> int:
        """Remove what no page has shown for KEEP_S seconds; how many files went. Raises OSError."""
        gone = 0
        oldest = time.time() - KEEP_S
        for entry in os.scandir(self.folder) if self.folder.is_dir() else ():
            if OURS(entry.name) and entry.stat().st_mtime < oldest:
                Path(entry.path).unlink(missing_ok=True)
                gone += 1
        return gone

    def _larger(self, digest: str, width: int) -> bytes | None:
        kept = (self.path(digest, larger) for larger in (SMALL, LARGE) if width < larger)
        return next((path.read_bytes() for path in kept if path.is_file()), None)


def name_of(digest: str, width: int) -> str:
    """A thumbnail's file name."""
    return f"{digest}-{width}.webp"


def webp_size(path: Path) -> tuple[int, int] | None:
    """Width and height in pixels by the header alone."""
    with open(path, "rb") as file:
        head = file.read(64)
    if sniff(head) is None:
        return None
    return structure.size_of(head)[1:]


def is_opaque(path: Path) -> bool:
    """Whether a thumbnail has no transparency, by the header alone: one with some begins with an extended header."""
    with open(path, "rb") as file:
        return file.read(16)[12:] == b"VP8 "


def _is_kept(path: Path) -> bool:
    """Whether the thumbnail is there; that somebody wanted it is noted at its time of change."""
    try:
        changed = path.stat().st_mtime
        if changed < time.time() - TOUCH_INTERVAL_S:
            os.utime(path)
    except FileNotFoundError:
        return False
    return True


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    files.replace(path, data, durable=False)
