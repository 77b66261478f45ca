"""Claims in virtual time: clocks are wrong, stop, drift and jump, machines sleep and die, and no picture is bought twice."""

from __future__ import annotations

import heapq
import itertools
import random
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from qwenbuild.remote.claims import MARGIN_S, RENEW_S, Claims
from qwenbuild.remote.store import RemoteError
from tests.remote.memory import Memory

KEY = "ab" * 32
MINUTE, DAY = 60.0, 86_400.0
WRONG = (0.0, 20 * MINUTE, -20 * MINUTE, DAY, -DAY)
"""Seconds by which machines' wall clocks are wrong; their monotonic clocks start anywhere, too."""
END = 4 * 3600.0
SEEDS = 60


@dataclass
class World:
    """True time, what is due in it, and what happened. A task is an iterator of the true seconds until its next step."""

    store: Memory
    now: float = 0.0
    bought: list[tuple[str, str]] = field(default_factory=list)
    gave_up: list[str] = field(default_factory=list)
    finished: list[str] = field(default_factory=list)
    _due: list[tuple[float, int, Iterator[float]]] = field(default_factory=list)
    _order: Iterator[int] = field(default_factory=itertools.count)

    def start(self, task: Iterator[float], at: float = 0.0) -> None:
        heapq.heappush(self._due, (self.now + at, next(self._order), task))

    def run(self) -> None:
        while self._due:
            self.now, _, task = heapq.heappop(self._due)
            assert self.now < END, "a build waited for ever"
            for pause in task:
                self.start(task, pause)
                break


@dataclass
class Machine:
    """One build: claims, buys, pushes. `sleeps` is when it stands still, and for how long; `dies` while it holds a claim.

    `turn` is how long a claimed picture waits until its request leaves; by chance where none is given.
    """

    world: World
    name: str
    wrong: float
    drift: float
    chance: random.Random
    sleeps: tuple[float, float] = (END, 0.0)
    dies: bool = False
    turn: float | None = None
    claims: Claims = field(init=False)
    over: bool = False

    def __post_init__(self) -> None:
        begun = self.chance.uniform(0, 1e6)
        self.claims = Claims(
            self.world.store,
            clock=lambda: begun + self.world.now * (1 + self.drift),
            wall=lambda: 1.8e9 + self.wrong + self.world.now * (1 + self.drift),
            holder=self.name,
        )

    def awake(self, pause: float) -> float:
        """A pause as it becomes for a machine that may fall asleep in it."""
        at, length = self.sleeps
        return pause + length if self.world.now <= at < self.world.now + pause else pause

    def build(self, keys: list[str]) -> Iterator[float]:
        for key in keys:
            yield from self.make(key)
            if self.over:
                break
        self.over = True
        self.world.finished.append(self.name)
        self.claims.close()

    def make(self, key: str) -> Iterator[float]:
        """As the run does it: claim, look, wait for a turn, see that the claim still stands, buy, push, release."""
        while True:
            try:
                taken = self.claims.take(key)
            except RemoteError:
                self.world.gave_up.append(key)
                return
            if key in self.world.store.names:
                self.claims.release(key, done=True)
                return
            if taken is not None:
                yield self.awake(taken.again)
                continue
            yield self.awake(self.chance.choice([0.0, 1.0, 30.0]) if self.turn is None else self.turn)
            if self.dies:
                self.over = True
                return
            if not self.claims.secure(key):
                continue
            self.world.bought.append((key, self.name))
            yield self.awake(self.chance.uniform(5, 60))
            self.world.store.names[key] = b"picture"
            self.claims.release(key, done=True)
            return

    def renewing(self) -> Iterator[float]:
        while not self.over:
            yield self.awake(RENEW_S)
            if not self.over:
                self.claims.renew()


def story(seed: int, *, exact: bool) -> World:
    chance = random.Random(seed)
    world = World(Memory(exact=exact))
    keys = [f"{n:064x}" for n in range(3)]
    machines = [
        Machine(world, name, chance.choice(WRONG), chance.uniform(-0.02, 0.02), chance, dies=dies)
        for name, dies in [("ann", False), ("bob", False), ("eve", False), ("fay", chance.random() < 0.5)]
    ]
    for machine in machines:
        at = chance.uniform(0, 90)
        world.start(machine.build(chance.sample(keys, len(keys))), at)
        world.start(machine.renewing(), at)
    world.run()
    return world


@pytest.mark.parametrize("exact", [True, False])
def test_whatever_the_clocks_say_no_picture_is_bought_twice_and_no_build_waits_for_ever(exact: bool) -> None:
    for seed in range(SEEDS):
        world = story(seed, exact=exact)
        keys = [key for key, _ in world.bought]
        assert sorted(set(keys)) == sorted(keys), f"seed {seed}: {world.bought}"
        assert len(keys) == 3, f"seed {seed}: a picture was never bought"
        assert world.gave_up == [], f"seed {seed}"
        assert len(world.finished) >= 3, f"seed {seed}"


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("exact", [True, False])
def test_a_machine_that_slept_before_it_paid_does_not_pay_when_another_has(wrong: float, exact: bool) -> None:
    """It sleeps between its claim and its request; meanwhile another one takes the dead claim over and buys."""
    chance = random.Random(1)
    world = World(Memory(exact=exact))
    sleeper = Machine(world, "ann", wrong, 0.0, chance, sleeps=(3.0, 1000.0), turn=30.0)
    other = Machine(world, "bob", 0.0, 0.0, chance)
    for machine, at in ((sleeper, 0.0), (other, 2.5)):
        world.start(machine.build([KEY]), at)
        world.start(machine.renewing(), at)
    world.run()
    assert world.bought == [(KEY, "bob")]
    assert sorted(world.finished) == ["ann", "bob"]


# ---------------------------------------------------------------- one claim after the other


class Clock:
    """A machine's own: it can be moved."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


Make = Callable[..., Claims]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def make(clock: Clock) -> Iterator[Make]:
    opened: list[Claims] = []

    def made(store: Memory, holder: str, own: Clock | None = None) -> Claims:
        opened.append(Claims(store, own or clock, lambda: 0.0, holder=holder))
        return opened[-1]

    yield made
    for claims in opened:
        claims.close()


def test_a_claim_that_was_not_renewed_for_two_minutes_buys_nothing_and_is_taken_anew(make: Make, clock: Clock) -> None:
    store = Memory()
    ann = make(store, "ann")
    assert ann.take(KEY) is None
    clock.now += 180 - MARGIN_S - 1
    assert ann.secure(KEY)
    assert ann.take(KEY) is None
    assert len(store.names) == 1
    clock.now += 1
    assert not ann.secure(KEY)
    assert ann.take(KEY) is None
    assert ann.secure(KEY)
    assert sorted(store.names) == [f"claims/ab/{KEY}.0.json", f"claims/ab/{KEY}.1.json"]


def test_a_claim_that_another_machine_took_over_is_not_ours_any_more(make: Make, clock: Clock) -> None:
    store = Memory()
    ann, bob = make(store, "ann"), make(store, "bob")
    assert ann.take(KEY) is None
    assert bob.take(KEY) is not None
    clock.now += 181
    assert bob.take(KEY) is None
    assert not ann.secure(KEY)
    taken = ann.take(KEY)
    assert taken is not None
    assert taken.holder == "bob"
    assert not ann.holds(KEY)


def test_a_claim_renewed_too_late_stays_lost(make: Make, clock: Clock) -> None:
    store = Memory()
    ann = make(store, "ann")
    assert ann.take(KEY) is None
    clock.now += 180 - MARGIN_S
    ann.renew()
    assert not ann.secure(KEY)
    clock.now += 1
    ann.renew()
    assert not ann.secure(KEY)


def test_renewals_in_time_keep_a_claim_for_as_long_as_one_likes(make: Make, clock: Clock) -> None:
    store = Memory()
    ann, bob = make(store, "ann"), make(store, "bob")
    assert ann.take(KEY) is None
    for _ in range(20):
        clock.now += RENEW_S
        ann.renew()
        assert ann.secure(KEY)
        taken = bob.take(KEY)
        assert taken is not None
        assert (taken.holder, taken.again) == ("ann", 1.0)


def test_a_renewal_counts_from_its_beginning(make: Make, clock: Clock) -> None:
    """It is answered late: others may have seen it long before."""
    store = Memory()
    ann = make(store, "ann")
    assert ann.take(KEY) is None
    clock.now += RENEW_S
    begun = clock.now

    def slow(method: str, name: str) -> None:
        clock.now += 50 if method == "put" else 0

    store.before = slow
    ann.renew()
    store.before = lambda method, name: None
    clock.now = begun + 180 - MARGIN_S - 0.1
    assert ann.secure(KEY)
    clock.now = begun + 180 - MARGIN_S
    assert not ann.secure(KEY)


def test_the_renewer_goes_on_after_every_kind_of_error(make: Make, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """One error of the store, and the claim of a build that is at work would die: another machine would buy."""
    monkeypatch.setattr("qwenbuild.remote.claims.RENEW_S", 0.01)
    store = Memory()
    errors: list[Exception] = [RemoteError("HTTP 503"), OSError("no route"), RuntimeError("the client is closed")]
    renewed = threading.Event()

    def fail(method: str, name: str) -> None:
        if method == "put":
            if errors:
                raise errors.pop()
            renewed.set()

    ann, bob = make(store, "ann"), make(store, "bob")
    assert ann.take(KEY) is None
    assert bob.take(KEY) is not None
    store.before = fail
    assert renewed.wait(30)
    assert errors == []
    ann.close()
    clock.now += 181
    assert bob.take(KEY) is not None


def test_a_renewer_that_cannot_even_start_its_work_tries_again(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qwenbuild.remote.claims.RENEW_S", 0.01)
    ann = make(Memory(), "ann")
    turns: list[int] = []
    enough = threading.Event()

    def renew() -> None:
        turns.append(1)
        if len(turns) > 2:
            enough.set()
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(ann, "renew", renew)
    assert ann.take(KEY) is None
    assert enough.wait(30)


def test_one_renewal_that_hangs_does_not_let_the_other_claims_die(make: Make, clock: Clock) -> None:
    store = Memory()
    ann = make(store, "ann")
    other = "cd" * 32
    assert ann.take(KEY) is None
    assert ann.take(other) is None
    free, there = threading.Event(), threading.Event()

    def hang(method: str, name: str) -> None:
        if method == "put" and KEY in name:
            free.wait(60)
        elif method == "put":
            there.set()

    store.before = hang
    old = store.names[f"claims/cd/{other}.0.json"]
    turn = threading.Thread(target=ann.renew)
    turn.start()
    assert there.wait(30)
    free.set()
    turn.join(30)
    assert store.names[f"claims/cd/{other}.0.json"] != old


def test_beside_a_renewal_that_hangs_for_ever_the_other_claims_are_renewed_turn_after_turn(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the build would lose every claim after two minutes, and other machines would buy its pictures again."""
    monkeypatch.setattr("qwenbuild.remote.claims.RENEW_S", 0.02)
    store = Memory()
    ann = make(store, "ann")
    free, enough = threading.Event(), threading.Event()
    renewed: list[str] = []

    def hang(method: str, name: str) -> None:
        if method == "put" and KEY in name:
            free.wait(60)
        elif method == "put":
            renewed.append(name)
            if len(renewed) > 3:
                enough.set()

    store.before = hang
    assert ann.take(KEY) is None
    assert ann.take("cd" * 32) is None
    try:
        assert enough.wait(5)
        assert not free.is_set()
    finally:
        free.set()


def test_a_turn_of_renewing_is_over_when_the_claims_are_renewed(make: Make) -> None:
    store = Memory()
    ann = make(store, "ann")
    assert ann.take(KEY) is None
    old = dict(store.names)

    def slow(method: str, name: str) -> None:
        if method == "put":
            threading.Event().wait(0.1)

    store.before = slow
    ann.renew()
    assert store.names.keys() == old.keys()
    assert store.names != old


def test_no_renewal_that_hangs_keeps_the_program_from_ending(make: Make) -> None:
    before = set(threading.enumerate())
    store = Memory()
    ann = make(store, "ann")
    assert ann.take(KEY) is None
    there, free = threading.Event(), threading.Event()

    def hang(method: str, name: str) -> None:
        if method == "put":
            there.set()
            free.wait(60)

    store.before = hang
    turn = threading.Thread(target=ann.renew, daemon=True)
    turn.start()
    assert there.wait(30)
    try:
        begun = [thread for thread in threading.enumerate() if thread not in before]
        assert len(begun) == 3
        assert [thread for thread in begun if not thread.daemon] == []
    finally:
        free.set()
        turn.join(30)


def test_a_renewal_that_hangs_is_not_begun_a_second_time(make: Make) -> None:
    store = Memory()
    ann = make(store, "ann")
    assert ann.take(KEY) is None
    free, there = threading.Event(), threading.Event()

    def hang(method: str, name: str) -> None:
        if method == "put":
            there.set()
            free.wait(60)

    store.before = hang
    turn = threading.Thread(target=ann.renew)
    turn.start()
    assert there.wait(30)
    second = threading.Thread(target=ann.renew, daemon=True)
    second.start()
    second.join(5)
    assert not second.is_alive()
    assert [method for method, _ in store.calls].count("put") == 1
    free.set()
    turn.join(30)


def test_what_is_given_up_is_not_renewed_and_a_renewal_under_way_does_not_bring_it_back(make: Make) -> None:
    store = Memory()
    ann = make(store, "ann")
    assert ann.take(KEY) is None
    there, free = threading.Event(), threading.Event()

    def hang(method: str, name: str) -> None:
        if method == "put":
            there.set()
            free.wait(60)

    store.before = hang
    turn = threading.Thread(target=ann.renew)
    turn.start()
    assert there.wait(30)
    end = threading.Thread(target=lambda: ann.release(KEY, done=True))
    end.start()
    free.set()
    turn.join(30)
    end.join(30)
    assert store.names == {}
    store.before = lambda method, name: None
    ann.renew()
    assert store.names == {}


def test_a_renewal_that_is_acknowledged_and_not_kept_does_not_count(make: Make, clock: Clock) -> None:
    store = Memory()
    ann = make(store, "ann")
    assert ann.take(KEY) is None
    store.keeps = False
    for _ in range(2):
        clock.now += RENEW_S
        ann.renew()
        assert ann.secure(KEY)
    clock.now += RENEW_S
    ann.renew()
    assert not ann.secure(KEY)


def test_what_is_kept_for_what_may_still_arrive_is_neither_renewed_nor_removed(make: Make) -> None:
    store = Memory()
    ann = make(store, "ann")
    assert ann.take(KEY) is None
    before = dict(store.names)
    ann.keep(KEY)
    ann.renew()
    ann.release(KEY, done=True)
    assert store.names == before
    assert not ann.holds(KEY)
