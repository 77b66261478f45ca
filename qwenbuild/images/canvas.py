"""A sheet of palette indices to draw on: rectangles, discs, polygons and lines of text, with whole numbers only.

Knows no colours and no file format; whatever lies outside the sheet is cut off.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import repeat
from math import isqrt

from qwenbuild.images import letters

_LINES = tuple(bytes([index]) for index in range(16))
Ramp = tuple[int, int, int, int]
"""Palette indices from ground to full ink, for the letters' grey levels."""


class Canvas:
    """Width by height pixels, one palette index (0…15) a byte in `pixels`."""

    def __init__(self, width: int, height: int, ground: int = 0) -> None:
        self.width = width
        self.height = height
        self.pixels = bytearray([ground]) * (width * height)

    def span(self, y: int, left: int, right: int, index: int) -> None:
        """Fill the pixels left ≤ x < right of one row."""
        left, right = left if left > 0 else 0, right if right < self.width else self.width
        if 0 <= y < self.height and left < right:
            start = y * self.width
            self.pixels[start + left : start + right] = _LINES[index] * (right - left)

    def rectangle(self, left: int, top: int, right: int, bottom: int, index: int) -> None:
        """Fill a rectangle; right and bottom are outside of it."""
        left, right = max(left, 0), min(right, self.width)
        top, bottom = max(top, 0), min(bottom, self.height)
        if left >= right:
            return
        line, pixels, length = bytes([index]) * (right - left), self.pixels, right - left
        for start in range(top * self.width + left, bottom * self.width, self.width):
            pixels[start : start + length] = line

    def rounded(self, left: int, top: int, right: int, bottom: int, radius: int, index: int) -> None:
        """Fill a rectangle whose corners are quarters of a circle."""
        for y in range(max(top, 0), min(bottom, self.height)):
            into = max(top + radius - y, y - (bottom - 1 - radius), 0)
            inset = radius - isqrt(max(radius * radius - into * into, 0))
            self.span(y, left + inset, right - inset, index)

    def disc(self, x: int, y: int, radius: int, index: int, squash: int = 100) -> None:
        """Fill a disc, or an ellipse whose height is `squash` percent of its width."""
        tall = max(radius * squash // 100, 1)
        line, pixels, square, width = bytes([index]) * self.width, self.pixels, tall * tall, self.width
        for row in range(max(y - tall, 0), min(y + tall + 1, self.height)):
            reach = isqrt(square - (row - y) ** 2) * radius // tall
            left, right = x - reach, x + reach + 1
            left, right = left if left > 0 else 0, right if right < width else width
            if left < right:
                start = row * width
                pixels[start + left : start + right] = line[: right - left]

    def polygon(self, corners: Sequence[tuple[int, int]], index: int) -> None:
        """Fill a convex polygon."""
        top, bottom = max(min(y for _, y in corners), 0), min(max(y for _, y in corners) + 1, self.height)
        lefts, rights = [self.width] * self.height, [-1] * self.height
        for (x0, y0), (x1, y1) in zip(corners, [*corners[1:], corners[0]], strict=True):
            if y0 == y1:
                continue
            for y in range(max(min(y0, y1), 0), min(max(y0, y1) + 1, self.height)):
                x = x0 + (x1 - x0) * (y - y0) // (y1 - y0)
                if x < lefts[y]:
                    lefts[y] = x
                if x > rights[y]:
                    rights[y] = x
        for y in range(top, bottom):
            self.span(y, lefts[y], rights[y] + 1, index)

    def text(self, words: str, x: int, baseline: int, size: int, ramp: Ramp) -> None:
        """Write one line from x; `size` is the em in pixels. The ground below must already be the ramp's first index."""
        ink = bytes(ramp) + bytes(252)
        for letter in words:
            glyph = letters.draw(letter, size)
            self._stamp(x + glyph.left, baseline + glyph.top, [row.translate(ink) for row in glyph.rows])
            x += glyph.advance

    def _stamp(self, x: int, y: int, rows: Sequence[bytes]) -> None:
        if not rows or x < 0 or y < 0 or x + len(rows[0]) > self.width or y + len(rows) > self.height:
            rows, x, y = self._clipped(rows, x, y)
        pixels, width, start = self.pixels, self.width, y * self.width + x
        for row in rows:
            pixels[start : start + len(row)] = row
            start += width

    def _clipped(self, rows: Sequence[bytes], x: int, y: int) -> tuple[Sequence[bytes], int, int]:
        rows = rows[max(-y, 0) : max(self.height - y, 0)]
        return [row[max(-x, 0) : max(self.width - x, 0)] for row in rows], max(x, 0), max(y, 0)


def text_width(words: str, size: int) -> int:
    """The width of a line in pixels."""
    return sum(map(letters.width, words, repeat(size)))
