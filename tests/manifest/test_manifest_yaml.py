"""YAML that is hostile or surprising: refused in milliseconds, or read as it looks."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from qwenbuild.errors import InputError, Problem
from qwenbuild.manifest import events, load, loading, read_data
from qwenbuild.manifest.events import MOST_NODES, build
from qwenbuild.manifest.text import Text

assert loading  # imported here, so that no test pays for importing it


def levels(item: str, repeats: int = 9, names: str = "bcdefghi") -> str:
    lines = [f"a: &a {item}"]
    for before, name in zip("a" + names, names, strict=False):
        lines.append(f"{name}: &{name} [{','.join([f'*{before}'] * repeats)}]")
    return "\n".join(lines) + "\n"


def merges(width: int = 9) -> str:
    lines = ["a: &a {" + ", ".join(f"k{n}: 1" for n in range(9)) + "}"]
    for before, name in zip("abcdefgh", "bcdefghi", strict=True):
        lines.append(f"{name}: &{name}\n  <<: [{', '.join([f'*{before}'] * width)}]\n  own{name}: *{before}")
    return "\n".join(lines) + "\n"


BOMBS = {
    "a billion laughs": levels('["lol","lol","lol"]'),
    "a billion laughs in mappings": levels("{x: lol, y: lol}").replace("[*", "[{p: *", 1).replace("]", "}]", 1),
    "quadratic": "a: &a [" + "x," * 20_000 + "]\nb: [" + "*a," * 20_000 + "]\n",
    "merges of merges": merges(),
    "merges of many": merges(60),
    "wide merge": "a: &a {" + ",".join(f"k{n}: 1" for n in range(20_000)) + "}\nb: [" + "{<<: *a}," * 20_000 + "]\n",
    "brackets": "[" * 100_000,
    "braces": "{a: " * 50_000,
    "dashes": "- " * 100_000,
    "block depth": "\n".join(" " * n + "a:" for n in range(500)),
    "keys of keys": "? " * 100_000,
    "depth by aliases": "a: &a " + "[" * 30 + "]" * 30 + "\nb: " + "[" * 30 + "*a" + "]" * 30 + "\n",
    "itself": "a: &a [*a]\n",
    "itself in a mapping": "a: &a {b: {c: *a}}\n",
    "itself by merge": "a: &a\n  <<: *a\n",
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_before_it_costs_time(name: str, tmp_path: Path) -> None:
    path = tmp_path / "qwenbuild.yaml"
    path.write_text(BOMBS[name])
    started = time.process_time()
    with pytest.raises(InputError) as caught:
        load(path)
    assert time.process_time() - started < (0.5 if len(BOMBS[name]) < 10_000 else 4.0) * (1 if yaml.__with_libyaml__ else 10)
    assert caught.value.code.startswith("yaml-")
    assert caught.value.problems[0].mark


@pytest.mark.parametrize("text", ["a: [" + "x," * 30_000 + "]\n", "".join(f"k{n}: 1\n" for n in range(12_000))])
def test_more_nodes_than_are_allowed_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="more than 20,000 keys and values"):
        build(Text("m.yaml", text), most_nodes=20_000)
    assert MOST_NODES == 2_000_000


def test_aliases_within_reason_are_fine() -> None:
    text = "a: &a {x: [1, 2], y: {z: 1}}\nb: [*a, *a]\nc: {<<: *a, x: 3}\n"
    assert value(text) == {
        "a": {"x": [1, 2], "y": {"z": 1}},
        "b": [{"x": [1, 2], "y": {"z": 1}}] * 2,
        "c": {"x": 3, "y": {"z": 1}},
    }


def value(text: str, **options: Any) -> Any:
    tree = build(Text("m.yaml", text), **options)
    assert tree.problems == ()
    return tree.value


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("no: on", {"no": "on"}),
        ("017: 017", {"017": "017"}),
        ("true: 12:30:45", {"true": "12:30:45"}),
        ("a: 2026-11-20", {"a": "2026-11-20"}),
        ("a: 0o17\nb: 0x10\nc: 1e3\nd: ~\ne:\nf: ''", {"a": 15, "b": 16, "c": 1000.0, "d": None, "e": None, "f": ""}),
        ("a: !!str 12\nb: !!float 3\nc: ! 5", {"a": "12", "b": 3, "c": "5"}),
        ("a: |\n  x\n  y\nb: >-\n  x\n  y", {"a": "x\ny\n", "b": "x y"}),
        ("<<: {a: 1, b: 2}\nb: 3", {"a": 1, "b": 3}),
        ("<<: [{a: 1}, {a: 2, b: 2}]", {"a": 1, "b": 2}),
        ("'<<': 3", {"<<": 3}),
        ("x-a: &a 7\nb: *a", {"b": 7}),
        ("a: {x-note: 1, b: {x-c: 2, d: 3}}", {"a": {"b": {"d": 3}}}),
        ("&k key: 1\nb: *k", {"key": 1, "b": "key"}),
        ("%YAML 1.2\n---\na: 1\n...\n", {"a": 1}),
        ("\ufeffa: 1".lstrip("\ufeff"), {"a": 1}),
        ("a: 剣\n😀: é", {"a": "剣", "😀": "é"}),
    ],
)
def test_yaml_is_read_as_it_looks(text: str, read: object) -> None:
    assert value(text) == read


def test_keys_that_begin_with_x_are_kept_in_data() -> None:
    assert value("- {x-pos: 3}", drop="") == [{"x-pos": 3}]


def test_python_s_own_parser_reads_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "a: &a [1, no, 017, 'x', \"y\\n\"]\nb: {<<: {c: 1}, d: *a}\n"
    fast = value(text)
    monkeypatch.setattr(events, "Parser", yaml.SafeLoader)
    assert value(text) == fast


def test_both_lines_of_a_double_key_are_named() -> None:
    tree = build(Text("m.yaml", "a: 1\nb: 2\na: 3\n"))
    assert "lines 1 and 3" in tree.problems[0].message


@pytest.mark.parametrize(
    ("data", "code", "place"),
    [
        (b"\xff\xfea\x00", "encoding", (1, 1)),
        (b"version: 1\nvars: {a: \xe9}\n", "encoding", (2, 11)),
        (b"version: 1\n\x00", "control-character", (2, 1)),
        (b"version: 1\nvars: {a: \x1b[31m}\n", "control-character", (2, 11)),
        (b'version: 1\nvars: {a: "\\0"}\n', "control-character", (2, 11)),
        (b"x" * 20_000_001, "too-large", (1, 1)),
    ],
)
def test_bytes_that_are_no_text_are_named(data: bytes, code: str, place: tuple[int, int], tmp_path: Path) -> None:
    path = tmp_path / "qwenbuild.yaml"
    path.write_bytes(data)
    with pytest.raises(InputError) as caught:
        load(path)
    problem = caught.value.problems[0]
    assert problem.code == code
    assert problem.mark
    assert (problem.mark.line, problem.mark.column) == place


def test_half_a_surrogate_pair_is_refused_by_either_parser(tmp_path: Path) -> None:
    path = tmp_path / "qwenbuild.yaml"
    path.write_text('version: 1\nvars: {a: "\\ud800"}\n')
    with pytest.raises(InputError) as caught:
        load(path)
    assert caught.value.code == ("yaml-syntax" if yaml.__with_libyaml__ else "yaml-surrogate")


def test_windows_line_ends_and_a_byte_order_mark_change_nothing(tmp_path: Path) -> None:
    path = tmp_path / "qwenbuild.yaml"
    path.write_bytes(b"\xef\xbb\xbfversion: 1\r\nassets:\r\n  a:\r\n    prompt: |\r\n      one\r\n      two\r\n")
    manifest = load(path)
    assert manifest.assets[0].prompt == "one\ntwo\n"
    mark = manifest.source.at(("assets", "a", "prompt"))
    assert mark
    assert (mark.line, mark.column) == (4, 13)


KEYS = st.sampled_from(
    [
        "version",
        "assets",
        "prompt",
        "matrix",
        "include",
        "exclude",
        "foreach",
        "params",
        "size",
        "seed",
        "vars",
        "providers",
        "dashscope",
        "type",
        "base_url",
        "webhook",
        "budget",
        "usd",
        "models",
        "price",
        "defaults",
        "outputs",
        "path",
        "steps",
        "tags",
        "inputs",
        "<<",
        "x-a",
        "asset",
        "limits",
        "rps",
        "atlases",
        "expect",
        "variants",
        "remote",
        "output",
    ]
)
LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(["{{ a }}", "1:1", "017"])
)
TREES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5), max_leaves=25
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=200) | st.text(max_size=120).map(lambda text: text.encode("utf-8", "surrogatepass")))
@example(data=b"a: [1")
@example(data=b"version: 1\n? a\n: - b")
def test_whatever_the_bytes_only_an_input_error_comes(data: bytes, tmp_path: Path) -> None:
    for name, reader in (("m.yaml", load), ("m.json", read), ("m.jsonl", read), ("m.csv", read), ("d.yaml", read)):
        path = tmp_path / name
        path.write_bytes(data)
        never_crashes(reader, path)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tree=st.dictionaries(KEYS, TREES, max_size=6))
def test_whatever_the_values_only_an_input_error_comes(tree: Any, tmp_path: Path) -> None:
    path = tmp_path / "m.yaml"
    path.write_text(yaml.safe_dump({"version": 1, **tree}, allow_unicode=True), encoding="utf-8")
    never_crashes(load, path)


def read(path: Path) -> Any:
    return read_data(path, path.name)


def never_crashes(reader: Any, path: Path) -> None:
    problems: tuple[Problem, ...] = (Problem("", "fine"),)
    try:
        reader(path)
    except InputError as error:
        problems = error.problems
    assert problems
    assert all(problem.message for problem in problems)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('version: 1\nassets:\n  a:\n    prompt: "A bottle\n    output: "x.png"\n', "4:13"),
        ("version: 1\nassets:\n  a:\n    prompt: 'A bottle\n    output: 'x.png'\n", "4:13"),
        ('version: 1\noutput: "art\nassets:\n  a: {prompt: "A bottle"}\n', "2:9"),
        ('version: 1\nassets:\n  a: {prompt: "A bottle}\n', "3:15"),
        ('version: 1\nvars: {a: "x", b: "y\n  , c: "z"}\n', "2:19"),
    ],
)
def test_an_unclosed_quote_is_shown_where_it_opens(text: str, place: str, tmp_path: Path) -> None:
    path = tmp_path / "qwenbuild.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        load(path)
    assert str(caught.value.problems[0].mark) == f"{path}:{place}"


@pytest.mark.parametrize("key", ["include", "exclude", "matrix", "foreach", "outputs", "steps", "tags", "inputs"])
@pytest.mark.parametrize("value", ["1", "true", "text", "{a: 1}", "[1]", "null"])
def test_a_key_of_another_type_is_at_most_an_error_in_words(key: str, value: str, tmp_path: Path) -> None:
    path = tmp_path / "qwenbuild.yaml"
    path.write_text(f"version: 1\nassets:\n  a: {{prompt: x, {key}: {value}}}\n", encoding="utf-8")
    with suppress(InputError):
        load(path)
