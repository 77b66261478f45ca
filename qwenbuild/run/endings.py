"""How an entry ends: its files are made when its picture is there, and what became of it is told and noted.

Knows no provider and no order: outcomes of pictures come in, one StepOutcome of each entry is kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from qwenbuild.errors import QwenbuildError
from qwenbuild.model import ActionResult, CandidatePlan, Outcome, OutcomeKind, Step, Verdict
from qwenbuild.run.world import Progress, Published, StepOutcome

AT_HAND = (Verdict.FRESH, Verdict.RESTORE)
NETWORK = (Verdict.GENERATE, Verdict.RESUME, Verdict.RECOVER)
WASTED = ("bad-picture", "not-fetched")
"""Codes of failures after which a picture was paid for, and cannot be used."""


class Endings:
    """The StepOutcome of each entry by its id, in `outcomes`."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self.world = progress.world
        self.outcomes: dict[str, StepOutcome] = {}

    def is_fit(self, id: str) -> bool:
        """Whether the entry's picture is what is expected of it, so that others may build on it."""
        outcome = self.outcomes.get(id)
        return outcome is None or outcome.published is None or outcome.published.record is not None

    async def finish(self, *ended: tuple[Step, Sequence[Outcome]]) -> None:
        """Publish the files of entries whose used pictures are there, in one thread, and note how each ended."""
        ready = [(step, outcomes) for step, outcomes in ended if self._has_picture(step, outcomes)]
        if len(ready) == 1 and self.progress.is_busy():
            results = [await self.progress.files.put(ready[0], self._publish)]
        else:
            results = await self.progress.off_loop(self._publish, ready) if ready else []
        for (step, outcomes), published in zip(ready, results, strict=True):
            self._note_files(step, outcomes, published)
        for step, outcomes in ended:
            if step.keyed.price != {}:
                self._note_pictures(step, outcomes)

    def _note_pictures(self, step: Step, outcomes: Sequence[Outcome]) -> None:
        """Count what was paid for, or may have been, and gave no picture that is fit; after several the asset is paused."""
        ended, used = self.outcomes[step.id], step.candidates[step.used]
        for plan, outcome in zip(step.candidates, outcomes, strict=True):
            why = outcome.message if outcome.kind is OutcomeKind.DOUBT or outcome.code in WASTED else ""
            if plan is used and ended.code == "expect":
                why = ended.message
            if plan.verdict in NETWORK and (why or outcome.kind is OutcomeKind.DONE):
                self.progress.note_picture(step.keyed.entry.asset, why)

    def _has_picture(self, step: Step, outcomes: Sequence[Outcome]) -> bool:
        """Whether the entry's files can be made; how it ended is noted where they cannot."""
        main = outcomes[step.used]
        if main.kind is not OutcomeKind.DONE:
            self.outcomes[step.id] = StepOutcome(step.id, main.kind, code=main.code or main.stop, message=main.message)
            self._after_failure(main)
        return main.kind is OutcomeKind.DONE

    def _publish(self, ready: Sequence[tuple[Step, Sequence[Outcome]]]) -> list[Published | Exception]:
        """Make the files of entries. It blocks. An error that is one entry's alone is given back."""
        return [self._published(step, {o.key: o.result for o in outcomes if o.result is not None}) for step, outcomes in ready]

    def _published(self, step: Step, results: Mapping[str, ActionResult]) -> Published | Exception:
        try:
            return self.world.workspace.publish(step, results)
        except (QwenbuildError, OSError, ValueError) as error:
            return error

    def _note_files(self, step: Step, outcomes: Sequence[Outcome], published: Published | Exception) -> None:
        if isinstance(published, Exception):
            self.progress.tell("failed", step.id, code="not-written", message=str(published))
            self.outcomes[step.id] = StepOutcome(step.id, OutcomeKind.FAILED, code="not-written", message=str(published))
            return
        self._note_written(step, outcomes, published)

    def _note_written(self, step: Step, outcomes: Sequence[Outcome], published: Published) -> None:
        worst = next((outcome for outcome in outcomes if outcome.kind is not OutcomeKind.DONE), None)
        how = _how(step, outcomes)
        for path in published.written:
            self.progress.tell("written", step.id, path=path, how="resumed" if how == "recovered" else how)
        for path, why in published.failures:
            self.progress.tell("failed", step.id, code="not-written", message=f"{path}: {why}")
        for path, why in published.unfit:
            self.progress.tell("failed", step.id, code="expect", message=_unfit_words(path, why))
        if published.unfit:
            message = "; ".join(_unfit_words(path, why) for path, why in published.unfit)
            self.outcomes[step.id] = StepOutcome(step.id, OutcomeKind.FAILED, how, "expect", message, published)
            self._after_failure(Outcome(OutcomeKind.FAILED, ""))
        elif published.failures:
            message = "; ".join(f"{path}: {why}" for path, why in published.failures)
            self.outcomes[step.id] = StepOutcome(step.id, OutcomeKind.FAILED, how, "not-written", message, published)
        elif worst is not None:
            self.outcomes[step.id] = StepOutcome(step.id, worst.kind, how, worst.code or worst.stop, worst.message, published)
        else:
            self.outcomes[step.id] = StepOutcome(step.id, OutcomeKind.DONE, how, published=published)

    def _after_failure(self, outcome: Outcome) -> None:
        if self.world.policy.fail_fast and outcome.kind in (OutcomeKind.FAILED, OutcomeKind.REFUSED):
            self.progress.stop_all("fail-fast", "stopped at the first failure by --fail-fast")

    def skip(self, step: Step, input: str) -> StepOutcome:
        """An entry whose input has no picture; what stopped the input, such as --limit, stopped this one too."""
        cause = self.outcomes.get(input)
        code = cause.code if cause is not None and cause.kind is OutcomeKind.SKIPPED else "input"
        why = f": {cause.message}" if cause is not None and cause.code != "input" else ""
        message = f"its input {input} has no picture{why}"
        self.progress.tell("failed", step.id, code=code, message=message)
        return StepOutcome(step.id, OutcomeKind.SKIPPED, code=code, message=message)


def _unfit_words(path: str, why: str) -> str:
    return f"{path}: {why}" if path else f"the picture is not what is expected: {why}"


def outcome_at_hand(step: Step, plan: CandidatePlan) -> Outcome:
    """The Outcome of a candidate that needs no network."""
    key = plan.candidate.key
    if plan.verdict in AT_HAND or plan.verdict is Verdict.DERIVE:
        result = ActionResult(key, plan.digest, plan.media_type, 0, 0, 0, "") if plan.digest else None
        return Outcome(OutcomeKind.DONE, key, result, "restored")
    words = next((reason for reason in step.reasons if reason.code in (plan.verdict.value, "lost", "pointer")), None)
    message = str(words.new or words.code) if words else plan.verdict.value
    if plan.verdict is Verdict.FAILED:
        return Outcome(OutcomeKind.FAILED, key, code="expect", message=f"the picture is not what is expected: {message}")
    kind = OutcomeKind.DOUBT if plan.verdict is Verdict.DOUBT else OutcomeKind.REFUSED
    if plan.verdict is Verdict.MODIFIED:
        kind, message = OutcomeKind.SKIPPED, "its only file was changed by hand; --overwrite replaces it"
    return Outcome(kind, key, code=plan.verdict.value, message=message)


def _how(step: Step, outcomes: Sequence[Outcome]) -> str:
    ways = {outcome.how for outcome in outcomes}
    for way in ("generated", "recovered", "resumed"):
        if way in ways:
            return way
    derived = any(output.verdict is Verdict.DERIVE for output in step.outputs)
    return "derived" if derived and step.candidates[step.used].verdict is not Verdict.GENERATE else "restored"
