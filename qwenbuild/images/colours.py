"""Colours as people see them apart: sRGB to CIELAB (D65) in whole numbers, so that every machine finds the same distance.

Knows no picture. L, a and b are in hundredths.
"""

from __future__ import annotations

from decimal import Decimal, localcontext
from functools import cache, lru_cache

Lab = tuple[int, int, int]

_MATRIX = ((4124564, 3575761, 1804375), (2126729, 7151522, 721750), (193339, 1191920, 9503041))
"""Linear sRGB to XYZ, in ten-millionths (IEC 61966-2-1)."""
_WHITE = (9504700, 10000000, 10888300)
"""XYZ of the white point D65, in ten-millionths."""
_ONE = 10**15
_SMALL = 8856451679035  # (6/29)^3 of _ONE


@cache
def _linear() -> tuple[int, ...]:
    """What each of the 256 steps of a channel is as light, in millionths."""
    with localcontext() as context:
        context.prec = 28
        return tuple(_light(Decimal(step) / 255) for step in range(256))


def _light(value: Decimal) -> int:
    curve = ((value + Decimal("0.055")) / Decimal("1.055")) ** Decimal("2.4")
    light = value / Decimal("12.92") if value <= Decimal("0.04045") else curve
    return int((light * 1_000_000).to_integral_value())


def _cube_root(number: int) -> int:
    """The whole part of it, by Newton's method."""
    root = 1 << -(-number.bit_length() // 3)
    while (closer := (2 * root + number // (root * root)) // 3) < root:
        root = closer
    return root


def _bent(share: int) -> int:
    """CIELAB's f of a share of _ONE, in hundred-thousandths."""
    if share > _SMALL:
        return _cube_root(share)
    return share * 841 // (108 * 10**10) + 4 * 10**5 // 29


@lru_cache(maxsize=65536)
def lab(red: int, green: int, blue: int) -> Lab:
    """The colour in CIELAB, in hundredths: L from 0 to 10000, a and b about -12800 to 12800."""
    light = _linear()
    channels = light[red], light[green], light[blue]
    x, y, z = (
        _bent(sum(factor * channel for factor, channel in zip(row, channels, strict=True)) * (_ONE // 10**6) // white)
        for row, white in zip(_MATRIX, _WHITE, strict=True)
    )
    return (116 * y - 16 * 10**5) // 1000, 500 * (x - y) // 1000, 200 * (y - z) // 1000


def apart(one: Lab, other: Lab) -> int:
    """The square of ΔE (CIE 1976) in ten-thousandths: a ΔE of 2 is 40000."""
    return sum((left - right) ** 2 for left, right in zip(one, other, strict=True))
