from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from PIL import Image, ImageChops, ImageDraw

from qwenbuild.checks import check_expect, judge, look_at
from qwenbuild.checks.sets import PictureSet, anchors, judge_set, sets_of
from qwenbuild.model import CheckVerdict, Entry, OutputSpec
from tests.images.pictures import saved

SIDE = 96


def scene(number: int, hue: str = "#4060a0") -> Image.Image:
    image = Image.new("RGB", (SIDE, SIDE), "#c0c8d0")
    draw = ImageDraw.Draw(image)
    for at in range(3):
        x, y = (number * 37 + at * 29) % SIDE, (number * 53 + at * 41) % SIDE
        draw.rectangle([x - 14, y - 10, x + 14, y + 10], hue if at else "#203040")
    return image


def judged(pictures: Mapping[str, Image.Image], expect: Mapping[str, Any], anchor: str = "") -> dict[str, CheckVerdict]:
    ((name, parameters),) = check_expect(expect).items()
    data = {id: saved(image) for id, image in pictures.items()}
    looks = {id: look_at(item) for id, item in data.items()}
    members = tuple((id, id) for id in pictures)
    found = judge_set(
        PictureSet(name, parameters, members, (anchor, anchor)), looks, {}, lambda digest, asked: judge(data[digest], asked)
    )
    assert list(found) == list(pictures)
    return found


def failing(found: Mapping[str, CheckVerdict]) -> list[str]:
    return [id for id, verdict in found.items() if verdict.verdict == "fail"]


def test_of_two_pictures_that_look_alike_the_later_one_fails_and_names_the_other() -> None:
    moved = ImageChops.offset(scene(1), 1, 0)
    found = judged({"a": scene(1), "b": scene(2), "c": moved}, {"near_duplicate": True})
    assert failing(found) == ["c"]
    assert found["c"].evidence["nearest"] == "a"
    assert found["c"].fault.startswith("it looks like a: they differ by ")
    assert failing(judged({"a": scene(1), "c": moved}, {"near_duplicate": 0})) == []
    assert failing(judged({"a": scene(1), "c": scene(1)}, {"near_duplicate": 0})) == ["c"]


def test_the_nearest_of_several_look_alikes_is_named() -> None:
    near, far = ImageChops.offset(scene(1), 1, 0), ImageChops.offset(scene(1), 3, 2)
    found = judged({"far": far, "near": near, "c": scene(1)}, {"near_duplicate": 100})
    assert found["c"].evidence["nearest"] == "near"


def test_a_picture_of_another_style_falls_out_of_its_set_and_says_by_what() -> None:
    glaring = Image.blend(scene(3), Image.new("RGB", (SIDE, SIDE), "#ff0000"), 0.6)
    pictures = {str(number): scene(number) for number in range(8)} | {"red": glaring}
    found = judged(pictures, {"outlier": True})
    assert failing(found) == ["red"]
    assert "it falls out of its set: its " in found["red"].fault
    assert found["red"].evidence["by"] in found["red"].fault


def test_a_set_of_fewer_than_five_has_no_style_to_fall_out_of() -> None:
    pictures = {str(number): scene(number) for number in range(3)} | {"red": scene(3, "#ff0000")}
    assert failing(judged(pictures, {"outlier": 1})) == []


def test_likeness_is_one_for_the_same_picture_and_less_for_another() -> None:
    pictures = {"a": scene(1), "same": scene(1), "other": scene(5, "#ff0000")}
    found = judged(pictures, {"likeness": {"to": "a", "min": 0.9}}, anchor="a")
    assert (found["same"].measured, found["same"].verdict) == ("1", "pass")
    assert failing(found) == ["other"]
    assert found["other"].fault.startswith(f"its likeness to a is {found['other'].measured}, expected 0.9: structure ")


def test_a_palette_can_be_that_of_another_picture() -> None:
    found = judged({"a": scene(1), "b": scene(4), "red": scene(2, "#ff2010")}, {"palette": {"of": "a", "min": 0.95}}, "a")
    assert failing(found) == ["red"]
    assert found["red"].evidence["anchor"] == "a"


def test_a_picture_that_cannot_be_decoded_fails_and_the_others_are_compared_all_the_same() -> None:
    ((name, parameters),) = check_expect({"near_duplicate": True}).items()
    look = look_at(saved(scene(1)))
    members = (("a", "1"), ("b", "2"), ("c", "3"))
    found = judge_set(PictureSet(name, parameters, members), {"1": look, "3": look}, {"2": "broken"}, lambda *_: ())
    assert {id: verdict.fault for id, verdict in found.items()} == {
        "b": "broken",
        "a": "",
        "c": "it looks like a: they differ by 0.0 of 255, expected more than 8",
    }


# ---------------------------------------------------------------- which pictures are judged together


def entry(id: str, asset: str, expect: Mapping[str, Any] | None, *tags: str) -> Entry:
    checks = None if expect is None else check_expect(expect)
    return Entry(id, asset, "placeholder", None, id, {}, 0, (OutputSpec(f"{id}.png"),), tags=tags, set_checks=checks)


@pytest.mark.parametrize(
    ("within", "together"),
    [("asset", [["a1", "a2"], ["b1"]]), ("all", [["a1", "a2", "b1"]]), ("tag:ui", [["a1", "a2", "b1"]])],
)
def test_entries_that_ask_for_the_same_are_judged_together(within: str, together: list[list[str]]) -> None:
    expect = {"near_duplicate": {"within": within}}
    entries = [entry("a1", "a", expect), entry("a2", "a", expect), entry("b1", "b", expect), entry("c", "c", None)]
    sets = sets_of(entries, {id: (id,) for id in ("a1", "a2", "b1", "c")})
    assert [[id for id, _ in each.members] for each in sets] == together


def test_another_picture_another_limit_or_another_anchor_makes_another_set() -> None:
    def key(digest: str = "1", anchor: str = "x", **arguments: Any) -> str:
        expect = {"likeness": {"to": "anchor", **arguments}}
        (found,) = sets_of([entry("a", "a", expect)], {"a": (digest,), "anchor": (anchor,)})
        return found.key

    assert len({key(), key("2"), key(anchor="y"), key(min=0.7)}) == 4
    assert key() == key()


def test_a_set_whose_anchor_has_no_picture_is_not_judged() -> None:
    compared = entry("a", "a", {"likeness": {"to": "b"}, "palette": {"of": "c"}})
    assert anchors(compared) == ["b", "c"]
    assert sets_of([compared], {"a": ("1",)}) == ()


def test_of_an_entry_s_own_candidates_those_that_look_alike_are_a_warning_of_the_entry() -> None:
    expect = {"near_duplicate": {"within": "entry"}}
    (own,) = sets_of([entry("a", "a", expect)], {"a": ("2", "1", "3")})
    assert (own.owner, own.ids, own.members) == ("a", ("a",), (("1", "1"), ("2", "2"), ("3", "3")))
    looks = {
        "1": look_at(saved(scene(1))),
        "2": look_at(saved(ImageChops.offset(scene(1), 1, 0))),
        "3": look_at(saved(scene(2))),
    }
    found = judge_set(own, looks, {}, lambda *_: ())["a"]
    assert found.verdict == "warn"
    assert found.fault.startswith("2 of its 3 candidates look alike: they differ by ")
    assert judge_set(own, {**looks, "2": look_at(saved(scene(4)))}, {}, lambda *_: ())["a"].verdict == "pass"
