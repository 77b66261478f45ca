"""Draw letters as grey coverage from an embedded table of outlines, with whole numbers only.

Knows no library and no font of the machine, so that a letter is the same pixels everywhere. The table (letters.bin) is a
zlib stream: a count, then (code point, advance, length) as three 16-bit numbers for each glyph, then the glyphs. A glyph is
the number of its contours; for each its number of points and a bit a point, set when the point lies on the curve; then all
x steps and all y steps from point to point as zigzag variable-length numbers. Between them the curves are quadratic.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from pathlib import Path

EM = 256
LEVELS = 3
"""Coverage goes from 0 to this."""

_TABLE = Path(__file__).with_name("letters.bin")
_SAMPLES = 4
_IDEOGRAPHS = 0x2E80
Point = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Drawn:
    """A letter at one size: rows of coverage bytes, where they stand from pen and baseline, and how far the pen moves (px)."""

    left: int
    top: int
    advance: int
    rows: tuple[bytes, ...]


@lru_cache(maxsize=1)
def _glyphs() -> dict[int, tuple[int, bytes]]:
    raw = zlib.decompress(_TABLE.read_bytes())
    (count,) = struct.unpack_from("<H", raw)
    glyphs, position = {}, 2 + 6 * count
    for code, advance, length in struct.iter_unpack("<HHH", raw[2 : 2 + 6 * count]):
        glyphs[code] = (advance, raw[position : position + length])
        position += length
    return glyphs


def known(letter: str) -> bool:
    """Whether the table has this letter; `draw` gives a box with the code point's digits for any other."""
    return ord(letter) in _glyphs()


@lru_cache(maxsize=8192)
def width(letter: str, size: int) -> int:
    """How far the pen moves for a letter, in pixels; `size` is the em in pixels."""
    advance = _glyphs()[ord(letter)][0] if known(letter) else EM
    return (advance * size + EM // 2) // EM


@lru_cache(maxsize=4096)
def draw(letter: str, size: int) -> Drawn:
    """A letter whose em is `size` pixels."""
    if not known(letter):
        return _box(letter, size)
    edges = _edges(_outline(letter), size)
    return _fill(edges, width(letter, size))


def _outline(letter: str) -> list[list[tuple[int, int, bool]]]:
    """The contours as points (x, y up, on the curve), in 1/256 em."""
    body = _glyphs()[ord(letter)][1]
    scale = 2 if ord(letter) >= _IDEOGRAPHS else 1
    position, flags = 1, []
    for _ in range(body[0]):
        count = body[position]
        size = (count + 7) // 8
        bits = int.from_bytes(body[position + 1 : position + 1 + size], "little")
        flags.append([bool(bits >> place & 1) for place in range(count)])
        position += 1 + size
    steps = list(_numbers(body[position:]))
    half = len(steps) // 2
    xs, ys = list(accumulate(steps[:half])), list(accumulate(steps[half:]))
    contours, start = [], 0
    for on in flags:
        end = start + len(on)
        contours.append([(x * scale, y * scale, flag) for x, y, flag in zip(xs[start:end], ys[start:end], on, strict=True)])
        start = end
    return contours


def _numbers(data: bytes) -> Iterator[int]:
    value = shift = 0
    for byte in data:
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            yield value >> 1 ^ -(value & 1)
            value = shift = 0


def _edges(contours: list[list[tuple[int, int, bool]]], size: int) -> list[tuple[Point, Point]]:
    """Straight edges in 1/256 pixel, y down from the baseline."""
    edges = []
    for contour in contours:
        corners = [point for curve in _curves(contour) for point in _flat(curve, size)]
        edges += list(zip(corners, corners[1:] + corners[:1], strict=True))
    return edges


def _curves(contour: list[tuple[int, int, bool]]) -> Iterator[tuple[Point, Point, Point]]:
    """The contour's pieces as (start, control, end); the middle of two controls is a point on the curve."""
    points: list[tuple[int, int, bool]] = []
    for (x, y, on), (next_x, next_y, next_on) in zip(contour, contour[1:] + contour[:1], strict=True):
        points.append((2 * x, 2 * y, on))
        if not on and not next_on:
            points.append((x + next_x, y + next_y, True))
    first = next(place for place, point in enumerate(points) if point[2])
    points = points[first:] + points[:first] + [points[first]]
    start = points[0][:2]
    control = None
    for x, y, on in points[1:]:
        if on:
            yield start, control or start, (x, y)
            start, control = (x, y), None
        else:
            control = (x, y)


def _flat(curve: tuple[Point, Point, Point], size: int) -> Iterator[Point]:
    """Points along a curve but for its end. Coordinates come in 1/512 em and leave in 1/256 pixel."""
    (x0, y0), (x1, y1), (x2, y2) = curve
    parts = 1 if (x1, y1) == (x0, y0) else 4
    scale = 2 * parts * parts
    for step in range(parts):
        a, b, c = (parts - step) ** 2, 2 * step * (parts - step), step * step
        yield (a * x0 + b * x1 + c * x2) * size // scale, -((a * y0 + b * y1 + c * y2) * size // scale)


def _fill(edges: list[tuple[Point, Point]], advance: int) -> Drawn:
    """Coverage of the area inside, by four samples a pixel row with exact widths along each."""
    if not edges:
        return Drawn(0, 0, advance, ())
    left = min(point[0] for edge in edges for point in edge) >> 8
    right = (max(point[0] for edge in edges for point in edge) >> 8) + 1
    top = min(point[1] for edge in edges for point in edge) >> 8
    bottom = (max(point[1] for edge in edges for point in edge) >> 8) + 1
    lines = _crossings(edges, left, top, bottom)
    columns = right - left
    rows = []
    for row in range(bottom - top):
        cover = [0] * (columns + 2)
        for line in lines[row * _SAMPLES : (row + 1) * _SAMPLES]:
            _add(cover, line)
        rows.append(_levels(cover, columns))
    return Drawn(left, top, advance, tuple(rows))


def _crossings(edges: list[tuple[Point, Point]], left: int, top: int, bottom: int) -> list[list[tuple[int, int]]]:
    """For every sample line where edges cross it (1/256 pixel from the left) and in which direction."""
    step = 256 // _SAMPLES
    lines: list[list[tuple[int, int]]] = [[] for _ in range((bottom - top) * _SAMPLES)]
    for (x0, y0), (x1, y1) in edges:
        way = 1
        if y0 > y1:
            x0, y0, x1, y1, way = x1, y1, x0, y0, -1
        base = (top << 8) + step // 2
        for line in range(-((base - y0) // step), -((base - y1) // step)):
            x = x0 + (x1 - x0) * (base + line * step - y0) // (y1 - y0)
            lines[line].append((x - (left << 8), way))
    return lines


def _add(cover: list[int], line: list[tuple[int, int]]) -> None:
    """Add one sample line's spans to the coverage, which holds differences from pixel to pixel."""
    winding = start = 0
    for x, way in sorted(line):
        if winding == 0:
            start = x
        winding += way
        if winding == 0:
            first, last = start >> 8, x >> 8
            head, tail = 256 - (start & 255), x & 255
            cover[first] += head
            cover[first + 1] += 256 - head
            cover[last] += tail - 256
            cover[last + 1] -= tail


def _levels(cover: list[int], columns: int) -> bytes:
    full = 256 * _SAMPLES
    return bytes((min(area, full) * LEVELS + full // 2) // full for area in accumulate(cover[:columns]))


def _box(letter: str, size: int) -> Drawn:
    """A box with the code point's digits, for a letter that the table lacks."""
    side, line = max(5, size * 7 // 8), max(1, size // 24)
    rows = [bytearray(side) for _ in range(side)]
    for place, row in enumerate(rows):
        row[:line] = row[-line:] = bytes([2]) * line
        if place < line or place >= side - line:
            row[:] = bytes([2]) * side
    digits = f"{ord(letter):04X}"
    half = (len(digits) + 1) // 2
    small = (side - 2 * line) * 10 // (8 * max(half, 2))
    if small >= 6:
        _stamp(rows, digits[:half], small, side * 7 // 15)
        _stamp(rows, digits[half:], small, side * 13 // 15)
    return Drawn((size - side) // 2, side // 8 - side, size, tuple(bytes(row) for row in rows))


def _stamp(rows: list[bytearray], text: str, size: int, baseline: int) -> None:
    pen = (len(rows[0]) - sum(width(letter, size) for letter in text)) // 2
    for letter in text:
        glyph = draw(letter, size)
        for place, row in enumerate(glyph.rows, baseline + glyph.top):
            start = pen + glyph.left
            if 0 <= place < len(rows) and start >= 0:
                rows[place][start : start + len(row)] = row
        pen += glyph.advance
