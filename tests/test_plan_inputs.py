"""Entries that build on others: in which order they are planned, what they wait for, and whose lock record they take over."""

from __future__ import annotations

from dataclasses import replace

import pytest

from qwenbuild.key import action_key, judgement_key, short_document, with_inputs
from qwenbuild.model import InputRef, Keyed, LockEntry, LockOutput, Verdict
from qwenbuild.plan import Observed, facts_of, make_plan, picture_digest, plan_one
from qwenbuild.plan.facts import Wishes
from tests.test_plan import (
    ACTION,
    CANNOT_TELL,
    DERIVED,
    FRESH,
    KEY,
    OTHER,
    PICTURE,
    PRICE,
    RESIZE,
    STRANGER,
    keyed,
    plan,
    record,
)
from tests.test_plan_details import variants
from tests.test_plan_pictures import BLANK, BLUE, builder, kept, why

FILE = "6" * 64
"""The digest of a reference image that is a file."""


def built(digest: str = PICTURE, picture: str = OTHER, id: str = "b", **more: object) -> LockEntry:
    """The record of `builder()` from when its input's picture was `digest`."""
    action = with_inputs(builder(id).candidates[0].action, (digest,))
    base = LockEntry(action_key(action), picture, short_document(action), outputs={f"{id}.png": LockOutput()})
    return replace(base, **more)  # type: ignore[arg-type]


def mixed() -> Keyed:
    """An entry that builds on a file and on the entry a."""
    item = builder()
    (one,) = item.candidates
    entry = replace(item.entry, inputs=(InputRef(file="ref.png", digest=FILE), InputRef(entry="a")))
    return replace(item, entry=entry, candidates=(replace(one, action=replace(one.action, inputs=(FILE, "entry:a"))),))


# ---------------------------------------------------------------- the order


def test_an_input_is_planned_before_what_builds_on_it_and_the_steps_stand_in_the_manifests_order() -> None:
    made = plan(FRESH, None, builder(), keyed())
    assert [one.id for one in made.steps] == ["b", "a"]
    key = made.steps[0].candidates[0].candidate.key
    assert (key, made.cost) == (built().key, PRICE)
    deep = plan(FRESH, None, builder("c", "b"), builder(), keyed())
    assert [(one.id, one.verdict) for one in deep.steps] == [
        ("c", Verdict.GENERATE),
        ("b", Verdict.GENERATE),
        ("a", Verdict.FRESH),
    ]
    assert [code for code, *_ in why(deep.steps[0])] == ["caused-by", "new"]


def test_an_input_that_two_entries_share_is_planned_and_paid_once() -> None:
    both = builder("c")
    both = replace(both, entry=replace(both.entry, inputs=(InputRef(entry="a"), InputRef(entry="b"))))
    made = plan(Observed(), None, both, builder(), keyed())
    assert [one.id for one in made.steps] == ["c", "b", "a"]
    assert made.cost == {"usd": 3 * PRICE["usd"]}
    assert [new for code, _, _, new in why(made.steps[0]) if code == "caused-by"] == ["a", "b"]


def test_an_input_that_is_not_part_of_the_plan_is_named_as_the_cause() -> None:
    (alone,) = make_plan([builder()], FRESH, None, [keyed(), builder()]).steps
    assert (alone.verdict, why(alone)[0]) == (Verdict.GENERATE, ("caused-by", "inputs", None, "a"))


def test_a_file_and_an_entry_as_inputs_make_one_key_of_both_digests() -> None:
    made = plan(FRESH, None, keyed(), mixed())
    used = made.steps[1].candidates[0].candidate
    assert (used.action.inputs, used.key) == ((FILE, PICTURE), action_key(used.action))
    waiting = plan(Observed(), None, keyed(), mixed()).steps[1]
    assert (waiting.candidates[0].candidate.key, why(waiting)[0]) == ("", ("caused-by", "inputs", None, "a"))


# ---------------------------------------------------------------- what is bought for whom


def test_a_lost_picture_is_not_bought_for_what_is_fresh() -> None:
    seen = kept(lock={**kept().lock, "b": built()}, files={"a.png": DERIVED, "b.png": OTHER})
    made = plan(seen, None, keyed(steps=(RESIZE,)), builder())
    assert ([one.verdict for one in made.steps], made.cost) == ([Verdict.FRESH, Verdict.FRESH], {})


def test_only_the_lost_inputs_of_what_is_bought_are_bought_again() -> None:
    bystander = keyed("c", BLUE, steps=(RESIZE,))
    recipe = plan(Observed(lock={"c": record(BLUE, FILE)}, blobs={FILE}), None, bystander).steps[0].outputs[0].recipe
    lock = {**kept().lock, "c": record(BLUE, FILE, outputs={"c.png": LockOutput(STRANGER, recipe)})}
    seen = kept(lock=lock, files={"a.png": DERIVED, "c.png": STRANGER})
    made = plan(seen, None, keyed(steps=(RESIZE,)), builder(), bystander)
    assert [one.verdict for one in made.steps] == [Verdict.GENERATE, Verdict.GENERATE, Verdict.FRESH]
    assert made.cost == {"usd": 2 * PRICE["usd"]}


def test_another_picture_of_an_input_is_the_change_of_what_builds_on_it() -> None:
    seen = replace(FRESH, lock={**FRESH.lock, "b": built("8" * 64)})
    found = plan(seen, None, keyed(), builder()).steps[1]
    assert why(found) == [("changed", "inputs", ["8" * 64], [PICTURE])]
    bought = plan(Observed(lock={"a": record(BLUE), "b": built()}), None, keyed(), builder()).steps[1]
    assert why(bought) == [("caused-by", "inputs", None, "a")]


# ---------------------------------------------------------------- an input that a person has to see to


@pytest.mark.parametrize("verdict", [Verdict.REFUSED, Verdict.DOUBT])
def test_nothing_is_paid_for_what_builds_on_a_picture_that_waits_for_a_person(verdict: Verdict) -> None:
    made = plan(Observed(standing={KEY: (verdict, CANNOT_TELL)}), None, keyed(), builder())
    found = made.steps[1]
    assert (made.cost, found.verdict) == ({}, verdict)
    assert [(code, field) for code, field, *_ in why(found)] == [(verdict.value, "inputs")]
    assert [(one.verdict, one.digest, one.price) for one in found.candidates] == [(verdict, "", {})]


def test_nothing_is_paid_for_what_builds_on_a_picture_that_fails_or_whose_file_is_a_persons() -> None:
    item = keyed()
    strict = replace(item, entry=replace(item.entry, expect=BLANK))
    failing = plan(replace(FRESH, judgements={judgement_key(BLANK, PICTURE): "it is blank"}), None, strict, builder())
    assert ([one.verdict for one in failing.steps], failing.cost) == ([Verdict.FAILED, Verdict.FAILED], {})
    assert (failing.steps[0].candidates[0].digest, picture_digest(failing.steps[0])) == (PICTURE, "")
    theirs = plan(Observed(files={"a.png": STRANGER}), None, keyed(), builder())
    assert ([one.verdict for one in theirs.steps], theirs.cost) == ([Verdict.MODIFIED, Verdict.MODIFIED], {})


def test_what_waits_for_a_picture_that_is_being_made_is_planned_and_priced() -> None:
    made = plan(Observed(standing={KEY: (Verdict.RESUME, "")}), None, keyed(), builder())
    assert ([one.verdict for one in made.steps], made.cost) == ([Verdict.RESUME, Verdict.GENERATE], PRICE)


def test_an_approved_picture_stays_whatever_becomes_of_its_input() -> None:
    lock = {"b": built(approved=True)}
    for standing in ({KEY: (Verdict.REFUSED, CANNOT_TELL)}, {}):
        seen = Observed(lock=lock, files={"b.png": OTHER}, blobs={OTHER}, standing=standing)
        found = plan(seen, None, keyed(), builder()).steps[1]
        assert (found.held, found.approved, found.verdict) == (True, True, Verdict.FRESH)
        assert found.candidates[0].digest == OTHER
        assert {code for code, *_ in why(found)} == {"held"}
        assert [one.key for one in found.keyed.candidates] == [built().key]


# ---------------------------------------------------------------- whose lock record


def test_an_entry_that_was_renamed_says_from_where() -> None:
    lock = {"old": record(outputs={"old.png": LockOutput()})}
    found = plan(Observed(lock=lock, blobs={PICTURE}), None, keyed("new")).steps[0]
    assert (found.moved_from, found.approved, why(found)[0]) == ("old", False, ("moved", "id", "old", "new"))


def test_an_entry_with_a_record_of_its_own_takes_over_none() -> None:
    lock = {"old": record(), "new": record(BLUE, OTHER)}
    assert plan(Observed(lock=lock, blobs={PICTURE, OTHER}), None, keyed("new")).steps[0].moved_from == ""


def test_a_second_candidates_key_finds_the_record_of_an_orphan_too() -> None:
    lock = {"old": record(replace(ACTION, seed=8), OTHER, outputs={})}
    made = plan(Observed(lock=lock, blobs={OTHER}), None, variants(7, 8, id="new"))
    assert (made.steps[0].moved_from, made.steps[0].candidates[1].digest, made.cost) == ("old", OTHER, PRICE)


def test_an_orphans_record_is_taken_over_once_and_the_next_entry_shares_its_picture() -> None:
    lock = {"old": record(outputs={})}
    made = plan(Observed(lock=lock, blobs={PICTURE}), None, keyed("new/a"), keyed("new/b"))
    assert [one.moved_from for one in made.steps] == ["old", ""]
    assert [code for code, *_ in why(made.steps[1])][:1] == ["new"]


# ---------------------------------------------------------------- a part of the manifest


def test_orphans_are_only_known_where_the_whole_manifest_is_planned() -> None:
    lock = {"old": record(BLUE, OTHER, outputs={"x.png": LockOutput()})}
    seen = Observed(lock=lock)
    both = [keyed(), keyed("b", replace(ACTION, seed=8))]
    assert [one.id for one in make_plan(both, seen).orphans] == ["old"]
    assert [one.id for one in make_plan(both, seen, None, both).orphans] == ["old"]
    assert make_plan(both[:1], seen, None, both).orphans == ()
    assert make_plan(both, replace(seen, untouched=replace(seen.untouched, left=1))).orphans == ()


def test_an_entry_of_the_manifest_that_is_not_selected_is_no_orphan_to_take_over() -> None:
    lock = {"old": record(outputs={})}
    (alone,) = make_plan([keyed("new")], Observed(lock=lock, blobs={PICTURE}), None, [keyed("old"), keyed("new")]).steps
    assert alone.moved_from == ""


def test_one_entry_alone_has_the_verdict_that_it_has_in_the_plan() -> None:
    facts = facts_of(FRESH, Wishes(), [keyed()])
    assert (plan_one(keyed(), facts).verdict, plan_one(keyed("b", BLUE), facts).verdict) == (Verdict.FRESH, Verdict.GENERATE)
