"""The verdict of each candidate's picture: at hand, being made, a person's turn, or to be bought; and why.

Knows no other entry.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qwenbuild.key import differences, document
from qwenbuild.lfs import NOT_FETCHED, OTHER_POINTER, POINTER
from qwenbuild.model import (
    Action,
    ActionResult,
    Candidate,
    CandidatePlan,
    Keyed,
    LockEntry,
    OutputPlan,
    OutputSpec,
    Reason,
    Verdict,
)
from qwenbuild.plan.facts import Facts
from qwenbuild.plan.files import awaiting, media_type_for, plan_outputs


def plan_pictures(
    keyed: Keyed, candidates: Sequence[Candidate], used: int, record: LockEntry | None, facts: Facts
) -> tuple[tuple[CandidatePlan, ...], tuple[OutputPlan, ...], tuple[Reason, ...]]:
    """The verdicts of all candidates, of the files made from the used one, and why."""
    main, outputs, reasons = _used_picture(keyed, candidates[used], record, facts)
    plans = [main if index == used else _other_picture(keyed, c, record, facts) for index, c in enumerate(candidates)]
    if any(plan.verdict is Verdict.GENERATE for index, plan in enumerate(plans) if index != used) and not reasons:
        reasons = (Reason("new" if record is None else "changed", "variants"),)
    return tuple(plans), outputs, reasons


def _used_picture(
    keyed: Keyed, candidate: Candidate, record: LockEntry | None, facts: Facts
) -> tuple[CandidatePlan, tuple[OutputPlan, ...], tuple[Reason, ...]]:
    entry = keyed.entry
    if facts.wishes.forced and entry.id in facts.wishes.forced:
        return _bought(keyed, candidate, record, facts, (Reason("forced"),))
    moved = record is not None and record.key != candidate.key and _table_moved(keyed, candidate, record)
    digest, media_type = _known_digest(candidate, entry.outputs, record, facts, moved)
    if not digest:
        return _without_picture(keyed, candidate, record, facts)
    unfit = facts.unfit_picture(entry, digest, record)
    if unfit and not overruled(record, candidate):
        if facts.wishes.retry_failed and not (record is not None and record.approved):
            return _bought(keyed, candidate, record, facts, (Reason("forced", "expect", None, unfit),))
        return _stopped(keyed, candidate, record, facts, Verdict.FAILED, Reason("failed", "expect", None, unfit), digest)
    outputs = plan_outputs(entry, digest, media_type, candidate, record, facts)
    failing = tuple(Reason("failed", o.spec.path, None, o.reason) for o in outputs if o.verdict is Verdict.FAILED)
    if failing and facts.wishes.retry_failed and not (record is not None and record.approved):
        return _bought(keyed, candidate, record, facts, (Reason("forced", "expect", None, failing[0].new),))
    agrees = record is not None and record.key == candidate.key and record.digest == digest and not record.orphan
    verdict = _known_verdict(digest, outputs, agrees, facts)
    if entry.id in facts.needed and not facts.at_hand(digest):
        verdict = Verdict.GENERATE
    if verdict is Verdict.GENERATE:
        pointer = _unfetched(digest, outputs, entry.id in facts.needed, facts)
        if pointer:
            return _stopped(keyed, candidate, record, facts, Verdict.REFUSED, Reason("pointer", pointer, None, NOT_FETCHED))
        return _without_picture(keyed, candidate, record, facts)
    reasons = () if verdict is Verdict.FRESH else _restore_reasons(candidate, record, outputs, moved)
    if verdict is Verdict.FRESH and unfit is None and facts.at_hand(digest):
        verdict, reasons = Verdict.RESTORE, (Reason("unjudged", "expect"),)
    pointers = tuple(Reason("pointer", o.spec.path, None, NOT_FETCHED) for o in outputs if o.reason == POINTER and _blocks(o))
    others = () if reasons else tuple(_file_reason(output) for output in outputs if output.reason == OTHER_POINTER)
    return CandidatePlan(candidate, verdict, digest, {}, media_type), outputs, (*reasons, *failing, *pointers, *others)


def overruled(record: LockEntry | None, candidate: Candidate) -> bool:
    """Whether a person chose this very picture: what the checks say of it is still said, and stops nothing."""
    if record is None:
        return False
    return record.picked == candidate.key or (record.approved and record.key == candidate.key)


def _blocks(output: OutputPlan) -> bool:
    """Whether a file keeps its entry from being done: for a pointer stands in its place, or it fails its check."""
    return output.verdict in (Verdict.REFUSED, Verdict.FAILED)


def _unfetched(digest: str, outputs: Sequence[OutputPlan], needed: bool, facts: Facts) -> str:
    """The git-LFS pointer that stands for what is missing, "" when fetching would not bring all of it back.

    What can be fetched for nothing is never bought.
    """
    pointer = facts.unfetched(digest)
    if pointer or needed:
        return pointer
    missing = [output for output in outputs if output.verdict in (Verdict.RESTORE, Verdict.DERIVE)]
    places = [facts.unfetched(output.digest) for output in missing if not facts.at_hand(output.digest)]
    return places[0] if places and all(places) else ""


def _known_digest(
    candidate: Candidate, specs: Sequence[OutputSpec], record: LockEntry | None, facts: Facts, moved: bool
) -> tuple[str, str]:
    """The picture to use and its media type, "" when nothing is known for the key."""
    results = _results(candidate, record, facts)
    default = media_type_for(candidate.action)
    if record is not None and (moved or record.key == candidate.key):
        recorded = next((r for r in results if r.digest == record.digest), None)
        if facts.at_hand(record.digest) or not any(facts.at_hand(r.digest) for r in results):
            return record.digest, recorded.media_type if recorded else record.media_type or default
    if record is not None and candidate.key in record.candidates:
        digest = record.candidates[candidate.key]
        return digest, next((result.media_type for result in results if result.digest == digest), default)
    if record is not None and record.accepted.get(record.key) == candidate.key:
        return record.digest, default
    in_place = {facts.seen.files.get(spec.path) for spec in specs}
    usable = [result for result in results if facts.at_hand(result.digest)]
    chosen = next((result for result in usable if result.digest in in_place), usable[0] if usable else None)
    return (chosen.digest, chosen.media_type) if chosen else ("", default)


def known_digest(candidate: Candidate, specs: Sequence[OutputSpec], record: LockEntry | None, facts: Facts) -> str:
    """The picture that is known for a candidate's key, "" when there is none."""
    return _known_digest(candidate, specs, record, facts, False)[0] if candidate.key else ""


def is_of(record: LockEntry | None, keyed: Keyed, candidate: Candidate) -> bool:
    """Whether a record's picture is this candidate's, by its key, or but for values of an older model table."""
    return record is not None and (record.key == candidate.key or _table_moved(keyed, candidate, record))


def _results(candidate: Candidate, record: LockEntry | None, facts: Facts) -> Sequence[ActionResult]:
    key = candidate.key if record is None else record.accepted.get(candidate.key, candidate.key)
    results = facts.seen.results.get(key, ())
    return () if record is not None and candidate.key in record.rejected and candidate.key != record.key else results


def _known_verdict(digest: str, outputs: Sequence[OutputPlan], agrees: bool, facts: Facts) -> Verdict:
    waiting = [output for output in outputs if output.verdict in (Verdict.RESTORE, Verdict.DERIVE)]
    if agrees and not waiting:
        return Verdict.FRESH
    if facts.at_hand(digest):
        return Verdict.RESTORE
    if all(output.digest and facts.at_hand(output.digest) for output in waiting):
        return Verdict.RESTORE
    return Verdict.GENERATE


def _other_picture(keyed: Keyed, candidate: Candidate, record: LockEntry | None, facts: Facts) -> CandidatePlan:
    """A candidate that no file is made from: it only has to exist."""
    recorded = record.candidates.get(candidate.key, "") if record is not None else ""
    if record is not None and record.key == candidate.key:
        recorded = record.digest
    if recorded:
        return CandidatePlan(candidate, Verdict.FRESH, recorded, {})
    digest, media_type = _known_digest(candidate, (), record, facts, False)
    if digest:
        return CandidatePlan(candidate, Verdict.RESTORE, digest, {}, media_type)
    if record is not None and (record.approved or candidate.key in record.rejected):
        return CandidatePlan(candidate, Verdict.FRESH, "", {})
    verdict, _ = _standing(candidate, facts)
    return CandidatePlan(candidate, verdict, "", keyed.price if verdict is Verdict.GENERATE else {})


def _without_picture(
    keyed: Keyed, candidate: Candidate, record: LockEntry | None, facts: Facts
) -> tuple[CandidatePlan, tuple[OutputPlan, ...], tuple[Reason, ...]]:
    """Nothing at hand: a live attempt, a person's turn, or a purchase."""
    verdict, words = _standing(candidate, facts)
    if verdict is not Verdict.GENERATE:
        return _stopped(keyed, candidate, record, facts, verdict, Reason(verdict.value, "", None, words))
    if record is not None and record.approved:
        return _stopped(keyed, candidate, record, facts, Verdict.REFUSED, Reason("lost", "approved"))
    if record is not None and candidate.key in record.rejected and record.key != candidate.key:
        return _stopped(keyed, candidate, record, facts, Verdict.REFUSED, Reason("rejected"))
    return _bought(keyed, candidate, record, facts, _why_bought(candidate, record))


def _standing(candidate: Candidate, facts: Facts) -> tuple[Verdict, str]:
    verdict, words = facts.seen.standing.get(candidate.key, (Verdict.GENERATE, ""))
    if verdict is Verdict.REFUSED and facts.wishes.retry_failed:
        return Verdict.GENERATE, ""
    return verdict, words


def _stopped(
    keyed: Keyed,
    candidate: Candidate,
    record: LockEntry | None,
    facts: Facts,
    verdict: Verdict,
    reason: Reason,
    digest: str = "",
) -> tuple[CandidatePlan, tuple[OutputPlan, ...], tuple[Reason, ...]]:
    outputs = tuple(awaiting(spec, record, facts) for spec in keyed.entry.outputs)
    return CandidatePlan(candidate, verdict, digest, {}), outputs, (reason,)


def _bought(
    keyed: Keyed, candidate: Candidate, record: LockEntry | None, facts: Facts, reasons: tuple[Reason, ...]
) -> tuple[CandidatePlan, tuple[OutputPlan, ...], tuple[Reason, ...]]:
    outputs = tuple(awaiting(spec, record, facts) for spec in keyed.entry.outputs)
    if outputs and all(output.verdict is Verdict.MODIFIED for output in outputs):
        return CandidatePlan(candidate, Verdict.MODIFIED, "", {}), outputs, reasons
    return CandidatePlan(candidate, Verdict.GENERATE, "", keyed.price), outputs, reasons


NEW = (Reason("new"),)
"""One object for all entries that have it."""


def _why_bought(candidate: Candidate, record: LockEntry | None) -> tuple[Reason, ...]:
    if record is None:
        return NEW
    if candidate.key in (record.key, record.accepted.get(record.key)) or candidate.key in record.candidates:
        return (Reason("lost"),)
    return tuple(Reason("changed", name, old, new) for name, old, new in changes_of(record, candidate.action))


def _restore_reasons(
    candidate: Candidate, record: LockEntry | None, outputs: Sequence[OutputPlan], moved: bool
) -> tuple[Reason, ...]:
    if record is None:
        return (Reason("new"),)
    if record.key != candidate.key:
        code = "table-moved" if moved else "changed"
        return tuple(Reason(code, name, old, new) for name, old, new in changes_of(record, candidate.action))
    return tuple(_file_reason(output) for output in outputs if output.reason and not _blocks(output))


def _file_reason(output: OutputPlan) -> Reason:
    return Reason("file", output.spec.path, None, output.reason)


def changes_of(record: LockEntry, action: Action) -> tuple[tuple[str, Any, Any], ...]:
    """Field, old, new for what differs between the lock record and the Action wanted."""
    return differences(record.action, document(action))


def _table_moved(keyed: Keyed, candidate: Candidate, record: LockEntry) -> bool:
    """Whether record and candidate differ only by values that an older model table, or key version, gave."""
    return all(name == "v" or old in keyed.earlier.get(name, ()) for name, old, _ in changes_of(record, candidate.action))
