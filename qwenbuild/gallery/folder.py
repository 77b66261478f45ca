"""Write the gallery's folder: the page, the thumbnails it shows, small files as they ship, and labelled sheets for print.

Touches only what it wrote itself: a folder that holds anything else is refused.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from qwenbuild import files
from qwenbuild.errors import InputError, Problem
from qwenbuild.gallery import atlas_sheets
from qwenbuild.gallery.cards import Card, digests
from qwenbuild.gallery.differences import Differences, pairs
from qwenbuild.gallery.page import page
from qwenbuild.gallery.sources import Sources
from qwenbuild.gallery.thumbs import LARGE, SMALL, TINY, Stages, Thumbnails, is_opaque, name_of
from qwenbuild.later import later

with later:
    from qwenbuild import images

THUMBS, FILES, SHEETS = "thumbs", "files", "sheets"
OURS = re.compile(r"[0-9a-f]{64}(-\d+\.webp|\.[a-z]{3,4})").fullmatch
CARDS_PER_SHEET = 48
"""Pictures on one sheet: more could not be read on a screen or a page."""
EXACT, EXACT_SHEET = 200_000, 16_000_000
"""Bytes of a file, and of an atlas's sheet, up to which it is in the folder as it ships; larger ones are made smaller."""


@dataclass(frozen=True, slots=True)
class PageContents:
    """What the page shows: its cards, the atlases, and the pictures between steps."""

    cards: Sequence[Card]
    atlases: Sequence[Card] = ()
    stages: Sequence[Stages] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class WrittenGallery:
    """What was written. `lacking` counts pictures whose bytes are nowhere at hand; `size` is the folder's, in bytes."""

    index: Path
    cards: int
    pictures: int
    lacking: int
    size: int
    sheets: tuple[Path, ...] = ()


def write(
    folder: Path,
    shown: PageContents,
    thumbnails: Thumbnails,
    sources: Sources,
    *,
    title: str,
    sheets: bool = False,
    progress: Callable[[int, int], None] = lambda done, all: None,
) -> WrittenGallery:
    """Write the folder anew. `progress` hears pictures done and their number. Raises InputError, OSError."""
    refuse_foreign(folder)
    pictures = list(dict.fromkeys([*digests(shown.cards), *atlas_sheets.digests(shown.atlases)]))
    sizes = thumbnails.make_all(pictures, lambda done: progress(done, len(pictures)))
    stages = thumbnails.make_stages(shown.stages, sources.palettes_of)
    names = {name_of(digest, width) for digest in sizes for width in (TINY, SMALL, LARGE)}
    place(thumbnails.folder, folder / THUMBS, names | {name_of(name, SMALL) for name in stages})
    exact = place_files(folder / FILES, shown, sizes, sources)
    thumbnails.prune()
    opaque = frozenset(digest for digest in sizes if is_opaque(thumbnails.path(digest, TINY)))
    cards = sized(shown.cards, sizes, stages, opaque)
    shares = Differences(thumbnails.folder / "differences.json", sources.read).all(pairs(cards))
    facts = {**shown.facts, **PLACES, "exact": exact, "differences": shares, "atlases": list(shown.atlases)}
    files.replace(folder / "index.html", page(cards, title=title, facts=facts).encode(), durable=False)
    made = tuple(_sheets(folder / SHEETS, shown.cards, thumbnails, sizes)) if sheets else ()
    total = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    lacking = len(pictures) - len(sizes)
    return WrittenGallery(folder / "index.html", len(shown.cards), len(sizes), lacking, total, made)


PLACES = {
    "tiny": f"{THUMBS}/*-{TINY}.webp",
    "small": f"{THUMBS}/*-{SMALL}.webp",
    "large": f"{THUMBS}/*-{LARGE}.webp",
    "whole": f"{FILES}/*",
}
"""Where the page finds pictures: `*` stands for the digest, under `whole` for the file's name in `exact`."""


def place_files(folder: Path, shown: PageContents, sizes: Mapping[str, tuple[int, int]], sources: Sources) -> dict[str, str]:
    """Copy what is small enough to be shown as it ships, and the sheets of the atlases; digest to file name. Raises OSError."""
    ships = {file["digest"]: file["path"] for card in shown.cards for file in card["files"]}
    sheets = {sheet["digest"]: sheet["path"] for atlas in shown.atlases for sheet in atlas["sheets"]}
    limits = {**dict.fromkeys(ships, EXACT), **dict.fromkeys(sheets, EXACT_SHEET)}
    fitting = {digest: path for digest, path in (ships | sheets).items() if _fits(digest, limits[digest], sizes, sources)}
    exact = {digest: digest + PurePosixPath(path).suffix.lower() for digest, path in fitting.items()}
    place_bytes(folder, {name: digest for digest, name in exact.items() if OURS(name)}, sources)
    return exact


def _fits(digest: str, limit: int, sizes: Mapping[str, tuple[int, int]], sources: Sources) -> bool:
    return digest in sizes and 0 < sources.weight(digest) <= limit


def place_bytes(folder: Path, names: Mapping[str, str], sources: Sources) -> None:
    """Bring the files named (name to digest) into a folder, and drop those of other pictures. Raises OSError."""
    if not names and not folder.exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    here = {entry.name for entry in os.scandir(folder)}
    for name in here - set(names):
        if OURS(name):
            (folder / name).unlink()
    for name in set(names) - here:
        data = sources.read(names[name])
        if data is not None:
            files.replace(folder / name, data, durable=False)


def sized(
    cards: Sequence[Card],
    sizes: Mapping[str, tuple[int, int]],
    stages: Iterable[str] = (),
    opaque: frozenset[str] = frozenset(),
) -> list[Card]:
    """The cards with each picture's size in pixels, and whether it is `opaque`; one that cannot be shown loses its digest."""
    made = frozenset(stages)
    return [
        {
            **card,
            "candidates": [_sized(one, sizes) | {"opaque": one["digest"] in opaque} for one in card["candidates"]],
            "files": [_file(each, sizes, made) | {"opaque": each["digest"] in opaque} for each in card["files"]],
            **_old(card, sizes),
        }
        for card in cards
    ]


def _file(file: Card, sizes: Mapping[str, tuple[int, int]], stages: frozenset[str]) -> Card:
    shown = file["digest"] if file["digest"] in sizes else ""
    kept = file["stages"] if stages.issuperset(file["stages"]) else []
    return {**file, "digest": shown, "stages": kept}


def _sized(one: Card, sizes: Mapping[str, tuple[int, int]]) -> Card:
    if one["digest"] and one["digest"] not in sizes:
        return {**one, "digest": "", "lost": True}
    return {**one, "size": one["size"] or sizes.get(one["digest"])}


def _old(card: Card, sizes: Mapping[str, tuple[int, int]]) -> Card:
    old = card["before"]
    if not old:
        return {}
    shown = {path: digest for path, digest in old["files"].items() if digest in sizes}
    digest = old["digest"] if old["digest"] in sizes else ""
    return {"before": {**old, "digest": digest, "files": shown, "size": sizes.get(old["digest"])}}


def refuse_foreign(folder: Path) -> None:
    """Raise InputError when the folder exists and holds something that is no gallery."""
    if not folder.exists() or ((folder / "index.html").is_file() and _is_gallery(folder / "index.html")):
        return
    if not folder.is_dir() or any(folder.iterdir()):
        message = f"{folder} already exists and is not a gallery"
        raise InputError(message, code="not-a-gallery", problems=(Problem("not-a-gallery", message, hint="name a new folder"),))


def _is_gallery(index: Path) -> bool:
    with open(index, "rb") as file:
        return b'name="generator" content="qwenbuild"' in file.read(1000)


def place(kept: Path, shown: Path, names: Iterable[str]) -> None:
    """Bring the kept thumbnails into the gallery's folder, as hard links where that can be; drop those of other pictures."""
    shown.mkdir(parents=True, exist_ok=True)
    required = set(names)
    present = {entry.name for entry in os.scandir(shown)}
    for name in present - required:
        if OURS(name):
            (shown / name).unlink()
    for name in required - present:
        try:
            os.link(kept / name, shown / name)
        except OSError:
            shutil.copyfile(kept / name, shown / name)


# ---------------------------------------------------------------- sheets


def _sheets(
    folder: Path, cards: Sequence[Card], thumbnails: Thumbnails, sizes: Mapping[str, tuple[int, int]]
) -> Iterable[Path]:
    """A labelled PNG for each asset, or several when it has many pictures."""
    folder.mkdir(exist_ok=True)
    for asset, items in _by_asset(cards, sizes).items():
        pages = [items[start : start + CARDS_PER_SHEET] for start in range(0, len(items), CARDS_PER_SHEET)]
        for number, part in enumerate(pages, 1):
            title = asset if len(pages) == 1 else f"{asset} ({number} of {len(pages)})"
            read = [(label, thumbnails.path(digest, SMALL).read_bytes()) for label, digest in part]
            path = folder / f"{_plain(asset)}{'' if len(pages) == 1 else f'-{number}'}.png"
            files.replace(path, images.contact_sheet(read, title, columns=6), durable=False)
            yield path


def _by_asset(cards: Sequence[Card], sizes: Mapping[str, tuple[int, int]]) -> dict[str, list[tuple[str, str]]]:
    """Asset to label and digest of each picture; candidates are numbered where there are several."""
    by_asset: dict[str, list[tuple[str, str]]] = {}
    for card in cards:
        several = len(card["candidates"]) > 1
        for number, one in enumerate(card["candidates"], 1):
            if one["digest"] in sizes and not one["rejected"]:
                label = card["id"].removeprefix(card["asset"] + "/") + (f" · {number}" if several else "")
                by_asset.setdefault(card["asset"], []).append((label, one["digest"]))
    return by_asset


def _plain(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]", "_", name)[:80]
