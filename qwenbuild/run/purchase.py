"""Buy one picture: intent → submit → ticket → collect → blob → receipt, with the journal before and after each step.

Knows no entries and no files: a key goes in, an Outcome comes out.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from qwenbuild.cache import Attempt, AttemptState, Busy
from qwenbuild.errors import NOT_FETCHED, AccountStop, BadPicture, CacheError, FailedAtProvider, NotFetched, ProviderError
from qwenbuild.images import mark_lines
from qwenbuild.key import document
from qwenbuild.model import Action, ActionResult, Order, Outcome, OutcomeKind, Picture, Price, Ticket
from qwenbuild.providers.retry import Then
from qwenbuild.run.prepare import prepared
from qwenbuild.run.submit import (
    NO_ROOM,
    Again,
    Job,
    Purchase,
    Sending,
    Unanswered,
    anew,
    failed,
    kept_aside,
    lost,
    price_text,
    refused,
    send,
    skipped,
)
from qwenbuild.run.transfers import not_fetched, still_made
from qwenbuild.run.world import Progress, Stopped


class Elsewhere(Exception):
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
    job = Job.of(progress, purchase, progress.world.provider(purchase.settings))
    while True:
        try:
            job.check()
            holder = _holder(job)
            settled = await _attempt(job) if holder is None else await _after(job, holder)
            if isinstance(settled, Unanswered):
                settled = await _looked_up(job, settled)
            if settled is not None:
                return settled
        except Elsewhere as other:
            with contextlib.suppress(Stopped):
                await job.pause(other.pause, "for another machine that makes the same picture")
        except Again as again:
            progress.tell("retry", purchase.entry, message=str(again))
            with contextlib.suppress(Stopped):
                await job.pause(again.pause, f"before a picture is asked for anew, after: {again}")
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
    from qwenbuild.run.recover import after_lost_answer

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
        made = _made_meanwhile(job)
        if made is None:
            made = await _made_elsewhere(job)
        return made if made is not None else await _submit(job)


async def _submit(job: Job) -> Outcome | Unanswered | None:
    """Everything that can be done before is done before the turn: what follows it must leave at once."""
    progress, purchase = job.progress, job.purchase
    wanted = purchase.action.inputs
    inputs = await progress.off_loop(progress.world.inputs, purchase.action) if wanted else ()
    order = await prepared(job, Order(purchase.action, purchase.key, 0, inputs))
    if isinstance(order, Outcome):
        return order
    body = job.provider.body(order)
    await job.turn()
    with _room(progress):
        begun = _begin(job, body) if job.apart else await _begun(job, body)
    if not isinstance(begun, Attempt):
        return begun
    try:
        made = _made_meanwhile(job)
    except (CacheError, OSError):
        progress.world.cache.journal.fail(begun.id, "not-sent", "the cache could not be read, and nothing was sent")
        raise
    if made is not None:
        progress.world.cache.journal.fail(begun.id, "made-meanwhile", "another build stored this picture")
        return made
    return await _carry_out(job, Sending(begun, replace(order, generation=begun.generation), body))


async def _carry_out(job: Job, sending: Sending) -> Outcome | Unanswered:
    progress, attempt = job.progress, sending.attempt
    progress.in_flight[attempt.id] = (job.purchase.entry, progress.world.waits.wall())
    progress.tell("sending", job.purchase.entry)
    try:
        sent = await send(job, sending)
        return await collect(job, attempt, sent, "generated") if isinstance(sent, Ticket) else sent
    finally:
        progress.in_flight.pop(attempt.id, None)


async def _begun(job: Job, body: bytes) -> Attempt | Outcome | None:
    """The intent, written in a thread: others that are due at the same moment share its sync.

    Taken back when the build is ended meanwhile, for nothing was sent.
    """
    writing = asyncio.get_running_loop().run_in_executor(job.progress.writers, _begin, job, body)
    try:
        return await asyncio.shield(writing)
    except asyncio.CancelledError:
        begun = await writing
        if isinstance(begun, Attempt):
            job.progress.world.cache.journal.fail(begun.id, "not-sent", "the build was ended before it was sent")
        raise


def _begin(job: Job, body: bytes) -> Attempt | Outcome | None:
    """The intent, with its price held; None when another attempt of the key is open."""
    world, purchase = job.progress.world, job.purchase
    if not world.reserve(purchase.price):
        return skipped(purchase, NO_ROOM)
    try:
        begun = _intent(job, body)
    except BaseException:
        world.give_back(purchase.price)
        raise
    if isinstance(begun, Busy):
        world.give_back(purchase.price)
        job.progress.contested.add(purchase.key)
        return None
    return begun


def _intent(job: Job, body: bytes) -> Attempt | Busy:
    world, purchase, provider = job.progress.world, job.purchase, job.provider
    return world.cache.journal.begin(
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


def _made_meanwhile(job: Job, how: str = "restored") -> Outcome | None:
    """A miss never pays by itself: another build may have stored the picture since the plan was made."""
    key, world = job.purchase.key, job.progress.world
    if not world.forced.isdisjoint((key, f"entry:{job.purchase.entry}")):
        return None
    result = world.cache.made(key)  # raises CacheError where something is there that cannot be read
    return None if result is None else Outcome(OutcomeKind.DONE, key, result, how)


async def _made_elsewhere(job: Job) -> Outcome | None:
    """Another machine's picture of this key, None when it may be bought here. Raises Elsewhere, CacheError."""
    key, world = job.purchase.key, job.progress.world
    if world.elsewhere is None or not world.forced.isdisjoint((key, f"entry:{job.purchase.entry}")):
        return None
    said = await job.progress.off_loop(world.elsewhere.begin, key)
    if isinstance(said, ActionResult):
        return Outcome(OutcomeKind.DONE, key, said, "restored")
    if said is not None:
        raise Elsewhere(said)
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


async def collect(job: Job, attempt: Attempt, ticket: Ticket, how: str) -> Outcome:
    """Wait for the picture of a ticket and store it. Raises Again when the provider failed to make it, or Stopped."""
    link = ticket.url if attempt.state is AttemptState.READY else ""
    if ticket.digest and not ticket.data:
        with contextlib.suppress(CacheError, OSError):  # the answer brought the bytes, which became a blob at once
            ticket = replace(ticket, data=await job.progress.off_loop(job.progress.world.cache.read_blob, ticket.digest))
    while True:
        try:
            picture = await job.provider.collect(ticket, job.purchase.action)
        except BadPicture as error:
            return await _bad_picture(job, attempt, error)
        except ProviderError as error:
            error = still_made(error, link)
            link = error.url if isinstance(error, NotFetched) else link
            settled = await _no_picture(job, attempt, error, how, made=bool(link))
            if settled is not None:
                return settled
        else:
            return await _store(job, attempt, picture, how)


async def _no_picture(job: Job, attempt: Attempt, error: ProviderError, how: str, *, made: bool) -> Outcome | None:
    """Do what the table says; None: ask again. Only what is over is closed: every other ticket lives on.

    `made`: the provider has made the picture, and named its link.
    """
    progress, purchase = job.progress, job.purchase
    if isinstance(error, NotFetched):
        return await not_fetched(job, attempt, error, how)
    if isinstance(error, FailedAtProvider):
        progress.world.cache.journal.fail(attempt.id, error.code or "failed", error.message)
        return anew(job, error)
    decision = job.retries.after(error, "collect")
    if decision.then is Then.AGAIN:
        await job.pause(decision.pause)
        return None
    if decision.then is Then.REFUSE:
        return refused(progress, purchase, attempt, error)
    if decision.then is Then.DOUBT:
        return lost(job, attempt, error.code or "lost", error.message + await kept_aside(job, attempt, error))
    if isinstance(error, AccountStop):
        progress.stop_lane(job.provider.account, purchase.action.model, error.kind, error.message)
    if made:
        words = f"{NOT_FETCHED}: {error.message}; the next build fetches it without paying again"
        return failed(progress, purchase, "not-fetched", words)
    words = f"{error.message} (it stays with the provider; the next build collects it)"
    return failed(progress, purchase, error.code or "waiting", words)


async def _store(job: Job, attempt: Attempt, picture: Picture, how: str) -> Outcome:
    progress, purchase = job.progress, job.purchase
    try:
        result = await progress.off_loop(keep, progress, attempt, purchase.action, picture)
    except (CacheError, OSError, sqlite3.Error) as error:
        return await _rescued(progress, attempt, purchase.action, picture, purchase, error)
    paid: Price | None = {}
    if how == "generated":
        paid = picture.billed if picture.billed is not None else attempt.price
        progress.spend(paid)
    progress.tell("stored", purchase.entry, key=purchase.key, digest=result.digest, price=price_text(paid))
    return Outcome(OutcomeKind.DONE, purchase.key, result, how)


def keep(progress: Progress, attempt: Attempt, action: Action, picture: Picture) -> ActionResult:
    """Blob, receipt, stored, index: in this order, each durable before the next. All pictures of a paid task are kept."""
    cache = progress.world.cache
    for other in picture.others:
        cache.put_blob(other)
    digest = cache.put_blob(picture.data)
    cache.hold(picture.data, digest)
    result = _result(progress, attempt, action, picture, digest)
    cache.put_receipt(result)
    close_attempt(progress, attempt, result)
    with contextlib.suppress(CacheError):  # an accelerator only: the next look-up reads the receipt and mends it
        cache.index_result(result.key)
    return result


def close_attempt(progress: Progress, attempt: Attempt, result: ActionResult, *, found: bool = False) -> None:
    """The picture and its receipt are durable: say so in the journal, with the ticket where that is still missing.

    `found`: an earlier build stored them, and died before the journal knew.
    """
    journal = progress.world.cache.journal
    missing = progress.unwritten.get(attempt.id)
    if missing is None and attempt.state in (AttemptState.INTENT, AttemptState.DOUBT) and found:
        missing = Ticket(attempt.provider, attempt.base_url, result.task_id, request_id=result.request_id)
    if missing is not None:
        journal.ticket(attempt.id, replace(missing, digest=result.digest))
    journal.stored(attempt.id, result.digest, result.billed)


def _result(progress: Progress, attempt: Attempt, action: Action, picture: Picture, digest: str) -> ActionResult:
    return ActionResult(
        key=attempt.key,
        digest=digest,
        media_type=picture.media_type,
        width=picture.width,
        height=picture.height,
        size=len(picture.data),
        made=progress.world.today(),
        provider=attempt.provider,
        task_id=picture.task_id,
        request_id=picture.request_id,
        actual_prompt=picture.actual_prompt,
        billed=picture.billed,
        attempt=attempt.id,
        action=document(action),
        marks=mark_lines(picture.data),
    )


async def _rescued(
    progress: Progress, attempt: Attempt, action: Action, picture: Picture, purchase: Purchase, error: Exception
) -> Outcome:
    """The cache refuses the bytes of a paid picture: keep them in the project, and submit nothing more."""
    progress.stop_all("cache", f"the cache could not be written ({error}); nothing more is submitted")
    result = _result(progress, attempt, action, picture, hashlib.sha256(picture.data).hexdigest())
    try:
        where = await progress.off_loop(progress.world.rescue, picture.data, result)
        words = f"the cache could not be written ({error}); the picture was saved as {where}"
    except OSError as second:
        words = (
            f"the cache could not be written ({error}), nor the project ({second}); the next build fetches the picture again"
        )
    return failed(progress, purchase, "cache", words)


async def _bad_picture(job: Job, attempt: Attempt, error: BadPicture) -> Outcome:
    """Paid, and not what was asked for: the bytes are kept aside, and nothing is bought again by itself."""
    progress, purchase = job.progress, job.purchase
    note = {"key": purchase.key, "attempt": attempt.id, "problem": error.message, "action": document(purchase.action)}
    where = await progress.off_loop(progress.world.cache.quarantine, error.data, note)
    progress.spend(attempt.price)
    told = BadPicture(f"{error.message}; the bytes are kept in {where}", code="bad-picture")
    return refused(progress, purchase, attempt, told, hashlib.sha256(error.data).hexdigest())


# ---------------------------------------------------------------- another attempt of the key


async def _after(job: Job, other: Attempt) -> Outcome | None:
    """What comes of the open attempt: a dead build's is carried on, a living one's is waited for. None: look again."""
    from qwenbuild.run.recover import carry_on, taken_over

    world = job.progress.world
    journal = world.cache.journal
    if other.state is AttemptState.DOUBT:
        return Outcome(OutcomeKind.DOUBT, job.purchase.key, code=other.code, message=other.message)
    mine = taken_over(job.progress, other)
    if mine is not None:
        return await carry_on(job, mine)
    while (now := _now(job, other)).live and now.state is not AttemptState.DOUBT and journal.is_alive(now.build):
        await job.pause(world.times.patience, "for another build on this machine that makes the same picture")
    if now.state is AttemptState.REFUSED:
        return Outcome(OutcomeKind.REFUSED, now.key, code=now.code, message=now.message)
    return _made_meanwhile(job, "resumed") if now.state is AttemptState.STORED else None


def _now(job: Job, attempt: Attempt) -> Attempt:
    """The attempt as it stands now; the ledger forgets none."""
    now: Any = job.progress.world.cache.journal.get(attempt.id)
    return now if now is not None else attempt
