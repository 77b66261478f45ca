"""Columns as spreadsheets name them, and hints that say what a template can write: each is followed to the letter."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from expand_making import asset, entries, ids, problem

from qwenbuild.expand.columns import identifier, writable

SHEETS = {
    "data.csv": "id,Item Name,Größe (cm),2nd,ID\nsword,Iron Sword,90,x,S1\n",
    "data.json": '[{"id": "sword", "Item Name": "Iron Sword", "Größe (cm)": "90", "2nd": "x", "ID": "S1"}]',
    "data.yaml": "- {id: sword, Item Name: Iron Sword, Größe (cm): '90', 2nd: x, ID: S1}\n",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in SHEETS.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("sheet", SHEETS)
@pytest.mark.parametrize(
    ("template", "prompt"),
    [
        ("{{ item_name }}", "Iron Sword"),
        ("{% if item_name %}{{ item_name }}{% endif %}", "Iron Sword"),
        ("{{ größe_cm }}{{ _2nd }}{{ ID }}", "90xS1"),
    ],
)
def test_a_column_with_blanks_is_written_with_underlines(sheet: str, template: str, prompt: str, folder: Path) -> None:
    assert [entry.prompt for entry in entries(asset(prompt=template, foreach=sheet), folder=folder)] == [prompt]


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("Item Name", "item_name"),
        (" Preis (€) ", "preis"),
        ("a--b__c", "a_b_c"),
        ("2nd", "_2nd"),
        ("№", ""),
        ("日本 語", "日本_語"),
    ],
)
def test_the_plain_form_of_a_name(name: str, written: str) -> None:
    assert identifier(name) == written


@pytest.mark.parametrize(
    "taken",
    [
        {"vars": {"item_name": "mine"}},
        {"matrix": {"item_name": ("mine",)}},
        {"foreach": [{"id": "a", "Item Name": "theirs", "item_name": "mine"}]},
    ],
)
def test_a_name_that_something_else_has_keeps_its_meaning(taken: dict[str, Any]) -> None:
    one: dict[str, Any] = {"foreach": [{"id": "a", "Item Name": "theirs"}], **taken}
    assert [entry.prompt for entry in entries(asset(prompt="{{ item_name }}", **one))] == ["mine"]


def test_two_columns_that_would_be_written_alike_are_not_guessed_between() -> None:
    found = problem(asset(prompt="{{ item_name }}", foreach=[{"id": "a", "Item Name": "x", "Item-Name": "y"}]))
    assert (found.code, found.hint) == (
        "undefined",
        "no template can write the column `Item Name`, and its plain name is taken: rename the column",
    )


def test_columns_do_not_change_ids_and_keys_of_rows_count_as_written() -> None:
    rows = [{"Item Name": "x", "id": "a"}, {"Item Name": "y", "id": "b"}]
    assert ids(asset("p", foreach=rows, exclude=[{"Item Name": "x"}])) == ["p/b"]


ROW = {"id": "a", "Item Name": "sword", "ID": "S", "Name": "N", "hex": {"Dark Red": "#800", "light": "#f00"}}


@pytest.mark.parametrize(
    "wrong",
    ["item_nam", "ItemName", "Item_Name", "ITEM_NAME", "name", "hexx.light", "hex.Light", "hex.dark_red", "hex.lihgt"],
)
@pytest.mark.parametrize("around", ["{{ X }}", "{% if true %}{{ X }}{% endif %}"])
def test_following_a_hint_about_a_name_to_the_letter_works(wrong: str, around: str) -> None:
    found = problem(asset(prompt=around.replace("X", wrong), foreach=[ROW]))
    (meant,) = re.findall(r"did you mean `([^`]*)`", f"{found.message} {found.hint}")
    head, dot, _ = wrong.partition(".")
    if not dot or (head != "hex"):
        right = meant + (".light" if dot else "")
    else:
        right = head + (meant if meant.startswith("[") else f".{meant}")
    (entry,) = entries(asset(prompt=around.replace("X", right), foreach=[ROW]))
    assert entry.prompt in ("sword", "S", "N", "a", "#800", "#f00")


def test_names_that_no_template_can_write_are_never_offered() -> None:
    found = problem(asset(prompt="{{ zzzzzz }}", foreach=[{"id": "a", "Big Thing": 1, "in": 2}]))
    assert found.hint == "defined here: asset, big_thing, id"
    assert all(map(writable, found.hint.removeprefix("defined here: ").split(", ")))


@pytest.mark.parametrize("column", ["ID", "Id", "Name", "NAME"])
def test_a_name_in_capitals_is_told_and_both_ways_out_work(column: str) -> None:
    found = problem(asset("p", foreach=[{column: "Red"}]))
    assert found.code == "unnamed"
    assert f"`{column}` does not name it, `{column.lower()}` would" in found.hint
    assert ids(asset("p", foreach=[{column.lower(): "Red"}])) == ["p/red"]
    assert ids(asset("p", foreach=[{column: "Red"}], id=f"p/{{{{ {column} | slug }}}}")) == ["p/red"]


@pytest.mark.parametrize("row", [{"ID": "a"}, {"Name": "a"}])
def test_id_and_name_in_templates_hint_at_the_case(row: dict[str, Any]) -> None:
    (column,) = row
    found = problem(asset(prompt=f"{{{{ {column.lower()} }}}}", id="x", foreach=[row]))
    assert found.hint == f"did you mean `{column}`?"
    assert [entry.prompt for entry in entries(asset(prompt=f"{{{{ {column} }}}}", id="x", foreach=[row]))] == ["a"]
