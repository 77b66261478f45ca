"""Words the grammar's refusals: one sentence a place, with what was expected and the near miss.

Knows the grammar, and no file: a finding is a path; the source turns it into a place.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from qwenbuild.catalog import example
from qwenbuild.manifest.credentials import SECRET_NAME
from qwenbuild.manifest.fields import kind, listed
from qwenbuild.manifest.grammar import BUILT_IN, Types, grammar
from qwenbuild.nearmiss import did_you_mean, near

Path = tuple[str | int, ...]

MOST_FINDINGS = 100
"""More are not worded: the first ones are what the user mends."""

_ELSEWHERE = {
    "prompt": "it belongs to an asset",
    "matrix": "it belongs to an asset",
    "foreach": "it belongs to an asset",
    "assets": "it stands at the top level",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong at a path of the manifest; `at_key` when the key is what is wrong, not its value."""

    code: str
    message: str
    path: Path
    hint: str = ""
    at_key: bool = False


def findings(error: ValidationError, data: Mapping[str, Any], types: Types = BUILT_IN) -> Iterator[Finding]:
    """What the grammar refuses, in its order, at most MOST_FINDINGS."""
    schema = grammar(types).json_schema()
    for detail in error.errors(include_url=False)[:MOST_FINDINGS]:
        yield _finding(detail, schema, data)


def _finding(detail: Mapping[str, Any], schema: dict[str, Any], data: Any) -> Finding:
    path: Path = detail["loc"]
    kind_of_error = detail["type"]
    context = detail.get("ctx", {})
    if path and path[-1] == "[key]":
        return Finding(kind_of_error, context.get("message", detail["msg"]), path[:-1], context.get("hint", ""), True)
    if "message" in context:
        return Finding(kind_of_error, _named(path, context["message"]), path, context["hint"])
    if kind_of_error == "extra_forbidden":
        return _unknown(path, schema)
    if kind_of_error == "missing":
        return Finding("missing", f"`{path[-1]}` is missing", path, _description(schema, path), True)
    return _mistyped(kind_of_error, detail, path, schema)


def _named(path: Path, message: str) -> str:
    """The sentence with its subject: the key, or the item of the list."""
    if not message.startswith("must"):
        return message
    name = next((part for part in reversed(path) if isinstance(part, str)), "the manifest")
    return f"item {path[-1] + 1} of `{name}` {message}" if path and isinstance(path[-1], int) else f"`{name}` {message}"


def _mistyped(code: str, detail: Mapping[str, Any], path: Path, schema: dict[str, Any]) -> Finding:
    value = detail.get("input")
    if code in ("dict_type", "model_type", "mapping_type"):
        expected, hint = "a mapping", _as_mapping(value, path, schema)
    elif code == "list_type":
        expected, hint = "a list", _as_list(value) or _description(schema, path)
    elif code == "too_short":
        return Finding(
            "empty", _named(path, "must not be empty"), path, _description(schema, path) or "name at least one value"
        )
    elif code == "too_long":
        return Finding("length", _named(path, "holds too many items"), path, _description(schema, path))
    elif code == "literal_error":
        expected, hint = detail["ctx"]["expected"].replace("'", ""), ""
    else:
        return Finding("value", _named(path, f"must be something else: {detail['msg']}"), path, _description(schema, path))
    return Finding("type", _named(path, f"must be {expected}, not {kind(value)}"), path, hint)


def _as_mapping(value: Any, path: Path, schema: dict[str, Any]) -> str:
    if value is None:
        return "remove the line, or write {}"
    keys = list(_node(schema, path).get("properties", {}))
    return listed("its keys are", keys) if keys else _description(schema, path)


def _as_list(value: Any) -> str:
    if value is None:
        return "remove the line, or write []"
    return f"write [{value}]" if isinstance(value, str | int | float) and len(str(value)) < 40 else ""


# ---------------------------------------------------------------- unknown keys


def _unknown(path: Path, schema: dict[str, Any]) -> Finding:
    name, parent = str(path[-1]), _node(schema, path[:-1])
    keys = list(parent.get("properties", {}))
    short_name = name if len(name) <= 60 else f"{name[:57]}…"
    if SECRET_NAME.search(name) and "api_key_env" in keys:
        hint = f"name the variable that holds it: `api_key_env: {example().key_env}`"
        return Finding("key-in-manifest", f"`{short_name}`: a key never stands in a manifest", path, hint, True)
    return Finding("unknown-key", f"`{short_name}` is not known here", path, _suggestion(name, path, schema), True)


def _suggestion(name: str, path: Path, schema: dict[str, Any]) -> str:
    """The near miss; else the block nearby that has such a key; else all that is known."""
    parent = _node(schema, path[:-1])
    keys = list(parent.get("properties", {}))
    plain = re.sub(r"[^a-z0-9]+", "_", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower())
    close = near(plain, keys)
    if plain in keys or (close and len(close[0]) > 2):
        return did_you_mean(close)
    for key in keys:
        if name in _resolved(schema, parent["properties"][key]).get("properties", {}):
            return f"it stands under `{key}`: `{key}: {{{name}: …}}`"
    if len(path) > 2 and name in _node(schema, path[:-2]).get("properties", {}):
        return f"it stands beside `{path[-2]}`"
    if name in schema["properties"]:
        return "it stands at the top level"
    return _ELSEWHERE.get(name) or listed("known here:", keys)


def _description(schema: dict[str, Any], path: Path) -> str:
    """What the schema says about the key at `path`, else about what stands there."""
    node = _node(schema, path[:-1]).get("properties", {}).get(path[-1], {}) if path else {}
    return str(node.get("description") or _node(schema, path).get("description", ""))


def _node(schema: dict[str, Any], path: Path) -> dict[str, Any]:
    """The JSON schema of what stands at `path`; {} where the grammar says nothing."""
    node = schema
    for part in path:
        if isinstance(part, int):
            node = node.get("items", {})
        else:
            further = node.get("additionalProperties")
            node = node.get("properties", {}).get(part) or (further if isinstance(further, dict) else {})
        node = _resolved(schema, node)
    return node


def _resolved(schema: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    reference = node.get("$ref", "")
    return dict(schema["$defs"][reference.rsplit("/", 1)[1]]) if reference else node
