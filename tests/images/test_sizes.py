"""What is said of a file's size before there is a picture is what the steps then make of it."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import pytest
from PIL import Image

from qwenbuild.images import SizeFault, derive, final_size, normalise

CHAINS: list[list[tuple[str, Any]]] = [
    [("resize", {"width": 33})],
    [("resize", {"height": 41})],
    [("resize", {"width": 30, "height": 50, "fit": "contain"}), ("pad", {"all": 3})],
    [("resize", {"width": 30, "height": 50, "fit": "fill"}), ("rotate", 90), ("flip", "vertical")],
    [("crop", {"ratio": "16:9"}), ("resize", {"width": 17})],
    [("crop", {"box": [5, 6, 40, 30]}), ("tile", {"columns": 4, "rows": 3, "cell": 12})],
    [("pad", {"width": 120, "height": 100}), ("rotate", -270), ("round", 10), ("grayscale", None)],
    [("tile", {"columns": 2, "rows": 4, "cell": 3}), ("quantize", {"colors": 4}), ("blur", 3)],
]


def picture() -> bytes:
    out = BytesIO()
    Image.linear_gradient("L").resize((96, 64)).convert("RGB").save(out, "PNG")
    return out.getvalue()


@pytest.mark.parametrize("chain", CHAINS, ids=lambda chain: "+".join(kind for kind, _ in chain))
def test_the_size_foretold_is_the_size_made(chain: list[tuple[str, Any]]) -> None:
    steps = [normalise(kind, args) for kind, args in chain]
    made = Image.open(BytesIO(derive(picture(), steps, "image/png")))
    assert final_size(steps, (96, 64)) == made.size


WRONG: list[list[tuple[str, Any]]] = [
    [("tile", {"columns": 5, "rows": 2, "cell": 1})],
    [("resize", {"width": 50}), ("crop", {"box": [0, 0, 51, 10]})],
    [("pad", {"width": 10, "height": 10})],
    [("resize", {"width": 20, "height": 20}), ("round", {"radius": 11})],
]


@pytest.mark.parametrize("chain", WRONG, ids=lambda chain: chain[-1][0])
def test_what_cannot_fit_is_foretold_in_the_words_of_the_failure(chain: list[tuple[str, Any]]) -> None:
    steps = [normalise(kind, args) for kind, args in chain]
    with pytest.raises(ValueError, match=chain[-1][0]) as made:
        derive(picture(), steps, "image/png")
    with pytest.raises(SizeFault) as foretold:
        final_size(steps, (96, 64))
    assert (str(foretold.value), foretold.value.at) == (str(made.value), len(chain) - 1)


def test_nothing_is_said_of_what_only_the_picture_can_tell() -> None:
    trimmed = [normalise("trim", {}), normalise("tile", {"columns": 7, "rows": 7, "cell": 1})]
    assert final_size(trimmed, (96, 64)) is None
    assert final_size([*trimmed, normalise("resize", {"width": 9, "height": 9})], (96, 64)) == (9, 9)
    assert final_size([normalise("tile", {"columns": 7, "rows": 7, "cell": 1})], None) is None
