"""Scenes and shapes of the placeholder, in five tones and an accent: what is seen behind the words.

Knows a canvas and a few dice; no colours, no words.
"""

from __future__ import annotations

from collections.abc import Callable

from qwenbuild.images.canvas import Canvas

ACCENT = 5


def draw(canvas: Canvas, which: int, dice: bytes) -> None:
    """Cover the canvas with one of the scenes; neighbouring numbers give different ones."""
    _SCENES[which % len(_SCENES)](canvas, dice)


def _hills(canvas: Canvas, dice: bytes) -> None:
    width, height = canvas.width, canvas.height
    unit = min(width, height)
    canvas.rectangle(0, 0, width, height, 0)
    canvas.disc(
        width * (15 + dice[0] % 70) // 100, height * (14 + dice[1] % 14) // 100, unit * (8 + dice[2] % 7) // 100, ACCENT
    )
    for layer in range(1, 5):
        level = height * (20 + 11 * layer) // 100
        for hill in range(3):
            roll = dice[3 + 3 * layer + hill]
            x = width * (hill * 2 + 1) // 6 + width * (roll % 32 - 16) // 100
            canvas.disc(x, level, width * (26 + roll % 13) // 100, layer, squash=28 + roll % 24)
        canvas.rectangle(0, level - height * 5 // 100, width, height, layer)


def _arches(canvas: Canvas, dice: bytes) -> None:
    width, height = canvas.width, canvas.height
    unit = min(width, height)
    canvas.rectangle(0, 0, width, height, 1)
    x, y = width * (20 + dice[0] % 60) // 100, height * (24 + dice[1] % 22) // 100
    tones = (3, 2, 0, 4, 1, 2, ACCENT)
    turn = dice[2] % 6
    for ring in range(7):
        radius = unit * (70 - 10 * ring) // 100
        tone = tones[6] if ring == 6 else tones[(ring + turn) % 6]
        canvas.disc(x, y, radius, tone)


def _tiles(canvas: Canvas, dice: bytes) -> None:
    width, height = canvas.width, canvas.height
    side = max(min(width, height) // (4 + dice[0] % 3), 8)
    for place in range((width // side + 1) * (height // side + 1)):
        column, row = place % (width // side + 1), place // (width // side + 1)
        roll = dice[(column * 7 + row * 3 + dice[1]) % 32]
        _tile(canvas, column * side, row * side, side, roll)


def _tile(canvas: Canvas, left: int, top: int, side: int, roll: int) -> None:
    """A square with a quarter of a disc in one of its corners, drawn on a sheet of its own so that nothing spills."""
    ground = roll % 4
    front = ACCENT if roll % 11 == 0 else (ground + 1 + roll // 4 % 3) % 5
    sheet = Canvas(side, side, ground)
    sheet.disc(side * (roll // 16 % 2), side * (roll // 32 % 2), side, front)
    right = min(left + side, canvas.width)
    for y in range(top, min(top + side, canvas.height)):
        row = sheet.pixels[(y - top) * side : (y - top) * side + max(right - left, 0)]
        canvas.pixels[y * canvas.width + left : y * canvas.width + left + len(row)] = row


def _beams(canvas: Canvas, dice: bytes) -> None:
    width, height = canvas.width, canvas.height
    slope = height * (40 + dice[0] % 50) // 100 * (1 if dice[1] % 2 else -1)
    canvas.rectangle(0, 0, width, height, dice[2] % 2)
    x = -abs(slope) - width * (dice[3] % 20) // 100
    place = 4
    while x < width + abs(slope):
        band = width * (5 + dice[place % 32] % 14) // 100 + 4
        tone = ACCENT if place % 7 == 5 else dice[(place + 1) % 32] % 5
        canvas.polygon([(x, 0), (x + band, 0), (x + band + slope, height), (x + slope, height)], tone)
        x += band
        place += 1


def _skyline(canvas: Canvas, dice: bytes) -> None:
    width, height = canvas.width, canvas.height
    unit = min(width, height)
    canvas.rectangle(0, 0, width, height, 0)
    canvas.disc(width * (20 + dice[0] % 60) // 100, height * 24 // 100, unit * (11 + dice[1] % 8) // 100, ACCENT)
    for layer in range(1, 5):
        x = -(width * (dice[layer] % 8) // 100)
        place = 0
        while x < width:
            roll = dice[(layer * 9 + place * 5) % 32]
            wide = width * (5 + roll % 9) // 100 + 2
            tall = height * (16 + layer * 9 + roll % 17) // 100
            canvas.rectangle(x, tall, x + wide, height, layer)
            x += wide
            place += 1


def _pebbles(canvas: Canvas, dice: bytes) -> None:
    width, height = canvas.width, canvas.height
    unit = min(width, height)
    canvas.rectangle(0, 0, width, height, 1)
    for place in range(14):
        x, y = width * (dice[place] * 3 % 100) // 100, height * (dice[place + 14] * 7 % 70) // 100
        tone = ACCENT if place == 13 else (0, 2, 3, 4)[dice[31 - place] % 4]
        canvas.disc(x, y, unit * (22 - place + dice[place] % 5) // 100, tone)


_SCENES: tuple[Callable[[Canvas, bytes], None], ...] = (_hills, _arches, _skyline, _tiles, _pebbles, _beams)


def framed(canvas: Canvas, kind: int, x: int, y: int, radii: tuple[int, int, int], tones: tuple[int, int, int]) -> None:
    """Cut what is drawn to a shape round a middle: ground outside of it, then a rim and a line inside its edge.

    `radii` are the shape's, the line's and the picture's, in pixels; `tones` the ground's, the rim's and the line's.
    """
    for radius, tone in zip(reversed(radii), reversed(tones), strict=True):
        mask = Canvas(canvas.width, canvas.height)
        solid(mask, kind, x, y, radius, 1)
        _outside(canvas, mask, tone)


def _outside(canvas: Canvas, mask: Canvas, tone: int) -> None:
    width = canvas.width
    for start in range(0, width * canvas.height, width):
        left, right = mask.pixels.find(1, start, start + width), mask.pixels.rfind(1, start, start + width) + 1
        left, right = (left, right) if left >= 0 else (start + width, start + width)
        canvas.pixels[start:left] = bytes([tone]) * (left - start)
        canvas.pixels[right : start + width] = bytes([tone]) * (start + width - right)


def solid(canvas: Canvas, which: int, x: int, y: int, radius: int, tone: int) -> None:
    """One closed shape round a middle: disc, rounded square, hexagon or octagon."""
    kind = which % 4
    if kind == 0:
        canvas.disc(x, y, radius, tone)
    elif kind == 1:
        canvas.rounded(x - radius, y - radius, x + radius + 1, y + radius + 1, radius * 38 // 100, tone)
    elif kind == 2:
        far, near = radius, radius * 87 // 100
        half = radius // 2
        canvas.polygon(
            [
                (x - half, y - near),
                (x + half, y - near),
                (x + far, y),
                (x + half, y + near),
                (x - half, y + near),
                (x - far, y),
            ],
            tone,
        )
    else:
        side = radius * 42 // 100
        canvas.polygon(
            [
                (x - side, y - radius),
                (x + side, y - radius),
                (x + radius, y - side),
                (x + radius, y + side),
                (x + side, y + radius),
                (x - side, y + radius),
                (x - radius, y + side),
                (x - radius, y - side),
            ],
            tone,
        )
