"""What `--limit` lets through of a plan, and which purchases count for the brake: picture by picture."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from qwenbuild.key import short_document
from qwenbuild.model import InputRef, Keyed, LockEntry, Plan
from qwenbuild.plan import Observed, UntouchedEntries, Wishes, limit_plan
from tests.test_plan import ACTION, FRESH, KEY, LOCK, OTHER, PICTURE, PRICE, STRANGER, keyed, plan, record, result
from tests.test_plan_choices import OLD, THIRD, wanted
from tests.test_plan_inputs import FILE, built, mixed
from tests.test_plan_pictures import BLUE, builder, why


def many(*ids: str) -> list[Keyed]:
    """New entries, each with a picture of its own."""
    return [keyed(id, replace(ACTION, seed=at)) for at, id in enumerate(ids)]


def bought(made: Plan, limit: int, seen: Observed | None = None) -> list[tuple[str, int]]:
    """Entry and seed of what a limited build may buy."""
    cut = limit_plan(made, limit, seen or Observed())
    assert cut.allowed is not None
    return [(s.id, c.candidate.seed) for s in cut.steps for c in s.candidates if s.name_of(c.candidate) in cut.allowed]


def ids(made: Plan, limit: int) -> list[str]:
    return [id for id, _ in bought(made, limit)]


# ---------------------------------------------------------------- which pictures


@pytest.mark.parametrize(
    ("limit", "taken"),
    [
        (0, []),
        (1, ["a/1"]),
        (2, ["a/1", "b/1"]),
        (3, ["a/1", "b/1", "c"]),
        (4, ["a/1", "a/2", "b/1", "c"]),
        (5, ["a/1", "a/2", "b/1", "b/2", "c"]),
        (6, ["a/1", "a/2", "a/3", "b/1", "b/2", "c"]),
        (9, ["a/1", "a/2", "a/3", "b/1", "b/2", "c"]),
    ],
)
def test_each_asset_gets_a_picture_before_any_gets_a_second(limit: int, taken: list[str]) -> None:
    assert ids(plan(Observed(), None, *many("a/1", "a/2", "a/3", "b/1", "b/2", "c")), limit) == taken


def test_of_an_asset_every_entrys_own_picture_comes_before_one_that_only_stands_to_choice() -> None:
    first = wanted(7, 8)
    first = replace(first, entry=replace(first.entry, id="a/1"))
    second = keyed("a/2", replace(ACTION, seed=20))
    made = plan(Observed(), None, first, second)
    assert [bought(made, limit) for limit in (1, 2, 3)] == [
        [("a/1", 7)],
        [("a/1", 7), ("a/2", 20)],
        [("a/1", 7), ("a/1", 8), ("a/2", 20)],
    ]


def test_the_picked_candidate_is_bought_before_those_beside_it() -> None:
    seen = Observed(lock={"a": record(picked=THIRD)})
    made = plan(seen, None, wanted(7, 8, 9))
    assert (made.cost, bought(made, 1)) == ({"usd": 2 * PRICE["usd"]}, [("a", 9)])


def test_what_builds_on_a_picture_that_is_left_is_left_as_well() -> None:
    made = plan(Observed(), None, builder("b"), keyed("a"))
    assert [ids(made, limit) for limit in (1, 2)] == [["a"], ["b", "a"]]
    chain = plan(Observed(), None, builder("c", "b"), builder("b"), keyed("a"))
    assert [ids(chain, limit) for limit in (1, 2, 3)] == [["a"], ["b", "a"], ["c", "b", "a"]]


def test_every_input_has_to_be_there_and_not_only_one() -> None:
    both = builder("c")
    both = replace(both, entry=replace(both.entry, inputs=(InputRef(entry="a"), InputRef(entry="b"), InputRef(file="r.png"))))
    made = plan(Observed(), None, both, *many("a", "b"))
    assert [ids(made, limit) for limit in (1, 2, 3)] == [["a"], ["a", "b"], ["c", "a", "b"]]


def test_what_builds_on_a_picture_that_is_there_or_not_planned_may_be_bought() -> None:
    assert ids(plan(FRESH, None, builder("b"), keyed()), 1) == ["b"]
    assert ids(plan(Observed(), None, builder("b")), 1) == ["b"]


def test_a_picture_that_two_entries_share_counts_once() -> None:
    made = plan(Observed(), None, keyed("a"), keyed("b"), keyed("c", replace(ACTION, seed=8)))
    assert ids(made, 2) == ["a", "b", "c"]
    assert limit_plan(made, 2, Observed()).cost == {"usd": 2 * PRICE["usd"]}


# ---------------------------------------------------------------- what it costs, and what is left


def test_a_limited_plan_costs_only_what_it_buys_and_counts_what_it_leaves() -> None:
    seen = Observed(once={"x"})
    made = limit_plan(plan(seen, None, *many("a/1", "a/2", "a/3")), 1, seen)
    assert (made.cost, made.unknown_price, made.seconds) == (PRICE, 0, 15.0)
    assert (made.counts["generate"], made.counts["left"]) == (1, 2)
    assert [[each.price for each in one.candidates] for one in made.steps] == [[PRICE], [{}], [{}]]
    assert [[code for code, *_ in why(one)] for one in made.steps] == [["new"], ["limit", "new"], ["limit", "new"]]
    everything = limit_plan(plan(seen, None, *many("a/1", "a/2", "a/3")), 3, seen)
    assert (everything.cost, everything.counts["generate"], everything.counts["left"]) == ({"usd": 3 * PRICE["usd"]}, 3, 0)
    assert [code for one in everything.steps for code, *_ in why(one)] == ["new"] * 3


def test_an_entry_some_of_whose_pictures_are_bought_is_not_left() -> None:
    made = limit_plan(plan(Observed(), None, wanted(7, 8)), 1, Observed())
    assert (made.counts["generate"], made.counts["left"], made.cost) == (1, 0, PRICE)
    assert [each.price for each in made.steps[0].candidates] == [PRICE, {}]
    assert "limit" not in [code for code, *_ in why(made.steps[0])]


def test_an_entry_is_left_though_another_one_buys_the_picture_again_that_it_has() -> None:
    again = plan(FRESH, Wishes(forced={"b"}), keyed("b"), wanted(7, 8))
    made = limit_plan(again, 1, FRESH)
    assert (made.allowed, made.counts["generate"], made.counts["left"]) == (frozenset({KEY}), 1, 1)


def test_what_is_fresh_or_restored_is_not_left_by_a_limit() -> None:
    made = limit_plan(plan(FRESH, None, keyed(), *many("b")), 0, FRESH)
    assert (made.counts["fresh"], made.counts["generate"], made.counts["left"], made.cost) == (1, 0, 1, {})
    assert why(made.steps[0]) == []


def test_a_picture_of_unknown_price_that_is_left_is_not_unknown() -> None:
    items = [replace(one, price=None) for one in many("a/1", "a/2")]
    made = limit_plan(plan(Observed(), None, *items), 1, Observed())
    assert (made.unknown_price, made.cost) == (1, {})


def test_a_limit_brakes_only_on_what_it_buys() -> None:
    lock = {id: record(replace(ACTION, seed=at), outputs={}) for at, id in enumerate(("a/1", "a/2", "a/3"))}
    seen = Observed(lock=lock)
    made = plan(seen, None, *many("a/1", "a/2", "a/3"))
    assert (made.unexplained, limit_plan(made, 2, seen).unexplained) == (3, 2)


# ---------------------------------------------------------------- what explains a purchase


@pytest.mark.parametrize(
    ("seeds", "said", "unexplained"),
    [((7, 8), 2, 0), ((7, 8), 1, 1), ((6, 7), 2, 1), ((7, 8, 9), 2, 1), ((7,), 1, 0)],
)
def test_only_the_seeds_that_the_manifest_asks_for_explain_a_purchase(
    seeds: tuple[int, ...], said: int, unexplained: int
) -> None:
    assert plan(Observed(), None, wanted(*seeds, said=said)).unexplained == unexplained


@pytest.mark.parametrize(
    ("lock", "wishes", "unexplained"),
    [
        (record(BLUE), Wishes(), 0),
        (record(), Wishes(), 1),
        (record(), Wishes(forced={"a"}), 0),
        (record(replace(ACTION, seed=9)), Wishes(), 0),
        (record(rejected=(KEY,)), Wishes(), 1),
        (record(key=OLD), Wishes(), 1),
    ],
    ids=["another prompt", "lost", "forced", "another seed", "rejected and lost", "a key that nothing explains"],
)
def test_a_reason_that_says_so_explains_a_purchase_and_nothing_else_does(
    lock: LockEntry, wishes: Wishes, unexplained: int
) -> None:
    made = plan(Observed(lock={"a": lock}), wishes)
    assert (made.cost, made.unexplained) == (PRICE, unexplained)


def test_neither_the_tables_new_value_nor_a_lost_pick_explains_a_purchase() -> None:
    moved = {"a": record(replace(ACTION, size="1*1"))}
    assert plan(Observed(lock=moved), None, keyed(earlier={"size": ("1*1",)})).unexplained == 1
    assert plan(Observed(lock=moved), None, keyed()).unexplained == 0
    picked = plan(Observed(lock={"a": record(picked=THIRD, candidates={THIRD: OTHER})}), None, wanted(7, 9))
    assert (why(picked.steps[0])[0], picked.unexplained) == (("lost", "", None, None), 1)


def test_a_lost_picture_with_more_variants_is_lost() -> None:
    assert plan(Observed(lock=LOCK), None, wanted(7, 8)).unexplained == 2
    assert plan(FRESH, None, wanted(7, 8)).unexplained == 0


def test_a_new_entry_of_an_asset_that_vanished_is_unexplained_and_of_another_is_not() -> None:
    seen = Observed(once={"a/1"})
    assert plan(seen, None, *many("a/1", "a/2", "b/1")).unexplained == 2
    assert plan(replace(seen, lock={"a/3": record(BLUE)}), None, *many("a/1", "a/2")).unexplained == 0


def test_an_entry_whose_id_does_not_begin_with_its_asset_keeps_the_asset_from_having_vanished() -> None:
    old, new = many("x", "y")
    old, new = (replace(one, entry=replace(one.entry, asset="lanterns")) for one in (old, new))
    locked = {"x": record(old.candidates[0].action)}
    seen = Observed(lock=locked, files={"x.png": PICTURE}, once={"x", "y"})
    assert plan(seen, None, old, new).unexplained == 0
    assert plan(Observed(once={"y"}), None, old, new).unexplained == 2


def test_only_what_is_bought_makes_an_asset_vanish() -> None:
    seen = Observed(results={KEY: (result(),)}, blobs={PICTURE}, once={"a/1"})
    made = plan(seen, None, keyed("a/1"), keyed("a/2", replace(ACTION, seed=8)))
    assert (made.cost, made.unexplained) == (PRICE, 0)
    beside = Observed(once={"a/1"}, untouched=UntouchedEntries(ids={"b/1"}))
    assert plan(beside, None, keyed("a/1")).unexplained == 1


# ---------------------------------------------------------------- inputs


def unexplained(seen: Observed, *items: Keyed) -> int:
    return plan(seen, None, *items).unexplained


def test_an_input_that_is_not_planned_explains_nothing() -> None:
    assert unexplained(Observed(lock={"b": built()}), builder()) == 1


def test_what_builds_on_a_forced_picture_is_explained_by_it() -> None:
    seen = Observed(lock={**LOCK, "b": built()})
    assert plan(seen, Wishes(forced={"a"}), keyed(), builder()).unexplained == 0
    assert unexplained(seen, keyed(), builder()) == 2


def test_an_added_input_explains_a_purchase() -> None:
    bare = replace(builder().candidates[0].action, inputs=())
    lock = {**LOCK, "b": LockEntry(OLD, OTHER, short_document(bare))}
    assert unexplained(replace(FRESH, lock=lock, results={}), keyed(), builder()) == 0


@pytest.mark.parametrize(
    ("inputs", "receipts", "unexplained"),
    [
        (("8" * 64, PICTURE), (), 0),
        ((FILE, "8" * 64), (), 1),
        ((FILE, "8" * 64), (result(OTHER),), 1),
        ((FILE, "8" * 64), (result(OTHER), result()), 0),
        (("8" * 64, "9" * 64), (), 0),
    ],
    ids=["the file changed", "no receipt", "another picture's receipt", "its receipt", "both changed"],
)
def test_a_changed_file_or_a_picture_with_a_receipt_explains_what_builds_on_it(
    inputs: tuple[str, ...], receipts: Any, unexplained: int
) -> None:
    action = replace(mixed().candidates[0].action, inputs=inputs)
    lock = {**LOCK, "b": LockEntry(OLD, STRANGER, short_document(action))}
    seen = replace(FRESH, lock=lock, results={KEY: receipts} if receipts else {})
    made = plan(seen, None, keyed(), mixed())
    assert (made.cost, made.unexplained) == (PRICE, unexplained)


def test_the_time_of_a_limited_plan_is_of_what_it_buys() -> None:
    made = plan(Observed(), None, *many(*(f"a/{at}" for at in range(9))))
    assert (made.seconds, limit_plan(made, 2, Observed()).seconds, limit_plan(made, 0, Observed()).seconds) == (75.0, 15.5, 0.0)
    assert limit_plan(made, 2, Observed()).cost == {"usd": Decimal("0.06")}
