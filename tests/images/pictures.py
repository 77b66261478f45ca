"""Small pictures for tests, drawn pixel by pixel from rows of letters."""

from __future__ import annotations

import io
from typing import Any

from PIL import Image

from qwenbuild.images import derive, normalise

COLOURS = {
    "r": (255, 0, 0, 255),
    "g": (0, 255, 0, 255),
    "b": (0, 0, 255, 255),
    "w": (255, 255, 255, 255),
    "k": (0, 0, 0, 255),
    "e": (128, 128, 128, 255),
    ".": (0, 0, 0, 0),
}


def drawn(*rows: str, mode: str = "RGB") -> Image.Image:
    image = Image.new("RGBA", (len(rows[0]), len(rows)))
    for y, row in enumerate(rows):
        for x, letter in enumerate(row):
            image.putpixel((x, y), COLOURS[letter])
    return image.convert(mode)


def saved(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def png(*rows: str, mode: str = "RGB") -> bytes:
    return saved(drawn(*rows, mode=mode))


def opened(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def letters_of(data: bytes) -> tuple[str, ...]:
    """The picture as rows of letters; "?" is a colour that has none."""
    image = opened(data).convert("RGBA")
    names = {colour: letter for letter, colour in COLOURS.items()}
    rows = []
    for y in range(image.height):
        pixels = [image.getpixel((x, y)) for x in range(image.width)]
        rows.append("".join(names.get(pixel, "?") if isinstance(pixel, tuple) else "?" for pixel in pixels))
    return tuple(rows)


def step(data: bytes, kind: str, **args: Any) -> bytes:
    """The PNG that one step makes."""
    return derive(data, [normalise(kind, args)], "image/png")
