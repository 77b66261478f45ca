"""A plan as JSON, version 1: one entry a line, in the manifest's order, so that it streams and greps.

Knows the interface's names and order of keys; decides nothing and rounds nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any, Protocol, runtime_checkable

from qwenbuild.model import AtlasPlan, CandidatePlan, Plan, Price, Reason, Step
from qwenbuild.report.words import price_json, total

SUMMARY = (
    "fresh",
    "restore",
    "resume",
    "recover",
    "doubt",
    "refused",
    "generate",
    "derive",
    "modified",
    "held",
    "orphan",
)
"""The counts of a plan's summary, in the order they are printed."""


@runtime_checkable
class Telling(Protocol):
    """Steps that know the text of the fresh ones without making them."""

    def texts(self, one: Callable[[Step], str]) -> Iterator[str]:
        """The text of each step; `one` gives it for a step that there is."""


def plan_json(plan: Plan) -> Iterator[str]:
    """The text of `plan --json`, in pieces; joined they are one JSON object and a final newline."""
    yield '{"v": 1, "entries": ['
    between = "\n"
    for text in plan.steps.texts(step_text) if isinstance(plan.steps, Telling) else map(step_text, plan.steps):
        yield between + text
        between = ",\n"
    atlases = f'"atlases": {json.dumps([atlas_json(atlas) for atlas in plan.atlases])}, ' if plan.atlases else ""
    yield f'\n], {atlases}"summary": {json.dumps(summary_json(plan))}}}\n'


def step_text(step: Step) -> str:
    """One entry of the plan on one line."""
    return json.dumps(step_json(step))


def step_json(step: Step) -> dict[str, Any]:
    """One entry of the plan."""
    entry = step.keyed.entry
    used = step.candidates[step.used].candidate
    return {
        "id": entry.id,
        "asset": entry.asset,
        "verdict": step.verdict.value,
        "held": step.held,
        "reasons": [reason_json(reason) for reason in step.reasons],
        "key": used.key,
        "provider": entry.provider,
        "model": used.action.model,
        "prompt": entry.prompt,
        "price": price_json(step_price(step)),
        "candidates": [_candidate_json(candidate) for candidate in step.candidates],
        "outputs": [{"path": output.spec.path, "verdict": output.verdict.value} for output in step.outputs],
    }


def atlas_json(atlas: AtlasPlan) -> dict[str, Any]:
    """One atlas of the plan; only manifests with atlases have the list."""
    return {
        "name": atlas.name,
        "verdict": atlas.verdict.value,
        "members": len(atlas.members),
        "outputs": list(atlas.outputs),
        "reason": atlas.reason,
    }


def summary_json(plan: Plan) -> dict[str, Any]:
    """The counts, the cost by unit and the estimate in seconds. `failed` is there only when something failed its checks: a
    manifest without checks has the summary of version 1 to the letter.
    """
    counts: dict[str, Any] = {name: plan.counts.get(name, 0) for name in SUMMARY}
    if plan.counts.get("failed"):
        counts["failed"] = plan.counts["failed"]
    if plan.allowed is not None:
        counts["left"] = plan.counts.get("left", 0)
    if plan.further_cost:
        counts["most"] = price_json(plan.most)
    return counts | {"cost": price_json(plan.cost), "unknown_price": plan.unknown_price, "seconds": round(plan.seconds)}


def step_price(step: Step) -> Price | None:
    """What an entry costs: its candidates' prices added up; None when one of them is unknown."""
    if len(step.candidates) == 1:
        return step.candidates[0].price
    prices = [candidate.price for candidate in step.candidates]
    known_prices = [price for price in prices if price is not None]
    return total(known_prices) if len(known_prices) == len(prices) else None


def reason_json(reason: Reason) -> dict[str, Any]:
    """A reason; what it does not say is left out."""
    fields: dict[str, Any] = {"code": reason.code}
    if reason.field:
        fields["field"] = reason.field
    if reason.old is not None or reason.new is not None or reason.code == "changed":
        fields |= {"old": _plain(reason.old), "new": _plain(reason.new)}
    return fields


def _candidate_json(planned: CandidatePlan) -> dict[str, Any]:
    return {
        "key": planned.candidate.key,
        "seed": planned.candidate.seed,
        "verdict": planned.verdict.value,
        "price": price_json(planned.price),
    }


def _plain(value: Any) -> Any:
    """A value that JSON can hold: what it cannot is its text."""
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    return str(value)
