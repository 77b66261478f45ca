"""What something costs: an amount by unit. Knows no currency and no exchange."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

Price = Mapping[str, Decimal]
"""Unit (`usd`, or an API's own credits) to amount. `{}` is free; an unknown price is None, never `{}`."""
