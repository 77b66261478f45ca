"""Where a picture's own bytes are nowhere, a file that was made from it is shown in its place.

Knows no store: how many bytes are at hand is a callable's matter.
"""

from __future__ import annotations

from collections.abc import Callable

from qwenbuild.gallery.cards import Card
from qwenbuild.model import LockEntry

Weight = Callable[[str], int]


def stand_in(card: Card, now: LockEntry | None, old: LockEntry | None, weight: Weight) -> Card:
    """The card with files in the place of lost pictures: of the record `now`, and of the earlier one `old`."""
    candidates = [_shown(one, now, weight) for one in card["candidates"]]
    before = card["before"] and _shown(card["before"], old, weight)
    return {**card, "candidates": candidates, "before": before}


def _shown(picture: Card, record: LockEntry | None, weight: Weight) -> Card:
    """The picture as it is, or by its heaviest file (the one with most to see) where only files are at hand."""
    digest = picture["digest"]
    if record is None or not digest or digest != record.digest or weight(digest):
        return picture
    files = {path: output.digest for path, output in record.outputs.items() if output.digest and not output.orphan}
    heaviest = max(files, key=lambda path: weight(files[path]), default="")
    if not heaviest or not weight(files[heaviest]):
        return picture
    return {**picture, "digest": files[heaviest], "file": heaviest, "size": None}
