from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import pytest

from qwenbuild.checks import check_expect, judge
from qwenbuild.images import CheckFinding, PictureCheck, PluginFailed, plugin_steps
from qwenbuild.images.arguments import whole
from qwenbuild.model import CheckVerdict
from qwenbuild.plugins import Plugin
from tests.images.pictures import png


def faults(data: bytes, expect: Mapping[str, Any]) -> tuple[str, ...]:
    """What the bytes fail of an expectation, a sentence each."""
    return tuple(verdict.fault for verdict in judge(data, check_expect(expect)) if verdict.fault)


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
    assert faults(data, expect) == tuple(sentence.format(bytes=len(data)) for sentence in sentences)


def test_a_blank_picture_is_said_to_be_blank() -> None:
    assert faults(png("rr"), {"not_blank": True}) == ("it is blank",)
    assert faults(png("rr"), {"not_one_colour": "true"}) == ("it is of one colour only",)
    assert faults(png("rr"), {"not_blank": False}) == ()


def test_bytes_that_are_no_picture_fail_every_expectation() -> None:
    assert len(faults(b"<html>", {"width": 3, "mode": "RGB"})) == 1


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
for name in ("images.measures", "images.decoder", "images.pixels", "images.features", "checks.judges"):
    sys.modules.pop(f"qwenbuild.{name}", None)
from qwenbuild.checks import check_expect, judge
from qwenbuild.images import CheckFinding, PictureCheck, PluginFailed, plugin_steps
from qwenbuild.images.arguments import whole
from qwenbuild.model import CheckVerdict
from qwenbuild.plugins import Plugin
start, said = threading.Barrier(8), []
def look():
    start.wait()
    try:
        said.append([verdict.fault for verdict in judge(picture, check_expect({"not_blank": True, "border": 1}))])
    except BaseException as error:
        said.append(repr(error))
threads = [threading.Thread(target=look) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
assert all(each == ["", ""] for each in said), said
"""


def test_the_first_pictures_that_many_threads_look_at_are_judged_and_not_called_a_fault() -> None:
    """A module whose import was put off is half a module to the second thread."""
    done = subprocess.run([sys.executable, "-c", THREADS], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


# ---------------------------------------------------------------- plug-ins


def plugged(monkeypatch: pytest.MonkeyPatch, found: object) -> CheckVerdict:
    """The verdict where a plug-in's check gives this."""
    row = PictureCheck("darkest", "sketch:darkest", whole(0, 255, None, "the darkest"))
    plugin = Plugin("check", "darkest", "sketch", "1.0")
    monkeypatch.setattr(plugin_steps, "_check", lambda name, built_in: (row, plugin))
    monkeypatch.setattr(plugin_steps, "_run", lambda *_: found)
    return judge(png("r"), {"darkest": {"plugin": "sketch 1.0", "value": 30}})[0]


def test_a_plug_in_s_sentence_and_its_finding_become_verdicts(monkeypatch: pytest.MonkeyPatch) -> None:
    assert plugged(monkeypatch, "") == CheckVerdict("darkest", "pass", "", "30", {}, "sketch 1.0")
    assert plugged(monkeypatch, "too dark") == CheckVerdict("darkest", "fail", "", "30", {"message": "too dark"}, "sketch 1.0")
    found = plugged(monkeypatch, CheckFinding("too dark", "12", {"score": 48}))
    assert found == CheckVerdict("darkest", "fail", "12", "30", {"score": 48, "message": "too dark"}, "sketch 1.0")


@pytest.mark.parametrize(
    "found", [None, 3, CheckFinding("", "", {"share": float("nan")}), CheckFinding("", "", {"at": (1, 2)})]
)
def test_what_a_plug_in_must_not_give_is_its_own_failure(monkeypatch: pytest.MonkeyPatch, found: object) -> None:
    with pytest.raises(PluginFailed, match=r"the check `darkest` of sketch 1\.0 gave a"):
        plugged(monkeypatch, found)
