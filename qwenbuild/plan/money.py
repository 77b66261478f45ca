"""What the steps of a plan cost, how long they take, how many there are of each kind.

Decides nothing.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import replace
from decimal import Decimal

from qwenbuild.model import CandidatePlan, Keyed, Orphan, Price, Step, Verdict
from qwenbuild.plan.explanations import unexplained
from qwenbuild.plan.facts import Observed

LOCAL_S = 0.07
"""Seconds that this machine takes for a picture, to check it and to make its files: what counts where drawing is quick."""


def priced(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    """Entries that share a key pay once: the first in order carries the price."""
    seen: set[str] = set()
    return tuple([_priced_step(step, seen) for step in steps]) if any(step.keyed.price != {} for step in steps) else steps


def _priced_step(step: Step, seen: set[str]) -> Step:
    shared = False
    for plan in step.candidates:
        if plan.verdict is Verdict.GENERATE and plan.candidate.key:
            shared = shared or plan.candidate.key in seen
    if not shared:
        seen.update(plan.candidate.key for plan in step.candidates if plan.verdict is Verdict.GENERATE)
        return step
    candidates = []
    for plan in step.candidates:
        twin = plan.verdict is Verdict.GENERATE and plan.candidate.key in seen
        candidates.append(replace(plan, price={}) if twin else plan)
        seen.add(plan.candidate.key)
    return replace(step, candidates=tuple(candidates))


def step_price(step: Step) -> Price | None:
    """What the entry costs in this plan; None when any of it is unknown."""
    total, unknown = cost_of((step,))
    return None if unknown else total


def cost_of(steps: Iterable[Step]) -> tuple[dict[str, Decimal], int]:
    """The sum by unit, and how many pictures have no known price."""
    total: dict[str, Decimal] = {}
    unknown = 0
    for step in steps:
        for plan in step.candidates:
            if plan.price is None:
                unknown += 1
                continue
            for unit, amount in plan.price.items():
                total[unit] = total.get(unit, Decimal(0)) + amount
    return total, unknown


def further_cost(steps: Iterable[Step]) -> dict[str, Decimal]:
    """What every further attempt would cost, by unit; one without a known price is in the count of those already."""
    total: dict[str, Decimal] = {}
    for step in steps:
        if step.further:
            for unit, amount in (step.keyed.price or {}).items():
                total[unit] = total.get(unit, Decimal(0)) + step.further * amount
    return total


def purchases(steps: Iterable[Step]) -> Iterator[tuple[Step, CandidatePlan]]:
    """Every picture the plan buys, once for each key, in order."""
    seen: set[str] = set()
    for step in steps:
        for plan in step.candidates:
            key = plan.candidate.key
            if plan.verdict is Verdict.GENERATE and (not key or key not in seen):
                seen.add(key)
                yield step, plan


def seconds_of(steps: Sequence[Step], allowed: Container[str] | None = None) -> float:
    """How long the purchases take at the providers' limits, at the least; providers work side by side.

    `allowed` are the pictures that may be bought, by their names in their steps; None: all.
    """
    lanes: dict[tuple[str, str], tuple[int, Keyed]] = {}
    pictures = 0
    for step, plan in purchases(steps):
        if allowed is not None and step.name_of(plan.candidate) not in allowed:
            continue
        pictures += 1
        lane = (step.keyed.entry.provider, plan.candidate.action.model)
        count, _ = lanes.get(lane, (0, step.keyed))
        lanes[lane] = (count + 1, step.keyed)
    return max((pictures * LOCAL_S, *(_lane_seconds(count, keyed) for count, keyed in lanes.values())))


def _lane_seconds(count: int, keyed: Keyed) -> float:
    by_rate = (count - 1) / keyed.rps if keyed.rps else 0.0
    rounds = -(-count // keyed.in_flight) if keyed.in_flight else 1
    return max(by_rate + keyed.seconds, rounds * keyed.seconds)


def counts_of(steps: Sequence[Step], orphans: Sequence[Orphan]) -> dict[str, int]:
    """How many entries show each verdict, and how many are held or orphaned."""
    counts = {verdict.value: 0 for verdict in Verdict}
    for step in steps:
        counts[step.verdict.value] += 1
    counts["held"] = sum(step.held for step in steps)
    counts["orphan"] = len(orphans)
    return counts


def count_unexplained(steps: Sequence[Step], seen: Observed) -> int:
    """Pictures that cost something and that the manifest does not explain."""
    return unexplained([(step, plan) for step, plan in purchases(steps) if plan.price != {}], steps, seen)
