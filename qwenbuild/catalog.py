"""The model table: what each model of each API takes, costs and bears, as rows read from `catalog.json`.

Knows no manifest and no network: a row is what vendors or third parties wrote, and may be wrong; the manifest's
`models:` corrects it.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from decimal import Decimal, InvalidOperation
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any

from qwenbuild.errors import InputError
from qwenbuild.model import Price
from qwenbuild.nearmiss import did_you_mean, near

SIZE = re.compile(r"\s*(\d{1,5})\s*[*xX×]\s*(\d{1,5})\s*")
RATIO = re.compile(r"\s*(\d{1,4})\s*:\s*(\d{1,4})\s*")


@dataclass(frozen=True, slots=True)
class Model:
    """One model of one API family. Sizes are `W*H` in pixels, prices per picture, limits per account and region.

    `sizes` is a closed list; without one, `area` (pixels), `aspect`, `sides` (pixels) and `multiple` bound a free size;
    `ratios` is for APIs that take no pixels. `default_size` is "" where the server chooses or the size cannot be set.
    `over` tells what the API does with a longer prompt: "cut" or "refuse". `negative_limit` None: cannot be expressed.
    `prompt_extend` is the server's default; `extra` describes the family's other drawing parameters.
    `was` holds columns as earlier editions of the table had them, so that correcting the table moves no picture.
    """

    family: str
    id: str
    calls: tuple[str, ...] = ("sync",)
    async_path: str = ""
    sizes: tuple[str, ...] = ()
    area: tuple[int, int] | None = None
    aspect: tuple[str, str] | None = None
    sides: tuple[int, int] | None = None
    multiple: int = 1
    rounding: str = ""
    ratios: tuple[str, ...] = ()
    ratios_openapi: tuple[str, ...] = ()
    aliases: Mapping[str, str] = field(default_factory=dict)
    default_size: str = ""
    prompt_limit: int | None = None
    prompt_unit: str = "characters"
    over: str = "cut"
    negative_limit: int | None = None
    negative_empty: str = ""
    n: int = 1
    params: tuple[str, ...] = ()
    prompt_extend: bool = False
    watermark: bool = False
    output_format: str = "png"
    extra: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    formats: tuple[str, ...] = ("png",)
    inputs_min: int = 0
    inputs_max: int = 0
    price: Price | None = None
    price_extended: Price | None = None
    price_by_region: Mapping[str, Price] = field(default_factory=dict)
    price_source: str = ""
    price_date: str = ""
    rps: float = 1.0
    in_flight: int = 1
    retires: str = ""
    retires_source: str = ""
    licence: str = ""
    research_only: bool = False
    experimental: bool = False
    resumable: bool = True
    dialect: str = ""
    seconds: float = 15.0
    any_param: bool = False
    was: tuple[Mapping[str, Any], ...] = ()

    def call(self, mode: str) -> str:
        """The call that `mode` (auto, async, sync) leads to: async wherever the model has it, because it can be resumed."""
        if mode in self.calls:
            return mode
        return "async" if "async" in self.calls else "sync"

    def price_of(self, region: str, prompt_extend: bool) -> Price | None:
        """The price of one picture; None when unknown."""
        if prompt_extend and self.price_extended is not None:
            return self.price_extended
        return self.price_by_region.get(region, self.price)

    def length(self, prompt: str) -> int:
        """The prompt's length in this model's unit. Tokens are an estimate: wide characters one each, others three a token."""
        if self.prompt_unit == "characters" or self.prompt_limit is None or len(prompt) <= self.prompt_limit // 2:
            return len(prompt)
        narrow = sum(1 for character in prompt if character < "\u0100")
        return len(prompt) - narrow + math.ceil(narrow / 3)

    def size(self, text: str, *, unlisted: bool = False, dialect: str = "docs") -> tuple[str, str]:
        """The size to send, and a note when it is not the one written. Raises ValueError with a sentence."""
        pixels, ratio = SIZE.fullmatch(text), RATIO.fullmatch(text)
        if self.ratios:
            return self._ratio_only(text, ratio, dialect), ""
        if not pixels and not ratio:
            raise ValueError(f"expected W*H in pixels or a ratio such as 16:9, not {text!r}")
        width, height = _pair(pixels or ratio, text)
        if pixels:
            return self._pixels(width, height, unlisted)
        return self._from_ratio(width, height, unlisted), ""

    def _ratio_only(self, text: str, ratio: re.Match[str] | None, dialect: str) -> str:
        allowed = self.ratios + (self.ratios_openapi if dialect == "openapi" else ())
        name = _reduced(*_pair(ratio, text)) if ratio else text
        known = {_reduced(*_pair(RATIO.fullmatch(item), item)): item for item in allowed}
        if name in known:
            return known[name]
        what = "the ratio" if ratio else "a pixel size;"
        raise ValueError(f"{self.id} of {self.family} cannot express {what} {text}: it takes {', '.join(allowed)}")

    def _pixels(self, width: int, height: int, unlisted: bool) -> tuple[str, str]:
        text = f"{width}*{height}"
        if self.sizes:
            if text not in self.sizes and not unlisted:
                raise ValueError(f"{self.id} has no size {text}: it takes {', '.join(self.sizes)}{_nearest(text, self.sizes)}")
            return text, ""
        if self.rounding == "down":
            width, height = width // self.multiple * self.multiple, height // self.multiple * self.multiple
        wrong = "" if unlisted else self._out_of_bounds(width, height)
        if wrong:
            raise ValueError(f"{self.id} cannot draw {text}: {wrong}")
        rounded = f"{width}*{height}"
        note = (
            "" if rounded == text else f"{text} is drawn as {rounded}: the server rounds down to multiples of {self.multiple}"
        )
        return rounded, note

    def _out_of_bounds(self, width: int, height: int) -> str:
        if width < 1 or height < 1:
            return "a side of 0 pixels"
        if self.sides and not all(self.sides[0] <= side <= self.sides[1] for side in (width, height)):
            return f"sides are {self.sides[0]} to {self.sides[1]} pixels"
        if width % self.multiple or height % self.multiple:
            return f"sides are multiples of {self.multiple}"
        if self.area and not self.area[0] <= width * height <= self.area[1]:
            return f"width times height is {self.area[0]:,} to {self.area[1]:,} pixels"
        if self.aspect and not _fraction(self.aspect[0]) <= width / height <= _fraction(self.aspect[1]):
            return f"the aspect ratio is {self.aspect[0]} to {self.aspect[1]}"
        return ""

    def _from_ratio(self, across: int, down: int, unlisted: bool) -> str:
        name = _reduced(across, down)
        if name in self.aliases:
            return self.aliases[name]
        if self.sizes and not unlisted:
            raise ValueError(f"{self.id} has no size for the ratio {name}: it has {', '.join(self.aliases)}")
        width, height = _pair(SIZE.fullmatch(self.default_size or "1024*1024"), "")
        area = width * height
        text = "*".join(str(max(16, int(math.sqrt(side)) // 16 * 16)) for side in (area * across / down, area * down / across))
        return self._pixels(*_pair(SIZE.fullmatch(text), text), unlisted)[0]


def _pair(match: re.Match[str] | None, text: str) -> tuple[int, int]:
    if match is None or int(match[1]) == 0 or int(match[2]) == 0:
        raise ValueError(f"not a size: {text!r}")
    return int(match[1]), int(match[2])


def _reduced(width: int, height: int) -> str:
    divisor = math.gcd(width, height)
    return f"{width // divisor}:{height // divisor}"


def _fraction(ratio: str) -> float:
    width, height = _pair(RATIO.fullmatch(ratio), ratio)
    return width / height


def _nearest(text: str, sizes: tuple[str, ...]) -> str:
    meant = did_you_mean(near(text, sizes, alike=0.7), quote="")
    return f" ({meant})" if meant else ""


@dataclass(frozen=True, slots=True)
class Family:
    """One API family: its default model, its hosts, its variable for the key, and where it takes a webhook.

    `inputs_bytes` is the largest reference image (0: nobody says), `inputs_types` what types of them it takes; `generative`
    says whether a model makes the pictures, so that they have to be declared as made by AI.
    """

    name: str
    default: str
    key_env: str
    regions: Mapping[str, str]
    hosts: tuple[str, ...]
    download_hosts: tuple[str, ...]
    webhook: str
    any_model: bool = False
    any_param: bool = False
    unknown: Mapping[str, Any] | None = None
    inputs_bytes: int = 0
    inputs_types: tuple[str, ...] = ("image/png", "image/jpeg", "image/webp")
    generative: bool = True
    recovery: str = "none"
    """How a request whose answer was lost is settled, as the provider says it: resend, listing, none."""


FIELDS = {item.name for item in fields(Model)} - {"any_param"}
OVERRIDABLE = FIELDS - {"id"}
PRICES = {"price", "price_extended"}


class Catalog:
    """The rows, with the manifest's corrections applied."""

    def __init__(
        self, families: Mapping[str, Family], rows: Mapping[tuple[str, str], Model], overrides: Mapping[str, Mapping[str, Any]]
    ):
        self.families = families
        self._rows = rows
        self._overrides = overrides

    @classmethod
    def load(cls, overrides: Mapping[str, Mapping[str, Any]] | None = None) -> Catalog:
        """The table of this version, corrected by a manifest's `models:`. Raises InputError for a correction it cannot read."""
        families, rows = _table()
        corrections = {name: _correction(name, dict(values)) for name, values in (overrides or {}).items()}
        return cls(families, rows, corrections)

    def rows(self) -> Iterator[Model]:
        """Every row of the table, corrected, and the rows that the manifest adds; family by family."""
        for family in self.families:
            known = [name for owner, name in self._rows if owner == family]
            added = [name for name, values in self._overrides.items() if values.get("family") == family and name not in known]
            for name in (*known, *added):
                row = self.find(family, name)
                assert row is not None
                yield row

    def default(self, family: str) -> Model:
        """The family's default model. Raises KeyError for a family that does not exist."""
        return self._corrected(self._rows[family, self.families[family].default])

    def find(self, family: str, model_id: str | None, allow_unknown: bool = False) -> Model | None:
        """The row of a model, the family's default for None, or None when the table does not know it.

        An unknown model that is allowed has no known price and the strictest pace: two submissions a minute, one in flight.
        """
        if family not in self.families:
            return None
        if model_id is None:
            return self.default(family)
        row = self._rows.get((family, model_id))
        if row is None:
            row = self._stranger(self.families[family], model_id, allow_unknown)
        return None if row is None else self._corrected(row)

    def editions(self, model: Model) -> tuple[Model, ...]:
        """The row as earlier editions of the table, and this one without the manifest's corrections, had it."""
        bare = self._rows.get((model.family, model.id), model)
        return tuple(row for row in (bare, *(replace(bare, **_typed(columns)) for columns in model.was)) if row != model)

    def near(self, family: str, model_id: str) -> tuple[str, ...]:
        """Ids of the family that look like this one."""
        ids = [model for owner, model in self._rows if owner == family]
        return tuple(near(model_id, ids, 3))

    def _stranger(self, family: Family, model_id: str, allow_unknown: bool) -> Model | None:
        described = self._overrides.get(model_id, {}).get("family") == family.name
        if not (family.any_model or allow_unknown or described):
            return None
        template = dict(family.unknown or {"like": family.default})
        base = self._rows[family.name, template.pop("like")]
        template = {"experimental": True, **template}
        if not family.any_model:
            template |= {"price": None, "price_extended": None, "price_by_region": {}, "price_source": "not in the table"}
            template |= {"rps": 2 / 60, "in_flight": 1, "retires": "", "retires_source": ""}
        return replace(base, id=model_id, **_typed(template))

    def _corrected(self, row: Model) -> Model:
        values = self._overrides.get(row.id)
        if not values or values.get("family", row.family) != row.family:
            return row
        return _sized(replace(row, **values), row, values)


def _sized(row: Model, bare: Model, values: Mapping[str, Any]) -> Model:
    """The corrected row, in which ratios and the default size name only sizes that it has."""
    own = {**bare.aliases, **values.get("aliases", {})}
    if not values.get("sizes"):
        return replace(row, aliases=own) if "aliases" in values else row
    named = {_reduced(*_pair(SIZE.fullmatch(size), size)): size for size in reversed(row.sizes)}
    aliases = {**named, **{ratio: size for ratio, size in own.items() if size in row.sizes}}
    return replace(row, aliases=aliases, default_size=row.default_size if row.default_size in row.sizes else row.sizes[0])


def _correction(name: str, values: dict[str, Any]) -> dict[str, Any]:
    if "concurrency" in values:
        values["in_flight"] = values.pop("concurrency")
    for key in values:
        if key not in OVERRIDABLE:
            meant = did_you_mean(near(key, sorted(OVERRIDABLE)), quote="")
            hint = f"; {meant}" if meant else ""
            raise InputError(f"models.{name}: the model table has no column {key!r}{hint}", code="models")
    if "price" in values:
        values = {"price_extended": None, "price_by_region": {}, "price_source": "the manifest", **values}
    try:
        typed = _typed(values)
        _consistent(typed)
        return typed
    except (TypeError, ValueError, InvalidOperation, AttributeError) as error:
        raise InputError(f"models.{name}: {error}", code="models") from error


def _consistent(values: Mapping[str, Any]) -> None:
    """Raises ValueError for a size that is none, and for a default or a ratio that is not among the sizes given with it."""
    sizes = values.get("sizes") or ()
    for size in sizes:
        _pair(SIZE.fullmatch(size), size)
    for name in (values.get("default_size", ""), *values.get("aliases", {}).values()):
        if sizes and name and name not in sizes:
            raise ValueError(f"{name} is not among its sizes: {', '.join(sizes)}")


def _price(value: Any) -> Price | None:
    if value is None:
        return None
    return MappingProxyType({str(unit): Decimal(str(amount)) for unit, amount in value.items()})


def _typed(values: Mapping[str, Any]) -> dict[str, Any]:
    typed: dict[str, Any] = {}
    for name, value in values.items():
        if name in PRICES:
            typed[name] = _price(value)
        elif name == "price_by_region":
            typed[name] = {region: _price(price) for region, price in value.items()}
        else:
            typed[name] = tuple(value) if isinstance(value, list) else value
    return typed


@cache
def _table() -> tuple[dict[str, Family], dict[tuple[str, str], Model]]:
    document = json.loads(files("qwenbuild").joinpath("catalog.json").read_text(encoding="utf-8"))
    families = {name: Family(name, **_typed(values)) for name, values in document["families"].items()}
    raw: dict[tuple[str, str], dict[str, Any]] = {}
    for record in document["models"]:
        base = raw.get((record["family"], record.get("like", "")), {})
        merged = {**base, **record}
        merged.pop("like", None)
        raw[record["family"], record["id"]] = merged
    for record in raw.values():
        if record["family"] == "dashscope":
            record["resumable"] = "async" in record.get("calls", ())  # a synchronous call leaves no task to ask for
    rows = {key: Model(**_typed(record), any_param=families[record["family"]].any_param) for key, record in raw.items()}
    return families, rows
