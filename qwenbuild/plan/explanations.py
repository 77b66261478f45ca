"""Which purchases of a plan a change of the manifest explains, or the user's own wish; all others count for the brake.

Decides nothing: `gate` does. A purchase is explained by a reason that says so, never by the lack of one.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from functools import cached_property

from qwenbuild.model import CandidatePlan, InputRef, Reason, Step, Verdict
from qwenbuild.plan.facts import Observed


def unexplained(purchases: Sequence[tuple[Step, CandidatePlan]], steps: Sequence[Step], seen: Observed) -> int:
    """How many of the pictures to be bought nothing in the manifest explains: lost ones, those that only the model table,
    the key version or the lockfile asks for, and those of an asset whose whole block vanished from the lockfile.
    """
    if not purchases:
        return 0
    judge = _Judge(steps, seen)
    return sum(not judge.explains(step, plan) for step, plan in purchases)


class _Judge:
    """Answers for one plan; each entry is looked at once, however many pictures of it are bought."""

    def __init__(self, steps: Sequence[Step], seen: Observed) -> None:
        self._seen = seen
        self._steps = steps
        self._vanished = _vanished(steps, seen)
        self._explained: dict[str, bool] = {}

    @cached_property
    def _by_id(self) -> Mapping[str, Step]:
        return {step.id: step for step in self._steps}

    def explains(self, step: Step, plan: CandidatePlan) -> bool:
        entry = step.keyed.entry
        return entry.seed <= plan.candidate.seed < entry.seed + entry.variants and self._step(step)

    def _step(self, step: Step) -> bool:
        if step.id not in self._explained:
            lost = any(reason.code == "lost" for reason in step.reasons)
            self._explained[step.id] = not lost and any(self._reason(step, reason) for reason in step.reasons)
        return self._explained[step.id]

    def _reason(self, step: Step, reason: Reason) -> bool:
        if reason.code == "new":
            return step.keyed.entry.asset not in self._vanished
        if reason.code == "caused-by":
            cause = self._by_id.get(str(reason.new))
            return cause is not None and self._step(cause)
        if reason.code != "changed":
            return reason.code == "forced"
        if reason.field == "inputs":
            return self._inputs(step, reason)
        return reason.field != "v" and reason.old not in step.keyed.earlier.get(reason.field, ())

    def _inputs(self, step: Step, reason: Reason) -> bool:
        """Whether a file changed, or an input entry has another picture that was made for what the manifest asks of it."""
        old, new, refs = tuple(reason.old or ()), tuple(reason.new or ()), step.keyed.entry.inputs
        if not len(old) == len(new) == len(refs):
            return True
        changed = [(ref, now) for ref, before, now in zip(refs, old, new, strict=True) if before != now]
        return any(not ref.entry or self._was_made(ref, now) for ref, now in changed)

    def _was_made(self, ref: InputRef, digest: str) -> bool:
        """Whether a receipt says that this picture was made for the input: a lockfile may name any other."""
        cause = self._by_id.get(ref.entry or "")
        if cause is None:
            return False
        results = self._seen.results.get(cause.candidates[cause.used].candidate.key, ())
        return any(result.digest == digest for result in results)


def _vanished(steps: Sequence[Step], seen: Observed) -> Container[str]:
    """Assets of which the lockfile names nothing, though this machine has stored pictures of theirs."""
    buying = [step for step in steps if step.verdict is Verdict.GENERATE]
    present = {id.partition("/")[0] for ids in (seen.lock, seen.untouched.ids if buying else ()) for id in ids}
    locked = {step.keyed.entry.asset for step in steps if step.id in seen.lock}
    assets: Mapping[str, None] = dict.fromkeys(_stored_assets(buying, seen))
    return {asset for asset in assets if asset not in locked | present}


def _stored_assets(buying: Sequence[Step], seen: Observed) -> Iterator[str]:
    return (step.keyed.entry.asset for step in buying if step.id in seen.once)
