"""The verdict of each entry, after its inputs' and from its candidates' and files'.

Knows neither prices nor orphans.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import replace

from qwenbuild.key import action_key, from_document, with_inputs
from qwenbuild.model import Candidate, Keyed, LockEntry, Reason, Step, Verdict
from qwenbuild.plan.facts import Facts
from qwenbuild.plan.pictures import changes_of, plan_pictures

ENTRY_REF = "entry:"
"""Stands in an Action's inputs before the digest of another entry's picture."""
COSTLIEST = {verdict: rank for rank, verdict in enumerate(Verdict)}


def in_order(wanted: Sequence[Keyed], facts: Facts) -> tuple[Step, ...]:
    """Plan each entry after its inputs; the result stands in the manifest's order."""
    done: dict[str, Step] = {}
    by_id = {keyed.entry.id: keyed for keyed in wanted}
    taken: set[str] = set()
    for keyed in wanted:
        for ready in _inputs_first(keyed, by_id, done):
            step = plan_entry(ready, facts, done, taken)
            done[ready.entry.id] = step
            if step.moved_from:
                taken.add(step.moved_from)
    return tuple(done[keyed.entry.id] for keyed in wanted)


def _inputs_first(keyed: Keyed, by_id: Mapping[str, Keyed], done: Mapping[str, Step]) -> Iterator[Keyed]:
    """The entry's inputs that are not planned yet, deepest first, then the entry. Cycles were refused when loading."""
    if keyed.entry.id in done:
        return
    for reference in keyed.entry.inputs:
        if reference.entry and reference.entry in by_id and reference.entry not in done:
            yield from _inputs_first(by_id[reference.entry], by_id, done)
    if keyed.entry.id not in done:
        yield keyed


def plan_entry(keyed: Keyed, facts: Facts, done: Mapping[str, Step], taken: Container[str]) -> Step:
    """The entry's Step. `done` has its inputs' steps; `taken` the orphans that other entries took over."""
    keyed, causes = _with_known_inputs(keyed, done)
    record, moved_from = _lock_record(keyed, facts, taken)
    held = record is not None and record.approved and record.key not in {c.key for c in keyed.candidates}
    candidates = (_candidate_of(record),) if held and record else keyed.candidates
    used = _used(candidates, record)
    pictures, outputs, reasons = plan_pictures(keyed, candidates, used, record, facts)
    if moved_from:
        reasons = (Reason("moved", "id", moved_from, keyed.entry.id), *reasons)
    if held and record:
        reasons = (
            *reasons,
            *(Reason("held", name, old, new) for name, old, new in changes_of(record, keyed.candidates[0].action)),
        )
    reasons = (*(Reason("caused-by", "inputs", None, cause) for cause in causes), *reasons)
    verdict = min([c.verdict for c in pictures] + [o.verdict for o in outputs], key=COSTLIEST.__getitem__)
    shown = replace(keyed, candidates=candidates) if held else keyed
    return Step(shown, verdict, reasons, pictures, outputs, used, held, moved_from)


def _with_known_inputs(keyed: Keyed, done: Mapping[str, Step]) -> tuple[Keyed, tuple[str, ...]]:
    """The entry with its input entries' digests in its Actions where they are known, and the inputs that are not."""
    if not any(reference.entry for reference in keyed.entry.inputs):
        return keyed, ()
    known = {step.id: picture_digest(step) for step in done.values()}
    unknown = tuple(ref.entry for ref in keyed.entry.inputs if ref.entry and not known.get(ref.entry))
    if unknown:
        return replace(keyed, candidates=tuple(replace(c, key="") for c in keyed.candidates)), unknown
    return replace(keyed, candidates=tuple(substituted(candidate, known) for candidate in keyed.candidates)), ()


def substituted(candidate: Candidate, digests: Mapping[str, str]) -> Candidate:
    """The candidate with `entry:ID` inputs replaced by those entries' digests, and its key."""
    inputs = [digests[name.removeprefix(ENTRY_REF)] if name.startswith(ENTRY_REF) else name for name in candidate.action.inputs]
    action = with_inputs(candidate.action, inputs)
    return Candidate(candidate.seed, action, action_key(action))


def picture_digest(step: Step) -> str:
    """The digest of the picture that the entry's files are made from, "" while it is not known."""
    return step.candidates[step.used].digest


def _lock_record(keyed: Keyed, facts: Facts, taken: Container[str]) -> tuple[LockEntry | None, str]:
    """The entry's lock record, or that of an orphan with the same key, with the orphan's id."""
    record = facts.seen.lock.get(keyed.entry.id)
    if record is not None:
        return record, ""
    for candidate in keyed.candidates:
        orphan = facts.orphan_keys.get(candidate.key)
        if orphan is not None and orphan not in taken:
            return facts.seen.lock[orphan], orphan
    return None, ""


def _candidate_of(record: LockEntry) -> Candidate:
    action = from_document(record.action)
    return Candidate(action.seed, action, record.key)


def _used(candidates: Sequence[Candidate], record: LockEntry | None) -> int:
    """The picked candidate, else the first that nobody rejected, else the first."""
    if record is None:
        return 0
    keys = [candidate.key for candidate in candidates]
    if record.picked in keys:
        return keys.index(record.picked)
    return next((index for index, key in enumerate(keys) if key not in record.rejected), 0)
