"""Which picture an entry uses, when one is bought, and the reason that a plan gives for it, field by field."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from qwenbuild.key import action_key, judgement_key, recipe_key
from qwenbuild.lfs import NOT_FETCHED
from qwenbuild.model import ImageStep, InputRef, Keyed, LockEntry, LockOutput, OutputSpec, Step, Verdict
from qwenbuild.plan import Observed, SetFacts, Wishes
from tests.test_plan import (
    ACTION,
    DERIVED,
    FRESH,
    KEY,
    LOCK,
    OTHER,
    PICTURE,
    PRICE,
    RESIZE,
    RESULTS,
    STRANGER,
    judged,
    keyed,
    plan,
    record,
    result,
    step,
)
from tests.test_plan_details import RECIPE, variants

SECOND = ImageStep("resize", {"width": 64})
SECOND_RECIPE = recipe_key(PICTURE, [SECOND], "off")
NEXT = action_key(replace(ACTION, seed=8))
"""The key of the entry's second candidate."""
BLANK = {"not_blank": True}
BLUE = replace(ACTION, prompt="a blue lantern")
JPEG: dict[str, Any] = {"media_type": "image/jpeg"}


def why(found: Step) -> list[tuple[Any, ...]]:
    return [(reason.code, reason.field, reason.old, reason.new) for reason in found.reasons]


def two_files(*steps: ImageStep, **more: Any) -> Keyed:
    """An entry of two files, the first made by the first step, the second by the second, or both the picture itself."""
    first, second = ((steps[0],), (steps[1],)) if steps else ((), ())
    item = keyed()
    outputs = (OutputSpec("a.png", first), OutputSpec("b.png", second))
    return replace(item, entry=replace(item.entry, outputs=outputs, **more))


def two_derived(**more: Any) -> dict[str, LockEntry]:
    """The record of two files, each made from the picture by a step of its own."""
    return {"a": record(outputs={"a.png": LockOutput(DERIVED, RECIPE), "b.png": LockOutput(OTHER, SECOND_RECIPE)}, **more)}


def builder(id: str = "b", of: str = "a", **more: Any) -> Keyed:
    """An entry that builds on another entry's picture."""
    action = replace(ACTION, prompt=f"an icon of {of}", inputs=(f"entry:{of}",))
    item = keyed(id, action)
    entry = replace(item.entry, inputs=(InputRef(entry=of),))
    return replace(item, entry=entry, candidates=tuple(replace(one, key="") for one in item.candidates), **more)


# ---------------------------------------------------------------- candidates that stand to choice


def test_a_raised_number_of_variants_is_said_to_be_what_changed() -> None:
    found = step(FRESH, None, variants(7, 8))
    assert [one.verdict for one in found.candidates] == [Verdict.FRESH, Verdict.GENERATE]
    assert why(found) == [("changed", "variants", None, None)]


def test_where_the_prompt_changed_the_variants_are_no_reason_of_their_own() -> None:
    found = step(Observed(lock={"a": record(BLUE)}), None, variants(7, 8))
    assert why(found) == [("changed", "prompt", "a blue lantern", "a red lantern")]


def test_an_approved_entrys_other_candidates_are_not_bought() -> None:
    made = plan(replace(FRESH, lock={"a": record(approved=True)}), None, variants(7, 8))
    assert (made.cost, made.steps[0].verdict, made.steps[0].candidates[1].digest) == ({}, Verdict.FRESH, "")
    assert plan(FRESH, None, variants(7, 8)).cost == PRICE


def test_a_rejected_candidate_without_a_picture_is_not_bought_and_one_with_a_picture_keeps_it() -> None:
    rejected = {"a": record(rejected=(NEXT,))}
    assert plan(replace(FRESH, lock=rejected), None, variants(7, 8)).cost == {}
    named = {"a": record(rejected=(NEXT,), candidates={NEXT: OTHER})}
    spare = step(replace(FRESH, lock=named), None, variants(7, 8)).candidates[1]
    assert (spare.verdict, spare.digest) == (Verdict.FRESH, OTHER)


def test_a_candidate_that_the_provider_refused_costs_nothing_until_it_is_asked_again() -> None:
    seen = replace(FRESH, standing={NEXT: (Verdict.REFUSED, "because")})
    assert plan(seen, None, variants(7, 8)).cost == {}
    assert plan(seen, Wishes(retry_failed=True), variants(7, 8)).cost == PRICE


def test_the_picture_of_a_picked_candidate_has_its_own_receipts_type() -> None:
    lock = {"a": record(picked=NEXT, candidates={NEXT: OTHER})}
    receipts = {NEXT: (result(STRANGER, NEXT), replace(result(OTHER, NEXT), **JPEG))}
    seen = Observed(lock=lock, results=receipts, blobs={OTHER, STRANGER})
    used = step(seen, None, variants(7, 8)).candidates[1]
    assert (used.digest, used.media_type) == (OTHER, "image/jpeg")
    bare = step(replace(seen, results={}), None, variants(7, 8)).candidates[1]
    assert (bare.digest, bare.media_type) == (OTHER, "image/png")


# ---------------------------------------------------------------- asked for by name


def test_an_entry_that_is_forced_is_bought_and_its_neighbour_is_not() -> None:
    assert plan(FRESH, Wishes(forced={"b"})).cost == {}
    assert plan(FRESH, Wishes(forced={"a"})).cost == PRICE


FAILS = judgement_key(BLANK, PICTURE)


@pytest.mark.parametrize(
    ("lock", "verdict", "code"),
    [
        (LOCK, Verdict.GENERATE, "forced"),
        ({}, Verdict.GENERATE, "forced"),
    ],
    ids=["locked", "without a record"],
)
def test_retry_failed_buys_what_fails_its_expectation(lock: dict[str, LockEntry], verdict: Verdict, code: str) -> None:
    asked = Wishes(retry_failed=True)
    whole = judged("it is blank", asked, lock=lock)
    assert (whole.verdict, why(whole)) == (verdict, [(code, "expect", None, "it is blank")])
    item = keyed()
    wanted = replace(item, entry=replace(item.entry, outputs=(OutputSpec("a.png", expect=BLANK),)))
    file = step(replace(FRESH, lock=lock, judgements={FAILS: "it is blank"}), asked, wanted)
    assert file.verdict is verdict
    assert (code, "expect", None, "it is blank") in why(file)


@pytest.mark.parametrize("choice", [{"approved": True}, {"picked": KEY}], ids=["approved", "picked"])
def test_a_picture_that_a_person_chose_fails_no_check_and_is_not_bought_again(choice: dict[str, Any]) -> None:
    for asked in (Wishes(), Wishes(retry_failed=True)):
        whole = judged("it is blank", asked, lock={"a": record(**choice)})
        assert (whole.verdict, why(whole)) == (Verdict.FRESH, [])


def test_a_file_that_fails_is_not_excused_by_the_approval_of_its_picture() -> None:
    item = keyed()
    wanted = replace(item, entry=replace(item.entry, outputs=(OutputSpec("a.png", expect=BLANK),)))
    lock = {"a": record(approved=True)}
    file = step(replace(FRESH, lock=lock, judgements={FAILS: "it is blank"}), Wishes(retry_failed=True), wanted)
    assert (file.verdict, why(file)) == (Verdict.FAILED, [("failed", "a.png", None, "it is blank")])


def test_what_only_warns_is_fresh_however_it_fails() -> None:
    item = keyed()
    wanted = replace(item, entry=replace(item.entry, expect=BLANK, on_fail="warn"))
    assert step(replace(FRESH, judgements={FAILS: "it is blank"}), Wishes(), wanted).verdict is Verdict.FRESH


def test_a_fault_beside_others_is_of_the_picture_that_the_lockfile_names_and_of_no_other() -> None:
    item = keyed()
    wanted = replace(item, entry=replace(item.entry, set_checks=BLANK))
    seen = replace(FRESH, beside=SetFacts({"a": "it looks like b"}))
    assert why(step(seen, Wishes(), wanted)) == [("failed", "expect", None, "it looks like b")]
    assert why(step(replace(FRESH, beside=SetFacts({}, {"a"})), Wishes(), wanted)) == [("unjudged", "expect", None, None)]
    assert step(replace(seen, lock={}), Wishes(), wanted).verdict is not Verdict.FAILED


def test_without_retry_failed_what_fails_is_said_and_costs_nothing() -> None:
    assert why(judged("it is blank")) == [("failed", "expect", None, "it is blank")]
    assert judged("it is blank").candidates[0].digest == PICTURE


# ---------------------------------------------------------------- in use, restored, lost


def test_a_record_that_names_another_picture_than_the_one_in_use_is_mended() -> None:
    swapped = Observed(lock=LOCK, files={"a.png": OTHER}, results={KEY: (result(OTHER),)})
    found = step(swapped)
    assert (found.verdict, found.candidates[0].digest, found.outputs[0].verdict) == (Verdict.RESTORE, OTHER, Verdict.FRESH)


def test_an_entry_that_was_an_orphan_is_taken_up_again_for_nothing() -> None:
    made = plan(replace(FRESH, lock={"a": record(orphan=True)}))
    assert (made.steps[0].verdict, made.cost) == (Verdict.RESTORE, {})


def test_the_type_of_a_locked_picture_is_not_that_of_a_newer_one() -> None:
    newer = replace(result(OTHER), **JPEG)
    assert step(replace(FRESH, results={KEY: (newer, result())})).candidates[0].media_type == "image/png"


def test_an_older_picture_that_is_at_hand_is_used_before_a_newer_one_that_is_lost() -> None:
    made = plan(Observed(results={KEY: (result(OTHER), result())}, blobs={PICTURE}))
    assert (made.steps[0].verdict, made.steps[0].candidates[0].digest, made.cost) == (Verdict.RESTORE, PICTURE, {})


def test_an_accepted_edit_that_is_taken_back_keeps_the_picture() -> None:
    lock = {"a": record(accepted={KEY: action_key(BLUE)})}
    made = plan(replace(FRESH, lock=lock, results={}), None, keyed(action=BLUE))
    used = made.steps[0].candidates[0]
    assert (made.steps[0].verdict, used.digest, used.media_type, made.cost) == (Verdict.RESTORE, PICTURE, "image/png", {})
    other = {"a": record(accepted={KEY: OTHER})}
    assert plan(replace(FRESH, lock=other, results={}), None, keyed(action=BLUE)).cost == PRICE


def test_a_rejected_picture_still_in_use_gives_way_to_another_receipt_before_it_is_bought() -> None:
    lock = {"a": record(rejected=(KEY,))}
    made = plan(Observed(lock=lock, results={KEY: (result(OTHER),)}, blobs={OTHER}))
    assert (made.steps[0].verdict, made.steps[0].candidates[0].digest, made.cost) == (Verdict.RESTORE, OTHER, {})
    lost = plan(Observed(lock=lock))
    assert (lost.steps[0].reasons[0].code, lost.cost, lost.unexplained) == ("lost", PRICE, 1)


def test_what_is_not_bought_though_it_is_lost_says_which_choice_keeps_it() -> None:
    approved = step(Observed(lock={"a": record(approved=True)}))
    assert (approved.verdict, why(approved)) == (Verdict.REFUSED, [("lost", "approved", None, None)])
    rejected = step(Observed(lock={"a": record(replace(ACTION, seed=8), rejected=(KEY,))}))
    assert (rejected.verdict, rejected.reasons[0].code) == (Verdict.REFUSED, "rejected")


def test_an_entry_without_a_file_is_bought_and_one_with_a_file_of_its_own_to_write_too() -> None:
    item = keyed()
    assert plan(Observed(), None, replace(item, entry=replace(item.entry, outputs=()))).cost == PRICE
    seen = Observed(files={"a.png": STRANGER})
    half = plan(seen, None, two_files())
    assert ([one.verdict for one in half.steps[0].outputs], half.cost) == ([Verdict.MODIFIED, Verdict.RESTORE], PRICE)
    assert plan(replace(seen, files={"a.png": STRANGER, "b.png": STRANGER}), None, two_files()).cost == {}


# ---------------------------------------------------------------- the reasons of what is restored


def test_a_restored_entry_says_whether_it_is_new_changed_or_lacks_a_file() -> None:
    assert why(step(replace(FRESH, lock={}))) == [("new", "", None, None)]
    changed = replace(FRESH, lock={"a": record(BLUE)})
    assert why(step(changed)) == [("changed", "prompt", "a blue lantern", "a red lantern")]
    lock = {"a": record(outputs={"a.png": LockOutput(), "b.png": LockOutput()})}
    assert why(step(replace(FRESH, lock=lock), None, two_files())) == [("file", "b.png", None, "missing")]


def test_a_file_that_blocks_its_entry_is_not_listed_again_among_those_to_be_written() -> None:
    wanted = two_files(RESIZE, SECOND)
    files = {"a.png": STRANGER}
    pointed = Observed(lock=two_derived(), files=files, pointers={"a.png": DERIVED}, blobs={OTHER})
    found = step(pointed, None, wanted)
    assert [one.verdict for one in found.outputs] == [Verdict.REFUSED, Verdict.RESTORE]
    assert why(found) == [("file", "b.png", None, "missing"), ("pointer", "a.png", None, NOT_FETCHED)]
    first, second = wanted.entry.outputs
    strict = replace(wanted, entry=replace(wanted.entry, outputs=(replace(first, expect=BLANK), second)))
    words = {judgement_key(BLANK, DERIVED): "it is blank"}
    failing = step(Observed(lock=two_derived(), files={"a.png": DERIVED}, judgements=words, blobs={OTHER}), None, strict)
    assert why(failing) == [("file", "b.png", None, "missing"), ("failed", "a.png", None, "it is blank")]


def test_a_pointer_whose_bytes_are_in_the_vault_is_only_a_file_to_write() -> None:
    seen = replace(FRESH, files={"a.png": STRANGER}, pointers={"a.png": PICTURE})
    assert why(step(seen)) == [("file", "a.png", None, "pointer")]
    nowhere = replace(seen, blobs=frozenset())
    assert why(step(nowhere)) == [("pointer", "a.png", None, NOT_FETCHED)]


def test_a_picture_is_held_against_a_new_expectation_where_its_bytes_are_and_nothing_else_is_wrong() -> None:
    assert why(judged(None)) == [("unjudged", "expect", None, None)]
    assert why(judged(None, files={})) == [("file", "a.png", None, "missing")]
    item = keyed(steps=(RESIZE,))
    wanted = replace(item, entry=replace(item.entry, expect=BLANK))
    lost = Observed(lock={"a": record(outputs={"a.png": LockOutput(DERIVED, RECIPE)})}, files={"a.png": DERIVED})
    assert (step(lost, None, wanted).verdict, why(step(lost, None, wanted))) == (Verdict.FRESH, [])


# ---------------------------------------------------------------- moved by the table alone


@pytest.mark.parametrize(
    ("action", "verdict", "codes"),
    [
        ({"v": 0}, Verdict.RESTORE, ["table-moved"]),
        ({"size": "1*1"}, Verdict.RESTORE, ["table-moved"]),
        ({"v": 0, "size": "1*1"}, Verdict.RESTORE, ["table-moved", "table-moved"]),
        ({"size": "1*1", "prompt": "another"}, Verdict.GENERATE, ["changed", "changed"]),
        ({"v": 0, "prompt": "another"}, Verdict.GENERATE, ["changed", "changed"]),
        ({"size": "2*2"}, Verdict.GENERATE, ["changed"]),
        ({}, Verdict.RESTORE, []),
    ],
)
def test_only_what_the_table_or_the_key_version_moved_keeps_its_picture(
    action: Mapping[str, Any], verdict: Verdict, codes: list[str]
) -> None:
    old = record(key="0" * 64)
    lock = {"a": replace(old, action={**old.action, **action})}
    found = step(replace(FRESH, lock=lock, results={}), None, keyed(earlier={"size": ("1*1",)}))
    assert (found.verdict, [reason.code for reason in found.reasons]) == (verdict, codes)


# ---------------------------------------------------------------- git-LFS pointers


def test_a_pointer_to_the_picture_keeps_its_made_file_from_being_paid_for_again() -> None:
    lock = {"a": record(outputs={"a.png": LockOutput(DERIVED, RECIPE)})}
    made = plan(Observed(lock=lock, pointed={PICTURE: "x.png"}), None, keyed(steps=(RESIZE,)))
    assert (made.cost, why(made.steps[0])) == ({}, [("pointer", "x.png", None, NOT_FETCHED)])


def test_a_file_that_a_person_changed_does_not_make_a_fetchable_one_cost_money() -> None:
    seen = Observed(lock=two_derived(), files={"a.png": STRANGER}, pointed={OTHER: "y.png"})
    made = plan(seen, None, two_files(RESIZE, SECOND))
    assert (made.cost, why(made.steps[0])) == ({}, [("pointer", "y.png", None, NOT_FETCHED)])


# ---------------------------------------------------------------- what builds on a picture


def kept(**seen: Any) -> Observed:
    """The file made from a's picture is in the tree; the picture's own bytes are nowhere."""
    lock = {"a": record(outputs={"a.png": LockOutput(DERIVED, RECIPE)})}
    return Observed(**{"lock": lock, "files": {"a.png": DERIVED}, **seen})


def test_a_lost_picture_is_bought_again_only_where_something_that_builds_on_it_is() -> None:
    base = keyed(steps=(RESIZE,))
    assert plan(kept(), None, base).cost == {}
    both = plan(kept(), None, base, builder())
    assert [one.verdict for one in both.steps] == [Verdict.GENERATE, Verdict.GENERATE]
    assert why(both.steps[0]) == [("lost", "", None, None)]
    assert why(both.steps[1]) == [("caused-by", "inputs", None, "a"), ("new", "", None, None)]
    assert both.cost == {"usd": 2 * PRICE["usd"]}
    there = plan(kept(blobs={PICTURE}), None, base, builder())
    assert ([one.verdict for one in there.steps], there.cost) == ([Verdict.FRESH, Verdict.GENERATE], PRICE)


def test_a_lost_picture_that_a_pointer_stands_for_is_fetched_and_not_bought_for_what_builds_on_it() -> None:
    made = plan(kept(pointed={PICTURE: "x.png"}), None, keyed(steps=(RESIZE,)), builder())
    assert (made.cost, why(made.steps[0])) == ({}, [("pointer", "x.png", None, NOT_FETCHED)])
    assert (made.steps[1].verdict, made.steps[1].reasons[0].field) == (Verdict.REFUSED, "inputs")


def test_receipts_alone_are_the_entrys_picture() -> None:
    assert step(Observed(results=RESULTS, blobs={PICTURE})).candidates[0].digest == PICTURE
