"""Notice that an asset's pictures fail one after the other, so that no more of them are paid for.

Knows no plan: it is told of each picture that was paid for, or may have been, how it ended.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

STOP_AFTER = 5
"""Failures in a row after which an asset is paused, or more than so many among twice as many: chance does not do that."""


@dataclass(slots=True)
class Failures:
    """The last pictures of each asset. `limits` are the assets' own numbers; 0 never pauses."""

    limits: Mapping[str, int] = field(default_factory=dict)
    paused: dict[str, str] = field(default_factory=dict)
    """Asset to the sentence that says why nothing more of it is bought."""
    _last: dict[str, deque[bool]] = field(default_factory=dict)

    def note(self, asset: str, why: str) -> str:
        """A picture came to its end: `why` it failed, "" when it is good. The sentence when the asset is paused by it."""
        limit = self.limits.get(asset, STOP_AFTER)
        if not limit or asset in self.paused:
            return ""
        last = self._last.setdefault(asset, deque(maxlen=2 * limit))
        last.append(bool(why))
        in_a_row = len(last) >= limit and all(list(last)[-limit:])
        if not in_a_row and sum(last) <= limit:
            return ""
        how_many = f"{limit} in a row" if in_a_row else f"{sum(last)} of the last {len(last)}"
        self.paused[asset] = (
            f"{asset} is paused, nothing more of it is bought: {how_many} of its pictures failed, the last one because: {why}. "
            f"Change the prompt or the checks, then continue with `qwenbuild build asset:{asset}`"
        )
        return self.paused[asset]
