"""Draw a picture that stands in for a bought one: the prompt's words on a calm scene, in the right size, offline.

Knows the Action alone and nothing of the machine: equal Actions give equal bytes everywhere and for all time, because
examples commit the digests of these pictures.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from math import isqrt

from qwenbuild.images import scenes
from qwenbuild.images.canvas import Canvas, Ramp, text_width
from qwenbuild.images.flatpng import Colour, write
from qwenbuild.images.structure import MAX_PIXELS
from qwenbuild.images.typeset import Setting, fit, headline, shorten, widest
from qwenbuild.key import action_key
from qwenbuild.model import Action

RATIOS = {
    "1:1": (1328, 1328),
    "16:9": (1664, 928),
    "9:16": (928, 1664),
    "4:3": (1472, 1140),
    "3:4": (1140, 1472),
    "3:2": (1584, 1056),
    "2:3": (1056, 1584),
}
"""Pixel sizes for ratios, from Qwen-Image's own list of sizes."""

_SOLID = re.compile(r"solid #([0-9a-fA-F]{6}) background")
_SIZE = re.compile(r"([0-9]{1,5})([*x:])([0-9]{1,5})")

_PALETTES = (
    "f2e9e4 c9ada7 9a8c98 4a4e69 22223b e07a5f",
    "dde5d0 a3b18a 588157 3a5a40 1f3328 e9c46a",
    "d7e8ee 8fbfd0 4f93ad 2b6180 17384d f4a261",
    "f4ebdc e3cda4 c7a27c 8c6a4f 4a3728 3d8b8b",
    "e9e4f0 c3b5da 9180b5 5e4f86 33294f f2b872",
    "f5e3d7 e5b299 c97b63 8f4a3f 4a2421 2f6f73",
    "e0f0ea a9d6c5 6bb39c 3c7f72 1e4743 e76f51",
    "e6eaee b8c4cf 8193a3 4c5e6e 26323d e3b23c",
    "f6e4e6 e6b8bf c98391 8c4c60 48243a 5b8e7d",
    "efeedd cfcb9c a39f62 6b6a3b 36371f b5533c",
    "dbe2ef 93a5cb 5a6ca3 333f70 181f3f f0c808",
    "efe3ec cfa9c6 a06c97 67406a 341f3b e8a33d",
)
"""Five tones from light to dark, and an accent."""

TONES = (0, 1, 2, 3, 4)
ACCENT = 5
PAPER = 6
BODY: Ramp = (PAPER, 7, 8, 9)
BAND = 4
TITLE: Ramp = (BAND, 10, 11, 12)
QUIET: Ramp = (PAPER, 7, 13, 14)
GROUND = 15


@dataclass(frozen=True, slots=True)
class _Card:
    """The words, broken into lines, and the space for them in pixels; `unit` is what everything scales with."""

    left: int
    right: int
    bottom: int
    unit: int
    title: Setting
    body: Setting

    @property
    def inset(self) -> int:
        return max(self.unit // 26, 2)

    @property
    def foot(self) -> int:
        return max(self.unit * 29 // 1328, 7)

    @property
    def band(self) -> int:
        """Where the title's band ends and the body begins."""
        return self.bottom - 2 * self.inset - 2 * self.foot - self.body.height

    @property
    def top(self) -> int:
        return self.band - self.title.height - self.inset


def placeholder_png(action: Action) -> bytes:
    """A PNG of exactly the Action's size (a ratio takes a size of RATIOS), a few kilobytes large.

    The words `solid #RRGGBB background` in a prompt give an object on that colour, for `key_out` to have true work.
    Raises ValueError when the size cannot be read or is over 64 megapixels.
    """
    width, height = pixel_size(action.size)
    dice = _dice_of(f"{action.model}\0{action.prompt}")
    canvas = Canvas(width, height)
    colours = _palette(dice[0])
    solid = _SOLID.search(action.prompt)
    if solid:
        red, green, blue = bytes.fromhex(solid[1])
        colours = [*(_away(colour, (red, green, blue)) for colour in colours), (red, green, blue)]
        _object(canvas, action, dice)
    else:
        scenes.draw(canvas, action.seed + dice[1], _dice_of(action_key(action)))
        _words(canvas, action)
        colours.append((0, 0, 0))
    return write(width, height, colours, canvas.pixels)


def pixel_size(size: str) -> tuple[int, int]:
    """Width and height in pixels of `W*H`, `WxH` or a ratio. Raises ValueError."""
    match = _SIZE.fullmatch(size)
    if match is None or int(match[1]) < 1 or int(match[3]) < 1:
        raise ValueError(f"the size {size!r} is neither W*H in pixels nor a ratio such as 16:9")
    width, height = int(match[1]), int(match[3])
    if match[2] == ":":
        return RATIOS.get(size) or _near_ratio(width, height)
    if width * height > MAX_PIXELS:
        raise ValueError(f"the size {size!r} is more than {MAX_PIXELS // 1_000_000} megapixels")
    return width, height


def _near_ratio(width: int, height: int) -> tuple[int, int]:
    """About 1.7 megapixels, sides in steps of 16."""
    longer, shorter = max(width, height), min(width, height)
    side = 16
    while side * (side * longer // shorter) < 1_700_000 and side * longer // shorter < 8000:
        side += 16
    other = max(side * longer // shorter // 16 * 16, 16)
    return (other, side) if width >= height else (side, other)


def _dice_of(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def _palette(which: int) -> list[Colour]:
    """The fifteen colours that scenes, card and letters use."""
    rgb = [bytes.fromhex(word) for word in _PALETTES[which % len(_PALETTES)].split()]
    tones: list[Colour] = [(colour[0], colour[1], colour[2]) for colour in rgb]
    paper = _mix(tones[0], (255, 255, 255), 2)
    ink, light = _mix(tones[4], (0, 0, 0), 1), _mix(tones[0], (255, 255, 255), 1)
    quiet = _mix(tones[4], paper, 1)
    body = [paper, _mix(paper, ink, 1), _mix(paper, ink, 2), ink]
    title = [_mix(tones[4], light, 1), _mix(tones[4], light, 2), light]
    return [*tones, *body, *title, _mix(paper, quiet, 2), quiet]


def _away(colour: Colour, ground: Colour) -> Colour:
    """The colour, or one like it that nobody takes for the ground."""
    far = (0, 0, 0) if sum(ground) > 382 else (255, 255, 255)
    while max(abs(a - b) for a, b in zip(colour, ground, strict=True)) < 72:
        colour = _mix(colour, far, 1)
    return colour


def _mix(one: Colour, other: Colour, thirds: int) -> Colour:
    """`thirds` of three parts of the other colour."""
    red, green, blue = (((3 - thirds) * a + thirds * b + 1) // 3 for a, b in zip(one, other, strict=True))
    return red, green, blue


def _unit(canvas: Canvas) -> int:
    """The side of a square as large as the picture, but never much more than its shorter side."""
    small = min(canvas.width, canvas.height)
    return min(isqrt(canvas.width * canvas.height), small * 3 // 2)


def _card(canvas: Canvas, prompt: str) -> _Card:
    """The card stands at the bottom, in wide pictures on the left, and is as high as its words."""
    width, height, small = canvas.width, canvas.height, _unit(canvas)
    margin = max(small // 18, 2)
    wide = width * 10 >= height * 14
    right = margin + width * 54 // 100 if wide else width - margin
    room = (height - 2 * margin) * (92 if wide else 62) // 100
    inset = max(small // 26, 2)
    across = right - margin - 2 * inset
    head = headline(prompt) or "(empty prompt)"
    title = fit(head, across, room * 38 // 100, _sizes(small, (88, 76, 66, 58, 50, 42)))
    left_over = room - title.height - 3 * inset - max(small * 58 // 1328, 14)
    text = "" if prompt.strip() == head else prompt
    body = fit(text, across, left_over, _sizes(small, (50, 46, 42, 38, 34, 30, 26)))
    return _Card(margin, right, height - margin, small, title, body)


def _words(canvas: Canvas, action: Action) -> None:
    """The card: a band with the prompt's first clause, the whole prompt, and a foot."""
    card = _card(canvas, action.prompt)
    corner, inset, rim = max(card.unit // 48, 1), card.inset, max(card.unit // 260, 1)
    canvas.rounded(card.left - rim, card.top - rim, card.right + rim, card.bottom + rim, corner + rim, PAPER)
    canvas.rounded(card.left, card.top, card.right, card.bottom, corner, PAPER)
    canvas.rounded(card.left, card.top, card.right, card.band + corner, corner, BAND)
    canvas.rectangle(card.left, card.band, card.right, card.bottom - corner, PAPER)
    canvas.rectangle(card.left, card.band, card.right, card.band + max(card.unit // 160, 1), ACCENT)
    _lines(canvas, card.title, card.left + inset, card.top + inset // 2, TITLE)
    _lines(canvas, card.body, card.left + inset, card.band + inset * 3 // 4, BODY)
    _foot(canvas, action, card.left + inset, card.bottom - inset, card.right - card.left - 2 * inset, card.foot)


def _sizes(unit: int, sizes: tuple[int, ...]) -> list[int]:
    return list(dict.fromkeys(max(size * unit // 1328, 8) for size in sizes))


def _lines(canvas: Canvas, setting: Setting, x: int, top: int, ramp: Ramp, centre: int = 0) -> None:
    """Write lines one below the other; with `centre` the width in which each is centred."""
    for place, line in enumerate(setting.lines):
        shift = (centre - text_width(line, setting.size)) // 2 if centre else 0
        canvas.text(line, x + shift, top + place * setting.leading + setting.size, setting.size, ramp)


def _foot(canvas: Canvas, action: Action, x: int, baseline: int, wide: int, size: int) -> None:
    mark = f"#{action_key(action)[:10]}"
    rest = wide - text_width(mark, size) - size
    facts = f"{action.model}   {canvas.width}×{canvas.height}   seed {action.seed}"
    if rest > size * 4:
        canvas.text(shorten(facts, rest, size), x, baseline, size, QUIET)
    canvas.text(mark, x + wide - text_width(mark, size), baseline, size, QUIET)


def _object(canvas: Canvas, action: Action, dice: bytes) -> None:
    """One thing in the middle of a plain ground: a framed scene with the words on a plate."""
    unit = min(canvas.width, canvas.height)
    x, y, radius = canvas.width // 2, canvas.height // 2, unit * 45 // 100
    kind = dice[2] + action.seed
    scenes.draw(canvas, action.seed + dice[1], _dice_of(action_key(action)))
    scenes.framed(canvas, kind, x, y, (radius, radius * 93 // 100, radius * 90 // 100), (GROUND, BAND, ACCENT))
    inset, small = max(unit // 40, 2), max(unit * 30 // 1328, 7)
    words = headline(_SOLID.sub("", action.prompt)) or "(empty prompt)"
    title = fit(words, radius * 136 // 100, radius * 70 // 100, _sizes(unit, (110, 96, 84, 72, 62, 54, 46)))
    facts = Setting((f"{canvas.width}×{canvas.height}  seed {action.seed}", f"#{action_key(action)[:10]}"), small)
    half = max(widest(title.lines, title.size), widest(facts.lines, small)) // 2 + inset
    top = y - (title.height + facts.height) // 2
    bottom = top + title.height + facts.height
    canvas.rounded(x - half, top - inset, x + half, bottom + inset, inset, PAPER)
    _lines(canvas, title, x - half, top, BODY, centre=2 * half)
    _lines(canvas, facts, x - half, bottom - facts.height, QUIET, centre=2 * half)
