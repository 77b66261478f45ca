"""What people's choices do to a plan: which candidates stand to choice, which of them is used, and what is still open.

Knows no disk; choices stand in the lock record, by key, so that they survive reordering and renaming.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

from qwenbuild.key import action_key, differences, document, from_document
from qwenbuild.model import Action, Candidate, CandidatePlan, Keyed, LockEntry, Reason
from qwenbuild.plan.facts import Rank


def offered(keyed: Keyed, record: LockEntry) -> tuple[Candidate, ...]:
    """The candidates that stand to choice: those of the manifest, the added ones, and the one that a person chose.

    Candidates that `reroll` added belong to the prompt they were added for: a new prompt does not pay for them again.
    A chosen one stays when `variants` is lowered.
    """
    candidates = keyed.candidates
    if not (record.seeds or record.picked or record.approved or record.rejected) or not all(c.key for c in candidates):
        return candidates
    keys = {candidate.key for candidate in candidates}
    if keys.isdisjoint({record.key, *record.candidates, *record.accepted}):
        return candidates[: keyed.entry.variants] if record.seeds else candidates
    candidates = (*candidates, *_added(candidates, record))
    if record.key in keys or not _is_choice(candidates, record) or not same_request(record, candidates[0].action):
        return candidates
    return candidates if any(c.key == record.key for c in candidates) else (*candidates, recorded(record))


def _added(candidates: Sequence[Candidate], record: LockEntry) -> Iterator[Candidate]:
    """The added candidates of a record that came with another id: resolving knew none of them."""
    seeds = {candidate.seed for candidate in candidates}
    for seed in record.seeds:
        if seed not in seeds:
            action = replace(candidates[0].action, seed=seed)
            yield Candidate(seed, action, action_key(action))


def _is_choice(candidates: Sequence[Candidate], record: LockEntry) -> bool:
    return record.approved or record.picked == record.key or all(c.key in record.rejected for c in candidates)


def same_request(record: LockEntry, action: Action) -> bool:
    """Whether a record's picture was asked for in the same words and sizes; another seed makes another candidate of it."""
    return all(name == "seed" for name, _, _ in differences(record.action, document(action)))


def recorded(record: LockEntry) -> Candidate:
    """The candidate that a record holds."""
    action = from_document(record.action)
    return Candidate(action.seed, action, record.key)


def used_index(candidates: Sequence[Candidate], record: LockEntry | None) -> int:
    """The approved candidate, else the picked one, else the first that nobody rejected, else the one in use, else the first."""
    if record is None or len(candidates) == 1:
        return 0
    keys = [candidate.key for candidate in candidates]
    for chosen in (record.key if record.approved else "", record.picked):
        if chosen in keys:
            return keys.index(chosen)
    left = (index for index, key in enumerate(keys) if key not in record.rejected)
    return next(left, keys.index(record.key) if record.key in keys else 0)


def best_index(ranks: Sequence[Rank | None], passed_over: Collection[int]) -> int | None:
    """The candidate that does best by its checks, the first of equals; None while of one of them it is not known."""
    left = [(rank, index) for index, rank in enumerate(ranks) if index not in passed_over]
    known = [(rank, index) for rank, index in left if rank is not None]
    return min(known)[1] if known and len(known) == len(left) else None


def open_choices(record: LockEntry | None, pictures: Sequence[CandidatePlan], used: int, *, held: bool) -> Iterator[Reason]:
    """What a person has still to choose: a pick that no longer holds, nothing picked yet, everything rejected."""
    if record is None or held or not pictures[used].candidate.key:
        return
    if len(pictures) == 1 and not record.picked and not record.rejected:
        return
    keys = [plan.candidate.key for plan in pictures]
    if record.rejected and all(key in record.rejected for key in keys):
        yield Reason("rejected")
    if record.approved or record.picked in keys:
        return
    if record.picked:
        yield _void(record, pictures[used], used)
    elif record.chosen != "best" and (number := _choosable(pictures, record.rejected)) > 1:
        yield Reason("unpicked", "", None, number)


def plain_reasons(reasons: Sequence[Reason], keyed: Keyed, record: LockEntry) -> tuple[Reason, ...]:
    """The reasons without a changed seed where something else changed and the record's seed is still one of the candidates'."""
    fields = {reason.field for reason in reasons if reason.code in ("changed", "held")}
    if "seed" not in fields or len(fields) == 1 or record.action.get("seed") not in {c.seed for c in keyed.candidates}:
        return tuple(reasons)
    return tuple(reason for reason in reasons if reason.field != "seed")


def _void(record: LockEntry, now: CandidatePlan, used: int) -> Reason:
    """Both pictures: the one that was picked, and the one that stands in for it."""
    old = record.digest if record.picked == record.key else record.candidates.get(record.picked, "")
    changed = [name for name, _, _ in differences(record.action, document(now.candidate.action)) if name != "seed"]
    return Reason("pick-void", ", ".join(changed), old, now.digest or f"candidate {used + 1}")


def _choosable(pictures: Sequence[CandidatePlan], rejected: Collection[str]) -> int:
    return sum(1 for plan in pictures if plan.digest and plan.candidate.key not in rejected)
