"""Finish what earlier builds paid for: tickets first, all of them; then intents whose fate the provider can tell.

Knows no plan: it works from the journal alone, and leaves in doubt what nobody can know.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from qwenbuild.cache import Attempt, AttemptState
from qwenbuild.errors import (
    AccountStop,
    CredentialsError,
    InputError,
    ProviderError,
    Refused,
    Throttled,
    Unavailable,
    Uncertain,
)
from qwenbuild.model import Order, Outcome, OutcomeKind, Ticket
from qwenbuild.ports import Provider
from qwenbuild.run import purchase as buying
from qwenbuild.run.world import Progress

SETTLE = 60.0
"""Seconds after a lost answer before a task list is believed to be complete."""
BEFORE = 300.0
"""Seconds before the send time that a task list is searched from: clocks differ."""
LOOKS = 2
PAUSE = 30.0
"""A task list is believed only when it says the same twice, this many seconds apart."""
RETENTION = 24 * 3600.0
"""Seconds for which providers keep tasks and idempotency keys."""


async def finish(progress: Progress, attempts: Sequence[Attempt]) -> None:
    """Carry every open attempt of a dead build as far as it goes; what comes of each is noted under its key."""
    if attempts:
        await asyncio.gather(*(_finish_one(progress, attempt) for attempt in attempts))


async def _finish_one(progress: Progress, attempt: Attempt) -> None:
    journal = progress.world.cache.journal
    if attempt.state is AttemptState.DOUBT or not journal.takeover(attempt.id, progress.world.build):
        return
    kept = _kept(progress, attempt)
    if kept is not None:
        progress.drained[attempt.key] = kept
        return
    try:
        provider = progress.world.provider(attempt.provider)
    except (CredentialsError, InputError) as error:
        progress.tell("message", attempt.entry, text=f"an open ticket of {attempt.provider} waits: {error}", level="warning")
        return
    progress.in_flight[attempt.id] = (attempt.entry, progress.world.wall())
    try:
        progress.drained[attempt.key] = await _settled(progress, provider, buying.purchase_of(attempt), attempt)
    except buying.Again:
        return
    finally:
        progress.in_flight.pop(attempt.id, None)


def _kept(progress: Progress, attempt: Attempt) -> Outcome | None:
    """Done without asking anybody, when its blob and receipt are there and only the journal's last word is missing."""
    cache = progress.world.cache
    made = [result for result in cache.results([attempt.key]).get(attempt.key, ()) if result.attempt == attempt.id]
    if attempt.ticket is None or not made or not cache.has_blob(made[0].digest):
        return None
    cache.journal.stored(attempt.id, made[0].digest, made[0].billed)
    return Outcome(OutcomeKind.DONE, attempt.key, made[0], "resumed")


async def take_over(progress: Progress, provider: Provider, purchase: buying.Purchase, attempt: Attempt) -> Outcome:
    """Carry on an attempt whose build died. Raises Again when it came to nothing."""
    if attempt.build != progress.world.build and not progress.world.cache.journal.takeover(attempt.id, progress.world.build):
        raise buying.Again("another build carries it on")
    kept = _kept(progress, attempt)
    if kept is not None:
        return kept
    return await _settled(progress, provider, purchase, attempt)


async def _settled(progress: Progress, provider: Provider, purchase: buying.Purchase, attempt: Attempt) -> Outcome:
    if attempt.ticket is not None:
        return await buying.collect(progress, provider, attempt, attempt.ticket, purchase.action, purchase, "resumed")
    found = await _answer(progress, provider, purchase, attempt)
    if isinstance(found, Outcome):
        return found
    return await buying.collect(progress, provider, attempt, found, purchase.action, purchase, "recovered")


async def _answer(progress: Progress, provider: Provider, purchase: buying.Purchase, attempt: Attempt) -> Ticket | Outcome:
    """The ticket of an intent that has none, or its Outcome."""
    order = Order(purchase.action, attempt.key, attempt.generation)
    age = progress.world.wall() - attempt.sent
    if provider.recovery == "resend" and age < RETENTION:
        return await _resend(progress, provider, purchase, order, attempt)
    if provider.recovery == "listing" and age < RETENTION:
        found = await look_up(progress, provider, order, attempt.body, attempt)
        if found is not None:
            return found if isinstance(found, Outcome) else buying._commit(progress, attempt, found)
    message = "the request left this machine and no answer was stored; it may have been charged"
    return buying.in_doubt(progress, purchase, attempt, "no-answer", message)


async def _resend(
    progress: Progress, provider: Provider, purchase: buying.Purchase, order: Order, attempt: Attempt
) -> Ticket | Outcome:
    """The same bytes under the same idempotency key: the provider answers with the first job, or makes it now."""
    error: ProviderError = Uncertain("no answer")
    for tries in range(buying.RESENDS):
        try:
            return await buying.submit_once(progress, provider, order, attempt.body, attempt)
        except Refused as refusal:
            return buying.refused(progress, purchase, attempt, refusal)
        except AccountStop as stop:
            progress.stop_lane(provider.account, purchase.action.model, stop.kind, stop.message)
            return Outcome(OutcomeKind.SKIPPED, purchase.key, code=stop.code, message=stop.message, stop=stop.kind)
        except (Throttled, Unavailable, Uncertain) as again:
            error = again
            await progress.world.sleep(buying.PAUSES[tries])
    message = f"{error.message} (it is asked for again under the same idempotency key by the next build)"
    return Outcome(OutcomeKind.FAILED, purchase.key, code=error.code or "no-answer", message=message)


async def look_up(
    progress: Progress, provider: Provider, order: Order, body: bytes, attempt: Attempt
) -> Ticket | Outcome | None:
    """The task that the attempt made, by the provider's list. None when that cannot be told.

    Only an unambiguous match is claimed: exactly one task for exactly one attempt with this body.
    Two looks that both find nothing prove that nothing was made; then the attempt failed at no cost (raises Again).
    """
    journal = progress.world.cache.journal
    twins = [a for a in journal.live() if a.body == body and a.ticket is None and a.account == provider.account]
    for look in range(LOOKS):
        wait = max(0.0, attempt.sent + SETTLE - progress.world.wall()) if look == 0 else PAUSE
        await progress.world.sleep(wait)
        claimed = frozenset(journal.claimed_tasks(provider.account))
        try:
            found = await provider.find(order, body, attempt.sent - BEFORE, progress.world.wall(), claimed)
        except ProviderError:
            return None
        if len(found) == 1 and len(twins) == 1:
            return found[0]
        if found:
            return None
    journal.fail(attempt.id, "never-arrived", "the provider's task list does not have it")
    raise buying.Again("the request never reached the provider")
