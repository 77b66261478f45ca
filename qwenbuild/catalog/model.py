"""One row of the model table: what a model takes, costs and bears, and what it makes of a size.

Knows no other row, no manifest and no network.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from qwenbuild.catalog.tariff import COLUMNS, Tariff, Tier, by_region, column
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
    `source` and `source_date` say where the row's facts are from and when they were read, `price_source` and `price_date` the
    same of its prices. `replacement` is the model that its vendor names for the time after `retires`. `rpm`: submissions a
    minute, 0 where the vendor counts by the second alone. `inputs_area`: as `area`, with reference images.
    `was` holds columns as earlier editions of the table had them, so that correcting the table moves no picture.
    """

    family: str
    id: str
    calls: tuple[str, ...] = ("sync",)
    async_path: str = ""
    sizes: tuple[str, ...] = ()
    area: tuple[int, int] | None = None
    inputs_area: tuple[int, int] | None = None
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
    inputs_types: tuple[str, ...] = ()
    price: Price | None = None
    price_extended: Price | None = None
    price_tiers: tuple[Tier, ...] = ()
    price_input: Price | None = field(default_factory=dict)
    price_by_region: Mapping[str, Tariff] = field(default_factory=dict)
    price_source: str = ""
    price_date: str = ""
    rps: float = 1.0
    rpm: float = 0.0
    in_flight: int = 1
    retires: str = ""
    retires_source: str = ""
    replacement: str = ""
    source: str = ""
    source_date: str = ""
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

    def rate(self, rps: float | None = None, rpm: float | None = None) -> float:
        """Submissions a second: what a manifest allows, else the row; the stricter of the two where both are said.

        A limit by the minute is spaced evenly as well: servers that count by the minute refuse what comes at once.
        """
        if rps is None and rpm is None:
            rps, rpm = self.rps, self.rpm or None
        by_minute = math.inf if rpm is None else rpm / 60
        return min(math.inf if rps is None else rps, by_minute)

    def tariff(self, region: str) -> Tariff:
        """The prices of a region: its own, else those of the row."""
        own = self.price_by_region.get(region)
        return own or Tariff(self.price, self.price_extended, self.price_tiers, self.price_input)

    def price_of(self, region: str, *, size: str, extended: bool, inputs: int) -> Price | None:
        """The price of one picture: what plan, gate, budget and ledger go by. None when unknown."""
        return self.tariff(region).of(size, extended=extended, inputs=inputs)

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
        width, height = pair(pixels or ratio, text)
        if pixels:
            return self._pixels(width, height, unlisted)
        return self._from_ratio(width, height, unlisted), ""

    def _ratio_only(self, text: str, ratio: re.Match[str] | None, dialect: str) -> str:
        allowed = self.ratios + (self.ratios_openapi if dialect == "openapi" else ())
        name = reduced(*pair(ratio, text)) if ratio else text
        by_ratio = {reduced(*pair(RATIO.fullmatch(item), item)): item for item in allowed}
        if name in by_ratio:
            return by_ratio[name]
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

    def inputs_fault(self, size: str) -> str:
        """Why a size (W*H) cannot be drawn with reference images, "" when it can."""
        width, star, height = size.partition("*")
        if self.inputs_area is None or not star or self.inputs_area[0] <= int(width) * int(height) <= self.inputs_area[1]:
            return ""
        low, high = self.inputs_area
        return f"{self.id} cannot draw {size} with reference images: width times height is then {low:,} to {high:,} pixels"

    def _from_ratio(self, across: int, down: int, unlisted: bool) -> str:
        name = reduced(across, down)
        if name in self.aliases:
            return self.aliases[name]
        if self.sizes and not unlisted:
            raise ValueError(f"{self.id} has no size for the ratio {name}: it has {', '.join(self.aliases)}")
        width, height = pair(SIZE.fullmatch(self.default_size or "1024*1024"), "")
        area = width * height
        text = "*".join(str(max(16, int(math.sqrt(side)) // 16 * 16)) for side in (area * across / down, area * down / across))
        return self._pixels(*pair(SIZE.fullmatch(text), text), unlisted)[0]


def pair(match: re.Match[str] | None, text: str) -> tuple[int, int]:
    """The two numbers of a size or a ratio. Raises ValueError."""
    if match is None or int(match[1]) == 0 or int(match[2]) == 0:
        raise ValueError(f"not a size: {text!r}")
    return int(match[1]), int(match[2])


def reduced(width: int, height: int) -> str:
    """A ratio in its smallest numbers."""
    divisor = math.gcd(width, height)
    return f"{width // divisor}:{height // divisor}"


def _fraction(ratio: str) -> float:
    width, height = pair(RATIO.fullmatch(ratio), ratio)
    return width / height


def _nearest(text: str, sizes: tuple[str, ...]) -> str:
    suggestion = did_you_mean(near(text, sizes, alike=0.7), quote="")
    return f" ({suggestion})" if suggestion else ""


FIELDS = {item.name for item in fields(Model)} - {"any_param"}
OVERRIDABLE = FIELDS - {"id"}


def typed(values: Mapping[str, Any]) -> dict[str, Any]:
    """The columns of a row as they stand in JSON or a manifest, as a Model's fields."""
    fields: dict[str, Any] = {}
    for name, value in values.items():
        if name in COLUMNS:
            fields[name] = column(name, value)
        elif name == "price_by_region":
            fields[name] = by_region(value)
        else:
            fields[name] = tuple(value) if isinstance(value, list) else value
    return fields
