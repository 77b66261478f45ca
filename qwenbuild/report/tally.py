"""What a run has done so far, counted from its events: entries finished, money spent, requests in flight.

Does not know how it is shown, and keeps no time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any

from qwenbuild.ports import Event

BOUGHT = ("generate", "recover", "resume")
"""The verdicts that a provider takes its time for."""
WORK = ("generate", "recover", "resume", "restore", "derive")
"""The verdicts of a plan that a run has something to do for."""


@dataclass(slots=True)
class Tally:
    """Counts of one run. An entry is finished when its files are written, or when it failed or is in doubt."""

    total: int = 0
    to_buy: int = 0
    flying: set[str] = field(default_factory=set)
    bought: set[str] = field(default_factory=set)
    finished: set[str] = field(default_factory=set)
    failed: set[str] = field(default_factory=set)
    doubtful: set[str] = field(default_factory=set)
    spent: dict[str, Decimal] = field(default_factory=dict)

    def note(self, event: Event) -> bool:
        """Take an event in; whether an entry has just finished."""
        before = len(self.finished)
        if event.event == "plan":
            self.total, self.to_buy = planned(event.data, WORK), planned(event.data, BOUGHT)
        elif event.event in ("sending", "submitted"):
            self.flying.add(event.id)
        elif event.event == "stored":
            self._stored(event)
        elif event.event in ("written", "failed", "doubt"):
            self._ended(event)
        return len(self.finished) > before

    def _stored(self, event: Event) -> None:
        self.flying.discard(event.id)
        self.bought.add(event.id)
        for unit, amount in money(event.data).items():
            self.spent[unit] = self.spent.get(unit, Decimal(0)) + amount

    def _ended(self, event: Event) -> None:
        self.flying.discard(event.id)
        self.finished.add(event.id)
        if event.event != "written":
            (self.failed if event.event == "failed" else self.doubtful).add(event.id)

    def left(self, seconds: float) -> float | None:
        """Seconds until the end, after `seconds` of work; None while nothing can be said. Bought pictures set the pace."""
        done = len(self.bought | self.failed | self.doubtful) if self.to_buy else len(self.finished)
        whole = self.to_buy or self.total
        return seconds / done * max(0, whole - done) if done else None


def planned(data: Mapping[str, Any], verdicts: tuple[str, ...]) -> int:
    """How many entries of a `plan` event have one of the verdicts."""
    counts = data.get("summary", data)
    return sum(int(counts.get(name, 0)) for name in verdicts)


def money(data: Mapping[str, Any]) -> dict[str, Decimal]:
    """The price in an event, under `spent` or `price`; nothing when there is none or it is unknown."""
    amounts = data.get("spent", data.get("price")) or {}
    try:
        return {unit: Decimal(str(amount)) for unit, amount in amounts.items()}
    except InvalidOperation:
        return {}
