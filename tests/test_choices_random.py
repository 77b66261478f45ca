"""Random edits, choices, losses and builds: nothing is ever bought twice, nothing approved moves, every build settles.

`python -m tests.test_choices_random 500` takes more walks than a test run does.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from qwenbuild.errors import InputError
from qwenbuild.lock import lockfile
from qwenbuild.model import LockEntry, Verdict
from qwenbuild.verbs import adopt, choices, notes
from tests.walking import Project

WALKS, STEPS = 5, 24
NAMES = ("alpha", "beta")


class Walk:
    """One project, its random hand, and everything that was ever bought for it."""

    def __init__(self, project: Project, seed: int) -> None:
        self.project, self.random, self.bought = project, random.Random(seed), set[str]()
        self.notes = dict[str, str]()
        self.words, self.variants, self.asset, self.log = ["a", "b"], 2, "one", list[str]()
        self.write()

    def write(self) -> None:
        rows = ", ".join(f"{{id: {name}, w: {word}}}" for name, word in zip(NAMES, self.words, strict=True))
        self.project.manifest(
            f'version: 1\ndefaults: {{params: {{size: "64*64"}}}}\nassets:\n'
            f'  {self.asset}: {{prompt: "{{{{ w }}}} thing of {{{{ id }}}}", foreach: [{rows}], variants: {self.variants}}}\n'
        )

    def entry(self) -> str:
        return f"{self.asset}/{self.random.choice(NAMES)}"

    # ------------------------------------------------ what may happen

    def edit(self) -> None:
        self.words[self.random.randrange(2)] = self.random.choice("abc")
        self.write()

    def count(self) -> None:
        self.variants = self.random.randint(1, 4)
        self.write()

    def rename(self) -> None:
        self.asset = self.random.choice(("one", "two"))
        self.write()

    def lose(self) -> None:
        self.project.lose(*self.random.sample(("outputs", "index", "state"), 2))

    def pick(self) -> None:
        choices.pick(self.project.options(), self.entry(), self.random.randint(1, 4))

    def unpick(self) -> None:
        choices.unpick(self.project.options(), (self.entry(),))

    def approve(self) -> None:
        choices.approve(self.project.options(), (self.entry(),))

    def release(self) -> None:
        choices.release(self.project.options(), (self.entry(),))

    def reject(self) -> None:
        choices.reject(self.project.options(), (self.entry(),), (self.random.randint(1, 4),))

    def admit(self) -> None:
        choices.reject(self.project.options(), (self.entry(),), undo=True)

    def reroll(self) -> None:
        choices.reroll(self.project.options(), self.entry())

    def accept(self) -> None:
        adopt.accept(self.project.options(), (self.entry(),))

    def note(self) -> None:
        entry, text = self.entry(), self.random.choice(("", "shiny", "dull"))
        notes.note(self.project.options(), entry, text)
        self.notes[entry.partition("/")[2]] = text

    def build(self) -> None:
        before = self.records()
        self.project.build()
        for event in self.project.events.events:
            if event.event == "submitted":
                key = str(event.data["key"])
                assert key not in self.bought, f"{event.id} was bought twice"
                self.bought.add(key)
        self.check(before)

    # ------------------------------------------------ what must hold

    def records(self) -> dict[str, LockEntry]:
        return dict(lockfile.read(self.project.lock).entries)

    def check(self, before: dict[str, LockEntry]) -> None:
        steps = self.project.plan().plan.steps
        after, tree = self.records(), self.project.tree()
        for step in steps:
            assert step.verdict is Verdict.FRESH or [reason.code for reason in step.reasons] == ["rejected"], step.reasons
            record = after[step.id]
            assert step.candidates[step.used].candidate.key == record.key
            assert tree[f"{step.id}.png"] == record.digest
            assert record.note == self.notes.get(step.id.partition("/")[2], "")
            old = before.get(step.id)
            if old is not None and old.approved:
                assert (old.key, old.digest, old.approved) == (record.key, record.digest, True)
            if record.picked and record.picked != record.key:
                assert "pick-void" in [reason.code for reason in step.reasons] or record.approved
        self.project.build()
        assert self.project.submitted == []
        assert self.records() == after

    def step(self) -> None:
        verbs: list[Callable[[], None]] = [
            self.edit, self.count, self.rename, self.lose, self.pick, self.pick, self.unpick, self.approve, self.release,
            self.reject, self.admit, self.reroll, self.accept, self.note, self.build, self.build, self.build,
        ]  # fmt: skip
        verb = self.random.choice(verbs)
        self.log.append(verb.__name__)
        try:
            verb()
        except InputError as error:
            self.log[-1] += f" ({error.code})"
            if error.code not in {"no-candidate", "not-made", "approved"}:
                raise


def walk(project: Project, seed: int) -> Walk:
    """One whole walk; every build of it is held against what must hold."""
    found = Walk(project, seed)
    try:
        for _ in range(STEPS):
            found.step()
        found.build()
    except Exception as error:
        raise AssertionError(f"walk {seed}: {' · '.join(found.log)}") from error
    return found


@pytest.mark.parametrize("seed", range(WALKS))
def test_whatever_is_chosen_nothing_is_bought_twice_and_nothing_approved_moves(walked: Project, seed: int) -> None:
    found = walk(walked, seed)
    assert found.bought
    assert set(found.records()) >= {step.id for step in walked.plan().plan.steps}


def _many(number: int) -> None:
    import os
    import tempfile

    for seed in range(number):
        with tempfile.TemporaryDirectory() as folder:
            places = [Path(folder) / name for name in ("project", "cache")]
            places[0].mkdir()
            os.environ["QWENBUILD_CACHE_DIR"] = str(places[1])
            walk(Project(*places), seed)
    print(f"{number} walks of {STEPS} steps: nothing bought twice, nothing approved moved")


if __name__ == "__main__":
    _many(int(sys.argv[1]))
