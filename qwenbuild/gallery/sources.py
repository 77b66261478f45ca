"""Where the bytes of a picture or file are: in the vault, in the output tree, in git at an earlier revision, or made again.

Knows no card; what it hands out has been hashed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from qwenbuild.cache import Cache
from qwenbuild.errors import CacheError
from qwenbuild.gallery.revision import Before, file_at
from qwenbuild.later import later
from qwenbuild.model import ImageStep, LockEntry

with later:
    from qwenbuild import images


@dataclass(frozen=True, slots=True)
class FileRecipe:
    """How a file that is not at hand was perhaps made: from which picture, by which steps, as which type."""

    picture: str
    steps: tuple[ImageStep, ...]
    media_type: str


@dataclass(frozen=True, slots=True)
class Sources:
    """Bytes by digest. `root` is the output tree; `files` maps digests to its paths, `past` to those of `commit`,
    `recipes` to how they are made again. `palettes` maps the digest of a palette's bytes to its file.
    """

    cache: Cache
    root: Path
    files: Mapping[str, str] = field(default_factory=dict)
    commit: str = ""
    past: Mapping[str, str] = field(default_factory=dict)
    recipes: Mapping[str, FileRecipe] = field(default_factory=dict)
    palettes: Mapping[str, Path] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        cache: Cache,
        root: Path,
        files: Mapping[str, str],
        before: Before | None = None,
        recipes: Mapping[str, FileRecipe] | None = None,
        palettes: Mapping[str, Path] | None = None,
    ) -> Sources:
        """Sources for a tree whose `files` map paths to digests."""
        past = {} if before is None else dict(_pictures(before.entries.values()))
        by_digest = {digest: path for path, digest in files.items()}
        return cls(cache, root, by_digest, "" if before is None else before.commit, past, recipes or {}, palettes or {})

    def has(self, digest: str) -> bool:
        """Whether a picture is likely at hand, nothing read."""
        if not digest:
            return False
        near = self.cache.has_blob(digest) or digest in self.files or digest in self.past
        return near or (digest in self.recipes and self.cache.has_blob(self.recipes[digest].picture))

    def weight(self, digest: str) -> int:
        """How many bytes a picture has in the vault, in the tree, or truly in git; 0 when it is nowhere at hand."""
        if self.cache.has_blob(digest):
            return _size(self.cache.blob_path(digest))
        if digest in self.files:
            return _size(self.root / self.files[digest])
        return len(self.read(digest) or b"") if digest in self.past or digest in self.recipes else 0

    def read(self, digest: str) -> bytes | None:
        """The bytes of a picture, None when they are nowhere at hand."""
        if self.cache.has_blob(digest):
            try:
                return self.cache.read_blob(digest)
            except CacheError:
                return self._elsewhere(digest)
        return self._elsewhere(digest)

    def _elsewhere(self, digest: str) -> bytes | None:
        if digest in self.files:
            data = _file(self.root / self.files[digest])
            if data is not None and hashlib.sha256(data).hexdigest() == digest:
                return data
        if digest in self.past and self.commit:
            data = file_at(self.root.parent, self.commit, f"{self.root.name}/{self.past[digest]}", digest)
            if data is not None:
                return data
        return self._made_again(self.recipes[digest], digest) if digest in self.recipes else None

    def _made_again(self, recipe: FileRecipe, digest: str) -> bytes | None:
        """The file as its steps make it of its picture, where that gives the very bytes that are asked for."""
        try:
            data = images.derive(
                self.cache.read_blob(recipe.picture), recipe.steps, recipe.media_type, palettes=self.palettes_of(recipe.steps)
            )
        except (CacheError, ValueError):
            return None
        return data if hashlib.sha256(data).hexdigest() == digest else None

    def palettes_of(self, steps: Iterable[ImageStep]) -> dict[str, bytes]:
        """The bytes of the palettes that the steps name by digest, where they are those."""
        names = {str(step.args["palette"]) for step in steps if step.args.get("palette")}
        read = {name: _file(self.palettes[name]) for name in names if name in self.palettes}
        return {name: data for name, data in read.items() if data is not None}


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _file(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None


def _pictures(entries: Iterable[LockEntry]) -> Iterable[tuple[str, str]]:
    """Digest and path of every file: of the picture itself, or made from it."""
    for entry in entries:
        for path, output in entry.outputs.items():
            if not output.orphan:
                yield output.digest or entry.digest, path
