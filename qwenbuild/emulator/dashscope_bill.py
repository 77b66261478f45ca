"""What DashScope bills for a picture, by model, region, size, rewriting and reference images.

Knows no request. Written apart from qwenbuild's own model table, so that a plan can be held against a bill.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

ONE_K = 2_250_000
"""Pixels up to which a picture of the 3.0 series counts as 1K; above it is 2K (`qima_output_1k`, `qima_output_2k`)."""


@dataclass(frozen=True, slots=True)
class Rate:
    """Dollars: for a picture, for one above 1K, for one whose prompt was rewritten, for each image that was sent."""

    each: str
    above_1k: str = ""
    rewritten: str = ""
    image: str = "0"

    def bill(self, pixels: int, rewritten: bool, images: int) -> Decimal:
        """Dollars for one picture."""
        drawn = self.above_1k if self.above_1k and pixels > ONE_K else self.each
        if rewritten and self.rewritten:
            drawn = self.rewritten
        return Decimal(drawn) + images * Decimal(self.image)


PLUS, PRO = Rate("0.03"), Rate("0.075")
RATES = {
    "qwen-image": Rate("0.035"),
    "qwen-image-plus": PLUS,
    "qwen-image-plus-2026-01-09": PLUS,
    "qwen-image-max": PRO,
    "qwen-image-max-2025-12-30": PRO,
    "qwen-image-2.0": Rate("0.035"),
    "qwen-image-2.0-2026-03-03": Rate("0.035"),
    "qwen-image-2.0-pro": PRO,
    "qwen-image-2.0-pro-2026-03-03": PRO,
    "qwen-image-2.0-pro-2026-04-22": PRO,
    "qwen-image-2.0-pro-2026-06-22": PRO,
    "qwen-image-3.0": Rate("0.03", image="0.003"),
    "qwen-image-3.0-pro": Rate("0.04", above_1k="0.075", image="0.003"),
    "qwen-image-edit": Rate("0.045"),
    "qwen-image-edit-plus": PLUS,
    "qwen-image-edit-plus-2025-10-30": PLUS,
    "qwen-image-edit-plus-2025-12-15": PLUS,
    "qwen-image-edit-max": PRO,
    "qwen-image-edit-max-2026-01-16": PRO,
    "wan2.7-image": Rate("0.035"),
    "wan2.7-image-pro": PRO,
    "z-image-turbo": Rate("0.015", rewritten="0.03"),
    "qwen-image-2.1-pro": Rate("0.04"),
    "qwen-image-2.1-turbo": Rate("0.04"),
}
"""Singapore, as the vendor or third parties say; those of the 2.1 series are ours, for nobody names any."""

BEIJING = {
    "qwen-image-plus": Rate("0.028671"),
    "qwen-image-edit": Rate("0.043"),
    "qwen-image-3.0": Rate("0.024754", image="0.00275"),
    "qwen-image-3.0-pro": Rate("0.034381", above_1k="0.068761", image="0.00275"),
}
"""Where Beijing is known to differ."""


def bill(model: str, region: str, size: tuple[int, int], *, rewritten: bool, images: int) -> Decimal:
    """Dollars for one picture of a model."""
    own = BEIJING.get(model) if region == "beijing" else None
    return (own or RATES[model]).bill(size[0] * size[1], rewritten, images)
