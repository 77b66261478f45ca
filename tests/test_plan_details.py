"""The plan's smaller print: why a file is to be written, what a pointer stands for, what a plan costs, what nothing explains.

Each test was asked for by a mutant that the tables of `test_plan` did not notice.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from qwenbuild.key import action_key, judgement_key, recipe_key
from qwenbuild.model import Candidate, ImageStep, Keyed, LockOutput, OutputPlan, OutputSpec, Verdict
from qwenbuild.plan import Observed, UntouchedEntries, Wishes, facts_of, implied_steps, marks_of, media_type_for
from qwenbuild.plan.facts import orphan_keys
from qwenbuild.plan.money import purchases, seconds_of, step_price
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
    STRANGER,
    codes,
    keyed,
    plan,
    record,
    result,
    step,
)

RECIPE = recipe_key(PICTURE, [RESIZE], "off")
POINTS = {"a.png": PICTURE}
"""The pointer at a.png stands for the picture."""


def output(seen: Observed, wishes: Wishes | None = None, **more: Any) -> OutputPlan:
    return step(seen, wishes, keyed(**more)).outputs[0]


def made(wishes: Wishes | None = None, **seen: Any) -> OutputPlan:
    """The plan of a file that is made from the picture."""
    lock = {"a": record(outputs={"a.png": LockOutput(DERIVED, RECIPE)})}
    return output(replace(FRESH, **{"lock": lock, **seen}), wishes, steps=(RESIZE,))


# ---------------------------------------------------------------- types and implied conversions


@pytest.mark.parametrize(("said", "media_type"), [("png", "image/png"), ("jpg", "image/jpeg"), ("", "image/png")])
def test_a_pictures_type_is_the_one_its_action_asks_for(said: str, media_type: str) -> None:
    assert media_type_for(replace(ACTION, output_format=said)) == media_type


@pytest.mark.parametrize(
    ("path", "kinds"),
    [("a.png", []), ("a.PNG", []), ("a.jpg", ["format"]), ("a.jpeg", ["format"]), ("a.webp", ["format"]), ("a.xyz", [])],
)
def test_an_extension_of_another_type_implies_a_conversion(path: str, kinds: list[str]) -> None:
    assert [each.kind for each in implied_steps(OutputSpec(path), "image/png")] == kinds


def test_an_implied_conversion_comes_last_and_only_where_none_is_written() -> None:
    written = ImageStep("format", {"type": "webp"})
    assert [each.kind for each in implied_steps(OutputSpec("a.webp", (RESIZE,)), "image/png")] == ["resize", "format"]
    assert implied_steps(OutputSpec("a.webp", (written, RESIZE)), "image/png") == (written, RESIZE)
    (only,) = implied_steps(OutputSpec("a.jpg"), "image/png")
    assert only.args["type"] == "jpeg"


def test_only_full_provenance_names_model_prompt_and_key() -> None:
    candidate = Candidate(7, ACTION, KEY)
    assert marks_of(candidate, "off") is marks_of(candidate, "basic") is None
    marks = marks_of(candidate, "full")
    assert marks is not None
    assert (marks["model"], marks["key"], len(marks["prompt_digest"])) == ("qwen-image-plus", KEY, 64)


# ---------------------------------------------------------------- why a file is written


def test_the_reason_of_a_file_says_what_is_wrong_with_it() -> None:
    assert output(FRESH).reason == ""
    assert output(replace(FRESH, files={})).reason == "missing"
    twin = {**LOCK, "b": record(replace(ACTION, seed=8), OTHER, outputs={"b.png": LockOutput()})}
    assert output(replace(FRESH, lock=twin, files={"a.png": OTHER})).reason == "differs"
    assert output(replace(FRESH, lock={})).reason == "unlocked"
    assert output(replace(FRESH, files={"a.png": STRANGER})).reason == "modified"
    assert output(Observed()).reason == "no-picture"
    seen = Observed(lock={"a": record(replace(ACTION, seed=8))}, files={"a.png": STRANGER})
    assert output(seen).reason == "modified"


@pytest.mark.parametrize("locked", [LockOutput(orphan=True), LockOutput(DERIVED, "0" * 64)])
def test_a_file_whose_lock_line_says_something_else_is_not_fresh(locked: LockOutput) -> None:
    found = output(replace(FRESH, lock={"a": record(outputs={"a.png": locked})}))
    assert (found.verdict, found.reason) == (Verdict.RESTORE, "unlocked")


def test_a_file_is_restored_where_its_own_bytes_are_at_hand_and_derived_elsewhere() -> None:
    assert made(files={}, blobs={PICTURE, DERIVED}).verdict is Verdict.RESTORE
    assert made(files={}).verdict is Verdict.DERIVE
    assert made(files={}, lock={}).verdict is Verdict.DERIVE
    moved = {"a": record(outputs={"old.png": LockOutput(DERIVED, RECIPE)})}
    found = made(files={"old.png": DERIVED}, lock=moved)
    assert (found.verdict, found.digest) == (Verdict.RESTORE, DERIVED)
    assert made(files={}, lock={}, derived={RECIPE: DERIVED}, blobs={PICTURE, DERIVED}).digest == DERIVED


def test_a_file_that_nobody_held_against_its_expectation_is_looked_at_and_one_that_fails_is_failed() -> None:
    expect = {"not_blank": True}
    item = keyed()
    wanted = replace(item, entry=replace(item.entry, outputs=(OutputSpec("a.png", (), expect=expect),)))
    unjudged = step(FRESH, None, wanted).outputs[0]
    assert (unjudged.verdict, unjudged.reason) == (Verdict.RESTORE, "unjudged")
    seen = replace(FRESH, judgements={judgement_key(expect, PICTURE): "it is blank"})
    found = step(seen, None, wanted)
    assert (found.outputs[0].verdict, found.outputs[0].reason) == (Verdict.FAILED, "it is blank")
    assert [(reason.code, reason.field, reason.new) for reason in found.reasons] == [("failed", "a.png", "it is blank")]
    assert step(seen, Wishes(retry_failed=True), wanted).verdict is Verdict.GENERATE
    gone = step(replace(seen, judgements={}, files={}), None, wanted).outputs[0]
    assert (gone.verdict, gone.reason) == (Verdict.RESTORE, "missing")
    unlocked = step(replace(seen, judgements={}, lock={}), None, wanted).outputs[0]
    assert unlocked.reason == "unlocked"


def test_a_file_of_a_picture_that_is_not_there_yet_is_derived_where_it_has_steps_or_marks() -> None:
    assert output(Observed()).verdict is Verdict.RESTORE
    assert output(Observed(), steps=(RESIZE,)).verdict is Verdict.DERIVE
    assert output(Observed(), Wishes(provenance="basic")).verdict is Verdict.DERIVE
    ours = Observed(lock={"a": record(replace(ACTION, seed=8))}, files={"a.png": PICTURE})
    assert output(ours).verdict is Verdict.RESTORE
    assert output(replace(ours, files={"a.png": STRANGER}), Wishes(overwrite=True)).verdict is Verdict.RESTORE


# ---------------------------------------------------------------- git-LFS pointers

POINTER_ROWS = [
    ("its bytes are in the vault", {"blobs": {PICTURE}}, Verdict.RESTORE, "pointer"),
    ("its bytes are in the shared cache", {"blobs": frozenset(), "shared": {PICTURE}}, Verdict.RESTORE, "pointer"),
    ("its bytes are nowhere", {"blobs": frozenset()}, Verdict.REFUSED, "pointer"),
    ("it stands for other bytes", {"pointers": {"a.png": OTHER}}, Verdict.MODIFIED, "pointer-other"),
    ("it stands at another path", {"pointers": {"b.png": PICTURE}}, Verdict.MODIFIED, "modified"),
]


@pytest.mark.parametrize(("seen", "verdict", "reason"), [row[1:] for row in POINTER_ROWS], ids=[row[0] for row in POINTER_ROWS])
def test_what_a_pointer_stands_for_decides(seen: dict[str, Any], verdict: Verdict, reason: str) -> None:
    base = replace(FRESH, files={"a.png": STRANGER}, pointers=POINTS)
    found = output(replace(base, **seen))
    assert (found.verdict, found.reason) == (verdict, reason)


def test_a_pointer_to_a_made_file_is_replaced_where_picture_or_file_is_at_hand() -> None:
    pointed = {"files": {"a.png": STRANGER}, "pointers": {"a.png": DERIVED}}
    assert (made(**pointed).verdict, made(**pointed).reason) == (Verdict.DERIVE, "pointer")
    assert made(**pointed, blobs={DERIVED}).verdict is Verdict.RESTORE
    assert made(**pointed, blobs=frozenset()).verdict is Verdict.REFUSED
    assert made(Wishes(overwrite=True), **pointed, blobs=frozenset()).verdict is Verdict.REFUSED


def test_a_pointer_to_other_bytes_gives_way_to_overwrite_alone() -> None:
    seen = replace(FRESH, files={"a.png": STRANGER}, pointers={"a.png": OTHER})
    assert codes(step(seen)) == ["file"]
    assert output(seen, Wishes(overwrite=True)).verdict is Verdict.RESTORE
    waiting = Observed(lock={"a": record(replace(ACTION, seed=8))}, files={"a.png": STRANGER}, pointers={"a.png": OTHER})
    assert (output(waiting).verdict, output(waiting).reason) == (Verdict.MODIFIED, "pointer-other")


def test_what_a_pointer_stands_for_is_never_bought() -> None:
    lost = Observed(lock=LOCK, pointed={PICTURE: "old.png"})
    found = plan(lost)
    assert (found.steps[0].verdict, found.cost, codes(found.steps[0])) == (Verdict.REFUSED, {}, ["pointer"])
    assert "git lfs pull" in found.steps[0].reasons[0].new
    assert found.steps[0].reasons[0].field == "old.png"
    assert step(Observed(lock=LOCK, pointed={OTHER: "old.png"})).verdict is Verdict.GENERATE
    assert step(lost, Wishes(forced={"a"})).verdict is Verdict.GENERATE


def test_files_that_pointers_stand_for_all_together_keep_a_lost_picture_from_being_bought() -> None:
    second = OutputSpec("b.png", (ImageStep("resize", {"width": 64}),))
    item = keyed(steps=(RESIZE,))
    wanted = replace(item, entry=replace(item.entry, outputs=(*item.entry.outputs, second)))
    other = recipe_key(PICTURE, list(second.steps), "off")
    lock = {"a": record(outputs={"a.png": LockOutput(DERIVED, RECIPE), "b.png": LockOutput(OTHER, other)})}
    both = Observed(lock=lock, pointed={DERIVED: "x.png", OTHER: "y.png"})
    assert step(both, None, wanted).verdict is Verdict.REFUSED
    assert step(replace(both, pointed={DERIVED: "x.png"}), None, wanted).verdict is Verdict.GENERATE
    half = replace(both, blobs={DERIVED}, pointed={OTHER: "y.png"})
    assert step(half, None, wanted).verdict is Verdict.REFUSED


def test_a_pointer_says_nothing_of_bytes_that_are_at_hand_or_unknown() -> None:
    facts = facts_of(Observed(blobs={PICTURE}, pointed={PICTURE: "x.png", "": "y.png", OTHER: "z.png"}), Wishes(), ())
    assert [facts.unfetched(digest) for digest in (PICTURE, "", OTHER, STRANGER)] == ["", "", "z.png", ""]


# ---------------------------------------------------------------- at hand


@pytest.mark.parametrize("place", ["blobs", "shared"])
def test_bytes_at_hand_are_restored_and_never_bought(place: str) -> None:
    assert step(Observed(lock=LOCK, **{place: {PICTURE}})).verdict is Verdict.RESTORE  # type: ignore[arg-type]


def test_bytes_of_an_entry_that_nobody_looks_at_are_at_hand_and_ours() -> None:
    beside = UntouchedEntries(ids={"b"}, files={PICTURE}, digests={OTHER})
    assert step(Observed(lock=LOCK, untouched=beside)).verdict is Verdict.RESTORE
    assert output(replace(FRESH, files={"a.png": OTHER}, untouched=beside)).verdict is Verdict.RESTORE


def test_every_digest_that_the_lockfile_names_is_ours() -> None:
    lock = {"a": record(candidates={"k": OTHER}), "b": record(outputs={"b.png": LockOutput(DERIVED, RECIPE)})}
    for digest in (OTHER, DERIVED):
        assert output(replace(FRESH, lock=lock, files={"a.png": digest})).verdict is Verdict.RESTORE
    assert output(replace(FRESH, lock=lock, files={"a.png": STRANGER})).verdict is Verdict.MODIFIED


def test_a_picture_in_use_counts_before_another_entrys_candidate_when_an_id_is_taken_over() -> None:
    lock = {"new": record(), "one": record(candidates={"k": OTHER}), "two": record(key="k")}
    assert orphan_keys(lock, {"new"}) == {"k": "two", KEY: "one"}


# ---------------------------------------------------------------- money and time


def test_two_pictures_at_unknown_prices_are_two() -> None:
    found = plan(Observed(), None, keyed(price=None), keyed("b", replace(ACTION, seed=8), price=None))
    assert (found.unknown_price, found.cost) == (2, {})


def test_a_price_is_summed_by_unit() -> None:
    credits = {"apiframe": Decimal(6)}
    found = plan(
        Observed(), None, keyed(), keyed("b", replace(ACTION, seed=8)), keyed("c", replace(ACTION, seed=9), price=credits)
    )
    assert found.cost == {"usd": Decimal("0.06"), "apiframe": Decimal(6)}


@pytest.mark.parametrize(
    ("count", "rps", "in_flight", "seconds"),
    [(1, 2, 2, 15.0), (3, 2, 0, 16.0), (3, 0, 2, 30.0), (4, 0, 2, 30.0), (5, 0, 2, 45.0), (1, 0, 0, 15.0), (61, 1, 99, 75.0)],
)
def test_the_time_is_the_longer_of_rate_and_rounds(count: int, rps: float, in_flight: int, seconds: float) -> None:
    wanted = [keyed(f"n{n}", replace(ACTION, seed=n), rps=rps, in_flight=in_flight) for n in range(count)]
    assert plan(Observed(), None, *wanted).seconds == seconds


def test_providers_work_side_by_side_and_nothing_takes_no_time() -> None:
    other = keyed("b", replace(ACTION, model="qwen-image", seed=8), rps=1, seconds=40)
    assert plan(Observed(), None, keyed(), other).seconds == 40
    assert seconds_of(()) == 0.0


def variants(*seeds: int, id: str = "a") -> Keyed:
    """An entry with a candidate for each seed."""
    actions = [replace(ACTION, seed=seed) for seed in seeds]
    return replace(keyed(id), candidates=tuple(Candidate(action.seed, action, action_key(action)) for action in actions))


def test_a_key_that_two_entries_share_is_paid_once_and_their_other_candidates_each() -> None:
    made = plan(Observed(), None, variants(1, 2), variants(2, 3, id="b"))
    assert [[each.price for each in found.candidates] for found in made.steps] == [[PRICE, PRICE], [{}, PRICE]]
    assert made.cost == {"usd": Decimal("0.09")}
    assert step_price(made.steps[1]) == PRICE
    assert [(found.id, each.candidate.seed) for found, each in purchases(made.steps)] == [("a", 1), ("a", 2), ("b", 3)]
    thrice = plan(Observed(), None, variants(1, 2), variants(2, 3, id="b"), variants(3, 4, id="c"))
    assert thrice.cost == {"usd": Decimal("0.12")}


def test_a_picture_that_is_at_hand_is_no_purchase_and_makes_no_twin_free() -> None:
    seen = Observed(results={KEY: (result(),)}, blobs={PICTURE})
    made = plan(seen, None, variants(7, 8), variants(8, 9, id="b"))
    assert [each.candidate.seed for _, each in purchases(made.steps)] == [8, 9]
    assert made.cost == {"usd": Decimal("0.06")}
    assert step_price(plan(Observed(), None, keyed(price=None)).steps[0]) is None


def test_an_entry_is_paid_if_any_candidate_of_it_is() -> None:
    lost = {"a": record(candidates={})}
    seen = Observed(lock=lost, results={action_key(replace(ACTION, seed=8)): (result(OTHER),)}, blobs={OTHER})
    assert plan(seen, None, variants(7, 8)).unexplained == 1


def test_a_purchase_for_another_key_version_alone_is_unexplained_and_one_for_another_word_is_not() -> None:
    old = record(key="0" * 64)
    for changes, unexplained in ({"v": 0}, 1), ({"prompt": "another"}, 0), ({"v": 0, "prompt": "another"}, 0):
        lock = {"a": replace(old, action={**old.action, **changes})}
        made = plan(Observed(lock=lock))
        assert (made.steps[0].verdict, made.unexplained) == (Verdict.GENERATE, unexplained), changes


def test_orphans_are_counted() -> None:
    lock = {"old": record(replace(ACTION, seed=8), outputs={"x.png": LockOutput(), "y.png": LockOutput()})}
    assert plan(Observed(lock=lock)).counts["orphan"] == 2


def test_counts_are_of_entries_and_a_held_one_is_counted_beside_its_verdict() -> None:
    held = record(replace(ACTION, prompt="a blue lantern"), approved=True)
    counts = plan(replace(FRESH, lock={"a": held}), None, keyed(), keyed("b", replace(ACTION, seed=8))).counts
    assert (counts["fresh"], counts["generate"], counts["held"], counts["orphan"]) == (1, 1, 1, 0)


@pytest.mark.parametrize(
    ("locked", "bought_before", "unexplained"),
    [
        ({}, frozenset(), 0),
        ({}, {"a"}, 1),
        ({}, {"b"}, 0),
        ({"a": record()}, frozenset(), 1),
        ({"a": record(replace(ACTION, prompt="another"))}, {"a"}, 0),
    ],
)
def test_what_was_lost_or_stored_before_and_vanished_is_unexplained(
    locked: dict[str, Any], bought_before: Any, unexplained: int
) -> None:
    assert plan(Observed(lock=locked, once=bought_before)).unexplained == unexplained


def test_a_new_entry_of_an_asset_that_the_lockfile_still_has_is_explained() -> None:
    lock = {"a/1": record(outputs={"a/1.png": LockOutput()})}
    wanted = keyed("a/2", replace(ACTION, seed=8))
    assert plan(Observed(lock=lock, once={"a/2"}), None, wanted).unexplained == 0
    assert plan(Observed(once={"a/2"}, untouched=UntouchedEntries(ids={"a/1"})), None, wanted).unexplained == 0
    assert plan(Observed(once={"a/2"}), None, wanted).unexplained == 1


def test_what_costs_nothing_is_never_unexplained() -> None:
    assert plan(Observed(lock=LOCK), None, keyed(price={})).unexplained == 0


# ---------------------------------------------------------------- orphans


@pytest.mark.parametrize(
    ("path", "files", "blobs", "removable"),
    [
        ("old.png", {"old.png": PICTURE}, {PICTURE}, True),
        ("old.png", {"old.png": PICTURE}, frozenset(), False),
        ("old.png", {"old.png": STRANGER}, {PICTURE, STRANGER}, False),
        ("old.png", {}, frozenset(), True),
        ("old.png.meta", {"old.png.meta": PICTURE}, {PICTURE}, False),
        ("old.png.import", {"old.png.import": PICTURE}, {PICTURE}, False),
    ],
)
def test_an_orphans_file_is_removable_only_where_nothing_is_lost(
    path: str, files: dict[str, str], blobs: Any, removable: bool
) -> None:
    lock = {"old": record(replace(ACTION, seed=8), outputs={path: LockOutput()})}
    (orphan,) = plan(Observed(lock=lock, files=files, blobs=blobs)).orphans
    assert (orphan.id, orphan.path, orphan.digest) == ("old", path, PICTURE)
    assert (orphan.removable, orphan.present) == (removable, bool(files))


def test_a_made_file_of_an_orphan_is_removable_without_its_bytes_in_the_vault() -> None:
    lock = {"old": record(replace(ACTION, seed=8), outputs={"old.png": LockOutput(DERIVED, RECIPE)})}
    (orphan,) = plan(Observed(lock=lock, files={"old.png": DERIVED})).orphans
    assert (orphan.digest, orphan.removable) == (DERIVED, True)


def test_an_entry_without_a_path_left_is_an_orphan_unless_another_id_took_it_over_or_its_path_is_wanted() -> None:
    bare = {"old": record(replace(ACTION, seed=8), outputs={})}
    (orphan,) = plan(Observed(lock=bare)).orphans
    assert (orphan.id, orphan.path, orphan.removable, orphan.present) == ("old", "", True, False)
    assert plan(Observed(lock={"old": record(outputs={})}, blobs={PICTURE})).orphans == ()
    assert plan(Observed(lock={"a": record(outputs={})}, blobs={PICTURE})).orphans == ()
    kept = {"old": record(replace(ACTION, seed=8), outputs={"x.png": LockOutput()})}
    assert [o.path for o in plan(Observed(lock=kept, untouched=UntouchedEntries(paths={"x.png"}))).orphans] == [""]


# ---------------------------------------------------------------- which picture


def test_of_two_paid_pictures_the_one_in_the_file_is_taken_and_its_type_with_it() -> None:
    jpeg = replace(result(OTHER), media_type="image/jpeg")
    seen = Observed(results={KEY: (result(), jpeg)}, blobs={PICTURE, OTHER}, files={"a.png": OTHER})
    used = step(seen).candidates[0]
    assert (used.digest, used.media_type) == (OTHER, "image/jpeg")
    assert step(replace(seen, files={})).candidates[0].digest == PICTURE


def test_the_type_of_a_locked_picture_is_its_receipts_else_the_lockfiles_else_the_actions() -> None:
    lock = {"a": record(media_type="image/webp")}
    jpeg = replace(result(), media_type="image/jpeg")
    assert step(replace(FRESH, lock=lock, results={KEY: (jpeg,)})).candidates[0].media_type == "image/jpeg"
    assert step(replace(FRESH, lock=lock, results={})).candidates[0].media_type == "image/webp"
    assert step(replace(FRESH, results={})).candidates[0].media_type == "image/png"


def test_a_rejected_picture_that_is_lost_is_not_bought_again() -> None:
    other = replace(ACTION, seed=8)
    lock = {"a": record(other, rejected=(KEY,))}
    found = plan(Observed(lock=lock, results={KEY: (result(),)}, blobs={PICTURE}))
    assert (found.steps[0].verdict, found.cost) == (Verdict.REFUSED, {})
    assert "rejected" in codes(found.steps[0])
    assert action_key(other) != KEY


def test_retry_failed_asks_a_refused_key_again_and_never_a_doubt() -> None:
    for verdict, after in (
        (Verdict.REFUSED, Verdict.GENERATE),
        (Verdict.DOUBT, Verdict.DOUBT),
        (Verdict.RESUME, Verdict.RESUME),
    ):
        seen = Observed(standing={KEY: (verdict, "because")})
        found = step(seen)
        assert (found.verdict, found.reasons[0].code, found.reasons[0].new) == (verdict, verdict.value, "because")
        assert step(seen, Wishes(retry_failed=True)).verdict is after
