from __future__ import annotations

import pytest
from PIL import Image

from qwenbuild.images import Measures, measure
from tests.images.pictures import png, saved


def test_a_picture_is_measured() -> None:
    data = png("r.", "r.", "r.", mode="RGBA")
    assert measure(data) == Measures(2, 3, "RGBA", 0.5, False, False, len(data))


@pytest.mark.parametrize(
    ("data", "blank", "one_colour"),
    [
        (png("rg"), False, False),
        (png("rr"), True, True),
        (saved(Image.linear_gradient("L").point(lambda value: 100 + value // 128)), True, False),
        (png("..", "..", mode="RGBA"), True, True),
        (png("r.", mode="RGBA"), False, False),
    ],
)
def test_blank_and_one_colour(data: bytes, blank: bool, one_colour: bool) -> None:
    found = measure(data)
    assert (found.blank, found.one_colour) == (blank, one_colour)


def test_a_picture_of_which_nothing_can_be_seen_is_blank_whatever_its_hidden_colours() -> None:
    hidden = Image.linear_gradient("L").convert("RGBA")
    hidden.putalpha(0)
    assert measure(saved(hidden)).blank
