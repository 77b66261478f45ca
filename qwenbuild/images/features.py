"""What can be measured of a picture's pixels: look, palette, borders, seams, painted transparency, sharpness.

Knows no limit and no verdict. Everything is counted in whole numbers with Pillow's own arithmetic, so that two machines with
one Pillow measure the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import isqrt
from operator import sub
from typing import Any

from PIL import Image, ImageChops, ImageFilter

from qwenbuild.images.colours import Lab, apart, lab

Pixels = Image.Image
GREY = (128, 128, 128)
GRID = 8
"""The difference hash looks at 8 rows and 8 columns, in both directions: 128 bits."""
THUMB = 16
"""Sides of the small picture that two looks are compared by, in pixels."""
PALETTE_SIDE = 64
MOST_COLOURS = 8
_BOX = Image.Resampling.BOX


def flat(image: Pixels) -> Pixels:
    """The picture in RGB, over grey where it is transparent."""
    if image.mode in ("RGB", "L"):
        return image.convert("RGB")
    coloured = image.convert("RGBA")
    ground = Image.new("RGB", image.size, GREY)
    ground.paste(coloured, mask=coloured.getchannel("A"))
    return ground


# ---------------------------------------------------------------- look


def look(image: Pixels) -> dict[str, Any]:
    """What pictures are compared by: `hash`, `thumb` (RGB), `colours` (the most common first), `style`, all as JSON values."""
    ground = flat(image)
    labs = _opaque_labs(image)
    return {
        "hash": f"{_difference_hash(ground):032x}",
        "thumb": ground.resize((THUMB, THUMB), _BOX).tobytes().hex(),
        "colours": common_colours(image),
        "style": _style(labs, sharpness(image)),
    }


def _difference_hash(ground: Pixels) -> int:
    """A bit for each pair of neighbours in a grid: whether the second is brighter, by more than noise makes it."""
    grey = ground.convert("L")
    wide, tall = grey.resize((GRID + 1, GRID), _BOX).tobytes(), grey.resize((GRID, GRID + 1), _BOX).tobytes()
    bits = [wide[y * (GRID + 1) + x + 1] > wide[y * (GRID + 1) + x] + 1 for y in range(GRID) for x in range(GRID)]
    bits += [tall[(y + 1) * GRID + x] > tall[y * GRID + x] + 1 for y in range(GRID) for x in range(GRID)]
    return sum(1 << at for at, bit in enumerate(bits) if bit)


def hash_distance(one: str, other: str) -> int:
    """How many of the 128 bits differ."""
    return (int(one, 16) ^ int(other, 16)).bit_count()


def mean_distance(one: Sequence[int], other: Sequence[int]) -> int:
    """The mean difference of two thumbs, in tenths of a step of 255; of two coarse ones never more than of the thumbs."""
    total: int = sum(map(abs, map(sub, one, other)))
    return total * 10 // (THUMB * THUMB * 3)


def coarse(thumb: bytes) -> list[int]:
    """A thumb's sums over 4*4 pixels, channel by channel: 48 numbers, by which most pairs can be told apart at once."""
    rows = [thumb[at : at + THUMB * 3] for at in range(0, len(thumb), THUMB * 3)]
    return [
        sum(sum(row[x * 12 + channel : x * 12 + 12 : 3]) for row in rows[y * 4 : y * 4 + 4])
        for y in range(4)
        for x in range(4)
        for channel in range(3)
    ]


def _style(labs: Sequence[Lab], sharp: int) -> dict[str, int]:
    """How light, how contrasty, how colourful, how warm, how sharp: whole numbers in hundredths of CIELAB."""
    count = len(labs) or 1
    lightness = sum(item[0] for item in labs) // count
    spread = isqrt(sum((item[0] - lightness) ** 2 for item in labs) // count)
    chroma = sum(isqrt(item[1] ** 2 + item[2] ** 2) for item in labs) // count
    warmth = sum(item[2] for item in labs) // count
    redness = sum(item[1] for item in labs) // count
    return {
        "lightness": lightness,
        "contrast": spread,
        "colour": chroma,
        "yellow to blue": warmth,
        "red to green": redness,
        "sharpness": isqrt(sharp) * 100,
    }


# ---------------------------------------------------------------- palette


def _small_rgba(image: Pixels) -> bytes:
    return image.convert("RGBA").resize((PALETTE_SIDE, PALETTE_SIDE), _BOX).tobytes()


def _opaque_counts(image: Pixels) -> Counter[tuple[int, int, int]]:
    """How many pixels of the picture made small have each colour, by 64 steps a channel; transparent ones are left out."""
    data = _small_rgba(image)
    return Counter(
        (data[at] & 252, data[at + 1] & 252, data[at + 2] & 252) for at in range(0, len(data), 4) if data[at + 3] >= 128
    )


def _opaque_labs(image: Pixels) -> list[Lab]:
    return [lab(*colour) for colour, count in _opaque_counts(image).items() for _ in range(count)]


def common_colours(image: Pixels) -> list[str]:
    """The colours that most of the picture is made of, as #rrggbb, the most common first; near ones (ΔE 12) count as one."""
    distinct: list[tuple[Lab, str]] = []
    for colour, _ in sorted(_opaque_counts(image).items(), key=lambda item: (-item[1], item[0])):
        place = lab(*colour)
        if all(apart(place, other) > 1_440_000 for other, _ in distinct):
            distinct.append((place, "#{:02x}{:02x}{:02x}".format(*colour)))
        if len(distinct) == MOST_COLOURS:
            break
    return [name for _, name in distinct]


def share_within(image: Pixels, colours: Sequence[str], delta: int) -> tuple[int, list[str]]:
    """How many thousandths of the opaque pixels are within ΔE `delta` of one of the colours (#rrggbb), and the most common
    colours that are not, at most four.
    """
    places = [lab(*bytes.fromhex(name[1:7])) for name in colours]
    limit = (delta * 100) ** 2
    inside, total, strange = 0, 0, Counter[str]()
    for colour, count in _opaque_counts(image).items():
        total += count
        if any(apart(lab(*colour), place) <= limit for place in places):
            inside += count
        else:
            strange["#{:02x}{:02x}{:02x}".format(*(channel & 240 for channel in colour))] += count
    names = [name for name, _ in sorted(strange.items(), key=lambda item: (-item[1], item[0]))[:4]]
    return (inside * 1000 // total if total else 1000), names


# ---------------------------------------------------------------- borders


@dataclass(frozen=True, slots=True)
class Borders:
    """How many pixels at each side are of one colour."""

    left: int
    top: int
    right: int
    bottom: int


NEAR = 12
"""Steps of 255 by which colours of one border may differ."""
STRAY = 2
"""Of 255: so much of a line may be of other colours."""


def borders(image: Pixels) -> Borders:
    """The one-colour bands at the four sides, in pixels; a picture of one colour is border throughout."""
    ground = flat(image)
    width, height = ground.size
    return Borders(
        left=_band(ground, (0, height // 2), across=False, backwards=False),
        top=_band(ground, (width // 2, 0), across=True, backwards=False),
        right=_band(ground, (width - 1, height // 2), across=False, backwards=True),
        bottom=_band(ground, (width // 2, height - 1), across=True, backwards=True),
    )


def _band(ground: Pixels, at: tuple[int, int], *, across: bool, backwards: bool) -> int:
    difference = ImageChops.difference(ground, Image.new("RGB", ground.size, ground.getpixel(at)))
    red, green, blue = difference.split()
    other = ImageChops.lighter(ImageChops.lighter(red, green), blue).point([0] * (NEAR + 1) + [255] * (255 - NEAR))
    lines = other.resize((1, ground.height) if across else (ground.width, 1), _BOX).tobytes()
    if backwards:
        lines = lines[::-1]
    return next((number for number, line in enumerate(lines) if line > STRAY), len(lines))


# ---------------------------------------------------------------- seams


def seams(image: Pixels) -> tuple[int, int]:
    """How visible the edge is when the picture is laid beside itself, left to right and top to bottom, in hundredths: how much
    the step across the edge stands out, against the steps inside (of 20 columns the one that stands out most but one).
    """
    ground = flat(image)
    return _seam(ground), _seam(ground.transpose(Image.Transpose.TRANSPOSE))


ALONG = 4
"""Pixels along the edge that are taken together: grain counts for less, what runs along the edge for the same."""
_EIGHTHS = [min(value * 8, 255) for value in range(256)]
_LEAST = 4
"""Eighths of a step of 255: what stands out less inside is taken for that."""


def _seam(ground: Pixels) -> int:
    if ground.width < 5 or ground.height < ALONG:
        return 100
    rows = ground.reduce((1, ALONG))
    steps = ImageChops.difference(rows, ImageChops.offset(rows, -1, 0)).convert("L")
    beside = ImageChops.lighter(ImageChops.offset(steps, 1, 0), ImageChops.offset(steps, -1, 0))
    columns = ImageChops.subtract(steps, beside).point(_EIGHTHS).resize((rows.width, 1), _BOX).tobytes()
    inside = sorted(columns[:-1])
    return columns[-1] * 100 // max(inside[len(inside) * 95 // 100], _LEAST)


# ---------------------------------------------------------------- painted transparency


@dataclass(frozen=True, slots=True)
class Checkerboard:
    """How many thousandths of the picture are squares of two greys, the side of a square and the box around them, in pixels."""

    share: int
    square: int
    box: tuple[int, int, int, int]


LONGEST_SIDE = 512
SQUARES = range(3, 41)
_STEP = [255 if 6 <= value <= 120 else 0 for value in range(256)]
_SAME = [255 if value <= 5 else 0 for value in range(256)]
_NEUTRAL = [255 if value <= 14 else 0 for value in range(256)]


def checkerboard(image: Pixels) -> Checkerboard:
    """The pattern by which programs show transparency, painted into the picture: the squares that cover most of it."""
    ground = flat(image)
    factor = max(1, -(-max(ground.size) // LONGEST_SIDE))
    small = ground.reduce(factor) if factor > 1 else ground
    red, green, blue = small.split()
    bright = ImageChops.lighter(ImageChops.lighter(red, green), blue)
    dark = ImageChops.darker(ImageChops.darker(red, green), blue)
    neutral, grey = ImageChops.subtract(bright, dark).point(_NEUTRAL), small.convert("L")
    best = Checkerboard(0, 0, (0, 0, 0, 0))
    for square in SQUARES:
        if 3 * square >= min(small.size):
            break
        mask = _squares(grey, neutral, square)
        share = mask.histogram()[255] * 1000 // (small.width * small.height)
        if share > best.share:
            left, top, right, bottom = mask.getbbox() or (0, 0, 0, 0)
            box = (left * factor, top * factor, (right + square) * factor, (bottom + square) * factor)
            best = Checkerboard(share, square * factor, box)
    return best


def _squares(grey: Pixels, neutral: Pixels, square: int) -> Pixels:
    """White where the next square, to the right and below, is another grey, and the one after it the same again."""
    width, height = grey.width - 2 * square, grey.height - 2 * square

    def moved(x: int, y: int) -> Pixels:
        return grey.crop((x * square, y * square, x * square + width, y * square + height))

    here = moved(0, 0)
    mask = neutral.crop((0, 0, width, height))
    for x, y, wanted in ((1, 0, _STEP), (0, 1, _STEP), (1, 1, _SAME), (2, 0, _SAME), (0, 2, _SAME)):
        mask = ImageChops.darker(mask, ImageChops.difference(here, moved(x, y)).point(wanted))
    return mask


# ---------------------------------------------------------------- sharpness


SHARP_SIDE = 1024
_LAPLACE = ImageFilter.Kernel((3, 3), (0, 1, 0, 1, -4, 1, 0, 1, 0), scale=1, offset=128)


def sharpness(image: Pixels) -> int:
    """The variance of the Laplacian of the grey picture, its longer side at most 1024 pixels. 0 is one colour; blurred
    pictures are below 30, drawings and photographs with sharp edges in the hundreds.
    """
    grey = flat(image).convert("L")
    factor = max(1, -(-max(grey.size) // SHARP_SIDE))
    grey = grey.reduce(factor) if factor > 1 else grey
    if min(grey.size) < 3:
        return 0
    counts = grey.filter(_LAPLACE).crop((1, 1, grey.width - 1, grey.height - 1)).histogram()
    total = sum(counts)
    mean = sum(value * count for value, count in enumerate(counts))
    return (total * sum(value * value * count for value, count in enumerate(counts)) - mean * mean) // (total * total)
