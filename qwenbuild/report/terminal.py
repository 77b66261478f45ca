"""Where text goes: how wide it is, whether it may be coloured, how much the user wants to read.

Does not know what is written. Colours are plain SGR sequences around text that has been made visible before.
"""

from __future__ import annotations

import os
import re
import shutil
import unicodedata
from dataclasses import dataclass
from typing import IO, Literal

Color = Literal["auto", "always", "never"]

_SGR = {
    "bold": "1",
    "dim": "2",
    "red": "31",
    "green": "32",
    "yellow": "33",
    "blue": "34",
    "magenta": "35",
    "cyan": "36",
}


@dataclass(frozen=True, slots=True)
class Terminal:
    """A place for text. `width` is in columns; `quiet` leaves results and errors, `verbose` counts the `-v`.

    `person` tells that somebody reads it directly: a pipe or a file is never cut.
    """

    width: int = 80
    paint: bool = False
    quiet: bool = False
    verbose: int = 0
    person: bool = False

    def style(self, text: str, *roles: str) -> str:
        """`text` in the colours named, or as it is where nothing may be coloured."""
        codes = ";".join(_SGR[role] for role in roles if role)
        return f"\x1b[{codes}m{text}\x1b[0m" if self.paint and codes and text else text


def is_terminal(stream: IO[str]) -> bool:
    """Whether a person reads `stream` directly. A closed or replaced stream is not a terminal."""
    try:
        return stream.isatty()
    except (AttributeError, ValueError):
        return False


def terminal(stream: IO[str], color: Color = "auto", *, quiet: bool = False, verbose: int = 0) -> Terminal:
    """What is known of `stream`. Under `auto`, a non-empty NO_COLOR or TERM=dumb wins over a terminal."""
    plain = bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"
    paint = color == "always" or (color == "auto" and not plain and is_terminal(stream))
    return Terminal(_width(), paint, quiet, verbose, is_terminal(stream))


def _width() -> int:
    """The columns of the terminal (COLUMNS first), 80 when nobody knows, between 40 and 120 for reading's sake."""
    return max(40, min(120, shutil.get_terminal_size((80, 24)).columns))


_NARROW = re.compile("[\u0000-\u02ff\u2010-\u2027\u2030-\u205e\u2190-\u21ff]*").fullmatch
"""Latin letters, quotes, dashes, the ellipsis and arrows: one column each."""


def cells(text: str) -> int:
    """The columns that `text` takes: two for wide characters, none for combining marks."""
    return len(text) if text.isascii() or _NARROW(text) else sum(_cell(char) for char in text)


def _cell(char: str) -> int:
    if unicodedata.combining(char) or char in "\u200b\u200c\u200d\ufe0e\ufe0f":
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def cut(text: str, width: int) -> str:
    """`text` in at most `width` columns, ending in `…` where something was left out."""
    if cells(text) <= width:
        return text
    used = 0
    for index, char in enumerate(text):
        used += _cell(char)
        if used > width - 1:
            return text[:index].rstrip() + "…"
    return text


def pad(text: str, width: int) -> str:
    """`text` filled with blanks to `width` columns."""
    return text + " " * max(0, width - cells(text))


def wrap(text: str, width: int) -> list[str]:
    """`text` broken at blanks into lines of at most `width` columns; a longer word is cut where the line ends."""
    lines = [""]
    for word in text.split(" "):
        joined = f"{lines[-1]} {word}" if lines[-1] else word
        if cells(joined) <= width:
            lines[-1] = joined
            continue
        lines += [""] if lines[-1] else []
        while cells(word) > width:
            part = _fitting(word, width)
            lines[-1:] = [part, ""]
            word = word[len(part) :]
        lines[-1] = word
    return lines


def _fitting(word: str, width: int) -> str:
    used = 0
    for index, char in enumerate(word):
        used += _cell(char)
        if used > width:
            return word[: max(1, index)]
    return word
