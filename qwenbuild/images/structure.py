"""What kind of picture bytes are, and its size, by its header alone.

Knows no provider and no request, and needs no image library: every download passes here.
"""

from __future__ import annotations

import struct
import zlib
from pathlib import PurePath

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
MAX_PIXELS = 64_000_000
"""More than this is refused before anything is decoded (pixels)."""

EXTENSIONS = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".webp": "image/webp",
    ".avif": "image/avif",
    ".gif": "image/gif",
}
_EXTENSION_OF = {"image/png": ".png", "image/jpeg": ".jpg", "image/webp": ".webp", "image/avif": ".avif", "image/gif": ".gif"}
_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
_SOF = frozenset({0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF})


def sniff(data: bytes) -> str | None:
    """The media type that the first bytes promise (PNG, JPEG, WebP, AVIF, GIF), or None."""
    if data.startswith(PNG_SIGNATURE):
        return "image/png"
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    if data[4:8] == b"ftyp" and data[8:12] in (b"avif", b"avis"):
        return "image/avif"
    if data[:6] in (b"GIF87a", b"GIF89a"):
        return "image/gif"
    return None


def reference_type(head: bytes) -> str | None:
    """As `sniff`, with the types that some APIs take as reference images, and that never come as pictures: BMP, TIFF."""
    if head[:2] == b"BM":
        return "image/bmp"
    if head[:4] in (b"II*\0", b"MM\0*"):
        return "image/tiff"
    return sniff(head)


def extension_of(media_type: str) -> str:
    """The usual file extension with its dot, such as ".png". Raises ValueError for a type that is not a picture's."""
    try:
        return _EXTENSION_OF[media_type]
    except KeyError:
        raise ValueError(f"{media_type!r} is not a picture type that has a file extension here") from None


def media_type_of(path: str) -> str | None:
    """The media type that a path's extension promises, or None when it is not a picture's extension."""
    return EXTENSIONS.get(PurePath(path).suffix.lower())


def size_of(data: bytes) -> tuple[str, int, int]:
    """Media type, width and height in pixels by the header alone. Raises ValueError when the bytes are no picture."""
    media_type = sniff(data)
    if media_type is None:
        raise ValueError(f"these {len(data)} bytes are no PNG, JPEG, WebP or AVIF")
    return (media_type, *dimensions(data, media_type))


def dimensions(data: bytes, media_type: str) -> tuple[int, int]:
    """Width and height in pixels as the header says them, nothing decoded. Raises ValueError."""
    reader = {"image/png": _png_size, "image/jpeg": _jpeg_size, "image/webp": _webp_size}.get(media_type, _other_size)
    try:
        width, height = reader(data)
    except (struct.error, IndexError):
        raise ValueError(f"the {type_name(media_type)} is cut off inside its header ({len(data)} bytes)") from None
    if width < 1 or height < 1:
        raise ValueError(f"the {type_name(media_type)} says that it is {width}x{height} pixels")
    return width, height


def refuse_bomb(width: int, height: int) -> None:
    """Raise ValueError when a picture of this size in pixels must not be decoded."""
    if width * height > MAX_PIXELS:
        raise ValueError(f"the picture is {width}x{height} pixels, more than the {MAX_PIXELS // 1_000_000} megapixels allowed")


def png_chunk(view: memoryview, position: int) -> tuple[bytes, int]:
    """The name of the chunk at `position` and where it ends. Raises ValueError when it is cut off or damaged."""
    size = len(view)
    if position + 12 > size:
        raise ValueError(f"the PNG is cut off: {size} bytes end inside a chunk header")
    length = int.from_bytes(view[position : position + 4])
    name = bytes(view[position + 4 : position + 8])
    if not (name.isalpha() and name.isascii()):
        raise ValueError(f"the PNG is damaged at byte {position}: no chunk begins there")
    end = position + 12 + length
    if end > size:
        raise ValueError(f"the PNG is cut off inside its {name.decode()} chunk: {size} of at least {end} bytes")
    if zlib.crc32(view[position + 4 : end - 4]) != int.from_bytes(view[end - 4 : end]):
        raise ValueError(f"the PNG is damaged: the checksum of its {name.decode()} chunk at byte {position} does not match")
    return name, end


def _png_size(data: bytes) -> tuple[int, int]:
    length, name, width, height, depth, colour, compression, filtering, interlace = struct.unpack_from(">I4sIIBBBBB", data, 8)
    if name != b"IHDR" or length != 13:
        raise ValueError("the PNG does not begin with its header (IHDR chunk)")
    if depth not in _DEPTHS.get(colour, ()) or compression or filtering or interlace > 1:
        raise ValueError("the PNG's header holds values that no PNG has")
    return width, height


def _jpeg_size(data: bytes) -> tuple[int, int]:
    position = 2
    while True:
        marker, length = struct.unpack_from(">HH", data, position)
        if marker >> 8 != 0xFF:
            raise ValueError(f"the JPEG is damaged at byte {position}: no segment begins there")
        if marker & 0xFF in _SOF:
            height, width = struct.unpack_from(">HH", data, position + 5)
            return width, height
        position += 1 if marker == 0xFFFF else 2 + length


def _webp_size(data: bytes) -> tuple[int, int]:
    kind = data[12:16]
    if kind == b"VP8X":
        return 1 + int.from_bytes(_slice(data, 24, 27), "little"), 1 + int.from_bytes(_slice(data, 27, 30), "little")
    if kind == b"VP8L":
        bits = int.from_bytes(_slice(data, 21, 25), "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    raise ValueError("the WebP holds no picture data")


def _slice(data: bytes, start: int, end: int) -> bytes:
    if end > len(data):
        raise IndexError(end)
    return data[start:end]


def _other_size(data: bytes) -> tuple[int, int]:
    if data[:3] == b"GIF":
        width, height = struct.unpack_from("<HH", data, 6)
        return width, height
    at = data.find(b"ispe", 0, 4096)
    if at < 0:
        raise ValueError("the AVIF says no size in its header")
    width, height = struct.unpack_from(">II", data, at + 8)
    return width, height


def type_name(media_type: str) -> str:
    """A media type as people call it: PNG, JPEG, WebP."""
    return {"image/webp": "WebP"}.get(media_type, media_type.removeprefix("image/").upper())
