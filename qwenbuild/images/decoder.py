"""Decode picture bytes with Pillow, with only our formats allowed and every surprise turned into a sentence.

Knows no step and no request; the size in the header is judged before a single pixel is decoded.
"""

from __future__ import annotations

from io import BytesIO

from PIL import Image

from qwenbuild.images.structure import refuse_bomb, size_of

_PILLOW = {"image/png": "PNG", "image/jpeg": "JPEG", "image/webp": "WEBP", "image/avif": "AVIF", "image/gif": "GIF"}


def decode(data: bytes) -> Image.Image:
    """The picture, decoded to its last pixel, as its file stores it. Raises ValueError with one sentence.

    The format that Pillow may use is the one that the first bytes promise and no other.
    """
    media_type, width, height = size_of(data)
    refuse_bomb(width, height)
    try:
        image = Image.open(BytesIO(data), formats=[_PILLOW[media_type]])
        image.load()
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ValueError(f"the {_PILLOW[media_type]} cannot be decoded: {error}") from error
    return image
