"""Whatever a lockfile says, it buys nothing past the brake: each of its fields, with the pictures here and with them lost."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import fields, replace
from typing import Any

import pytest

from qwenbuild.emulator import Served
from qwenbuild.errors import GateStop
from qwenbuild.key import short_document
from qwenbuild.model import Entry, InputRef, Keyed, LockEntry, OutputSpec, Reason
from qwenbuild.plan import Observed
from tests.test_plan import ACTION, KEY, LOCK, OTHER, PICTURE, PRICE, keyed, plan, record, result
from tests.walking import Project

WORDS = [f"n{number}" for number in range(12)]
MANIFEST = f"""\
version: 1
provider: dashscope
providers:
  dashscope: {{region: singapore, mode: auto, limits: {{rps: 200, concurrency: 20}}}}
defaults: {{params: {{size: "1:1", prompt_extend: false}}, variants: 2}}
assets:
  lanterns:
    prompt: "lantern {{{{ n }}}}"
    model: qwen-image-plus
    matrix: {{n: [{", ".join(WORDS)}]}}
"""
FOREIGN = "f" * 64

Lines = dict[str, Any]


def other_seed(entry: Lines) -> None:
    entry["action"] = {**entry["action"], "seed": 99}


def stranger_picked(entry: Lines) -> None:
    other_seed(entry)
    entry["candidates"][entry["key"]] = entry["digest"]
    entry["key"] = entry["picked"] = entry["key"][::-1]


def other_candidate_picked(entry: Lines) -> None:
    entry["picked"] = next(iter(entry["candidates"]))


def foreign_outputs(entry: Lines) -> None:
    for output in entry["outputs"].values():
        output |= {"digest": FOREIGN, "recipe": FOREIGN}


def orphan_outputs(entry: Lines) -> None:
    for output in entry["outputs"].values():
        output["orphan"] = True


FIELDS: dict[str, list[Callable[[Lines], Any]]] = {
    "seeds": [lambda entry: entry.update(seeds=list(range(1, 40)))],
    "picked": [other_candidate_picked, stranger_picked, lambda entry: entry.update(picked=FOREIGN)],
    "approved": [lambda entry: entry.update(approved=True)],
    "rejected": [lambda entry: entry.update(rejected=[entry["key"]]), lambda entry: entry.update(rejected=[FOREIGN])],
    "orphan": [lambda entry: entry.update(orphan=True)],
    "outputs": [lambda entry: entry.update(outputs={}), foreign_outputs, orphan_outputs],
    "action": [other_seed, lambda entry: entry["action"].update(size="1*1"), lambda entry: entry["action"].update(v=0)],
    "key": [lambda entry: entry.update(key=FOREIGN)],
    "digest": [lambda entry: entry.update(digest=FOREIGN)],
    "accepted": [lambda entry: entry.update(accepted={entry["key"]: FOREIGN, FOREIGN: entry["key"]})],
    "candidates": [lambda entry: entry.update(candidates=dict.fromkeys(entry["candidates"], FOREIGN))],
    "made": [lambda entry: entry.update(made="1999-01-01")],
    "media_type": [lambda entry: entry.update(media_type="image/webp")],
    "note": [lambda entry: entry.update(note="buy everything")],
    "checks": [lambda entry: entry.update(checks={"near_duplicate": "fail", "size": "pass"})],
    "chosen": [lambda entry: entry.update(chosen="reroll"), lambda entry: entry.update(chosen="best")],
}
CASES = [(name, change) for name, changes in FIELDS.items() for change in changes]
LOST = {"all is here": (), "the cache is lost": ("cache",), "everything is lost": ("cache", "outputs")}


def test_every_field_of_a_lock_entry_is_tried() -> None:
    assert set(FIELDS) == {one.name for one in fields(LockEntry)}


@pytest.mark.parametrize("lost", LOST.values(), ids=list(LOST))
@pytest.mark.parametrize(("name", "change"), CASES, ids=[f"{name}-{at}" for at, (name, _) in enumerate(CASES)])
def test_no_field_of_a_lockfile_buys_anything_without_the_brake(
    walked: Project, emulated: Served, name: str, change: Callable[[Lines], Any], lost: tuple[str, ...]
) -> None:
    walked.manifest(MANIFEST)
    walked.build()
    paid = len(emulated.prompts())
    said = json.loads(walked.lock.read_text())
    for entry in said["entries"].values():
        change(entry)
    walked.lock.write_text(json.dumps(said, sort_keys=True, indent=2) + "\n")
    walked.lose(*lost)
    with suppress(GateStop):
        walked.build()
    assert len(emulated.prompts()) == paid == 2 * len(WORDS)


def test_3999_seeds_of_a_lockfile_are_braked_under_yes(walked: Project, emulated: Served) -> None:
    walked.manifest(MANIFEST.replace(", variants: 2", ""))
    walked.build()
    said = json.loads(walked.lock.read_text())
    said["entries"]["lanterns/n0"]["seeds"] = list(range(1, 4000))
    walked.lock.write_text(json.dumps(said, sort_keys=True, indent=2) + "\n")
    stop = walked.plan().gate(walked.options(yes=True))
    assert stop is not None
    assert stop.code == "brake"
    assert "3,999 pictures would be bought that no change of the manifest explains" in str(stop)


# ---------------------------------------------------------------- what explains, one by one


def test_each_picture_counts_and_not_each_entry() -> None:
    seeds = tuple(range(7, 20))
    candidates = tuple(replace(keyed().candidates[0], seed=seed, key=f"{seed:064}") for seed in seeds)
    wanted = replace(keyed(), candidates=(keyed().candidates[0], *candidates[1:]))
    assert plan(Observed(), None, wanted).unexplained == len(seeds) - 1  # its first seed is the manifest's


def test_a_picked_candidate_whose_picture_is_lost_is_lost_and_not_changed() -> None:
    item = keyed()
    other = replace(item.candidates[0], seed=8, action=replace(ACTION, seed=8), key=OTHER)
    wanted = replace(item, candidates=(item.candidates[0], other), entry=replace(item.entry, variants=2))
    made = plan(Observed(lock={"a": record(picked=OTHER, candidates={OTHER: "9" * 64})}), None, wanted)
    assert [reason.code for reason in made.steps[0].reasons][:1] == ["lost"]
    assert made.unexplained == 1


def test_a_lock_entry_with_another_key_for_the_same_action_explains_nothing() -> None:
    assert plan(Observed(lock={"a": record(key=OTHER)})).unexplained == 1


def test_a_value_that_only_the_table_moved_explains_no_purchase() -> None:
    old = replace(ACTION, size="1*1")
    moved = keyed(earlier={"size": ("1*1",)})
    assert plan(Observed(lock={"a": record(old)}), None, moved).unexplained == 1
    assert plan(Observed(lock={"a": record(old)}), None, keyed()).unexplained == 0


def built_on(id: str, digest: str) -> tuple[Keyed, LockEntry]:
    """An entry that builds on the entry a, and its record from when that one's picture was `digest`."""
    entry = Entry(id, id, "dashscope", None, "an icon", {}, 7, (OutputSpec(f"{id}.png"),), inputs=(InputRef(entry="a"),))
    action = replace(ACTION, prompt="an icon", inputs=("entry:a",))
    locked = replace(action, inputs=(digest,))
    lock = LockEntry(OTHER, "5" * 64, short_document(locked), outputs={})
    return Keyed(entry, (replace(keyed().candidates[0], action=action, key=""),), PRICE), lock


def test_what_builds_on_a_lost_picture_is_braked_with_it_and_on_a_changed_prompt_is_not() -> None:
    icon, lock = built_on("icon", PICTURE)
    lost = plan(Observed(lock={**LOCK, "icon": lock}), None, keyed(), icon)
    assert (lost.unexplained, Reason("caused-by", "inputs", None, "a") in lost.steps[1].reasons) == (2, True)
    changed = record(replace(ACTION, prompt="another lantern"))
    assert plan(Observed(lock={"a": changed, "icon": lock}), None, keyed(), icon).unexplained == 0


def test_an_inputs_other_picture_explains_a_purchase_only_when_a_receipt_says_it_was_made() -> None:
    icon, lock = built_on("icon", "8" * 64)
    seen = Observed(lock={**LOCK, "icon": lock}, files={"a.png": PICTURE}, blobs={PICTURE})
    assert plan(seen, None, keyed(), icon).unexplained == 1
    assert plan(replace(seen, results={KEY: (result(),)}), None, keyed(), icon).unexplained == 0
