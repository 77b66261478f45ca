"""Write the gallery's folder: the page, the thumbnails it shows, and labelled sheets for print.

Touches only what it wrote itself: a folder that holds anything else is refused.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qwenbuild import files
from qwenbuild.errors import InputError, Problem
from qwenbuild.gallery.cards import Card, digests
from qwenbuild.gallery.page import page
from qwenbuild.gallery.thumbs import LARGE, SMALL, Thumbnails, name_of
from qwenbuild.later import later

with later:
    from qwenbuild import images

THUMBS, SHEETS = "thumbs", "sheets"
OURS = re.compile(r"[0-9a-f]{64}-\d+\.webp").fullmatch
CARDS_PER_SHEET = 48
"""Pictures on one sheet: more could not be read on a screen or a page."""


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
    cards: Sequence[Card],
    thumbnails: Thumbnails,
    *,
    title: str,
    facts: Mapping[str, Any],
    sheets: bool = False,
    progress: Callable[[int, int], None] = lambda done, all: None,
) -> WrittenGallery:
    """Write the folder anew. `progress` hears pictures done and their number. Raises InputError, OSError."""
    refuse_foreign(folder)
    pictures = list(dict.fromkeys(digests(cards)))
    sizes = thumbnails.make_all(pictures, lambda done: progress(done, len(pictures)))
    names = {name_of(digest, width) for digest in sizes for width in (SMALL, LARGE)}
    place(thumbnails.folder, folder / THUMBS, names)
    thumbnails.prune()
    text = page(sized(cards, sizes), title=title, facts={**facts, **PLACES})
    files.replace(folder / "index.html", text.encode(), durable=False)
    sheet_paths = tuple(_sheets(folder / SHEETS, cards, thumbnails, sizes)) if sheets else ()
    total = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return WrittenGallery(folder / "index.html", len(cards), len(sizes), len(pictures) - len(sizes), total, sheet_paths)


PLACES = {"small": f"{THUMBS}/*-{SMALL}.webp", "large": f"{THUMBS}/*-{LARGE}.webp"}
"""Where the page finds pictures: `*` stands for the digest."""


def sized(cards: Sequence[Card], sizes: Mapping[str, tuple[int, int]]) -> list[Card]:
    """The cards with each picture's size in pixels; a picture that cannot be shown loses its digest and is `lost`."""
    return [{**card, "candidates": [_sized(one, sizes) for one in card["candidates"]], **_old(card, sizes)} for card in cards]


def _sized(one: Card, sizes: Mapping[str, tuple[int, int]]) -> Card:
    if one["digest"] and one["digest"] not in sizes:
        return {**one, "digest": "", "lost": True}
    return {**one, "size": one["size"] or sizes.get(one["digest"])}


def _old(card: Card, sizes: Mapping[str, tuple[int, int]]) -> Card:
    old = card["before"]
    if not old:
        return {}
    return {"before": {**old, "digest": old["digest"] if old["digest"] in sizes else "", "size": sizes.get(old["digest"])}}


def refuse_foreign(folder: Path) -> None:
    """Raise InputError when the folder exists and holds something that is no gallery."""
    if not folder.exists() or ((folder / "index.html").is_file() and _is_gallery(folder / "index.html")):
        return
    if not folder.is_dir() or any(folder.iterdir()):
        message = f"{folder} is there already and is no gallery"
        raise InputError(message, code="not-a-gallery", problems=(Problem("not-a-gallery", message, hint="name a new folder"),))


def _is_gallery(index: Path) -> bool:
    with open(index, "rb") as file:
        return b'name="generator" content="qwenbuild"' in file.read(1000)


def place(store: Path, folder: Path, names: Iterable[str]) -> None:
    """Bring the kept thumbnails into the gallery's folder, as hard links where that can be; drop those of other pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    required = set(names)
    present = {entry.name for entry in os.scandir(folder)}
    for name in present - required:
        if OURS(name):
            (folder / name).unlink()
    for name in required - present:
        try:
            os.link(store / name, folder / name)
        except OSError:
            shutil.copyfile(store / name, folder / name)


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
