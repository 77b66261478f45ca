"""What a run is given, what it keeps while it runs, and what it gives back.

Knows no order of events: `schedule`, `purchase` and `recover` do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qwenbuild.cache import Cache
from qwenbuild.model import Action, ActionResult, LockEntry, Outcome, OutcomeKind, Price, Step
from qwenbuild.ports import Event, EventKind, Lanes, Provider, Reporter


@dataclass(frozen=True, slots=True)
class Published:
    """What became of one entry's files. `failures` are (path, sentence)."""

    record: LockEntry
    written: tuple[str, ...] = ()
    derived: int = 0
    failures: tuple[tuple[str, str], ...] = ()


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
    """How the run ended. `stops` are (kind, sentence) of accounts that can submit no more."""

    outcomes: Mapping[str, StepOutcome]
    stops: tuple[tuple[str, str], ...] = ()
    interrupted: bool = False
    spent: Price = field(default_factory=dict)
    bought: int = 0


@dataclass(frozen=True, slots=True)
class World:
    """Everything outside the run that it may use.

    `publish` makes an entry's files (blocking); `settle` plans an entry again once its inputs are known;
    `inputs` reads an Action's reference images; `allowed` are the keys that may be bought (None: all);
    `reserve` takes an attempt's price from the budget, False when there is not enough left; `give_back` undoes it;
    `rescue` keeps paid bytes that the cache cannot take, with their receipt;
    `names` gives the attempt of a key that a person gave up;
    `patience` is the pause in seconds between looks at another build's attempt.
    """

    cache: Cache
    provider: Callable[[str], Provider]
    lanes: Lanes
    reporter: Reporter
    publish: Callable[[Step, Mapping[str, ActionResult]], Published]
    settle: Callable[[Step, Mapping[str, str]], Step]
    inputs: Callable[[Action], tuple[tuple[bytes, str], ...]]
    reserve: Callable[[Price | None], bool]
    give_back: Callable[[Price | None], None]
    rescue: Callable[[bytes, ActionResult], Path]
    names: Callable[[str], str]
    today: Callable[[], str]
    close: Callable[[], Awaitable[None]]
    wall: Callable[[], float]
    project: str
    build: str
    allowed: frozenset[str] | None = None
    forced: frozenset[str] = frozenset()
    offline: bool = False
    fail_fast: bool = False
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    patience: float = 0.5


class Progress:
    """The one owner of what changes while a run runs: stops, what is in flight, what was spent."""

    def __init__(self, world: World, executor: Executor) -> None:
        self.world = world
        self.executor = executor
        self.jobs: dict[str, asyncio.Task[Outcome]] = {}
        self.drained: dict[str, Outcome] = {}
        self.in_flight: dict[str, tuple[str, float]] = {}
        self.stopped_lanes: dict[tuple[str, str], tuple[str, str]] = {}
        self.stopped: tuple[str, str] | None = None
        self.interrupted = False
        self.spent: dict[str, Any] = {}
        self.bought = 0

    def stop_all(self, kind: str, message: str) -> None:
        """Submit nothing more; the first reason stands."""
        self.stopped = self.stopped or (kind, message)

    def stop_lane(self, account: str, model: str, kind: str, message: str) -> None:
        """Submit nothing more for this account and model, and say so once."""
        if (account, model) not in self.stopped_lanes:
            self.stopped_lanes[account, model] = (kind, message)
            self.tell("message", "", text=message, level="error")

    def stop_for(self, provider: Provider, model: str) -> tuple[str, str] | None:
        """Why nothing may be submitted through this provider now, or None."""
        return self.stopped or self.stopped_lanes.get((provider.account, model))

    def tell(self, event: EventKind, id: str, **data: Any) -> None:
        """Tell the reporter."""
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
        return ((self.stopped,) if self.stopped else ()) + tuple(self.stopped_lanes.values())
