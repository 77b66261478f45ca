"""Break words into lines that fit a box, at the largest size that fits.

Knows letters' widths and where Chinese and Japanese may break; knows no canvas.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from qwenbuild.images.canvas import text_width

_WIDE = "\u2e80-\ua4cf\uac00-\ud7ff\uf900-\ufaff\uff00-\uffef\U00020000-\U0003ffff"
_NEVER_FIRST = "、。，．・：；？！ー」』）】》〉々…,.!?)"
_PIECE = re.compile(f"[{_WIDE}][{_NEVER_FIRST}]*|[^\\s{_WIDE}]+[{_NEVER_FIRST}]*|\\s+")


@dataclass(frozen=True, slots=True)
class Setting:
    """Lines at one size. `size` is the em and `leading` the distance of baselines, in pixels."""

    lines: tuple[str, ...]
    size: int

    @property
    def leading(self) -> int:
        """The distance from baseline to baseline in pixels."""
        return self.size * 5 // 4

    @property
    def height(self) -> int:
        """Pixels from the top of the first line to the bottom of the last."""
        return self.leading * len(self.lines)


def fit(words: str, width: int, height: int, sizes: Sequence[int]) -> Setting:
    """The words at the first of `sizes` at which they fit the box; at the last one cut short with an ellipsis."""
    for size in sizes:
        setting = Setting(tuple(wrap(words, width, size)), size)
        if setting.height <= height and all(text_width(line, size) <= width for line in setting.lines):
            return setting
    room = max(height // (sizes[-1] * 5 // 4), 0)
    lines = [shorten(line, width, sizes[-1]) for line in wrap(words, width, sizes[-1])]
    if len(lines) > room > 0:
        lines[room - 1] = shorten(lines[room - 1] + " " + lines[room] + "…", width, sizes[-1])
    return Setting(tuple(lines[:room]), sizes[-1])


def wrap(words: str, width: int, size: int) -> list[str]:
    """Lines no wider than `width` pixels, but for single words that are."""
    lines, line, reach = [], "", 0
    for piece in _PIECE.findall(words):
        if piece.isspace():
            piece = " "
        step = text_width(piece, size)
        if line.strip() and reach + step > width and piece != " ":
            lines.append(line.strip())
            line, reach = "", 0
        line, reach = line + piece, reach + step
    return [*lines, line.strip()] if line.strip() else lines


def shorten(line: str, width: int, size: int) -> str:
    """The line, or as much of it as fits before an ellipsis."""
    if text_width(line, size) <= width:
        return line
    while line and text_width(line + "…", size) > width:
        line = line[:-1]
    return line.rstrip(" ,;:…") + "…"


def headline(prompt: str, longest: int = 64) -> str:
    """The first clause of a prompt, for large letters."""
    first = next((part for part in re.split(r"[,.;:\n，。；：、!?！？]", prompt) if part.strip()), prompt).strip()
    if len(first) <= longest:
        return first
    return first[:longest].rsplit(" ", 1)[0] + "…"


def widest(lines: Iterable[str], size: int) -> int:
    """The width of the widest line in pixels."""
    return max((text_width(line, size) for line in lines), default=0)
