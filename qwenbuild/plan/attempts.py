"""Which picture of an entry is tried when one is not as expected: the candidates in order, then new seeds by a fixed rule.

Knows no price. What a person chose is never passed over.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from qwenbuild.model import Candidate, CandidatePlan, Keyed, LockEntry, Verdict
from qwenbuild.plan.facts import Facts

Digest = Callable[[Candidate], str]
Same = Callable[[Candidate], bool]
UNKNOWN = (Verdict.GENERATE, Verdict.RESUME, Verdict.RECOVER)


def next_attempt(
    keyed: Keyed,
    candidates: Sequence[Candidate],
    used: int,
    record: LockEntry | None,
    facts: Facts,
    digest_of: Digest,
    same: Same,
) -> tuple[tuple[Candidate, ...], int]:
    """The candidates with those that were tried beyond the manifest's, and the index of the one to use: the first that is not
    known to fail, from the one on that the lockfile has (`same`). Where all fail, what is used stays.
    """
    if record is not None and (record.approved or record.picked in {candidate.key for candidate in candidates}):
        return tuple(candidates), used
    chain = (*candidates, *(spare for spare in keyed.spares if spare.seed not in {one.seed for one in candidates}))
    locked = next((at for at, one in enumerate(chain) if same(one)), None) if record is not None else None
    for at in range(locked or 0, len(chain)):
        if not _is_rejected(chain[at], record) and not _fails(chain[at], keyed, record, facts, digest_of):
            return chain[: max(at + 1, len(candidates))], at
    last = used if locked is None else locked
    return chain[: max(last + 1, len(candidates))], last


def _is_rejected(candidate: Candidate, record: LockEntry | None) -> bool:
    return record is not None and candidate.key in record.rejected


def _fails(candidate: Candidate, keyed: Keyed, record: LockEntry | None, facts: Facts, digest_of: Digest) -> bool:
    digest = digest_of(candidate)
    return bool(digest and facts.unfit_picture(keyed.entry, digest, record))


def further_attempts(keyed: Keyed, candidates: Sequence[Candidate], used: CandidatePlan, unfit: str | None) -> int:
    """How many more pictures this build may buy of the entry: none where the one in use is known to suit, or to fail."""
    if used.verdict not in UNKNOWN and unfit is not None:
        return 0
    return len(keyed.spares) - sum(spare.seed in {one.seed for one in candidates} for spare in keyed.spares)
