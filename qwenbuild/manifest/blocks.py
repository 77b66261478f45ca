"""Turns validated blocks into the frozen nouns of the model.

Knows no rule: everything here has been checked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

from qwenbuild import plugins
from qwenbuild.catalog import FAMILIES
from qwenbuild.errors import Problem
from qwenbuild.manifest.schema import ManifestBlock
from qwenbuild.model import Asset, Atlas, Manifest, ProviderSettings, Source

_AS_WRITTEN = (
    "output", "provider", "templates", "models", "vars", "budget", "provenance", "remote", "trust", "claims", "remote_derived",
)  # fmt: skip
_ATLAS_FIELDS = ("select", "from", "output")


def manifest(blocks: ManifestBlock, path: Path, source: Source, warnings: tuple[Problem, ...]) -> Manifest:
    """The manifest of validated blocks."""
    data = cast(dict[str, Any], blocks)
    return Manifest(
        file=str(path),
        folder=path.parent,
        providers={name: provider(name, block) for name, block in data.get("providers", {}).items()},
        defaults=asset("", data.get("defaults", {})),
        assets=tuple(asset(name, block) for name, block in data.get("assets", {}).items()),
        atlases=tuple(atlas(name, block) for name, block in data.get("atlases", {}).items()),
        source=source,
        warnings=warnings,
        plugins=tuple(f"{each.kind} {each.name}: {each.stamp}" for each in plugins.used()),
        **{key: data[key] for key in _AS_WRITTEN if key in data},
    )


def provider(name: str, block: Mapping[str, Any]) -> ProviderSettings:
    """One block under `providers`."""
    limits = block.get("limits", {})
    settings = {key: value for key, value in block.items() if key != "limits"}
    return FAMILIES[settings.pop("type", name)].settings_of(name, {**settings, **limits})


def _matrix(value: Mapping[str, list[Any]]) -> dict[str, tuple[Any, ...]]:
    return {axis: tuple(values) for axis, values in value.items()}


def _foreach(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


_FROZEN: dict[str, Callable[[Any], Any]] = {
    "matrix": _matrix,
    "foreach": _foreach,
    **dict.fromkeys(("include", "exclude", "inputs", "steps", "outputs", "tags"), tuple),
}


def asset(name: str, block: Mapping[str, Any]) -> Asset:
    """One block under `assets`; `defaults` is the asset named ""."""
    return Asset(name, **{key: _FROZEN[key](value) if key in _FROZEN else value for key, value in block.items()})


def atlas(name: str, block: Mapping[str, Any]) -> Atlas:
    """One block under `atlases`."""
    options = {key: value for key, value in block.items() if key not in _ATLAS_FIELDS}
    return Atlas(name, block["select"], block.get("from"), block["output"], options)
