"""A manifest and its data files read by the loader, then expanded: rows, places of errors, and what was read."""

from __future__ import annotations

from pathlib import Path

import pytest

from qwenbuild import manifest
from qwenbuild.errors import InputError, Problem
from qwenbuild.expand.expansion import Expansion, expand


def built(folder: Path, text: str, **files: str) -> Expansion:
    for name, content in files.items():
        path = folder / name.replace("__", "/").replace("_", ".")
        path.parent.mkdir(exist_ok=True)
        path.write_text(content, encoding="utf-8")
    (folder / "qwenbuild.yaml").write_text(f"version: 1\n{text}", encoding="utf-8")
    return expand(manifest.load(Path("qwenbuild.yaml")))


def found(folder: Path, text: str, **files: str) -> tuple[Problem, ...]:
    with pytest.raises(InputError) as caught:
        built(folder, text, **files)
    return caught.value.problems


POTIONS = """assets:
  potions:
    prompt: "A {{ kind }} {{ name }}"
    foreach: data/potions.csv
"""


def test_rows_of_a_csv_are_variables_and_name_their_entries(project: Path) -> None:
    done = built(project, POTIONS, data__potions_csv="name,kind\nHealing Draught,red\nCafé,\n")
    assert [(entry.id, entry.prompt) for entry in done.entries] == [
        ("potions/healing-draught", "A red Healing Draught"),
        ("potions/café", "A  Café"),
    ]
    assert done.read == ("data/potions.csv",)


@pytest.mark.parametrize("name", ["potions.json", "potions.jsonl", "potions.yaml"])
def test_every_kind_of_data_file_gives_the_same_entries(name: str, project: Path) -> None:
    rows = '{"name": "a", "kind": "x"}\n' if name.endswith("l") and "json" in name else '[{"name": "a", "kind": "x"}]'
    done = built(project, POTIONS.replace("potions.csv", name), **{f"data__{name.replace('.', '_')}": rows})
    assert [entry.prompt for entry in done.entries] == ["A x a"]


def test_an_empty_data_file_gives_no_entries_and_a_warning(project: Path) -> None:
    done = built(project, POTIONS, data__potions_csv="name,kind\n")
    assert done.entries == ()
    assert [warning.code for warning in done.warnings] == ["empty-data"]


def test_a_data_file_is_read_once_for_all_assets(project: Path) -> None:
    two = POTIONS + POTIONS.partition("\n")[2].replace("potions:", "others:")
    done = built(project, two, data__potions_csv="name,kind\n")
    assert len(done.warnings) == 1


def test_a_data_file_that_does_not_exist_has_its_near_miss(project: Path) -> None:
    (problem,) = found(project, POTIONS, data__potion_csv="name\n")
    assert (str(problem.mark), problem.code) == ("qwenbuild.yaml:5:14", "no-such-file")
    assert problem.hint == "did you mean `potion.csv`?"


def test_a_data_file_above_the_manifest_is_refused(project: Path) -> None:
    (project.parent / "secret.csv").write_text("name\nx\n")
    (problem,) = found(project, POTIONS.replace("data/potions.csv", "../secret.csv"))
    assert "SECRET" not in problem.message


def test_a_link_out_of_the_folder_is_refused(project: Path) -> None:
    outside = project.parent / "secret.csv"
    outside.write_text("name,kind\nx,y\n")
    (project / "data").mkdir()
    (project / "data/potions.csv").symlink_to(outside)
    (problem,) = found(project, POTIONS)
    assert problem.code == "outside-folder"


def test_a_fault_of_a_data_file_stands_at_its_line(project: Path) -> None:
    (problem,) = found(project, POTIONS, data__potions_csv="name,kind\nx\n")
    assert problem.mark is not None
    assert (problem.mark.file, problem.mark.line) == ("data/potions.csv", 2)


def test_a_row_without_a_name_is_told_with_its_file(project: Path) -> None:
    (problem,) = found(project, POTIONS.replace("{{ name }}", ""), data__potions_csv="kind\nred\n")
    assert "row 1 of data/potions.csv" in problem.message


def test_a_template_error_stands_at_the_character_of_the_manifest(project: Path) -> None:
    text = "assets:\n  a:\n    prompt: |\n      one\n      two {{ oops }}\n    tags: ['{{ x']\n"
    first, second = found(project, text)
    assert {str(first.mark), str(second.mark)} == {"qwenbuild.yaml:6:14", "qwenbuild.yaml:7:13"}
    assert "two {{ oops }}" in first.snippet + second.snippet


def test_a_bad_seed_from_a_row_is_told_with_the_row(project: Path) -> None:
    (problem,) = found(project, POTIONS + "    seed: '{{ kind }}'\n", data__potions_csv="name,kind\na,1\nb,017\n")
    assert problem.code == "not-a-number"
    assert "row 2" in problem.message
    assert "'017'" in problem.message


def test_what_was_read_is_listed_relative_to_the_manifest(project: Path) -> None:
    text = POTIONS.replace('prompt: "A {{ kind }} {{ name }}"', "prompt_file: p.j2")
    done = built(
        project, text, data__potions_csv="name\nx\n", prompts__p_j2="{% include 'q.j2' %}", prompts__q_j2="Q {{ name }}"
    )
    assert done.read == ("data/potions.csv", "prompts/p.j2", "prompts/q.j2")
