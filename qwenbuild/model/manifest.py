"""What a manifest says, as frozen values: assets, providers, sources, atlases.

Knows only the standard library: no file, no clock, no network, and no rule about any of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from qwenbuild.errors import Mark, Problem


@dataclass(frozen=True, slots=True)
class Limits:
    """A provider's pace: submissions a second, jobs in flight from submit to their end, seconds that one job may take."""

    rps: float
    concurrency: int
    timeout: float = 300.0


@dataclass(frozen=True, slots=True)
class ProviderSettings:
    """One block under `providers:`, or a built-in type by its name. None means: not said in the manifest."""

    name: str
    type: str
    region: str = "singapore"
    mode: str = "auto"
    model: str | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    api_key_env: str | None = None
    rps: float | None = None
    rpm: float | None = None
    concurrency: int | None = None
    timeout: float = 300.0
    webhook: str | None = None
    base_url: str | None = None
    dialect: str = "docs"
    weights: str | None = None
    allow_unknown_model: bool = False
    allow_unlisted_size: bool = False
    own: Mapping[str, Any] = field(default_factory=dict)
    """Settings that only a plug-in's type has, by name."""


@dataclass(frozen=True, slots=True)
class Asset:
    """One block under `assets:`, validated, with templates still in it. None means: not said.

    `matrix` keeps the order written; `foreach` is a path or a list of rows; `outputs` are raw mappings.
    """

    name: str
    prompt: str | None = None
    prompt_file: str | None = None
    matrix: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    include: tuple[Mapping[str, Any], ...] = ()
    exclude: tuple[Mapping[str, Any], ...] = ()
    foreach: str | tuple[Mapping[str, Any], ...] | None = None
    provider: str | None = None
    model: str | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    vars: Mapping[str, Any] = field(default_factory=dict)
    seed: Any = None
    variants: Any = None
    inputs: tuple[Any, ...] | None = None
    id: str | None = None
    output: str | None = None
    steps: tuple[Any, ...] | None = None
    outputs: tuple[Mapping[str, Any], ...] | None = None
    expect: Mapping[str, Any] | None = None
    tags: tuple[str, ...] | None = None
    stop_after_failures: int | None = None
    on_fail: str | None = None
    attempts: int | None = None
    choose: str | None = None


@dataclass(frozen=True, slots=True)
class Atlas:
    """One block under `atlases:`; `options` are the packer's settings as written."""

    name: str
    select: str
    source: str | None
    output: str
    options: Mapping[str, Any] = field(default_factory=dict)


class Source:
    """Where each place of the manifest was written. The loader's subclass knows; this one knows nothing."""

    def at(self, path: tuple[str | int, ...]) -> Mark | None:
        """The mark of the value at `path`, or of its nearest ancestor that was written."""
        return None

    def problem(
        self, code: str, message: str, path: tuple[str | int, ...], *, hint: str = "", line: int = 0, column: int = 0
    ) -> Problem:
        """A Problem at `path`; `line`/`column` (from 1) point inside a template that stands there as a scalar."""
        return Problem(code, message, self.at(path), ".".join(str(part) for part in path), hint=hint)


@dataclass(frozen=True, slots=True)
class Manifest:
    """The user's YAML, parsed and validated; `defaults` is an Asset named "" whose fields apply to every asset."""

    file: str
    folder: Path
    output: str = "assets"
    provider: str = "placeholder"
    templates: str = "prompts"
    providers: Mapping[str, ProviderSettings] = field(default_factory=dict)
    models: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    vars: Mapping[str, Any] = field(default_factory=dict)
    defaults: Asset = field(default_factory=lambda: Asset(""))
    budget: Mapping[str, Decimal] = field(default_factory=dict)
    provenance: str = "off"
    remote: str | None = None
    trust: str = "lockfile"
    claims: bool = False
    remote_derived: bool = False
    assets: tuple[Asset, ...] = ()
    atlases: tuple[Atlas, ...] = ()
    source: Source = field(default_factory=Source, compare=False)
    warnings: tuple[Problem, ...] = ()
    plugins: tuple[str, ...] = ()
    """The plug-ins that it names, each with its version: another version may make something else of it."""
