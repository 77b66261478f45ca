"""Wait for the picture of a ticket and keep it: blob, receipt, stored, index, each durable before the next.

Knows no submission. What was paid for is closed only when it is over; every other ticket lives on.
"""

from __future__ import annotations

import contextlib
import hashlib
import sqlite3
from collections.abc import Sequence
from dataclasses import replace

from qwenbuild.cache import Attempt, AttemptState
from qwenbuild.errors import NOT_FETCHED, AccountStop, BadPicture, CacheError, FailedAtProvider, NotFetched, ProviderError
from qwenbuild.images import mark_lines
from qwenbuild.key import document
from qwenbuild.model import Action, ActionResult, Outcome, OutcomeKind, Picture, Price, Ticket
from qwenbuild.pace.retry import Then
from qwenbuild.run.submit import (
    Job,
    Purchase,
    anew,
    failed,
    kept_aside,
    lost,
    price_text,
    refused,
)
from qwenbuild.run.transfers import not_fetched, still_made
from qwenbuild.run.world import Progress


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
            link = error.url or link if isinstance(error, NotFetched) else link
            settled = await _no_picture(job, attempt, error, how, is_drawn=bool(link))
            if settled is not None:
                return settled
        else:
            return await _store(job, attempt, picture, how)


async def _no_picture(job: Job, attempt: Attempt, error: ProviderError, how: str, *, is_drawn: bool) -> Outcome | None:
    """Do what the table says; None: ask again. Only what is over is closed: every other ticket lives on.

    `is_drawn`: the provider has made the picture, and named its link.
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
    if is_drawn:
        words = f"{NOT_FETCHED}: {error.message}; the next build fetches it without paying again"
        return failed(progress, purchase, "not-fetched", words)
    words = f"{error.message} (it stays with the provider; the next build collects it)"
    return failed(progress, purchase, error.code or "waiting", words)


async def _store(job: Job, attempt: Attempt, picture: Picture, how: str) -> Outcome:
    progress, purchase = job.progress, job.purchase
    try:
        result = await progress.pictures.put((progress, attempt, purchase.action, picture), keep)
    except (CacheError, OSError, sqlite3.Error) as error:
        return await _rescued(progress, attempt, purchase.action, picture, purchase, error)
    paid: Price | None = {}
    if how == "generated":
        paid = picture.billed if picture.billed is not None else attempt.price
        progress.spend(paid)
    progress.tell("stored", purchase.entry, key=purchase.key, digest=result.digest, price=price_text(paid))
    return Outcome(OutcomeKind.DONE, purchase.key, result, how)


def keep(pictures: Sequence[tuple[Progress, Attempt, Action, Picture]]) -> list[ActionResult]:
    """Blobs, receipts, stored, index: in this order, all of one kind durable before the next, of pictures of different keys.

    All pictures of a paid task are kept.
    """
    progress = pictures[0][0]
    others = [other for *_, picture in pictures for other in picture.others]
    digests = progress.world.cache.put_blobs([*others, *(picture.data for *_, picture in pictures)])[len(others) :]
    named = [
        (attempt, action, picture, digest) for (_, attempt, action, picture), digest in zip(pictures, digests, strict=True)
    ]
    return record(progress, named)


def record(progress: Progress, pictures: Sequence[tuple[Attempt, Action, Picture, str]]) -> list[ActionResult]:
    """The receipts of pictures whose blobs are durable, then that they are stored, then the index."""
    cache = progress.world.cache
    results = [result_of(progress, attempt, action, picture, digest) for attempt, action, picture, digest in pictures]
    cache.put_receipts(results)
    for attempt, *_, digest in pictures:
        if (ticket := progress.unwritten.get(attempt.id)) is not None:
            cache.journal.ticket(attempt.id, replace(ticket, digest=digest))
    cache.journal.stored_many({result.attempt: (result.digest, result.billed) for result in results})
    for _, _, picture, digest in pictures:
        cache.hold(picture.data, digest)
    with contextlib.suppress(CacheError):  # an accelerator only: the next look-up reads the receipts and mends it
        for result in results:
            cache.index_result(result.key)
    return results


def close_attempt(progress: Progress, attempt: Attempt, result: ActionResult) -> None:
    """An earlier build stored the picture and its receipt, and died before the journal knew: say so, with a missing ticket."""
    journal = progress.world.cache.journal
    missing = progress.unwritten.get(attempt.id)
    if missing is None and attempt.state in (AttemptState.INTENT, AttemptState.DOUBT):
        missing = Ticket(attempt.provider, attempt.base_url, result.task_id, request_id=result.request_id)
    if missing is not None:
        journal.ticket(attempt.id, replace(missing, digest=result.digest))
    journal.stored(attempt.id, result.digest, result.billed)


def result_of(progress: Progress, attempt: Attempt, action: Action, picture: Picture, digest: str) -> ActionResult:
    """What is kept of a picture beside its bytes."""
    return ActionResult(
        key=attempt.key,
        digest=digest,
        media_type=picture.media_type,
        width=picture.width,
        height=picture.height,
        size=len(picture.data),
        made=progress.world.workspace.today(),
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
    result = result_of(progress, attempt, action, picture, hashlib.sha256(picture.data).hexdigest())
    try:
        where = await progress.off_loop(progress.world.workspace.rescue, picture.data, result)
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
    refusal = BadPicture(f"{error.message}; the bytes are kept in {where}", code="bad-picture")
    return refused(progress, purchase, attempt, refusal, hashlib.sha256(error.data).hexdigest())
