"""Axes, rows, include, exclude, ids and merging: which entries a manifest has, in which order."""

from __future__ import annotations

import json
import os
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from expand_making import asset, entries, expanded, ids, manifest, problem, problems

from qwenbuild.errors import InputError
from qwenbuild.expand.expansion import expand
from qwenbuild.images import normalise
from qwenbuild.manifest import load
from qwenbuild.model import Atlas, Entry, InputRef, OutputSpec, ProviderSettings

COLORS = ({"id": "red", "name": "crimson"}, {"id": "blue", "name": "azure"})
POTIONS = asset(
    prompt="A {{ volume }} bottle of {{ color.name }} potion",
    matrix={"color": COLORS, "volume": ("small", "large")},
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def test_the_product_has_the_order_written_with_the_last_axis_fastest() -> None:
    assert ids(POTIONS) == ["potions/red-small", "potions/red-large", "potions/blue-small", "potions/blue-large"]


def test_an_asset_with_neither_rows_nor_axes_is_one_entry_called_like_it() -> None:
    assert entries(asset("logo", prompt="A logo")) == (
        Entry("logo", "logo", "placeholder", None, "A logo", {}, 0, (OutputSpec("logo.png"),)),
    )


def test_assets_stand_in_the_order_of_the_manifest() -> None:
    assert ids(asset("z"), asset("a"), asset("m")) == ["z", "a", "m"]


def test_rows_are_slowest_and_multiply_the_axes() -> None:
    one = asset(foreach=({"id": "x"}, {"name": "Y y"}), matrix={"size": (1, 2)})
    assert ids(one) == ["potions/x-1", "potions/x-2", "potions/y-y-1", "potions/y-y-2"]


def test_an_id_names_a_row_before_a_name() -> None:
    assert ids(asset(foreach=({"name": "Long name", "id": "short"},))) == ["potions/short"]


def test_include_is_added_after_the_product() -> None:
    one = asset(matrix={"color": COLORS, "volume": ("small",)}, include=({"color": {"id": "gold"}, "volume": "huge"},))
    assert ids(one) == ["potions/red-small", "potions/blue-small", "potions/gold-huge"]


def test_included_combinations_are_added_for_every_row() -> None:
    one = asset(foreach=({"id": 1}, {"id": 2}), matrix={"a": ("x",)}, include=({"a": "y"},))
    assert ids(one) == ["potions/1-x", "potions/1-y", "potions/2-x", "potions/2-y"]


@pytest.mark.parametrize("again", [{"color": {"id": "red"}, "volume": "large"}, {"color": "red", "volume": "large"}])
def test_including_what_exists_is_an_error(again: dict[str, object]) -> None:
    one = asset(matrix=POTIONS.matrix, include=(again,))
    found = problem(one)
    assert (found.code, found.path) == ("included-twice", "assets.potions.include.0")


def test_including_the_same_combination_twice_is_an_error() -> None:
    assert problem(asset(matrix={"a": (1,)}, include=({"a": 2}, {"a": 2}))).path == "assets.potions.include.1"


@pytest.mark.parametrize(
    ("item", "code"),
    [({"volume": "huge"}, "include-incomplete"), ({"color": "x", "volume": "y", "volum": "z"}, "no-such-axis")],
)
def test_include_names_every_axis_and_nothing_else(item: dict[str, object], code: str) -> None:
    assert problem(asset(matrix=POTIONS.matrix, include=(item,))).code == code


def test_include_without_axes_is_an_error() -> None:
    assert problem(asset(include=({"a": 1},))).code == "include-without-axes"


def test_exclude_names_mappings_by_their_id() -> None:
    one = asset(matrix=POTIONS.matrix, exclude=({"color": "red", "volume": "large"},))
    assert ids(one) == ["potions/red-small", "potions/blue-small", "potions/blue-large"]


def test_exclude_names_columns_too() -> None:
    one = asset(
        foreach=({"id": "a", "kind": "x"}, {"id": "b", "kind": "y"}), matrix={"n": (1, 2)}, exclude=({"kind": "x", "n": 2},)
    )
    assert ids(one) == ["potions/a-1", "potions/b-1", "potions/b-2"]


def test_exclude_reaches_what_was_included() -> None:
    one = asset(matrix={"a": (1, 2)}, include=({"a": 3},), exclude=({"a": 3},))
    assert ids(one) == ["potions/1", "potions/2"]


def test_exclude_compares_what_is_printed() -> None:
    rows = ({"id": "a", "level": "3"}, {"id": "b", "level": "4"})
    assert ids(asset(foreach=rows, exclude=({"level": 3},))) == ["potions/b"]
    assert ids(asset(matrix={"on": (True, False)}, exclude=({"on": True},))) == ["potions/false"]


def test_an_exclude_that_matches_nothing_is_an_error_with_the_near_miss() -> None:
    found = problem(asset(matrix=POTIONS.matrix, exclude=({"color": "rde"},)))
    assert (found.code, found.path, found.hint) == ("excludes-nothing", "assets.potions.exclude.0", "did you mean `red`?")


@pytest.mark.parametrize(
    ("item", "code"),
    [({"colour": "red"}, "no-such-axis"), ({"color": {"id": "red"}}, "exclude-not-scalar"), ({}, "exclude-empty")],
)
def test_exclude_takes_known_names_and_scalars(item: dict[str, object], code: str) -> None:
    assert problem(asset(matrix=POTIONS.matrix, exclude=(item,))).code == code


def test_exclude_of_an_empty_table_is_no_error() -> None:
    found = expanded(asset(foreach=(), matrix={"a": (1,)}, exclude=({"kind": "x"},)))
    assert found.entries == ()
    assert [warning.code for warning in found.warnings] == ["empty-data"]


def test_a_row_without_id_or_name_needs_an_id_template() -> None:
    found = problem(asset(foreach=({"title": "x"},)))
    assert found.code == "unnamed"
    assert "row 1" in found.message
    assert "`id:` template" in found.hint
    assert ids(asset(foreach=({"title": "x"},), id="p/{{ title }}")) == ["p/x"]


def test_a_mapping_without_id_or_name_needs_an_id_template() -> None:
    found = problem(asset(matrix={"a": ({"hex": "#fff"},)}))
    assert (found.code, found.path) == ("unnamed", "assets.potions.matrix.a.0")
    assert ids(asset(matrix={"a": ({"hex": "f"},)}, id="p-{{ a.hex }}")) == ["p-f"]


def test_a_value_without_a_letter_or_digit_asks_for_an_id_template() -> None:
    found = problem(asset(matrix={"a": ("★",)}))
    assert found.code == "empty-slug"
    assert "`id:`" in found.message


def test_a_name_that_is_column_and_axis_is_an_error() -> None:
    found = problem(asset(foreach=({"id": 1, "size": 2},), matrix={"size": (1,)}))
    assert (found.code, found.path) == ("row-and-axis", "assets.potions.foreach")


@pytest.mark.parametrize(
    "fields",
    [
        {"vars": {"asset": 1}},
        {"matrix": {"asset": (1,)}},
        {"foreach": ({"id": 1, "asset": 2},)},
        {"prompt": "{% set asset = 'x' %}{{ asset }}"},
        {"prompt": "{% for asset in [1] %}{{ asset }}{% endfor %}"},
        {"prompt": "{% macro asset() %}x{% endmacro %}{{ asset() }}"},
    ],
)
def test_nothing_redefines_asset(fields: dict[str, object]) -> None:
    assert "asset" in problem(asset(**fields)).message


def test_asset_is_the_name_of_the_asset() -> None:
    assert entries(asset("knight", prompt="a {{ asset }}"))[0].prompt == "a knight"


def test_variables_come_from_vars_then_the_asset_then_the_row_then_the_axes() -> None:
    text = "{{ a }}{{ b }}{{ c }}{{ d }}{{ e }}"
    one = asset(prompt=text, vars={"c": 3, "d": 3, "e": 3}, foreach=({"id": 1, "d": 4},), matrix={"e": (5,)})
    everywhere = {"a": 1, "b": 1, "c": 1, "d": 1, "e": 1}
    found = expand(manifest(one, vars=everywhere, defaults=asset("", prompt=None, vars={"b": 2, "c": 2})))
    assert [entry.prompt for entry in found.entries] == ["12345"]


NULLS: dict[str, dict[str, Any]] = {
    "vars": {"vars": {"a": None}},
    "defaults": {"vars": {"a": 1}, "defaults": {"vars": {"a": None}}},
    "asset": {"vars": {"a": 1}, "asset": {"vars": {"a": None}}},
    "row": {"vars": {"a": 1}, "asset": {"foreach": [{"id": "x", "a": None}]}},
    "axis": {"vars": {"a": 1}, "asset": {"matrix": {"m": [{"id": "x", "a": None}]}, "vars": {"a": 1}}, "name": "m.a"},
}


@pytest.mark.parametrize("level", NULLS)
@pytest.mark.parametrize(
    ("template", "prompt"),
    [
        ("{% if A %}bright{% else %}plain{% endif %}", "plain"),
        ("{{ 'none' if A is none else A }}", "none"),
        ("{{ A | default('dull', true) }}", "dull"),
        ("a {{ A }}", None),
    ],
)
def test_null_is_a_value_among_variables_and_an_error_when_printed(
    level: str, template: str, prompt: str | None, tmp_path: Path
) -> None:
    said = dict(NULLS[level])
    text = template.replace("A", said.pop("name", "a"))
    document = {"version": 1, "assets": {"potion": {"prompt": text, **said.pop("asset", {})}}, **said}
    path = tmp_path / "qwenbuild.yaml"
    path.write_text(json.dumps(document), encoding="utf-8")
    if prompt is None:
        with pytest.raises(InputError, match="null cannot be printed; test it, or give a default"):
            expand(load(path))
    else:
        assert [entry.prompt for entry in expand(load(path)).entries] == [prompt]


def test_params_merge_by_key_from_defaults_over_provider_to_asset() -> None:
    settings = ProviderSettings("fast", "placeholder", params={"b": 2, "c": 2, "gone": 1})
    one = asset(provider="fast", params={"c": 3, "gone": None})
    defaults = asset("", prompt=None, params={"a": 1, "b": 1, "c": 1})
    (entry,) = entries(one, defaults=defaults, providers={"fast": settings})
    assert entry.params == {"a": 1, "b": 2, "c": 3}
    assert entry.provider == "fast"


@pytest.mark.parametrize(
    ("own", "settings", "default", "wanted"),
    [("x", "y", "z", "x"), (None, "y", "z", "y"), (None, None, "z", "z"), (None, None, None, None)],
)
def test_the_model_is_the_assets_then_the_providers_then_the_defaults(
    own: str | None, settings: str | None, default: str | None, wanted: str | None
) -> None:
    providers = {"p": ProviderSettings("p", "placeholder", model=settings)}
    (entry,) = entries(asset(model=own), provider="p", providers=providers, defaults=asset("", prompt=None, model=default))
    assert entry.model == wanted


def test_an_assets_own_keys_win_over_the_defaults() -> None:
    defaults = asset("", prompt=None, seed=7, tags=("all",), outputs=({"path": "d/{{ asset }}.png"},))
    one, other = entries(asset("one", seed=9, output="o.png"), asset("two"), defaults=defaults)
    assert (one.seed, one.outputs, one.tags) == (9, (OutputSpec("o.png"),), ("all",))
    assert (other.seed, other.outputs) == (7, (OutputSpec("d/two.png"),))


def test_what_is_rendered_as_a_number_is_a_number() -> None:
    one = asset(seed="{{ n }}", variants="{{ n }}", params={"watermark": "{{ on }}", "num_inference_steps": "{{ n * 10 }}"})
    (entry,) = entries(one, vars={"n": 3, "on": True})
    assert (entry.seed, entry.variants, entry.params) == (3, 3, {"watermark": True, "num_inference_steps": 30})


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"seed": "{{ '017' }}"}, "not-a-number"),
        ({"seed": "{{ 1.5 }}"}, "not-a-number"),
        ({"seed": "{{ true }}"}, "not-a-number"),
        ({"seed": "{{ 2147483648 }}"}, "out-of-range"),
        ({"seed": "{{ -1 }}"}, "out-of-range"),
        ({"seed": 2147483647, "variants": 2}, "out-of-range"),
        ({"variants": "{{ 0 }}"}, "out-of-range"),
        ({"params": {"watermark": "{{ 'no' }}"}}, "not-a-truth-value"),
        ({"params": {"guidance_scale": "{{ 'high' }}"}}, "not-a-number"),
        ({"params": {"guidance_scale": "{{ '.nan' }}"}}, "not-a-number"),
    ],
)
def test_what_is_not_the_number_that_is_due_is_an_error_at_its_field(fields: dict[str, object], code: str) -> None:
    found = problem(asset(**fields))
    assert found.code == code
    assert found.path.startswith(f"assets.potions.{next(iter(fields))}")


def test_text_stays_text_where_text_is_due() -> None:
    (entry,) = entries(asset(params={"negative_prompt": "{{ '017' }}", "size": "{{ '16:9' }}"}))
    assert entry.params == {"negative_prompt": "017", "size": "16:9"}


def test_params_of_equal_entries_are_one_object() -> None:
    found = entries(asset(matrix={"n": (1, 2), "size": ("1:1", "3:4")}, params={"size": "{{ size }}"}))
    assert found[0].params is found[2].params
    assert found[0].params != found[1].params


def test_crlf_becomes_lf_and_both_ends_are_stripped_and_nothing_else_changes() -> None:
    (entry,) = entries(asset(prompt=" \r\n a\r\nb\tc  d \u00e9 e\u0301 \n"))
    assert entry.prompt == "a\nb\tc  d \u00e9 e\u0301"
    (entry,) = entries(asset(prompt="{{ a }}", vars={"a": " x\r\ny "}))
    assert entry.prompt == "x\ny"


@pytest.mark.parametrize("text", ["   ", "{{ '' }}", "{% if false %}x{% endif %}"])
def test_an_empty_prompt_is_an_error(text: str) -> None:
    found = problem(asset(prompt=text))
    assert (found.code, found.path) == ("empty-prompt", "assets.potions.prompt")


def test_several_outputs_with_steps_and_expectations() -> None:
    items = (
        {"as": "web", "path": "web/{{ asset }}.webp", "steps": ({"resize": {"width": "{{ 5 * 2 }}", "fit": "inside"}},)},
        {"path": "full.png", "expect": {"max_bytes": "{{ 2 }}000", "mode": "RGBA"}},
    )
    (entry,) = entries(asset(outputs=items))
    assert entry.outputs == (
        OutputSpec("web/potions.webp", (normalise("resize", {"width": 10, "fit": "inside"}),), "web"),
        OutputSpec("full.png", (), None, {"max_bytes": 2000, "mode": "RGBA"}),
    )


def test_the_expectation_of_an_asset_is_of_its_picture() -> None:
    (entry,) = entries(asset(expect={"alpha": {"min": "{{ 0.2 }}"}}, steps=("grayscale", {"trim": None})))
    assert entry.expect == {"alpha": {"min": "0.2", "max": "1"}}
    assert entry.outputs == (OutputSpec("potions.png", (normalise("grayscale"), normalise("trim"))),)


def test_tags_are_rendered_once_each_and_empty_ones_dropped() -> None:
    (entry,) = entries(asset(tags=("ui", "{{ kind }}", "{% if false %}x{% endif %}"), vars={"kind": "ui"}))
    assert entry.tags == ("ui",)


def test_two_entries_with_one_id_are_an_error_that_names_both_places() -> None:
    found = problem(asset("a", id="x", output="1.png"), asset("b", id="x", output="2.png", matrix={"n": (1,)}))
    assert found.code == "duplicate-id"
    assert found.message == "two entries are called `x`: `a` and `b` (n 1)"
    assert found.path == "assets.b.id"


@pytest.mark.parametrize("name", ["a\u200bb", "a\nb", "\ue000", "x" * 1001])
def test_an_id_is_short_and_can_be_seen(name: str) -> None:
    assert problem(asset(id="{{ name }}", vars={"name": name}, output="x.png")).code == "bad-id"


def test_too_many_entries_are_refused_before_they_are_made_and_the_axes_are_named() -> None:
    axis = tuple(range(1000))
    found = problem(asset(matrix={"color": axis, "volume": axis, "mood": axis}))
    assert found.code == "too-many-entries"
    assert "1,000,000,000" in found.message
    assert "color (1,000) × volume (1,000) × mood (1,000)" in found.message


def test_assets_that_are_too_many_together_are_refused() -> None:
    axis = tuple(range(600))
    found = problem(*(asset(f"a{n}", matrix={"x": axis, "y": axis}) for n in range(3)))
    assert found.code == "too-many-entries"
    assert "1,080,000" in found.message


def test_all_assets_problems_come_at_once() -> None:
    found = problems(asset("a", prompt="{{ x }}"), asset("b", prompt="{{ x | uper }}"), asset("c", matrix={"n": ()}))
    assert {each.path for each in found} == {"assets.a.prompt", "assets.b.prompt", "assets.c.matrix.n"}


def test_all_fields_of_an_entry_are_reported_at_once() -> None:
    found = problems(asset(prompt="{{ x }}", id="{{ y }}", seed="{{ z }}"))
    assert {each.path for each in found} == {"assets.potions.prompt", "assets.potions.id", "assets.potions.seed"}


def test_one_fault_of_a_template_is_reported_once_for_all_its_entries() -> None:
    assert problem(asset(prompt="{{ colr }}", matrix={"color": tuple(range(500))})).hint == "did you mean `color`?"


def test_at_most_fifty_problems_are_shown_and_the_rest_counted() -> None:
    found = problems(*(asset(f"a{n}", prompt="{{ x }}") for n in range(70)))
    assert len(found) == 51
    assert found[-1].message == "and 20 more"


def test_an_input_file_is_named_by_the_digest_of_its_bytes(folder: Path) -> None:
    (folder / "refs").mkdir()
    (folder / "refs/knight.png").write_bytes(b"abc")
    one = expanded(asset("knight", inputs=("refs/{{ asset }}.png",), matrix={"n": (1, 2)}), folder=folder)
    digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert [entry.inputs for entry in one.entries] == [(InputRef(file="refs/knight.png", digest=digest),)] * 2
    assert one.read == ("refs/knight.png",)
    assert problem(asset(inputs=("refs/night.png",)), folder=folder).hint == "did you mean `refs/knight.png`?"


@pytest.mark.parametrize("name", ["../secret.png", "/etc/passwd", "a/../../b"])
def test_an_input_stays_in_the_manifests_folder(name: str, folder: Path) -> None:
    assert problem(asset(inputs=(name,)), folder=folder).code == "outside-folder"


def test_an_input_may_be_another_entry() -> None:
    found = entries(asset("base"), asset("mood", inputs=({"entry": "{{ who }}"},), vars={"who": "base"}))
    assert found[1].inputs == (InputRef(entry="base"),)


def test_an_input_that_no_entry_has_is_an_error_with_the_near_miss() -> None:
    found = problem(asset("base"), asset("mood", inputs=({"entry": "bse"},)))
    assert (found.code, found.hint, found.path) == ("no-such-entry", "did you mean `base`?", "assets.mood.inputs")


def test_a_circle_of_inputs_is_an_error_that_shows_the_way() -> None:
    chain = [asset(name, inputs=({"entry": need},)) for name, need in [("a", "b"), ("b", "c"), ("c", "a")]]
    found = problem(*chain)
    assert found.code == "input-cycle"
    assert "a → b → c → a" in found.message


def test_paths_are_nfc_and_ids_are_not_touched() -> None:
    decomposed = unicodedata.normalize("NFD", "é")
    (entry,) = entries(asset(id=f"caf{decomposed}"))
    assert entry.outputs[0].path == "café.png"
    assert entry.id == f"caf{decomposed}"


def test_two_outputs_that_are_one_file_somewhere_are_an_error() -> None:
    assert problem(asset("a", output="Icon.png"), asset("b", output="icon.PNG")).code == "output-collision"
    assert problem(asset("a", output="straße.png"), asset("b", output="STRASSE.png")).code == "output-collision"
    assert problem(asset("a", outputs=({"path": "x.png"}, {"path": "x.png"}))).code == "output-collision"


def test_a_file_that_another_needs_as_a_folder_is_an_error() -> None:
    found = problem(asset("a", output="Icons"), asset("b", output="icons/b/c.png"))
    assert found.code == "output-collision"
    assert "folder" in found.message


def test_an_atlas_collides_with_entries_too() -> None:
    found = problem(asset("a", output="atlas/ui.png"), atlases=(Atlas("ui", "a", None, "atlas/UI.png"),))
    assert (found.code, found.path) == ("output-collision", "atlases.ui.output")


@pytest.mark.parametrize("root", ["assets", "./assets", "assets/", "assets/."])
@pytest.mark.parametrize("read", ["assets/ref.png", "./assets/ref.png"])
def test_an_output_never_replaces_what_the_manifest_reads(folder: Path, root: str, read: str) -> None:
    (folder / "assets").mkdir()
    (folder / "assets/ref.png").write_bytes(b"x")
    found = problem(asset(inputs=(read,), output="Ref.png"), folder=folder, output=root)
    assert found.code == "output-over-source"


def test_a_path_that_is_not_safe_is_an_error_at_its_template() -> None:
    found = problem(asset(output="../{{ asset }}.png"))
    assert (found.code, found.path) == ("bad-output-path", "assets.potions.output")


def test_expanding_twice_gives_the_same() -> None:
    assert expanded(POTIONS) == expanded(POTIONS)
    assert os.environ.get("HOME") == "/nonexistent-home"
