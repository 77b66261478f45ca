"""Small pictures of pictures: thumbnails, labelled contact sheets, and how much two pictures differ.

Knows no entry and no page; letters come from the embedded table, so that a sheet looks the same on every machine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import BytesIO

from PIL import Image, ImageChops, ImageOps, ImageStat

from qwenbuild.images import letters
from qwenbuild.images.decoder import decode
from qwenbuild.images.pipeline import derive
from qwenbuild.images.pixels import apply, flattened, plain
from qwenbuild.images.steps import normalise
from qwenbuild.images.structure import size_of
from qwenbuild.images.typeset import shorten
from qwenbuild.model import ImageStep

_PAPER, _INK, _QUIET, _CELL = (250, 250, 248), (28, 30, 34), (110, 114, 122), (236, 236, 232)


def thumbnail(data: bytes, width: int) -> bytes:
    """A WebP whose width is at most `width` pixels. Raises ValueError with one sentence."""
    steps = [normalise("format", {"type": "webp", "quality": 80})]
    if size_of(data)[1] > width:
        steps.insert(0, normalise("resize", {"width": width}))
    return derive(data, steps, "image/webp", effort=2)  # a third of the time of 4, for files that are 3 % larger


def stages(data: bytes, steps: Sequence[ImageStep], width: int, palettes: Mapping[str, bytes] | None = None) -> list[bytes]:
    """A small WebP, at most `width` pixels wide, of what the picture is after each of the steps but the last.

    Raises ValueError with one sentence.
    """
    image = plain(ImageOps.exif_transpose(decode(data)))
    pictures = []
    for step in steps[:-1]:
        image = apply(image, step.kind, step.args, palettes or {})
        pictures.append(_webp(image, width))
    return pictures


def _webp(image: Image.Image, width: int) -> bytes:
    small = image.convert("RGBA" if "A" in image.mode else "RGB")
    small.thumbnail((width, width * 8), Image.Resampling.LANCZOS)
    out = BytesIO()
    small.save(out, "WEBP", quality=80, method=2)
    return out.getvalue()


def differing(one: bytes, other: bytes, least: int = 8) -> float:
    """The share of pixels, 0 to 1, of which a channel differs by more than `least` of 255; another size counts as a whole.

    Alpha is a channel, and colours are premultiplied by it: what cannot be seen does not count. Raises ValueError.
    """
    first, second = (plain(decode(data)).convert("RGBA").convert("RGBa") for data in (one, other))
    if first.size != second.size:
        return 1.0
    apart = ImageChops.difference(Image.merge("RGBA", first.split()), Image.merge("RGBA", second.split())).split()
    most = ImageChops.lighter(ImageChops.lighter(apart[0], apart[1]), ImageChops.lighter(apart[2], apart[3]))
    counts = most.histogram()
    return sum(counts[least + 1 :]) / (most.width * most.height)


def difference(one: bytes, other: bytes) -> float:
    """How much two pictures differ, 0 (alike) to 1, judged on 64 by 64 pixels each; sizes may differ."""
    first, second = _small(one), _small(other)
    means = ImageStat.Stat(ImageChops.difference(first, second)).mean
    return sum(means) / (255 * len(means))


def _small(data: bytes) -> Image.Image:
    """Colours premultiplied beside alpha, so that what cannot be seen does not count."""
    picture = plain(decode(data)).convert("RGBA").convert("RGBa").resize((64, 64), Image.Resampling.BOX)
    return Image.merge("RGBA", picture.split())


def contact_sheet(items: Sequence[tuple[str, bytes]], title: str, *, columns: int = 4, cell: int = 240) -> bytes:
    """A PNG that shows pictures (label, bytes) in a grid of `cell` pixels each, with their labels, below a title."""
    gap, line = cell // 12, max(cell // 13, 9)
    columns = max(min(columns, len(items)), 1)
    rows = -(-len(items) // columns)
    head = line * 3 + gap
    sheet = Image.new("RGB", (gap + columns * (cell + gap), head + rows * (cell + line * 2 + gap)), _PAPER)
    _write(sheet, shorten(title, sheet.width - 2 * gap, line * 3 // 2), gap, gap + line * 3 // 2, line * 3 // 2, _INK)
    for place, (label, data) in enumerate(items):
        left, top = gap + place % columns * (cell + gap), head + place // columns * (cell + line * 2 + gap)
        sheet.paste(_CELL, (left, top, left + cell, top + cell))
        picture = _shown(data, cell)
        sheet.paste(picture, (left + (cell - picture.width) // 2, top + (cell - picture.height) // 2))
        _write(sheet, shorten(label, cell, line), left, top + cell + line * 3 // 2, line, _QUIET)
    out = BytesIO()
    sheet.save(out, "PNG", compress_level=6, optimize=False)
    return out.getvalue()


def _shown(data: bytes, cell: int) -> Image.Image:
    picture = plain(decode(data)).convert("RGBA")
    picture.thumbnail((cell, cell), Image.Resampling.LANCZOS)
    return flattened(picture, "#{:02x}{:02x}{:02x}ff".format(*_CELL))


def _write(sheet: Image.Image, words: str, x: int, baseline: int, size: int, ink: tuple[int, int, int]) -> None:
    grey = bytes(level * 255 // letters.LEVELS for level in range(letters.LEVELS + 1)) + bytes(252)
    for letter in words:
        glyph = letters.draw(letter, size)
        if glyph.rows:
            mask = Image.frombytes("L", (len(glyph.rows[0]), len(glyph.rows)), b"".join(glyph.rows).translate(grey))
            sheet.paste(ink, (x + glyph.left, baseline + glyph.top), mask)
        x += glyph.advance
