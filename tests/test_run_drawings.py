"""Pictures that this machine draws itself are drawn and kept in batches, and nothing else about them changes."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable
from typing import Any

import pytest

from qwenbuild.cache import Attempt, AttemptState, Cache, Intent
from qwenbuild.cache.journal import Journal
from qwenbuild.model import Order, Picture
from qwenbuild.providers.placeholder import Placeholder
from qwenbuild.run.world import Progress
from tests.walking import Project

MANIFEST = """\
version: 1
defaults: {params: {size: "32*32"}}
assets:
  lamps: {prompt: "a lamp {{ n }}", matrix: {n: [0, 1, 2, 3, 4, 5]}, id: "lamps/{{ n }}"}
"""


@pytest.fixture
def lamps(walked: Project) -> Project:
    walked.manifest(MANIFEST)
    return walked


def states(project: Project) -> list[str]:
    with project.cache() as cache:
        return [attempt.state.value for attempt in cache.journal.attempts()]


def drawing(monkeypatch: pytest.MonkeyPatch, before: Callable[[Order], Any]) -> None:
    """Do something in the thread that draws, just before each picture."""
    real = Placeholder.draw

    def draw(self: Placeholder, order: Order) -> Picture:
        before(order)
        return real(self, order)

    monkeypatch.setattr(Placeholder, "draw", draw)


def test_six_pictures_cost_three_transactions_of_the_journal(lamps: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[tuple[str, int]] = []
    for name in ("begin_many", "ticket_many", "stored_many"):
        real = getattr(Journal, name)

        def counted(self: Journal, items: Any, name: str = name, real: Any = real) -> Any:
            written.append((name, len(items)))
            return real(self, items)

        monkeypatch.setattr(Journal, name, counted)
    assert lamps.build().counts == {"generated": 6}
    assert written == [("begin_many", 6), ("ticket_many", 6), ("stored_many", 6)]
    assert states(lamps) == ["stored"] * 6


def test_each_picture_is_told_of_in_the_order_in_which_it_happened(lamps: Project) -> None:
    lamps.build()
    told = [event.event for event in lamps.events.events if event.id == "lamps/3"]
    assert told == ["sending", "submitted", "stored", "written"]


def test_no_picture_is_drawn_before_its_intent_is_on_the_disk(lamps: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    open_then: list[int] = []

    def look(order: Order) -> None:
        with Cache.open(lamps.cache_dir) as cache:
            open_then.append(len(cache.journal.live([order.key])))

    drawing(monkeypatch, look)
    lamps.build()
    assert open_then == [1] * 6


def test_a_build_that_is_stopped_draws_no_further_picture(lamps: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Progress] = []
    real = Progress.__init__

    def noted(self: Progress, *args: Any) -> None:
        real(self, *args)
        made.append(self)

    monkeypatch.setattr(Progress, "__init__", noted)
    drawn: list[str] = []

    def stop_at_the_second(order: Order) -> None:
        drawn.append(order.key)
        if len(drawn) == 2:
            made[0].stopped = ("interrupted", "interrupted")

    drawing(monkeypatch, stop_at_the_second)
    counts = lamps.build().counts
    assert (len(drawn), counts) == (2, {"generated": 2, "skipped": 4})
    assert sorted(states(lamps)) == ["failed"] * 4 + ["stored"] * 2


def test_a_picture_that_another_build_stored_meanwhile_is_not_drawn_again(
    lamps: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Project(lamps.folder.parent / "other", lamps.cache_dir)
    other.folder.mkdir()
    other.manifest(MANIFEST.replace("[0, 1, 2, 3, 4, 5]", "[2]"))
    real = Journal.begin_many

    def after_the_other(self: Journal, intents: list[Intent]) -> Any:
        monkeypatch.setattr(Journal, "begin_many", real)
        other.build()
        return real(self, intents)

    monkeypatch.setattr(Journal, "begin_many", after_the_other)
    assert lamps.build().counts == {"generated": 5, "restored": 1}
    assert other.submitted == ["lamps/2"]
    assert sorted(states(lamps)) == ["failed"] + ["stored"] * 6


def test_a_picture_that_a_living_build_draws_is_waited_for(lamps: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    with lamps.cache() as cache, cache.start_build() as living:
        lamps.build(select=("lamps/0",))
        (drawn,) = cache.journal.attempts()
        lamps.manifest(MANIFEST.replace("a lamp", "a lantern"))
        wanted = lamps.plan().plan.steps[1].candidates[0].candidate.key
        intent = {name: getattr(drawn, name) for name in (field.name for field in dataclasses.fields(Intent)) if name != "body"}
        begun = cache.journal.begin(Intent(**{**intent, "build": living.id, "key": wanted, "names_attempt": "", "body": b"{}"}))
        assert isinstance(begun, Attempt)
        given_up = threading.Timer(0.3, lambda: cache.journal.fail(begun.id, "gone", "it came to nothing"))
        given_up.start()
        assert lamps.build().counts == {"generated": 6}
        given_up.join()
        attempts = cache.journal.by_key([wanted])[wanted]
        assert [attempt.state for attempt in attempts] == [AttemptState.FAILED, AttemptState.STORED]


def test_pictures_that_have_a_pace_are_drawn_one_by_one(lamps: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    drawing(monkeypatch, lambda order: pytest.fail("drawn in a batch"))
    lamps.edit("version: 1\n", "version: 1\nproviders: {placeholder: {limits: {rps: 1000}}}\n")
    assert lamps.build().counts == {"generated": 6}


def test_what_a_killed_build_left_open_is_drawn_in_a_batch_again(lamps: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Journal.ticket_many

    def dead(self: Journal, tickets: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Journal, "ticket_many", dead)
    with pytest.raises(KeyboardInterrupt):
        lamps.build()
    assert states(lamps) == ["intent"] * 6
    monkeypatch.setattr(Journal, "ticket_many", real)
    sizes: list[int] = []
    begin = Journal.begin_many
    monkeypatch.setattr(Journal, "begin_many", lambda self, intents: sizes.append(len(intents)) or begin(self, intents))
    assert lamps.build().exit_code == 0
    assert sizes == [6]
    assert sorted(states(lamps)) == ["failed"] * 6 + ["stored"] * 6


def test_all_of_one_kind_are_durable_before_the_next(lamps: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the program dies of between them, nothing is acknowledged that is not there."""
    happened: list[str] = []
    writes = [
        (Journal, "begin_many"),
        (Placeholder, "draw"),
        (Cache, "put_blobs"),
        (Journal, "ticket_many"),
        (Cache, "put_receipts"),
        (Journal, "stored_many"),
        (Cache, "index_result"),
        (Cache, "fill"),
    ]
    for owner, name in writes:
        real = getattr(owner, name)

        def noted(self: Any, *args: Any, name: str = name, real: Any = real) -> Any:
            happened.append(name)
            return real(self, *args)

        monkeypatch.setattr(owner, name, noted)
    lamps.build()
    assert list(dict.fromkeys(happened)) == [name for _, name in writes]
    assert [happened.count(name) for _, name in writes] == [1, 6, 1, 1, 1, 1, 6, 6]
