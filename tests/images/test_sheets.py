from __future__ import annotations

from PIL import Image

from qwenbuild.images import contact_sheet, difference, placeholder_png, sniff, thumbnail
from qwenbuild.model import Action
from tests.images.pictures import opened, png, saved


def test_a_thumbnail_is_a_webp_no_wider_than_asked() -> None:
    large = saved(Image.linear_gradient("L").resize((300, 200)))
    assert sniff(thumbnail(large, 120)) == "image/webp"
    assert opened(thumbnail(large, 120)).size == (120, 80)
    assert opened(thumbnail(png("rg"), 120)).size == (2, 1)


def test_difference_goes_from_nothing_to_everything() -> None:
    assert difference(png("rg"), png("rg")) == 0
    assert difference(png("k"), saved(Image.new("RGBA", (9, 9), (0, 0, 0, 255)))) == 0
    assert difference(png("k"), png("w")) == 0.75
    assert difference(png("w"), png(".", mode="RGBA")) == 1
    assert 0 < difference(png("kk", "kk"), png("kk", "ek")) < 0.2


def test_colours_of_transparent_pixels_do_not_differ() -> None:
    one, other = (saved(Image.new("RGBA", (8, 8), colour)) for colour in ((255, 0, 0, 0), (0, 255, 0, 0)))
    assert difference(one, other) == 0


def test_a_contact_sheet_shows_every_picture_and_its_label() -> None:
    items = [(f"candidate {seed}", placeholder_png(Action("p", "m", "a knight", "200*150", seed))) for seed in range(5)]
    sheet = contact_sheet(items, "heroes/knight — 骑士", columns=3, cell=120)
    assert sheet == contact_sheet(items, "heroes/knight — 骑士", columns=3, cell=120)
    image = opened(sheet)
    assert image.size == (10 + 3 * 130, 37 + 2 * 148)
    assert image.crop((10, 37, 130, 157)).getcolors(20000) != image.crop((140, 37, 260, 157)).getcolors(20000)
    unlabelled = contact_sheet([("", data) for _, data in items], "", columns=3, cell=120)
    assert unlabelled != sheet
    assert opened(contact_sheet([], "nothing")).width > 200
