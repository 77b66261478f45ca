"""How much two pictures differ, as a share of their pixels, worked out once for each pair and kept.

Knows no card; where the bytes come from is a callable's matter.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qwenbuild import files
from qwenbuild.gallery.cards import Card
from qwenbuild.later import later

with later:
    from qwenbuild import images

Pair = tuple[str, str]
NAME = "differences.json"


@dataclass(frozen=True, slots=True)
class Differences:
    """The file that keeps them, and how a picture's bytes are found."""

    path: Path
    read: Callable[[str], bytes | None]

    def all(self, pairs: Iterable[Pair]) -> dict[str, float]:
        """`ONE OTHER` to the share, 0 to 1, of every pair of which both pictures are at hand. Raises OSError."""
        stored = self._kept()
        all_pairs = list(dict.fromkeys(pairs))
        new = [pair for pair in all_pairs if name_of(pair) not in stored]
        with ThreadPoolExecutor(max_workers=os.cpu_count() or 2) as workers:
            stored |= {
                name_of(pair): share for pair, share in zip(new, workers.map(self.one, new), strict=True) if share is not None
            }
        shares = {name_of(pair): stored[name_of(pair)] for pair in all_pairs if name_of(pair) in stored}
        if new:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            files.replace(self.path, json.dumps(shares, indent=0).encode(), durable=False)
        return shares

    def one(self, pair: Pair) -> float | None:
        """The share of one pair; None when a picture is not at hand, or is none."""
        first, second = self.read(pair[0]), self.read(pair[1])
        if first is None or second is None:
            return None
        try:
            return round(images.differing(first, second), 5)
        except ValueError:
            return None

    def _kept(self) -> dict[str, float]:
        try:
            record: Any = json.loads(self.path.read_bytes())
        except (OSError, ValueError):
            return {}
        return {k: v for k, v in record.items() if isinstance(v, float)} if isinstance(record, dict) else {}


def name_of(pair: Pair) -> str:
    """A pair's name on the page."""
    return " ".join(pair)


def pairs(cards: Sequence[Card]) -> Iterator[Pair]:
    """What the page compares at first: before and now, of pictures and of files; and each candidate with the one in use."""
    for card in cards:
        now = card["candidates"][card["used"]]["digest"] if card["candidates"] else ""
        for other in card["candidates"]:
            yield from _pair(other["digest"], now)
        if card["before"]:
            yield from _pair(card["before"]["digest"], now)
            for file in card["files"]:
                yield from _pair(card["before"]["files"].get(file["path"], ""), file["digest"])


def _pair(one: str, other: str) -> Iterator[Pair]:
    if one and other and one != other:
        yield one, other
