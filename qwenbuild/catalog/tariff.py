"""What one picture costs in one region: by its pixels, by its reference images, with and without its prompt rewritten.

Knows no model and no request: whoever asks for a price hands in the size, the count and the switch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from decimal import Decimal
from types import MappingProxyType
from typing import Any

from qwenbuild.model import Price


@dataclass(frozen=True, slots=True)
class Tier:
    """The price of a picture of up to `pixels` pixels; `price_extended` where rewriting the prompt costs more."""

    pixels: int
    price: Price | None
    price_extended: Price | None = None


@dataclass(frozen=True, slots=True)
class Tariff:
    """The prices of one model in one region. None: nobody knows; `{}`: nothing.

    `price` is for a picture that no tier covers, `price_extended` for one whose prompt the server rewrites, where that costs
    more. `price_tiers` stand by size, the smallest first. `price_input` is added for each reference image.
    """

    price: Price | None = None
    price_extended: Price | None = None
    price_tiers: tuple[Tier, ...] = ()
    price_input: Price | None = field(default_factory=dict)

    def of(self, size: str, *, extended: bool, inputs: int) -> Price | None:
        """The price of one picture of `size` (W*H) with so many reference images; None when any part of it is unknown."""
        drawn = self._drawn(size, extended)
        if drawn is None or not inputs or self.price_input == {}:
            return drawn
        return None if self.price_input is None else _sum(drawn, self.price_input, inputs)

    def _drawn(self, size: str, extended: bool) -> Price | None:
        tier: Tariff | Tier = self
        if self.price_tiers:
            pixels = _pixels(size)
            if pixels is None:
                return None  # the server chooses the size, and with it the price
            tier = next((each for each in self.price_tiers if pixels <= each.pixels), self)
        return tier.price_extended if extended and tier.price_extended is not None else tier.price

    def prices(self) -> Iterator[Price]:
        """Every price in it that is known."""
        candidates = [self.price, self.price_extended, self.price_input]
        candidates += [price for tier in self.price_tiers for price in (tier.price, tier.price_extended)]
        return (price for price in candidates if price is not None)


COLUMNS = tuple(item.name for item in fields(Tariff))
"""The columns of a model's row that make up its tariff."""


def price(value: Any) -> Price | None:
    """A price as JSON or a manifest writes it: unit to amount. Raises what an odd value raises."""
    if value is None:
        return None
    return MappingProxyType({str(unit): Decimal(str(amount)) for unit, amount in value.items()})


def tiers(value: Any) -> tuple[Tier, ...]:
    """Tiers as JSON or a manifest writes them, the smallest first. Raises ValueError for two of one size."""
    made = [
        each if isinstance(each, Tier) else Tier(int(each["pixels"]), price(each["price"]), price(each.get("price_extended")))
        for each in value
    ]
    made.sort(key=lambda tier: tier.pixels)
    if len({tier.pixels for tier in made}) < len(made):
        raise ValueError("two price tiers end at the same number of pixels")
    return tuple(made)


def tariff(value: Any) -> Tariff:
    """A region's tariff: a block of columns, or just the price of one picture."""
    if isinstance(value, Tariff):
        return value
    if not any(name in COLUMNS for name in value):
        return Tariff(price(value))
    return Tariff(**{name: column(name, each) for name, each in value.items()})


def column(name: str, value: Any) -> Any:
    """One column of a tariff as a row in JSON or a manifest has it."""
    return tiers(value) if name == "price_tiers" else price(value)


def by_region(value: Mapping[str, Any]) -> dict[str, Tariff]:
    """The tariffs of the regions that have their own."""
    return {region: tariff(each) for region, each in value.items()}


def _pixels(size: str) -> int | None:
    width, star, height = size.partition("*")
    return int(width) * int(height) if star else None


def _sum(drawn: Price, each: Price, count: int) -> Price:
    total = dict(drawn)
    for unit, amount in each.items():
        total[unit] = total.get(unit, Decimal(0)) + amount * count
    return total
