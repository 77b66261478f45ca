"""One row for each API: what its settings are called, what it costs in, where its key goes, how a lost answer is settled.

Knows no class that talks to an API: a row names it. Rows of this package are read from `catalog.json`; those of plug-ins are
looked up when a name is asked for that is none of them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cache
from importlib.resources import files
from typing import Any

from qwenbuild import plugins
from qwenbuild.catalog.model import Model, typed
from qwenbuild.catalog.tariff import COLUMNS
from qwenbuild.errors import InputError
from qwenbuild.key import FIELDS as ACTION_FIELDS
from qwenbuild.model import ProviderSettings
from qwenbuild.model.money import UNIT
from qwenbuild.plugins import Plugin

STAMP = "plugin"
"""The drawing parameter under which a plug-in's name and version stand in the key."""

SPECIAL = ("region", "mode", "dialect", "weights")
"""Settings with a place of their own in ProviderSettings, which only some families have; others stand in its `own`."""

WORKSPACE = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
"""The id of a workspace: one label of a host's name."""
SETTING_TYPES = ("boolean", "integer", "number", "choice", "text")
PARAM_TYPES = ("boolean", "integer", "number", "choice", "any")
RECOVERIES = ("resend", "listing", "none")
_KNOWN = {item.name for item in fields(ProviderSettings)}
_TAKEN = (_KNOWN | {"limits", "family"}) - set(SPECIAL)
_DRAWN = {*ACTION_FIELDS, "v", "n", STAMP}


@dataclass(frozen=True, slots=True)
class Family:
    """One API family, or one kind of drawing.

    `provider` is its class as "module:Class". `unit` is what its prices are in, "" where nothing has a price. `settings` are
    the keys of a provider's block that only it knows, described as drawing parameters are: type, values, default, doc.
    `regions` are addresses by region; one under "" needs none to be named, and "" there means that nothing is asked by
    network; without any, a `base_url` is needed. `workspaces` are addresses by region that hold a `{workspace}`.
    `inputs_bytes` is the largest reference image (0: nobody says), `inputs_types` what types of them it takes; `generative`
    says whether a model makes the pictures, so that they have to be declared as made by AI. `tasks`: whether the API keeps
    tasks that a person can look up.
    """

    name: str
    default: str
    provider: str = ""
    key_env: str = ""
    regions: Mapping[str, str] = field(default_factory=dict)
    workspaces: Mapping[str, str] = field(default_factory=dict)
    hosts: tuple[str, ...] = ()
    download_hosts: tuple[str, ...] = ()
    webhook: str = ""
    unit: str = ""
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    any_model: bool = False
    any_param: bool = False
    unknown: Mapping[str, Any] | None = None
    inputs_bytes: int = 0
    inputs_types: tuple[str, ...] = ("image/png", "image/jpeg", "image/webp")
    generative: bool = True
    tasks: bool = True
    recovery: str = "none"
    """How a request whose answer was lost is settled: resend (under its key), listing (looked up), none (by a person)."""
    models: tuple[Model, ...] = ()
    draws: bool | None = None
    """Of a plug-in: whether its own code makes the pixels, so that its version is in the key. None: when it asks no server."""
    plugin: str = ""
    """The distribution and version that a plug-in's row came with."""

    def model(self, id: str) -> Model | None:
        """The row of one model."""
        return next((row for row in self.models if row.id == id), None)

    def draws_itself(self) -> bool:
        """Whether another version of the code may make other pixels of the same request."""
        return self.regions.get("") == "" if self.draws is None else self.draws

    def workspace_url(self, region: str, workspace: str) -> str:
        """The address of one workspace of a region. Raises ValueError for what is no workspace's id: it would be any host."""
        if region not in self.workspaces or not WORKSPACE.fullmatch(workspace):
            raise ValueError(f"{workspace!r} is no id of a workspace: letters, digits and - between them")
        return self.workspaces[region].format(workspace=workspace)

    def sold_here(self) -> bool:
        """Whether its pictures have a price, and this package is who says it."""
        return bool(self.unit) and not self.plugin

    def settings_of(self, name: str, block: Mapping[str, Any]) -> ProviderSettings:
        """The settings of a provider of this family: what its block says, and the row's defaults."""
        described = {key: each["default"] for key, each in self.settings.items() if each.get("default") is not None}
        values = {**described, **block}
        own = {key: values.pop(key) for key in list(values) if key not in _KNOWN}
        return ProviderSettings(**{**values, "name": name, "type": self.name, "own": own})


class Families(Mapping[str, Family]):
    """The rows by name: the built-in ones, and those of plug-ins that were asked for by name. Lookup may raise InputError."""

    def __getitem__(self, name: str) -> Family:
        rows = _built_in()
        if name in rows:
            return rows[name]
        row = _plugged(name) if isinstance(name, str) else None
        if row is None:
            raise KeyError(name)
        return row

    def __iter__(self) -> Iterator[str]:
        yield from _built_in()
        yield from (each.name for each in plugins.used() if each.kind == "provider" and self.recorded(each.name))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def built_in(self) -> Mapping[str, Family]:
        """The rows of this package."""
        return _built_in()

    def recorded(self, name: str) -> Family | None:
        """The row of a family that an old record names; None where nobody knows it, or its plug-in is broken."""
        try:
            return self.get(name)
        except InputError:
            return None

    def with_all_plugins(self) -> Families:
        """The same, every installed plug-in's row among them. Raises InputError for one that is broken."""
        for name in plugins.names("provider"):
            self.get(name)
        return self


FAMILIES = Families()


@cache
def _document() -> Mapping[str, Any]:
    document: Mapping[str, Any] = json.loads(files("qwenbuild").joinpath("catalog.json").read_text(encoding="utf-8"))
    return document


def read_on() -> str:
    """The day (ISO) on which the vendors' facts in the built-in rows were last read."""
    return str(_document()["read"])


@cache
def _built_in() -> dict[str, Family]:
    document = _document()
    rows = {name: Family(name, **typed(values)) for name, values in document["families"].items()}
    raw: dict[tuple[str, str], dict[str, Any]] = {}
    for record in document["models"]:
        base = raw.get((record["family"], record.get("like", "")), {})
        merged = {**base, **record}
        merged.pop("like", None)
        raw[record["family"], record["id"]] = merged
    models = [_model(rows[record["family"]], Model(**typed(record))) for record in raw.values()]
    return {name: replace(row, models=tuple(each for each in models if each.family == name)) for name, row in rows.items()}


def _model(row: Family, model: Model) -> Model:
    """A model's row as its family has it: a synchronous call leaves no task that a listing could tell of."""
    model = replace(model, any_param=row.any_param)
    return replace(model, resumable="async" in model.calls) if row.recovery == "listing" else model


def example() -> Family:
    """The family that hints take their examples from."""
    return next(iter(_built_in().values()))


@cache
def is_free(name: str) -> bool:
    """Whether the pictures of this family are drawn on this machine, and can be drawn again at no cost."""
    row = FAMILIES.recorded(name)
    return row is not None and row.regions.get("") == "" and all(model.price == {} for model in row.models)


def units() -> tuple[str, ...]:
    """The units that prices of the known families are in, dollars first."""
    return tuple(dict.fromkeys(["usd", *(row.unit for row in FAMILIES.values() if row.unit)]))


# ---------------------------------------------------------------- plug-ins


@cache
def _plugged(name: str) -> Family | None:
    """The row of a plug-in, whole and stamped; None when no plug-in has the name. Raises InputError."""
    plugin = plugins.find("provider", name, _built_in())
    if plugin is None:
        return None
    row: Family = plugin.load()
    wrong = _fault(row, plugin)
    if wrong:
        raise plugin.broken(f"is not a row that can be used: {wrong}")
    return replace(row, plugin=plugin.stamp, models=tuple(_stamped(row, model, plugin) for model in row.models))


def _priced(model: Model) -> Model:
    """The model with its prices as they are reckoned with: a plug-in writes them as the catalog does."""
    return replace(model, **typed({name: getattr(model, name) for name in (*COLUMNS, "price_by_region")}))


def _stamped(row: Family, model: Model, plugin: Plugin) -> Model:
    """The model with its plug-in's version among its drawing parameters, where that is what draws."""
    stamp = {STAMP: {"type": "choice", "values": (plugin.stamp,), "default": plugin.stamp}} if row.draws_itself() else {}
    return _model(row, replace(_priced(model), family=row.name, extra={**model.extra, **stamp}))


def _fault(row: Any, plugin: Plugin) -> str:
    """What is wrong with a plug-in's row, "" when nothing is."""
    if not isinstance(row, Family):
        return f"the entry point names a {type(row).__name__}, not a Family"
    if row.name != plugin.name:
        return f"it calls itself `{row.name}`"
    if not all(row.provider.partition(":")):
        return '`provider` must name its class as "module:Class"'
    if row.model(row.default) is None:
        return f"its default model `{row.default}` is not among its models"
    if row.recovery not in RECOVERIES:
        return f"`recovery` must be one of {', '.join(RECOVERIES)}"
    return _unit_fault(row) or _name_fault(row)


def _unit_fault(row: Family) -> str:
    tariffs = [model.tariff(region) for model in map(_priced, row.models) for region in ("", *model.price_by_region)]
    units = {unit for tariff in tariffs for price in tariff.prices() for unit in price}
    wrong = sorted(units - {row.unit, "usd"})
    if row.unit and not UNIT.fullmatch(row.unit):
        return f"the unit `{row.unit}` is not of small letters and digits"
    return f"a price is in `{wrong[0]}`, and `unit` is `{row.unit}`" if wrong else ""


def _name_fault(row: Family) -> str:
    for name, described in row.settings.items():
        if name in _TAKEN:
            return f"the setting `{name}` is one that every provider has"
        if described.get("type") not in SETTING_TYPES:
            return f"the setting `{name}` has no type of {', '.join(SETTING_TYPES)}"
    for name, described in ((name, each) for model in row.models for name, each in model.extra.items()):
        if name in _DRAWN:
            return f"the drawing parameter `{name}` has a meaning of its own"
        if described.get("type") not in PARAM_TYPES:
            return f"the drawing parameter `{name}` has no type of {', '.join(PARAM_TYPES)}"
    return ""
