from __future__ import annotations

from typing import Any

import pytest
from PIL import Image, ImageDraw, ImageFilter

from qwenbuild.checks import check_expect, judge
from qwenbuild.images import features
from qwenbuild.images.colours import apart, lab
from qwenbuild.model import CheckVerdict
from tests.images.pictures import saved

SIDE = 96


def verdict(image: Image.Image, check: str, value: Any = True) -> CheckVerdict:
    (found,) = judge(saved(image), check_expect({check: value}))
    return found


def drawn(*boxes: tuple[int, int, int, int, str], ground: str = "#808080") -> Image.Image:
    image = Image.new("RGB", (SIDE, SIDE), ground)
    for left, top, right, bottom, colour in boxes:
        ImageDraw.Draw(image).rectangle([left, top, right, bottom], colour)
    return image


def squares(cell: int, light: int = 220, dark: int = 180) -> Image.Image:
    image = Image.new("RGB", (SIDE, SIDE), (light,) * 3)
    for y in range(0, SIDE, cell):
        for x in range(0, SIDE, cell):
            if (x + y) // cell % 2:
                ImageDraw.Draw(image).rectangle([x, y, x + cell - 1, y + cell - 1], (dark,) * 3)
    return image


def shaded() -> Image.Image:
    return Image.linear_gradient("L").resize((SIDE, SIDE)).convert("RGB")


# ---------------------------------------------------------------- colours


@pytest.mark.parametrize(
    ("colour", "known"),
    [
        ((255, 255, 255), (100.0, 0.0, 0.0)),
        ((255, 0, 0), (53.24, 80.09, 67.20)),
        ((0, 128, 0), (46.23, -51.70, 49.90)),
        ((0, 0, 255), (32.30, 79.19, -107.86)),
        ((0, 0, 0), (0.0, 0.0, 0.0)),
    ],
)
def test_colours_are_where_cielab_has_them(colour: tuple[int, int, int], known: tuple[float, float, float]) -> None:
    assert lab(*colour) == tuple(pytest.approx(round(value * 100), abs=3) for value in known)


def test_the_distance_of_two_colours_is_their_delta_e() -> None:
    assert apart((1000, 0, 0), (1000, 300, 400)) == 500**2


# ---------------------------------------------------------------- one picture


def test_a_picture_of_other_colours_than_its_palette_fails_and_they_are_named() -> None:
    half = drawn((0, 0, SIDE // 2 - 1, SIDE, "#3050a0"), ground="#e02020")
    found = verdict(half, "palette", ["#3050a0"])
    assert (found.verdict, found.measured, found.threshold) == ("fail", "0.5", "0.8")
    assert found.evidence["others"] == ["#e02020"]
    assert "0.5 of it is within ΔE 15 of the palette, expected 0.8; the rest is mostly #e02020" in found.fault
    assert verdict(half, "palette", {"colours": ["#3050a0", "#e02020"]}).verdict == "pass"
    assert verdict(half, "palette", {"colours": ["#3050a0"], "min": 0.4}).verdict == "pass"


def test_transparent_pixels_have_no_colour() -> None:
    icon = drawn(ground="#3050a0").convert("RGBA")
    icon.paste((255, 0, 0, 0), (0, 0, SIDE, SIDE // 2))
    assert verdict(icon, "palette", ["#3050a0"]).verdict == "pass"


def test_a_bar_at_a_side_is_a_border_and_a_picture_to_the_edge_has_none() -> None:
    found = verdict(letterboxed := _barred(), "border")
    assert (found.verdict, found.evidence["top"], found.evidence["left"]) == ("fail", 12, 0)
    assert found.fault == "its top border is 12 pixels of one colour, 0.125 of the side, expected 0.02"
    assert verdict(letterboxed, "border", 0.2).verdict == "pass"
    assert verdict(shaded().rotate(45).crop((30, 30, 66, 66)), "border").verdict == "pass"


def _barred() -> Image.Image:
    image = shaded().rotate(90)
    ImageDraw.Draw(image).rectangle([0, 0, SIDE, 11], "black")
    noisy = Image.effect_noise((SIDE, SIDE - 12), 60).convert("RGB")
    image.paste(noisy, (0, 12))
    return image


def test_a_shading_shows_a_seam_where_it_is_tiled_and_says_in_which_direction() -> None:
    found = verdict(shaded(), "seam")
    assert found.verdict == "fail"
    assert "a seam shows where top and bottom meet" in found.fault
    assert found.evidence["boxes"] == [[0, SIDE - 1, SIDE, 1]]
    assert verdict(drawn((20, 20, 60, 60, "#202020")), "seam").verdict == "pass"
    assert verdict(Image.effect_noise((SIDE, SIDE), 40), "seam").verdict == "pass"


@pytest.mark.parametrize("cell", [6, 8, 16])
def test_painted_transparency_is_found_with_the_size_of_its_squares(cell: int) -> None:
    found = verdict(squares(cell), "checkerboard")
    assert (found.verdict, found.evidence["square"]) == ("fail", cell)
    assert f"painted as transparency, in squares of {cell} pixels" in found.fault


@pytest.mark.parametrize(
    "image",
    [shaded(), drawn(), squares(8, 255, 20), squares(8).filter(ImageFilter.GaussianBlur(12)), Image.effect_noise((96, 96), 40)],
    ids=["shading", "one grey", "a chessboard", "a blur", "noise"],
)
def test_what_is_no_painted_transparency_is_not_called_that(image: Image.Image) -> None:
    assert verdict(image, "checkerboard").verdict == "pass"


def test_a_blurred_picture_is_not_sharp() -> None:
    sharp = drawn((20, 20, 60, 60, "#ffffff"), (30, 10, 40, 80, "#000000"))
    assert verdict(sharp, "sharpness").verdict == "pass"
    found = verdict(sharp.filter(ImageFilter.GaussianBlur(5)), "sharpness")
    assert (found.verdict, found.threshold) == ("fail", "20")
    assert found.fault == f"its sharpness is {found.measured}, expected 20"


@pytest.mark.parametrize("side", [1, 2, 3, 7])
@pytest.mark.parametrize("check", ["seam", "border", "checkerboard", "sharpness"])
def test_a_tiny_picture_is_judged_without_a_fault_of_the_program(check: str, side: int) -> None:
    assert verdict(Image.new("RGBA", (side, side), (1, 2, 3, 0)), check).verdict in ("pass", "fail")


def test_measures_are_whole_numbers_or_decimals_of_three_places() -> None:
    look = features.look(shaded())
    assert all(type(value) is int for value in look["style"].values())
    assert (len(look["hash"]), len(look["thumb"])) == (32, 16 * 16 * 3 * 2)


# ---------------------------------------------------------------- what may be asked


@pytest.mark.parametrize(
    ("expect", "sentence"),
    [
        ({"seem": True}, "expect has no 'seem'; did you mean 'seam'?"),
        ({"seam": {"most": 3}}, "expect: seam has no argument 'most'"),
        ({"seam": -1}, "expect: seam: max must be a number from 0 to 100, got -1"),
        ({"border": "wide"}, "expect: border: max must be a number from 0 to 1, got 'wide'"),
        ({"palette": True}, "expect: palette needs either colours, or of: another entry's id"),
        ({"palette": ["redd"]}, "expect: palette: colours must be a colour such as '#00ff00'"),
        ({"palette": {"colours": ["#000"], "of": "a"}}, "expect: palette needs either colours, or of"),
        (
            {"near_duplicate": {"within": "tags"}},
            "near_duplicate: within must be entry, asset, all or tag:NAME, got 'tags'",
        ),
        ({"likeness": True}, "expect: likeness needs to: the id of the entry to be like"),
        ({"sharpness": 1.5}, "expect: sharpness: min must be a whole number"),
    ],
)
def test_a_check_that_makes_no_sense_is_refused_with_what_it_takes(expect: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        check_expect(expect)
    assert sentence in str(caught.value)


def test_a_check_that_is_switched_off_is_not_expected() -> None:
    assert check_expect({"seam": False, "border": None}) == {}


def test_pictures_are_compared_on_the_asset_and_not_on_its_files() -> None:
    with pytest.raises(ValueError, match="near_duplicate compares pictures: it goes on the asset"):
        check_expect({"near_duplicate": True}, of_file=True)
    assert check_expect({"seam": True}, of_file=True)["seam"]["max"] == "3"
