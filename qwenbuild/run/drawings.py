"""Pictures that this machine draws itself: several together, each in the order of writes, their syncs shared.

Knows no entry and no file: purchases go in, an Outcome of each comes out. What is not simple goes the way of one purchase.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from qwenbuild.cache import Attempt
from qwenbuild.errors import CacheError, CredentialsError, InputError
from qwenbuild.model import Action, ActionResult, Order, Outcome, OutcomeKind, Picture, Step, Ticket
from qwenbuild.ports import Draws, Provider
from qwenbuild.run.collect import record
from qwenbuild.run.purchase import intent_of, made_meanwhile
from qwenbuild.run.submit import Purchase, price_text, skipped
from qwenbuild.run.world import Progress

AT_ONCE = 64
"""Pictures that are drawn together at most: so many are drawn again after a kill."""
PIXELS_AT_ONCE = 1 << 25
"""Pixels after which no further picture is drawn together with others: about a second's work."""


@dataclass(frozen=True, slots=True)
class _Drawn:
    """One picture of a batch, and the attempt that it was drawn for."""

    purchase: Purchase
    attempt: Attempt
    picture: Picture


def drawer(progress: Progress, purchase: Purchase) -> Draws | None:
    """The provider that draws this picture together with others, None where it is bought by itself.

    That is where it costs something, has a pace, may be another machine's, or has reference images.
    """
    simple = purchase.free and not purchase.action.inputs and not purchase.names and purchase.key not in progress.contested
    if not simple or progress.world.elsewhere is not None:
        return None
    with contextlib.suppress(CredentialsError, InputError):  # who buys it alone says so
        provider = progress.world.providers.get(purchase.settings)
        if isinstance(provider, Draws) and math.isinf(provider.limits(purchase.action.model).rps):
            return provider
    return None


async def draw(progress: Progress, purchases: Sequence[Purchase]) -> list[Outcome | None]:
    """Draw and keep pictures of different keys and one model, in one place of its lane. None: that one is bought by itself.

    So are all of them where anything goes wrong: then each can say what.
    """
    provider, model = drawer(progress, purchases[0]), purchases[0].action.model
    if provider is None:
        return [None for _ in purchases]
    async with progress.lane(provider, model).slot():
        if stop := progress.stop_for(provider, model):
            return [skipped(purchase, stop) for purchase in purchases]
        try:
            outcomes: list[Outcome | None] = await progress.off_loop(_drawn_and_kept, progress, provider, purchases)
        except (CacheError, OSError, sqlite3.Error):
            return [None for _ in purchases]
    for purchase, outcome in zip(purchases, outcomes, strict=True):
        if outcome is not None and outcome.how == "generated":
            _tell(progress, provider, purchase, outcome)
    return outcomes


def _tell(progress: Progress, provider: Provider, purchase: Purchase, outcome: Outcome) -> None:
    result = outcome.result
    assert result is not None
    progress.tell("sending", purchase.entry)
    progress.tell("submitted", purchase.entry, key=purchase.key, provider=provider.name, task=result.task_id)
    progress.spend({})
    progress.tell("stored", purchase.entry, key=purchase.key, digest=result.digest, price=price_text({}))


def _drawn_and_kept(progress: Progress, provider: Draws, purchases: Sequence[Purchase]) -> list[Outcome | None]:
    """Blocks. Raises CacheError, OSError, sqlite3.Error; what was begun then is open, and costs nothing to begin again."""
    cache = progress.world.cache
    if cache.free_bytes() < cache.room_for(1):
        return [None for _ in purchases]
    outcomes: dict[str, Outcome] = {}
    drawn = list(_drawn(progress, provider, purchases, outcomes))
    for result in _kept(progress, provider, drawn):
        outcomes[result.key] = Outcome(OutcomeKind.DONE, result.key, result, "generated")
    return [outcomes.get(purchase.key) for purchase in purchases]


def _drawn(
    progress: Progress, provider: Draws, purchases: Sequence[Purchase], outcomes: dict[str, Outcome]
) -> Iterator[_Drawn]:
    """Intents first, all in one transaction; then the pictures, until submitting stops. What is not drawn says why."""
    journal = progress.world.cache.journal
    orders = [Order(purchase.action, purchase.key, 0, ()) for purchase in purchases]
    intents = [
        intent_of(progress.world, provider, purchase, provider.body(order))
        for purchase, order in zip(purchases, orders, strict=True)
    ]
    for purchase, order, begun in zip(purchases, orders, journal.begin_many(intents), strict=True):
        if not isinstance(begun, Attempt):
            progress.contested.add(purchase.key)
        elif made := made_meanwhile(progress, purchase):
            journal.fail(begun.id, "made-meanwhile", "another build stored this picture")
            outcomes[purchase.key] = made
        elif stop := progress.stop_for(provider, purchase.action.model, purchase.entry):
            journal.fail(begun.id, "not-sent", "the build was ended before it was sent")
            outcomes[purchase.key] = skipped(purchase, stop)
        else:
            yield _Drawn(purchase, begun, provider.draw(replace(order, generation=begun.generation)))


def _kept(progress: Progress, provider: Draws, drawn: Sequence[_Drawn]) -> list[ActionResult]:
    """Blobs, tickets, receipts, stored, index: in this order, all of one kind durable before the next."""
    cache = progress.world.cache
    digests = cache.put_blobs([one.picture.data for one in drawn])
    named = list(zip(drawn, digests, strict=True))
    cache.journal.ticket_many({one.attempt.id: _ticket(provider, one.picture, digest) for one, digest in named})
    return record(progress, [(one.attempt, one.purchase.action, one.picture, digest) for one, digest in named])


def _ticket(provider: Provider, picture: Picture, digest: str) -> Ticket:
    return Ticket(provider.name, provider.base_url, task_id=picture.task_id, digest=digest)


def batches(steps: Sequence[Step]) -> Iterator[list[Step]]:
    """Entries whose pictures are drawn together: of one provider and model, so many pictures and pixels at most."""
    for _, same in itertools.groupby(steps, _drawn_by):
        batch, pictures, area = list[Step](), 0, 0
        for step in same:
            if batch and (pictures >= AT_ONCE or area >= PIXELS_AT_ONCE):
                yield batch
                batch, pictures, area = [], 0, 0
            batch.append(step)
            pictures += len(step.candidates)
            area += sum(_pixels(plan.candidate.action) for plan in step.candidates)
        yield batch


def _drawn_by(step: Step) -> tuple[str, str]:
    return step.keyed.entry.provider, step.candidates[0].candidate.action.model


def _pixels(action: Action) -> int:
    """About how many pixels a picture has; a ratio's has about two million."""
    width, star, height = action.size.partition("*")
    return int(width) * int(height) if star and width.isdecimal() and height.isdecimal() else 1 << 21
