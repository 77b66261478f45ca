"""The model table of all families, as a manifest's `models:` correct it.

Knows no manifest and no network: a row is what vendors or third parties wrote, and may be wrong.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from decimal import InvalidOperation
from typing import Any

from qwenbuild.catalog.family import FAMILIES, Families, Family
from qwenbuild.catalog.model import OVERRIDABLE, SIZE, Model, pair, reduced, typed
from qwenbuild.catalog.tariff import COLUMNS
from qwenbuild.errors import InputError
from qwenbuild.nearmiss import did_you_mean, near

UNPRICED: Mapping[str, Any] = {
    "price": None, "price_extended": None, "price_tiers": (), "price_input": {}, "price_by_region": {},
}  # fmt: skip
"""The columns of a row whose prices nobody knows."""


STRANGERS_RPM = 2
"""Submissions a minute to a model that nobody has described."""


class Catalog:
    """The rows, with the manifest's corrections applied."""

    def __init__(self, families: Families, overrides: Mapping[str, Mapping[str, Any]]):
        self.families = families
        self._overrides = overrides

    @classmethod
    def load(cls, overrides: Mapping[str, Mapping[str, Any]] | None = None) -> Catalog:
        """The table of this version, corrected by a manifest's `models:`. Raises InputError for a correction it cannot read."""
        corrections = {name: _correction(name, dict(values)) for name, values in (overrides or {}).items()}
        return cls(FAMILIES, corrections)

    def rows(self) -> Iterator[Model]:
        """Every row of the table, corrected, and the rows that the manifest adds; family by family."""
        for family in self.families:
            ids = [row.id for row in self.families[family].models]
            added = [name for name, values in self._overrides.items() if values.get("family") == family and name not in ids]
            for name in (*ids, *added):
                row = self.find(family, name)
                assert row is not None
                yield row

    def default(self, family: str) -> Model:
        """The family's default model. Raises KeyError for a family that does not exist."""
        row = self.families[family].model(self.families[family].default)
        assert row is not None
        return self._corrected(row)

    def find(self, family: str, model_id: str | None, allow_unknown: bool = False) -> Model | None:
        """The row of a model, the family's default for None, or None when the table does not know it.

        An unknown model that is allowed has no known price and the strictest pace: two submissions a minute, one in flight.
        """
        if family not in self.families:
            return None
        if model_id is None:
            return self.default(family)
        row = self.families[family].model(model_id)
        if row is None:
            row = self._stranger(self.families[family], model_id, allow_unknown)
        return None if row is None else self._corrected(row)

    def editions(self, model: Model) -> tuple[Model, ...]:
        """The row as earlier editions of the table, and this one without the manifest's corrections, had it."""
        bare = self.families[model.family].model(model.id) or model
        return tuple(row for row in (bare, *(replace(bare, **typed(columns)) for columns in model.was)) if row != model)

    def near(self, family: str, model_id: str) -> tuple[str, ...]:
        """Ids of the family that look like this one."""
        ids = [row.id for row in self.families[family].models]
        return tuple(near(model_id, ids, 3))

    def _stranger(self, family: Family, model_id: str, allow_unknown: bool) -> Model | None:
        described = self._overrides.get(model_id, {}).get("family") == family.name
        if not (family.any_model or allow_unknown or described):
            return None
        template = dict(family.unknown or {"like": family.default})
        base = family.model(template.pop("like"))
        assert base is not None
        template = {"experimental": True, **template}
        if not family.any_model:
            template |= {**UNPRICED, "price_source": "not in the table", "price_date": ""}
            template |= {"rpm": STRANGERS_RPM, "in_flight": 1, "retires": "", "retires_source": "", "replacement": ""}
            template |= {"source": "not in the table", "source_date": ""}
        return replace(base, id=model_id, **typed(template))

    def _corrected(self, row: Model) -> Model:
        values = self._overrides.get(row.id)
        if not values or values.get("family", row.family) != row.family:
            return row
        return _sized(_priced(replace(row, **values), values), row, values)


def _priced(row: Model, values: Mapping[str, Any]) -> Model:
    """The corrected row, in whose every region a corrected part of the price holds."""
    parts = {name: values[name] for name in COLUMNS if name in values}
    if not parts or "price_by_region" in values:
        return row
    return replace(row, price_by_region={region: replace(own, **parts) for region, own in row.price_by_region.items()})


def _sized(row: Model, bare: Model, values: Mapping[str, Any]) -> Model:
    """The corrected row, in which ratios and the default size name only sizes that it has."""
    own = {**bare.aliases, **values.get("aliases", {})}
    if not values.get("sizes"):
        return replace(row, aliases=own) if "aliases" in values else row
    by_ratio = {reduced(*pair(SIZE.fullmatch(size), size)): size for size in reversed(row.sizes)}
    aliases = {**by_ratio, **{ratio: size for ratio, size in own.items() if size in row.sizes}}
    return replace(row, aliases=aliases, default_size=row.default_size if row.default_size in row.sizes else row.sizes[0])


def _correction(name: str, values: dict[str, Any]) -> dict[str, Any]:
    if "concurrency" in values:
        values["in_flight"] = values.pop("concurrency")
    for key in values:
        if key not in OVERRIDABLE:
            suggestion = did_you_mean(near(key, sorted(OVERRIDABLE)), quote="")
            hint = f"; {suggestion}" if suggestion else ""
            raise InputError(f"models.{name}: the model table has no column {key!r}{hint}", code="models")
    if "rps" in values:
        values = {"rpm": 0, **values}
    if "price" in values or "price_tiers" in values:
        values = {**UNPRICED, "price_source": "the manifest", "price_date": "", **values}
    try:
        columns = typed(values)
        _consistent(columns)
        return columns
    except (TypeError, ValueError, LookupError, InvalidOperation, AttributeError) as error:
        raise InputError(f"models.{name}: {error}", code="models") from error


def _consistent(values: Mapping[str, Any]) -> None:
    """Raises ValueError for a size that is none, and for a default or a ratio that is not among the sizes given with it."""
    sizes = values.get("sizes") or ()
    for size in sizes:
        pair(SIZE.fullmatch(size), size)
    for name in (values.get("default_size", ""), *values.get("aliases", {}).values()):
        if sizes and name and name not in sizes:
            raise ValueError(f"{name} is not among its sizes: {', '.join(sizes)}")
