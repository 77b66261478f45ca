"""Finish what earlier builds paid for: tickets first, all of them; then intents whose fate the provider can tell.

Knows no plan: it works from the journal alone, and leaves in doubt what nobody can know.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from qwenbuild.cache import Attempt, AttemptState
from qwenbuild.errors import CacheError, CredentialsError, FailedAtProvider, InputError, ProviderError
from qwenbuild.key import from_document
from qwenbuild.model import Candidate, Order, Outcome, OutcomeKind, Ticket
from qwenbuild.run.purchase import close_attempt, collect
from qwenbuild.run.submit import Again, Job, Purchase, Sending, anew, commit, in_doubt, send, skipped
from qwenbuild.run.world import Progress, Stopped

AT_ONCE = 16
"""So many open attempts are carried on at once: collecting needs no place in a lane."""
CLOCKS = 3600.0
"""Seconds by which an attempt may seem to lie in the future before the clock is not believed at all."""
NO_ANSWER = "the request left this machine and no answer was stored; it may have been charged"


async def finish(progress: Progress, attempts: Sequence[Attempt]) -> None:
    """Carry every open attempt of a dead build as far as it goes; what comes of each is noted under its key."""
    places = asyncio.Semaphore(AT_ONCE)

    async def one(attempt: Attempt) -> None:
        async with places:
            await _finish_one(progress, attempt)

    if attempts:
        await asyncio.gather(*(one(attempt) for attempt in attempts))


async def _finish_one(progress: Progress, attempt: Attempt) -> None:
    """One attempt; whatever stands in its way is its own outcome and holds up no other."""
    if attempt.state is AttemptState.DOUBT or progress.stopped:
        return
    try:
        mine = taken_over(progress, attempt)
        if mine is not None:
            progress.drained[mine.key] = _kept(progress, mine) or await carry_on(_job(progress, mine), mine)
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
    if not journal.takeover(attempt.id, progress.world.build):
        return None
    now = journal.get(attempt.id)
    return now if now is not None and now.live and now.state is not AttemptState.DOUBT else None


def _job(progress: Progress, attempt: Attempt) -> Job:
    return Job.of(progress, _purchase_of(attempt), progress.world.provider(attempt.provider))


def _purchase_of(attempt: Attempt) -> Purchase:
    """The purchase that an attempt of the journal stands for."""
    action = from_document(attempt.action)
    return Purchase(attempt.entry, attempt.provider, Candidate(action.seed, action, attempt.key), attempt.price)


async def carry_on(job: Job, attempt: Attempt) -> Outcome:
    """Carry an attempt of a dead build to its end. Raises Again when it came to nothing, or Stopped."""
    progress = job.progress
    kept = _kept(progress, attempt)
    if kept is not None:
        return kept
    progress.in_flight[attempt.id] = (attempt.entry, progress.world.waits.wall())
    try:
        if attempt.ticket is not None:
            return await collect(job, attempt, attempt.ticket, "resumed")
        found = await _answer(job, attempt)
        return await collect(job, attempt, found, "recovered") if isinstance(found, Ticket) else found
    finally:
        progress.in_flight.pop(attempt.id, None)


def _kept(progress: Progress, attempt: Attempt) -> Outcome | None:
    """Done without asking anybody, when the build died after the receipt and before the journal knew of it."""
    cache = progress.world.cache
    results = cache.results([attempt.key]).get(attempt.key, ())
    stored = next((r for r in results if r.attempt == attempt.id and cache.has_blob(r.digest)), None)
    if stored is None:
        return None
    close_attempt(progress, attempt, stored, found=True)
    return Outcome(OutcomeKind.DONE, attempt.key, stored, "resumed")


async def _answer(job: Job, attempt: Attempt) -> Ticket | Outcome:
    """The ticket of an intent that has none, or its Outcome."""
    world = job.progress.world
    sending = Sending(attempt, Order(job.purchase.action, attempt.key, attempt.generation), attempt.body, perhaps_sent=True)
    young = -CLOCKS < world.waits.wall() - attempt.sent < world.times.retention
    if job.provider.recovery == "resend" and young:
        return await _resend(job, sending)
    found = await look_up(job, sending) if job.provider.recovery == "listing" and young else None
    if isinstance(found, Ticket):
        return commit(job.progress, attempt, found)
    return found or in_doubt(job.progress, job.purchase, attempt, "no-answer", NO_ANSWER)


async def _resend(job: Job, sending: Sending) -> Ticket | Outcome:
    """The same bytes under the same idempotency key: the provider answers with the first job, or makes it now."""
    async with job.lane.slot():
        await job.turn()
        job.retries.restart()
        return await send(job, sending)


async def look_up(job: Job, sending: Sending) -> Ticket | Outcome | None:
    """The task that the attempt made, by the provider's list; an Outcome when it never arrived; None when nobody can tell.

    Only an unambiguous match is claimed: one task, and no other request of this machine that it could belong to. Two looks
    that both find nothing prove that nothing was made: then a new attempt may follow (raises Again). Raises Stopped.

    It is not looked at before it has settled: another machine's task of the same words might stand alone in it until then.
    """
    times, attempt = job.progress.world.times, sending.attempt
    waited = job.progress.world.waits.wall() - attempt.sent
    for pause in (min(times.settle, max(0.0, times.settle - waited)), times.pause):
        await job.pause(pause)
        try:
            found = await _unclaimed(job, sending)
        except ProviderError:
            return None
        if found:
            return found[0] if len(found) == 1 and not _rivals(job.progress, attempt) else None
    message = "the request never reached the provider"
    job.progress.world.cache.journal.fail(attempt.id, "never-arrived", message)
    job.retries.restart()  # the waits of the look-up are not the provider's time
    return anew(job, FailedAtProvider(message, code="never-arrived"))


async def _unclaimed(job: Job, sending: Sending) -> list[Ticket]:
    """Tasks that may be this attempt's. What another build claimed during the look is not among them."""
    world, sent = job.progress.world, sending.attempt.sent
    journal, account = world.cache.journal, job.provider.account
    until = min(world.waits.wall(), sent + world.times.after)
    claimed = frozenset(journal.claimed_tasks(account))
    found = await job.provider.find(sending.order, sending.body, sent - world.times.before, until, claimed)
    claimed = frozenset(journal.claimed_tasks(account))
    return [ticket for ticket in found if ticket.task_id not in claimed]


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
