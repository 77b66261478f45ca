"""The user's YAML as a validated Manifest, and the data files beside it as rows; every error with its place.

Knows no template language, no provider and no cache. The only door to PyYAML and to the manifest's pydantic models,
both of which are imported when something is loaded, not before.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qwenbuild.errors import Problem
from qwenbuild.manifest.names import NOT_BUILT
from qwenbuild.manifest.paths import find, inside
from qwenbuild.manifest.scalars import is_template, scalar
from qwenbuild.model import Manifest

__all__ = [
    "NOT_BUILT",
    "find",
    "inside",
    "is_template",
    "json_schema",
    "load",
    "load_text",
    "read_data",
    "scalar",
    "schema_text",
]


def load(path: Path) -> Manifest:
    """The manifest at `path`. Raises InputError with every problem found."""
    from qwenbuild.manifest import loading

    return loading.load(path)


def load_text(path: Path, characters: str) -> Manifest:
    """The manifest that these characters would make at `path`. Raises InputError with every problem found."""
    from qwenbuild.manifest import loading

    return loading.load_text(path, characters)


def read_data(path: Path, shown: str) -> tuple[list[dict[str, Any]], tuple[Problem, ...]]:
    """The rows of a .csv, .json, .jsonl or .yaml file of at most 512 MB, and warnings; `shown` names it in messages.

    Raises InputError with the data file's own line and column.
    """
    from qwenbuild.manifest import data

    return data.read_data(path, shown)


def json_schema() -> dict[str, Any]:
    """The manifest's JSON Schema (draft 2020-12), for editors and for continuous integration."""
    from qwenbuild.manifest import editor_schema

    return editor_schema.json_schema()


def schema_text() -> str:
    """The JSON Schema as the text of `schemas/manifest.v1.schema.json`."""
    from qwenbuild.manifest import editor_schema

    return editor_schema.schema_text()
