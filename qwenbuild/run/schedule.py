"""The order of a run: what was paid for first, then restores beside purchases, each entry published as it is ready.

Knows neither wire formats nor files; `purchase` buys one key, the world's `publish` makes one entry's files.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from qwenbuild.errors import CacheError, CredentialsError, InputError, QwenbuildError
from qwenbuild.model import ActionResult, Candidate, CandidatePlan, Outcome, OutcomeKind, Plan, Step, Verdict
from qwenbuild.plan import picture_digest
from qwenbuild.run.purchase import buy
from qwenbuild.run.recover import finish
from qwenbuild.run.signals import listening
from qwenbuild.run.submit import Purchase, submits
from qwenbuild.run.waits import watch
from qwenbuild.run.world import Progress, Published, RunResult, StepOutcome, World

AT_HAND = (Verdict.FRESH, Verdict.RESTORE)
IDLE = (Verdict.FRESH, Verdict.MODIFIED)
NETWORK = (Verdict.GENERATE, Verdict.RESUME, Verdict.RECOVER)
WASTED = ("bad-picture", "not-fetched")
"""Codes of failures after which a picture was paid for, and cannot be used."""
LOCAL_AT_ONCE = 64
COLLECTOR = (3_000, 8, 40)
"""New objects between two looks of the collector at the young, and how often it looks at the older ones too. Python's own 700
is too often for hundreds of jobs in flight; at 10,000 it takes up to 50 ms, for which the loop waits.
"""
THREADS = max(4, os.cpu_count() or 4)
"""They wait for the disk more than they work, and who waits together shares a sync."""


def run(plan: Plan, world: World) -> RunResult:
    """Carry out the plan. Everything finished is stored and published, also after failures and interrupts."""
    with _kept(), ThreadPoolExecutor(THREADS, "qwenbuild") as executor, ThreadPoolExecutor(THREADS, "journal") as writers:
        progress = Progress(world, executor, writers)
        schedule = _Schedule(progress, plan)
        progress.assets = {step.id: step.keyed.entry.asset for step in plan.busy if step.verdict not in IDLE}
        with contextlib.suppress(asyncio.CancelledError):
            asyncio.run(_run(progress, schedule))
    return RunResult(
        schedule.outcomes, progress.stops(), progress.interrupted, progress.spent, progress.bought, tuple(progress.doubts)
    )


@contextlib.contextmanager
def _kept() -> Iterator[None]:
    """The plan is not walked by the collector again and again: of 100,000 entries that holds up the loop for a second.

    What the run makes is looked at less often: hundreds of jobs in flight are many young objects, and few circles.
    """
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(*COLLECTOR)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


async def _run(progress: Progress, schedule: _Schedule) -> None:
    watching = asyncio.ensure_future(watch(progress.waiting, lambda words: _tell_waits(progress, words)))
    with listening(progress):
        try:
            await _drain(progress)
            await schedule.carry_out()
        except asyncio.CancelledError:
            raise
        except BaseException:
            await _farewell(progress)
            raise
        finally:
            watching.cancel()
            await progress.world.close()


def _tell_waits(progress: Progress, words: str) -> None:
    """`drawing`: nothing is waited for but providers, which a line that counts what is in flight says already."""
    progress.tell("message", "", text=words, waiting=True, drawing=not progress.waiting.waits)


async def _farewell(progress: Progress) -> None:
    """Before a fault of ours ends the build: what is being sent gets its ticket, for without one it would be in doubt."""
    progress.stop_all("fault", "the build ends by a fault of its own; nothing more is submitted")
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(progress.world.times.farewell):
            while progress.due or submits():  # noqa: ASYNC110  (ends once, and rarely begins)
                await asyncio.sleep(0.01)
    for job in progress.jobs.values():
        if job.done() and not job.cancelled():
            job.exception()  # the first one is raised; whoever failed beside it has nothing to add


async def _drain(progress: Progress) -> None:
    """First everything that was paid for, wanted or not, before any submit: links die in 24 hours."""
    if progress.world.offline or not progress.world.cache.has_journal():
        return
    journal = progress.world.cache.journal
    dead = [a for a in journal.live(project=progress.world.project) if not journal.is_alive(a.build)]
    await finish(progress, [*(attempt for attempt in dead if attempt.ticket is not None), *progress.world.strays()])
    await finish(progress, [attempt for attempt in dead if attempt.ticket is None])
    progress.contested = {attempt.key for attempt in journal.live()}


class _Schedule:
    """One task an entry that needs the network or other entries; the rest through a few threads."""

    def __init__(self, progress: Progress, plan: Plan) -> None:
        self.progress = progress
        self.world = progress.world
        self.steps = {step.id: step for step in plan.busy}
        self.outcomes: dict[str, StepOutcome] = {}
        self.ready: dict[str, asyncio.Future[str]] = {}

    async def carry_out(self) -> None:
        work = [step for step in self.steps.values() if step.verdict not in IDLE]
        names = self._bound(work)
        bound = [step for step in work if step.id in names]
        self.ready = {id: asyncio.get_running_loop().create_future() for id in names}
        tasks = [asyncio.ensure_future(self._entry(step)) for step in bound]
        try:
            await self._locals(step for step in work if step.id not in names)
            await asyncio.gather(*tasks)
        except BaseException:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            raise

    def _bound(self, work: Sequence[Step]) -> frozenset[str]:
        """The entries that need the network, that wait for others with something to do, or that others wait for."""
        busy = {step.id for step in work}
        names = {step.id for step in work if _needs_network(step)}
        for step in work:
            inputs = {ref.entry for ref in step.keyed.entry.inputs if ref.entry in busy}
            names |= {step.id, *inputs} if inputs else set()
        return frozenset(name for name in names if name)

    async def _locals(self, steps: Iterable[Step]) -> None:
        """Entries whose bytes are at hand, a few at a time: there may be 100,000 of them."""
        running: set[asyncio.Task[None]] = set()
        try:
            for step in steps:
                if self.progress.interrupted:
                    break
                if len(running) >= LOCAL_AT_ONCE:
                    done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                    await asyncio.gather(*done)  # each fault is raised, also of one that is over before the last begins
                running.add(asyncio.ensure_future(self._local(step)))
            await asyncio.gather(*running)
        except BaseException:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
            raise

    async def _local(self, step: Step) -> None:
        outcomes = [_known(step, plan) for plan in step.candidates]
        await self._finish(step, outcomes)

    async def _entry(self, step: Step) -> None:
        """One entry from its inputs to its files; its dependants wait for its picture's digest."""
        digest = ""
        try:
            settled = await self._with_inputs(step)
            if isinstance(settled, StepOutcome):
                self.outcomes[step.id] = settled
                return
            if settled.verdict in IDLE:
                digest = picture_digest(settled)
                self.outcomes[step.id] = StepOutcome(step.id, OutcomeKind.DONE, settled.verdict.value)
                return
            outcomes = await asyncio.gather(*(self._candidate(settled, plan) for plan in settled.candidates))
            await self._finish(settled, outcomes)
            main = outcomes[settled.used]
            if self._is_fit(step.id):
                digest = main.result.digest if main.result else picture_digest(settled)
        finally:
            if not self.ready[step.id].done():
                self.ready[step.id].set_result(digest)

    async def _with_inputs(self, step: Step) -> Step | StepOutcome:
        entries = [ref.entry for ref in step.keyed.entry.inputs if ref.entry]
        if not entries:
            return step
        digests = {}
        for id in entries:
            digests[id] = await self.ready[id] if id in self.ready else picture_digest(self.steps[id])
            if not digests[id]:
                return self._skipped(step, id)
        if all(plan.candidate.key for plan in step.candidates):
            return step
        settled: Step = await self.progress.off_loop(self.world.settle, step, digests)
        return settled

    def _is_fit(self, id: str) -> bool:
        """Whether the entry's picture is what is expected of it, so that others may build on it."""
        outcome = self.outcomes.get(id)
        return outcome is None or outcome.published is None or outcome.published.record is not None

    async def _candidate(self, step: Step, plan: CandidatePlan) -> Outcome:
        key = plan.candidate.key
        if plan.verdict not in NETWORK:
            return _known(step, plan)
        if key in self.progress.drained:
            return self.progress.drained[key]
        if self.world.offline:
            return Outcome(OutcomeKind.SKIPPED, key, code="offline", message="not in the cache, and --offline sends nothing")
        if plan.verdict is Verdict.GENERATE and not self._may_buy(step, plan.candidate):
            return Outcome(OutcomeKind.SKIPPED, key, code="limit", message="left for a later build by --limit", stop="limit")
        task = self.progress.jobs.get(key)
        if task is None:
            task = self.progress.jobs[key] = asyncio.ensure_future(self._bought(step, plan))
        return await asyncio.shield(task)

    def _may_buy(self, step: Step, candidate: Candidate) -> bool:
        """By its key, or as it was named while its inputs were not known."""
        names = (candidate.key, step.name_of(replace(candidate, key="")))
        return self.world.allowed is None or not self.world.allowed.isdisjoint(names)

    async def _bought(self, step: Step, plan: CandidatePlan) -> Outcome:
        names = self.world.names(plan.candidate.key)
        purchase = Purchase(step.id, step.keyed.entry.provider, plan.candidate, step.keyed.price, names)
        try:
            return await buy(self.progress, purchase)
        except CredentialsError as error:
            self.progress.stop_all("credentials", str(error))
            return Outcome(OutcomeKind.SKIPPED, purchase.key, code="credentials", message=str(error), stop="credentials")
        except (CacheError, InputError, OSError) as error:
            self.progress.tell("failed", step.id, code="cache", message=str(error))
            return Outcome(OutcomeKind.FAILED, purchase.key, code="cannot-tell", message=str(error))

    async def _finish(self, step: Step, outcomes: Sequence[Outcome]) -> None:
        """Publish the entry's files when its used picture is there, and note how it ended."""
        await self._end(step, outcomes)
        for plan, outcome in zip(step.candidates, outcomes, strict=True):
            if plan.verdict in NETWORK and step.keyed.price != {}:
                self._note(step, outcome, used=plan is step.candidates[step.used])

    def _note(self, step: Step, outcome: Outcome, *, used: bool) -> None:
        """Count what was paid for, or may have been, and gave no picture that is fit; after several the asset is paused."""
        ended = self.outcomes[step.id]
        why = outcome.message if outcome.kind is OutcomeKind.DOUBT or outcome.code in WASTED else ""
        if used and ended.code == "expect":
            why = ended.message
        if why or outcome.kind is OutcomeKind.DONE:
            self.progress.note_picture(step.keyed.entry.asset, why)

    async def _end(self, step: Step, outcomes: Sequence[Outcome]) -> None:
        main = outcomes[step.used]
        worst = next((outcome for outcome in outcomes if outcome.kind is not OutcomeKind.DONE), None)
        if main.kind is not OutcomeKind.DONE:
            self.outcomes[step.id] = StepOutcome(step.id, main.kind, code=main.code or main.stop, message=main.message)
            self._after_failure(main)
            return
        results = {outcome.key: outcome.result for outcome in outcomes if outcome.result is not None}
        try:
            published = await self.progress.off_loop(self.world.publish, step, results)
        except (QwenbuildError, OSError, ValueError) as error:
            self.progress.tell("failed", step.id, code="not-written", message=str(error))
            self.outcomes[step.id] = StepOutcome(step.id, OutcomeKind.FAILED, code="not-written", message=str(error))
            return
        self._published(step, outcomes, published, worst)

    def _published(self, step: Step, outcomes: Sequence[Outcome], published: Published, worst: Outcome | None) -> None:
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
        if self.world.fail_fast and outcome.kind in (OutcomeKind.FAILED, OutcomeKind.REFUSED):
            self.progress.stop_all("fail-fast", "stopped at the first failure by --fail-fast")

    def _skipped(self, step: Step, input: str) -> StepOutcome:
        """An entry whose input has no picture; what stopped the input, such as --limit, stopped this one too."""
        cause = self.outcomes.get(input)
        code = cause.code if cause is not None and cause.kind is OutcomeKind.SKIPPED else "input"
        why = f": {cause.message}" if cause is not None and cause.code != "input" else ""
        message = f"its input {input} has no picture{why}"
        self.progress.tell("failed", step.id, code=code, message=message)
        return StepOutcome(step.id, OutcomeKind.SKIPPED, code=code, message=message)


def _unfit_words(path: str, why: str) -> str:
    return f"{path}: {why}" if path else f"the picture is not what is expected: {why}"


def _needs_network(step: Step) -> bool:
    return any(plan.verdict in NETWORK for plan in step.candidates)


def _known(step: Step, plan: CandidatePlan) -> Outcome:
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
        kind, message = OutcomeKind.SKIPPED, "its only file was changed by a person; --overwrite replaces it"
    return Outcome(kind, key, code=plan.verdict.value, message=message)


def _how(step: Step, outcomes: Sequence[Outcome]) -> str:
    ways = {outcome.how for outcome in outcomes}
    for way in ("generated", "recovered", "resumed"):
        if way in ways:
            return way
    derived = any(output.verdict is Verdict.DERIVE for output in step.outputs)
    return "derived" if derived and step.candidates[step.used].verdict is not Verdict.GENERATE else "restored"
