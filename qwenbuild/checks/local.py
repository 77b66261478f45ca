"""The checks of the pixels that come with qwenbuild: their arguments, and where each is judged.

Knows no picture: the judges are loaded with the first one. docs/checks.md has each measure, its limits and how they were found.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any

from qwenbuild.checks.check import Judge, LocalCheck
from qwenbuild.checks.text import TEXT
from qwenbuild.images.arguments import Argument, decimal, read_colour, whole

_SET = re.compile(r"asset|all|tag:\S.*")
_SET_OR_OWN = re.compile(f"entry|{_SET.pattern}")
MOST_COLOURS = 64


def _colours(doc: str) -> Argument:
    """A list of colours, kept as #rrggbb with commas between them."""

    def read(value: Any) -> str:
        items = value.split(",") if isinstance(value, str) else value
        if not isinstance(items, Sequence) or not 1 <= len(items) <= MOST_COLOURS:
            raise ValueError(f"must be a list of 1 to {MOST_COLOURS} colours, got {value!r}")
        return ",".join(read_colour(item.strip() if isinstance(item, str) else item)[:7] for item in items)

    return Argument(read, "", {"type": "array", "items": {"type": "string"}}, doc)


def _entry(default: str | None, doc: str) -> Argument:
    """The id of another entry."""

    def read(value: Any) -> str:
        if not isinstance(value, str) or not value.strip():
            raise ValueError(f"must be the id of an entry, got {value!r}")
        return value.strip()

    return Argument(read, default, {"type": "string"}, doc)


def _within(doc: str, words: re.Pattern[str] = _SET) -> Argument:
    """Which entries make a set."""

    def read(value: Any) -> str:
        if not isinstance(value, str) or not words.fullmatch(value.strip()):
            own = "entry, " if words is _SET_OR_OWN else ""
            raise ValueError(f"must be {own}asset, all or tag:NAME, got {value!r}")
        return value.strip()

    return Argument(read, "asset", {"type": "string", "pattern": f"^(?:{words.pattern})$"}, doc)


class PaletteCheck(LocalCheck):
    """Compared with given colours it looks at one picture, with those of another entry's picture at two."""

    def read(self, value: Any) -> Mapping[str, Any]:
        """Every argument; either `colours` or `of`. Raises ValueError."""
        parameters = LocalCheck.read(self, value)
        if bool(parameters["colours"]) == bool(parameters["of"]):
            raise ValueError("needs either colours, or of: another entry's id")
        return parameters


OWN_TOO = _within("which pictures are compared: of one asset, all, tag:NAME, or entry: one entry's candidates", _SET_OR_OWN)
WITHIN = _within("which entries that ask for the same are compared: asset, all or tag:NAME")

CHECKS: Mapping[str, LocalCheck] = {
    check.name: check
    for check in (
        LocalCheck(
            "near_duplicate",
            "whether the picture looks like an earlier one of the set",
            {
                "distance": decimal(0, 255, "8", "mean difference, of 255, up to which two are alike"),
                "within": OWN_TOO,
            },
            main="distance",
            scope="set",
        ),
        PaletteCheck(
            "palette",
            "whether the picture keeps to some colours",
            {
                "colours": _colours("the colours, such as ['#102030', '#ffffff']"),
                "of": _entry("", "an entry whose picture's colours count, instead of `colours`"),
                "within": whole(1, 100, 15, "ΔE up to which a pixel counts as one of the colours"),
                "min": decimal(0, 1, "0.8", "the least share of the opaque pixels"),
            },
            main="colours",
        ),
        LocalCheck(
            "likeness",
            "whether the picture looks like another entry's",
            {
                "to": _entry(None, "the id of the entry to be like"),
                "min": decimal(0, 1, "0.5", "the least likeness: 1 is the same picture"),
            },
            main="to",
            scope="set",
        ),
        LocalCheck(
            "outlier",
            "whether the picture falls out of the set's style",
            {"limit": decimal(1, 100, "6", "how far from the set's middle, in its own usual distances"), "within": WITHIN},
            main="limit",
            scope="set",
        ),
        LocalCheck(
            "seam",
            "whether an edge shows when the picture is tiled",
            {"max": decimal(0, 100, "3", "how much the step across the edge may stand out, in steps inside that do")},
            main="max",
        ),
        LocalCheck(
            "border",
            "whether the picture has a one-colour border",
            {"max": decimal(0, 1, "0.02", "the widest border, as a share of that side's length")},
            main="max",
        ),
        LocalCheck(
            "checkerboard",
            "whether transparency is painted as grey squares",
            {"max": decimal(0, 1, "0.1", "the largest share of the picture that may be such squares")},
            main="max",
        ),
        LocalCheck(
            "sharpness",
            "whether the picture is sharp",
            {"min": whole(0, 65025, 20, "the least variance of the Laplacian")},
            main="min",
        ),
        TEXT,
    )
}
"""By name."""

_JUDGES = "qwenbuild.checks.judges"


def judge_of(name: str) -> Judge:
    """What judges one picture by the check."""
    judge: Judge = import_module(_JUDGES).JUDGES[name]
    return judge


def set_judge_of(name: str) -> Callable[..., Any]:
    """What judges the pictures of a set by the check."""
    judge: Callable[..., Any] = import_module(_JUDGES).SET_JUDGES[name]
    return judge


def member(id: str, digest: str, look: Mapping[str, Any]) -> Any:
    """One picture of a set, as its judges take it."""
    return import_module(_JUDGES).Member(id, digest, look)


def look_at(data: bytes) -> Mapping[str, Any]:
    """What a picture is compared by. Raises ValueError when it cannot be decoded."""
    return dict(
        import_module("qwenbuild.images.features").look(import_module("qwenbuild.images.measures").DecodedPicture(data).image)
    )


def load_judges() -> None:
    """Import them. Raises ImportError."""
    import_module(_JUDGES)
