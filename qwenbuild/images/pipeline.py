"""Make a file from a picture: decode, the steps one after the other, encode. Equal input gives equal bytes.

Knows no cache, no path and no clock; every setting of every encoder is written out, and no encoder uses threads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import BytesIO

from PIL import Image, ImageOps

from qwenbuild.images.decoder import decode
from qwenbuild.images.marks import Marks, carried, packet, write_marks
from qwenbuild.images.pixels import apply, flattened, plain
from qwenbuild.images.steps import QUALITY, TYPES, normalise
from qwenbuild.images.structure import sniff
from qwenbuild.model import ImageStep

_FORMAT = {media_type: name for name, media_type in TYPES.items()}


def derive(
    data: bytes,
    steps: Sequence[ImageStep],
    media_type: str,
    *,
    palettes: Mapping[str, bytes] | None = None,
    marks: Marks | None = None,
    effort: int = 4,
) -> bytes:
    """The file that `steps` (normalised) make of the picture `data`, as `media_type`.

    When the last `format` step names another type than `media_type`, that is an error; when none is there and the
    picture's type differs, the file is converted with the defaults. `palettes` maps what quantize's `palette` argument
    holds to that file's bytes. `marks` are written as XMP; labels that the picture carried are kept. `effort`, 0 to 6,
    is how long WebP's encoder looks for a smaller file.
    Without steps, with the picture's own type, and without marks, the bytes come back untouched.
    Raises ValueError with one sentence.
    """
    if media_type not in _FORMAT:
        raise ValueError(f"{media_type} cannot be written; known are {', '.join(_FORMAT)}")
    if not steps and sniff(data) == media_type:
        return write_marks(data, marks) if marks else data
    image = decode(data)
    profile = image.info.get("icc_profile")
    image = plain(ImageOps.exif_transpose(image))
    image.info = {}  # so that no encoder copies a comment or a packet that the source held
    for step in steps:
        image = apply(image, step.kind, step.args, palettes or {})
    settings = _settings(steps, media_type)
    few = any(step.kind == "quantize" for step in steps)
    try:
        return _encode(image, settings, profile, carried(data, marks), few, effort)
    except OSError as error:
        raise ValueError(f"the {settings.args['type']} cannot be written: {error}") from error


def convert(data: bytes, format: str) -> bytes:
    """A picture as "png", "jpeg", "webp" or "avif" with the default settings; untouched when it is that already."""
    if format not in TYPES:
        raise ValueError(f"{format!r} is not a type; known are {', '.join(TYPES)}")
    return derive(data, (), TYPES[format])


def _settings(steps: Sequence[ImageStep], media_type: str) -> ImageStep:
    """The last format step, or the defaults of the type."""
    formats = [step for step in steps if step.kind == "format"]
    if not formats:
        return normalise("format", {"type": _FORMAT[media_type]})
    if formats[-1].args["type"] != _FORMAT[media_type]:
        raise ValueError(f"the steps make a {formats[-1].args['type']}, and the file is a {_FORMAT[media_type]}")
    return formats[-1]


def _encode(
    image: Image.Image, settings: ImageStep, profile: bytes | None, marks: Marks | None, few: bool, effort: int
) -> bytes:
    kind = str(settings.args["type"])
    quality = int(settings.args["quality"]) or QUALITY[kind]
    lossless = bool(settings.args["lossless"])
    if profile is not None and image.mode in ("L", "LA"):
        profile = None  # a profile of colours does not fit a picture of greys
    xmp = packet(marks) if marks else None
    if kind == "png":
        return _png(image, profile, marks, few)
    if kind == "jpeg":
        image = flattened(image, str(settings.args["background"])) if image.mode in ("LA", "RGBA") else image
        return _jpeg(image, quality, profile, xmp)
    coloured = image.convert({"L": "RGB", "LA": "RGBA"}.get(image.mode, image.mode))
    coloured = _opaque(coloured)
    if kind == "webp":
        return _webp(coloured, quality, lossless, profile, xmp, effort)
    return _avif(coloured, quality, profile, xmp)


def _opaque(image: Image.Image) -> Image.Image:
    """Without an alpha channel that says nothing."""
    if image.mode == "RGBA" and image.getchannel("A").getextrema()[0] == 255:
        return image.convert("RGB")
    return image


def _png(image: Image.Image, profile: bytes | None, marks: Marks | None, few: bool) -> bytes:
    out = BytesIO()
    small = _indexed(image) if few else image
    small.save(out, "PNG", compress_level=6, optimize=False, icc_profile=profile)
    return write_marks(out.getvalue(), marks) if marks else out.getvalue()


def _indexed(image: Image.Image) -> Image.Image:
    """A picture of at most 256 colours as indices, in the order of the colours; others as they are."""
    colours = image.getcolors(256) if image.mode == "RGB" else None
    if colours is None:
        return image
    listed = sorted(colour for _, colour in colours if isinstance(colour, tuple))
    sheet = Image.new("P", (1, 1))
    sheet.putpalette([int(channel) for colour in listed for channel in colour])
    return image.quantize(palette=sheet, dither=Image.Dither.NONE)


def _jpeg(image: Image.Image, quality: int, profile: bytes | None, xmp: bytes | None) -> bytes:
    out = BytesIO()
    sampling = 0 if quality >= 90 else 2
    extra = {"xmp": xmp} if xmp else {}
    image.save(
        out, "JPEG", quality=quality, subsampling=sampling, optimize=True, progressive=False, icc_profile=profile, **extra
    )
    return out.getvalue()


def _webp(image: Image.Image, quality: int, lossless: bool, profile: bytes | None, xmp: bytes | None, effort: int) -> bytes:
    out = BytesIO()
    image.save(
        out, "WEBP", lossless=lossless, quality=75 if lossless else quality, alpha_quality=100, method=effort, exact=False,
        icc_profile=profile or b"", exif=b"", xmp=xmp or b"",
    )  # fmt: skip
    return out.getvalue()


def _avif(image: Image.Image, quality: int, profile: bytes | None, xmp: bytes | None) -> bytes:
    out = BytesIO()
    image.save(
        out, "AVIF", quality=quality, subsampling="4:2:0", speed=6, max_threads=1, codec="aom", range="full",
        alpha_premultiplied=False, autotiling=False, icc_profile=profile or b"", exif=b"", xmp=xmp or b"",
    )  # fmt: skip
    return out.getvalue()
