"""Measure a picture: its size, its mode, how much of it is there; decoded once, however many look at it.

Knows no step and no expectation.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from typing import Any

from qwenbuild.images.decoder import decode
from qwenbuild.images.features import flat
from qwenbuild.images.pixels import alpha_share, plain
from qwenbuild.images.structure import sniff


@dataclass(frozen=True, slots=True)
class Measures:
    """What a picture is: width and height in pixels, mode L, LA, RGB or RGBA, its file's size in bytes.

    `alpha_coverage` is the mean of its alpha from 0 to 1; `blank` tells that all pixels are transparent, or of one
    colour within 2 of 255; `one_colour` that they are of exactly one.
    """

    width: int
    height: int
    mode: str
    alpha_coverage: float
    blank: bool
    one_colour: bool
    bytes: int


class DecodedPicture:
    """A picture's bytes, decoded when its `image` (Pillow: L, LA, RGB or RGBA) or its `measures` are first asked for.

    Both raise ValueError with one sentence when it cannot be decoded.
    """

    def __init__(self, data: bytes) -> None:
        self.data = data

    @cached_property
    def image(self) -> Any:
        """The pixels."""
        return plain(decode(self.data))

    @property
    def readable(self) -> bytes:
        """The picture as PNG or JPEG without transparency, which lies over grey: what programs that read words take."""
        if self.image.mode in ("L", "RGB") and sniff(self.data) in ("image/png", "image/jpeg"):
            return self.data
        out = BytesIO()
        flat(self.image).save(out, "PNG")
        return out.getvalue()

    @cached_property
    def measures(self) -> Measures:
        """What the picture is."""
        image, coverage = self.image, alpha_share(self.image)
        spread = [high - low for low, high in _extrema(image)]
        blank = max(spread) <= 2 or coverage == 0
        return Measures(image.width, image.height, image.mode, coverage, blank, max(spread) == 0, len(self.data))


def measure(data: bytes) -> Measures:
    """Decode and measure a picture. Raises ValueError with one sentence when it cannot be decoded."""
    return DecodedPicture(data).measures


def _extrema(image: Any) -> list[tuple[int, int]]:
    return [channel.getextrema() for channel in image.split()]
