"""Whether received bytes are a whole picture: to its last chunk for a PNG, to its last pixel for every other type.

Knows no request and no step.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from qwenbuild.images.structure import dimensions, png_chunk, refuse_bomb, sniff, type_name


class NotWhole(ValueError):
    """The bytes are no whole picture of any kind: cut off, damaged, or something else altogether, such as a web page."""


@dataclass(frozen=True, slots=True)
class Checked:
    """A picture whose structure holds; width and height are in pixels."""

    media_type: str
    width: int
    height: int


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


def _walk_png(data: bytes) -> None:
    view = memoryview(data)
    position, names = 8, []
    while position < len(data):
        name, end = png_chunk(view, position)
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


def _whole(data: bytes, media_type: str) -> None:
    """Decode a JPEG, WebP, AVIF or GIF to its last pixel. Raises ValueError."""
    if media_type == "image/webp":
        _whole_riff(data)
    if media_type == "image/jpeg" and not data.endswith(b"\xff\xd9"):
        raise ValueError(f"the JPEG is cut off: its {len(data)} bytes do not end with an end marker")

    from qwenbuild.images.decoder import decode  # Pillow: a PNG passes without it

    decode(data)


def _whole_riff(data: bytes) -> None:
    promised = int.from_bytes(data[4:8], "little") + 8
    if promised != len(data):
        what = "cut off" if promised > len(data) else "followed by other bytes"
        raise ValueError(f"the WebP is {what}: {len(data)} of {promised} bytes")


def _names(accept: Collection[str]) -> str:
    names = sorted(type_name(item) for item in accept)
    return " or ".join(names) if names else "a picture"


def _strange(data: bytes, media_type: str | None) -> str:
    """What the bytes are instead of an accepted picture, in a few words."""
    if media_type is not None:
        return f"a {type_name(media_type)}"
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
