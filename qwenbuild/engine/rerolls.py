"""After a run: where a picture is not as expected, the entry's next seed is drawn, within the price that the plan named.

Decides nothing: the plan is made again with what the checks found, for the entries concerned alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal

from qwenbuild.engine.context import world_again
from qwenbuild.engine.verdicts import judge_sets
from qwenbuild.errors import QwenbuildError
from qwenbuild.model import OutcomeKind, Price, Step, Verdict
from qwenbuild.planning.planner import Planned, make
from qwenbuild.ports import Event
from qwenbuild.project.options import Options
from qwenbuild.run import RunResult, World, run
from qwenbuild.tree import TreeFile

BUSY = (Verdict.GENERATE, Verdict.RESUME, Verdict.RECOVER, Verdict.RESTORE, Verdict.DERIVE)
ROUNDS = 12
"""At the most; `attempts` ends it before."""


def draw_again(
    planned: Planned, options: Options, result: RunResult, world: World, placed: dict[str, TreeFile]
) -> tuple[Planned, RunResult]:
    """The plan and the result with every further attempt that this build may make."""
    left = {step.id: step.further for step in planned.plan.busy if step.further}
    if not left or options.limit is not None or options.shard or options.offline or options.locked:
        return planned, result
    for _ in range(ROUNDS):
        failing = _failing(planned, result, left)
        if not failing or result.interrupted or result.stops:
            break
        again = _planned_again(planned, options, result, failing)
        if again is None:
            break
        for step in again.plan.busy:
            if step.id in failing:
                left[step.id] -= 1
                words = f"{failing[step.id]}; drawn again with seed {step.candidates[step.used].candidate.seed}"
                world.reporter.event(Event("message", step.id, {"text": words}))
        more = run(again.plan, world_again(world, again, options, placed))
        planned, result = _merged(planned, again), _joined(result, more)
    return planned, result


def _failing(planned: Planned, result: RunResult, left: Mapping[str, int]) -> dict[str, str]:
    """The entries whose picture is not as expected, by itself or beside others, and that may be drawn again; with why."""
    faults = {
        id: outcome.message
        for id, outcome in result.outcomes.items()
        if outcome.code == "expect" and (outcome.published is None or outcome.published.record is None)
    }
    faults |= {failure.entry: failure.message for failure in judge_sets(planned, result.records).failures}
    return {id: why for id, why in faults.items() if left.get(id, 0) > 0}


def _planned_again(planned: Planned, options: Options, result: RunResult, failing: Mapping[str, str]) -> Planned | None:
    """The plan of the failing entries, and of those that waited for them; None when nothing is left to be done."""
    waiting = {id for id, outcome in result.outcomes.items() if outcome.kind is OutcomeKind.SKIPPED and outcome.code == "input"}
    lock = planned.loaded.lock
    loaded = replace(planned.loaded, lock=replace(lock, entries={**lock.entries, **result.records}))
    ids = frozenset({*failing, *waiting})
    try:
        again = make(loaded, replace(options, force=False, retry_failed=False), only=ids)
    except (QwenbuildError, OSError):
        return None
    steps = tuple(step for step in again.plan.busy if step.id in ids and step.verdict in BUSY)
    if not any(step.id in failing for step in steps):
        return None
    return replace(again, plan=replace(again.plan, steps=steps, looked_at=None, orphans=(), atlases=()))


def _merged(planned: Planned, again: Planned) -> Planned:
    steps: dict[str, Step] = {step.id: step for step in again.plan.busy}
    busy = tuple(steps.get(step.id, step) for step in planned.plan.busy)
    return replace(planned, plan=replace(planned.plan, looked_at=busy))


def _joined(first: RunResult, more: RunResult) -> RunResult:
    return replace(
        more,
        outcomes={**first.outcomes, **more.outcomes},
        stops=(*first.stops, *more.stops),
        spent=_sum(first.spent, more.spent),
        bought=first.bought + more.bought,
        doubts=(*first.doubts, *more.doubts),
    )


def _sum(first: Price, more: Price) -> Price:
    return {unit: first.get(unit, Decimal(0)) + more.get(unit, Decimal(0)) for unit in {**first, **more}}
