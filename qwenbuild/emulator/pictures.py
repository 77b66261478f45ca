"""Draws a valid PNG of any size in microseconds, a function of a digest alone.

Knows nothing of jobs; the caller decides what goes into the digest, and of a prompt it reads the background alone.

The first row holds the colours; every further row says "as above", so its compressed form is the same for all pictures
of a size and is made once. Two deflate streams are joined at a full flush and their Adler-32 sums combined.
"""

from __future__ import annotations

import hashlib
import json
import random
import re
import struct
import zlib
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

STRIPES = 16
MARK_HEIGHT = 24
ADLER_BASE = 65521


def digest_of(fields: Mapping[str, Any]) -> bytes:
    """32 bytes that stand for the fields of a picture."""
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).digest()


def png(
    width: int, height: int, seed: bytes, *, marked: bool = False, weight: int = 0, background: tuple[int, ...] = ()
) -> bytes:
    """An RGB picture of exactly width × height pixels, coloured by `seed`. A `background` leaves it the middle.

    `marked` draws a bar in the lower right corner, as a watermark would; `weight` is roughly the least size in bytes.
    """
    row = _first_row(width, seed, bytes(background))
    tail, length, adler = _tail(width, height, marked, weight)
    head = zlib.compressobj(1, zlib.DEFLATED, -15)
    body = head.compress(row) + head.flush(zlib.Z_FULL_FLUSH)
    total = _combine(zlib.adler32(row), adler, length)
    data = b"\x78\x01" + body + tail + struct.pack(">I", total)
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = [(b"IHDR", header), (b"IDAT", data), (b"IEND", b"")]
    if marked:
        parts.insert(1, (b"tEXt", b"Comment\x00watermark: Qwen-Image"))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, content) for kind, content in parts)


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(content, zlib.crc32(kind)))


def _first_row(width: int, seed: bytes, background: bytes) -> bytes:
    colours = hashlib.sha512(seed).digest()[: 3 * STRIPES]
    edges = [width * index // STRIPES for index in range(STRIPES + 1)]
    stripes = [colours[3 * index : 3 * index + 3] * (edges[index + 1] - edges[index]) for index in range(STRIPES)]
    if background:
        margin = STRIPES // 4
        for index in (*range(margin), *range(STRIPES - margin, STRIPES)):
            stripes[index] = background * (edges[index + 1] - edges[index])
        for index in range(margin, STRIPES - margin):
            stripes[index] = _unlike(colours[3 * index : 3 * index + 3], background) * (edges[index + 1] - edges[index])
    return b"\x00" + b"".join(stripes)


def _unlike(colour: bytes, background: bytes) -> bytes:
    """`colour` as far from the background as a key must be able to tell: each of its channels in the other half."""
    return bytes(value | 128 if other < 128 else value & 127 for value, other in zip(colour, background, strict=True))


BACKGROUND = re.compile(r"#([0-9a-fA-F]{6})\s+background")


def background_of(prompt: str) -> tuple[int, ...]:
    """The colour of the background that a prompt asks for as `#rrggbb background`, () where it asks for none."""
    match = BACKGROUND.search(prompt)
    return tuple(bytes.fromhex(match[1])) if match else ()


@lru_cache(maxsize=64)
def _tail(width: int, height: int, marked: bool, weight: int) -> tuple[bytes, int, int]:
    """The rows below the first: compressed, their raw length in bytes, their Adler-32."""
    raw = b"".join(_rows_below(width, height, marked, weight))
    squeeze = zlib.compressobj(1, zlib.DEFLATED, -15)
    return squeeze.compress(raw) + squeeze.flush(), len(raw), zlib.adler32(raw)


def _rows_below(width: int, height: int, marked: bool, weight: int) -> list[bytes]:
    as_above = b"\x02" + bytes(3 * width)
    rows = [as_above] * (height - 1)
    noisy = min(weight // (3 * width), height - 1)
    if noisy:
        noise = random.Random(weight).randbytes(3 * width * noisy)
        for index in range(noisy):
            rows[index] = b"\x00" + noise[3 * width * index : 3 * width * (index + 1)]
    if marked and height > MARK_HEIGHT:
        bar = min(width // 4, 120)
        rows[height - 1 - MARK_HEIGHT] = b"\x02" + bytes(3 * (width - bar)) + b"\x80" * (3 * bar)
    return rows


def _combine(first: int, second: int, length: int) -> int:
    """The Adler-32 of two joined byte strings, from their sums and the length of the second."""
    rest = length % ADLER_BASE
    low = (first & 0xFFFF) + (second & 0xFFFF) - 1
    high = rest * (first & 0xFFFF) + (first >> 16) + (second >> 16) - rest
    return (low % ADLER_BASE) | (high % ADLER_BASE) << 16
