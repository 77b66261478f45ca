"""Buy one picture: intent → submit → ticket → collect → blob → receipt, with the journal before and after each step.

Knows no entries and no files: a key goes in, an Outcome comes out.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from qwenbuild.cache import Attempt, AttemptState, Busy, Intent
from qwenbuild.errors import CacheError
from qwenbuild.key import document
from qwenbuild.model import ActionResult, Order, Outcome, OutcomeKind, Ticket
from qwenbuild.ports import Provider, Turn
from qwenbuild.run.collect import collect
from qwenbuild.run.prepare import prepared
from qwenbuild.run.recover import after_lost_answer, carry_on, taken_over
from qwenbuild.run.submit import (
    NO_ROOM,
    Again,
    Job,
    Purchase,
    Sending,
    Unanswered,
    send,
    skipped,
)
from qwenbuild.run.world import Progress, Stopped, World


class DrawnElsewhere(Exception):
    """Another machine draws this picture; it is asked for again after `pause` seconds."""

    def __init__(self, pause: float) -> None:
        super().__init__(pause)
        self.pause = pause


async def buy(progress: Progress, purchase: Purchase) -> Outcome:
    """Make the picture of one key. Every failure of a provider is an Outcome; CacheError when nothing can be told."""
    outcome = await _buy(progress, purchase)
    if progress.world.elsewhere is not None:
        await progress.off_loop(progress.world.elsewhere.end, outcome)
    return outcome


async def _buy(progress: Progress, purchase: Purchase) -> Outcome:
    job = Job.of(progress, purchase, progress.world.providers.get(purchase.settings))
    while True:
        try:
            job.check()
            holder = _holder(job)
            settled = await _attempt(job) if holder is None else await _after(job, holder)
            if isinstance(settled, Unanswered):
                settled = await _looked_up(job, settled)
            if settled is not None:
                return settled
        except DrawnElsewhere as other:
            with contextlib.suppress(Stopped):
                await job.pause(other.pause, "for another machine that makes the same picture")
        except Again as again:
            progress.tell("retry", purchase.entry, message=str(again))
            with contextlib.suppress(Stopped):
                await job.pause(again.pause, f"before asking for a picture again, after: {again}")
        except Stopped as stopped:
            return skipped(purchase, stopped.reason)


def _holder(job: Job) -> Attempt | None:
    """The open attempt of this key, whoever has it: waited for outside of the lane, whose places others need.

    A key that nobody had when the run began is not looked up: the intent is refused when somebody has begun since.
    """
    key = job.purchase.key
    if key not in job.progress.contested:
        return None
    return next(iter(job.progress.world.cache.journal.live([key])), None)


async def _looked_up(job: Job, lost: Unanswered) -> Outcome:
    """What became of a lost answer: asked outside of the lane, whose places others need."""
    try:
        return await after_lost_answer(job, lost)
    finally:
        job.progress.lost_places.release()


async def _attempt(job: Job) -> Outcome | Unanswered | None:
    """One attempt with its own generation, in a place of the lane; None when another attempt of the key came first."""
    async with contextlib.AsyncExitStack() as place:
        with job.progress.until_stopped(job.provider, job.purchase.action.model):
            await place.enter_async_context(job.lane.slot())
        job.retries.restart()
        outcome = made_meanwhile(job.progress, job.purchase)
        if outcome is None:
            outcome = await _made_elsewhere(job)
        return outcome if outcome is not None else await _submit(job)


async def _submit(job: Job) -> Outcome | Unanswered | None:
    """Everything that can be done before is done before the turn: what follows it must leave at once."""
    progress, purchase = job.progress, job.purchase
    refs = purchase.action.inputs
    inputs = await progress.off_loop(progress.world.workspace.references, purchase.action) if refs else ()
    order = await prepared(job, Order(purchase.action, purchase.key, 0, inputs))
    if isinstance(order, Outcome):
        return order
    body = job.provider.body(order)
    with await job.turn() as turn:
        with _room(progress):
            begun = _begin([(job, body)])[0] if job.apart else await _begun(job, body)
        if not isinstance(begun, Attempt):
            return begun
        outcome = _made_since(job, begun)
        if outcome is not None:
            return outcome
        return await _carry_out(job, Sending(begun, replace(order, generation=begun.generation), body), turn)


def _made_since(job: Job, begun: Attempt) -> Outcome | None:
    """Another build's picture, stored while this attempt was begun, which then is over. Raises CacheError, OSError."""
    journal = job.progress.world.cache.journal
    try:
        outcome = made_meanwhile(job.progress, job.purchase)
    except (CacheError, OSError):
        journal.fail(begun.id, "not-sent", "the cache could not be read, and nothing was sent")
        raise
    if outcome is not None:
        journal.fail(begun.id, "made-meanwhile", "another build stored this picture")
    return outcome


async def _carry_out(job: Job, sending: Sending, turn: Turn) -> Outcome | Unanswered:
    progress, attempt = job.progress, sending.attempt
    progress.in_flight[attempt.id] = (job.purchase.entry, progress.world.waits.wall())
    progress.tell("sending", job.purchase.entry)
    try:
        sent = await send(job, sending, turn)
        return await collect(job, attempt, sent, "generated") if isinstance(sent, Ticket) else sent
    finally:
        progress.in_flight.pop(attempt.id, None)


async def _begun(job: Job, body: bytes) -> Attempt | Outcome | None:
    """The intent, written in a thread: others that are due at the same moment share its sync.

    Taken back when the build is ended meanwhile, for nothing was sent.
    """
    writing = job.progress.intents.put((job, body), _begin)
    try:
        return await asyncio.shield(writing)
    except asyncio.CancelledError:
        begun = await writing
        if isinstance(begun, Attempt):
            job.progress.world.cache.journal.fail(begun.id, "not-sent", "the build was ended before it was sent")
        raise


def _begin(jobs: Sequence[tuple[Job, bytes]]) -> list[Attempt | Outcome | None]:
    """The intents, each with its price held, in one transaction; None when another attempt of the key is open."""
    progress = jobs[0][0].progress
    world, held = progress.world, list[tuple[Job, bytes]]()
    try:
        for job, body in jobs:
            if world.budget.reserve(job.purchase.price):
                held.append((job, body))
        intents = [intent_of(world, job.provider, job.purchase, body) for job, body in held]
        begun = dict(zip([job.purchase.key for job, _ in held], world.cache.journal.begin_many(intents), strict=True))
    except BaseException:
        for job, _ in held:
            world.budget.give_back(job.purchase.price)
        raise
    return [_begun_as(job.progress, job.purchase, begun.get(job.purchase.key)) for job, _ in jobs]


def _begun_as(progress: Progress, purchase: Purchase, begun: Attempt | Busy | None) -> Attempt | Outcome | None:
    if isinstance(begun, Busy):
        progress.world.budget.give_back(purchase.price)
        progress.contested.add(purchase.key)
        return None
    return begun if begun is not None else skipped(purchase, NO_ROOM)


def intent_of(world: World, provider: Provider, purchase: Purchase, body: bytes) -> Intent:
    """What the journal says of a purchase before anything is sent."""
    return Intent(
        key=purchase.key,
        build=world.build,
        project=world.project,
        entry=purchase.entry,
        provider=provider.name,
        family=provider.family,
        account=provider.account,
        base_url=provider.base_url,
        model=purchase.action.model,
        action=document(purchase.action),
        body=body,
        price=purchase.price,
        names_attempt=purchase.names,
    )


def made_meanwhile(progress: Progress, purchase: Purchase, how: str = "restored") -> Outcome | None:
    """A miss never pays by itself: another build may have stored the picture since the plan was made. Raises CacheError."""
    key, world = purchase.key, progress.world
    if not world.policy.forced.isdisjoint((key, f"entry:{purchase.entry}")):
        return None
    result = world.cache.made(key)  # raises CacheError where something is there that cannot be read
    return None if result is None else Outcome(OutcomeKind.DONE, key, result, how)


async def _made_elsewhere(job: Job) -> Outcome | None:
    """Another machine's picture of this key, None when it may be bought here. Raises Elsewhere, CacheError."""
    key, world = job.purchase.key, job.progress.world
    if world.elsewhere is None or not world.policy.forced.isdisjoint((key, f"entry:{job.purchase.entry}")):
        return None
    answer = await job.progress.off_loop(world.elsewhere.begin, key)
    if isinstance(answer, ActionResult):
        return Outcome(OutcomeKind.DONE, key, answer, "restored")
    if answer is not None:
        raise DrawnElsewhere(answer)
    return None


@contextlib.contextmanager
def _room(progress: Progress) -> Iterator[None]:
    """Count as in flight what is about to be; stop submitting while there is still room for all of it. Raises Stopped."""
    progress.due += 1
    try:
        _check_room(progress)
        yield
    finally:
        progress.due -= 1


def _check_room(progress: Progress) -> None:
    needed = progress.world.cache.room_for(len(progress.in_flight) + progress.due)
    if progress.world.cache.free_bytes() < needed:
        progress.stop_all("disk", "the disk under the cache is nearly full: nothing more is submitted until there is room")
    if progress.stopped:
        raise Stopped(progress.stopped)


# ---------------------------------------------------------------- collect


# ---------------------------------------------------------------- another attempt of the key


async def _after(job: Job, other: Attempt) -> Outcome | None:
    """What comes of the open attempt: a dead build's is carried on, a living one's is waited for. None: look again."""
    world = job.progress.world
    journal = world.cache.journal
    if other.state is AttemptState.DOUBT:
        return Outcome(OutcomeKind.DOUBT, job.purchase.key, code=other.code, message=other.message)
    adopted = taken_over(job.progress, other)
    if adopted is not None:
        return await carry_on(job, adopted)
    while (now := _now(job, other)).live and now.state is not AttemptState.DOUBT and journal.is_alive(now.build):
        await job.pause(world.times.patience, "for another build on this machine that makes the same picture")
    if now.state is AttemptState.REFUSED:
        return Outcome(OutcomeKind.REFUSED, now.key, code=now.code, message=now.message)
    return made_meanwhile(job.progress, job.purchase, "resumed") if now.state is AttemptState.STORED else None


def _now(job: Job, attempt: Attempt) -> Attempt:
    """The attempt as it stands now; the ledger forgets none."""
    now: Any = job.progress.world.cache.journal.get(attempt.id)
    return now if now is not None else attempt
