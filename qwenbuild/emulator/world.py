"""What an API of the emulator may ask of the emulator, and what the emulator asks of an API, as protocols.

Knows no implementation of either.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from qwenbuild.emulator.clock import Clock
from qwenbuild.emulator.jobs import EmulatedJob, JobOrder
from qwenbuild.emulator.lanes import EmulatedLane, EmulatedPace
from qwenbuild.emulator.ledger import EmulatedLedger
from qwenbuild.emulator.settings import Account, Settings
from qwenbuild.emulator.wire import Phase, Reply, Request


class Front(Protocol):
    """One API: finds out what a request is, answers it, and writes errors in its own envelope."""

    api: str
    region: str
    prefix: str

    def phase(self, request: Request) -> Phase:
        """What a request of this API is about."""
        ...

    def subject(self, request: Request, phase: Phase) -> str:
        """The prompt a submission carries, or the id that a later request names."""
        ...

    def handle(self, request: Request) -> Reply:
        """Answer it honestly."""
        ...

    def refuse(self, status: int, code: str, message: str) -> Reply:
        """An error envelope."""
        ...


class EmulatorCore(Protocol):
    """The emulator as its APIs see it."""

    clock: Clock
    origins: dict[str, str]
    settings: Settings
    accounts: list[Account]
    book: EmulatedLedger
    replays: int
    on_accept: Callable[[EmulatedJob], None]

    def account(self, api: str, region: str, key: str) -> Account | None:
        """Whose key it is, at this API and region only."""
        ...

    def lane(self, api: str, region: str, account: str, model: str) -> EmulatedLane:
        """The lane of an account and model."""
        ...

    def pace(self, vendor: EmulatedPace) -> EmulatedPace:
        """The vendor's pace, with what the settings put in its place."""
        ...

    def admit(self, lane: EmulatedLane, pace: EmulatedPace) -> str:
        """Count an arriving submission: `""` when it may come in, else `rate` or `concurrency`."""
        ...

    def accept(self, order: JobOrder, lane: EmulatedLane, concurrency: float, task_id: str = "") -> EmulatedJob:
        """Take a job on: from here on it costs, unless it fails."""
        ...

    def cancel(self, job: EmulatedJob, lane: EmulatedLane, concurrency: float) -> None:
        """Drop a waiting job; those behind it move up."""
        ...

    def forgotten(self, job: EmulatedJob) -> bool:
        """Whether the retention is over, or the API was told to forget the job."""
        ...

    def link(self, job: EmulatedJob, index: int = 0) -> str:
        """The signed address of a picture."""
        ...

    def picture_for(self, task: str, index: int = 0) -> bytes:
        """The bytes of a job's picture; KeyError for a task that was never accepted."""
        ...


class Controlled(Protocol):
    """The emulator as its control surface sees it: every verb is a method."""

    def __getattribute__(self, name: str) -> Any:
        """A method by its name."""
        ...

    def picture_for(self, task: str, index: int = 0) -> bytes:
        """The bytes of a job's picture; KeyError for a task that was never accepted."""
        ...
