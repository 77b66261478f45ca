from __future__ import annotations

import hashlib
import io
import random
import subprocess
import sys
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from PIL import Image, ImageChops

from qwenbuild.images import check, flatpng, letters, placeholder_png
from qwenbuild.images.typeset import fit, headline, wrap
from qwenbuild.model import Action

POTION = Action(
    "placeholder", "qwen-image-plus", "A small bottle of crimson potion, hand-painted, thick outlines", "1328*1328", 11
)
POSTER = replace(POTION, prompt="夏日冷泡茶新品海报，画面中央一只透明玻璃杯，文字“清凉一夏”", size="1664*928", seed=7)
ICON = replace(POTION, prompt="An iron sword, solid #00ff00 background, game icon", size="512*512", seed=0)
KNIGHT = replace(POTION, prompt="ナイト 🐉", size="9:16", seed=2)


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data)).convert("RGB")


@pytest.mark.parametrize(
    ("action", "digest"),
    [
        (POTION, "8304bf690ea75665479c66b7e090d25994c3f648a6fc38d68e6a0d8f0fa3fdaf"),
        (POSTER, "057226362efb53cec6e7c8e71a4b4a8c75ae0e20dd0775153fe14903c2bd5dd7"),
        (ICON, "f0919260fc25a593196ea0e14893c193180738e6a97adbfa978780d2f325a23e"),
        (KNIGHT, "057a1947e1accf237b063b4760b9b7fa991c3063f9804d7473a4c3c84eb2fa7f"),
    ],
)
def test_a_placeholder_is_the_same_bytes_for_all_time(action: Action, digest: str) -> None:
    assert hashlib.sha256(placeholder_png(action)).hexdigest() == digest


def test_no_compressor_of_a_library_has_a_say(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> bytes:
        raise AssertionError("zlib compressed")

    monkeypatch.setattr(zlib, "compress", refuse)
    monkeypatch.setattr(zlib, "compressobj", refuse)
    assert placeholder_png(POTION).startswith(b"\x89PNG")


def test_drawing_a_placeholder_needs_no_image_library() -> None:
    code = (
        "import sys; from qwenbuild.images import placeholder_png; from qwenbuild.model import Action;"
        "placeholder_png(Action('placeholder', 'm', 'p', '64*64', 1)); sys.exit('PIL' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("size", "pixels"),
    [
        ("512*768", (512, 768)),
        ("1024x64", (1024, 64)),
        ("16:9", (1664, 928)),
        ("3:4", (1140, 1472)),
        ("1*1", (1, 1)),
        ("7*300", (7, 300)),
    ],
)
def test_the_size_is_the_one_asked_for(size: str, pixels: tuple[int, int]) -> None:
    assert check(placeholder_png(replace(POTION, size=size)), pixels, {"image/png"}).width == pixels[0]


def test_a_ratio_outside_the_table_gets_about_its_shape() -> None:
    picture = opened(placeholder_png(replace(POTION, size="21:9")))
    assert abs(picture.width / picture.height - 21 / 9) < 0.05
    assert 1_500_000 < picture.width * picture.height < 2_000_000


@pytest.mark.parametrize("size", ["", "big", "0*10", "10*", "-5*5", "99999*99999", "1:0"])
def test_a_size_that_is_none_is_refused(size: str) -> None:
    with pytest.raises(ValueError, match="size"):
        placeholder_png(replace(POTION, size=size))


def test_placeholders_are_small_files() -> None:
    sizes = [len(placeholder_png(replace(POTION, seed=seed))) for seed in range(6)]
    assert max(sizes) < 40_000


def test_candidates_differ_at_a_glance() -> None:
    pictures = [opened(placeholder_png(replace(POTION, seed=seed))).resize((32, 32)) for seed in range(11, 17)]
    for one, other in pairwise(pictures):
        changed = ImageChops.difference(one, other).convert("L").point(lambda value: 255 * (value > 24))
        assert changed.histogram()[255] > 32 * 32 * 0.15


@pytest.mark.parametrize(
    "other",
    [
        replace(POTION, negative_prompt="blurry"),
        replace(POTION, extra=(("steps", 30),)),
        replace(POTION, inputs=("ab" * 32,)),
        replace(POTION, family="dashscope"),
    ],
)
def test_two_actions_never_give_the_same_picture(other: Action) -> None:
    assert placeholder_png(other) != placeholder_png(POTION)


def test_a_solid_background_in_the_prompt_is_that_colour_and_the_object_is_not() -> None:
    picture = opened(placeholder_png(ICON))
    key = (0, 255, 0)
    edge = {picture.getpixel((x, y)) for x in range(0, 512, 5) for y in (0, 8, 503, 511)}
    assert edge == {key}
    counts = picture.getcolors(64)
    assert counts is not None
    ground = next(count for count, colour in counts if colour == key)
    assert 0.25 < ground / 512**2 < 0.6
    assert all(max(abs(a - b) for a, b in zip(colour, key, strict=True)) > 60 for _, colour in counts if colour != key)


@pytest.mark.parametrize("ground", ["ffffff", "000000", "808080", "ff00ff", "f2e9e4", "333f70"])
def test_on_any_ground_the_object_keeps_its_distance(ground: str) -> None:
    red, green, blue = bytes.fromhex(ground)
    for number in range(12):
        action = replace(POTION, prompt=f"Thing {number}, solid #{ground} background", size="256*256", seed=number)
        counts = opened(placeholder_png(action)).getcolors(64)
        assert counts is not None
        distances = {max(abs(a - b) for a, b in zip(colour, (red, green, blue), strict=True)) for _, colour in counts}
        assert min(distances - {0}) >= 72


def test_threads_draw_the_same_bytes() -> None:
    actions = [replace(POTION, seed=seed, size="300*200") for seed in range(24)]
    alone = [placeholder_png(action) for action in actions]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(placeholder_png, actions)) == alone


@settings(max_examples=60, deadline=None)
@given(some.text(max_size=300), some.integers(1, 400), some.integers(1, 400), some.integers(0, 2**31 - 1))
def test_any_prompt_in_any_size_gives_a_whole_picture(prompt: str, width: int, height: int, seed: int) -> None:
    data = placeholder_png(Action("placeholder", "m", prompt, f"{width}*{height}", seed))
    check(data, (width, height), {"image/png"})
    opened(data).load()


@settings(max_examples=200, deadline=None)
@given(some.binary(max_size=4000), some.integers(0, 3))
def test_deflate_is_undone_by_zlib(data: bytes, repeats: int) -> None:
    data = data * (1 + 400 * repeats) if len(data) < 40 else data
    assert zlib.decompress(flatpng.deflate(data), wbits=-15) == data


def test_deflate_holds_when_one_symbol_is_a_million_times_as_frequent_as_others() -> None:
    data = b"".join(bytes([place]) * (1 << min(place, 18)) for place in range(40)) + bytes(range(256))
    shuffled = bytes(random.Random(3).sample(list(data[:60000]), 60000)) + data
    assert zlib.decompress(flatpng.deflate(shuffled), wbits=-15) == shuffled


def test_a_flat_png_keeps_every_pixel() -> None:
    dice = random.Random(5)
    palette = [(place * 16, 255 - place * 16, place) for place in range(16)]
    for width, height in [(1, 1), (2, 3), (7, 5), (64, 31)]:
        pixels = bytes(dice.randrange(16) for _ in range(width * height))
        picture = Image.open(io.BytesIO(flatpng.write(width, height, palette, pixels)))
        assert picture.mode == "P"
        assert picture.tobytes() == pixels
        assert picture.convert("RGB").tobytes() == b"".join(bytes(palette[index]) for index in pixels)


def test_letters_outside_the_table_become_a_box_of_their_own() -> None:
    assert letters.known("é")
    assert letters.known("茶")
    assert not letters.known("🐉")
    assert letters.draw("🐉", 60).rows != letters.draw("🐲", 60).rows
    assert letters.draw(" ", 60).rows == ()


def test_a_letter_covers_what_it_should() -> None:
    bar = letters.draw("l", 64)
    assert {row.strip(b"\0") for row in bar.rows[4:30]} == {bar.rows[10].strip(b"\0")}
    assert sum(map(sum, letters.draw("M", 64).rows)) > sum(map(sum, letters.draw("i", 64).rows))


def test_lines_are_broken_between_words_and_between_ideographs_but_not_before_a_comma() -> None:
    assert wrap("one two three", 10**6, 20) == ["one two three"]
    assert wrap("one two three", 1, 20) == ["one", "two", "three"]
    assert wrap("柠檬，薄荷", 1, 20) == ["柠", "檬，", "薄", "荷"]


def test_words_that_do_not_fit_end_in_an_ellipsis() -> None:
    setting = fit("word " * 400, 300, 100, [40, 20])
    assert setting.size == 20
    assert setting.height <= 100
    assert setting.lines[-1].endswith("…")
    assert headline("A tall tower, at night") == "A tall tower"
    assert headline("x" * 100) == "x" * 64 + "…"
