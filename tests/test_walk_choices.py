"""Candidates and what people choose among them: what is bought, kept, held and shown after each choice and edit."""

from __future__ import annotations

import json
from typing import Any

import pytest

from qwenbuild.build import choices
from qwenbuild.build.beside import explain
from qwenbuild.errors import InputError
from tests.walking import Project

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


def test_candidates_differ(built: Project) -> None:
    assert len({digest(built, number) for number in (1, 2, 3)}) == 3


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


def test_picks_come_back_with_the_lockfile_when_cache_index_and_tree_are_lost(built: Project) -> None:
    pick(built, 3)
    built.build()
    tree = built.tree()
    built.lose("outputs", "index", "state")
    assert (built.build().exit_code, built.submitted, built.tree()) == (0, [], tree)


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
