"""A shop of one counter: a provider that does what its script says, a real cache, and a clock that nobody waits for.

Knows no test.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from qwenbuild.cache import Attempt, Cache, Intent
from qwenbuild.images import placeholder_png
from qwenbuild.key import action_key, document
from qwenbuild.model import Action, ActionResult, Candidate, Limits, Order, Outcome, Picture, Price, Ticket
from qwenbuild.pace.lanes import FileLanes
from qwenbuild.ports import Event, Gate
from qwenbuild.run.purchase import buy
from qwenbuild.run.recover import finish
from qwenbuild.run.submit import Purchase
from qwenbuild.run.world import Progress, Times, World
from tests.test_run_settle import Inline, VirtualTime

BEGIN = 1_795_000_000.0
PATIENCE_S = 10.0
"""Of true time, after which a test that waits for what never comes has failed."""
PRICE: Price = {"usd": 1}  # type: ignore[dict-item]
BASE = "https://x.example"


@dataclass
class Scripted:
    """A provider. `submits`, `collects` and `finds` are what it says, one after the other; afterwards all goes well.

    `happened` is what it was asked, in order: ("submit", prompt), ("collect", task), ("find", ""), ("clock", "").
    """

    clock: VirtualTime
    recovery: str = "none"
    submits: list[Any] = field(default_factory=list)
    collects: list[Any] = field(default_factory=list)
    finds: list[Any] = field(default_factory=list)
    clocks: list[Any] = field(default_factory=list)
    handed: list[Any] = field(default_factory=list)
    happened: list[tuple[str, str]] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    orders: list[Order] = field(default_factory=list)
    tickets: list[Ticket] = field(default_factory=list)
    windows: list[tuple[float, float, frozenset[str]]] = field(default_factory=list)
    pace: Limits = field(default_factory=lambda: Limits(2.0, 2, 300))
    name: str = "studio"
    family: str = "dashscope"
    account: str = "a" * 64
    base_url: str = BASE

    def limits(self, model: str) -> Limits:
        return self.pace

    def body(self, order: Order) -> bytes:
        return order.key.encode()

    def note(self, what: str, which: str) -> None:
        self.happened.append((what, which))
        self.times.append(self.clock.now)

    def asked(self, what: str) -> list[str]:
        return [which for kind, which in self.happened if kind == what]

    async def prepare(self, order: Order) -> Order:
        self.note("prepare", order.action.prompt)
        said(self.handed, None)
        return order

    async def submit(self, order: Order, body: bytes, gate: Gate) -> Ticket:
        await gate()
        gate.left()
        assert body == order.key.encode()
        self.note("submit", order.action.prompt)
        self.orders.append(order)
        ticket = said(self.submits, Ticket(self.name, BASE, f"task{len(self.orders)}", request_id="r"))
        assert isinstance(ticket, Ticket)
        return ticket

    async def collect(self, ticket: Ticket, action: Action) -> Picture:
        self.note("collect", ticket.task_id)
        self.tickets.append(ticket)
        picture = said(self.collects, picture_of(action, ticket.task_id))
        assert isinstance(picture, Picture)
        return picture

    async def find(self, order: Order, body: bytes, since: float, until: float, claimed: frozenset[str]) -> tuple[Ticket, ...]:
        self.note("find", "")
        self.windows.append((since - BEGIN, until - BEGIN, claimed))
        return tuple(said(self.finds, ()))

    async def clock_difference(self) -> float | None:
        self.note("clock", "")
        return said(self.clocks, 0.0)  # type: ignore[no-any-return]

    async def close(self) -> None:
        return None


def said(script: list[Any], usual: Any) -> Any:
    """The next line of a script: raised, called, or given; `usual` at its end."""
    line = script.pop(0) if script else usual
    if callable(line):
        line = line()
    if isinstance(line, BaseException):
        raise line
    return usual if line is None and usual is not None else line


def picture_of(action: Action, task: str = "task", **more: Any) -> Picture:
    return Picture(placeholder_png(action), "image/png", 64, 64, task, **more)


class Heard:
    def __init__(self) -> None:
        self.events: list[Event] = []

    def event(self, event: Event) -> None:
        self.events.append(event)

    def of(self, kind: str) -> list[Event]:
        return [event for event in self.events if event.event == kind]

    @property
    def kinds(self) -> list[str]:
        return [event.event for event in self.events]


class Shop:
    """What a build has around it. `purse` is what was held and given back, in order; `saved` what was rescued."""

    def __init__(self, folder: Path, *, recovery: str = "none", **more: Any) -> None:
        self.clock = VirtualTime()
        self.folder = folder
        self.cache = Cache.open(folder / "cache", clock=self.clock.waits().wall)
        self.provider = Scripted(self.clock, recovery)
        self.heard = Heard()
        self.purse: list[tuple[str, Price | None]] = []
        self.room = True
        self.saved: list[tuple[bytes, ActionResult]] = []
        self.rescues: list[Any] = []
        self.build = self.cache.builds.start()
        world: Any = World(
            cache=self.cache,
            providers=self,
            reporter=self.heard,
            workspace=self,
            budget=self,
            project="p",
            build=self.build.id,
            waits=self.clock.waits(),
            times=Times(),
        )
        self.progress = Progress(changed(world, **more), Inline(), Inline())

    # ------------------------------------------------------------ what the world asks of it

    @property
    def lanes(self) -> FileLanes:
        return FileLanes(self.folder / "lanes", self.clock.waits())

    def get(self, name: str) -> Any:
        return self.provider

    def strays(self) -> Sequence[Attempt]:
        return ()

    def reserve(self, price: Price | None) -> bool:
        self.purse.append(("held", price))
        return self.room

    def give_back(self, price: Price | None) -> None:
        self.purse.append(("back", price))

    def references(self, action: Action) -> tuple[tuple[bytes, str], ...]:
        return ((b"bytes", "image/png"),)

    def rescue(self, data: bytes, result: ActionResult) -> Path:
        said(self.rescues, b"")
        self.saved.append((data, result))
        return Path("saved.png")

    def today(self) -> str:
        return "2026-11-29"

    async def close(self) -> None:
        await self.provider.close()

    def end(self) -> None:
        self.build.__exit__(None, None, None)

    # ------------------------------------------------------------ what a test does

    def buy(self, *purchases: Purchase) -> Any:
        """The outcome of one purchase, or those of several at once."""
        outcomes: Sequence[Outcome] = self.run(gathered(self.progress, purchases))
        return outcomes[0] if len(outcomes) == 1 else outcomes

    def run(self, work: Any) -> Any:
        return asyncio.run(asyncio.wait_for(self.clock.run(work), PATIENCE_S))

    def finish(self, *attempts: Attempt) -> dict[str, Outcome]:
        """What an earlier build left, carried on."""
        self.run(finish(self.progress, attempts))
        return self.progress.drained

    def left_by_a_dead_build(self, purchase: Purchase, *, ago: float = 0.0, build: str = "") -> Attempt:
        """An intent of which no answer was stored."""
        with self.cache.builds.start() as dead:
            was, self.clock.now = self.clock.now, self.clock.now - ago
            begun = self.cache.journal.begin(Intent(
                key=purchase.key, build=build or dead.id, project="p", entry=purchase.entry, provider="studio",
                family="dashscope", account=self.provider.account, base_url=BASE, model=purchase.action.model,
                action=document(purchase.action), body=purchase.key.encode(), price=purchase.price,
            ))  # fmt: skip
            self.clock.now = was
        assert isinstance(begun, Attempt)
        return begun

    @property
    def attempts(self) -> list[Attempt]:
        """Of the journal, oldest first."""
        return sorted(self.cache.journal.attempts(), key=lambda attempt: (attempt.key, attempt.generation))

    @property
    def states(self) -> list[str]:
        return [attempt.state.value for attempt in self.attempts]

    @property
    def aside(self) -> list[bytes]:
        """What lies in quarantine, without the notes."""
        folder = self.cache.blobs.aside
        return [path.read_bytes() for path in folder.iterdir() if path.suffix != ".json"] if folder.is_dir() else []

    @property
    def notes(self) -> list[Any]:
        """What is noted beside the bytes in quarantine."""
        return [json.loads(path.read_bytes())["record"]["note"] for path in self.cache.blobs.aside.glob("*.json")]


def changed(world: World, **more: Any) -> World:
    """The world with other fields, its own or its policy's."""
    own = {name: value for name, value in more.items() if name in world.__dataclass_fields__}
    rules = {name: value for name, value in more.items() if name not in own}
    return replace(world, policy=replace(world.policy, **rules), **own)


async def gathered(progress: Progress, purchases: Sequence[Purchase]) -> list[Outcome]:
    return list(await asyncio.gather(*(buy(progress, one) for one in purchases)))


def lamp(number: int = 0, price: Price | None = PRICE, prompt: str = "", **more: Any) -> Purchase:
    """One picture to buy."""
    action = Action("dashscope", "qwen-image-plus", prompt=prompt or f"lamp {number}", size="64*64", seed=number, **more)
    return Purchase(f"n{number}", "studio", Candidate(number, action, action_key(action)), price)
