"""Collect what is wrong with a manifest's requests, once for each thing and place, and find where it was written.

Knows nothing of models: whoever finds a problem brings its words.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from qwenbuild.errors import Problem
from qwenbuild.model import Entry, Manifest, OutputSpec


@dataclass(slots=True)
class ParamFindings:
    """Problems and notices, one for each thing and place; counts how many more entries share it."""

    manifest: Manifest
    rows: dict[tuple[Any, ...], list[Any]] = field(default_factory=dict)

    def add(self, code: str, message: str, path: tuple[str | int, ...], *, hint: str = "", notice: bool = False) -> None:
        """Take note once for each code and place; of a model, once for all places."""
        where = (message,) if code.startswith("model-") else path
        row = self.rows.setdefault((code, where), [code, message, path, hint, notice, 0])
        row[5] += 1

    def said(self, notice: bool, counted: tuple[str, ...] = ("prompt-too-long",)) -> tuple[Problem, ...]:
        """The problems, or the notices, in the order found."""
        problem = self.manifest.source.problem
        return tuple(
            problem(code, message + _and_more(times if code in counted else 1), path, hint=hint)
            for code, message, path, hint, is_notice, times in self.rows.values()
            if is_notice == notice
        )


def _and_more(times: int) -> str:
    return "" if times < 2 else f" (and {times - 1} more of this asset)"


def place(manifest: Manifest, entry: Entry, what: str) -> tuple[str, ...]:
    """Where the value that reached the entry was written: the asset, then its provider's block, then the defaults."""
    asset = next((item for item in manifest.assets if item.name == entry.asset), None)
    names = ("prompt", "prompt_file") if what == "prompt" else (what,)
    for name in names:
        if getattr(asset, name, None) is not None:
            return ("assets", entry.asset, name)
    settings = manifest.providers.get(entry.provider)
    if what == "model" and settings is not None and settings.model:
        return ("providers", entry.provider, "model")
    for name in names:
        if getattr(manifest.defaults, name, None) is not None:
            return ("defaults", name)
    return ("provider",) if what == "provider" else ("assets", entry.asset)


def param_place(manifest: Manifest, entry: Entry, name: str) -> tuple[str, ...]:
    """Where the parameter that reached the entry was written."""
    asset = next((item for item in manifest.assets if item.name == entry.asset), None)
    settings = manifest.providers.get(entry.provider)
    if asset is not None and name in asset.params:
        return ("assets", entry.asset, "params", name)
    if settings is not None and name in settings.params:
        return ("providers", entry.provider, "params", name)
    if name in manifest.defaults.params:
        return ("defaults", "params", name)
    return ("assets", entry.asset)


def step_place(manifest: Manifest, entry: Entry, spec: OutputSpec, at: int) -> tuple[str | int, ...]:
    """Where the step number `at` (from 0) of a file was written."""
    asset = next((item for item in manifest.assets if item.name == entry.asset), None)
    for holder, path in ((asset, ("assets", entry.asset)), (manifest.defaults, ("defaults",))):
        if holder is not None and holder.outputs is not None:
            return (*path, "outputs", spec.item, "steps", at, spec.steps[at].kind)
        if holder is not None and holder.steps is not None:
            return (*path, "steps", at, spec.steps[at].kind)
    return ("assets", entry.asset)
