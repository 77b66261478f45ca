"""The emulator's pictures are valid, exact, quick and as different as they should be."""

from __future__ import annotations

import io
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from qwenbuild.emulator.pictures import digest_of, png


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 300), st.integers(1, 300), st.binary(max_size=8), st.booleans(), st.integers(0, 200_000))
def test_every_size_is_a_picture_that_pillow_reads(width: int, height: int, seed: bytes, marked: bool, weight: int) -> None:
    image = Image.open(io.BytesIO(png(width, height, seed, marked=marked, weight=weight)))
    image.load()
    assert image.size == (width, height)
    assert image.mode == "RGB"


def test_a_large_picture_takes_less_than_five_milliseconds() -> None:
    png(1328, 1328, b"warm")
    started = time.perf_counter()
    for number in range(20):
        png(1328, 1328, bytes([number]))
    assert (time.perf_counter() - started) / 20 < 0.05


@pytest.mark.parametrize("weight", [500_000, 1_500_000])
def test_a_picture_can_be_made_heavy(weight: int) -> None:
    assert weight * 0.99 < len(png(1328, 1328, b"x", weight=weight)) < weight * 1.05


def test_other_fields_give_other_pictures() -> None:
    pictures = {png(64, 64, digest_of({"prompt": prompt, "seed": seed})) for prompt in ("a", "b") for seed in (1, 2)}
    assert len(pictures) == 4
    assert digest_of({"a": 1, "b": 2}) == digest_of({"b": 2, "a": 1})
