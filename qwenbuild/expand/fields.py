"""Merging: what an asset says, over what its provider and the defaults say, each value with the place it was written.

Knows no template and no file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from qwenbuild.expand.faults import Fault
from qwenbuild.expand.values import plain
from qwenbuild.model import Asset, Manifest

Path = tuple[str | int, ...]
RESERVED = "asset"
ATTEMPTS = 3
"""Pictures that are drawn of an entry at the most, with `on_fail: reroll`."""


@dataclass(frozen=True, slots=True)
class LocatedValue:
    """A value, and where it was written."""

    value: Any
    path: Path


class Fields:
    """One asset's fields, merged."""

    def __init__(self, manifest: Manifest, asset: Asset) -> None:
        self._manifest = manifest
        self._asset = asset
        self.name = asset.name
        self.path: Path = ("assets", asset.name)
        self.provider = asset.provider or manifest.defaults.provider or manifest.provider

    def own(self, name: str) -> LocatedValue | None:
        """The field as the asset or else the defaults have it; None when neither does."""
        for holder, path in ((self._asset, self.path), (self._manifest.defaults, ("defaults",))):
            value = getattr(holder, name)
            if value is not None and value != {}:
                return LocatedValue(value, (*path, name))
        return None

    def either(self, *names: str) -> LocatedValue | None:
        """Of fields that exclude each other, the one that the asset has, else the one that the defaults have."""
        for holder, path in ((self._asset, self.path), (self._manifest.defaults, ("defaults",))):
            for name in names:
                value = getattr(holder, name)
                if value is not None:
                    return LocatedValue(value, (*path, name))
        return None

    def model(self) -> LocatedValue | None:
        """The model: the asset's, else its provider's, else the defaults'."""
        settings = self._manifest.providers.get(self.provider)
        if self._asset.model is not None:
            return LocatedValue(self._asset.model, (*self.path, "model"))
        if settings is not None and settings.model is not None:
            return LocatedValue(settings.model, ("providers", self.provider, "model"))
        model = self._manifest.defaults.model
        return None if model is None else LocatedValue(model, ("defaults", "model"))

    def params(self) -> dict[str, LocatedValue]:
        """The parameters by name: the defaults', the provider's over them, the asset's over both; null removes."""
        settings = self._manifest.providers.get(self.provider)
        layers: list[tuple[Mapping[str, Any], Path]] = [(self._manifest.defaults.params, ("defaults", "params"))]
        if settings is not None:
            layers.append((settings.params, ("providers", self.provider, "params")))
        layers.append((self._asset.params, (*self.path, "params")))
        return _merged(layers)

    def variables(self) -> dict[str, Any]:
        """The variables of every template of the asset, null being a value. Raises Fault when one is called `asset`."""
        layers: list[tuple[Mapping[str, Any], Path]] = [
            (self._manifest.vars, ("vars",)),
            (self._manifest.defaults.vars, ("defaults", "vars")),
            (self._asset.vars, (*self.path, "vars")),
        ]
        for values, path in layers:
            if RESERVED in values:
                raise reserved((*path, RESERVED))
        return {name: plain(value) for values, _ in layers for name, value in values.items()}


@dataclass(frozen=True, slots=True)
class FollowUp:
    """What follows from a check that fails, how many pictures may be drawn for it, and which candidate is used."""

    on_fail: str = "fail"
    attempts: int = 1
    choose: str = "first"


def follow_up(fields: Fields) -> FollowUp:
    """What an asset says of it. Raises Fault for `attempts` without a reroll."""
    on_fail, attempts, choose = (fields.own(name) for name in ("on_fail", "attempts", "choose"))
    what = str(on_fail.value) if on_fail else "fail"
    if attempts is not None and what != "reroll" and attempts.path[0] != "defaults":
        fault = Fault("attempts", "`attempts` needs `on_fail: reroll`: nothing is drawn again otherwise")
        fault.path = attempts.path
        raise fault
    if choose is not None and str(choose.value) == "best" and choose.path[0] != "defaults" and fields.own("expect") is None:
        fault = Fault("choose", "`choose: best` needs an `expect`: there is nothing to choose by")
        fault.path = choose.path
        raise fault
    most = int(attempts.value) if attempts else ATTEMPTS
    return FollowUp(what, most if what == "reroll" else 1, str(choose.value) if choose else "first")


def reserved(path: Path) -> Fault:
    """The fault of something that is called like the asset's own variable."""
    fault = Fault("reserved-name", f"`{RESERVED}` is the asset's own name in templates; nothing else can be called that")
    fault.path = path
    return fault


def _merged(layers: list[tuple[Mapping[str, Any], Path]]) -> dict[str, LocatedValue]:
    merged: dict[str, LocatedValue] = {}
    for values, path in layers:
        for name, value in values.items():
            if value is None:
                merged.pop(name, None)
            else:
                merged[name] = LocatedValue(value, (*path, name))
    return merged
