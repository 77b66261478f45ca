"""Send one attempt until its fate is known: accepted with a ticket, or an Outcome. What follows each error is a table's.

Knows no picture and no file; the journal is written before and after each step.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from qwenbuild.cache import Attempt
from qwenbuild.errors import AccountStop, CacheError, FailedAtProvider, ProviderError, Throttled, Uncertain
from qwenbuild.key import document
from qwenbuild.model import Action, Candidate, Order, Outcome, OutcomeKind, Price, Ticket
from qwenbuild.pace.retry import Decision, Retries, Then
from qwenbuild.ports import Gate, Lane, Provider, Turn, recovery_of
from qwenbuild.run.waits import Flight
from qwenbuild.run.world import Progress, Stopped

SUBMIT = "submit"
"""What a task that sends is called."""
APART_UP_TO_RPS = 5.0
"""Submissions a second up to which each waits for the one before: they must not leave together after a slow write."""


@dataclass(frozen=True, slots=True)
class Purchase:
    """One picture to buy, and for whom: `entry` names the first entry that wants it."""

    entry: str
    settings: str
    candidate: Candidate
    price: Price | None
    names: str = ""

    @property
    def key(self) -> str:
        """The ActionKey."""
        return self.candidate.key

    @property
    def action(self) -> Action:
        """The Action."""
        return self.candidate.action

    @property
    def free(self) -> bool:
        """Whether it is known to cost nothing, as on a server of one's own: then what was lost is simply asked for again."""
        return self.price == {}


@dataclass(frozen=True, slots=True)
class Job:
    """One purchase on its way: who makes it, through which lane, and what has been tried for it so far."""

    progress: Progress
    purchase: Purchase
    provider: Provider
    lane: Lane
    retries: Retries

    @classmethod
    def of(cls, progress: Progress, purchase: Purchase, provider: Provider) -> Job:
        """A job that has tried nothing yet."""
        model = purchase.action.model
        recovery = "free" if purchase.free else provider.recovery
        retries = Retries(recovery, provider.limits(model).timeout, progress.world.waits)
        return cls(progress, purchase, provider, progress.lane(provider, model), retries)

    @property
    def apart(self) -> bool:
        """Whether submissions are so far apart that the next one's turn can wait until the journal has this one."""
        return 0 < self.provider.limits(self.purchase.action.model).rps <= APART_UP_TO_RPS

    def check(self) -> None:
        """Raises Stopped when submitting has stopped."""
        if stop := self.progress.stop_for(self.provider, self.purchase.action.model, self.purchase.entry):
            raise Stopped(stop)

    async def turn(self) -> Turn:
        """The next submission's turn, waited for. Raises Stopped."""
        model = self.purchase.action.model
        why = f"for a turn within the rate limit of {self.provider.name} {model}"
        with self.progress.until_stopped(self.provider, model, why, entry=self.purchase.entry):
            return await self.lane.turn()

    async def pause(self, seconds: float, why: str = "") -> None:
        """Wait; `why` completes "Waiting:". Raises Stopped."""
        why = why or f"before {self.provider.name} is asked again what became of a request"
        with self.progress.until_stopped(self.provider, self.purchase.action.model, why, seconds):
            await self.progress.world.waits.sleep(seconds)

    def flight(self) -> Flight:
        """How this purchase counts while it is on its way: whether somebody can tell its fate after a kill."""
        model, steady = self.purchase.action.model, self.progress.world.waits.steady
        settles = self.purchase.price == {} or recovery_of(self.provider, model) != "none"
        return Flight(self.purchase.entry, f"{self.provider.name} {model}".rstrip(), settles, steady())


@dataclass(frozen=True, slots=True)
class Sending:
    """An attempt and the exact bytes that go out for it. `perhaps_sent`: an earlier try may have arrived. `closed`: the
    journal says that nothing was sent, and takes it back before it goes again.
    """

    attempt: Attempt
    order: Order
    body: bytes
    perhaps_sent: bool = False
    closed: bool = False


@dataclass(frozen=True, slots=True)
class Unanswered:
    """Sent, and its answer lost, where the provider's task list can tell what became of it. It holds a place of the lost."""

    sending: Sending
    error: ProviderError


class Again(Exception):
    """The provider failed to make the picture; a new attempt may follow after `pause` seconds."""

    def __init__(self, message: str, pause: float = 0.0) -> None:
        super().__init__(message)
        self.pause = pause


class LaneGate(Gate):
    """Lets a request out at its turn, and tells the lane when it has left. Whoever asks is told that it is on its way."""

    __slots__ = ("_flight", "_turn")

    def __init__(self, turn: Turn, flight: Flight) -> None:
        super().__init__()
        self._turn, self._flight = turn, flight

    async def __call__(self) -> None:
        """Wait until it is due."""
        await self._turn.due()
        self._flight.state = "sent"

    def left(self) -> None:
        """Spacing counts from here."""
        self._turn.left()


async def send(job: Job, sending: Sending, turn: Turn) -> Ticket | Outcome | Unanswered:
    """Submit until the attempt is accepted or its fate is an Outcome, or can be looked up.

    After an answer that settles nothing it is resent only where the provider keeps idempotency keys, and from then on
    nothing but a ticket or a refusal closes the attempt. Raises Again when another build's attempt took this one's place,
    or another machine may draw the picture by now.
    """
    flight = job.flight()
    with _on_its_way(job.progress, sending.attempt, flight):
        return await _sent(job, sending, turn, flight)


@contextlib.contextmanager
def _on_its_way(progress: Progress, attempt: Attempt, flight: Flight) -> Iterator[None]:
    """The request is among those in flight while it is sent; once accepted, as long as its attempt is in flight."""
    progress.waiting.add(attempt.id, flight)
    try:
        yield
    finally:
        if flight.state != "accepted":
            progress.waiting.flights.pop(attempt.id, None)


async def _sent(job: Job, sending: Sending, turn: Turn, flight: Flight) -> Ticket | Outcome | Unanswered:
    try:
        while True:
            with turn:
                sent = await _try(job, sending, turn, flight)
            if not isinstance(sent, Sending):
                return sent
            sending, turn = sent, await job.turn()
    except Stopped as stopped:
        return skipped(job.purchase, stopped.reason)


async def _try(job: Job, sending: Sending, turn: Turn, flight: Flight) -> Ticket | Outcome | Unanswered | Sending:
    """Submit once; what is to be sent again after that, with the next turn, is given back. Raises Again, Stopped."""
    if sending.closed and (outcome := _reopened(job, sending)) is not None:
        return outcome
    _check_claim(job, sending)
    gate = LaneGate(turn, flight)
    try:
        ticket = await submit_once(job.progress, job.provider, sending.order, sending.body, sending.attempt, gate)
    except ProviderError as error:
        flight.state = "sent" if isinstance(error, Uncertain) else "ready"
        error.message += await kept_aside(job, sending.attempt, error)
        perhaps_sent = sending.perhaps_sent or (isinstance(error, Uncertain) and not job.purchase.free)
        sending = replace(sending, perhaps_sent=perhaps_sent, closed=False)
        return await _follow(job, sending, error, job.retries.after(error, "submit"))
    flight.state = "accepted"
    turn.accepted()
    data = {"key": job.purchase.key, "provider": job.provider.name, "task": ticket.task_id}
    job.progress.tell("submitted", job.purchase.entry, **data)
    return ticket


def _check_claim(job: Job, sending: Sending) -> None:
    """After a long pause, or a machine's sleep, another machine may have taken the key: nothing leaves, it is claimed anew."""
    elsewhere = job.progress.world.elsewhere
    if elsewhere is None or sending.perhaps_sent or elsewhere.secure(job.purchase.key):
        return
    words = "its claim in the shared cache may have run out before it was sent"
    job.progress.world.cache.journal.fail(sending.attempt.id, "not-sent", words)
    raise Again(words)


async def submit_once(
    progress: Progress, provider: Provider, order: Order, body: bytes, attempt: Attempt, gate: Gate
) -> Ticket:
    """One POST, shielded from cancellation; its ticket is committed before anything else is awaited."""

    async def committed() -> Ticket:
        return commit(progress, attempt, await provider.submit(order, body, gate))

    return await asyncio.shield(asyncio.create_task(committed(), name=SUBMIT))


def submits() -> set[asyncio.Task[Any]]:
    """The submits of this loop that have no ticket yet."""
    return {task for task in asyncio.all_tasks() if task.get_name() == SUBMIT}


def commit(progress: Progress, attempt: Attempt, ticket: Ticket) -> Ticket:
    """Write the ticket down. When the disk refuses, the ticket stays in memory and nothing more is submitted."""
    cache = progress.world.cache
    try:
        if ticket.data:
            ticket = replace(ticket, digest=cache.put_blob(ticket.data))
        cache.journal.ticket(attempt.id, replace(ticket, data=b""))
    except (CacheError, OSError, sqlite3.Error) as error:
        progress.unwritten[attempt.id] = replace(ticket, data=b"")
        progress.stop_all("cache", f"the journal could not be written ({error}); nothing more is submitted")
    return ticket


async def _follow(job: Job, sending: Sending, error: ProviderError, decision: Decision) -> Outcome | Unanswered | Sending:
    """Do what the table says after an error; what is to be sent again is given back."""
    if decision.then is Then.AGAIN:
        return await _again(job, sending, error, decision.pause)
    if decision.then is Then.REFUSE:
        return refused(job.progress, job.purchase, sending.attempt, error)
    if decision.then is Then.LOOK_UP:
        await _place_of_the_lost(job)
        return Unanswered(sending, error)
    if decision.then is Then.DOUBT:
        return in_doubt(job.progress, job.purchase, sending.attempt, error.code or "no-answer", error.message)
    _not_accepted(job, sending, error)
    if decision.then is Then.STOP:
        return _stopped(job, error)
    words = error.message + (" (the next build asks under the same idempotency key)" if sending.perhaps_sent else "")
    return failed(job.progress, job.purchase, _code(error), words)


def _not_accepted(job: Job, sending: Sending, error: ProviderError) -> None:
    """Close the attempt, unless an earlier try of it may have been accepted: that must not be forgotten."""
    if not sending.perhaps_sent:
        job.progress.world.cache.journal.fail(sending.attempt.id, _code(error), error.message)


async def _again(job: Job, sending: Sending, error: ProviderError, pause: float) -> Sending:
    """Pause before another turn. Meanwhile the journal says that nothing was sent, where that is proven. Raises Stopped."""
    _not_accepted(job, sending, error)
    if isinstance(error, Throttled):
        job.lane.throttled(error.retry_after, error.narrow)
    job.progress.tell("retry", job.purchase.entry, message=error.message, seconds=round(pause, 1))
    await job.pause(pause, f"before {job.provider.name} is asked again, after: {error.message}")
    return replace(sending, closed=not sending.perhaps_sent)


def _reopened(job: Job, sending: Sending) -> Outcome | None:
    """The attempt is an intent again, and its price is held again. Raises Again when another build has begun one of its own."""
    world, purchase = job.progress.world, job.purchase
    if not world.budget.reserve(purchase.price):
        return skipped(purchase, NO_ROOM)
    try:
        world.cache.journal.reopen(sending.attempt.id)
    except CacheError as error:
        if error.code not in ("journal-busy", "journal-edge"):
            raise
        raise Again("another build has begun to buy this picture") from error
    finally:
        world.budget.give_back(purchase.price)
    return None


async def _place_of_the_lost(job: Job) -> None:
    """So long as many answers are being looked for, the lane's place is kept, and no further request leaves. Raises Stopped."""
    with job.progress.until_stopped(job.provider, job.purchase.action.model):
        await job.progress.lost_places.acquire()


# ---------------------------------------------------------------- how it can end


async def kept_aside(job: Job, attempt: Attempt, error: ProviderError) -> str:
    """Keep what came instead of a picture in quarantine, and say where; nothing is raised, for nothing hangs on it."""
    if not error.data:
        return ""
    purchase, cache = job.purchase, job.progress.world.cache
    note = {"key": purchase.key, "attempt": attempt.id, "problem": error.message, "action": document(purchase.action)}
    with contextlib.suppress(CacheError, OSError):
        return f" (what came is kept in {await job.progress.off_loop(cache.quarantine, error.data, note)})"
    return ""


NO_ROOM = ("budget", "the budget leaves no room for this picture")


def _stopped(job: Job, error: ProviderError) -> Outcome:
    kind = error.kind if isinstance(error, AccountStop) else "quota"
    job.progress.stop_lane(job.provider.account, job.purchase.action.model, kind, error.message)
    return Outcome(OutcomeKind.SKIPPED, job.purchase.key, code=_code(error), message=error.message, stop=kind)


def skipped(purchase: Purchase, stop: tuple[str, str]) -> Outcome:
    """Nothing was sent, because submitting has stopped."""
    return Outcome(OutcomeKind.SKIPPED, purchase.key, code=stop[0], message=stop[1], stop=stop[0])


def refused(progress: Progress, purchase: Purchase, attempt: Attempt, error: ProviderError, digest: str = "") -> Outcome:
    """Remembered for this very key, so that the next build does not ask again. `digest`: of bytes that were paid for."""
    code = error.code or "refused"
    progress.world.cache.journal.refuse(attempt.id, code, error.message, digest)
    progress.tell("failed", purchase.entry, code=code, message=error.message, refused=True)
    return Outcome(OutcomeKind.REFUSED, purchase.key, code=code, message=error.message)


def in_doubt(progress: Progress, purchase: Purchase, attempt: Attempt, code: str, message: str) -> Outcome:
    """Perhaps charged, and nobody can know: never resent, never resolved by itself."""
    progress.world.cache.journal.doubt(attempt.id, code, message)
    progress.doubts.append((purchase.entry, message))
    progress.tell("doubt", purchase.entry, code=code, message=message, attempt=attempt.id, seed=purchase.action.seed)
    return Outcome(OutcomeKind.DOUBT, purchase.key, code=code, message=message)


def left_open(job: Job, error: ProviderError) -> Outcome:
    """Nobody could be asked now what became of it: the attempt stays as it is, and the next build asks."""
    words = f"{error.message} (it may have been charged, and is not sent again; the next build asks what became of it)"
    return failed(job.progress, job.purchase, "cannot-tell", words)


def failed(progress: Progress, purchase: Purchase, code: str, message: str) -> Outcome:
    """This build gives the picture up."""
    progress.tell("failed", purchase.entry, code=code, message=message)
    return Outcome(OutcomeKind.FAILED, purchase.key, code=code, message=message)


def _code(error: ProviderError) -> str:
    return error.code or type(error).__name__.lower()


def price_text(price: Price | None) -> Mapping[str, str] | None:
    """A price as an event has it."""
    return None if price is None else {unit: str(amount) for unit, amount in price.items()}


def lost(job: Job, attempt: Attempt, code: str, message: str) -> Outcome:
    """Accepted, and nothing came of it: in doubt; asked for again where it costs nothing. Raises Again."""
    if not job.purchase.free:
        return in_doubt(job.progress, job.purchase, attempt, code, message)
    job.progress.world.cache.journal.fail(attempt.id, code, message)
    return anew(job, FailedAtProvider(message, code=code))


def anew(job: Job, error: ProviderError) -> Outcome:
    """The provider failed after it had accepted. Raises Again while a new attempt may follow, else the Outcome."""
    decision = job.retries.after(FailedAtProvider(error.message, code=error.code), "collect")
    if decision.then is Then.ANEW:
        raise Again(error.message, decision.pause)
    return failed(job.progress, job.purchase, _code(error), error.message)
