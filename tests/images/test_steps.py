from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from qwenbuild.images import normalise, read_palette, step_schemas
from qwenbuild.images.steps import STEPS
from qwenbuild.key import canonical, recipe_key
from qwenbuild.model import ImageStep


@pytest.mark.parametrize(
    ("kind", "args", "expected"),
    [
        ("resize", {"width": 256}, {"width": 256, "height": 0, "fit": "cover", "filter": "lanczos", "background": "#00000000"}),
        (
            "resize",
            {"width": "256"},
            {"width": 256, "height": 0, "fit": "cover", "filter": "lanczos", "background": "#00000000"},
        ),
        ("crop", {"box": [1, 2, 3, 4]}, {"left": 1, "top": 2, "width": 3, "height": 4, "ratio": "", "gravity": "center"}),
        ("crop", {"ratio": "16:9"}, {"left": 0, "top": 0, "width": 0, "height": 0, "ratio": "16:9", "gravity": "center"}),
        ("pad", {"all": 4, "color": "#FFF"}, {"width": 0, "height": 0, "all": 4, "color": "#ffffffff", "gravity": "center"}),
        ("trim", None, {"tolerance": 10}),
        ("trim", 3, {"tolerance": 3}),
        ("flip", "horizontal", {"direction": "horizontal"}),
        ("rotate", 12.50, {"degrees": "12.5", "background": "#00000000"}),
        ("rotate", "-90", {"degrees": "-90", "background": "#00000000"}),
        ("grayscale", None, {}),
        ("grayscale", True, {}),
        ("blur", 4, {"radius": 4}),
        ("blur", "4", {"radius": 4}),
        ("blur", {"radius": 250}, {"radius": 250}),
        ("quantize", {"colors": 16, "dither": "false"}, {"colors": 16, "palette": "", "dither": False}),
        (
            "key_out",
            {"color": "#00FF00", "alpha": {"min": 0.20}},
            {"color": "#00ff00ff", "tolerance": 40, "despill": True, "alpha_min": "0.2", "alpha_max": "0.99"},
        ),
        ("round", 12, {"radius": 12, "percent": 0}),
        ("round", "50%", {"radius": 0, "percent": 50}),
        ("tile", {"columns": 4, "rows": 2, "cell": 8}, {"columns": 4, "rows": 2, "cell": 8}),
        ("format", "webp", {"type": "webp", "quality": 85, "lossless": False, "background": "#ffffffff"}),
        ("format", "jpg", {"type": "jpeg", "quality": 90, "lossless": False, "background": "#ffffffff"}),
        (
            "format",
            {"type": "webp", "lossless": True},
            {"type": "webp", "quality": 0, "lossless": True, "background": "#ffffffff"},
        ),
    ],
)
def test_every_default_is_made_explicit(kind: str, args: Any, expected: dict[str, Any]) -> None:
    assert normalise(kind, args) == ImageStep(kind, expected)


@pytest.mark.parametrize(
    ("kind", "args", "sentence"),
    [
        ("resise", {"width": 1}, "'resise' is not a step; did you mean 'resize'?; steps are resize, crop, pad"),
        ("resize", {"widht": 1}, "resize has no argument 'widht'; did you mean 'width'?; it takes width, height"),
        ("resize", {}, "resize needs width, height or both"),
        ("resize", 256, "resize takes a mapping of its arguments (width, height"),
        ("resize", {"width": -5}, "resize: width must be a whole number from 1 to 16383, got -5"),
        ("resize", {"width": 0}, "resize: width must be a whole number from 1 to 16383, got 0"),
        ("resize", {"width": True}, "resize: width must be a whole number from 1 to 16383, got True"),
        ("resize", {"width": 2.5}, "resize: width must be a whole number from 1 to 16383, got 2.5"),
        ("resize", {"width": "wide"}, "got 'wide'"),
        ("resize", {"width": 99999}, "got 99999"),
        (
            "resize",
            {"width": 9, "fit": "cower"},
            "resize: fit must be one of cover, contain, fill, inside, got 'cower'; did you mean 'cover'?",
        ),
        ("resize", {"width": 9, "fit": "contain"}, "resize: fit contain needs both width and height"),
        ("resize", {"width": 9, "filter": "nearst"}, "did you mean 'nearest'?"),
        ("resize", {"width": 9, "background": "green"}, "resize: background must be a colour such as '#00ff00'"),
        ("crop", {}, "crop needs box or ratio"),
        ("crop", {"box": [0, 0, 4, 4], "ratio": "1:1"}, "crop needs box or ratio, not both"),
        ("crop", {"box": [0, 0, 4]}, "crop: box must be [left, top, width, height] in pixels, got [0, 0, 4]"),
        ("crop", {"box": [0, 0, 0, 4]}, "crop: width must be a whole number from 1"),
        ("crop", {"box": [0, 0, 4, 4], "gravity": "top"}, "crop: gravity goes with ratio"),
        ("crop", {"ratio": "wide"}, "crop: ratio must be a ratio such as 16:9, got 'wide'"),
        ("crop", {"ratio": 1.5}, "crop: ratio must be a ratio such as 16:9, got 1.5"),
        ("crop", {"ratio": "1:1", "gravity": "middle"}, "crop: gravity must be one of center, top"),
        ("crop", {"bx": [0, 0, 1, 1]}, "crop has no argument 'bx'; did you mean 'box'?"),
        ("pad", {}, "pad needs width and height or all"),
        ("pad", {"all": 3, "width": 9}, "pad needs width and height or all, not both"),
        ("trim", {"tolerance": 300}, "trim: tolerance must be a whole number from 0 to 255, got 300"),
        ("flip", {}, "flip needs direction: horizontal swaps"),
        ("flip", "sideways", "flip: direction must be one of horizontal, vertical, got 'sideways'"),
        ("rotate", "abc", "rotate: degrees must be a number from -360 to 360, got 'abc'"),
        ("rotate", 361, "got 361"),
        ("rotate", float("nan"), "got nan"),
        ("grayscale", {"strength": 1}, "grayscale has no argument 'strength'; it takes no arguments"),
        ("blur", None, "blur needs radius: pixels"),
        ("blur", 0, "blur: radius must be a whole number from 1 to 250, got 0"),
        ("blur", 251, "blur: radius must be a whole number from 1 to 250, got 251"),
        ("blur", 2.5, "blur: radius must be a whole number from 1 to 250, got 2.5"),
        ("blur", True, "blur: radius must be a whole number from 1 to 250, got True"),
        ("blur", [4], "blur takes a mapping of its arguments (radius), got [4]"),
        ("blur", {"radios": 4}, "blur has no argument 'radios'; did you mean 'radius'?; it takes radius"),
        ("quantize", {}, "quantize needs colors or palette"),
        ("quantize", {"colors": 8, "palette": "a.gpl"}, "quantize needs colors or palette, not both"),
        ("quantize", {"colors": 1}, "quantize: colors must be a whole number from 2 to 256, got 1"),
        ("quantize", {"palette": 3}, "quantize: palette must be the path of a file, got 3"),
        ("quantize", {"colors": 8, "dither": "yes"}, "quantize: dither must be true or false, got 'yes'"),
        ("key_out", {}, "key_out needs color"),
        ("key_out", {"color": "#00ff0080"}, "key_out: color must be opaque"),
        ("key_out", {"color": "#00ff00", "tolerance": 200}, "key_out: tolerance must be a whole number from 0 to 120"),
        (
            "key_out",
            {"color": "#00ff00", "alpha": 0.5},
            "key_out: alpha must be a mapping such as {min: 0.2, max: 0.9}, got 0.5",
        ),
        ("key_out", {"color": "#00ff00", "alpha": {"min": 0.9, "max": 0.1}}, "key_out: alpha: min 0.9 is greater than max 0.1"),
        ("key_out", {"color": "#00ff00", "alpha": {"mim": 0.9}}, "key_out: alpha has no argument 'mim'; did you mean 'min'?"),
        ("key_out", {"colour": "#00ff00"}, "did you mean 'color'?"),
        ("round", {}, "round needs radius or percent"),
        ("round", {"radius": 4, "percent": 5}, "round needs radius or percent, not both"),
        ("round", {"percent": 60}, "round: percent must be a whole number from 1 to 50, got 60"),
        ("tile", {"columns": 4}, "tile needs rows: rows of cells"),
        ("tile", {"columns": 2, "rows": 2, "cell": 5}, "tile: cell must be from 1 to 4 (2 x 2), got 5"),
        ("tile", {"columns": 0, "rows": 2}, "tile: columns must be a whole number from 1 to 256, got 0"),
        ("format", {}, "format needs type: the file's type"),
        ("format", "gif", "format: type must be one of png, webp, avif, jpeg, got 'gif'"),
        ("format", {"type": "png", "quality": 80}, "format: a png keeps every pixel and has no quality"),
        ("format", {"type": "webp", "quality": 0}, "format: quality must be a whole number from 1 to 100, got 0"),
        ("format", {"type": "jpeg", "lossless": True}, "format: lossless is for webp (a png always is), not for jpeg"),
        ("format", {"type": "webp", "quality": 3, "lossless": True}, "format: quality and lossless exclude each other"),
        ("format", {"type": "jpeg", "background": "transparent"}, "format: background must be opaque"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(kind: str, args: Any, sentence: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        normalise(kind, args)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_normalised_step_can_be_hashed() -> None:
    for kind, args in (("resize", {"width": 9}), ("rotate", 1.5), ("quantize", {"colors": 3}), ("key_out", {"color": "white"})):
        step = normalise(kind, args)
        assert all(type(value) in (int, str, bool) for value in step.args.values())
        assert json.loads(canonical(dict(step.args))) == step.args
        assert len(recipe_key("00" * 32, [step], "off")) == 64


def test_two_spellings_of_one_step_are_one_recipe() -> None:
    assert normalise("pad", {"all": 2, "color": "#fff"}) == normalise("pad", {"color": "white", "all": "2"})
    assert normalise("rotate", 90.0) == normalise("rotate", {"degrees": "90"})


def test_every_step_has_a_schema_and_words_for_every_argument() -> None:
    schemas = step_schemas()
    assert list(schemas) == list(STEPS)
    assert schemas["crop"]["properties"].keys() == {"box", "ratio", "gravity"}
    assert schemas["key_out"]["required"] == ["color"]
    assert schemas["key_out"]["properties"].keys() == {"color", "tolerance", "despill", "alpha"}
    for schema in schemas.values():
        assert all(item["description"] for item in schema["properties"].values())
    json.dumps(schemas)


def test_validating_steps_does_not_load_the_image_library() -> None:
    code = (
        "import sys; from qwenbuild.checks import check_expect; from qwenbuild.images import normalise, atlas, marks;"
        "normalise('resize', {'width': 3}); check_expect({'width': 3}); atlas.check_options({}); sys.exit('PIL' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "the file is empty"),
        (b"\xff\xfe\x00", "neither text nor a PNG"),
        (b"hello\n", "'hello' is no colour"),
        (b"ff0000\n", "a palette holds 2 to 256 different colours, this file holds 1"),
        (b"GIMP Palette\n300 0 0\n", "'300 0 0' is no red, green and blue from 0 to 255"),
        ("\n".join(f"{n:06x}" for n in range(300)).encode(), "this file holds 300"),
    ],
)
def test_a_palette_that_is_none_is_refused(data: bytes, sentence: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        read_palette(data)
    assert sentence in str(caught.value)
