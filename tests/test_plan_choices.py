"""What people chose, as the plan reads it: which candidates stand to choice, which is used, what is still open, what costs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from qwenbuild.key import action_key
from qwenbuild.model import Keyed, Verdict
from qwenbuild.plan import Observed
from tests.test_plan import ACTION, FRESH, KEY, OTHER, PICTURE, PRICE, STRANGER, keyed, plan, record, result, step
from tests.test_plan_details import variants
from tests.test_plan_inputs import built
from tests.test_plan_pictures import BLUE, NEXT, builder, why

THIRD = action_key(replace(ACTION, seed=9))
OLD = action_key(BLUE)
NOT_THERE = "f" * 64


def wanted(*seeds: int, said: int = 0) -> Keyed:
    """An entry with a candidate for each seed, of which the manifest asks for `said`, or all."""
    item = variants(*seeds)
    return replace(item, entry=replace(item.entry, variants=said or len(seeds)))


def seeds(seen: Observed, *of: int, **more: Any) -> list[int]:
    return [one.candidate.seed for one in step(seen, None, wanted(*of, **more)).candidates]


def open_ones(lock: dict[str, Any], item: Keyed, **seen: Any) -> list[tuple[Any, ...]]:
    found = why(step(Observed(lock={"a": record(**lock)}, **seen), None, item))
    return [each for each in found if each[0] in ("unpicked", "pick-void", "rejected")]


# ---------------------------------------------------------------- which stand to choice


@pytest.mark.parametrize(
    ("lock", "offered"),
    [
        ({}, [7]),
        ({"picked": NEXT}, [7, 8]),
        ({"approved": True}, [7, 8]),
        ({"rejected": (KEY,)}, [7, 8]),
        ({"picked": KEY}, [7]),
        ({"rejected": (THIRD,)}, [7]),
        ({"seeds": (9,)}, [7, 9]),
        ({"seeds": (7,)}, [7]),
        ({"seeds": (8,)}, [7, 8]),
        ({"seeds": (8,), "picked": NEXT}, [7, 8]),
    ],
)
def test_a_candidate_that_the_manifest_no_longer_asks_for_stays_only_where_somebody_chose_it(
    lock: dict[str, Any], offered: list[int]
) -> None:
    kept = record(replace(ACTION, seed=8), candidates={KEY: OTHER}, **lock)
    assert seeds(Observed(lock={"a": kept}, blobs={PICTURE, OTHER}), 7) == offered


def test_a_chosen_candidate_that_the_manifest_no_longer_asks_for_is_used_and_free() -> None:
    kept = record(replace(ACTION, seed=8), candidates={KEY: OTHER}, picked=NEXT)
    made = plan(Observed(lock={"a": kept}, files={"a.png": PICTURE}, blobs={PICTURE}))
    used = made.steps[0].candidates[made.steps[0].used]
    assert (used.candidate.seed, used.digest, made.steps[0].verdict, made.cost) == (8, PICTURE, Verdict.FRESH, {})
    assert [one.seed for one in made.steps[0].keyed.candidates] == [7, 8]


def test_a_chosen_picture_of_another_prompt_does_not_stand_to_choice() -> None:
    assert seeds(Observed(lock={"a": record(BLUE, picked=OLD, candidates={KEY: OTHER})}), 7) == [7]
    assert seeds(Observed(lock={"a": record(BLUE, picked=OLD, accepted={KEY: OLD})}), 7) == [7]
    other = replace(BLUE, seed=8)
    assert seeds(Observed(lock={"a": record(other, picked=action_key(other), candidates={KEY: OTHER})}), 7) == [7]


def test_one_rejected_candidate_does_not_bring_back_what_the_manifest_dropped() -> None:
    kept = record(replace(ACTION, seed=8), candidates={KEY: OTHER}, rejected=(KEY,))
    assert seeds(Observed(lock={"a": kept}, blobs={PICTURE, OTHER}), 7, 9) == [7, 9]


def test_a_new_prompt_does_not_pay_for_the_added_candidates_again() -> None:
    changed = Observed(lock={"a": record(BLUE, seeds=(8,))})
    assert plan(changed, None, wanted(7, 8, said=1)).cost == PRICE
    assert plan(changed, None, wanted(7, 8)).cost == {"usd": 2 * PRICE["usd"]}
    picked = Observed(lock={"a": record(BLUE, picked=OLD)})
    assert plan(picked, None, wanted(7, 8, said=1)).cost == {"usd": 2 * PRICE["usd"]}


@pytest.mark.parametrize("lock", [{"candidates": {KEY: OTHER}}, {"accepted": {KEY: OLD}}])
def test_the_added_candidates_stay_while_the_record_knows_the_request(lock: dict[str, Any]) -> None:
    assert seeds(Observed(lock={"a": record(BLUE, seeds=(8,), **lock)}), 7, 8, said=1) == [7, 8]


def test_added_candidates_move_with_a_renamed_entry_and_are_not_paid_for_again() -> None:
    lock = {"old": record(seeds=(7, 9), candidates={THIRD: OTHER}, outputs={})}
    made = plan(Observed(lock=lock, blobs={PICTURE, OTHER}), None, keyed("new"))
    assert [(one.candidate.seed, one.candidate.key, one.digest) for one in made.steps[0].candidates] == [
        (7, KEY, PICTURE),
        (9, THIRD, OTHER),
    ]
    assert made.cost == {}


def test_added_candidates_of_what_waits_for_an_input_stay() -> None:
    item = builder()
    (one,) = item.candidates
    two = replace(item, candidates=(one, replace(one, seed=9, action=replace(one.action, seed=9))))
    made = plan(Observed(lock={"b": built(seeds=(9,))}), None, keyed(), two)
    assert [each.candidate.seed for each in made.steps[1].candidates] == [7, 9]


# ---------------------------------------------------------------- which is used


@pytest.mark.parametrize(
    ("lock", "used"),
    [
        ({}, 7),
        ({"picked": NEXT}, 8),
        ({"picked": NOT_THERE}, 7),
        ({"rejected": (KEY,)}, 8),
        ({"rejected": (KEY, NEXT)}, 9),
        ({"rejected": (KEY, NEXT, THIRD)}, 7),
        ({"rejected": (KEY, NEXT, THIRD), "key": NEXT}, 8),
        ({"rejected": (KEY, NEXT, THIRD), "key": NOT_THERE}, 7),
        ({"key": THIRD}, 7),
        ({"key": THIRD, "approved": True}, 9),
        ({"key": THIRD, "approved": True, "picked": NEXT}, 9),
        ({"key": THIRD, "picked": NEXT}, 8),
        ({"rejected": (KEY,), "picked": KEY}, 7),
    ],
)
def test_the_approved_candidate_is_used_else_the_picked_else_the_first_not_rejected(lock: dict[str, Any], used: int) -> None:
    known = {KEY: PICTURE, NEXT: OTHER, THIRD: STRANGER}
    found = step(Observed(lock={"a": record(candidates=known, **lock)}, blobs=set(known.values())), None, wanted(7, 8, 9))
    assert found.candidates[found.used].candidate.seed == used


def test_where_all_are_rejected_and_none_is_in_use_the_first_is_used() -> None:
    lock = {"a": record(BLUE, STRANGER, rejected=(KEY, NEXT), candidates={KEY: PICTURE, NEXT: OTHER})}
    found = step(Observed(lock=lock, blobs={PICTURE, OTHER}), None, wanted(7, 8))
    assert found.candidates[found.used].digest == PICTURE


# ---------------------------------------------------------------- what is open


def test_pictures_to_choose_from_are_counted_without_the_rejected_and_the_missing() -> None:
    three = {"candidates": {NEXT: OTHER, THIRD: STRANGER}}
    assert open_ones(three, wanted(7, 8, 9), blobs={PICTURE}) == [("unpicked", "", None, 3)]
    assert open_ones(three, wanted(7, 8, 9)) == [("unpicked", "", None, 2)]
    assert open_ones({**three, "rejected": (NEXT,)}, wanted(7, 8, 9), blobs={PICTURE}) == [("unpicked", "", None, 2)]
    assert open_ones({**three, "rejected": (NEXT, THIRD)}, wanted(7, 8, 9), blobs={PICTURE}) == []
    assert open_ones({}, wanted(7, 8), blobs={PICTURE}) == []
    assert open_ones({"candidates": {NEXT: OTHER}}, wanted(7, 8), blobs={PICTURE}) == [("unpicked", "", None, 2)]


@pytest.mark.parametrize("lock", [{"picked": NEXT}, {"approved": True}, {"picked": KEY}])
def test_nothing_is_open_after_a_pick_or_an_approval(lock: dict[str, Any]) -> None:
    assert open_ones({"candidates": {NEXT: OTHER}, **lock}, wanted(7, 8), blobs={PICTURE, OTHER}) == []


def test_an_entry_all_of_whose_candidates_are_rejected_says_so_once() -> None:
    assert open_ones({"rejected": (KEY,)}, wanted(7)) == [("rejected", "", None, None)]
    two = {"candidates": {NEXT: OTHER}, "rejected": (KEY, NEXT)}
    assert open_ones(two, wanted(7, 8)) == [("rejected", "", None, None)]
    assert open_ones({**two, "rejected": (NEXT,)}, wanted(7, 8)) == []
    lost = record(BLUE, OTHER, rejected=(KEY, OLD))
    assert [each[0] for each in why(step(Observed(lock={"a": lost})))].count("rejected") == 1


def test_a_pick_that_a_new_prompt_made_void_names_both_pictures() -> None:
    old = record(BLUE, picked=OLD)
    void = ("pick-void", "prompt", PICTURE, "candidate 1")
    assert void in why(step(Observed(lock={"a": old}), None, wanted(7, 8)))
    assert void in why(step(Observed(lock={"a": old})))
    other = record(BLUE, picked=NOT_THERE, candidates={NOT_THERE: OTHER})
    assert ("pick-void", "prompt", OTHER, "candidate 1") in why(step(Observed(lock={"a": other})))
    both = record(replace(BLUE, size="1*1"), picked=NOT_THERE, candidates={KEY: STRANGER})
    assert ("pick-void", "prompt, size", "", STRANGER) in why(step(Observed(lock={"a": both}, blobs={STRANGER})))
    first_gone = record(BLUE, picked=OLD, rejected=(KEY,))
    assert ("pick-void", "prompt", PICTURE, "candidate 2") in why(step(Observed(lock={"a": first_gone}), None, wanted(7, 8)))


def test_a_void_pick_does_not_name_the_seed_as_a_change() -> None:
    old = record(replace(BLUE, seed=8), picked=NOT_THERE)
    fields = [field for code, field, *_ in why(step(Observed(lock={"a": old}), None, wanted(7, 8))) if code == "pick-void"]
    assert fields == ["prompt"]


def test_what_is_held_or_waits_for_its_input_asks_for_no_choice() -> None:
    held = step(Observed(lock={"a": record(BLUE, approved=True, rejected=(OLD,), picked=NOT_THERE)}))
    assert {code for code, *_ in why(held)} == {"lost", "held"}
    made = plan(Observed(lock={"b": built(picked=NOT_THERE)}), None, keyed(), builder())
    assert [code for code, *_ in why(made.steps[1])] == ["caused-by"]
    other = built(action=record(BLUE).action, key=OLD, picked=OLD)
    waiting = plan(Observed(lock={"b": other}), None, keyed(), builder()).steps[1]
    assert "pick-void" not in [code for code, *_ in why(waiting)]


# ---------------------------------------------------------------- the seed as a reason


@pytest.mark.parametrize(
    ("old", "of", "fields"),
    [
        (replace(BLUE, seed=8), (7, 8), ["prompt"]),
        (replace(BLUE, seed=9), (7, 8), ["prompt", "seed"]),
        (replace(ACTION, seed=5), (7, 8), ["seed"]),
        (replace(BLUE, seed=8), (7,), ["prompt", "seed"]),
    ],
)
def test_another_candidates_seed_is_no_change_beside_a_real_one(old: Any, of: tuple[int, ...], fields: list[str]) -> None:
    assert [reason.field for reason in step(Observed(lock={"a": record(old)}), None, wanted(*of)).reasons] == fields


def test_a_held_entry_names_what_changed_and_not_another_candidates_seed() -> None:
    held = record(replace(BLUE, seed=8), approved=True)
    assert [(code, field) for code, field, *_ in why(step(replace(FRESH, lock={"a": held}), None, wanted(7, 8)))] == [
        ("held", "prompt")
    ]
    seed_alone = record(replace(ACTION, seed=8))
    found = step(Observed(lock={"a": seed_alone}, results={}, blobs=frozenset()), None, wanted(7, 8))
    assert [field for code, field, *_ in why(found) if code == "changed"] == ["seed"]


def test_another_candidates_seed_is_named_where_only_a_choice_is_open_beside_it() -> None:
    lock = {"a": record(replace(ACTION, seed=8))}
    seen = Observed(lock=lock, results={KEY: (result(OTHER),)}, blobs={OTHER, PICTURE})
    assert why(step(seen, None, wanted(7, 8))) == [("changed", "seed", 8, 7), ("unpicked", "", None, 2)]
