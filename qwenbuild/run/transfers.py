"""A picture that was made, and did not come: asked for again, kept open for the next build, or in doubt once its link is over.

Knows no wire: what came was judged before, and nothing that came over it ever closes an attempt here.
"""

from __future__ import annotations

import contextlib
import sqlite3

from qwenbuild.cache import Attempt
from qwenbuild.errors import CacheError, FailedAtProvider, Lost, NotFetched, ProviderError, Refused
from qwenbuild.images import sniff
from qwenbuild.model import Outcome
from qwenbuild.pace.retry import Then
from qwenbuild.run.submit import Job, failed, kept_aside, lost
from qwenbuild.run.world import Stopped


def still_made(error: ProviderError, link: str) -> ProviderError:
    """A picture that was made once, and has a `link`, stays made: no later answer is a proof that nothing was paid for it."""
    if link and isinstance(error, FailedAtProvider | Refused | Lost):
        why = f"the provider named its link, and says now that there is none ({error.message})"
        return NotFetched(why, url=link, gone=isinstance(error, Lost))
    return error


async def not_fetched(job: Job, attempt: Attempt, error: NotFetched, how: str) -> Outcome | None:
    """It is made and paid for: its link is asked until its time is over, in this build until the job's time is. None: again."""
    progress, purchase = job.progress, job.purchase
    age = progress.world.waits.wall() - attempt.sent
    if age > progress.world.times.overdue or (error.gone and age > progress.world.times.link):
        words = f"the picture was made, but its link has expired: {error.why}; links live for a day"
        return lost(job, attempt, "expired", words)
    if purchase.free and not error.stuck:
        return lost(job, attempt, error.code, error.why)
    with contextlib.suppress(CacheError, OSError, sqlite3.Error):  # the ticket leads to the picture as well
        if error.url:
            progress.world.cache.journal.ready(attempt.id, error.url, error.code, error.message)
    decision = job.retries.after(error, "collect")
    if decision.then is Then.AGAIN and not error.stuck:
        words = f"{error.message}; it is asked for again in {decision.pause:.0f} s"
        progress.tell("retry", purchase.entry, message=words)
        with contextlib.suppress(Stopped):
            await job.pause(decision.pause, f"before {purchase.entry}, which is paid for, is fetched again")
            return None
    if how == "generated":
        progress.spend(attempt.price)
    where = await kept_aside(job, attempt, error) if sniff(error.data) else ""
    words = f"{error.message}; the next build fetches it without paying again{where}"
    return failed(progress, purchase, error.code, words)
