"""Buy one picture: intent → submit → ticket → collect → blob → receipt, with the journal before and after each step.

Knows no entries and no files: a key goes in, an Outcome comes out.
"""

from __future__ import annotations

import asyncio
import hashlib
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from qwenbuild.cache import Attempt, AttemptState, Busy
from qwenbuild.errors import (
    AccountStop,
    BadPicture,
    CacheError,
    FailedAtProvider,
    Lost,
    ProviderError,
    Refused,
    Throttled,
    Unavailable,
    Uncertain,
    Waiting,
)
from qwenbuild.key import document, from_document
from qwenbuild.model import Action, ActionResult, Candidate, Order, Outcome, OutcomeKind, Picture, Price, Ticket
from qwenbuild.ports import Lane, Provider
from qwenbuild.run.world import Progress

NEW_ATTEMPTS = 2
"""How often a picture that the provider failed to make is asked for again."""
SAME_ATTEMPTS = 5
"""How often one attempt is sent again after it provably did not arrive or was throttled."""
RESENDS = 3
"""How often an uncertain submission with an idempotency key is resent."""
PAUSES = (1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
"""Seconds before the same attempt is sent again, when the server names none."""


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


class Again(Exception):
    """The provider failed to make the picture; a new attempt may follow."""


async def buy(progress: Progress, purchase: Purchase) -> Outcome:
    """Make the picture of one key. Every failure is an Outcome; only bugs raise."""
    provider = progress.world.provider(purchase.settings)
    lane = progress.world.lanes.lane(provider.account, purchase.action.model, provider.limits(purchase.action.model))
    async with lane.slot():
        last = ""
        for _ in range(1 + NEW_ATTEMPTS):
            try:
                return await _attempt(progress, provider, lane, purchase)
            except Again as error:
                last = str(error)
                progress.tell("retry", purchase.entry, message=last)
        return _failed(progress, purchase, "failed", last)


async def _attempt(progress: Progress, provider: Provider, lane: Lane, purchase: Purchase) -> Outcome:
    """One attempt with its own generation, from the turn in the lane to the stored picture."""
    await lane.turn()
    stop = progress.stop_for(provider, purchase.action.model) or _no_room(progress)
    if stop:
        return Outcome(OutcomeKind.SKIPPED, purchase.key, code=stop[0], message=stop[1], stop=stop[0])
    inputs = await progress.off_loop(progress.world.inputs, purchase.action)
    order = Order(purchase.action, purchase.key, 0, inputs)
    body = provider.body(order)
    if not progress.world.reserve(purchase.price):
        message = "the budget leaves no room for this picture"
        return Outcome(OutcomeKind.SKIPPED, purchase.key, code="budget", message=message, stop="budget")
    begun = _begin(progress, provider, purchase, body)
    if isinstance(begun, Busy):
        progress.world.give_back(purchase.price)
        return await _wait_for(progress, provider, purchase, begun.attempt)
    made = _made_meanwhile(progress, purchase)
    if made is not None:
        progress.world.cache.journal.fail(begun.id, "made-meanwhile", "another build stored this picture")
        return Outcome(OutcomeKind.DONE, purchase.key, made, "restored")
    return await _carry_out(progress, provider, lane, purchase, replace(order, generation=begun.generation), body, begun)


async def _carry_out(
    progress: Progress, provider: Provider, lane: Lane, purchase: Purchase, order: Order, body: bytes, attempt: Attempt
) -> Outcome:
    progress.in_flight[attempt.id] = (purchase.entry, progress.world.wall())
    try:
        sent = await send(progress, provider, lane, purchase, order, body, attempt)
        if isinstance(sent, Outcome):
            return sent
        return await collect(progress, provider, attempt, sent, purchase.action, purchase, "generated")
    finally:
        progress.in_flight.pop(attempt.id, None)


def _begin(progress: Progress, provider: Provider, purchase: Purchase, body: bytes) -> Attempt | Busy:
    world = progress.world
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


def _made_meanwhile(progress: Progress, purchase: Purchase) -> ActionResult | None:
    """A miss never pays by itself: another build may have stored the picture since the plan was made."""
    if purchase.key in progress.world.forced:
        return None
    results = progress.world.cache.results([purchase.key]).get(purchase.key, ())
    return next((result for result in results if progress.world.cache.has_blob(result.digest)), None)


def _no_room(progress: Progress) -> tuple[str, str] | None:
    """Stop submitting while there is still room for what is in flight."""
    needed = progress.world.cache.room_for(len(progress.in_flight) + 1)
    if progress.world.cache.free_bytes() >= needed:
        return None
    progress.stop_all("disk", "the disk under the cache is nearly full: nothing more is submitted until there is room")
    return progress.stopped


# ---------------------------------------------------------------- submit


async def send(
    progress: Progress, provider: Provider, lane: Lane, purchase: Purchase, order: Order, body: bytes, attempt: Attempt
) -> Ticket | Outcome:
    """Submit until the attempt is accepted or its fate is an Outcome. Never resent after an ambiguous answer
    unless the provider keeps idempotency keys. Raises Again when the provider failed before accepting.
    """
    journal = progress.world.cache.journal
    resends = 0
    for tries in range(SAME_ATTEMPTS + RESENDS):
        pause = PAUSES[min(tries, len(PAUSES) - 1)]
        try:
            ticket = await submit_once(progress, provider, order, body, attempt)
        except (Throttled, Unavailable) as error:
            journal.fail(attempt.id, error.code or type(error).__name__.lower(), error.message)
            if tries >= SAME_ATTEMPTS or progress.stop_for(provider, purchase.action.model):
                return _failed(
                    progress, purchase, "throttled" if isinstance(error, Throttled) else "unavailable", error.message
                )
            if isinstance(error, Throttled):
                lane.throttled(error.retry_after, error.narrow)
            progress.tell("retry", purchase.entry, message=error.message)
            await progress.world.sleep(pause)
            await lane.turn()
            journal.reopen(attempt.id)
        except Uncertain as error:
            resends += 1
            if provider.recovery != "resend" or resends > RESENDS:
                return await uncertain(progress, provider, purchase, order, body, attempt, error)
            await progress.world.sleep(pause)
        except ProviderError as error:
            return _not_accepted(progress, provider, purchase, attempt, error)
        else:
            lane.accepted()
            progress.tell("submitted", purchase.entry, key=purchase.key, provider=provider.name, task=ticket.task_id)
            return ticket
    return _failed(progress, purchase, "throttled", "the provider refused every try for pace")


async def submit_once(progress: Progress, provider: Provider, order: Order, body: bytes, attempt: Attempt) -> Ticket:
    """One POST, shielded from cancellation; its ticket is committed before anything else is awaited."""

    async def committed() -> Ticket:
        return _commit(progress, attempt, await provider.submit(order, body))

    return await asyncio.shield(asyncio.ensure_future(committed()))


def _commit(progress: Progress, attempt: Attempt, ticket: Ticket) -> Ticket:
    """Write the ticket down. When the disk refuses, the ticket stays in memory and nothing more is submitted."""
    cache = progress.world.cache
    try:
        if ticket.data:
            ticket = replace(ticket, digest=cache.put_blob(ticket.data))
        cache.journal.ticket(attempt.id, replace(ticket, data=b""))
    except (CacheError, OSError, sqlite3.Error) as error:
        progress.stop_all("cache", f"the journal could not be written ({error}); nothing more is submitted")
    return ticket


def _not_accepted(
    progress: Progress, provider: Provider, purchase: Purchase, attempt: Attempt, error: ProviderError
) -> Outcome:
    """A parsed answer that nothing was accepted, or that the account can submit no more."""
    journal = progress.world.cache.journal
    code = error.code or type(error).__name__.lower()
    if isinstance(error, Refused):
        return refused(progress, purchase, attempt, error)
    journal.fail(attempt.id, code, error.message)
    if isinstance(error, AccountStop):
        progress.stop_lane(provider.account, purchase.action.model, error.kind, error.message)
        return Outcome(OutcomeKind.SKIPPED, purchase.key, code=code, message=error.message, stop=error.kind)
    if isinstance(error, FailedAtProvider):
        raise Again(error.message)
    return _failed(progress, purchase, code, error.message)


def refused(progress: Progress, purchase: Purchase, attempt: Attempt, error: ProviderError) -> Outcome:
    """The provider refused this very key: remembered, so that the next build does not ask again."""
    code = error.code or "refused"
    progress.world.cache.journal.refuse(attempt.id, code, error.message)
    progress.tell("failed", purchase.entry, code=code, message=error.message, refused=True)
    return Outcome(OutcomeKind.REFUSED, purchase.key, code=code, message=error.message)


async def uncertain(
    progress: Progress,
    provider: Provider,
    purchase: Purchase,
    order: Order,
    body: bytes,
    attempt: Attempt,
    error: ProviderError,
) -> Outcome | Ticket:
    """Sent, and no answer: look it up where the provider lists tasks, else a person decides."""
    from qwenbuild.run.recover import look_up

    if provider.recovery == "listing":
        found = await look_up(progress, provider, order, body, attempt)
        if isinstance(found, Ticket):
            return _commit(progress, attempt, found)
    return in_doubt(progress, purchase, attempt, error.code or "no-answer", error.message)


def in_doubt(progress: Progress, purchase: Purchase, attempt: Attempt, code: str, message: str) -> Outcome:
    """Perhaps charged, and nobody can know: never resent, never resolved by itself."""
    progress.world.cache.journal.doubt(attempt.id, code, message)
    progress.tell("doubt", purchase.entry, code=code, message=message, attempt=attempt.id)
    return Outcome(OutcomeKind.DOUBT, purchase.key, code=code, message=message)


# ---------------------------------------------------------------- collect


async def collect(
    progress: Progress,
    provider: Provider,
    attempt: Attempt,
    ticket: Ticket,
    action: Action,
    purchase: Purchase,
    how: str,
) -> Outcome:
    """Wait for the picture of a ticket and store it. Raises Again when the provider failed to make it."""
    journal = progress.world.cache.journal
    try:
        picture = await provider.collect(ticket, action)
    except Refused as error:
        return refused(progress, purchase, attempt, error)
    except Lost as error:
        return in_doubt(progress, purchase, attempt, error.code or "lost", error.message)
    except FailedAtProvider as error:
        journal.fail(attempt.id, error.code or "failed", error.message)
        raise Again(error.message) from error
    except BadPicture as error:
        return await _bad_picture(progress, purchase, attempt, error)
    except AccountStop as error:
        progress.stop_lane(provider.account, action.model, error.kind, error.message)
        return _failed(progress, purchase, error.code or error.kind, error.message)
    except (Waiting, ProviderError) as error:
        words = f"{error.message} (it stays with the provider; the next build collects it)"
        return _failed(progress, purchase, error.code or "waiting", words)
    return await _store(progress, attempt, action, picture, purchase, how)


async def _store(
    progress: Progress, attempt: Attempt, action: Action, picture: Picture, purchase: Purchase, how: str
) -> Outcome:
    try:
        result = await progress.off_loop(keep, progress, attempt, action, picture)
    except (CacheError, OSError, sqlite3.Error) as error:
        return await _rescued(progress, attempt, action, picture, purchase, error)
    progress.spend(picture.billed if picture.billed is not None else attempt.price)
    progress.tell("stored", purchase.entry, key=purchase.key, digest=result.digest, price=_price(attempt.price))
    return Outcome(OutcomeKind.DONE, purchase.key, result, how)


def keep(progress: Progress, attempt: Attempt, action: Action, picture: Picture) -> ActionResult:
    """Blob, receipt, stored, index: in this order, each durable before the next. All pictures of a paid task are kept."""
    cache = progress.world.cache
    for other in picture.others:
        cache.put_blob(other)
    digest = cache.put_blob(picture.data)
    result = _result(progress, attempt, action, picture, digest)
    cache.put_receipt(result)
    cache.journal.stored(attempt.id, digest, picture.billed)
    cache.index_result(result.key)
    return result


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
    return _failed(progress, purchase, "cache", words)


async def _bad_picture(progress: Progress, purchase: Purchase, attempt: Attempt, error: BadPicture) -> Outcome:
    """Paid, and not what was asked for: the bytes are kept aside, and nothing is bought again by itself."""
    note = {"key": purchase.key, "attempt": attempt.id, "problem": error.message, "action": document(purchase.action)}
    where = await progress.off_loop(progress.world.cache.quarantine, error.data, note)
    message = f"{error.message}; the bytes are kept in {where}"
    return refused(progress, purchase, attempt, BadPicture(message, code="bad-picture"))


def _failed(progress: Progress, purchase: Purchase, code: str, message: str) -> Outcome:
    progress.tell("failed", purchase.entry, code=code, message=message)
    return Outcome(OutcomeKind.FAILED, purchase.key, code=code, message=message)


def _price(price: Price | None) -> Mapping[str, str] | None:
    return None if price is None else {unit: str(amount) for unit, amount in price.items()}


# ---------------------------------------------------------------- another build


async def _wait_for(progress: Progress, provider: Provider, purchase: Purchase, other: Attempt) -> Outcome:
    """Another attempt for this key lives: take over a dead build's, wait for a living one's picture."""
    from qwenbuild.run.recover import take_over

    world = progress.world
    while True:
        now: Any = world.cache.journal.get(other.id)
        if now is None or now.state in (AttemptState.FAILED, AttemptState.DROPPED):
            raise Again("the other build did not get the picture")
        if now.state is AttemptState.STORED:
            made = _made_meanwhile(progress, purchase)
            if made is None:
                raise Again("the other build's picture is not in the cache")
            return Outcome(OutcomeKind.DONE, purchase.key, made, "resumed")
        if now.state is AttemptState.REFUSED:
            return Outcome(OutcomeKind.REFUSED, purchase.key, code=now.code, message=now.message)
        if now.state is AttemptState.DOUBT:
            return Outcome(OutcomeKind.DOUBT, purchase.key, code=now.code, message=now.message)
        if now.build == world.build or not world.cache.journal.is_alive(now.build):
            return await take_over(progress, provider, purchase, now)
        stop = progress.stopped
        if stop:
            return Outcome(OutcomeKind.SKIPPED, purchase.key, code=stop[0], message=stop[1], stop=stop[0])
        await world.sleep(world.patience)


def purchase_of(attempt: Attempt) -> Purchase:
    """The purchase that an attempt of the journal stands for."""
    action = from_document(attempt.action)
    return Purchase(attempt.entry, attempt.provider, Candidate(action.seed, action, attempt.key), attempt.price)
