"""What each choice makes of a lock record: pure functions from a record to a record.

Knows no plan and no disk. A record's `key` always names the picture that its files are made from.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from qwenbuild.key import SEEDS, action_key, from_document, short_document
from qwenbuild.model import ActionResult, Candidate, LockEntry
from qwenbuild.plan import media_type_for, same_request

EMPTY = LockEntry("", "", {})


@dataclass(frozen=True, slots=True)
class CandidatePicture:
    """A candidate's picture: its digest, the day it was made, and its type where that is not what its Action says."""

    candidate: Candidate
    digest: str
    day: str = ""
    media_type: str = ""


def picture_of(candidate: Candidate, result: ActionResult) -> CandidatePicture:
    """The picture of a result."""
    media_type = "" if result.media_type == media_type_for(candidate.action) else result.media_type
    return CandidatePicture(candidate, result.digest, result.made, media_type)


def use(record: LockEntry, picture: CandidatePicture) -> LockEntry:
    """The record with another candidate's picture in use; the one before it stays a candidate of the same request."""
    candidate = picture.candidate
    others: dict[str, str] = {}
    if record.key and same_request(record, candidate.action):
        others = {**record.candidates, record.key: record.digest}
        others.pop(candidate.key, None)
    return replace(
        record,
        key=candidate.key,
        digest=picture.digest,
        action=short_document(candidate.action),
        made=record.made if picture.digest == record.digest else picture.day,
        media_type=picture.media_type,
        checks=record.checks if picture.digest == record.digest else {},
        chosen="",
        candidates=others,
    )


def pick(record: LockEntry, picture: CandidatePicture) -> LockEntry:
    """A person chose this candidate; a rejection of it is taken back."""
    key = picture.candidate.key
    return replace(use(record, picture), picked=key, rejected=without(record.rejected, (key,)))


def unpick(record: LockEntry, standing: Collection[str]) -> LockEntry:
    """Nobody chose. A picture that only a void pick still named is no candidate of the keys `standing` now."""
    candidates = {key: digest for key, digest in record.candidates.items() if key != record.picked or key in standing}
    return replace(record, picked="", candidates=candidates)


def reject(record: LockEntry, keys: Collection[str]) -> LockEntry:
    """A person never wants these candidates; a pick among them is void."""
    pick = "" if record.picked in keys else record.picked
    return replace(record, rejected=tuple(sorted({*record.rejected, *keys})), picked=pick)


def admit(record: LockEntry, keys: Collection[str]) -> LockEntry:
    """Rejections of these candidates are taken back; of all when none is named."""
    return replace(record, rejected=without(record.rejected, keys or record.rejected))


def without(names: Sequence[str], removed: Collection[str]) -> tuple[str, ...]:
    """The names that are not gone."""
    return tuple(name for name in names if name not in removed)


def fresh_seed(candidates: Sequence[Candidate]) -> int:
    """A seed that none of the candidates has; the same on every machine, so that its picture can be shared."""
    used_seeds = {candidate.seed for candidate in candidates}
    number = len(candidates)
    while True:
        text = f"{candidates[0].key}:{number}"
        seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") % SEEDS
        if seed not in used_seeds:
            return seed
        number += 1


# ---------------------------------------------------------------- accept


def accept(record: LockEntry, candidates: Sequence[Candidate]) -> LockEntry:
    """The record under the keys wanted now, with the pictures it has: the edit between them was cosmetic."""
    pairs = match(record, candidates)
    new_of = {old: candidate.key for candidate, old in pairs}
    digests = {record.key: record.digest, **record.candidates}
    used = next(candidate for candidate, old in pairs if old == record.key)
    return replace(
        record,
        key=used.key,
        action=short_document(used.action),
        candidates={candidate.key: digests[old] for candidate, old in pairs if old != record.key},
        picked=new_of.get(record.picked, record.picked),
        rejected=tuple(sorted({*record.rejected, *(new_of[old] for old in record.rejected if old in new_of)})),
        accepted={**record.accepted, **{candidate.key: record.accepted.get(old, old) for candidate, old in pairs}},
    )


def match(record: LockEntry, candidates: Sequence[Candidate]) -> list[tuple[Candidate, str]]:
    """Each candidate wanted with the key of the picture it keeps: by seed; the picture in use always finds one."""
    action = from_document(record.action)
    recorded_keys = {record.key, *record.candidates}
    pairs = []
    for candidate in candidates:
        old = record.key if candidate.seed == action.seed else action_key(replace(action, seed=candidate.seed))
        if old in recorded_keys:
            pairs.append((candidate, old))
    if all(old != record.key for _, old in pairs):
        matched_keys = {candidate.key for candidate, _ in pairs}
        free = next((candidate for candidate in candidates if candidate.key not in matched_keys), candidates[0])
        pairs = [(free, record.key), *(pair for pair in pairs if pair[0] is not free)]
    return pairs


# ---------------------------------------------------------------- beside a build


def reconcile(before: LockEntry | None, now: LockEntry | None, new: LockEntry) -> LockEntry:
    """What to lock when a build made `new` from the record `before`, and the lockfile says `now`.

    What people chose meanwhile stays. Where they chose another picture than the build's, theirs stays in use and the
    build's is a candidate; the next build settles the files, for nothing.
    """
    if now is None or now == before:
        return new
    chosen = replace(
        new,
        picked=now.picked,
        approved=now.approved,
        rejected=now.rejected,
        seeds=now.seeds,
        accepted=now.accepted,
        note=now.note,
    )
    old = before or EMPTY
    repicked = now.key != old.key and now.picked != old.picked
    if now.key == new.key or not (repicked or (now.approved and not old.approved)):
        return chosen
    pictures: Mapping[str, str] = {**new.candidates, new.key: new.digest, **now.candidates}
    return replace(now, candidates={key: digest for key, digest in pictures.items() if key != now.key})
