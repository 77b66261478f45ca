from __future__ import annotations

import io
import random
import subprocess
import sys
import time

import pytest
from PIL import Image

from qwenbuild.images import Checked, NotWhole, check, extension_of, media_type_of, sniff
from qwenbuild.images.flatpng import chunk
from qwenbuild.providers.site import MEDIA

PNG, JPEG, WEBP, AVIF = "image/png", "image/jpeg", "image/webp", "image/avif"
ALL = (PNG, JPEG, WEBP, AVIF)


def noise(width: int = 40, height: int = 30) -> Image.Image:
    return Image.frombytes("RGB", (width, height), random.Random(1).randbytes(width * height * 3))


def saved(image: Image.Image, kind: str) -> bytes:
    out = io.BytesIO()
    image.save(out, kind)
    return out.getvalue()


@pytest.mark.parametrize(("kind", "media_type"), [("PNG", PNG), ("JPEG", JPEG), ("WEBP", WEBP), ("AVIF", AVIF)])
def test_a_whole_picture_of_the_expected_size_is_accepted(kind: str, media_type: str) -> None:
    assert check(saved(noise(), kind), (40, 30), ALL) == Checked(media_type, 40, 30)
    assert sniff(saved(noise(), kind)) == media_type


@pytest.mark.parametrize("options", [{"lossless": True}, {"exact": True, "lossless": True}, {"quality": 50}])
def test_every_flavour_of_webp_tells_its_size(options: dict[str, object]) -> None:
    for mode in ("RGB", "RGBA"):
        out = io.BytesIO()
        noise().convert(mode).save(out, "WEBP", **options)
        assert check(out.getvalue(), (40, 30), ALL).width == 40


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "nothing: the file is empty"),
        (b"<!DOCTYPE html><html><body>502</body></html>", "a web page (HTML)"),
        (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", "an XML document"),
        (b"<Error><Code>AccessDenied</Code></Error>", "an XML document"),
        (b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>', "an SVG, which is a program"),
        (b"\xef\xbb\xbf <svg/>", "an SVG"),
        (b'{"code": "InvalidParameter"}', "a JSON document"),
        (b"%PDF-1.7", "bytes that are no picture (they begin with 25 50 44 46"),
    ],
)
def test_what_is_no_picture_is_named(data: bytes, sentence: str) -> None:
    with pytest.raises(ValueError, match="expected PNG, got ") as caught:
        check(data, None, {PNG})
    assert sentence in str(caught.value)


@pytest.mark.parametrize("kind", ["BMP", "TIFF", "ICO", "PPM", "TGA", "JPEG2000"])
def test_a_picture_of_a_type_that_is_never_taken_is_not_even_opened(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data = saved(noise(), kind)
    monkeypatch.setattr(Image, "open", None)
    with pytest.raises(NotWhole, match="bytes that are no picture"):
        check(data, None, ALL)


@pytest.mark.parametrize("kind", ["AVIF", "GIF"])
def test_a_whole_picture_of_a_type_that_no_provider_may_send_is_refused_by_name(kind: str) -> None:
    with pytest.raises(ValueError, match=kind) as caught:
        check(saved(noise(), kind), None, MEDIA.values())
    assert not isinstance(caught.value, NotWhole)


def test_a_picture_of_another_type_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"^expected PNG or WebP, got a JPEG$"):
        check(saved(noise(), "JPEG"), None, {PNG, WEBP})


def test_another_size_is_refused_with_both_sizes() -> None:
    with pytest.raises(ValueError, match=r"^the picture is 40x30 pixels, expected 64x64$"):
        check(saved(noise(), "PNG"), (64, 64), {PNG})


def test_every_cut_and_every_flip_of_a_png_is_noticed() -> None:
    whole = saved(noise(), "PNG")
    dice = random.Random(7)
    for cut in {*range(60), *(dice.randrange(len(whole)) for _ in range(300)), len(whole) - 1}:
        with pytest.raises(ValueError, match=r"."):
            check(whole[:cut], (40, 30), {PNG})
    for _ in range(400):
        place = dice.randrange(len(whole))
        damaged = bytearray(whole)
        damaged[place] ^= 1 << dice.randrange(8)
        with pytest.raises(ValueError, match=r"."):
            check(bytes(damaged), (40, 30), {PNG})


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_every_cut_of_a_jpeg_or_webp_is_noticed(kind: str) -> None:
    whole = saved(noise(), kind)
    for cut in range(0, len(whole) - 1, 13):
        with pytest.raises(ValueError, match=r"."):
            check(whole[:cut], None, ALL)


def test_bytes_after_the_end_are_refused() -> None:
    with pytest.raises(ValueError, match="3 bytes follow the end of the PNG"):
        check(saved(noise(), "PNG") + b"abc", None, {PNG})
    with pytest.raises(ValueError, match="the WebP is followed by other bytes"):
        check(saved(noise(), "WEBP") + b"abc", None, {WEBP})


def test_a_pixel_bomb_is_refused_before_it_is_decoded() -> None:
    bomb = saved(Image.new("1", (9000, 9000)), "PNG")
    assert len(bomb) < 20_000
    with pytest.raises(ValueError, match=r"^the picture is 9000x9000 pixels, more than the 64 megapixels allowed$"):
        check(bomb, None, {PNG})
    with pytest.raises(ValueError, match="expected 1328x1328"):
        check(bomb, (1328, 1328), {PNG})


def test_a_png_without_picture_data_or_with_a_second_header_is_refused() -> None:
    whole = saved(noise(), "PNG")
    header, end = whole[:33], chunk(b"IEND", b"")
    with pytest.raises(ValueError, match="no IDAT chunk"):
        check(header + end, None, {PNG})
    with pytest.raises(ValueError, match="more than one header"):
        check(header + whole[8:], None, {PNG})
    with pytest.raises(ValueError, match="does not begin with its header"):
        check(whole[:8] + chunk(b"IDAT", b"x" * 30) + end, None, {PNG})


def test_two_megabytes_of_png_are_walked_in_about_a_millisecond_and_without_an_image_library() -> None:
    out = io.BytesIO()
    noise(820, 820).save(out, "PNG", compress_level=0)
    data = out.getvalue()
    assert len(data) > 2_000_000
    best = min(_seconds(data) for _ in range(20))
    assert best < 0.010
    code = "import sys, qwenbuild.images as i; i.sniff(b''); sys.exit('PIL' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def _seconds(data: bytes) -> float:
    start = time.perf_counter()
    check(data, (820, 820), {PNG})
    return time.perf_counter() - start


def test_types_and_extensions_agree() -> None:
    assert [extension_of(media_type) for media_type in ALL] == [".png", ".jpg", ".webp", ".avif"]
    assert media_type_of("a/b.PNG") == PNG
    assert media_type_of("b.jpeg") == JPEG
    assert media_type_of("sheet.json") is None
    with pytest.raises(ValueError, match="text/html"):
        extension_of("text/html")
