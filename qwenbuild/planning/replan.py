"""Entries that build on other entries: what is known of them once their inputs' pictures are there.

Knows no order of events; whoever runs asks when an entry's inputs are made.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from qwenbuild.cache import Cache
from qwenbuild.model import Step
from qwenbuild.plan import Observed, facts_of, plan_one, substituted
from qwenbuild.planning.observe import standing
from qwenbuild.planning.planner import Planned, recoverable


@dataclass(frozen=True, slots=True)
class _InVault:
    """Which blobs are there now, asked one by one."""

    cache: Cache

    def __contains__(self, digest: object) -> bool:
        return isinstance(digest, str) and self.cache.has_blob(digest)


class Settler:
    """Plans entries again one by one; what does not change meanwhile is looked up once."""

    def __init__(self, planned: Planned) -> None:
        self._planned = planned
        self._facts = facts_of(planned.seen.facts, planned.wishes, planned.loaded.keyed)

    def __call__(self, step: Step, digests: Mapping[str, str]) -> Step:
        """The entry's step with its inputs' pictures known: the same pictures mean nothing to do downstream."""
        entry = replace(step.keyed.entry, inputs=tuple(ref for ref in step.keyed.entry.inputs if not ref.entry))
        candidates = tuple(substituted(candidate, digests) for candidate in step.keyed.candidates)
        spares = tuple(substituted(spare, digests) for spare in step.keyed.spares)
        keyed = replace(step.keyed, candidates=candidates, entry=entry, spares=spares)
        settled = plan_one(keyed, replace(self._facts, seen=self._seen(step, [c.key for c in (*candidates, *spares)])))
        return replace(settled, keyed=replace(settled.keyed, entry=step.keyed.entry))

    def _seen(self, step: Step, keys: list[str]) -> Observed:
        """What is true of this entry now: results and attempts may have come since the plan was made."""
        cache = self._planned.cache
        record = self._planned.loaded.lock.entries.get(step.moved_from or step.id)
        all_keys = [*keys, *([record.key, *record.accepted.values()] if record else [])]
        return replace(
            self._planned.seen.facts,
            results=cache.results(all_keys),
            blobs=_InVault(cache),
            standing=standing(cache, keys, recoverable(self._planned.loaded)),
        )
