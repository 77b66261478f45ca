"""Which of DashScope's tasks a lost answer was about: by time and by words, and never without the whole list.

Knows no wire format. Requests whose fate is looked up at the same time share one reading of the list.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection

from qwenbuild.errors import ProviderError, Uncertain
from qwenbuild.pace.clock import Waits
from qwenbuild.providers.dashscope.tasks import FREE, AskPage, TaskLine, TaskListing, read_listing

STRANGERS_MAX = 1000
"""Tasks of others that are looked into; when there are more of them, the list is not gone through."""


class TaskLookup:
    """The tasks of one account. What a task was asked for is read once."""

    def __init__(self, ask_page: AskPage, ask_prompt: Callable[[str], Awaitable[str | None]], waits: Waits) -> None:
        self._ask_page, self._ask_prompt, self._waits = ask_page, ask_prompt, waits
        self._looking = asyncio.Lock()
        self._listings: dict[str, tuple[float, TaskListing | ProviderError]] = {}
        self._prompts: dict[str, str | None] = {}

    async def tasks(
        self, model: str, prompts: Collection[str], since: float, until: float, claimed: Collection[str]
    ) -> tuple[str, ...]:
        """Unclaimed tasks of this model with one of these prompts, accepted between two times of our clock, in seconds.

        An empty answer proves that there is none. Raises Uncertain where the list does not tell, Unavailable, Throttled
        or AccountStop where it did not come.
        """
        arrived = self._waits.steady()
        async with self._looking:
            listing = await self._listing(model, arrived)
            if isinstance(listing, ProviderError):
                raise listing
            if listing.gap:
                raise Uncertain(f"DashScope's task list settles nothing: {listing.gap}", code="list")
            return await self._matching(listing, model, prompts, since, until, claimed)

    async def _listing(self, model: str, arrived: float) -> TaskListing | ProviderError:
        """A reading that began after `arrived`; one that failed is nobody else's to repeat at once either."""
        began, listing = self._listings.get(model, (-1.0, None))
        if listing is not None and began >= arrived:
            return listing
        began = self._waits.steady()
        try:
            listing = await read_listing(self._ask_page, model, self._waits.wall)
        except ProviderError as error:
            listing = error
        self._listings[model] = began, listing
        return listing

    async def _matching(
        self, listing: TaskListing, model: str, prompts: Collection[str], since: float, until: float, claimed: Collection[str]
    ) -> tuple[str, ...]:
        ahead = listing.clock_difference_s or 0.0
        strangers = [line for line in listing.lines if line.id not in claimed and line.status not in FREE]
        if len(strangers) > STRANGERS_MAX:
            raise Uncertain(f"DashScope's task list has {len(strangers)} tasks that somebody else made", code="list")
        ours, unsure = [], False
        for line in strangers:
            prompt = await self._prompt(line)
            if prompt is not None and prompt not in prompts:
                continue
            # the times are of a clock that may have been set since: as it goes now, or as the server's goes
            in_time = line.within(since + ahead, until + ahead) or line.within(since, until)
            if prompt is not None and in_time and line.model in ("", model):
                ours.append(line.id)
            else:
                unsure = True
        if not ours and (unsure or not listing.proves_absence):
            raise Uncertain("DashScope's task list does not tell whether this picture was asked for", code="hidden")
        return tuple(ours)

    async def _prompt(self, line: TaskLine) -> str | None:
        if line.id not in self._prompts:
            self._prompts[line.id] = await self._ask_prompt(line.id)
        return self._prompts[line.id]
