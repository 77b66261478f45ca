"""What people choose: pick, approve, release, reject, reroll. Each verb reads the plan, changes lock records, and pays nothing.

Draws nothing and writes no file of the output tree: the next build does.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from qwenbuild.errors import InputError, Problem
from qwenbuild.lock import lockfile, records
from qwenbuild.model import CandidatePlan, LockEntry, Price, Step, Verdict
from qwenbuild.plan.choices import used_index
from qwenbuild.planning.planner import Planned, plan
from qwenbuild.project.options import Options

NEXT = "the next build makes its files"
Change = Callable[[LockEntry], LockEntry]


@dataclass(frozen=True, slots=True)
class Choice:
    """What became of one entry, as a phrase; `changed` is False where nothing was to do.

    `price` is what each picture will cost that a next build makes for it, None when unknown.
    """

    id: str
    words: str
    changed: bool = True
    price: Price | None = field(default_factory=dict)


# ---------------------------------------------------------------- the verbs


def pick(options: Options, entry: str, number: int) -> Choice:
    """Use candidate `number` (from 1, as in `explain`). Raises InputError when it is not made, or the entry approved."""
    planned, step = one(options, entry)
    refuse_approved(step)
    chosen = _made(planned, step, number)
    record = record_of(planned, step)

    def change(old: LockEntry) -> LockEntry:
        return records.pick(_unpicked(step, old), chosen)

    write(planned, {step.id: change})
    now = change(record)
    then = f"; {NEXT}{drawn_from(planned, step.id)}" if now.digest != record.digest else ""
    words = f"candidate {number} is picked (seed {chosen.candidate.seed}, {chosen.digest[:12]}){then}"
    return Choice(step.id, words, now != record)


def drawn_from(planned: Planned, id: str) -> str:
    """A phrase about the entries that have this one as their input: another picture here is another picture there."""
    names = [keyed.entry.id for keyed in planned.loaded.keyed if any(ref.entry == id for ref in keyed.entry.inputs)]
    more = f" and {len(names) - 1:,} more are" if len(names) > 1 else " is"
    return f"; {names[0]}{more} drawn from it, `qwenbuild plan` says what that costs" if names else ""


def _unpicked(step: Step, old: LockEntry) -> LockEntry:
    return records.unpick(old, [plan.candidate.key for plan in step.candidates])


def unpick(options: Options, select: Sequence[str]) -> tuple[Choice, ...]:
    """Undo picks: the first candidate that nobody rejected is used again. Raises InputError for an approved entry."""
    planned = planned_of(options, select)
    steps = [step for step in chosen_steps(planned) if record_of(planned, step).picked]
    for step in steps:
        refuse_approved(step)
    write(planned, {step.id: _settling(planned, step, partial(_unpicked, step)) for step in steps})
    if not steps and len(select) == 1:
        return (Choice(select[0], "nothing was picked", False),)
    return tuple(Choice(step.id, "no longer picked") for step in steps)


def approve(options: Options, select: Sequence[str]) -> tuple[Choice, ...]:
    """Keep the pictures in use whatever the manifest says, until they are released; one that only failed its checks, and was
    never used, comes into use. Raises InputError when there is none.
    """
    planned = planned_of(options, select)
    steps = chosen_steps(planned)
    ready = [step for step in steps if record_of(planned, step).key or _failing(step)]
    if steps and not ready:
        names = ", ".join(step.id for step in steps[:5])
        raise problem("not-made", f"nothing is made yet of {names}", "`qwenbuild build` makes it")
    write(planned, {step.id: partial(_kept, planned, step) for step in ready})
    return tuple(_approved(planned, step) for step in steps)


def _failing(step: Step) -> CandidatePlan | None:
    """The picture that would be in use if it had not failed its checks."""
    used = step.candidates[step.used]
    return used if used.verdict is Verdict.FAILED and used.digest else None


def _kept(planned: Planned, step: Step, old: LockEntry) -> LockEntry:
    failing = _failing(step)
    record = old if old.key or failing is None else records.use(old, _picture(planned, failing))
    return replace(record, approved=True)


def _approved(planned: Planned, step: Step) -> Choice:
    record, failing = record_of(planned, step), _failing(step)
    if not record.key and failing is not None:
        return Choice(step.id, f"approved ({failing.digest[:12]}), although it failed its checks; {NEXT}")
    if not record.key:
        return Choice(step.id, "not made yet, so not approved", False)
    if record.approved:
        return Choice(step.id, "was approved already", False)
    other = record.key not in {candidate.candidate.key for candidate in step.candidates}
    remark = "; the manifest wants another picture now, so it is held" if other else ""
    return Choice(step.id, f"approved ({record.digest[:12]}){remark}")


def release(options: Options, select: Sequence[str]) -> tuple[Choice, ...]:
    """Let the manifest decide again. The next build makes, and pays for, what it wants."""
    planned = planned_of(options, select)
    steps = [step for step in chosen_steps(planned) if step.approved]
    write(planned, {step.id: lambda old: replace(old, approved=False) for step in steps})
    if not steps and len(select) == 1:
        return (Choice(select[0], "was not approved", False),)
    return tuple(_released(step) for step in steps)


def _released(step: Step) -> Choice:
    if not step.held:
        return Choice(step.id, "released")
    return Choice(step.id, "released; the next build makes what the manifest wants", price=step.keyed.price)


def reject(
    options: Options,
    select: Sequence[str],
    numbers: Sequence[int] = (),
    *,
    undo: bool = False,
    of: Mapping[str, int] | None = None,
) -> tuple[Choice, ...]:
    """Hide candidates for good: those of one entry by number, else the picture in use of each. `undo` takes it back.

    `of` names one candidate for each of several entries. Raises InputError for an approved entry, a candidate that is not
    there, or numbers with several entries.
    """
    if not select:
        raise problem("usage", "say which entry", "qwenbuild reject ENTRY [N]")
    planned = planned_of(options, select)
    steps = chosen_steps(planned)
    if numbers and len(steps) != 1:
        raise problem("usage", f"candidate numbers go with one entry; {len(steps)} are selected")
    each = of or {}
    keys = {step.id: _numbered(step, [each[step.id]] if step.id in each else numbers) for step in steps}
    if not undo:
        for step in steps:
            refuse_approved(step)
            _refuse_unmade(planned, step)
            keys[step.id] = keys[step.id] or frozenset({record_of(planned, step).key})
    verb = records.admit if undo else records.reject
    changes = {step.id: _settling(planned, step, _of(verb, keys[step.id])) for step in steps}
    results = {step.id: changes[step.id](record_of(planned, step)) for step in steps}
    write(planned, changes)
    return tuple(_rejected(planned, step, results[step.id], undo=undo) for step in steps)


def _numbered(step: Step, numbers: Sequence[int]) -> frozenset[str]:
    return frozenset(candidate_of(step, number).candidate.key for number in numbers)


def _of(verb: Callable[[LockEntry, frozenset[str]], LockEntry], keys: frozenset[str]) -> Change:
    return lambda old: verb(old, keys)


def _rejected(planned: Planned, step: Step, new: LockEntry, *, undo: bool) -> Choice:
    old = record_of(planned, step)
    if old.rejected == new.rejected:
        return Choice(step.id, "nothing was rejected" if undo else "was rejected already", False)
    if undo:
        return Choice(step.id, "no longer rejected")
    if all(plan.candidate.key in new.rejected for plan in step.candidates):
        return Choice(step.id, "rejected; no other candidate is left: `qwenbuild reroll` adds one")
    if new.key != old.key:
        number = [plan.candidate.key for plan in step.candidates].index(new.key) + 1
        return Choice(step.id, f"rejected; candidate {number} is used instead; {NEXT}{drawn_from(planned, step.id)}")
    return Choice(step.id, "rejected")


def reroll(options: Options, entry: str) -> Choice:
    """Add a candidate with a fresh seed; the next build makes it, and pays `price`. Raises InputError before a first build."""
    planned, step = one(options, entry)
    return _rerolled(planned, [step])[0]


def reroll_all(options: Options, select: Sequence[str]) -> tuple[Choice, ...]:
    """The same for each entry selected; for none of them when one cannot be rerolled. Raises InputError."""
    planned = planned_of(options, select)
    return _rerolled(planned, chosen_steps(planned))


def _rerolled(planned: Planned, steps: Sequence[Step]) -> tuple[Choice, ...]:
    for step in steps:
        refuse_approved(step)
        refuse_unrollable(planned, step)
    seeds = {step.id: records.fresh_seed([plan.candidate for plan in step.candidates]) for step in steps}
    write(planned, {step.id: partial(_seeded, seeds[step.id]) for step in steps})
    template = "candidate {} is added (seed {}); the next build makes it"
    return tuple(
        Choice(step.id, template.format(len(step.candidates) + 1, seeds[step.id]), price=step.keyed.price) for step in steps
    )


def refuse_unrollable(planned: Planned, step: Step) -> None:
    """Raises InputError for an entry of which nothing is made as the manifest wants it."""
    record = record_of(planned, step)
    keys = {plan.candidate.key for plan in step.candidates}
    if keys.isdisjoint({record.key, *record.candidates, *record.accepted}):
        message = f"{step.id} is not made yet as the manifest wants it now"
        raise problem("not-made", message, "`qwenbuild build` makes it; `variants: 2` in the manifest makes two at once")


def _seeded(seed: int, old: LockEntry) -> LockEntry:
    return replace(old, seeds=(*(each for each in old.seeds if each != seed), seed))


# ---------------------------------------------------------------- what they share


def planned_of(options: Options, select: Sequence[str]) -> Planned:
    """The plan of the entries selected; of all where nothing is."""
    return plan(replace(options, select=tuple(select)))


def one(options: Options, entry: str) -> tuple[Planned, Step]:
    """The plan of one entry. Raises InputError when the word names none, or several."""
    planned = planned_of(options, (entry,))
    steps = chosen_steps(planned)
    if len(steps) != 1:
        raise problem("usage", f"{entry!r} names {len(steps)} entries; this takes one")
    return planned, steps[0]


def chosen_steps(planned: Planned) -> list[Step]:
    """The steps that were selected, without the inputs that came along."""
    return [step for step in planned.plan.steps if planned.selected is None or step.id in planned.selected]


def record_of(planned: Planned, step: Step) -> LockEntry:
    """The entry's lock record, an empty one where there is none."""
    return planned.loaded.lock.entries.get(step.moved_from or step.id, records.EMPTY)


def candidate_of(step: Step, number: int) -> CandidatePlan:
    """Candidate `number`, from 1. Raises InputError when there is none."""
    if not 1 <= number <= len(step.candidates):
        have = "one candidate" if len(step.candidates) == 1 else f"candidates 1 to {len(step.candidates)}"
        message = f"{step.id} has {have}, not {number}"
        raise problem("no-candidate", message, f"`qwenbuild explain {step.id}` lists them; `qwenbuild reroll` adds one")
    return step.candidates[number - 1]


def _made(planned: Planned, step: Step, number: int) -> records.CandidatePicture:
    candidate = candidate_of(step, number)
    if not candidate.digest:
        raise problem("not-made", f"candidate {number} of {step.id} is not made yet", "`qwenbuild build` makes it")
    return _picture(planned, candidate)


def refuse_approved(step: Step) -> None:
    """Raises InputError for an approved entry: what was agreed on is changed only after it is released."""
    if step.approved:
        raise problem("approved", f"{step.id} is approved", f"`qwenbuild release {step.id}` comes first")


def _refuse_unmade(planned: Planned, step: Step) -> None:
    if not record_of(planned, step).key:
        raise problem("not-made", f"nothing is made yet of {step.id}", "`qwenbuild build` makes it")


def problem(code: str, message: str, hint: str = "") -> InputError:
    """An InputError with one finding."""
    return InputError(message, code=code, problems=(Problem(code, message, hint=hint),))


def _picture(planned: Planned, plan: CandidatePlan) -> records.CandidatePicture:
    """A candidate's picture with what its receipt says of it."""
    key = plan.candidate.key
    receipts = planned.cache.results([key]).get(key, ())
    receipt = next((result for result in receipts if result.digest == plan.digest), None)
    if receipt is None:
        return records.CandidatePicture(plan.candidate, plan.digest)
    return records.picture_of(plan.candidate, receipt)


def _settling(planned: Planned, step: Step, change: Change) -> Change:
    """The change, and then the picture in use that follows from it, where it is known."""

    def settled(old: LockEntry) -> LockEntry:
        new = change(old)
        if new.approved or not new.key:
            return new
        preferred = step.candidates[used_index([plan.candidate for plan in step.candidates], new)]
        if not preferred.digest or preferred.candidate.key == new.key:
            return new
        return records.use(new, _picture(planned, preferred))

    return settled


def write(planned: Planned, changes: Mapping[str, Change]) -> None:
    """Change the records named, as the lockfile has them at that moment; a moved entry takes its record along."""
    moved = {step.id: step.moved_from for step in planned.plan.steps if step.moved_from}
    loaded = planned.loaded

    def change(now: Mapping[str, LockEntry]) -> Mapping[str, LockEntry | None]:
        return dict(_changed(now, changes, moved))

    if changes:
        lockfile.update(loaded.lock_path, loaded.state, os.path.basename(loaded.manifest.file), change)


def _changed(
    now: Mapping[str, LockEntry], changes: Mapping[str, Change], moved: Mapping[str, str]
) -> Iterator[tuple[str, LockEntry | None]]:
    for id, change in changes.items():
        before = moved.get(id, "")
        new = change(now.get(id) or now.get(before) or records.EMPTY)
        if not new.key:
            continue
        yield id, new
        if before in now:
            yield before, None
