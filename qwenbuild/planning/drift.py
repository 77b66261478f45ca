"""What `--locked` refuses: entries and files that are not what the lockfile names.

Knows no disk: it compares a plan with the records it was made from.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from qwenbuild.lfs import OTHER_POINTER, POINTER
from qwenbuild.model import LockEntry, LockOutput, OutputPlan, Step, Verdict
from qwenbuild.planning.planner import Planned

CANNOT = (Verdict.GENERATE, Verdict.DOUBT, Verdict.REFUSED, Verdict.FAILED, Verdict.RECOVER)
NAMED = 10
"""So many of a kind are named; the rest is counted."""


@dataclass(frozen=True, slots=True)
class Drift:
    """What is not as the lockfile says. `entries` are ids whose picture, key, recipe or digest differs; `pointers` files of
    which a git-LFS pointer alone was checked out; `modified` files that hold other bytes, which nobody but a person wrote.
    """

    entries: tuple[str, ...]
    pointers: tuple[str, ...]
    modified: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.entries or self.pointers or self.modified)

    def sentences(self) -> Iterator[str]:
        """What differs, what each of it is, and what to do."""
        if self.pointers:
            pointers = _many(self.pointers, "file is a git-LFS pointer", "files are git-LFS pointers")
            yield f"{pointers}: {_names(self.pointers)}. `git lfs pull` fetches what the lockfile names"
        if self.modified:
            yield (
                f"{_many(self.modified, 'file differs', 'files differ')} from the lockfile: {_names(self.modified)}. "
                "`qwenbuild build --overwrite` replaces what was modified by hand, --keep-modified accepts it"
            )
        if self.entries:
            yield (
                f"{_many(self.entries, 'entry is', 'entries are')} not what the lockfile names: {_names(self.entries)}. "
                "`qwenbuild build` makes them, `qwenbuild cache pull` fetches what a colleague made"
            )


def _many(names: Sequence[str], one: str, more: str) -> str:
    return f"{len(names):,} {one if len(names) == 1 else more}"


def _names(names: Sequence[str]) -> str:
    rest = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {rest:,} more" if rest > 0 else "")


def drift(planned: Planned, *, keep_modified: bool = False) -> Drift:
    """What a locked build must not make, and what it must not pass over. `keep_modified` passes over files that a person
    changed; never over a pointer to what the lockfile names, for that is a file that somebody forgot to fetch.
    """
    lock = planned.loaded.lock.entries
    steps, atlases = planned.plan.busy, planned.plan.atlases
    outputs = [output for step in steps for output in step.outputs]
    pointers = dict.fromkeys(output.spec.path for output in outputs if output.reason == POINTER)
    for step in steps:
        pointers.update(dict.fromkeys(reason.field for reason in step.reasons if reason.code == POINTER))
    for atlas in atlases:
        pointers.update(dict.fromkeys(atlas.pointers))
    modified = [_named(output) for output in outputs if output.verdict is Verdict.MODIFIED]
    modified += [path for atlas in atlases for path in atlas.modified]
    entries = [step.id for step in steps if _drifts(step, lock.get(step.id))]
    return Drift((*entries, *_drifted_atlases(planned)), tuple(pointers), () if keep_modified else tuple(modified))


def _named(output: OutputPlan) -> str:
    return f"{output.spec.path} (a git-LFS pointer to other bytes)" if output.reason == OTHER_POINTER else output.spec.path


def _drifted_atlases(planned: Planned) -> list[str]:
    """Atlases whose members or options are not what the lockfile's sheets were made of."""
    names = []
    for plan in planned.plan.atlases:
        record = planned.loaded.lock.atlases.get(plan.name)
        recipes = {output.recipe for output in record.outputs.values() if not output.orphan} if record else set()
        if plan.verdict is Verdict.DERIVE and recipes != {plan.recipe}:
            names.append(f"atlas:{plan.name}")
    return names


def _drifts(step: Step, record: LockEntry | None) -> bool:
    if record is None:
        return True
    unfetched = any(reason.code == POINTER for reason in step.reasons)  # told as a pointer, and not as another picture
    plans = [plan for index, plan in enumerate(step.candidates) if not (unfetched and index == step.used)]
    if any(plan.verdict in CANNOT for plan in plans):
        return True
    used = step.candidates[step.used]
    if used.candidate.key != record.key or (used.digest and used.digest != record.digest):
        return True
    return any(_output_drifts(output, record.outputs.get(output.spec.path)) for output in step.outputs)


def _output_drifts(output: OutputPlan, locked: LockOutput | None) -> bool:
    if output.verdict is Verdict.MODIFIED or not output.source:
        return locked is None
    return locked is None or locked.orphan or locked.recipe != output.recipe
