"""What `--locked` refuses: entries whose picture, key, recipe or digest is not the one the lockfile names.

Knows no disk: it compares a plan with the records it was made from.
"""

from __future__ import annotations

from qwenbuild.build.loading import Planned
from qwenbuild.model import LockEntry, LockOutput, OutputPlan, Step, Verdict

CANNOT = (Verdict.GENERATE, Verdict.DOUBT, Verdict.REFUSED, Verdict.RECOVER)


def drift(planned: Planned) -> list[str]:
    """Ids of the entries that a locked build must not make, in order."""
    lock = planned.loaded.lock.entries
    drifted = [step.id for step in planned.plan.steps if _drifts(step, lock.get(step.id))]
    return [*drifted, *_drifted_atlases(planned)]


def _drifted_atlases(planned: Planned) -> list[str]:
    """Atlases whose members or options are not what the lockfile's sheets were made of."""
    found = []
    for plan in planned.plan.atlases:
        record = planned.loaded.lock.atlases.get(plan.name)
        recipes = {output.recipe for output in record.outputs.values() if not output.orphan} if record else set()
        if plan.verdict is Verdict.DERIVE and recipes != {plan.recipe}:
            found.append(f"atlas:{plan.name}")
    return found


def _drifts(step: Step, record: LockEntry | None) -> bool:
    if record is None:
        return True
    if any(plan.verdict in CANNOT for plan in step.candidates):
        return True
    used = step.candidates[step.used]
    if used.candidate.key != record.key or (used.digest and used.digest != record.digest):
        return True
    return any(_output_drifts(output, record.outputs.get(output.spec.path)) for output in step.outputs)


def _output_drifts(output: OutputPlan, locked: LockOutput | None) -> bool:
    if output.verdict is Verdict.MODIFIED or not output.source:
        return locked is None
    return locked is None or locked.orphan or locked.recipe != output.recipe
