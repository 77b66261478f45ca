from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from PIL import Image

from qwenbuild.images import Measures, check_expect, judge, measure
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


@pytest.mark.parametrize(
    ("expect", "sentences"),
    [
        ({"size": "2*3"}, ()),
        ({"size": "512x512"}, ("it is 2*3 pixels, expected 512*512",)),
        ({"width": 2, "height": 4}, ("its height is 3 pixels, expected 4",)),
        ({"mode": "RGB"}, ("its mode is RGBA, expected RGB",)),
        ({"alpha": {"min": 0.5, "max": 0.5}}, ()),
        ({"alpha": {"min": 0.6}}, ("50.0% of it is opaque, expected 60% to 100%",)),
        ({"alpha": {"max": "0.4"}}, ("50.0% of it is opaque, expected 0% to 40%",)),
        ({"max_bytes": 20}, ("it is {bytes} bytes, expected at most 20",)),
        ({"not_blank": True, "not_one_colour": True}, ()),
        ({"width": 1, "mode": "L"}, ("its width is 2 pixels, expected 1", "its mode is RGBA, expected L")),
    ],
)
def test_what_an_expectation_finds_wrong(expect: dict[str, Any], sentences: tuple[str, ...]) -> None:
    data = png("r.", "r.", "r.", mode="RGBA")
    assert judge(data, check_expect(expect)) == tuple(sentence.format(bytes=len(data)) for sentence in sentences)


def test_a_blank_picture_is_said_to_be_blank() -> None:
    assert judge(png("rr"), check_expect({"not_blank": True})) == ("it is blank",)
    assert judge(png("rr"), check_expect({"not_one_colour": "true"})) == ("it is of one colour only",)
    assert judge(png("rr"), check_expect({"not_blank": False})) == ()


def test_bytes_that_are_no_picture_fail_every_expectation() -> None:
    assert len(judge(b"<html>", check_expect({"width": 3}))) == 1


@pytest.mark.parametrize(
    ("expect", "sentence"),
    [
        ({"sise": "1*1"}, "expect has no 'sise'; did you mean 'size'?; it takes size, width"),
        ({"size": "1:1"}, "expect: size must be W*H in pixels such as 512*512, got '1:1'"),
        ({"size": 512}, "got 512"),
        ({"width": 0}, "expect: width must be a whole number from 1 to 16383, got 0"),
        ({"mode": "rgb"}, "expect: mode must be one of L, LA, RGB, RGBA, got 'rgb'"),
        ({"alpha": 0.5}, "expect: alpha must be a mapping"),
        ({"alpha": {"min": 2}}, "expect: alpha: min must be a number from 0 to 1, got 2"),
        ({"max_bytes": "many"}, "expect: max_bytes must be a whole number"),
        ({"not_blank": 1}, "expect: not_blank must be true or false, got 1"),
        ([], "expect must be a mapping"),
    ],
)
def test_an_expectation_that_makes_no_sense_is_refused(expect: Any, sentence: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        check_expect(expect)
    assert sentence in str(caught.value)


THREADS = """
import sys, threading
from qwenbuild.images import placeholder_png
from qwenbuild.model import Action
picture = placeholder_png(Action("placeholder", "placeholder", "a", "64*64", seed=1))
for name in ("measures", "decoder", "pixels"):
    sys.modules.pop(f"qwenbuild.images.{name}", None)
from qwenbuild.images import judge
start, said = threading.Barrier(8), []
def look():
    start.wait()
    try:
        said.append(judge(picture, {"not_blank": True}))
    except BaseException as error:
        said.append(repr(error))
threads = [threading.Thread(target=look) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
assert [each for each in said if each] == [], said
"""


def test_the_first_pictures_that_many_threads_look_at_are_judged_and_not_called_a_fault() -> None:
    """A module whose import was put off is half a module to the second thread."""
    done = subprocess.run([sys.executable, "-c", THREADS], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
