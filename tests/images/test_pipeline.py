from __future__ import annotations

import io
import random
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from PIL import Image, ImageChops, ImageStat

from qwenbuild.images import check, convert, derive, find_marks, normalise, placeholder_png, sniff
from qwenbuild.model import Action, ImageStep
from tests.images.pictures import drawn, letters_of, opened, png, saved

ALL = ("image/png", "image/webp", "image/avif", "image/jpeg")


def photo(mode: str = "RGB", size: tuple[int, int] = (160, 120)) -> Image.Image:
    """Smooth colours with some noise, as a painted picture has."""
    dice = random.Random(9)
    small = Image.frombytes("RGB", (8, 6), dice.randbytes(8 * 6 * 3)).resize(size, Image.Resampling.BICUBIC)
    if "A" in mode:
        small.putalpha(Image.radial_gradient("L").resize(size).point(lambda value: 255 - value))
    return small.convert(mode)


def steps_of(*written: tuple[str, Any]) -> list[ImageStep]:
    return [normalise(kind, args) for kind, args in written]


def test_without_steps_the_picture_comes_back_byte_for_byte() -> None:
    data = saved(photo(), "PNG", compress_level=1)
    assert derive(data, (), "image/png") is data


@pytest.mark.parametrize("media_type", ALL)
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA"])
def test_another_type_is_an_implied_conversion(media_type: str, mode: str) -> None:
    source = saved(photo(mode))
    result = derive(source, (), media_type)
    assert sniff(result) == media_type
    assert check(result, (160, 120), ALL).media_type == media_type
    image = opened(result)
    assert ("A" in image.getbands()) == ("A" in mode and media_type != "image/jpeg")
    expected = opened(source).convert("RGBA")
    if media_type == "image/jpeg":
        expected = Image.alpha_composite(Image.new("RGBA", expected.size, "white"), expected)
    ground = Image.new("RGBA", expected.size, "black")
    one, other = (Image.alpha_composite(ground, picture.convert("RGBA")) for picture in (expected, image))
    assert max(ImageStat.Stat(ImageChops.difference(one, other)).mean) < 4


@pytest.mark.parametrize(
    "written",
    [
        (("resize", {"width": 77}), ("format", "webp")),
        (("rotate", 17), ("resize", {"width": 60, "height": 60, "fit": "contain"}), ("format", "avif")),
        (("quantize", {"colors": 12}),),
        (("crop", {"ratio": "1:1"}), ("round", "50%"), ("format", {"type": "webp", "lossless": True})),
        (("key_out", {"color": "#808080", "tolerance": 60}), ("trim", {})),
        (("grayscale", None), ("pad", {"all": 3}), ("format", {"type": "jpeg", "quality": 71})),
        (("blur", 9), ("format", "webp")),
    ],
)
def test_the_same_steps_give_the_same_bytes_on_one_and_on_eight_threads(written: Any) -> None:
    data, steps = saved(photo()), steps_of(*written)
    media_type = f"image/{steps[-1].args['type']}" if steps[-1].kind == "format" else "image/png"
    alone = derive(data, steps, media_type)
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda _: derive(data, steps, media_type), range(16))) == {alone}


def test_lossless_webp_keeps_every_pixel_that_can_be_seen() -> None:
    source = photo("RGBA")
    result = opened(derive(saved(source), steps_of(("format", {"type": "webp", "lossless": True})), "image/webp"))
    assert result.convert("RGBa").tobytes() == source.convert("RGBa").tobytes()


def test_a_better_quality_is_a_larger_file() -> None:
    data = saved(photo(size=(320, 240)))
    for kind in ("webp", "avif", "jpeg"):
        low, high = (len(derive(data, steps_of(("format", {"type": kind, "quality": q})), f"image/{kind}")) for q in (20, 95))
        assert low < high


def test_a_jpeg_lies_on_the_background_that_was_named() -> None:
    source = png("..", "..", mode="RGBA")
    steps = steps_of(("format", {"type": "jpeg", "quality": 100, "background": "#000000"}))
    assert letters_of(derive(source, steps, "image/jpeg")) == ("kk", "kk")
    assert letters_of(derive(source, (), "image/jpeg")) == ("ww", "ww")


def test_a_format_step_that_contradicts_the_file_is_an_error() -> None:
    with pytest.raises(ValueError, match="the steps make a webp, and the file is a png"):
        derive(png("rg"), steps_of(("format", "webp")), "image/png")
    with pytest.raises(ValueError, match="image/gif cannot be written"):
        derive(png("rg"), (), "image/gif")


def test_the_last_of_two_format_steps_counts() -> None:
    steps = steps_of(("format", "webp"), ("format", "png"))
    assert sniff(derive(png("rg"), steps, "image/png")) == "image/png"


def test_palette_bilevel_grey_and_sixteen_bit_pictures_keep_their_looks() -> None:
    palette = drawn("rg", "bw").quantize(4)
    assert letters_of(derive(saved(palette), steps_of(("flip", "horizontal")), "image/png")) == ("gr", "wb")
    assert letters_of(derive(saved(drawn("kw").convert("1")), steps_of(("flip", "horizontal")), "image/png")) == ("wk",)
    deep = Image.new("I;16", (2, 1))
    deep.putpixel((1, 0), 65535)
    assert letters_of(derive(saved(deep), steps_of(("flip", "horizontal")), "image/png")) == ("wk",)


def test_transparency_of_a_palette_and_of_a_colour_is_kept() -> None:
    sheet = drawn("rg", "bw").quantize(4)
    clear = sheet.getpixel((0, 0))
    flipped = opened(derive(saved(sheet, transparency=clear), steps_of(("flip", "vertical")), "image/png"))
    assert flipped.getchannel("A").tobytes() == bytes([255, 255, 0, 255])
    keyed = saved(drawn("rg"), transparency=(255, 0, 0))
    result = opened(derive(keyed, steps_of(("flip", "horizontal")), "image/png"))
    assert [result.getpixel((x, 0))[3] for x in (0, 1)] == [255, 0]


def test_a_jpeg_lying_on_its_side_is_set_upright() -> None:
    image = Image.new("RGB", (40, 20), "red")
    exif = Image.Exif()
    exif[0x0112] = 6
    out = io.BytesIO()
    image.save(out, "JPEG", exif=exif)
    assert opened(derive(out.getvalue(), (), "image/png")).size == (20, 40)


def test_cmyk_becomes_rgb() -> None:
    assert opened(derive(saved(photo().convert("CMYK"), "JPEG"), (), "image/png")).mode == "RGB"


def test_a_colour_profile_is_carried_and_a_comment_is_not() -> None:
    from PIL import ImageCms

    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    source = saved(photo(), "JPEG", icc_profile=profile, comment=b"made at 12:30 by me")
    for media_type in ALL:
        result = derive(source, steps_of(("resize", {"width": 40})), media_type)
        assert opened(result).info.get("icc_profile") == profile
        assert b"made at" not in result
    grey = derive(source, steps_of(("grayscale", None)), "image/png")
    assert "icc_profile" not in opened(grey).info


def test_no_clock_and_no_text_reaches_a_file() -> None:
    for media_type in ALL:
        result = derive(saved(photo()), steps_of(("resize", {"width": 40})), media_type)
        assert find_marks(result) == ()
        assert b"tIME" not in result


def test_convert_takes_the_short_names_and_leaves_its_own_type_alone() -> None:
    data = saved(photo())
    assert convert(data, "png") is data
    assert sniff(convert(data, "jpeg")) == "image/jpeg"
    assert sniff(convert(data, "webp")) == "image/webp"
    with pytest.raises(ValueError, match="'gif' is not a type"):
        convert(data, "gif")


@pytest.mark.parametrize("data", [b"", b"<html>", b"\x89PNG\r\n\x1a\n" + b"\0" * 40, saved(photo())[:900]])
def test_bytes_that_are_no_picture_are_one_sentence(data: bytes) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        derive(data, steps_of(("trim", None)), "image/png")
    assert "\n" not in str(caught.value)


def test_a_bomb_is_refused_before_it_is_decoded() -> None:
    bomb = saved(Image.new("1", (9000, 9000)))
    with pytest.raises(ValueError, match="9000x9000 pixels, more than the 64 megapixels allowed"):
        derive(bomb, steps_of(("resize", {"width": 9})), "image/png")


def test_an_icon_from_a_placeholder_has_real_alpha() -> None:
    icon = placeholder_png(Action("placeholder", "m", "A sword, solid #00ff00 background", "512*512", 3))
    steps = steps_of(
        ("key_out", {"color": "#00ff00"}), ("trim", {}), ("resize", {"width": 128, "height": 128, "fit": "contain"})
    )
    image = opened(derive(icon, steps, "image/png"))
    assert image.size == (128, 128)
    pixels = [image.getpixel((x, y)) for y in range(128) for x in range(128)]
    assert all(green <= max(red, blue) + 40 for red, green, blue, alpha in pixels if alpha > 0)
    assert 0.5 < sum(alpha == 255 for *_, alpha in pixels) / 128**2 < 0.99
