"""The grammar as a JSON Schema for editors: draft 2020-12, with `x-*` keys free at every level.

Knows nothing that the grammar does not.
"""

from __future__ import annotations

import json
from typing import Any

from qwenbuild import plugins
from qwenbuild.manifest.grammar import BUILT_IN, Types, grammar
from qwenbuild.manifest.schema import STEP_SCHEMA

DIALECT = "https://json-schema.org/draft/2020-12/schema"
IDENTITY = "urn:qwenbuild:manifest.v1.schema.json"
FREE = {"^x-": {"description": "yours; never read"}}


def json_schema(types: Types = BUILT_IN) -> dict[str, Any]:
    """The manifest's JSON Schema."""
    schema = _stepped(grammar(types).json_schema())
    return {
        "$schema": DIALECT,
        "$id": IDENTITY,
        **_opened(_untitled(schema)),
        "title": "qwenbuild manifest, version 1",
    }


def schema_text(types: Types = BUILT_IN) -> str:
    """The JSON Schema as it is committed: two-space indent, a final newline."""
    return json.dumps(json_schema(types), indent=2, ensure_ascii=False) + "\n"


def _untitled(node: Any) -> Any:
    """Without the titles that pydantic makes from names: editors would show them instead of the descriptions."""
    if isinstance(node, dict):
        return {key: _untitled(value) for key, value in node.items() if not (key == "title" and isinstance(value, str))}
    return [_untitled(each) for each in node] if isinstance(node, list) else node


def _opened(node: Any) -> Any:
    """Every closed object also takes what YAML users put into any mapping."""
    if isinstance(node, list):
        return [_opened(each) for each in node]
    if not isinstance(node, dict):
        return node
    opened = {key: _opened(value) for key, value in node.items()}
    if node.get("type") == "object" and ("additionalProperties" in node or "properties" in node):
        opened["patternProperties"] = FREE
    return opened


def _stepped(node: Any) -> Any:
    """Every list of steps also takes those of plug-ins that are known."""
    added: dict[str, Any] = {each.name: {} for each in plugins.used() if each.kind == "step"}
    if not added:
        return node
    if isinstance(node, list):
        return [_stepped(each) for each in node]
    if not isinstance(node, dict):
        return node
    if node == STEP_SCHEMA:
        return {**node, "properties": {**node["properties"], **added}}
    return {key: _stepped(value) for key, value in node.items()}
