"""Finish what earlier builds paid for: tickets first, all of them; then intents whose fate the provider can tell.

Knows no plan: it works from the journal alone, and leaves in doubt what nobody can know.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import replace
from typing import TypeVar

from qwenbuild.cache import Attempt, AttemptState
from qwenbuild.errors import (
    AccountStop,
    CacheError,
    CredentialsError,
    FailedAtProvider,
    InputError,
    ProviderError,
    Throttled,
    Unavailable,
    Uncertain,
)
from qwenbuild.key import from_document
from qwenbuild.model import Candidate, Order, Outcome, OutcomeKind, Ticket
from qwenbuild.run.collect import close_attempt, collect
from qwenbuild.run.submit import (
    Again,
    Job,
    Purchase,
    Sending,
    Unanswered,
    anew,
    commit,
    in_doubt,
    left_open,
    send,
    skipped,
)
from qwenbuild.run.world import Progress, Stopped

T = TypeVar("T")

AT_ONCE = 16
"""So many tickets are collected at once: it needs no place in a lane. Intents wait together, however many they are."""
CLOCKS_S = 3600.0
"""Seconds by which an attempt may seem to lie in the future before its time is not believed at all."""
ASK_CAP_S = 16.0
"""Longest pause between two questions that were not answered."""
TOLD_CAP_S = 120.0
FINAL = frozenset({"no-task", "no-list", "hidden"})
"""Codes of an Uncertain look-up that asking again does not change."""
WRONG_CLOCK = "this machine's clock was wrong when the request left it, so nobody knows how old it is; it may have been charged"
TOO_OLD = "the request is older than the provider remembers, and no answer was stored; it may have been charged"
NO_ANSWER = "the request left this machine and no answer was stored; it may have been charged"


async def finish(progress: Progress, attempts: Sequence[Attempt]) -> None:
    """Carry every open attempt of a dead build as far as it goes; what comes of each is noted under its key."""
    tickets = asyncio.Semaphore(AT_ONCE)

    started = progress.world.waits.steady()

    async def one(attempt: Attempt) -> None:
        async with tickets if attempt.ticket is not None else contextlib.nullcontext():
            await _finish_one(progress, attempt, started)

    if attempts:
        await asyncio.gather(*(one(attempt) for attempt in attempts))


async def _finish_one(progress: Progress, attempt: Attempt, started: float) -> None:
    """One attempt; whatever stands in its way is its own outcome and holds up no other.

    All of them have been tried since `started` (steady seconds): a network that gives nothing is not waited for by each.
    """
    if attempt.state is AttemptState.DOUBT or progress.stopped:
        return
    try:
        adopted = taken_over(progress, attempt)
        if adopted is not None:
            adopted = replace(adopted, provider=attempt.provider)  # a stray's settings have another name here
            progress.drained[adopted.key] = _kept(progress, adopted) or await carry_on(
                _job(progress, adopted, started), adopted
            )
    except Again:
        return
    except Stopped as stopped:
        progress.drained[attempt.key] = skipped(_purchase_of(attempt), stopped.reason)
    except (CredentialsError, InputError) as error:
        progress.tell("message", attempt.entry, text=f"an open ticket of {attempt.provider} waits: {error}", level="warning")
    except (CacheError, OSError) as error:
        progress.tell("failed", attempt.entry, code="cache", message=str(error))
        progress.drained[attempt.key] = Outcome(OutcomeKind.FAILED, attempt.key, code="cannot-tell", message=str(error))


def taken_over(progress: Progress, attempt: Attempt) -> Attempt | None:
    """The attempt of a dead build, now this build's; None when somebody alive has it, or it is over."""
    journal = progress.world.cache.journal
    if not journal.takeover(attempt.id, progress.world.build, progress.world.project):
        return None
    now = journal.get(attempt.id)
    return now if now is not None and now.live and now.state is not AttemptState.DOUBT else None


def _job(progress: Progress, attempt: Attempt, started: float) -> Job:
    job = Job.of(progress, _purchase_of(attempt), progress.world.providers.get(attempt.provider))
    job.retries.started = started
    return job


def _purchase_of(attempt: Attempt) -> Purchase:
    """The purchase that an attempt of the journal stands for."""
    action = from_document(attempt.action)
    return Purchase(attempt.entry, attempt.provider, Candidate(action.seed, action, attempt.key), attempt.price)


async def carry_on(job: Job, attempt: Attempt) -> Outcome:
    """Carry an attempt of a dead build to its end. Raises Again when it came to nothing, or Stopped."""
    progress = job.progress
    stored = _kept(progress, attempt)
    if stored is not None:
        return stored
    with _in_flight(progress, attempt):
        if attempt.ticket is not None:
            return await collect(job, attempt, attempt.ticket, "resumed")
        return await _carried_on(job, attempt, await _answer(job, attempt))


async def after_lost_answer(job: Job, lost: Unanswered) -> Outcome:
    """What comes of a request of this build whose answer was lost. Raises Again when it never arrived, or Stopped."""
    attempt = lost.sending.attempt
    with _in_flight(job.progress, attempt):
        answer = await look_up(job, lost.sending)
        if answer is None:
            return in_doubt(job.progress, job.purchase, attempt, lost.error.code or "no-answer", lost.error.message)
        return await _carried_on(job, attempt, answer)


async def _carried_on(job: Job, attempt: Attempt, answer: Ticket | Outcome) -> Outcome:
    return await collect(job, attempt, answer, "recovered") if isinstance(answer, Ticket) else answer


@contextlib.contextmanager
def _in_flight(progress: Progress, attempt: Attempt) -> Iterator[None]:
    progress.in_flight[attempt.id] = (attempt.entry, progress.world.waits.wall())
    try:
        yield
    finally:
        progress.in_flight.pop(attempt.id, None)


def _kept(progress: Progress, attempt: Attempt) -> Outcome | None:
    """Done without asking anybody, when the build died after the receipt and before the journal knew of it."""
    cache = progress.world.cache
    results = cache.results([attempt.key]).get(attempt.key, ())
    stored = next((r for r in results if r.attempt == attempt.id and cache.has_blob(r.digest)), None)
    if stored is None:
        return None
    close_attempt(progress, attempt, stored)
    return Outcome(OutcomeKind.DONE, attempt.key, stored, "resumed")


async def _answer(job: Job, attempt: Attempt) -> Ticket | Outcome:
    """The ticket of an intent that has none, or its Outcome. Raises Again for one that costs nothing: it is sent anew."""
    if job.purchase.free:
        job.progress.world.cache.journal.fail(
            attempt.id, "no-answer", "no answer was stored, and it costs nothing to ask again"
        )
        raise Again("no answer was stored; it costs nothing, and is asked for again")
    if job.provider.recovery == "none":
        return in_doubt(job.progress, job.purchase, attempt, "no-answer", NO_ANSWER)
    ahead = await _clock_difference(job)
    age = job.progress.world.waits.wall() - attempt.sent + (ahead if isinstance(ahead, float) else 0.0)
    if age >= job.progress.world.times.retention:
        return in_doubt(job.progress, job.purchase, attempt, "no-answer", TOO_OLD)
    if isinstance(ahead, ProviderError):
        return left_open(job, ahead)
    if age <= -CLOCKS_S:
        return in_doubt(job.progress, job.purchase, attempt, "wrong-clock", WRONG_CLOCK)
    order = Order(job.purchase.action, attempt.key, attempt.generation)
    sending = Sending(attempt, order, attempt.body, perhaps_sent=True)
    if job.provider.recovery == "resend":
        return await _resend(job, sending, ahead)
    return await look_up(job, sending) or in_doubt(job.progress, job.purchase, attempt, "no-answer", NO_ANSWER)


async def _clock_difference(job: Job) -> float | ProviderError | None:
    """Seconds by which the provider's clock is ahead of ours, None when it does not tell: asked once in a build."""
    progress, account = job.progress, job.provider.account
    async with progress.clocks_lock:
        if account not in progress.clocks:
            deadline = progress.world.waits.steady() + progress.world.times.settle
            progress.clocks[account] = await _until_told(job, job.provider.clock_difference, deadline)
    return progress.clocks[account]


async def _until_told(job: Job, ask: Callable[[], Awaitable[T]], deadline: float) -> T | ProviderError:
    """The answer to a free question, asked again with growing pauses until `deadline` (steady clock); else the last error.

    Raises Stopped.
    """
    pause = job.progress.world.times.settle / 32
    while True:
        try:
            return await ask()
        except ProviderError as error:
            asked_pause = error.retry_after if isinstance(error, Throttled) else None
            seconds = pause if asked_pause is None else min(TOLD_CAP_S, asked_pause)
            late = job.progress.world.waits.steady() + seconds > deadline
            if late or isinstance(error, AccountStop) or error.code in FINAL:
                return error
        await job.pause(seconds)
        pause = min(ASK_CAP_S, 2 * pause)


async def _resend(job: Job, sending: Sending, ahead: float | None) -> Ticket | Outcome:
    """The same bytes under the same idempotency key: the provider answers with the first job, or makes it now.

    Only within the time for which it keeps the key, by its own clock: afterwards it would be another job.
    """
    if ahead is None:
        return left_open(job, Unavailable("the provider does not tell its time, by which its idempotency key might be too old"))
    async with job.lane.slot():
        turn = await job.turn()
        job.retries.restart()
        sent = await send(job, sending, turn)
    assert not isinstance(sent, Unanswered), "a provider with idempotency keys is not looked up"
    return sent


async def look_up(job: Job, sending: Sending) -> Ticket | Outcome | None:
    """The task that the attempt made, by the provider's list; an Outcome when it never arrived; None when nobody can tell.

    Only an unambiguous match is claimed: one task, and no other request of this machine that it could belong to. Two looks
    at the whole list that both find nothing prove that nothing was made: then a new attempt may follow (raises Again).
    Where the provider could not be asked, the attempt stays open for the next build. Raises Stopped.

    The list is not looked at before it has settled: another machine's task of the same words might stand alone in it until
    then. That is waited for once in a build for each picture; a second lost answer is left to the next build.
    """
    progress, attempt = job.progress, sending.attempt
    if attempt.key in progress.settled:
        return left_open(job, Unavailable("its answer was lost again"))
    progress.settled.add(attempt.key)
    times, waits = progress.world.times, progress.world.waits
    waited = waits.wall() - attempt.sent
    deadline = None
    for pause in (min(times.settle, max(0.0, times.settle - waited)), times.pause):
        await job.pause(pause)
        deadline = deadline or waits.steady() + times.settle
        tickets = await _until_told(job, lambda: _unclaimed(job, sending), deadline)
        if isinstance(tickets, Uncertain):
            return None
        if isinstance(tickets, ProviderError):
            return left_open(job, tickets)
        if tickets:
            return _claimed(job, attempt, tickets)
    message = "the request never reached the provider"
    progress.world.cache.journal.fail(attempt.id, "never-arrived", message)
    job.retries.restart()  # the waits of the look-up are not the provider's time
    return anew(job, FailedAtProvider(message, code="never-arrived"))


def _claimed(job: Job, attempt: Attempt, tickets: Sequence[Ticket]) -> Ticket | None:
    """The one task that can be the attempt's, written down; None when there is more than one, or more than one it could be."""
    if len(tickets) != 1 or _rivals(job.progress, attempt):
        return None
    return commit(job.progress, attempt, tickets[0])


async def _unclaimed(job: Job, sending: Sending) -> list[Ticket]:
    """Tasks that may be this attempt's. What another build claimed during the look is not among them."""
    world, sent = job.progress.world, sending.attempt.sent
    journal, account = world.cache.journal, job.provider.account
    since, until = sent - world.times.before, sent + world.times.after
    claimed = frozenset(journal.claimed_tasks(account))
    tickets = await job.provider.find(sending.order, sending.body, since, until, claimed)
    claimed = frozenset(journal.claimed_tasks(account))
    return [ticket for ticket in tickets if ticket.task_id not in claimed]


def _rivals(progress: Progress, attempt: Attempt) -> list[Attempt]:
    """Other requests of this machine whose task, if there is one, would look the same: a list shows words, but no seed."""
    words = attempt.action.get("prompt")
    return [
        other
        for other in progress.world.cache.journal.attempts()
        if other.state in (AttemptState.INTENT, AttemptState.DOUBT, AttemptState.DROPPED)
        and other.ticket is None
        and (other.account, other.model, other.action.get("prompt")) == (attempt.account, attempt.model, words)
        and other.key != attempt.key
        and abs(other.sent - attempt.sent) < 2 * progress.world.times.retention
    ]
