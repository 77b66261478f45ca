"""An axis that multiplies entries and no pictures is told: 600 entries are paid for once, and look alike."""

from __future__ import annotations

from typing import Any

import pytest
from expand_making import asset, expanded, problems

from qwenbuild.model import Asset

AXES = {"color": ("red", "blue"), "size": (1, 2, 3)}
UNUSED: dict[str, dict[str, Any]] = {
    "in nothing": {},
    "in the id": {"id": "p/{{ color }}/{{ size }}"},
    "in the output": {"output": "{{ size }}/{{ color }}.png"},
    "in tags": {"tags": ("{{ size }}",)},
    "in a branch that never comes": {"prompt": "A {{ color }} potion{% if size == 9 %}, huge{% endif %}"},
    "beside what is left out": {"exclude": ({"color": "red", "size": 1},)},
    "with an included one": {"include": ({"color": "gold", "size": 1}, {"color": "gold", "size": 2})},
}
USED: dict[str, dict[str, Any]] = {
    "in the prompt": {"prompt": "A {{ color }} potion of {{ size }}"},
    "in a branch": {"prompt": "A {{ color }} potion{% if size > 2 %}, huge{% endif %}"},
    "in the seed": {"seed": "{{ size }}"},
    "in the variants": {"variants": "{{ size }}"},
    "in params": {"params": {"size": "{{ size }}:1"}},
    "in a step": {"steps": [{"resize": {"width": "{{ size * 10 }}"}}]},
    "in an input": {"inputs": ({"entry": "p/{{ size }}"},)},
    "in the type of the file": {"output": "x/{{ color }}-{{ size }}.{{ ['png', 'webp', 'avif'][size - 1] }}"},
    "for one row alone": {"prompt": "A {{ color }}{{ size if n == 2 }}", "foreach": [{"id": "a", "n": 1}, {"id": "b", "n": 2}]},
}


def potions(**more: Any) -> Asset:
    return asset(**{"prompt": "A {{ color }} potion", "matrix": AXES, **more})


@pytest.mark.parametrize("where", UNUSED)
def test_an_axis_that_changes_no_picture_is_a_warning(where: str) -> None:
    found = expanded(potions(**UNUSED[where]))
    (warning,) = found.warnings
    assert (warning.code, warning.path) == ("unused-axis", "assets.potions.matrix.size")
    pictures = {entry.prompt for entry in found.entries}
    assert f"{len(found.entries)} entries, {len(pictures)} pictures" in warning.message


@pytest.mark.parametrize("where", USED)
def test_an_axis_that_changes_a_picture_or_a_file_is_none(where: str) -> None:
    others = [asset("p", matrix={"size": (1, 2, 3)}, prompt="{{ size }}")] if where == "in an input" else []
    assert [warning.path for warning in expanded(*others, potions(**USED[where])).warnings] == (
        ["assets.potions.foreach"] if where == "for rows" else []
    )


def test_one_value_multiplies_nothing() -> None:
    assert expanded(potions(matrix={"color": ("red", "blue"), "size": (1,)})).warnings == ()


def test_rows_that_change_nothing_are_told_too() -> None:
    rows = [{"id": "a"}, {"id": "b"}]
    (warning,) = expanded(asset(foreach=rows)).warnings
    assert (warning.code, warning.path) == ("unused-axis", "assets.potions.foreach")
    assert "2 entries, 1 picture" in warning.message
    assert expanded(asset(foreach=rows, prompt="{{ id }}")).warnings == ()


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        ("icons/x.pgn", "did you mean `icons/x.png`?"),
        ("icons/x.jepg", "did you mean `icons/x.jp"),
        ("icons/x.PNGG", "did you mean `icons/x.png`?"),
        ("icons/x.gif", "pictures are written as"),
        ("icons/x.txt", "pictures are written as"),
        ("icons/v1.2", "pictures are written as"),
    ],
)
@pytest.mark.parametrize("where", ["output", "defaults", "outputs", "template", "tile"])
def test_an_extension_that_is_no_pictures_is_an_error(where: str, path: str, hint: str) -> None:
    item: dict[str, Any] = {
        "output": {"output": path},
        "defaults": {},
        "outputs": {"outputs": [{"as": "web", "path": path}]},
        "template": {"output": "{{ p }}", "vars": {"p": path}},
        "tile": {"output": path.replace(".", "-{cell}.", 1), "steps": [{"tile": {"columns": 2, "rows": 1}}]},
    }[where]
    more = {"defaults": Asset("", None, output=path)} if where == "defaults" else {}
    found = problems(asset(**item), **more)[0]
    assert found.code == "bad-output-path"
    assert found.hint.replace("-1", "").replace("{cell}", "").startswith(hint)


def test_the_extensions_are_those_of_the_types_that_can_be_made() -> None:
    from qwenbuild.expand.outputs import PICTURES
    from qwenbuild.images import media_type_of
    from qwenbuild.images.steps import TYPES

    assert {media_type_of(f"x{suffix}") for suffix in PICTURES} == set(TYPES.values())
