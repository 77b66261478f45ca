"""Read a palette file: GIMP's .gpl, JASC's .pal, a list of hexadecimal colours, or the colours of a small PNG.

Knows no step; the format is told by the content and not by a name.
"""

from __future__ import annotations

import re

from qwenbuild.images.structure import sniff

Colours = tuple[tuple[int, int, int], ...]

_HEX = re.compile(r"(?:#|0x)?(?:ff)?([0-9a-fA-F]{6})")
_RGB = re.compile(r"\s*(\d{1,3})\s+(\d{1,3})\s+(\d{1,3})\b")


def read_palette(data: bytes) -> Colours:
    """Two to 256 different colours in the file's order. Raises ValueError with one sentence."""
    colours = _from_png(data) if sniff(data) == "image/png" else _from_text(data)
    different = tuple(dict.fromkeys(colours))
    if not 2 <= len(different) <= 256:
        raise ValueError(f"a palette holds 2 to 256 different colours, this file holds {len(different)}")
    return different


def _from_text(data: bytes) -> list[tuple[int, int, int]]:
    try:
        lines = [line.strip() for line in data.decode("utf-8-sig").splitlines()]
    except UnicodeDecodeError:
        raise ValueError("this is not a palette: neither text nor a PNG") from None
    lines = [line for line in lines if line]
    if not lines:
        raise ValueError("this is not a palette: the file is empty")
    if lines[0] == "GIMP Palette":
        return [_numbers(line) for line in lines[1:] if not re.match(r"(Name|Columns):|#", line)]
    if lines[0] == "JASC-PAL":
        return [_numbers(line) for line in lines[3:]]
    return [_hexadecimal(line) for line in lines if not line.startswith(";")]


def _numbers(line: str) -> tuple[int, int, int]:
    match = _RGB.match(line)
    if match is None or max(int(part) for part in match.groups()) > 255:
        raise ValueError(f"this is not a palette: {line[:40]!r} is no red, green and blue from 0 to 255")
    return int(match[1]), int(match[2]), int(match[3])


def _hexadecimal(line: str) -> tuple[int, int, int]:
    match = _HEX.fullmatch(line)
    if match is None:
        raise ValueError(f"this is not a palette: {line[:40]!r} is no colour such as 1a2b3c (known: .gpl, .pal, .hex, PNG)")
    red, green, blue = bytes.fromhex(match[1])
    return red, green, blue


def _from_png(data: bytes) -> list[tuple[int, int, int]]:
    from qwenbuild.images.decoder import decode

    image = decode(data).convert("RGB")
    counted = image.getcolors(4096)
    if counted is None:
        raise ValueError("a palette holds 2 to 256 different colours, this PNG holds more than 4096")
    colours = [colour for _, colour in counted if isinstance(colour, tuple)]
    return sorted((red, green, blue) for red, green, blue in colours)
