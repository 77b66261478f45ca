from __future__ import annotations

from typing import Any

import pytest
from PIL import Image, ImageDraw

from qwenbuild.images import derive, normalise
from tests.images.pictures import drawn, letters_of, opened, png, saved, step

CORNERS = ("rrgg", "rrgg", "bbww", "bbww")


@pytest.mark.parametrize(
    ("rows", "kind", "args", "expected"),
    [
        (CORNERS, "resize", {"width": 2, "filter": "box"}, ("rg", "bw")),
        (CORNERS, "resize", {"height": 2, "filter": "nearest"}, ("rg", "bw")),
        (CORNERS, "resize", {"width": 8, "filter": "nearest"}, ("rrrrgggg",) * 4 + ("bbbbwwww",) * 4),
        (CORNERS, "resize", {"width": 4, "height": 2, "fit": "fill", "filter": "nearest"}, ("rrgg", "bbww")),
        (("rgbk",), "resize", {"width": 2, "height": 1, "fit": "cover", "filter": "nearest"}, ("gb",)),
        (("rg", "rg"), "resize", {"width": 4, "height": 2, "fit": "contain", "filter": "nearest"}, (".rg.", ".rg.")),
        (
            ("rg", "rg"),
            "resize",
            {"width": 4, "height": 2, "fit": "contain", "filter": "nearest", "background": "black"},
            ("krgk", "krgk"),
        ),
        (("rg", "rg"), "resize", {"width": 4, "height": 2, "fit": "inside", "filter": "nearest"}, ("rg", "rg")),
        (CORNERS, "crop", {"box": [1, 1, 2, 3]}, ("rg", "bw", "bw")),
        (CORNERS, "crop", {"ratio": "2:1"}, ("rrgg", "bbww")),
        (CORNERS, "crop", {"ratio": "2:1", "gravity": "bottom"}, ("bbww", "bbww")),
        (CORNERS, "crop", {"ratio": "1:2", "gravity": "top-left"}, ("rr", "rr", "bb", "bb")),
        (("rg",), "pad", {"all": 1}, ("....", ".rg.", "....")),
        (("rg",), "pad", {"width": 3, "height": 2, "color": "#ff0000", "gravity": "bottom-right"}, ("rrr", "rrg")),
        (("rg",), "pad", {"height": 2, "color": "black", "gravity": "top"}, ("rg", "kk")),
        (("wwww", "wrgw", "wwww"), "trim", {}, ("rg",)),
        (("wwwww", "wwrgw"), "trim", {"tolerance": 0}, ("rg",)),
        (("rg",), "flip", {"direction": "horizontal"}, ("gr",)),
        (("r", "g"), "flip", {"direction": "vertical"}, ("g", "r")),
        (("rg", "bw"), "rotate", {"degrees": 90}, ("br", "wg")),
        (("rg", "bw"), "rotate", {"degrees": 180}, ("wb", "gr")),
        (("rg", "bw"), "rotate", {"degrees": -90}, ("gw", "rb")),
        (("rg", "bw"), "rotate", {"degrees": 360}, ("rg", "bw")),
        (("wk", "kw"), "grayscale", {}, ("wk", "kw")),
        (("rgb", "wke"), "tile", {"columns": 3, "rows": 2, "cell": 5}, ("k",)),
        (CORNERS, "tile", {"columns": 2, "rows": 1, "cell": 2}, ("gg", "gg", "ww", "ww")),
        (("gggg", "grrg", "gggg"), "key_out", {"color": "#00ff00"}, ("....", ".rr.", "....")),
        (("ww", "wk"), "key_out", {"color": "white"}, ("..", ".k")),
    ],
)
def test_a_step_moves_exactly_these_pixels(rows: tuple[str, ...], kind: str, args: dict[str, Any], expected: Any) -> None:
    assert letters_of(step(png(*rows), kind, **args)) == expected


def test_trim_cuts_transparent_borders_and_keeps_what_is_inside() -> None:
    assert letters_of(step(png("....", ".r.g", "....", mode="RGBA"), "trim")) == ("r.g",)


def test_trim_of_a_picture_that_is_all_edge_is_an_error() -> None:
    with pytest.raises(ValueError, match="nothing is left"):
        step(png("www", "www"), "trim")
    with pytest.raises(ValueError, match="nothing is left"):
        step(png("..", "..", mode="RGBA"), "trim")


def test_grayscale_weighs_the_colours_and_keeps_the_alpha() -> None:
    image = opened(step(png("rgb.", mode="RGBA"), "grayscale"))
    assert image.mode == "LA"
    assert [image.getpixel((x, 0)) for x in range(4)] == [(76, 255), (150, 255), (29, 255), (0, 0)]


INK = {"L": 77, "LA": (77, 255), "RGB": (1, 99, 253), "RGBA": (1, 99, 253, 255)}


@pytest.mark.parametrize("mode", INK)
@pytest.mark.parametrize("radius", [1, 4, 250])
def test_blur_of_one_colour_changes_nothing(mode: str, radius: int) -> None:
    image = Image.new(mode, (9, 7), INK[mode])
    blurred = opened(step(saved(image), "blur", radius=radius))
    assert (blurred.mode, blurred.size, blurred.tobytes()) == (mode, (9, 7), image.tobytes())


def test_blur_spreads_a_dot_alike_to_all_sides() -> None:
    image = Image.new("L", (41, 41))
    image.paste(255, (19, 19, 22, 22))
    blurred = opened(step(saved(image), "blur", radius=3))
    row = [blurred.getpixel((x, 20)) for x in range(20, 41)]
    assert row == sorted(row, reverse=True)
    assert 0 < row[6] < row[0] < 255
    for turn in (Image.Transpose.FLIP_LEFT_RIGHT, Image.Transpose.FLIP_TOP_BOTTOM):
        assert blurred.transpose(turn).tobytes() == blurred.tobytes()
    down = [blurred.getpixel((20, y)) for y in range(20, 41)]
    assert all(abs(one - other) <= 1 for one, other in zip(row, down, strict=True))


def test_blur_beside_transparency_leaves_no_fringe() -> None:
    image = Image.new("RGBA", (60, 60), (0, 255, 0, 0))
    ImageDraw.Draw(image).ellipse((15, 15, 44, 44), fill=(255, 0, 0, 255))
    blurred = opened(step(saved(image), "blur", radius=5))
    seen = [blurred.getpixel((x, y)) for y in range(60) for x in range(60) if blurred.getpixel((x, y))[3]]
    assert {pixel[:3] for pixel in seen} == {(255, 0, 0)}
    assert any(100 < alpha < 156 for *_, alpha in seen)


def test_blur_beside_transparency_keeps_a_grey_as_it_is() -> None:
    image = Image.new("LA", (40, 40), (255, 0))
    image.paste((0, 255), (10, 10, 30, 30))
    blurred = opened(step(saved(image), "blur", radius=4))
    assert blurred.mode == "LA"
    assert {blurred.getpixel((x, 20))[0] for x in range(40)} == {0}
    assert 0 < blurred.getpixel((9, 20))[1] < 255


def test_shrinking_beside_transparency_leaves_no_fringe() -> None:
    image = Image.new("RGBA", (64, 64), (0, 255, 0, 0))
    image.paste((255, 0, 0, 255), (16, 16, 48, 48))
    for name in ("lanczos", "bicubic", "bilinear", "box"):
        small = opened(step(saved(image), "resize", width=23, filter=name))
        for x in range(23):
            red, green, blue, alpha = small.getpixel((x, 11))
            assert alpha == 0 or (red >= 250 and green <= 3 and blue == 0), (name, x)


def test_nearest_makes_no_new_colour() -> None:
    assert set("".join(letters_of(step(png(*CORNERS), "resize", width=7, height=5, fit="fill", filter="nearest")))) == set(
        "rgbw"
    )


def test_a_turn_by_any_angle_grows_the_picture_and_fills_its_corners() -> None:
    turned = opened(step(png(*["r" * 20] * 20), "rotate", degrees="45"))
    assert turned.size == (30, 30)
    assert turned.getpixel((0, 0))[3] == 0
    assert turned.getpixel((15, 15)) == (255, 0, 0, 255)
    filled = opened(step(png(*["r" * 20] * 20), "rotate", degrees=45, background="#0000ff"))
    assert filled.mode == "RGB"
    assert filled.getpixel((0, 0)) == (0, 0, 255)


def test_a_small_positive_angle_turns_clockwise() -> None:
    line = png(*["k" * 21] * 10, "w" * 21, *["k" * 21] * 10)
    turned = opened(step(line, "rotate", degrees=20)).convert("RGB")
    left = max(range(turned.height), key=lambda y: turned.getpixel((4, y)))
    right = max(range(turned.height), key=lambda y: turned.getpixel((turned.width - 5, y)))
    assert left < right


def test_quantize_reduces_to_n_colours_and_writes_indices() -> None:
    gradient = Image.linear_gradient("L").resize((64, 64)).convert("RGB")
    result = opened(step(saved(gradient), "quantize", colors=4, dither=False))
    assert result.mode == "P"
    colours = result.convert("RGB").getcolors()
    assert colours is not None
    assert len(colours) == 4


@pytest.mark.parametrize(
    "palette",
    [
        b"ff0000\n0000ff\n",
        b"#ff0000\n#0000ff\n",
        b"GIMP Palette\nName: two\nColumns: 2\n# both\n255 0 0 red\n  0   0 255 blue\n",
        b"JASC-PAL\r\n0100\r\n2\r\n255 0 0\r\n0 0 255\r\n",
        png("rb"),
    ],
)
def test_quantize_takes_only_colours_of_the_palette(palette: bytes) -> None:
    source = saved(drawn("rb", "rb").resize((8, 8), Image.Resampling.BILINEAR))
    steps = [normalise("quantize", {"palette": "two.pal", "dither": False})]
    result = derive(source, steps, "image/png", palettes={"two.pal": palette})
    assert set("".join(letters_of(result))) == {"r", "b"}


def test_dither_mixes_palette_colours_and_no_dither_does_not() -> None:
    grey = png(*["e" * 16] * 16)
    steps = {dither: [normalise("quantize", {"palette": "p", "dither": dither})] for dither in (True, False)}
    mixed, flat = (derive(grey, steps[dither], "image/png", palettes={"p": b"000000\nffffff"}) for dither in (True, False))
    assert set("".join(letters_of(flat))) == {"w"}
    white = "".join(letters_of(mixed)).count("w")
    assert 0.4 < white / 256 < 0.6


def test_quantize_keeps_the_alpha_and_spends_no_colour_on_what_cannot_be_seen() -> None:
    image = drawn("rb.g", mode="RGBA")
    image.putpixel((2, 0), (12, 200, 99, 0))
    result = opened(step(saved(image), "quantize", colors=3, dither=False))
    assert [result.getpixel((x, 0))[3] for x in range(4)] == [255, 255, 0, 255]
    assert [result.getpixel((x, 0))[:3] for x in (0, 1, 3)] == [(255, 0, 0), (0, 0, 255), (0, 255, 0)]


def test_a_palette_that_is_not_at_hand_is_named() -> None:
    with pytest.raises(ValueError, match=r"palette two\.pal are not at hand"):
        derive(png("rb"), [normalise("quantize", {"palette": "two.pal"})], "image/png")


def test_key_out_gives_soft_edges_without_the_keys_tint() -> None:
    disc = Image.new("RGB", (256, 256), (0, 255, 0))
    big = Image.new("L", (1024, 1024))
    big.paste(255, (256, 256, 768, 768))
    mask = big.rotate(30, Image.Resampling.BICUBIC).resize((256, 256), Image.Resampling.LANCZOS)
    disc.paste((200, 60, 40), (0, 0), mask)
    keyed = opened(step(saved(disc), "key_out", color="#00ff00"))
    pixels = [keyed.getpixel((x, y)) for y in range(256) for x in range(256)]
    assert {alpha for *_, alpha in pixels} > {0, 255}
    assert all(green <= max(red, blue) for red, green, blue, alpha in pixels if 0 < alpha < 255)
    assert all(pixel[:3] == (0, 0, 0) for pixel in pixels if pixel[3] == 0)
    share = sum(alpha for *_, alpha in pixels) / (255 * 256 * 256)
    true = sum(mask.histogram()[v] * v for v in range(256)) / (255 * 256 * 256)
    assert abs(share - true) < 0.01


def test_without_despill_edges_keep_their_colour() -> None:
    image = drawn("ggg", "gkg", "ggg")
    image.putpixel((0, 1), (80, 140, 70))
    raw = opened(step(saved(image), "key_out", color="#00ff00", tolerance=80, despill=False))
    clean = opened(step(saved(image), "key_out", color="#00ff00", tolerance=80))
    assert raw.getpixel((0, 1))[:3] == (80, 140, 70)
    assert 0 < raw.getpixel((0, 1))[3] < 255
    red, green, blue, alpha = clean.getpixel((0, 1))
    assert green <= max(red, blue)
    assert alpha == raw.getpixel((0, 1))[3]


def test_key_out_of_a_picture_with_alpha_keeps_what_was_transparent_already() -> None:
    assert letters_of(step(png("gr.", "grr", mode="RGBA"), "key_out", color="#00ff00")) == (".r.", ".rr")
    half = drawn("gr", mode="RGBA")
    half.putpixel((1, 0), (255, 0, 0, 100))
    assert opened(step(saved(half), "key_out", color="#00ff00")).getpixel((1, 0)) == (255, 0, 0, 100)


def test_key_out_leaves_a_green_object_on_blue_as_it_is() -> None:
    assert letters_of(step(png("bbb", "bgb", "bbb"), "key_out", color="#0000ff")) == ("...", ".g.", "...")


@pytest.mark.parametrize(
    ("rows", "alpha", "share"),
    [(("rrr", "rrr"), None, "100.0%"), (("ggg", "ggg"), None, "0.0%"), (("gggr", "gggr"), {"min": 0.5}, "25.0%")],
)
def test_key_out_fails_outside_of_its_bounds(rows: tuple[str, ...], alpha: Any, share: str) -> None:
    with pytest.raises(ValueError, match=f"key_out: {share} of the picture stays, expected .* really #00ff00"):
        step(png(*rows), "key_out", color="#00ff00", alpha=alpha)


def test_round_makes_the_corners_transparent_and_nothing_else() -> None:
    image = opened(step(png(*["r" * 40] * 40), "round", radius=10))
    alpha = image.getchannel("A")
    assert [alpha.getpixel(place) for place in ((0, 0), (39, 0), (0, 39), (39, 39))] == [0] * 4
    assert alpha.crop((10, 0, 30, 40)).getextrema() == (255, 255)
    assert alpha.crop((0, 10, 40, 30)).getextrema() == (255, 255)
    assert alpha.tobytes() == alpha.transpose(Image.Transpose.FLIP_LEFT_RIGHT).tobytes()
    assert any(0 < value < 255 for value in alpha.tobytes())


def test_round_by_fifty_percent_makes_a_disc() -> None:
    image = opened(step(png(*["r" * 100] * 100), "round", percent=50))
    covered = sum(image.getchannel("A").tobytes()) / 255
    assert abs(covered - 3.14159 * 50 * 50) < 30


def test_round_more_than_half_is_an_error() -> None:
    with pytest.raises(ValueError, match="radius 6 is more than half of the shorter side, which is 10 pixels"):
        step(png(*["r" * 10] * 20), "round", radius=6)


@pytest.mark.parametrize(
    ("kind", "args", "sentence"),
    [
        ("crop", {"box": [2, 0, 3, 1]}, r"the box \[2, 0, 3, 1\] leaves the picture, which is 4x4 pixels"),
        ("pad", {"width": 3, "height": 9}, "the picture is already 4x4 pixels"),
        ("tile", {"columns": 3, "rows": 2}, "3x2 cells do not divide a picture of 4x4 pixels"),
        ("resize", {"width": 16383}, "16383x16383 pixels, more than is allowed"),
        ("resize", {"width": 9000, "height": 9000}, "9000x9000 pixels, more than is allowed"),
        ("pad", {"all": 16000}, "32004x32004 pixels, more than is allowed"),
    ],
)
def test_what_does_not_go_with_the_picture_is_an_error_that_says_its_size(kind: str, args: Any, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        step(png(*CORNERS), kind, **args)
