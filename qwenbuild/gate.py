"""Decide whether a plan may spend: brake, budget, consent. Pure, and said in one sentence.

Knows no terminal: "ask" is an answer like the others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_DOWN, Decimal
from typing import Literal

from qwenbuild.model import Plan, Price

BRAKE_FLOOR = 10
BRAKE_SHARE = 10
"""Per cent of the entries that may be bought without the manifest explaining it."""


@dataclass(frozen=True, slots=True)
class GateDecision:
    """`open`, `ask` (consent is missing; a terminal may give it) or `stop`; `code` is consent, budget or brake."""

    answer: Literal["open", "ask", "stop"]
    code: str = ""
    message: str = ""


OPEN = GateDecision("open")


def decide(plan: Plan, budget: Price, *, yes: bool, max_cost: Price | None) -> GateDecision:
    """What the plan's price, the manifest's budget and the user's consent add up to."""
    if not plan.most and not plan.unknown_price:
        return OPEN
    return _brake(plan, max_cost) or _ceiling(plan, budget, yes, max_cost) or _consent(plan, yes, max_cost)


def _brake(plan: Plan, max_cost: Price | None) -> GateDecision | None:
    most = max(BRAKE_FLOOR, len(plan.steps) * BRAKE_SHARE // 100)
    if plan.unexplained <= most or max_cost is not None:
        return None
    return GateDecision(
        "stop",
        "brake",
        f"{plan.unexplained:,} pictures would be bought that no change of the manifest explains (more than {most:,}): "
        "their bytes are lost, or the lockfile or the cache is not the one they were made with, or only the lockfile "
        "asks for them (its `seeds`). Bring back the right one, or say --max-cost AMOUNT to buy them all the same",
    )


def _ceiling(plan: Plan, budget: Price, yes: bool, max_cost: Price | None) -> GateDecision | None:
    for name, limits in (("the manifest's budget", budget), ("--max-cost", (max_cost or {}) if yes else {})):
        over = _over(plan.most, limits)
        if over:
            unit, amount, limit = over
            text = f"the plan costs {_at_most(plan)}{money(unit, amount)}, more than {name} of {money(unit, limit)}"
            return GateDecision("stop", "budget", f"{text}; build a part of it with --limit N or a selection")
    return None


def decide_whole(cost: Price, shards: int, budget: Price, max_cost: Price | None) -> GateDecision | None:
    """What the price of all shards of a build comes to against the limits of the whole; None where it is within them."""
    for name, limits in (("the manifest's budget", budget), ("--max-cost", max_cost or {})):
        over = _over(cost, limits)
        if over:
            unit, amount, limit = over
            text = f"the {shards} shards together cost {money(unit, amount)}, more than {name} of {money(unit, limit)}"
            return GateDecision("stop", "budget", text)
    return None


def part_of(limits: Price, own: Price, whole: Price, shards: int) -> dict[str, Decimal]:
    """A shard's part of limits: as its price is to that of all; an equal part where nothing is to be bought. Rounded down."""
    parts = {}
    for unit, limit in limits.items():
        share = own.get(unit, Decimal(0)) / whole[unit] if whole.get(unit) else 1 / Decimal(shards)
        parts[unit] = (limit * share).quantize(Decimal("0.000001"), ROUND_DOWN)
    return parts


def _at_most(plan: Plan) -> str:
    """Before a price: it is that of the case where every check fails that may."""
    return "up to " if plan.further_cost else ""


def _over(cost: Price, limits: Price) -> tuple[str, Decimal, Decimal] | None:
    return next(
        ((unit, amount, limits[unit]) for unit, amount in cost.items() if unit in limits and amount > limits[unit]), None
    )


def _consent(plan: Plan, yes: bool, max_cost: Price | None) -> GateDecision:
    if yes:
        return OPEN
    if plan.unknown_price:
        return GateDecision("ask", "consent", f"the price of {plan.unknown_price} pictures is unknown; --yes buys them anyway")
    if max_cost is not None and all(unit in max_cost and amount <= max_cost[unit] for unit, amount in plan.most.items()):
        return OPEN
    limit = "" if max_cost is None else f", more than --max-cost of {total(max_cost)}"
    return GateDecision(
        "ask", "consent", f"this build costs {_at_most(plan)}{total(plan.most)}{limit}; pass --yes, or --max-cost AMOUNT"
    )


def money(unit: str, amount: Decimal) -> str:
    """An amount with its unit as a person reads it: dollars with at least two places."""
    if unit != "usd":
        return f"{amount.normalize():f} {unit} credits"
    places = max(2, -int(amount.normalize().as_tuple().exponent))
    return f"{amount:.{places}f} USD"


def total(price: Mapping[str, Decimal]) -> str:
    """All amounts of a price, "nothing" when there is none."""
    return " + ".join(money(unit, amount) for unit, amount in price.items()) or "nothing"
