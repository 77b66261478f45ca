"""Any order of edits, builds, crashes, losses, expiries and collections: nothing is paid twice, nothing paid is lost.

Every rule is something that happens to a project; the invariants are judged by the emulator's ledger after each step.
"""

from __future__ import annotations

import functools
import gc
import json
import os
import shutil
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, note, settings
from hypothesis import strategies as st
from hypothesis.errors import FlakyFailure
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from qwenbuild.cache import Cache, Intent
from qwenbuild.cache.care import rebuild
from qwenbuild.cache.care.gc import collect
from qwenbuild.cache.fsops import FileOps
from qwenbuild.cache.journal import Journal
from qwenbuild.cli.reachability import reachable
from qwenbuild.emulator import Served, serve
from qwenbuild.errors import CacheError, GateStop, QwenbuildError
from tests.campaign.part_http import hurried
from tests.campaign.shop import Crash, Doing, build_with, manifest
from tests.walking import Project, Recorder

COLORS = ("red", "blue", "green", "amber")
CI = {"max_examples": 10, "stateful_step_count": 12}
WHOLE = {"max_examples": 500, "stateful_step_count": 30}
DISK = ("write", "fsync", "replace", "fsync_folder", "open_new", "mkdir")


class Dying(FileOps):
    """The process ends at call n of the operations that change a disk."""

    def __init__(self, at: int) -> None:
        self.left = at
        for name in DISK:
            setattr(self, name, functools.partial(self._count, getattr(FileOps, name)))

    def _count(self, real: Any, *arguments: Any, **more: Any) -> Any:
        self.left -= 1
        if self.left == 0:
            raise Crash("disk")
        return real(self, *arguments, **more)


class Machine(RuleBasedStateMachine):
    """One project over one cache; `approved` counts the attempts that a person allowed for each prompt."""

    emulated: Served

    def __init__(self) -> None:
        super().__init__()
        self.emulated.reset()
        self.emulated.configure(enforce=False, latency=0.0, pending=0.0)
        self.base = Path(tempfile.mkdtemp(prefix="qwb-machine-"))
        folder = self.base / "project"
        folder.mkdir()
        self.project = Project(folder, self.base / "cache")
        os.environ["QWENBUILD_CACHE_DIR"] = str(self.project.cache_dir)
        self.colors: tuple[str, ...] = COLORS[:2]
        self.words = "lantern"
        self.approved: Counter[str] = Counter()
        self.collected = False
        self.write()

    def teardown(self) -> None:
        shutil.rmtree(self.base, ignore_errors=True)

    def write(self) -> None:
        self.project.manifest(manifest(self.colors).replace("lantern", self.words, 2).replace(f"{self.words}s:", "lanterns:"))

    # ------------------------------------------------ what happens

    @rule(colors=st.sets(st.sampled_from(COLORS), min_size=1), words=st.sampled_from(["lantern", "lamp"]))
    def edit(self, colors: set[str], words: str) -> None:
        self.colors, self.words = tuple(sorted(colors)), words
        self.write()

    def _build(self, reporter: Recorder | None = None, **said: Any) -> None:
        before = Counter(self.emulated.prompts())
        try:
            summary = build_with(self.project, reporter or Recorder(), **said)
            note(f"exit {summary.exit_code} {dict(summary.counts)}")
        except (Crash, GateStop, CacheError) as error:
            note(f"{type(error).__name__}: {error}")
            gc.collect(1)
        bought = Counter(self.emulated.prompts()) - before
        assert all(count == 1 for count in bought.values()), f"one build bought twice: {bought}"

    @rule()
    def build(self) -> None:
        self._build()

    @rule(event=st.sampled_from(["plan", "submitted", "stored", "written"]), at=st.integers(1, 3))
    def die_at_an_event(self, event: str, at: int) -> None:
        left = [at]

        def act(_: Any) -> None:
            left[0] -= 1
            if left[0] == 0:
                raise Crash(event)

        self._build(Doing(event, act))

    @rule(at=st.integers(1, 80))
    def die_at_the_disk(self, at: int) -> None:
        real = Cache.open
        dying = Dying(at)
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(Cache, "open", staticmethod(lambda root: real(root, dying)))
            self._build()

    @rule(phase=st.sampled_from(["submit", "poll", "download"]), at=st.integers(1, 2))
    def lose_an_answer(self, phase: str, at: int) -> None:
        self.emulated.fault(phase, "reset", at=at)
        self._build()
        self.emulated.clear_faults()

    @rule(names=st.sets(st.sampled_from(["outputs", "lockfile", "index", "state"]), min_size=1))
    def lose(self, names: set[str]) -> None:
        self.project.lose(*names)

    @rule()
    def finish_everything(self) -> None:
        self._build()
        self._build()

    @rule()
    def let_links_expire(self) -> None:
        """Only what a finished build has left behind: what is open then is honestly lost, and in doubt."""
        self._build()
        self.emulated.advance(2 * 86400)

    @rule()
    def two_at_once(self) -> None:
        """A second build begins while the first is in the middle of buying."""
        nested: list[str] = []

        def second(_: Any) -> None:
            if not nested:
                nested.append("once")
                self.project.plan()

        self._build(Doing("submitted", second))

    @rule(apply=st.booleans())
    def collect_garbage(self, apply: bool) -> None:
        """As a month later; the lockfile is a root, so what it names must stay.

        No precondition: whether a build that died has left a lockfile depends on its threads, and hypothesis must be able to
        draw the same story again.
        """
        if not self.project.lock.exists():
            return
        with self.project.cache() as cache:
            try:
                collect(cache, reachable([self.project.lock]), apply=apply, now=4e9)
            except (CacheError, QwenbuildError) as error:
                note(str(error))
                return
        self.collected = self.collected or apply
        if apply:  # what no lockfile names may be bought again
            self.approved.update(set(self.emulated.prompts()) - self._named())

    @rule()
    def rebuild_the_index(self) -> None:
        with self.project.cache() as cache:
            assert rebuild.rebuild(cache).journal == "ok"

    @rule()
    def retry_doubts(self) -> None:
        """A person allows one more attempt for each."""
        with self.project.cache() as cache:
            for attempt in cache.journal.doubts() if cache.has_journal() else ():
                cache.journal.drop(attempt.id)
                self.approved[str(attempt.action["prompt"])] += 1

    # ------------------------------------------------ what holds

    def _named(self) -> set[str]:
        if not self.project.lock.exists():
            return set()
        entries = json.loads(self.project.lock.read_text())["entries"].values()
        return {entry["action"]["prompt"] for entry in entries}

    @invariant()
    def nothing_is_paid_twice(self) -> None:
        paid = Counter(self.emulated.prompts())
        over = {prompt: count for prompt, count in paid.items() if count > 1 + self.approved[prompt]}
        assert not over, over

    @invariant()
    def every_submission_has_an_older_intent(self) -> None:
        journal = self.project.cache_dir / "journal.db"
        jobs = len(self.emulated.prompts())
        if not jobs:
            return
        with sqlite3.connect(f"{journal.as_uri()}?mode=ro", uri=True) as db:
            (attempts,) = db.execute("SELECT COUNT(*) FROM attempts").fetchone()
        db.close()
        assert attempts >= jobs

    @invariant()
    def every_stored_picture_is_there_with_its_bytes(self) -> None:
        made = {digest for job in self.emulated.ledger() for digest in job["pictures"]}
        with self.project.cache() as cache:
            stored = [a for a in cache.journal.attempts() if a.state.value == "stored"] if cache.has_journal() else []
            for attempt in stored:
                assert attempt.digest in made
                if not self.collected:
                    assert cache.read_blob(attempt.digest)
                    assert attempt.digest in {r.digest for r in cache.results([attempt.key]).get(attempt.key, ())}

    @invariant()
    def the_lockfile_names_only_what_receipts_know(self) -> None:
        if not self.project.lock.exists():
            return
        entries = json.loads(self.project.lock.read_text())["entries"].values()
        with self.project.cache() as cache:
            known = cache.results([entry["key"] for entry in entries])
        for entry in entries:
            assert entry["digest"] in {result.digest for result in known.get(entry["key"], ())}

    @invariant()
    def no_picture_stands_under_a_wrong_name(self) -> None:
        made: dict[str, set[str]] = {}
        for job in self.emulated.ledger():
            made.setdefault(job["prompt"].split()[1], set()).update(job["pictures"])
        if self.project.out.exists():
            wrong = [path for path, digest in self.project.tree().items() if digest not in made.get(Path(path).stem, set())]
            assert not wrong, wrong


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("QWENBUILD_CACHE_DIR", "")
    with serve(latency=0.0) as served, hurried():
        for name, value in served.environ().items():
            monkeypatch.setenv(name, value)
        Machine.emulated = served
        yield


def play(**size: Any) -> None:
    run_state_machine_as_test(
        Machine,
        settings=settings(
            deadline=None,
            suppress_health_check=list(HealthCheck),
            print_blob=True,
            derandomize=os.environ.get("QWB_CAMPAIGN_RANDOM", "") == "",
            **size,
        ),
    )


SEEN = {"max_examples": 300, "stateful_step_count": 25}
"""It ends with the first story in which the fault is seen; how early that is depends on every choice before."""


def test_whatever_happens_in_whatever_order_nothing_is_paid_twice_and_nothing_is_lost(world: None) -> None:
    play(**CI)


def test_the_machine_sees_a_journal_that_forgets(world: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The open attempt of a key is given up whenever somebody wants to begin another."""
    begin, live = Journal.begin_many, Journal.live

    def forgetful(self: Journal, intents: Sequence[Intent]) -> Any:
        for attempt in live(self, [intent.key for intent in intents]):
            self.fail(attempt.id, "forgotten", "")
        return begin(self, intents)

    monkeypatch.setattr(Journal, "begin_many", forgetful)
    monkeypatch.setattr(Journal, "live", lambda self, *said, **more: [])
    with pytest.raises((AssertionError, FlakyFailure)):  # flaky: seen once, and not again when time passed otherwise
        play(**SEEN, phases=[Phase.generate], report_multiple_bugs=False)
