"""Hold a picture and its files against what is expected of them while they are published, and choose the best candidate.

Knows no file of the tree: bytes are read by whoever publishes.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from qwenbuild.cache import Cache
from qwenbuild.errors import CacheError
from qwenbuild.later import later
from qwenbuild.model import ActionResult, Candidate, CandidatePlan, LockEntry, OutputSpec, Step
from qwenbuild.plan import Rank, best_index, overruled, rank_of
from qwenbuild.planning import verdict_cache

with later:
    from qwenbuild import images


class Unfit(Exception):
    """A picture or a file is not what the manifest expects of it; the sentence says why. Its picture stays in the vault."""


@dataclass(frozen=True, slots=True)
class Acceptor:
    """What judging needs; `bytes_of` gives a picture's bytes by its digest, or raises CacheError."""

    cache: Cache
    lock: Mapping[str, LockEntry]
    bytes_of: Callable[[str], bytes]

    def picture(self, step: Step, candidate: Candidate, digest: str) -> None:
        """Hold the picture against what is expected of it. Where only files made from it are left, nothing can be said; one
        that a person chose, or that only warns, is judged and stops nothing. Raises Unfit.
        """
        entry, read = step.keyed.entry, partial(self.bytes_of, digest)
        try:
            if entry.set_checks is not None:
                with contextlib.suppress(ValueError):
                    verdict_cache.look_of(self.cache, digest, read)
            self._judge(entry.expect, digest, read)
        except CacheError:
            return
        except Unfit:
            if entry.on_fail != "warn" and not overruled(self.lock.get(step.moved_from or step.id), candidate):
                raise

    def file(self, step: Step, spec: OutputSpec, digest: str, read: Callable[[], bytes]) -> None:
        """Hold a file against what is expected of it. Raises Unfit unless the entry only warns."""
        try:
            self._judge(spec.expect, digest, read)
        except Unfit:
            if step.keyed.entry.on_fail != "warn":
                raise

    def best(self, step: Step, results: Mapping[str, ActionResult]) -> int:
        """The candidate to use, by the checks of all that are there; what a person chose, or what is kept, stays."""
        record = self.lock.get(step.moved_from or step.id)
        keys = [plan.candidate.key for plan in step.candidates]
        if step.held or (record is not None and (record.approved or record.picked in keys)):
            return step.used
        expect, ranks = step.keyed.entry.expect or {}, list[Rank | None]()
        for plan in step.candidates:
            digest = digest_of(plan, results)
            try:
                verdicts = verdict_cache.judged(self.cache, expect, digest, partial(self.bytes_of, digest)) if digest else ()
                ranks.append(rank_of(verdicts) if digest else None)
            except (CacheError, images.PluginFailed):
                ranks.append(None)
        left_out = {at for at, rank in enumerate(ranks) if rank is None or (record and keys[at] in record.rejected)}
        best = best_index(ranks, left_out)
        return step.used if best is None else best

    def _judge(self, expect: Mapping[str, Any] | None, digest: str, read: Callable[[], bytes]) -> None:
        """Raises Unfit with every sentence; bytes that were judged before are not decoded again. Where a check itself
        failed it says nothing of the bytes, and is not remembered.
        """
        if expect is None:
            return
        try:
            fails = verdict_cache.fails_of(self.cache, expect, digest, read)
        except images.PluginFailed as error:
            raise Unfit(str(error)) from error
        if fails:
            raise Unfit(fails)


def digest_of(plan: CandidatePlan, results: Mapping[str, ActionResult]) -> str:
    """The picture of a candidate after the run, "" when there is none."""
    result = results.get(plan.candidate.key)
    return result.digest if result else plan.digest


def rule_of(step: Step, record: LockEntry, used: Candidate) -> str:
    """By which rule the picture in use was chosen, "" where it is the manifest's first, or a person's choice."""
    if record.approved or record.picked == used.key:
        return ""
    if used.seed in {spare.seed for spare in step.keyed.spares} and used.seed not in record.seeds:
        return "reroll"
    return "best" if step.keyed.entry.choose == "best" and len(step.candidates) > 1 else ""
