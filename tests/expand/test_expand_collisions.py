"""A path that two entries want is shown where the manifest names it."""

from __future__ import annotations

from typing import Any

import pytest
from expand_making import asset, problem, problems

from qwenbuild.model import Asset, Atlas

TWO: dict[str, Any] = {"matrix": {"c": ("a", "b")}, "prompt": "{{ c }}"}


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"output": "x.png"}, "assets.potions.output"),
        ({"outputs": [{"path": "{{ c }}.png"}, {"path": "X.png"}]}, "assets.potions.outputs.1.path"),
        ({"id": "p/{{ 'x' }}"}, "assets.potions.id"),
    ],
)
def test_what_is_wanted_twice_is_shown_at_the_output(fields: dict[str, Any], place: str) -> None:
    assert problems(asset(**TWO, **fields))[0].path == place


def test_outputs_of_the_defaults_and_of_other_assets_too() -> None:
    found = problem(asset("a"), asset("b"), defaults=Asset("", None, output="x.png"))
    assert (found.code, found.path) == ("output-collision", "defaults.output")
    found = problem(asset("a", output="icons"), asset("b", output="icons/x.png"))
    assert (found.code, found.path) == ("output-collision", "assets.a.output")
    found = problem(asset("a"), asset("b", output="a.png/d.png"))
    assert (found.code, found.path) == ("output-collision", "assets.a")


def test_an_atlas_is_shown_at_its_output() -> None:
    found = problem(asset("a", output="x.png"), atlases=(Atlas("ui", "asset:a", "a", output="x.png"),))
    assert (found.code, found.path) == ("output-collision", "atlases.ui.output")
    found = problem(asset("a"), atlases=(Atlas("ui", "asset:a", "a", output="ui.pgn"),))
    assert (found.path, found.hint) == ("atlases.ui.output", "did you mean `ui.png`?")
