"""The published JSON Schema and the reference page say what the loader does."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from qwenbuild.catalog import Catalog
from qwenbuild.expand.expansion import expand
from qwenbuild.manifest import events, json_schema, load, rules, schema_text
from qwenbuild.manifest.schema import Params
from qwenbuild.manifest.text import Text
from qwenbuild.resolve import resolve
from qwenbuild.resolve.params import COMMON

ROOT = Path(__file__).parent.parent.parent
COMMITTED = ROOT / "schemas" / "manifest.v1.schema.json"
PAGE = ROOT / "docs" / "manifest.md"
KEYS = ROOT / "docs" / "keys.md"

EXAMPLE = """\
version: 1
output: assets
provider: dashscope
templates: prompts
providers:
  dashscope:
    type: dashscope
    region: singapore
    mode: auto
    model: qwen-image-plus
    params: {prompt_extend: false}
    api_key_env: DASHSCOPE_API_KEY
    limits: {rps: 2, concurrency: 2}
    timeout: 300
    webhook: https://example.com/hook
models: {qwen-image-plus: {price: {usd: "0.03"}}}
vars: {style: "hand-painted, thick outlines"}
defaults:
  seed: 7
  params: {size: "1:1", negative_prompt: "blurry"}
budget: {usd: "5.00", apiframe: 60, qwen2512: 200}
provenance: off
remote: s3://bucket/prefix
assets:
  potions:
    prompt: "A {{ volume }} bottle of {{ color.name }} potion, {{ style }}"
    matrix:
      color:
        - {id: red, name: crimson}
        - {id: blue, name: azure}
      volume: [small, large]
    include: [{color: {id: gold, name: golden}, volume: small}]
    exclude: [{color: red, volume: large}]
    foreach: data/potions.csv
    provider: dashscope
    model: qwen-image-plus
    params: {size: "3:4"}
    seed: 11
    variants: 3
    inputs: [refs/knight.png, {entry: "heroes/{{ hero.id }}"}]
    id: "potions/{{ color.id }}-{{ volume }}"
    output: "icons/{{ color.id }}-{{ volume }}.png"
    steps: [{resize: {width: 256}}]
    expect: {alpha: {min: 0.2}, max_bytes: 200000}
    tags: [ui, "{{ color.id }}"]
  signs:
    prompt: x
    outputs:
      - {as: web, path: "web/{{ color.id }}.webp", steps: [{resize: {width: 512}}]}
atlases:
  ui: {select: "tag:ui", from: web, output: "atlas/ui.png", padding: 2}
"""

FREE = """\
version: 1
x-a: 1
providers: {x-p: {}, dashscope: {x-b: 1, limits: {x-c: 1}, params: {x-d: 1}}}
models: {x-m: 1, m: {x-e: 1, price: {x-f: 1, usd: 1}}}
defaults: {x-g: 1}
budget: {x-h: 1}
assets:
  x-draft: {any: thing}
  a:
    prompt: x
    x-i: 1
    seed: "{{ n }}"
    variants: "{{ n }}"
    params: {watermark: "{{ w }}", guidance_scale: "{{ g }}", num_inference_steps: "{% if a %}3{% endif %}", size: "{{ s }}"}
    matrix: {x-axis: 1, c: [d]}
    outputs: [{path: p, x-j: 1}]
atlases: {x-k: 1, s: {select: a, output: b, x-l: 1}}
"""


def plain(text: str) -> Any:
    """The value as an editor sees it: free keys and all."""
    return events.build(Text("m.yaml", text), drop="").value


def refused(text: str) -> list[str]:
    validator = pytest.importorskip("jsonschema").Draft202012Validator(json_schema())
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(plain(text))]


def test_the_committed_schema_is_the_one_that_the_grammar_gives() -> None:
    assert COMMITTED.read_text(encoding="utf-8") == schema_text()


def test_the_schema_names_its_dialect_and_itself() -> None:
    schema = json_schema()
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["$id"].endswith("manifest.v1.schema.json")
    pytest.importorskip("jsonschema").Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize("text", [EXAMPLE, FREE])
def test_loader_and_schema_take_the_same_manifest(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "NOT_BUILT", frozenset())
    path = tmp_path / "qwenbuild.yaml"
    path.write_text(text, encoding="utf-8")
    load(path)
    assert refused(text) == []


@pytest.mark.parametrize(
    "line",
    [
        "outptu: a",
        "version: 2",
        "assets: {a: {promt: x}}",
        "assets: {a: {seed: -1}}",
        "assets: {a: {seed: seven}}",
        "assets: {a: {params: {size: large}}}",
        "assets: {a: {params: {watermark: no}}}",
        "assets: {a: {matrix: {c: []}}}",
        "assets: {a: {steps: [{resice: {}}]}}",
        "assets: {a: {outputs: [{as: x}]}}",
        "providers: {d: {region: bejing}}",
        "providers: {d: {limits: {rps: 0}}}",
        "budget: {usd: cheap}",
    ],
)
def test_the_schema_refuses_what_the_grammar_refuses(line: str) -> None:
    assert refused(line if line.startswith("version") else f"version: 1\n{line}") != []


def blocks(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        if "properties" in node and "description" in node:
            yield node["properties"]
        for value in node.values():
            yield from blocks(value)
    elif isinstance(node, list):
        for value in node:
            yield from blocks(value)


def test_every_key_has_words_for_an_editor() -> None:
    silent = [name for properties in blocks(json_schema()) for name, each in properties.items() if not each.get("description")]
    assert silent == []


def test_the_reference_page_has_every_key() -> None:
    page = PAGE.read_text(encoding="utf-8")
    named = set(re.findall(r"`([a-z0-9_]+)`", page))
    known = {name for properties in blocks(json_schema()) for name in properties}
    assert known - named == set()


def test_every_manifest_on_the_reference_page_loads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "NOT_BUILT", frozenset())
    path = tmp_path / "qwenbuild.yaml"
    found = re.findall(r"```yaml\n(version:.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(found) >= 2
    for text in found:
        path.write_text(text, encoding="utf-8")
        load(path)


# ---------------------------------------------------------------- drawing parameters

EXTRAS = sorted({(row.family, row.id, name) for row in Catalog.load().rows() for name in row.extra})


def values(described: Mapping[str, Any]) -> list[Any]:
    """Every value of a parameter that is one of a few, else both ends of its range."""
    if described["type"] == "boolean":
        return [True, False]
    return list(described.get("values", ())) or [described["min"], described["max"]]


def drawn(model: str, family: str, name: str, value: Any, path: Path) -> tuple[Any, ...]:
    """The parameter as it stands in the Action of a manifest that sets it."""
    shown = json.dumps(value)
    settings = {"apiframe": "{dialect: openapi}", "openai": "{base_url: 'http://127.0.0.1:9'}"}.get(family, "{}")
    text = f"version: 1\nprovider: {family}\nproviders: {{{family}: {settings}}}\n"
    path.write_text(f"{text}assets: {{a: {{prompt: x, model: {model}, params: {{{name}: {shown}}}}}}}\n", encoding="utf-8")
    asked = load(path)
    resolved = resolve(expand(asked).entries, asked, today="2026-11-29")
    assert resolved.problems == ()
    return dict(resolved.keyed[0].candidates[0].action.extra)[name]


@pytest.mark.parametrize(("family", "model", "name"), EXTRAS, ids="-".join)
def test_a_manifest_may_set_every_parameter_of_every_model_to_all_that_its_row_says(
    family: str, model: str, name: str, tmp_path: Path
) -> None:
    row = Catalog.load().find(family, model)
    assert row is not None
    assert f"`{name}`" in KEYS.read_text(encoding="utf-8")
    for value in values(row.extra[name]):
        found = drawn(model, family, name, value, tmp_path / "qwenbuild.yaml")
        assert found == (str(value) if row.extra[name]["type"] == "number" else value)


def test_no_parameter_of_the_grammar_is_one_that_no_model_takes() -> None:
    assert set(Params.__annotations__) == {*COMMON, *(name for _, _, name in EXTRAS)}


@pytest.mark.parametrize("name", sorted({name for _, _, name in EXTRAS}))
def test_the_placeholder_takes_every_parameter_for_it_stands_in_for_every_model(name: str, tmp_path: Path) -> None:
    row = next(row for row in Catalog.load().rows() if name in row.extra)
    value = values(row.extra[name])[-1]
    assert str(drawn("placeholder", "placeholder", name, value, tmp_path / "qwenbuild.yaml")) == str(value)
