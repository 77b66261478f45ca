"""Open tickets of other projects over the same cache: named, and for whom they can be collected.

Collects nothing itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from qwenbuild.cache import Attempt, AttemptState, Cache
from qwenbuild.errors import Problem


def strays(cache: Cache, project: str) -> list[Attempt]:
    """What dead builds of other projects paid for and did not fetch, oldest first. Raises CacheError."""
    if not cache.has_journal():
        return []
    others = (attempt for attempt in cache.journal.live() if attempt.project != project)
    return [a for a in others if _has_ticket(a) and not cache.journal.is_alive(a.build)]


def abandoned(cache: Cache, project: str) -> list[Attempt]:
    """Those of them whose project is not where it was: nobody else would collect them. Raises CacheError."""
    return [attempt for attempt in strays(cache, project) if is_gone(attempt.project)]


def is_gone(project: str) -> bool:
    """Whether neither lockfile nor manifest is left where a project stood; it may have been moved, or deleted."""
    lock = Path(project)
    return not any(path.exists() for path in (lock, lock.with_suffix(".yaml"), lock.with_suffix(".yml")))


def notices(cache: Cache, project: str) -> Iterator[Problem]:
    """A sentence for each project and provider that a paid picture waits with."""
    counts = Counter((attempt.project, attempt.provider) for attempt in strays(cache, project))
    for (other, provider), number in counts.items():
        what = f"{number} paid pictures of {other} are" if number > 1 else f"a paid picture of {other} is"
        then = "run `qwenbuild build` there before the links expire, a day after they were made"
        if is_gone(other):
            then = f"that project is not there any more, so any build here with the same {provider} account collects them"
        yield Problem("paid-elsewhere", f"{what} still with {provider}: {then}")


def _has_ticket(attempt: Attempt) -> bool:
    return attempt.ticket is not None and attempt.state is not AttemptState.DOUBT
