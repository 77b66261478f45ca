"""Every place of a manifest, and every character of a template in it, has its line and column."""

from __future__ import annotations

from pathlib import Path

import pytest

from qwenbuild.manifest import load
from qwenbuild.model import Manifest

MANIFEST = """\
version: 1
x-base: &base
  seed: 7
  tags: [ui, "{{ color }}"]
assets:
  plain:
    <<: *base
    prompt: A {{ color bottle
  quoted:
    prompt: "A \\"small\\" {{ bad }} bottle"
  single:
    prompt: 'It''s {{ bad }}'
  literal:
    prompt: |
      first {{ one }}

        third {{ bad }}
  indented: {prompt: x}
  indicator:
    prompt: |2-
        two more {{ bad }}
  folded:
    prompt: >
      first words
      and {{ bad }} more

      last {{ worse }}
  folded-quotes:
    prompt: "first words
      and {{ bad }} more"
  escapes:
    prompt: "tab\\t \\u5263 {{ bad }}"
  wide:
    prompt: "剣 😀 {{ bad }}"
  rows:
    prompt: x
    foreach:
      - {id: a, note: "b"}
      - id: c
"""


@pytest.fixture
def manifest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Manifest:
    monkeypatch.chdir(tmp_path)
    Path("qwenbuild.yaml").write_text(MANIFEST, encoding="utf-8")
    return load(Path("qwenbuild.yaml"))


def place(manifest: Manifest, asset: str, needle: str, *, value: str | None = None) -> tuple[str, int]:
    """What stands in the file where the manifest's source puts the needle of an asset's prompt."""
    prompt = value if value is not None else next(each.prompt or "" for each in manifest.assets if each.name == asset)
    before = prompt[: prompt.index(needle)].split("\n")
    problem = manifest.source.problem("t", "m", ("assets", asset, "prompt"), line=len(before), column=len(before[-1]) + 1)
    assert problem.mark
    line = MANIFEST.split("\n")[problem.mark.line - 1]
    assert problem.snippet == line
    return line[problem.mark.column - 1 :][: len(needle)], problem.mark.line


@pytest.mark.parametrize(
    ("asset", "needle"),
    [
        ("plain", "{{ color"),
        ("quoted", "{{ bad"),
        ("single", "{{ bad"),
        ("literal", "{{ one"),
        ("literal", "{{ bad"),
        ("indicator", "{{ bad"),
        ("indicator", "two"),
        ("folded", "{{ bad"),
        ("folded", "{{ worse"),
        ("folded-quotes", "{{ bad"),
        ("escapes", "{{ bad"),
        ("wide", "{{ bad"),
    ],
)
def test_a_place_in_a_template_is_that_place_in_the_file(manifest: Manifest, asset: str, needle: str) -> None:
    assert place(manifest, asset, needle)[0] == needle


def test_a_block_scalar_begins_a_line_later(manifest: Manifest) -> None:
    assert place(manifest, "literal", "{{ one")[1] == 15
    assert place(manifest, "literal", "{{ bad")[1] == 17


def test_a_line_without_a_column_is_its_first_word(manifest: Manifest) -> None:
    problem = manifest.source.problem("t", "m", ("assets", "literal", "prompt"), line=3)
    assert str(problem.mark) == "qwenbuild.yaml:17:9"


def test_a_place_beyond_the_template_is_its_end_and_no_crash(manifest: Manifest) -> None:
    problem = manifest.source.problem("t", "m", ("assets", "literal", "prompt"), line=99, column=99)
    assert problem.mark
    assert problem.mark.line in (17, 18)


def at(manifest: Manifest, *path: str | int) -> str:
    return str(manifest.source.at(path)).removeprefix("qwenbuild.yaml:")


def test_values_have_their_marks(manifest: Manifest) -> None:
    assert at(manifest, "version") == "1:10"
    assert at(manifest, "assets", "plain", "prompt") == "8:13"
    assert at(manifest, "assets", "rows", "foreach", 1, "id") == "39:13"


def test_a_merged_value_is_where_it_was_written(manifest: Manifest) -> None:
    assert at(manifest, "assets", "plain", "seed") == "3:9"
    assert at(manifest, "assets", "plain", "tags", 1) == "4:14"


def test_what_was_not_written_is_at_its_nearest_ancestor(manifest: Manifest) -> None:
    assert at(manifest, "assets", "quoted", "params", "size") == "10:5"
    assert at(manifest, "assets", "rows", "foreach", 7) == "38:7"
    assert at(manifest, "nowhere") == "1:1"


def test_a_problem_at_a_key_points_at_the_key(manifest: Manifest) -> None:
    problem = manifest.source.problem("t", "m", ("assets", "quoted", "size"))
    assert str(problem.mark) == "qwenbuild.yaml:9:3"
    assert problem.path == "assets.quoted.size"
    assert problem.snippet == "  quoted:"


def test_a_manifest_without_problems_never_composes_its_nodes(manifest: Manifest) -> None:
    assert "_root" not in vars(manifest.source)
    manifest.source.at(("version",))
    assert "_root" in vars(manifest.source)
