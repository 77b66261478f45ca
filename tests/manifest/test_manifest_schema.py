"""The published JSON Schema says what the loader does; nothing here knows the loader's files."""

from __future__ import annotations

from pathlib import Path

from qwenbuild.manifest import json_schema, schema_text

COMMITTED = Path(__file__).parent.parent.parent / "schemas" / "manifest.v1.schema.json"


def test_the_committed_schema_is_the_one_that_the_grammar_gives() -> None:
    assert COMMITTED.read_text(encoding="utf-8") == schema_text()


def test_the_schema_names_its_dialect_and_itself() -> None:
    schema = json_schema()
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["$id"].endswith("manifest.v1.schema.json")
