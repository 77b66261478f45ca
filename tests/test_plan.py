"""The plan as a table: each verdict alone, and that the first of two neighbours wins."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from qwenbuild.key import action_key, document, judgement_key, recipe_key, short_document
from qwenbuild.model import (
    Action,
    ActionResult,
    Candidate,
    Entry,
    ImageStep,
    Keyed,
    LockEntry,
    LockOutput,
    OutputSpec,
    Plan,
    Step,
    Verdict,
)
from qwenbuild.plan import Observed, Wishes, make_plan

PICTURE, OTHER, STRANGER, DERIVED = "1" * 64, "2" * 64, "3" * 64, "4" * 64
ACTION = Action("dashscope", "qwen-image-plus", "a red lantern", "1328*1328", 7)
KEY = action_key(ACTION)
PRICE = {"usd": Decimal("0.03")}
RESIZE = ImageStep("resize", {"width": 128})
CANNOT_TELL = "sent, and no answer was stored"


def keyed(id: str = "a", action: Action = ACTION, steps: tuple[ImageStep, ...] = (), **more: Any) -> Keyed:
    entry = Entry(
        id, id.partition("/")[0], "dashscope", None, action.prompt, {}, action.seed, (OutputSpec(f"{id}.png", steps),)
    )
    return replace(Keyed(entry, (Candidate(action.seed, action, action_key(action)),), PRICE, 15, 2, 2), **more)


def record(action: Action = ACTION, digest: str = PICTURE, **more: Any) -> LockEntry:
    base = LockEntry(action_key(action), digest, short_document(action), "2026-11-20", {"a.png": LockOutput()})
    return replace(base, **more)


def result(digest: str = PICTURE, key: str = KEY, **more: Any) -> ActionResult:
    return ActionResult(key, digest, "image/png", 1328, 1328, 1000, "2026-11-20", **more)


def plan(seen: Observed, wishes: Wishes | None = None, *wanted: Keyed) -> Plan:
    return make_plan(wanted or (keyed(),), seen, wishes)


def step(seen: Observed, wishes: Wishes | None = None, *wanted: Keyed) -> Step:
    return plan(seen, wishes, *wanted).steps[0]


LOCK = {"a": record()}
TWIN = {**LOCK, "b": record(outputs={"b.png": LockOutput()})}
FILES = {"a.png": PICTURE}
RESULTS = {KEY: (result(),)}
FRESH = Observed(lock=LOCK, files=FILES, blobs={PICTURE}, results=RESULTS, ours={PICTURE})


def standing(verdict: Verdict) -> dict[str, tuple[Verdict, str]]:
    return {KEY: (verdict, CANNOT_TELL)}


ROWS: list[tuple[str, Observed, Verdict]] = [
    ("all is there", FRESH, Verdict.FRESH),
    ("the file is gone", replace(FRESH, files={}), Verdict.RESTORE),
    ("the lockfile is gone", replace(FRESH, lock={}), Verdict.RESTORE),
    ("the lockfile and the file are gone", replace(FRESH, lock={}, files={}), Verdict.RESTORE),
    ("only the shared cache has it", Observed(lock=LOCK, shared={PICTURE}), Verdict.RESTORE),
    ("only another file of the tree has it", Observed(lock=TWIN, files={"b.png": PICTURE}), Verdict.RESTORE),
    ("a ticket lives", Observed(standing=standing(Verdict.RESUME)), Verdict.RESUME),
    ("an intent can be settled", Observed(standing=standing(Verdict.RECOVER)), Verdict.RECOVER),
    ("an intent cannot be settled", Observed(standing=standing(Verdict.DOUBT)), Verdict.DOUBT),
    ("the provider refused this key", Observed(standing=standing(Verdict.REFUSED)), Verdict.REFUSED),
    ("nothing is known", Observed(), Verdict.GENERATE),
    ("its bytes are nowhere", Observed(lock=LOCK), Verdict.GENERATE),
]  # fmt: skip


@pytest.mark.parametrize(("seen", "verdict"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_each_row_of_the_table(seen: Observed, verdict: Verdict) -> None:
    assert step(seen).verdict is verdict


EXPECT = {"not_blank": True}


def judged(words: str | None, wishes: Wishes | None = None, **seen: Any) -> Step:
    item = keyed()
    wanted = replace(item, entry=replace(item.entry, expect=EXPECT))
    judgements = {} if words is None else {judgement_key(EXPECT, PICTURE): words}
    return step(replace(FRESH, judgements=judgements, **seen), wishes, wanted)


def test_a_picture_that_fails_what_is_expected_has_failed_and_is_bought_again_only_when_asked() -> None:
    assert (judged("it is blank").verdict, judged("it is blank").candidates[0].price) == (Verdict.FAILED, {})
    assert judged("it is blank", Wishes(retry_failed=True)).verdict is Verdict.GENERATE
    assert judged("").verdict is Verdict.FRESH


def test_a_picture_that_nobody_held_against_its_expectation_is_not_fresh_while_its_bytes_are_at_hand() -> None:
    assert (judged(None).verdict, codes(judged(None))) == (Verdict.RESTORE, ["unjudged"])
    assert judged(None, blobs=frozenset(), files={}, lock={}, results={}).verdict is Verdict.GENERATE


NEIGHBOURS: list[tuple[str, Observed, Verdict]] = [
    ("fresh before restore", replace(FRESH, blobs=frozenset()), Verdict.FRESH),
    ("restore before resume", replace(FRESH, files={}, standing=standing(Verdict.RESUME)), Verdict.RESTORE),
    ("restore before doubt", replace(FRESH, files={}, standing=standing(Verdict.DOUBT)), Verdict.RESTORE),
    ("restore before refused", replace(FRESH, files={}, standing=standing(Verdict.REFUSED)), Verdict.RESTORE),
    ("resume before generate", Observed(lock=LOCK, standing=standing(Verdict.RESUME)), Verdict.RESUME),
    ("recover before generate", Observed(lock=LOCK, standing=standing(Verdict.RECOVER)), Verdict.RECOVER),
    ("doubt before generate", Observed(lock=LOCK, standing=standing(Verdict.DOUBT)), Verdict.DOUBT),
    ("refused before generate", Observed(lock=LOCK, standing=standing(Verdict.REFUSED)), Verdict.REFUSED),
]


@pytest.mark.parametrize(("seen", "verdict"), [row[1:] for row in NEIGHBOURS], ids=[row[0] for row in NEIGHBOURS])
def test_the_first_of_two_neighbouring_rows_wins(seen: Observed, verdict: Verdict) -> None:
    assert step(seen).verdict is verdict


def codes(found: Step) -> list[str]:
    return [reason.code for reason in found.reasons]


def test_a_purchase_says_why() -> None:
    changed = record(replace(ACTION, prompt="a blue lantern"))
    assert codes(step(Observed())) == ["new"]
    assert codes(step(Observed(lock=LOCK))) == ["lost"]
    assert codes(step(FRESH, Wishes(forced={"a"}))) == ["forced"]
    reasons = step(Observed(lock={"a": changed})).reasons
    assert [(r.code, r.field, r.old, r.new) for r in reasons] == [("changed", "prompt", "a blue lantern", "a red lantern")]


def test_while_the_lockfile_has_the_key_its_digest_is_the_picture_though_newer_ones_exist() -> None:
    seen = replace(FRESH, results={KEY: (result(OTHER), result())}, blobs={PICTURE, OTHER}, files={})
    assert step(seen).candidates[0].digest == PICTURE


def test_when_the_lockfiles_bytes_are_lost_another_paid_picture_is_used_before_one_is_bought() -> None:
    found = step(Observed(lock=LOCK, results={KEY: (result(OTHER),)}, blobs={OTHER}))
    assert (found.verdict, found.candidates[0].digest) == (Verdict.RESTORE, OTHER)


def test_without_a_lock_entry_the_picture_in_the_file_is_taken_before_a_newer_one() -> None:
    seen = Observed(results={KEY: (result(OTHER), result())}, blobs={PICTURE, OTHER}, files=FILES, ours={PICTURE, OTHER})
    assert step(seen).candidates[0].digest == PICTURE


def test_without_a_lock_entry_and_file_the_newest_picture_is_taken() -> None:
    seen = Observed(results={KEY: (result(OTHER), result())}, blobs={PICTURE, OTHER})
    assert step(seen).candidates[0].digest == OTHER


def test_a_receipt_without_its_bytes_is_no_result() -> None:
    assert step(Observed(results=RESULTS)).verdict is Verdict.GENERATE


def test_a_refusal_is_asked_again_when_the_user_says_so() -> None:
    assert step(Observed(standing=standing(Verdict.REFUSED)), Wishes(retry_failed=True)).verdict is Verdict.GENERATE


def test_a_doubt_is_never_bought_again_by_retry_failed() -> None:
    assert step(Observed(standing=standing(Verdict.DOUBT)), Wishes(retry_failed=True)).verdict is Verdict.DOUBT


# ---------------------------------------------------------------- files


def test_a_strangers_file_is_modified_and_left_alone() -> None:
    found = step(replace(FRESH, files={"a.png": STRANGER}))
    assert (found.verdict, found.outputs[0].verdict) == (Verdict.MODIFIED, Verdict.MODIFIED)


def test_overwrite_turns_a_strangers_file_into_a_restore() -> None:
    assert step(replace(FRESH, files={"a.png": STRANGER}), Wishes(overwrite=True)).outputs[0].verdict is Verdict.RESTORE


def test_a_file_with_bytes_of_another_path_is_ours_and_replaced() -> None:
    lock = {**LOCK, "b": record(replace(ACTION, seed=8), OTHER, outputs={"b.png": LockOutput()})}
    assert step(replace(FRESH, lock=lock, files={"a.png": OTHER})).outputs[0].verdict is Verdict.RESTORE


def test_no_picture_is_bought_for_an_entry_whose_only_file_is_modified() -> None:
    seen = Observed(lock={"a": record(replace(ACTION, seed=8))}, files={"a.png": STRANGER})
    assert (step(seen).verdict, plan(seen).cost) == (Verdict.MODIFIED, {})
    assert step(seen, Wishes(overwrite=True)).verdict is Verdict.GENERATE


def derived(**seen: Any) -> Step:
    recipe = recipe_key(PICTURE, [RESIZE], "off")
    lock = {"a": record(outputs={"a.png": LockOutput(DERIVED, recipe)})}
    return step(replace(FRESH, **{"lock": lock, **seen}), None, keyed(steps=(RESIZE,)))


def test_a_derived_file_is_fresh_restored_or_derived_and_never_bought() -> None:
    assert derived(files={"a.png": DERIVED}).verdict is Verdict.FRESH
    assert derived(files={}, blobs={PICTURE, DERIVED}).outputs[0].verdict is Verdict.RESTORE
    assert derived(files={}).outputs[0].verdict is Verdict.DERIVE
    assert derived(lock=LOCK).outputs[0].verdict is Verdict.DERIVE
    assert derived(files={}).verdict is Verdict.DERIVE


def test_a_changed_recipe_derives_and_a_lost_picture_under_a_fresh_derived_file_is_fresh() -> None:
    other = recipe_key(PICTURE, [ImageStep("resize", {"width": 64})], "off")
    changed = {"a": record(outputs={"a.png": LockOutput(DERIVED, other)})}
    assert derived(lock=changed, files={"a.png": DERIVED}).verdict is Verdict.DERIVE
    assert derived(files={"a.png": DERIVED}, blobs=frozenset(), results={}).verdict is Verdict.FRESH


def test_a_file_that_the_recipe_made_under_another_encoder_is_fresh() -> None:
    recipe = recipe_key(PICTURE, [RESIZE], "off")
    assert derived(files={"a.png": OTHER}, derived={recipe: OTHER}, ours={OTHER, PICTURE}).verdict is Verdict.FRESH


# ---------------------------------------------------------------- choices, moves, orphans


def test_an_approved_entry_is_held_when_its_key_moves_and_costs_nothing() -> None:
    old = replace(ACTION, prompt="a blue lantern")
    found = step(replace(FRESH, lock={"a": record(old, approved=True)}))
    assert (found.held, found.verdict, found.candidates[0].digest) == (True, Verdict.FRESH, PICTURE)
    assert ("held", "prompt") in [(reason.code, reason.field) for reason in found.reasons]


def test_an_approved_picture_that_is_lost_is_reported_and_not_bought() -> None:
    made = plan(Observed(lock={"a": record(approved=True)}))
    assert (made.steps[0].verdict, made.cost) == (Verdict.REFUSED, {})


def test_an_accepted_edit_keeps_its_picture() -> None:
    old = replace(ACTION, prompt="a red  lantern")
    lock = {"a": record(old, accepted={KEY: action_key(old)})}
    seen = replace(FRESH, lock=lock, results={action_key(old): (result(key=action_key(old)),)})
    assert (step(seen).verdict, step(seen).candidates[0].digest) == (Verdict.RESTORE, PICTURE)


def test_a_value_that_only_the_table_moved_keeps_its_picture() -> None:
    old = replace(ACTION, size="1472*1140")
    wanted = keyed(action=replace(ACTION, size="1472*1104"), earlier={"size": ("1472*1140",)})
    found = step(replace(FRESH, lock={"a": record(old)}, results={}), None, wanted)
    assert (found.verdict, codes(found), found.candidates[0].digest) == (Verdict.RESTORE, ["table-moved"], PICTURE)


def test_a_size_that_the_user_changed_is_bought() -> None:
    old = replace(ACTION, size="1664*928")
    wanted = keyed(action=replace(ACTION, size="1472*1104"), earlier={"size": ("1472*1140",)})
    assert step(replace(FRESH, lock={"a": record(old)}, results={}), None, wanted).verdict is Verdict.GENERATE


def test_a_new_id_takes_over_the_orphan_with_its_key_once() -> None:
    lock = {"old": record(outputs={"old.png": LockOutput()}, approved=True)}
    made = plan(Observed(lock=lock, blobs={PICTURE}), None, keyed("new/a"), keyed("new/b"))
    assert [found.moved_from for found in made.steps] == ["old", ""]
    assert [orphan.path for orphan in made.orphans] == ["old.png"]


def test_an_orphan_is_removable_only_when_it_is_unmodified_and_in_the_vault() -> None:
    lock = {
        **LOCK,
        "gone": record(replace(ACTION, seed=9), OTHER, outputs={"gone.png": LockOutput(), "gone.png.import": LockOutput()}),
    }
    files = {**FILES, "gone.png": OTHER, "gone.png.import": OTHER}
    orphans = plan(replace(FRESH, lock=lock, files=files, blobs={PICTURE, OTHER})).orphans
    assert [(orphan.path, orphan.removable) for orphan in orphans] == [("gone.png", True), ("gone.png.import", False)]
    assert not plan(replace(FRESH, lock=lock, files=files)).orphans[0].removable
    assert not plan(replace(FRESH, lock=lock, files={"gone.png": STRANGER}, blobs={OTHER})).orphans[0].removable


def test_a_path_that_another_entry_wants_is_no_orphan() -> None:
    lock = {**LOCK, "gone": record(replace(ACTION, seed=9), OTHER, outputs={"a.png": LockOutput()})}
    assert [orphan.path for orphan in plan(replace(FRESH, lock=lock)).orphans] == [""]


# ---------------------------------------------------------------- money


def test_entries_that_share_a_key_pay_once_and_the_first_carries_the_price() -> None:
    made = plan(Observed(), None, keyed("a"), keyed("b"))
    assert made.cost == PRICE
    assert [found.candidates[0].price for found in made.steps] == [PRICE, {}]


def test_an_unknown_price_is_unknown_and_never_zero() -> None:
    made = plan(Observed(), None, keyed(price=None))
    assert (made.cost, made.unknown_price) == ({}, 1)


def test_the_time_is_what_the_providers_limits_allow() -> None:
    wanted = [keyed(f"a{n}", replace(ACTION, seed=n)) for n in range(10)]
    assert plan(Observed(), None, *wanted).seconds == 75
    assert plan(Observed(), None, keyed()).seconds == 15


def test_what_no_change_of_the_manifest_explains_is_counted_for_the_brake() -> None:
    assert plan(Observed(lock=LOCK)).unexplained == 1
    assert plan(Observed(lock={"a": record(replace(ACTION, prompt="other"))})).unexplained == 0
    assert plan(Observed()).unexplained == 0
    assert plan(Observed(once={"a"})).unexplained == 1


def test_a_plan_of_an_unsaid_lock_field_reads_its_default() -> None:
    assert document(ACTION)["prompt_extend"] is False
    assert "prompt_extend" not in short_document(ACTION)
    assert step(FRESH).verdict is Verdict.FRESH
