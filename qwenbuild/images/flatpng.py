"""Write a picture of at most sixteen colours as a PNG whose bytes are the same on every machine and for all time.

Knows no library that compresses: a new zlib may compress otherwise, and the placeholder's digests are committed.
"""

from __future__ import annotations

import heapq
import re
import struct
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

Colour = tuple[int, int, int]

_RUN = re.compile(rb"\x00{4,}|([^\x00])\1{3,}")
_END = 256
_NODES = 1000
"""Symbols are below this, the tree's inner nodes are not."""
_FOUR = tuple(format(length, "04b") for length in range(16))
_ORDER = (16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15)


def write(width: int, height: int, palette: Sequence[Colour], pixels: bytes | bytearray) -> bytes:
    """A four-bit palette PNG. `pixels` holds one palette index (0…15) a byte, row after row, width * height of them."""
    header = struct.pack(">IIBBBBB", width, height, 4, 3, 0, 0, 0)
    colours = b"".join(bytes(colour) for colour in palette)
    rows = _packed(width, height, pixels)
    filtered = _up(rows, height)
    data = b"\x78\x01" + deflate(filtered) + struct.pack(">I", zlib.adler32(filtered))
    parts = ((b"IHDR", header), (b"PLTE", colours), (b"IDAT", data), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(name, body) for name, body in parts)


def chunk(name: bytes, body: bytes) -> bytes:
    """One PNG chunk: length, name, body, checksum."""
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def _packed(width: int, height: int, pixels: bytes | bytearray) -> bytearray:
    """Two pixels a byte, each row led by a zero where its filter will stand."""
    if width % 2:
        pixels = b"".join(pixels[start : start + width] + b"\0" for start in range(0, width * height, width))
    half = (width + 1) // 2
    joined = int.from_bytes(pixels[0::2]) << 4 | int.from_bytes(pixels[1::2])
    pairs = joined.to_bytes(half * height)
    rows = bytearray((half + 1) * height)
    for row in range(height):
        rows[row * (half + 1) + 1 : (row + 1) * (half + 1)] = pairs[row * half : (row + 1) * half]
    return rows


def _up(rows: bytearray, height: int) -> bytes:
    """Each row less the one above it, byte by byte (PNG's filter 2), computed as one subtraction of long integers."""
    stride = len(rows) // height
    high = int.from_bytes(b"\x80" * len(rows))
    ours = int.from_bytes(rows)
    above = ours >> 8 * stride
    difference = ((ours | high) - (above & ~high)) ^ ((ours ^ ~above) & high)
    filtered = bytearray(difference.to_bytes(len(rows)))
    filtered[0::stride] = b"\x02" * height
    return bytes(filtered)


def deflate(data: bytes) -> bytes:
    """A deflate stream of one block that knows one trick, runs of one byte, with a Huffman code made for this data."""
    tokens = list(_tokens(data))
    frequencies: Counter[int] = Counter(b"".join(literals for literals, _ in tokens))
    lengths: Counter[int] = Counter()
    for run, count in Counter(run for _, run in tokens).items():
        for piece in _pieces(run):
            lengths[piece] += count
    for piece, count in lengths.items():
        frequencies[_length_code(piece)[0]] += count
    frequencies[_END] = 1
    code = _code(frequencies)
    return _bytes_of(_header(code) + _body(tokens, code, lengths))


def _tokens(data: bytes) -> Iterator[tuple[bytes, int]]:
    """Literal bytes, then how often the last of them repeats; again and again."""
    position = 0
    for match in _RUN.finditer(data):
        start, end = match.span()
        yield data[position : start + 1], end - start - 1
        position = end
    yield data[position:], 0


def _pieces(run: int) -> list[int]:
    """A run's length cut into what one back-reference can say (3…258)."""
    whole, rest = divmod(run, 258)
    if 0 < rest < 3:
        return [258] * (whole - 1) + [255, rest + 3]
    return [258] * whole + ([rest] if rest else [])


def _length_code(length: int) -> tuple[int, int, int]:
    """Deflate's symbol for a length, the number of its extra bits, and their value."""
    if length == 258:
        return 285, 0, 0
    offset = length - 3
    if offset < 8:
        return 257 + offset, 0, 0
    extra = offset.bit_length() - 3
    return 257 + 4 * extra + (offset >> extra), extra, offset & ((1 << extra) - 1)


def _code(frequencies: Mapping[int, int]) -> dict[int, str]:
    """A canonical Huffman code, symbol to bits in the order they are sent; no code is longer than 15 bits."""
    weights = dict(frequencies)
    while True:
        depth = _depths(weights)
        if max(depth.values()) <= 15:
            break
        weights = {symbol: weight // 4 + 1 for symbol, weight in weights.items()}
    code, value, previous = {}, 0, 0
    for length, symbol in sorted((length, symbol) for symbol, length in depth.items()):
        value <<= length - previous
        code[symbol] = format(value, f"0{length}b")
        value, previous = value + 1, length
    return code


def _depths(weights: Mapping[int, int]) -> dict[int, int]:
    """How deep each symbol lies in the tree: of equal weights, what holds the smallest symbol is joined first."""
    heap = [(weight, symbol, symbol) for symbol, weight in weights.items()]
    heapq.heapify(heap)
    pop, replace, above, node = heapq.heappop, heapq.heapreplace, dict[int, int](), _NODES
    while len(heap) > 1:
        weight, symbol, one = pop(heap)
        more, least, other = heap[0]
        above[one] = above[other] = node
        replace(heap, (weight + more, symbol if symbol < least else least, node))
        node += 1
    depth = {node - 1: 0} if above else dict.fromkeys(weights, 0)
    for below in sorted(above, reverse=True):  # whoever joins others is numbered after them
        depth[below] = depth[above[below]] + 1
    return {symbol: depth[symbol] for symbol in weights}


def _header(code: Mapping[int, str]) -> str:
    """The block's header: the code's lengths written four bits each, and two distances of one bit, of which one is used."""
    sent = "".join([_FOUR[len(code.get(symbol, ""))] for symbol in range(286)]) + "0001" * 2
    lengths = "".join("001" if symbol < 16 else "000" for symbol in _ORDER)
    # The sixteen lengths are themselves sent as four-bit codes, so "001" (4, lowest bit first) for each of them.
    return "1" + "01" + _low(286 - 257, 5) + _low(2 - 1, 5) + _low(19 - 4, 4) + lengths + sent


def _low(value: int, bits: int) -> str:
    return format(value, f"0{bits}b")[::-1]


def _body(tokens: Sequence[tuple[bytes, int]], code: Mapping[int, str], lengths: Mapping[int, int]) -> str:
    run_codes = {}
    for length in lengths:
        symbol, extra, value = _length_code(length)
        run_codes[length] = code[symbol] + (_low(value, extra) if extra else "") + "0"
    runs = {run: "".join(run_codes[piece] for piece in _pieces(run)) for run in {run for _, run in tokens}}
    parts: list[str] = []
    bits = code.__getitem__
    for literals, run in tokens:
        parts += map(bits, literals)
        parts.append(runs[run])
    parts.append(code[_END])
    return "".join(parts)


def _bytes_of(bits: str) -> bytes:
    """The bits in the order they are sent, as bytes that are filled from their lowest bit."""
    size = (len(bits) + 7) // 8
    return int(bits[::-1], 2).to_bytes(size, "little")
