from __future__ import annotations

import json
import random
from itertools import combinations
from typing import Any

import pytest
from PIL import Image

from qwenbuild.images.atlas import check_options, pack
from tests.images.pictures import drawn, opened, png, saved


def icons(count: int, seed: int = 1, low: int = 8, high: int = 60) -> list[tuple[str, bytes]]:
    dice = random.Random(seed)
    made = []
    for number in range(count):
        size = (dice.randint(low, high), dice.randint(low, high))
        made.append((f"icons/{number:03}.png", saved(Image.new("RGBA", size, (*dice.randbytes(3), 255)))))
    return made


def frames(sheet: Any) -> dict[str, Any]:
    return dict(json.loads(sheet.json)["frames"])


def test_the_json_is_texturepackers_hash_format() -> None:
    (sheet,) = pack([("a.png", png("rr", "gg")), ("b.png", png("b"))], {"padding": 1}, "ui.png")
    assert json.loads(sheet.json) == {
        "frames": {
            "a.png": {
                "frame": {"x": 1, "y": 1, "w": 2, "h": 2},
                "rotated": False,
                "trimmed": False,
                "spriteSourceSize": {"x": 0, "y": 0, "w": 2, "h": 2},
                "sourceSize": {"w": 2, "h": 2},
            },
            "b.png": {
                "frame": {"x": 1, "y": 4, "w": 1, "h": 1},
                "rotated": False,
                "trimmed": False,
                "spriteSourceSize": {"x": 0, "y": 0, "w": 1, "h": 1},
                "sourceSize": {"w": 1, "h": 1},
            },
        },
        "meta": {
            "app": "qwenbuild",
            "version": "1.0",
            "image": "ui.png",
            "format": "RGBA8888",
            "size": {"w": 4, "h": 6},
            "scale": "1",
        },
    }
    assert opened(sheet.png).size == (4, 6)
    assert sheet.json.endswith(b"}\n")


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"padding": 0},
        {"padding": 5, "extrude": 2},
        {"power_of_two": True},
        {"max_size": 256},
        {"max_size": 128, "padding": 1},
    ],
)
def test_every_picture_is_where_the_json_says_and_none_touches_another(options: dict[str, Any]) -> None:
    items = icons(90)
    wanted = check_options(options)
    sheets = pack(items, options)
    seen: dict[str, Any] = {}
    for sheet in sheets:
        image = opened(sheet.png)
        assert max(image.size) <= wanted["max_size"]
        boxes = []
        for name, frame in frames(sheet).items():
            box = frame["frame"]
            region = image.crop((box["x"], box["y"], box["x"] + box["w"], box["y"] + box["h"]))
            assert region.tobytes() == opened(dict(items)[name]).tobytes()
            edge = wanted["extrude"] + wanted["padding"]
            assert box["x"] >= edge
            assert box["y"] >= edge
            assert box["x"] + box["w"] + edge <= image.width
            assert box["y"] + box["h"] + edge <= image.height
            boxes.append((box["x"], box["y"], box["w"], box["h"]))
            seen[name] = frame
        gap = wanted["padding"] + 2 * wanted["extrude"]
        for (x, y, w, h), (p, q, v, u) in combinations(boxes, 2):
            assert x + w + gap <= p or p + v + gap <= x or y + h + gap <= q or q + u + gap <= y
    assert seen.keys() == dict(items).keys()


def test_power_of_two_sheets_are_powers_of_two() -> None:
    for sheet in pack(icons(40), {"power_of_two": True, "max_size": 200}):
        assert all(side & (side - 1) == 0 for side in opened(sheet.png).size)


def test_what_does_not_fit_one_sheet_goes_to_another_that_is_named() -> None:
    sheets = pack(icons(60), {"max_size": 160}, "atlas/ui.png")
    assert [sheet.image for sheet in sheets][:2] == ["ui.png", "ui-2.png"]
    first = json.loads(sheets[0].json)
    assert first["meta"]["related_multi_packs"] == [f"ui-{n}.json" for n in range(2, len(sheets) + 1)]


def test_the_order_of_the_pictures_does_not_matter_and_the_bytes_are_the_same_again() -> None:
    items = icons(50)
    shuffled = items[:]
    random.Random(4).shuffle(shuffled)
    assert pack(items, {}) == pack(shuffled, {}) == pack(items, {})


def test_sheets_are_filled_well() -> None:
    items = icons(200, low=60, high=64)
    (sheet,) = pack(items, {"padding": 0})
    used = sum(frame["frame"]["w"] * frame["frame"]["h"] for frame in frames(sheet).values())
    image = opened(sheet.png)
    assert used / (image.width * image.height) > 0.85


def test_extrusion_repeats_the_outermost_pixels() -> None:
    (sheet,) = pack([("a", saved(drawn("rg", "bw", mode="RGBA")))], {"padding": 0, "extrude": 2})
    image = opened(sheet.png)
    assert image.size == (6, 6)
    rows = [
        "".join({(255, 0, 0): "r", (0, 255, 0): "g", (0, 0, 255): "b"}.get(image.getpixel((x, y))[:3], "w") for x in range(6))
        for y in range(6)
    ]
    assert rows == ["rrrggg"] * 3 + ["bbbwww"] * 3


def test_trim_cuts_transparent_borders_and_says_where_they_were() -> None:
    source = png("....", "..r.", "....", mode="RGBA")
    (sheet,) = pack([("a", source), ("empty", png("...", mode="RGBA"))], {"trim": True, "padding": 0})
    assert frames(sheet)["a"] == {
        "frame": {**frames(sheet)["a"]["frame"], "w": 1, "h": 1},
        "rotated": False,
        "trimmed": True,
        "spriteSourceSize": {"x": 2, "y": 1, "w": 1, "h": 1},
        "sourceSize": {"w": 4, "h": 3},
    }
    assert frames(sheet)["empty"]["trimmed"] is False


def test_scales_make_a_second_set_of_sheets() -> None:
    one, two = pack(icons(12), {"scales": [1, 2]}, "ui.png")
    assert (one.image, one.scale, two.image, two.scale) == ("ui.png", 1, "ui@2x.png", 2)
    assert json.loads(two.json)["meta"]["scale"] == "2"
    for name, frame in frames(two).items():
        assert abs(frames(one)[name]["frame"]["w"] * 2 - frame["frame"]["w"]) <= 1


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"paddin": 1}, "an atlas has no option 'paddin'; did you mean 'padding'?"),
        ({"padding": -1}, "atlas: padding must be a whole number from 0 to 256, got -1"),
        ({"max_size": 4}, "atlas: max_size must be a whole number from 16"),
        ({"power_of_two": "maybe"}, "atlas: power_of_two must be true or false"),
        ({"scales": [5]}, "atlas: scales must be a list of 1, 2, 3 or 4, got [5]"),
        ({"scales": []}, "got []"),
        ({"scales": 2}, "got 2"),
    ],
)
def test_an_option_that_makes_no_sense_is_refused(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        check_options(options)
    assert sentence in str(caught.value)


def test_what_cannot_be_packed_is_named() -> None:
    with pytest.raises(ValueError, match="big is 300x10 pixels, too large for max_size 256"):
        pack([("big", saved(Image.new("RGB", (300, 10))))], {"max_size": 256})
    with pytest.raises(ValueError, match="two pictures of the atlas are named 'a'"):
        pack([("a", png("r")), ("a", png("g"))], {})
    with pytest.raises(ValueError, match="holds no picture"):
        pack([], {})
    with pytest.raises(ValueError, match="a: these 6 bytes are no PNG"):
        pack([("a", b"<html>")], {})
