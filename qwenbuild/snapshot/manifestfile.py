"""A manifest as it was read, as JSON values: while its file is untouched, nobody needs YAML or the grammar again.

Knows no grammar. What would not come back exactly as it was is not remembered.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from qwenbuild.errors import Mark, Problem
from qwenbuild.model import Asset, Atlas, Manifest, ProviderSettings, Source

CLASSES = {each.__name__: each for each in (Asset, Atlas, ProviderSettings)}
APART = frozenset({"file", "folder", "source", "warnings", "plugins"})
"""Fields of a manifest that hang on how it was named, or are not remembered at all."""


class UnreadSource(Source):
    """The places of a manifest that was not read this time: it is read at the first question."""

    def __init__(self, read: Callable[[], Source]) -> None:
        self._read = read
        self._source: Source | None = None

    def at(self, path: tuple[str | int, ...]) -> Mark | None:
        """As the manifest's own source says."""
        return self._known().at(path)

    def problem(
        self, code: str, message: str, path: tuple[str | int, ...], *, hint: str = "", line: int = 0, column: int = 0
    ) -> Problem:
        """As the manifest's own source says."""
        return self._known().problem(code, message, path, hint=hint, line=line, column=column)

    def _known(self) -> Source:
        if self._source is None:
            self._source = self._read()
        return self._source


def encoded(manifest: Manifest) -> dict[str, Any] | None:
    """The manifest as JSON values; None where it has warnings, names plug-ins, or would not come back as it is."""
    if manifest.warnings or manifest.plugins:
        return None
    names = [item.name for item in fields(Manifest) if item.name not in APART]
    try:
        values = {name: _encoded(getattr(manifest, name)) for name in names}
        back = {name: _decoded(value) for name, value in values.items()}
    except (TypeError, ValueError, KeyError, RecursionError):
        return None
    return values if all(repr(back[name]) == repr(getattr(manifest, name)) for name in names) else None


def decoded(values: Mapping[str, Any], path: Path, source: Source) -> Manifest:
    """The manifest at `path`. Raises ValueError, TypeError, KeyError for values that are none."""
    known = {name: _decoded(value) for name, value in values.items()}
    return Manifest(file=str(path), folder=path.parent, source=source, **known)


def _encoded(value: Any) -> Any:
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, Mapping):
        if not all(type(name) is str for name in value):
            raise TypeError("a name that is no text")
        return {"m": {name: _encoded(item) for name, item in value.items()}}
    if isinstance(value, list):
        return [_encoded(item) for item in value]
    if isinstance(value, tuple):
        return {"t": [_encoded(item) for item in value]}
    if isinstance(value, Decimal):
        return {"n": str(value)}
    if is_dataclass(value) and type(value).__name__ in CLASSES:
        return {type(value).__name__: {item.name: _encoded(getattr(value, item.name)) for item in fields(value)}}
    raise TypeError(type(value).__name__)


def _decoded(value: Any) -> Any:
    if isinstance(value, list):
        return [_decoded(item) for item in value]
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind == "m":
        return {name: _decoded(item) for name, item in content.items()}
    if kind == "t":
        return tuple([_decoded(item) for item in content])
    if kind == "n":
        return Decimal(content)
    return CLASSES[kind](**{name: _decoded(item) for name, item in content.items()})
