"""What the walk needs from outside, as protocols: a provider, a lane through its limits, a reporter; and the gate that a
submission passes on its way from one to the other.

Knows no implementation of any of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

from qwenbuild.model import Action, Limits, Order, Picture, Price, Ticket

Recovery = Literal["resend", "listing", "none"]
"""How an intent without a ticket is settled: idempotent resend, look-up in the task list, or a person."""


class Gate:
    """What one request that may cost money passes on its way out, once. This one lets through at once."""

    __slots__ = ("written",)

    def __init__(self) -> None:
        self.written = False
        """Whether a byte of the request was written, so that it may have arrived: set by the transport when it writes."""

    async def __call__(self) -> None:
        """Wait until the request may leave. The transport calls it when the way is open, just before the first byte."""

    def left(self) -> None:
        """The whole request was written."""


class Provider(Protocol):
    """One API. `submit` is the only function that spends; `collect` is free and may be repeated."""

    name: str
    family: str
    account: str
    """A digest of the credential and the host: who shares a pace. Never the credential."""
    base_url: str
    recovery: Recovery

    def limits(self, model: str) -> Limits:
        """The pace for a model of this account."""
        ...

    def check(self, action: Action) -> tuple[str, ...]:
        """What this API cannot express of the Action, a sentence each. Offline."""
        ...

    def price(self, action: Action) -> Price | None:
        """The estimate for one picture; None when unknown. Offline."""
        ...

    def body(self, order: Order) -> bytes:
        """The exact bytes that `submit` sends: written to the journal before, the same at each call."""
        ...

    async def prepare(self, order: Order) -> Order:
        """Bring what the request will point at to where the API can fetch it, such as reference images. Costs nothing.

        Asked once before `body`, for orders with inputs. Raises a ProviderError.
        """
        ...

    async def submit(self, order: Order, body: bytes, gate: Gate) -> Ticket:
        """Send once, through the gate. Raises a ProviderError; anything but a proof that nothing was accepted is Uncertain."""
        ...

    async def collect(self, ticket: Ticket, action: Action) -> Picture:
        """Wait for the picture and fetch it. Raises a ProviderError; Waiting when its time is over."""
        ...

    async def find(self, order: Order, body: bytes, since: float, until: float, claimed: frozenset[str]) -> tuple[Ticket, ...]:
        """Tasks of this account that match the order, sent between two wall-clock times (seconds), unclaimed.

        Only for `recovery == "listing"`. None at all is proof that there is none; whatever is less raises: Uncertain where
        what came does not tell, Unavailable, Throttled or AccountStop where nothing came that could.
        """
        ...

    async def clock_difference(self) -> float | None:
        """Seconds by which the provider's clock is ahead of ours; None when its answer does not tell. Free.

        Raises Unavailable, Throttled or AccountStop without an answer.
        """
        ...

    async def close(self) -> None:
        """Close connections."""
        ...


@runtime_checkable
class RecoversByModel(Protocol):
    """A provider that cannot tell for each of its models what became of a request."""

    def recovery_of(self, model: str) -> Recovery:
        """How the fate of a request for this model can be settled after its answer was lost."""
        ...


@runtime_checkable
class Draws(Provider, Protocol):
    """A provider that is this machine itself. Nothing leaves it, and the same order gives the same picture at any time: so
    many are drawn together, and what a kill left undone is drawn again."""

    def draw(self, order: Order) -> Picture:
        """The picture, checked in structure. Blocks; called in a thread."""
        ...


def recovery_of(provider: Provider, model: str) -> Recovery:
    """How the fate of a request of this provider and model can be settled after its answer was lost."""
    return provider.recovery_of(model) if isinstance(provider, RecoversByModel) else provider.recovery


class Turn(Protocol):
    """One submission's place in the pace of a lane. What has not left at the end of its block will not be sent."""

    async def due(self) -> None:
        """The submission is ready to leave: wait until it may."""
        ...

    def left(self) -> None:
        """The submission has left this machine: spacing counts from here."""
        ...

    def accepted(self) -> None:
        """The server accepted the submission: widen again, slowly."""
        ...

    def __enter__(self) -> Turn: ...

    def __exit__(self, *raised: object) -> None: ...


class Lane(Protocol):
    """The way through one account's and model's limits on this machine."""

    def slot(self) -> AbstractAsyncContextManager[None]:
        """A place in flight, held from before the submit until the job's end."""
        ...

    async def turn(self) -> Turn:
        """The next submission's turn, once it may leave (even spacing) or may be made ready to leave."""
        ...

    def throttled(self, retry_after: float | None, narrow: bool) -> None:
        """The server refused for pace: wait, and narrow."""
        ...


class Lanes(Protocol):
    """All lanes of this machine."""

    def lane(self, account: str, model: str, limits: Limits) -> Lane:
        """The lane for an account and model."""
        ...


EventKind = Literal["plan", "sending", "submitted", "stored", "written", "retry", "failed", "doubt", "message", "summary"]
"""`sending` and `message` are for people: a request leaves this machine, and a sentence."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened, for a reporter. `data` are JSON values under the names of the documentation's `build --json`."""

    event: EventKind
    id: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)


class Reporter(Protocol):
    """Whoever is told what happens."""

    def event(self, event: Event) -> None:
        """Take note; must be quick and must not raise."""
        ...
