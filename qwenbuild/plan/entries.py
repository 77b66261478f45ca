"""The verdict of each entry, after its inputs' and from its candidates' and files'.

Knows neither prices nor orphans.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial

from qwenbuild.key import action_key, with_inputs
from qwenbuild.model import Candidate, CandidatePlan, Keyed, LockEntry, Reason, Step, Verdict
from qwenbuild.plan.attempts import further_attempts, next_attempt
from qwenbuild.plan.choices import best_index, offered, open_choices, plain_reasons, recorded, used_index
from qwenbuild.plan.facts import Facts
from qwenbuild.plan.files import awaiting
from qwenbuild.plan.pictures import changes_of, is_of, known_digest, plan_pictures

ENTRY_REF = "entry:"
"""Stands in an Action's inputs before the digest of another entry's picture."""
COSTLIEST = {verdict: rank for rank, verdict in enumerate(Verdict)}
BLOCKED = (Verdict.REFUSED, Verdict.FAILED, Verdict.DOUBT, Verdict.MODIFIED)
"""An input with such a picture gets none in this build: nothing that builds on it can be made."""


def in_order(selected: Sequence[Keyed], facts: Facts) -> tuple[Step, ...]:
    """Plan each entry after its inputs; the result stands in the manifest's order.

    An input whose picture is lost is made again only when something that builds on it must be submitted.
    """
    needed: frozenset[str] = frozenset()
    while True:
        steps = _in_order(selected, replace(facts, needed=needed) if needed else facts)
        more = _needed(steps, facts) - needed
        if not more:
            return steps
        needed |= more


def _needed(steps: Sequence[Step], facts: Facts) -> frozenset[str]:
    """Inputs whose bytes are nowhere, of entries that must be submitted."""
    buying = [step for step in steps if step.verdict is Verdict.GENERATE and step.keyed.entry.inputs]
    names = {ref.entry for step in buying for ref in step.keyed.entry.inputs if ref.entry}
    if not names:
        return frozenset()
    lost = (step.id for step in steps if step.id in names and (digest := picture_digest(step)) and not facts.at_hand(digest))
    return frozenset(lost)


def _in_order(selected: Sequence[Keyed], facts: Facts) -> tuple[Step, ...]:
    moved_ids: set[str] = set()
    if not any(keyed.entry.inputs for keyed in selected):
        return tuple([_taking(plan_entry(keyed, facts, {}, moved_ids), moved_ids) for keyed in selected])
    done: dict[str, Step] = {}
    by_id = {keyed.entry.id: keyed for keyed in selected}
    for keyed in selected:
        for ready in _inputs_first(keyed, by_id, done):
            done[ready.entry.id] = _taking(plan_entry(ready, facts, done, moved_ids), moved_ids)
    return tuple(done[keyed.entry.id] for keyed in selected)


def _taking(step: Step, taken: set[str]) -> Step:
    """The step; what it takes over is noted."""
    if step.moved_from:
        taken.add(step.moved_from)
    return step


def _inputs_first(keyed: Keyed, by_id: Mapping[str, Keyed], done: Mapping[str, Step]) -> Iterator[Keyed]:
    """The entry's inputs that are not planned yet, deepest first, then the entry. Cycles were refused when loading."""
    waiting = [keyed]
    while waiting:
        item = waiting[-1]
        names = [ref.entry for ref in item.entry.inputs if ref.entry and ref.entry not in done]
        open_inputs = [by_id[name] for name in names if name in by_id]
        if open_inputs and item.entry.id not in done:
            waiting += open_inputs
            continue
        waiting.pop()
        if item.entry.id not in done:
            yield item


def plan_entry(keyed: Keyed, facts: Facts, done: Mapping[str, Step], moved_ids: Container[str]) -> Step:
    """The entry's Step. `done` has its inputs' steps; `moved_ids` the orphans that other entries took over."""
    keyed, causes = _with_known_inputs(keyed, done) if keyed.entry.inputs else (keyed, ())
    blocked: Step | None = None
    if causes:
        waiting = (done[id] for id in causes if id in done)
        blocked = next((step for step in waiting if step.candidates[step.used].verdict in BLOCKED), None)
    record, moved_from = _lock_record(keyed, facts, moved_ids)
    candidates = keyed.candidates if record is None else offered(keyed, record)
    held = record is not None and record.approved and record.key not in {c.key for c in candidates}
    if held and record:
        candidates = (recorded(record),)
    used = used_index(candidates, record)
    if keyed.entry.choose == "best" and not held:
        used = _best(keyed, candidates, used, record, facts)
    if keyed.spares and not held:
        digest_of = partial(known_digest, specs=keyed.entry.outputs, record=record, facts=facts)
        candidates, used = next_attempt(keyed, candidates, used, record, facts, digest_of, partial(is_of, record, keyed))
    if blocked is not None and not held:
        return _blocked(keyed, blocked, used, record, facts)
    pictures, outputs, reasons = plan_pictures(keyed, candidates, used, record, facts)
    if record:
        reasons = _once((*reasons, *open_choices(record, pictures, used, held=held)))
    if moved_from:
        reasons = (Reason("moved", "id", moved_from, keyed.entry.id), *reasons)
    if held and record:
        reasons = (
            *reasons,
            *(Reason("held", name, old, new) for name, old, new in changes_of(record, keyed.candidates[0].action)),
        )
    if record is not None and len(keyed.candidates) > 1:
        reasons = plain_reasons(reasons, keyed, record)
    if causes and not held:
        reasons = (*(Reason("caused-by", "inputs", None, cause) for cause in causes), *_beside_inputs(reasons))
    verdicts = {*[c.verdict for c in pictures], *[o.verdict for o in outputs]}
    verdict = pictures[0].verdict if len(verdicts) == 1 else min(verdicts, key=COSTLIEST.__getitem__)
    planned = keyed if candidates is keyed.candidates else replace(keyed, candidates=candidates)
    approved = record is not None and record.approved
    unfit = facts.unfit_picture(keyed.entry, pictures[used].digest, record) if keyed.spares else ""
    further = further_attempts(keyed, candidates, pictures[used], unfit) if keyed.spares and not held else 0
    return Step(planned, verdict, reasons, pictures, outputs, used, held, moved_from, approved, further)


def _best(keyed: Keyed, candidates: Sequence[Candidate], used: int, record: LockEntry | None, facts: Facts) -> int:
    """The index of the best candidate by its checks; the one that the lockfile has while that is not known. What a person
    chose is used, and what a person rejected is not.
    """
    keys = [candidate.key for candidate in candidates]
    if record is not None and (record.approved or record.picked in keys):
        return used
    rejected = {at for at, key in enumerate(keys) if record is not None and key in record.rejected}
    digests = [known_digest(candidate, keyed.entry.outputs, record, facts) for candidate in candidates]
    best = best_index([facts.rank(keyed.entry, digest) for digest in digests], rejected)
    locked = keys.index(record.key) if record is not None and record.key in keys else used
    return locked if best is None else best


def _once(reasons: Iterable[Reason]) -> tuple[Reason, ...]:
    """Each reason once; their values may be lists."""
    unique: list[Reason] = []
    for reason in reasons:
        if reason not in unique:
            unique.append(reason)
    return tuple(unique)


def _beside_inputs(reasons: Iterable[Reason]) -> Iterator[Reason]:
    """Without what says only that an input's digest is not known yet."""
    return (reason for reason in reasons if reason.field != "inputs")


def _blocked(keyed: Keyed, by: Step, used: int, record: LockEntry | None, facts: Facts) -> Step:
    """An entry that waits for a person, because an input does: nothing is paid for it, its files stay."""
    verdict = by.candidates[by.used].verdict
    pictures = tuple(CandidatePlan(candidate, verdict, "", {}) for candidate in keyed.candidates)
    outputs = tuple(awaiting(spec, record, facts) for spec in keyed.entry.outputs)
    reason = Reason(verdict.value, "inputs", None, f"its input {by.id} has no picture")
    return Step(keyed, verdict, (reason,), pictures, outputs, used)


def _with_known_inputs(keyed: Keyed, done: Mapping[str, Step]) -> tuple[Keyed, tuple[str, ...]]:
    """The entry with its input entries' digests in its Actions where they are known, and the inputs that are not."""
    if not any(reference.entry for reference in keyed.entry.inputs):
        return keyed, ()
    names = [reference.entry for reference in keyed.entry.inputs if reference.entry]
    digests = {id: picture_digest(done[id]) for id in names if id in done}
    unknown = tuple(ref.entry for ref in keyed.entry.inputs if ref.entry and not digests.get(ref.entry))
    if unknown:
        nameless = tuple(replace(candidate, key="") for candidate in keyed.candidates)
        return replace(keyed, candidates=nameless, spares=tuple(replace(spare, key="") for spare in keyed.spares)), unknown
    return replace(keyed, candidates=tuple(substituted(candidate, digests) for candidate in keyed.candidates)), ()


def substituted(candidate: Candidate, digests: Mapping[str, str]) -> Candidate:
    """The candidate with `entry:ID` inputs replaced by those entries' digests, and its key."""
    inputs = [digests[name.removeprefix(ENTRY_REF)] if name.startswith(ENTRY_REF) else name for name in candidate.action.inputs]
    action = with_inputs(candidate.action, inputs)
    return Candidate(candidate.seed, action, action_key(action))


def picture_digest(step: Step) -> str:
    """The digest of the picture that the entry's files are made from, "" while it is not known."""
    plan = step.candidates[step.used]
    return "" if plan.verdict in (Verdict.REFUSED, Verdict.FAILED) else plan.digest


def _lock_record(keyed: Keyed, facts: Facts, moved_ids: Container[str]) -> tuple[LockEntry | None, str]:
    """The entry's lock record, or that of an orphan with the same key, with the orphan's id."""
    record = facts.seen.lock.get(keyed.entry.id)
    if record is not None:
        return record, ""
    for candidate in keyed.candidates:
        orphan = facts.orphan_keys.get(candidate.key)
        if orphan is not None and orphan not in moved_ids:
            return facts.seen.lock[orphan], orphan
    return None, ""
