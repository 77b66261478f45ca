"""Decide for every entry and file what will happen, why, and what it costs: one pure function, from facts to a value.

Knows no disk, no clock and no network; what is true of them stands in Observed, and `build` does what the Plan says.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from qwenbuild.model import Keyed, Plan, Step
from qwenbuild.plan.choices import best_index, same_request
from qwenbuild.plan.entries import in_order, picture_digest, plan_entry, substituted
from qwenbuild.plan.facts import Facts, Observed, Rank, SetFacts, UntouchedEntries, Wishes, lock_digests, orphan_keys, rank_of
from qwenbuild.plan.files import implied_steps, marks_of, media_type_for, output_recipe
from qwenbuild.plan.limit import limit_plan
from qwenbuild.plan.money import cost_of, count_unexplained, counts_of, further_cost, priced, purchases, seconds_of, step_price
from qwenbuild.plan.orphans import find_orphans
from qwenbuild.plan.pictures import overruled

__all__ = [
    "Observed",
    "Rank",
    "SetFacts",
    "UntouchedEntries",
    "Wishes",
    "best_index",
    "facts_of",
    "implied_steps",
    "limit_plan",
    "make_plan",
    "marks_of",
    "media_type_for",
    "output_recipe",
    "overruled",
    "picture_digest",
    "plan_one",
    "purchases",
    "rank_of",
    "same_request",
    "step_price",
    "substituted",
]


def facts_of(seen: Observed, wishes: Wishes, everything: Iterable[Keyed]) -> Facts:
    """What a plan asks again and again, worked out once."""
    ids = {keyed.entry.id for keyed in everything} if seen.lock else set[str]()
    return Facts(seen, wishes, frozenset(seen.files.values()), lock_digests(seen.lock), orphan_keys(seen.lock, ids))


def plan_one(keyed: Keyed, facts: Facts) -> Step:
    """The step of one entry whose inputs are known."""
    return plan_entry(keyed, facts, {}, ())


def make_plan(
    selected: Sequence[Keyed], seen: Observed, wishes: Wishes | None = None, everything: Iterable[Keyed] | None = None
) -> Plan:
    """The Plan for the `selected` entries, in their order; `everything` are all entries of the manifest when that is more."""
    whole = list(everything) if everything is not None else selected
    facts = facts_of(seen, wishes or Wishes(), whole)
    steps = priced(in_order(selected, facts))
    complete = len(whole) == len(selected) and not seen.untouched.left
    orphans = tuple(find_orphans(whole, facts, {step.moved_from for step in steps})) if complete else ()
    cost, unknown = cost_of(steps)
    return Plan(
        steps=steps,
        orphans=orphans,
        cost=cost,
        unknown_price=unknown,
        seconds=seconds_of(steps),
        counts=counts_of(steps, orphans),
        unexplained=count_unexplained(steps, seen),
        further_cost=further_cost(steps),
    )
