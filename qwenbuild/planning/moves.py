"""What it would cost to move entries to the models that take the place of retiring ones.

Decides nothing and changes no manifest.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from qwenbuild import gate, resolve
from qwenbuild.errors import Problem
from qwenbuild.model import Entry
from qwenbuild.planning.planner import Planned

RETIRING = frozenset({"model-retired", "model-retires"})
"""Notices of models that are, or soon will be, no more."""


@dataclass(slots=True)
class Alike:
    """Pictures that have one price: an entry that stands for them, and how many they are."""

    sample: Entry
    count: int = 0


def moves(planned: Planned) -> Iterator[Problem]:
    """A notice for each retiring model in use whose vendor names another: how many pictures, and their price there.

    Approved pictures stay, whatever draws the others.
    """
    if not any(notice.code in RETIRING for notice in planned.loaded.notices):
        return
    for (family, model), groups in _in_use(planned).items():
        row = planned.loaded.catalog.find(family, model, allow_unknown=True)
        if row is not None and row.retires and row.replacement:
            count = sum(group.count for group in groups)
            words = f"{count:,} pictures" if count > 1 else "1 picture"
            command = f"`qwenbuild migrate --model {model}={row.replacement}`"
            cost = _cost(planned, row.replacement, groups)
            yield Problem("model-move", f"moving {words} from {model} to {row.replacement} would cost {cost}: {command}")


def _in_use(planned: Planned) -> dict[tuple[str, str], list[Alike]]:
    """The pictures of each family and model, by what they share."""
    groups: dict[tuple[str, str], dict[tuple[str, ...], Alike]] = {}
    for step in planned.plan.steps:
        if not step.approved:
            entry, action = step.keyed.entry, step.candidates[0].candidate.action
            shared = entry.asset, entry.provider, entry.model or "", repr(entry.params)
            alike = groups.setdefault((action.family, action.model), {}).setdefault(shared, Alike(entry))
            alike.count += len(step.candidates)
    return {name: list(each.values()) for name, each in groups.items()}


def _cost(planned: Planned, model: str, groups: list[Alike]) -> str:
    """The price of the pictures under another model, as a person reads it."""
    total: dict[str, Decimal] = {}
    unknown = 0
    for group in groups:
        inputs = _inputs(planned, group.sample.asset)
        price = resolve.price_under(model, group.sample, inputs, planned.manifest, planned.loaded.catalog)
        unknown += group.count if price is None else 0
        for unit, amount in (price or {}).items():
            total[unit] = total.get(unit, Decimal(0)) + amount * group.count
    more = f"{unknown:,} at an unknown price" if unknown else ""
    return f"{gate.total(total)} and {more}" if total and more else more or gate.total(total)


def _inputs(planned: Planned, name: str) -> int:
    """How many reference images an asset's entries have: as many as are written, for each is one file or one entry."""
    own_inputs = next((asset.inputs for asset in planned.manifest.assets if asset.name == name), None)
    return len(own_inputs if own_inputs is not None else planned.manifest.defaults.inputs or ())
