"""Candidates and what people choose among them: what is bought, kept, held and shown after each choice and edit."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from qwenbuild.engine import remember
from qwenbuild.errors import InputError
from qwenbuild.images import difference
from qwenbuild.lock import lockfile, records
from qwenbuild.ports import Event
from qwenbuild.snapshot import statefile
from qwenbuild.tree import digest_of
from qwenbuild.verbs import adopt, build, choices
from qwenbuild.verbs.explanation import explain
from tests.walking import Project, Recorder

HEROES = """\
version: 1
defaults: {params: {size: "256*256"}}
assets:
  heroes:
    prompt: "A {{ kind }}"
    matrix: {kind: [knight, witch]}
    seed: 7
    variants: 3
  shields:
    prompt: "A round shield"
"""
KNIGHT, WITCH = "heroes/knight", "heroes/witch"


@pytest.fixture
def heroes(walked: Project) -> Project:
    walked.manifest(HEROES)
    return walked


@pytest.fixture
def built(heroes: Project) -> Project:
    assert heroes.build().exit_code == 0
    return heroes


def locked(project: Project, id: str = KNIGHT) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(project.lock.read_bytes())["entries"][id]
    return found


def seeds(project: Project, id: str = KNIGHT) -> list[int]:
    step = next(step for step in project.plan().plan.steps if step.id == id)
    return [plan.candidate.seed for plan in step.candidates]


def reasons(project: Project, id: str = KNIGHT) -> list[str]:
    step = next(step for step in project.plan().plan.steps if step.id == id)
    return [reason.code for reason in step.reasons]


def digest(project: Project, number: int, id: str = KNIGHT) -> str:
    step = next(step for step in project.plan().plan.steps if step.id == id)
    return step.candidates[number - 1].digest


def pick(project: Project, number: int, id: str = KNIGHT) -> None:
    choices.pick(project.options(), id, number)


# ---------------------------------------------------------------- variants


def test_every_candidate_is_bought_once_and_the_first_is_used(heroes: Project) -> None:
    heroes.build()
    assert sorted(heroes.submitted) == [KNIGHT] * 3 + [WITCH] * 3 + ["shields"]
    assert seeds(heroes) == [7, 8, 9]
    assert heroes.tree()["heroes/knight.png"] == digest(heroes, 1)
    assert (heroes.verdicts()[KNIGHT], reasons(heroes)) == ("fresh", ["unpicked"])


def test_raising_the_number_buys_only_the_new_ones_and_lowering_buys_nothing(built: Project) -> None:
    before = built.lock.read_bytes()
    built.edit("variants: 3", "variants: 5")
    assert built.build().exit_code == 0
    assert sorted(built.submitted) == [KNIGHT, KNIGHT, WITCH, WITCH]
    built.edit("variants: 5", "variants: 1")
    assert (built.build().exit_code, built.submitted) == (0, [])
    built.edit("variants: 1", "variants: 3")
    assert (built.build().exit_code, built.submitted) == (0, [])
    assert locked(built)["key"] == json.loads(before)["entries"][KNIGHT]["key"]
    built.edit("variants: 3", "variants: 5")
    assert (built.build().exit_code, built.submitted) == (0, [])


def test_lowering_the_number_keeps_a_pick_and_a_lost_cache_index_does_not_matter(built: Project) -> None:
    pick(built, 3)
    built.build()
    shown = built.tree()["heroes/knight.png"]
    built.edit("variants: 3", "variants: 1")
    assert (built.build().exit_code, built.submitted) == (0, [])
    assert built.tree()["heroes/knight.png"] == shown
    assert seeds(built) == [7, 9]


def test_any_two_candidates_of_the_placeholder_differ_visibly(built: Project) -> None:
    pictures = [built.cache().read_blob(digest(built, number)) for number in (1, 2, 3)]
    assert min(difference(one, other) for one, other in itertools.combinations(pictures, 2)) > 0.05


def test_an_entry_that_asks_for_a_picture_that_another_entry_has_buys_only_what_is_missing(built: Project) -> None:
    built.edit("  shields:", '  knights: {prompt: "A knight", seed: 8, variants: 3}\n  shields:')
    assert (built.build().exit_code, built.submitted) == (0, ["knights"])


# ---------------------------------------------------------------- picks


def test_a_pick_changes_the_file_and_costs_nothing(built: Project) -> None:
    second = digest(built, 2)
    pick(built, 2)
    assert built.build().exit_code == 0
    assert (built.submitted, built.written) == ([], ["heroes/knight.png"])
    assert built.tree()["heroes/knight.png"] == second
    assert locked(built)["picked"] == locked(built)["key"]
    assert reasons(built) == []


def test_a_pick_and_its_end_leave_the_lockfile_as_it_was(built: Project) -> None:
    before, tree = built.lock.read_bytes(), built.tree()
    pick(built, 2)
    choices.unpick(built.options(), (KNIGHT,))
    assert built.lock.read_bytes() == before
    assert (built.build().exit_code, built.tree()) == (0, tree)


def test_the_same_picture_keeps_its_day(built: Project) -> None:
    step = next(step for step in built.plan().plan.steps if step.id == KNIGHT)
    record = replace(lockfile.read(built.lock).entries[KNIGHT], made="2020-02-02")
    first, second = (records.CandidatePicture(plan.candidate, plan.digest, "2026-11-20") for plan in step.candidates[:2])
    assert records.use(record, first).made == "2020-02-02"
    assert records.use(record, second).made == "2026-11-20"


def test_a_pick_stays_when_another_assets_template_changes(built: Project) -> None:
    pick(built, 2)
    built.build()
    built.edit("A round shield", "A square shield")
    before = built.tree()["heroes/knight.png"]
    assert built.build().exit_code == 0
    assert built.submitted == ["shields"]
    assert (built.tree()["heroes/knight.png"], reasons(built)) == (before, [])


def test_a_new_prompt_makes_the_pick_void_and_both_pictures_are_shown_before_and_after_the_build(built: Project) -> None:
    old = digest(built, 2)
    pick(built, 2)
    built.build()
    built.edit("A {{ kind }}", "A tall {{ kind }}")
    assert "pick-void" in reasons(built)
    built.build()
    assert sorted(built.submitted) == [KNIGHT] * 3 + [WITCH] * 3
    step = next(step for step in built.plan().plan.steps if step.id == KNIGHT)
    assert [(r.code, r.old, r.new) for r in step.reasons] == [("pick-void", old, digest(built, 1))]
    assert step.verdict.value == "fresh"
    built.edit("A tall {{ kind }}", "A {{ kind }}")
    assert (built.build().exit_code, built.submitted, reasons(built)) == (0, [], [])
    assert built.tree()["heroes/knight.png"] == old


def test_a_new_pick_ends_a_void_one(built: Project) -> None:
    pick(built, 2)
    built.edit("A {{ kind }}", "A tall {{ kind }}")
    built.build()
    pick(built, 3)
    built.build()
    assert reasons(built) == []
    assert len(locked(built)["candidates"]) == 2


def test_a_pick_survives_renaming_and_reordering(built: Project) -> None:
    pick(built, 2)
    built.build()
    picture = built.tree()["heroes/knight.png"]
    built.edit("  heroes:", "  champions:")
    built.edit("[knight, witch]", "[witch, knight]")
    assert (built.build().exit_code, built.submitted) == (0, [])
    assert built.tree()["champions/knight.png"] == picture
    assert reasons(built, "champions/knight") == []
    assert reasons(built, "champions/witch") == ["unpicked"]


def test_a_picked_candidate_that_was_added_survives_renaming(built: Project) -> None:
    choices.reroll(built.options(), KNIGHT)
    built.build()
    pick(built, 4)
    built.build()
    picture = built.tree()["heroes/knight.png"]
    built.edit("  heroes:", "  champions:")
    assert (built.build().exit_code, built.submitted) == (0, [])
    assert built.tree()["champions/knight.png"] == picture
    assert (built.build().exit_code, built.submitted) == (0, [])
    assert len(seeds(built, "champions/knight")) == 4


def test_an_added_candidate_that_nobody_picked_survives_renaming(built: Project) -> None:
    choices.reroll(built.options(), KNIGHT)
    built.build()
    added = seeds(built)
    built.edit("  heroes:", "  champions:")
    assert (built.build().exit_code, built.submitted) == (0, [])
    assert seeds(built, "champions/knight") == added


@pytest.mark.parametrize("file", ["fresh", "changed by hand"])
def test_a_new_name_whose_file_stays_where_it_was_reaches_the_lockfile(walked: Project, file: str) -> None:
    walked.manifest('version: 1\ndefaults: {params: {size: "64*64"}}\nassets: {one: {prompt: x, outputs: [{path: a.png}]}}\n')
    walked.build()
    choices.approve(walked.options(), ("one",))
    before = locked(walked, "one")
    walked.edit("one:", "two:")
    if file != "fresh":
        (walked.out / "a.png").write_bytes(b"mine")
    assert (walked.build().exit_code, walked.submitted, walked.written) == (0, [], [])
    assert json.loads(walked.lock.read_bytes())["entries"] == {"two": before}
    assert [step.moved_from for step in walked.plan().plan.steps] == [""]


def test_a_choice_for_a_renamed_entry_takes_its_record_along(built: Project) -> None:
    built.edit("  heroes:", "  champions:")
    pick(built, 2, "champions/knight")
    assert set(lockfile.read(built.lock).entries) == {"champions/knight", WITCH, "shields"}
    assert (built.build().exit_code, built.submitted) == (0, [])


def test_picks_come_back_with_the_lockfile_when_cache_index_and_tree_are_lost(built: Project) -> None:
    pick(built, 3)
    built.build()
    tree = built.tree()
    built.lose("outputs", "index", "state")
    assert (built.build().exit_code, built.submitted, built.tree()) == (0, [], tree)


def test_the_file_of_another_candidate_is_ours_also_without_the_cache(built: Project) -> None:
    pick(built, 2)
    built.lose("cache")
    step = next(step for step in built.plan().plan.steps if step.id == KNIGHT)
    assert [output.verdict.value for output in step.outputs] == ["restore"]
    assert [reason.code for reason in step.reasons] == ["lost"]


def test_a_candidate_that_is_not_there_or_not_made_cannot_be_picked(heroes: Project) -> None:
    with pytest.raises(InputError, match="candidates 1 to 3, not 4"):
        pick(heroes, 4)
    with pytest.raises(InputError, match="candidate 2 of heroes/knight is not made yet"):
        pick(heroes, 2)
    with pytest.raises(InputError, match="matches nothing"):
        pick(heroes, 1, "heroes/kniht")
    with pytest.raises(InputError, match="names 2 entries"):
        pick(heroes, 1, "heroes/*")
    assert not heroes.lock.exists()


# ---------------------------------------------------------------- approval


def test_an_approved_entry_is_held_for_nothing_until_it_is_released(built: Project) -> None:
    choices.approve(built.options(), ("heroes/*",))
    tree = built.tree()
    built.edit("A {{ kind }}", "A tall {{ kind }}")
    planned = built.plan()
    assert planned.plan.counts["held"] == 2
    assert planned.plan.cost == {}
    assert (built.build().exit_code, built.submitted, built.tree()) == (0, [], tree)
    assert reasons(built) == ["held"]
    choices.release(built.options(), (KNIGHT,))
    assert built.build().exit_code == 0
    assert built.submitted == [KNIGHT] * 3
    assert (built.build().exit_code, built.submitted) == (0, [])
    assert built.tree()["heroes/witch.png"] == tree["heroes/witch.png"]


def test_a_held_entry_keeps_its_candidates_and_its_pick(built: Project) -> None:
    pick(built, 2)
    built.build()
    choices.approve(built.options(), (KNIGHT,))
    before = locked(built)
    built.edit("A {{ kind }}", "A tall {{ kind }}")
    built.lose("outputs")
    built.build()
    assert locked(built) == before
    built.edit("A tall {{ kind }}", "A {{ kind }}")
    assert (built.build().exit_code, built.submitted) == (0, [])
    assert (reasons(built), seeds(built)) == ([], [7, 8, 9])


def test_an_approved_entry_buys_no_further_candidates(built: Project) -> None:
    choices.approve(built.options(), (KNIGHT,))
    built.edit("variants: 3", "variants: 4")
    built.build()
    assert built.submitted == [WITCH]


def test_an_approved_picture_that_was_not_the_first_stays_when_the_number_is_lowered(built: Project) -> None:
    choices.reject(built.options(), (KNIGHT,), (1,))
    built.build()
    choices.approve(built.options(), (KNIGHT,))
    picture = built.tree()["heroes/knight.png"]
    built.edit("variants: 3", "variants: 1")
    assert (built.build().exit_code, built.submitted) == (0, [])
    assert built.tree()["heroes/knight.png"] == picture
    assert built.plan().plan.counts["held"] == 0


def test_an_approved_picture_stays_when_one_before_it_is_no_longer_rejected(built: Project) -> None:
    choices.reject(built.options(), (KNIGHT,), (1,))
    choices.approve(built.options(), (KNIGHT,))
    built.build()
    picture = built.tree()["heroes/knight.png"]
    choices.reject(built.options(), (KNIGHT,), undo=True)
    assert (built.build().exit_code, built.tree()["heroes/knight.png"]) == (0, picture)
    assert built.verdicts()[KNIGHT] == "fresh"
    built.edit("variants: 3", "variants: 1")
    assert (built.plan().plan.counts["held"], seeds(built)) == (0, [7, 8])


def test_what_is_approved_must_be_released_before_another_choice(built: Project) -> None:
    choices.approve(built.options(), (KNIGHT,))
    before = built.lock.read_bytes()
    for choose in (
        lambda: pick(built, 2),
        lambda: choices.reject(built.options(), (KNIGHT,)),
        lambda: choices.reroll(built.options(), KNIGHT),
    ):
        with pytest.raises(InputError, match="heroes/knight is approved"):
            choose()
    assert built.lock.read_bytes() == before


def test_approval_is_partial_and_skips_what_is_not_made(heroes: Project) -> None:
    heroes.build(select=(KNIGHT,))
    told = choices.approve(heroes.options(), ("heroes/*",))
    assert [(choice.id, choice.changed) for choice in told] == [(KNIGHT, True), (WITCH, False)]
    with pytest.raises(InputError, match="nothing is made yet of shields"):
        choices.approve(heroes.options(), ("shields",))


def test_approving_and_releasing_leave_the_lockfile_as_it_was(built: Project) -> None:
    before = built.lock.read_bytes()
    choices.approve(built.options(), ())
    assert built.lock.read_bytes() != before
    choices.release(built.options(), ())
    assert built.lock.read_bytes() == before


# ---------------------------------------------------------------- rejection and added candidates


def test_a_rejected_candidate_is_replaced_by_the_next_and_never_used_again(built: Project) -> None:
    second = digest(built, 2)
    choices.reject(built.options(), (KNIGHT,))
    built.build()
    assert (built.submitted, built.tree()["heroes/knight.png"]) == ([], second)
    built.lose("outputs", "index")
    built.build()
    assert (built.submitted, built.tree()["heroes/knight.png"]) == ([], second)


def test_a_rejection_can_be_taken_back(built: Project) -> None:
    before = built.lock.read_bytes()
    choices.reject(built.options(), (KNIGHT,))
    choices.reject(built.options(), (KNIGHT,), undo=True)
    assert built.lock.read_bytes() == before


def test_when_all_are_rejected_nothing_is_bought_and_the_picture_stays_until_one_is_added(built: Project) -> None:
    tree = built.tree()
    choices.reject(built.options(), (KNIGHT,), (1, 2, 3))
    assert (built.build().exit_code, built.submitted, built.tree()) == (0, [], tree)
    assert reasons(built) == ["rejected"]
    told = choices.reroll(built.options(), KNIGHT)
    assert "candidate 4 is added" in told.words
    built.build()
    assert built.submitted == [KNIGHT]
    assert built.tree()["heroes/knight.png"] == digest(built, 4) != tree["heroes/knight.png"]


def test_a_candidate_rejected_before_it_is_made_is_never_bought(built: Project) -> None:
    built.edit("variants: 3", "variants: 4")
    choices.reject(built.options(), (KNIGHT,), (4,))
    built.build()
    assert built.submitted == [WITCH]


def test_an_added_candidate_is_bought_once_and_its_seed_stands_in_the_lockfile(built: Project) -> None:
    choices.reroll(built.options(), KNIGHT)
    planned = built.plan()
    assert planned.plan.counts["generate"] == 1
    built.build()
    assert built.submitted == [KNIGHT]
    assert locked(built)["seeds"] == [seeds(built)[3]]
    assert (built.build().exit_code, built.submitted) == (0, [])


def test_a_new_prompt_does_not_pay_for_added_candidates_again(built: Project) -> None:
    choices.reroll(built.options(), KNIGHT)
    built.build()
    built.edit("A {{ kind }}", "A tall {{ kind }}")
    built.build()
    assert sorted(built.submitted) == [KNIGHT] * 3 + [WITCH] * 3
    assert "seeds" not in locked(built)


def test_a_candidate_is_added_only_to_what_is_made(built: Project) -> None:
    built.edit("A {{ kind }}", "A tall {{ kind }}")
    with pytest.raises(InputError, match="not made yet as the manifest wants it now"):
        choices.reroll(built.options(), KNIGHT)


def test_explain_lists_the_candidates_with_their_numbers(built: Project) -> None:
    choices.reject(built.options(), (KNIGHT,), (3,))
    pick(built, 2)
    facts = explain(built.options(), KNIGHT).facts
    assert "seed 7" in facts["candidate 1"]
    assert "in use, picked" in facts["candidate 2"]
    assert "rejected" in facts["candidate 3"]


# ---------------------------------------------------------------- accept


def test_an_accepted_edit_pays_nothing_and_keeps_every_candidate_pick_and_rejection(built: Project) -> None:
    pick(built, 2)
    choices.reject(built.options(), (KNIGHT,), (3,))
    built.build()
    tree, pictures = built.tree(), [digest(built, number) for number in (1, 2, 3)]
    built.edit("A {{ kind }}", "A  {{ kind }}")
    before = built.lock.read_bytes()
    (told,) = adopt.accept(built.options(), (KNIGHT,), dry=True)
    assert built.lock.read_bytes() == before
    assert told.fields == (("prompt", "A knight", "A  knight"),)
    adopt.accept(built.options(), (KNIGHT,))
    assert built.verdicts()[KNIGHT] == "fresh"
    assert [digest(built, number) for number in (1, 2, 3)] == pictures
    built.build()
    assert built.submitted == [WITCH] * 3
    assert built.tree()["heroes/knight.png"] == tree["heroes/knight.png"]
    assert reasons(built) == []
    assert len(locked(built)["accepted"]) == 3
    step = next(step for step in built.plan().plan.steps if step.id == KNIGHT)
    assert step.candidates[2].candidate.key in locked(built)["rejected"]


def test_an_edit_accepted_twice_and_taken_back_pays_nothing_also_without_index_and_tree(built: Project) -> None:
    picture = built.tree()["shields.png"]
    for old, new in (("A round", "A  round"), ("A  round", "A   round")):
        built.edit(old, new)
        adopt.accept(built.options(), ("shields",))
    built.lose("outputs", "index", "state")
    assert (built.build().exit_code, built.submitted, built.tree()["shields.png"]) == (0, [], picture)
    built.edit("A   round", "A square")
    assert (built.build().exit_code, built.submitted) == (0, ["shields"])
    built.edit("A square", "A   round")
    assert (built.build().exit_code, built.submitted, built.tree()["shields.png"]) == (0, [], picture)
    built.edit("A   round", "A round")
    assert (built.build().exit_code, built.submitted, built.tree()["shields.png"]) == (0, [], picture)


def test_taking_an_accepted_edit_back_pays_nothing_while_the_tree_has_the_picture(built: Project) -> None:
    built.edit("A round", "A  round")
    adopt.accept(built.options(), ("shields",))
    built.lose("cache")
    built.edit("A  round", "A round")
    assert (built.build(select=("shields",)).exit_code, built.submitted) == (0, [])


def test_an_accepted_edit_of_the_seed_keeps_the_picture(built: Project) -> None:
    built.edit('    prompt: "A round shield"', '    prompt: "A round shield"\n    seed: 3')
    adopt.accept(built.options(), ("shields",))
    assert (built.build().exit_code, built.submitted) == (0, [])


def test_accepting_a_held_entry_ends_the_holding_and_keeps_the_approval(built: Project) -> None:
    choices.approve(built.options(), (KNIGHT,))
    built.edit("A {{ kind }}", "A  {{ kind }}")
    adopt.accept(built.options(), (KNIGHT,))
    planned = built.plan()
    assert (planned.plan.counts["held"], locked(built)["approved"]) == (0, True)


def test_there_is_nothing_to_accept_of_what_is_fresh_or_not_made(built: Project) -> None:
    built.edit("  shields:", "  bows: {prompt: a bow}\n  shields:")
    before = built.lock.read_bytes()
    told = adopt.accept(built.options(), ("shields", "bows"))
    assert [(item.id, item.fields) for item in told] == [("bows", ()), ("shields", ())]
    assert built.lock.read_bytes() == before


# ---------------------------------------------------------------- import


def repaint(project: Project, size: tuple[int, int] = (256, 256), kind: str = "PNG") -> Path:
    path = project.folder / f"repaint.{kind.lower()}"
    Image.new("RGB", size, (200, 30, 90)).save(path, kind)
    return path


def test_an_imported_picture_is_used_restored_and_never_paid(built: Project) -> None:
    path = repaint(built)
    adopt.import_picture(built.options(), path, KNIGHT)
    assert built.build().exit_code == 0
    assert (built.submitted, built.tree()["heroes/knight.png"]) == ([], digest_of(path))
    built.lose("outputs", "index", "state")
    assert (built.build().exit_code, built.submitted) == (0, [])
    assert built.tree()["heroes/knight.png"] == digest_of(path)
    receipt = built.cache().results([locked(built)["key"]])[locked(built)["key"]][0]
    assert (receipt.provider, receipt.billed) == ("import", {})


def test_an_import_stands_in_for_a_picture_that_was_never_made(heroes: Project) -> None:
    adopt.import_picture(heroes.options(), repaint(heroes), "shields")
    assert heroes.build().exit_code == 0
    assert sorted(heroes.submitted) == [KNIGHT] * 3 + [WITCH] * 3
    assert heroes.tree()["shields.png"] == digest_of(heroes.folder / "repaint.png")


def test_an_import_may_take_the_place_of_another_candidate(built: Project) -> None:
    tree = built.tree()
    adopt.import_picture(built.options(), repaint(built), KNIGHT, 3)
    assert (built.build().exit_code, built.tree()) == (0, tree)
    pick(built, 3)
    built.build()
    assert built.tree()["heroes/knight.png"] == digest_of(built.folder / "repaint.png")


def test_an_imported_jpeg_becomes_what_the_outputs_name_says(built: Project) -> None:
    adopt.import_picture(built.options(), repaint(built, kind="JPEG"), KNIGHT)
    assert (built.build().exit_code, built.submitted) == (0, [])
    with Image.open(built.out / "heroes/knight.png") as picture:
        assert (picture.format, picture.size) == ("PNG", (256, 256))


def test_only_a_whole_picture_of_the_right_size_is_imported(built: Project) -> None:
    before = built.lock.read_bytes()
    path = repaint(built, (128, 256))
    with pytest.raises(InputError, match=r"128\*256; the entry's pictures are 256\*256"):
        adopt.import_picture(built.options(), path, KNIGHT)
    adopt.import_picture(built.options(), path, KNIGHT, any_size=True, dry=True)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match=r"repaint\.png: "):
        adopt.import_picture(built.options(), path, KNIGHT, any_size=True)
    with pytest.raises(InputError, match="cannot be read"):
        adopt.import_picture(built.options(), built.folder / "nothing.png", KNIGHT)
    assert built.lock.read_bytes() == before


# ---------------------------------------------------------------- files that move


@pytest.mark.parametrize("prune", [False, True])
def test_a_file_that_moves_is_settled_by_one_build(built: Project, prune: bool) -> None:
    built.edit('    prompt: "A round shield"', '    prompt: "A round shield"\n    output: "s/shield.png"')
    assert built.build(prune=prune).exit_code == 0
    assert (built.submitted, built.written) == ([], ["s/shield.png"])
    assert ("shields.png" in built.tree()) != prune
    assert built.verdicts()["shields"] == "fresh"
    before = built.lock.read_bytes()
    assert (built.build().exit_code, built.written, built.lock.read_bytes()) == (0, [], before)


# ---------------------------------------------------------------- entries that are drawn from entries

DRAWN = """\
version: 1
defaults: {params: {size: "64*64"}}
assets:
  hero: {prompt: "a hero", variants: 3}
  banner: {prompt: "a banner", inputs: [{entry: hero}]}
"""


@pytest.fixture
def drawn(walked: Project) -> Project:
    walked.manifest(DRAWN)
    assert walked.build().exit_code == 0
    return walked


def test_only_the_picture_in_use_is_drawn_from_and_a_pick_says_what_follows_from_it(drawn: Project) -> None:
    assert drawn.submitted == ["hero"] * 3 + ["banner"]
    told = choices.pick(drawn.options(), "hero", 2)
    assert "banner is drawn from it" in told.words
    assert drawn.verdicts() == {"hero": "restore", "banner": "generate"}
    drawn.build()
    assert drawn.submitted == ["banner"]
    choices.reroll(drawn.options(), "hero")
    drawn.build()
    assert drawn.submitted == ["hero"]


def test_what_is_drawn_from_another_pick_may_be_approved_or_accepted_as_it_is(drawn: Project) -> None:
    choices.approve(drawn.options(), ("banner",))
    choices.pick(drawn.options(), "hero", 2)
    assert drawn.plan().plan.counts["held"] == 1
    adopt.accept(drawn.options(), ("banner",))
    assert drawn.plan().plan.counts["held"] == 0
    drawn.build()
    assert drawn.submitted == []


# ---------------------------------------------------------------- beside a build


class Meddler:
    """A person at the review page while a build runs: chooses as soon as the first picture is submitted."""

    def __init__(self, project: Project, choose: Callable[[], object]) -> None:
        self.project, self.choose, self.done = project, choose, False

    def event(self, event: Event) -> None:
        self.project.events.event(event)
        if event.event == "submitted" and not self.done:
            self.done = True
            self.choose()


def build_beside(project: Project, choose: Callable[[], object]) -> None:
    project.events = Recorder()
    assert build(project.options(yes=True), Meddler(project, choose), None).exit_code == 0
    assert project.submitted


def is_idle(project: Project) -> bool:
    """Whether the next build would look at nothing."""
    state = statefile.read(str(project.folder / ".qwenbuild" / "qwenbuild.state"))
    return state is not None and state.values["idle"] == "1"


def test_what_is_approved_while_a_build_runs_is_what_was_seen(built: Project) -> None:
    seen = locked(built)["digest"]
    built.edit("A {{ kind }}", "A tall {{ kind }}")
    build_beside(built, lambda: choices.approve(built.options(), (KNIGHT,)))
    assert (locked(built)["digest"], locked(built)["approved"]) == (seen, True)
    assert (built.build().exit_code, built.submitted, built.tree()["heroes/knight.png"]) == (0, [], seen)
    choices.release(built.options(), (KNIGHT,))
    assert (built.build().exit_code, built.submitted) == (0, [])


def test_what_is_picked_while_a_build_runs_stays_and_its_files_come_with_the_next(built: Project) -> None:
    second = digest(built, 2)
    choices.reroll(built.options(), KNIGHT)
    build_beside(built, lambda: pick(built, 2))
    assert not is_idle(built)
    assert locked(built)["picked"] == locked(built)["key"]
    assert (built.build().exit_code, built.submitted, built.tree()["heroes/knight.png"]) == (0, [], second)
    assert len(locked(built)["candidates"]) == 3


def test_what_is_rejected_while_a_build_runs_stays_rejected(built: Project) -> None:
    built.edit("A {{ kind }}", "A tall {{ kind }}")
    gone = locked(built)["key"]
    build_beside(built, lambda: choices.reject(built.options(), (KNIGHT,)))
    assert gone in locked(built)["rejected"]


def test_what_is_picked_while_a_finished_build_waits_for_the_clock_is_not_forgotten(
    built: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    second, settled = digest(built, 2), remember._settled_time

    def waits(*told: Any) -> int:
        pick(built, 2)
        return settled(*told)

    monkeypatch.setattr(remember, "_settled_time", waits)
    built.build()
    (built.out / "shields.png").unlink()
    built.build()
    monkeypatch.setattr(remember, "_settled_time", settled)
    assert not is_idle(built)
    built.build()
    assert built.tree()["heroes/knight.png"] == second
