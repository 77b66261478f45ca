"""What something costs: an amount by unit. Knows no currency and no exchange."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal

Price = Mapping[str, Decimal]
"""Unit (`usd`, or an API's own credits) to amount. `{}` is free; an unknown price is None, never `{}`."""

UNIT = re.compile(r"[a-z][a-z0-9_]{0,31}")
"""How a unit may be called."""
