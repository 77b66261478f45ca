"""Check that received bytes are a whole picture of the promised type and size, before they are trusted.

Knows no provider and no request; a PNG is walked without any image library, because every download passes here.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Collection
from dataclasses import dataclass
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


class NotWhole(ValueError):
    """The bytes are no whole picture of any kind: cut off, damaged, or something else altogether, such as a web page."""


@dataclass(frozen=True, slots=True)
class Checked:
    """A picture whose structure holds; width and height are in pixels."""

    media_type: str
    width: int
    height: int


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


def check(data: bytes, expected: tuple[int, int] | None, accept: Collection[str]) -> Checked:
    """Check received bytes: a whole file, of an accepted media type, of the expected size in pixels.

    A PNG is walked chunk by chunk with every CRC up to IEND, nothing decoded; JPEG and WebP are decoded, because
    their containers cannot show that bytes are missing. Raises ValueError with one sentence: NotWhole unless the bytes
    are a whole picture, whose type or size is another one then.
    """
    whole = _checked_whole(data, accept)
    if whole.media_type not in accept:
        raise ValueError(f"expected {_names(accept)}, got {_strange(data, whole.media_type)}")
    _expect_size(whole.width, whole.height, expected)
    refuse_bomb(whole.width, whole.height)
    return whole


def _checked_whole(data: bytes, accept: Collection[str]) -> Checked:
    """The bytes as a whole picture of whatever type and size. Raises NotWhole."""
    media_type = sniff(data)
    if media_type is None:
        raise NotWhole(f"expected {_names(accept)}, got {_strange(data, media_type)}")
    try:
        width, height = dimensions(data, media_type)
        if media_type == "image/png":
            _walk_png(data)
        else:
            refuse_bomb(width, height)
            _whole(data, media_type)
    except ValueError as error:
        raise NotWhole(str(error)) from error
    return Checked(media_type, width, height)


def _expect_size(width: int, height: int, expected: tuple[int, int] | None) -> None:
    if expected is not None and (width, height) != expected:
        raise ValueError(f"the picture is {width}x{height} pixels, expected {expected[0]}x{expected[1]}")


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
        raise ValueError(f"the {_name(media_type)} is cut off inside its header ({len(data)} bytes)") from None
    if width < 1 or height < 1:
        raise ValueError(f"the {_name(media_type)} says that it is {width}x{height} pixels")
    return width, height


def refuse_bomb(width: int, height: int) -> None:
    """Raise ValueError when a picture of this size in pixels must not be decoded."""
    if width * height > MAX_PIXELS:
        raise ValueError(f"the picture is {width}x{height} pixels, more than the {MAX_PIXELS // 1_000_000} megapixels allowed")


def _walk_png(data: bytes) -> None:
    view = memoryview(data)
    position, names = 8, []
    while position < len(data):
        name, end = _chunk(view, position)
        names.append(name)
        position = end
        if name == b"IEND":
            break
    if not names or names[-1] != b"IEND":
        raise ValueError(f"the PNG is cut off: {len(data)} bytes and no IEND chunk")
    if position != len(data):
        raise ValueError(f"{len(data) - position} bytes follow the end of the PNG")
    if b"IDAT" not in names:
        raise ValueError("the PNG holds no picture data (no IDAT chunk)")
    if names.count(b"IHDR") != 1:
        raise ValueError("the PNG has more than one header (IHDR chunk)")


def _chunk(view: memoryview, position: int) -> tuple[bytes, int]:
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


def _whole(data: bytes, media_type: str) -> None:
    """Decode a JPEG, WebP, AVIF or GIF to its last pixel. Raises ValueError."""
    if media_type == "image/webp":
        _whole_riff(data)
    if media_type == "image/jpeg" and not data.endswith(b"\xff\xd9"):
        raise ValueError(f"the JPEG is cut off: its {len(data)} bytes do not end with an end marker")
    from qwenbuild.images.opening import decode

    decode(data)


def _whole_riff(data: bytes) -> None:
    promised = int.from_bytes(data[4:8], "little") + 8
    if promised != len(data):
        what = "cut off" if promised > len(data) else "followed by other bytes"
        raise ValueError(f"the WebP is {what}: {len(data)} of {promised} bytes")


def _name(media_type: str) -> str:
    return {"image/webp": "WebP"}.get(media_type, media_type.removeprefix("image/").upper())


def _names(accept: Collection[str]) -> str:
    names = sorted(_name(item) for item in accept)
    return " or ".join(names) if names else "a picture"


def _strange(data: bytes, media_type: str | None) -> str:
    """What the bytes are instead of an accepted picture, in a few words."""
    if media_type is not None:
        return f"a {_name(media_type)}"
    if not data:
        return "nothing: the file is empty"
    head = data[:1024].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if b"<svg" in head:
        return "an SVG, which is a program and not a picture of pixels"
    if head.startswith((b"<!doctype html", b"<html", b"<head", b"<body")):
        return "a web page (HTML)"
    if head.startswith((b"<?xml", b"<error")) or (head.startswith(b"<") and b">" in head):
        return "an XML document"
    if head.startswith((b"{", b"[")):
        return "a JSON document"
    return f"bytes that are no picture (they begin with {data[:8].hex(' ')})"
