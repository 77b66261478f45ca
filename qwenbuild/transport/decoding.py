"""Unpack a download that came compressed, and tell a storage's own words about a dead link from anybody else's.

Knows no connection and no picture.
"""

from __future__ import annotations

import re
import zlib

GZIP_MAGIC = b"\x1f\x8b"
ERROR_CAP_BYTES = 64 << 10
"""Bytes of an error's body; more is not read."""
GONE_STATUSES = frozenset({403, 404, 410})
GONE_CODES = frozenset({"AccessDenied", "ExpiredToken", "NoSuchKey", "NoSuchBucket"})
"""What object storage (OSS, S3 and their likes) says of an object that it does not give out any more."""
_ERROR = re.compile(rb"\A(?:\xef\xbb\xbf)?\s*(?:<\?xml[^>]*>\s*)?<Error\b[^>]*>.*?<Code>\s*(\w+)\s*</Code>", re.DOTALL)


class TooLarge(Exception):
    """More bytes than may be read."""


class NotUnpacked(Exception):
    """The compressed bytes are cut off or damaged."""


def says_gone(status: int, body: bytes) -> bool:
    """Whether an answer is the storage's own error about the object: its XML, and no page of a proxy or a login."""
    error = _ERROR.match(body) if status in GONE_STATUSES else None
    return error is not None and error[1].decode("ascii", "replace") in GONE_CODES


def unpacked(data: bytes, encoding: str, cap: int) -> bytes:
    """The content of a body: gzip by its first bytes, deflate by its header (`Content-Encoding`), else as it is.

    A body whose header lies is left as it is, for a proxy may have unpacked it. Raises TooLarge beyond `cap` bytes, with
    never more than that unpacked, and NotUnpacked.
    """
    names = [name.strip().lower() for name in encoding.split(",")]
    if data.startswith(GZIP_MAGIC):
        return _inflated(data, zlib.MAX_WBITS | 16, cap)
    if "deflate" not in names or not data:
        return data
    wrapped = data[0] & 0x0F == 8 and int.from_bytes(data[:2]) % 31 == 0
    try:
        return _inflated(data, zlib.MAX_WBITS if wrapped else -zlib.MAX_WBITS, cap)
    except NotUnpacked:
        return data


def _inflated(data: bytes, wbits: int, cap: int) -> bytes:
    """Every member of a compressed stream."""
    pieces: list[bytes] = []
    size = 0
    while data:
        unpacker = zlib.decompressobj(wbits)
        try:
            piece = unpacker.decompress(data, cap + 1 - size)
        except zlib.error as error:
            raise NotUnpacked(str(error)) from None
        pieces.append(piece)
        size += len(piece)
        if size > cap:
            raise TooLarge
        if not unpacker.eof:
            raise NotUnpacked("the compressed bytes are cut off")
        data = unpacker.unused_data if unpacker.unused_data.startswith(GZIP_MAGIC) else b""
    return b"".join(pieces)
