"""What a run is given, what it keeps while it runs, and what it gives back.

Knows no order of events: `schedule`, `purchase` and `recover` do.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from qwenbuild.cache import Attempt, Cache
from qwenbuild.errors import ProviderError
from qwenbuild.model import Action, ActionResult, LockEntry, Outcome, OutcomeKind, Price, Step, Ticket
from qwenbuild.pace.clock import Waits
from qwenbuild.ports import Event, EventKind, Lane, Lanes, Provider, Reporter
from qwenbuild.run.batching import Batcher
from qwenbuild.run.failures import Failures
from qwenbuild.run.waits import OpenWaits

MANY = 24
"""Jobs in flight from which on their writes are gathered."""
LOST_AT_ONCE = 32
"""Requests whose answer was lost and whose fate is looked up; with more of them, nothing more is sent for a while."""


class Stopped(Exception):
    """Submitting has stopped while something waited for its turn; `reason` is (kind, sentence)."""

    def __init__(self, reason: tuple[str, str]) -> None:
        super().__init__(reason[1])
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds. After a lost answer a task list is believed once `settle` has passed and two looks, `pause` apart, agree;
    it is searched from `before` the sending until `after` it, because clocks differ. `patience` lies between looks at
    another build's attempt. Providers keep tasks and idempotency keys for a day; `retention` is a little less.
    `farewell` is what SIGTERM and SIGHUP leave to what is in flight. Pictures' links live for a day: after `link`, an hour
    more, the storage's own word that a picture is gone is believed, and after `overdue` whatever keeps it from coming.
    """

    settle: float = 60.0
    pause: float = 30.0
    before: float = 300.0
    after: float = 900.0
    patience: float = 0.5
    retention: float = 23 * 3600.0
    farewell: float = 30.0
    link: float = 25 * 3600.0
    overdue: float = 7 * 24 * 3600.0


@dataclass(frozen=True, slots=True)
class Published:
    """What became of one entry's files. `failures` and `unfit` are (path, sentence); a path of "" is the picture.

    Without a `record` nothing was published: the picture is not what is expected of it, and stays in the vault.
    `unsigned` are files that could not carry their picture's signature.
    """

    record: LockEntry | None
    written: tuple[str, ...] = ()
    derived: int = 0
    failures: tuple[tuple[str, str], ...] = ()
    unfit: tuple[tuple[str, str], ...] = ()
    unsigned: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StepOutcome:
    """How one entry ended. `how`: generated, restored, resumed, recovered, derived."""

    id: str
    kind: OutcomeKind
    how: str = ""
    code: str = ""
    message: str = ""
    published: Published | None = None


@dataclass(frozen=True, slots=True)
class RunResult:
    """How the run ended. `stops` are (kind, sentence) of accounts that can submit no more; `doubts` are (entry, sentence)
    of earlier builds' requests that came to be in doubt, wanted by this build or not.
    """

    outcomes: Mapping[str, StepOutcome]
    stops: tuple[tuple[str, str], ...] = ()
    interrupted: bool = False
    spent: Price = field(default_factory=dict)
    bought: int = 0
    doubts: tuple[tuple[str, str], ...] = ()

    @property
    def records(self) -> dict[str, LockEntry]:
        """The lock records that were made, by entry."""
        published = ((id, outcome.published) for id, outcome in self.outcomes.items() if outcome.published is not None)
        return {id: one.record for id, one in published if one.record is not None}


class OtherMachines(Protocol):
    """Other machines that may draw the same pictures. `begin` and `end` block."""

    def begin(self, key: str) -> ActionResult | float | None:
        """Before a key is bought: None when it may be, another machine's picture, or seconds after which to ask again.

        Raises CacheError when it cannot be told.
        """
        ...

    def secure(self, key: str) -> bool:
        """Just before a request leaves: whether no other machine can have begun the same key since `begin` let it pass."""
        ...

    def end(self, outcome: Outcome) -> None:
        """After a key's purchase, however it ended; nothing is raised."""
        ...


class ProviderPool(Protocol):
    """The providers of this build, and the lanes that pace them."""

    @property
    def lanes(self) -> Lanes:
        """The ways through the providers' limits."""
        ...

    def get(self, name: str) -> Provider:
        """The provider of these settings. Raises CredentialsError when its key is missing, InputError when it is unknown."""
        ...

    def strays(self) -> Sequence[Attempt]:
        """Open tickets of projects that are gone, for accounts of this build."""
        ...

    async def close(self) -> None:
        """Close every connection."""
        ...


class Workspace(Protocol):
    """The project's files. Its functions block."""

    def publish(self, step: Step, results: Mapping[str, ActionResult]) -> Published:
        """Make an entry's files. Raises CacheError, OSError."""
        ...

    def replan(self, step: Step, digests: Mapping[str, str]) -> Step:
        """Plan an entry again once its inputs are known."""
        ...

    def references(self, action: Action) -> tuple[tuple[bytes, str], ...]:
        """An Action's reference images: bytes and type. Raises CacheError."""
        ...

    def rescue(self, data: bytes, result: ActionResult) -> Path:
        """Keep paid bytes that the cache cannot take, with their receipt. Raises OSError."""
        ...

    def today(self) -> str:
        """The day, UTC, as the lockfile writes it."""
        ...


class BuildBudget(Protocol):
    """What this build may spend."""

    def reserve(self, price: Price | None) -> bool:
        """Take an attempt's price from the budget; False when there is not enough left."""
        ...

    def give_back(self, price: Price | None) -> None:
        """Undo a reservation."""
        ...


@dataclass(frozen=True, slots=True)
class Policy:
    """What this run may do. `allowed` are the pictures that may be bought, as in the Plan (None: all); `forced` keys are
    bought although there is a picture; of `given_up` keys a person gave up an attempt; `stop_after` are the failures in a
    row that pause an asset, where it has its own number (0: never).
    """

    allowed: frozenset[str] | None = None
    forced: frozenset[str] = frozenset()
    given_up: frozenset[str] = frozenset()
    offline: bool = False
    fail_fast: bool = False
    stop_after: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class World:
    """Everything outside the run that it may use. `project` and `build` are ids in the journal; `elsewhere` are other
    machines; `waits` and `times` are the clock and how long is waited: tests switch waiting off.
    """

    cache: Cache
    providers: ProviderPool
    reporter: Reporter
    workspace: Workspace
    budget: BuildBudget
    project: str
    build: str
    policy: Policy = field(default_factory=Policy)
    elsewhere: OtherMachines | None = None
    waits: Waits = field(default_factory=Waits)
    times: Times = field(default_factory=Times)


class Progress:
    """The one owner of what changes while a run runs: stops, what is in flight, what was spent.

    `writers` are threads for the journal alone: what is due must not queue behind pictures. `intents`, `pictures` and `files`
    are written together where many are. `settled` are keys for which
    a task list was waited for in this build, and `clocks` how far each account's clock is ahead of ours, in seconds.
    """

    def __init__(self, world: World, executor: Executor, writers: Executor) -> None:
        self.world = world
        self.executor = executor
        self.intents = Batcher[Any, Any](writers, self.is_busy, world.waits.sleep)
        self.pictures = Batcher[Any, Any](executor, self.is_busy, world.waits.sleep)
        self.files = Batcher[Any, Any](executor, self.is_busy, world.waits.sleep)
        self.jobs: dict[str, asyncio.Future[Outcome]] = {}
        self.drained: dict[str, Outcome] = {}
        self.contested: set[str] = set()
        self.due = 0
        self.in_flight: dict[str, tuple[str, float]] = {}
        self.failures = Failures(world.policy.stop_after)
        self.assets: Mapping[str, str] = {}
        self.waiting = OpenWaits(world.waits.steady, self.in_flight)
        self.stopped_lanes: dict[tuple[str, str], tuple[str, str]] = {}
        self.unwritten: dict[str, Ticket] = {}
        self.settled: set[str] = set()
        self.lost_places = asyncio.Semaphore(LOST_AT_ONCE)
        self.clocks: dict[str, float | ProviderError | None] = {}
        self.clocks_lock = asyncio.Lock()
        self.doubts: list[tuple[str, str]] = []
        self.stopped: tuple[str, str] | None = None
        self.interrupted = False
        self._waiting: dict[asyncio.Task[Any], tuple[tuple[str, str], str]] = {}
        self._woken: set[asyncio.Task[Any]] = set()
        self.spent: dict[str, Any] = {}
        self.bought = 0

    def is_busy(self) -> bool:
        """Whether so many jobs are in flight that none of them is held up when one waits for others a little."""
        return len(self.in_flight) >= MANY

    def stop_all(self, kind: str, message: str) -> None:
        """Submit nothing more; the first reason stands. Whoever waits for a turn is woken."""
        self.stopped = self.stopped or (kind, message)
        self._wake()

    def stop_lane(self, account: str, model: str, kind: str, message: str) -> None:
        """Submit nothing more for this account and model, and say so once."""
        if (account, model) not in self.stopped_lanes:
            self.stopped_lanes[account, model] = (kind, message)
            self.tell("message", "", text=message, level="error")
            self._wake()

    def note_picture(self, asset: str, why: str) -> None:
        """A picture of an asset that was paid for is good, or failed because of `why`: after several it is paused."""
        if message := self.failures.note(asset, why):
            self.tell("message", "", text=message, level="error")
            self._wake()

    def stop_for(self, provider: Provider, model: str, entry: str = "") -> tuple[str, str] | None:
        """Why nothing may be submitted through this provider now, or for this entry; None when it may."""
        return self._stop_of((provider.account, model), entry)

    def _stop_of(self, lane: tuple[str, str], entry: str) -> tuple[str, str] | None:
        paused = self.failures.paused.get(self.assets.get(entry, ""))
        return self.stopped or self.stopped_lanes.get(lane) or (("paused", paused) if paused else None)

    def _wake(self) -> None:
        for task, (lane, entry) in self._waiting.items():
            if task not in self._woken and self._stop_of(lane, entry):
                self._woken.add(task)
                task.cancel()

    @contextlib.contextmanager
    def until_stopped(
        self, provider: Provider, model: str, why: str = "", seconds: float | None = None, entry: str = ""
    ) -> Iterator[None]:
        """Wait for something in the block; a stop of this lane ends the waiting, or of the asset of `entry`. Raises Stopped.

        `why` is said where it takes long, and that it lasts `seconds`, where that is known.
        """
        lane, task = (provider.account, model), asyncio.current_task()
        assert task is not None
        if stop := self._stop_of(lane, entry):
            raise Stopped(stop)
        self._waiting[task] = (lane, entry)
        try:
            with self.waiting.waits_for(why or f"for a free slot at {provider.name} {model}", seconds):
                yield
        except asyncio.CancelledError:
            stop = self._stop_of(lane, entry)
            if task not in self._woken or stop is None or task.uncancel() > 0:
                raise
            raise Stopped(stop) from None
        finally:
            del self._waiting[task]
            self._woken.discard(task)

    def lane(self, provider: Provider, model: str) -> Lane:
        """The way through this provider's limits."""
        return self.world.providers.lanes.lane(provider.account, model, provider.limits(model))

    def tell(self, event: EventKind, id: str, **data: Any) -> None:
        """Tell the reporter."""
        self.waiting.messages += 1
        self.world.reporter.event(Event(event, id, data))

    def spend(self, price: Price | None) -> None:
        """Count what one picture cost, as estimated by the table where nothing was billed."""
        self.bought += 1
        for unit, amount in (price or {}).items():
            self.spent[unit] = self.spent.get(unit, 0) + amount

    async def off_loop(self, work: Callable[..., Any], *arguments: Any) -> Any:
        """Do blocking work in a thread."""
        return await asyncio.get_running_loop().run_in_executor(self.executor, work, *arguments)

    def stops(self) -> tuple[tuple[str, str], ...]:
        """Every reason why submitting stopped."""
        paused = tuple(("paused", message) for message in self.failures.paused.values())
        return ((self.stopped,) if self.stopped else ()) + tuple(self.stopped_lanes.values()) + paused
