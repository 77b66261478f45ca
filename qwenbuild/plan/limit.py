"""The part of a plan that `--limit N` lets through: N paid pictures, spread over the assets, and what only these cost.

Decides which, and no verdict: what is left for a later build says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from qwenbuild.model import CandidatePlan, Plan, Reason, Step, Verdict
from qwenbuild.plan.facts import Observed
from qwenbuild.plan.money import cost_of, count_unexplained, purchases, seconds_of

LEFT = "left"
"""The count of entries none of whose pictures this build may buy."""

Queue = list[tuple[Step, CandidatePlan]]


def limit_plan(plan: Plan, limit: int, seen: Observed) -> Plan:
    """`plan` as a run that buys at most `limit` pictures carries it out: cost, time and brake are of these alone."""
    allowed = spread(plan, limit)
    steps = tuple(_limited(step, allowed) for step in plan.steps)
    left = sum(_is_left(step, allowed) for step in plan.steps)
    cost, unknown = cost_of(steps)
    return replace(
        plan,
        steps=steps,
        cost=cost,
        unknown_price=unknown,
        seconds=seconds_of(steps, allowed),
        counts={**plan.counts, Verdict.GENERATE.value: plan.counts.get(Verdict.GENERATE.value, 0) - left, LEFT: left},
        unexplained=count_unexplained(steps, seen),
        allowed=allowed,
        further_cost={},
    )


def spread(plan: Plan, limit: int) -> frozenset[str]:
    """The names (`Step.name_of`) of the pictures that may be bought: one from each asset in turn, and of an entry the one
    that its files are made from first. What builds on a picture that is left for later is left for later as well.
    """
    steps = {step.id: step for step in plan.steps}
    by_asset: dict[str, Queue] = {}
    for step, picture in purchases(plan.steps):
        by_asset.setdefault(step.keyed.entry.asset, []).append((step, picture))
    queues = [sorted(queue, key=_is_spare) for queue in by_asset.values()]
    chosen: set[str] = set()
    waiting = True
    while waiting and len(chosen) < limit:
        waiting = False
        for queue in queues:
            at = next((at for at, (step, _) in enumerate(queue) if _has_inputs(step, steps, chosen)), None)
            if at is not None and len(chosen) < limit:
                step, picture = queue.pop(at)
                chosen.add(step.name_of(picture.candidate))
                waiting = True
    return frozenset(chosen)


def _is_spare(item: tuple[Step, CandidatePlan]) -> bool:
    """Whether no file is made from the picture: it only stands to choice."""
    step, picture = item
    return step.candidates[step.used].candidate.seed != picture.candidate.seed


def _has_inputs(step: Step, steps: Mapping[str, Step], chosen: set[str]) -> bool:
    """Whether every picture that the entry builds on is there, or is bought in this build."""
    inputs = [steps[ref.entry] for ref in step.keyed.entry.inputs if ref.entry and ref.entry in steps]
    used = [(one, one.candidates[one.used]) for one in inputs]
    return all(plan.verdict is not Verdict.GENERATE or one.name_of(plan.candidate) in chosen for one, plan in used)


def _is_left(step: Step, allowed: frozenset[str]) -> bool:
    bought = [plan for plan in step.candidates if plan.verdict is Verdict.GENERATE]
    return step.verdict is Verdict.GENERATE and not any(step.name_of(plan.candidate) in allowed for plan in bought)


def _limited(step: Step, allowed: frozenset[str]) -> Step:
    """The step without the prices of what it may not buy now."""
    if step.verdict is not Verdict.GENERATE:
        return step
    candidates = tuple(
        replace(plan, price={}) if plan.verdict is Verdict.GENERATE and step.name_of(plan.candidate) not in allowed else plan
        for plan in step.candidates
    )
    reasons = (Reason("limit"), *step.reasons) if _is_left(step, allowed) else step.reasons
    return replace(step, candidates=candidates, reasons=reasons)
