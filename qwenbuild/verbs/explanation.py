"""Everything that determines one entry's picture, and how it stands.

Knows no network; nothing here spends.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from qwenbuild.errors import InputError, Problem
from qwenbuild.key import document
from qwenbuild.lock import layout
from qwenbuild.model import LockEntry, OutputPlan, Reason, Step
from qwenbuild.nearmiss import did_you_mean
from qwenbuild.planning.check_status import known_sets, verdicts_of_entry
from qwenbuild.planning.planner import Planned, plan
from qwenbuild.project.options import Options
from qwenbuild.report.explain_text import picture_facts
from qwenbuild.report.words import verdict_words
from qwenbuild.select import nearest


@dataclass(frozen=True, slots=True)
class Explanation:
    """Everything that determines one entry's picture, and how it stands."""

    id: str
    action: Mapping[str, Any]
    key: str
    lock: Mapping[str, Any] | None
    reasons: tuple[Reason, ...]
    outputs: tuple[OutputPlan, ...]
    facts: Mapping[str, Any] = field(default_factory=dict)


def explain(options: Options, entry_id: str) -> Explanation:
    """The Action of one entry, its key, and what changed. Raises InputError with the near miss for an unknown id."""
    planned = plan(replace(options, select=()))
    step = next((step for step in planned.plan.steps if step.id == entry_id), None)
    if step is None:
        raise _unknown(entry_id, [step.id for step in planned.plan.steps])
    used = step.candidates[step.used]
    record = planned.loaded.lock.entries.get(step.moved_from or step.id)
    return Explanation(
        id=step.id,
        action=document(used.candidate.action),
        key=used.candidate.key,
        lock=None if record is None else layout.record(record),
        reasons=step.reasons,
        outputs=step.outputs,
        facts={
            **_facts(planned, used.candidate.key, used.digest),
            **_candidates(step, record),
            **_checks(planned, step, record),
            **_note(record),
        },
    )


def _unknown(entry_id: str, ids: list[str]) -> InputError:
    near = nearest(entry_id, ids)
    hint = did_you_mean(near, quote="") or "`qwenbuild plan -v` lists all entries"
    message = f"there is no entry {entry_id!r}"
    return InputError(message, code="unknown-entry", problems=(Problem("unknown-entry", message, hint=hint),))


def _facts(planned: Planned, key: str, digest: str) -> dict[str, Any]:
    """What the receipt says of the picture in use."""
    result = next((r for r in planned.cache.results([key]).get(key, ()) if r.digest == digest), None)
    if result is None:
        return {}
    return picture_facts(result)


def _candidates(step: Step, record: LockEntry | None) -> dict[str, str]:
    """The candidates by their numbers, where there is anything to choose."""
    if len(step.candidates) == 1 and not (record and (record.picked or record.rejected)):
        return {"approved": "yes"} if step.approved else {}
    lines = {f"candidate {number + 1}": _candidate(step, number, record) for number in range(len(step.candidates))}
    return {**lines, "approved": "yes"} if step.approved else lines


def _checks(planned: Planned, step: Step, record: LockEntry | None) -> dict[str, str]:
    """What each check found of the picture in use and its files, a line each."""
    picture = step.candidates[step.used].digest
    verdicts = verdicts_of_entry(planned, step, picture, record, known_sets(planned)) or ()
    lines: dict[str, str] = {}
    for item in verdicts:
        words = verdict_words(item.verdict)
        words = f"{item.path}: {words}" if item.path else words
        lines[item.verdict.check] = f"{lines[item.verdict.check]}; {words}" if item.verdict.check in lines else words
    return lines


def _note(record: LockEntry | None) -> dict[str, str]:
    return {"note": record.note} if record is not None and record.note else {}


def _candidate(step: Step, number: int, record: LockEntry | None) -> str:
    plan = step.candidates[number]
    rejected = record is not None and plan.candidate.key in record.rejected
    states = {
        "in use": number == step.used and bool(plan.digest),
        "picked": record is not None and plan.candidate.key == record.picked,
        "rejected": rejected,
        plan.verdict.value: plan.verdict.value != "fresh",
    }
    words = ", ".join(name for name, holds in states.items() if holds)
    return f"seed {plan.candidate.seed}  {plan.digest[:12] or 'not made'}" + (f"  ({words})" if words else "")


# ---------------------------------------------------------------- orphans


# ---------------------------------------------------------------- clean
