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

from qwenbuild.cache import AttemptState
from qwenbuild.errors import CacheError, CredentialsError, InputError
from qwenbuild.model import Candidate, CandidatePlan, Outcome, OutcomeKind, Plan, Step, Verdict
from qwenbuild.plan import picture_digest
from qwenbuild.run.drawings import batches, draw, drawer
from qwenbuild.run.endings import NETWORK, Endings, outcome_at_hand
from qwenbuild.run.purchase import buy
from qwenbuild.run.recover import finish
from qwenbuild.run.signals import listening
from qwenbuild.run.submit import Purchase, submits
from qwenbuild.run.waits import watch
from qwenbuild.run.world import Progress, RunResult, StepOutcome, World

IDLE = (Verdict.FRESH, Verdict.MODIFIED)
LOCAL_AT_ONCE = 64
BATCHES_AT_ONCE = 2
"""Batches of pictures that this machine draws itself: one is drawn while the other waits for the disk."""
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
        schedule.endings.outcomes,
        progress.stops(),
        progress.interrupted,
        progress.spent,
        progress.bought,
        tuple(progress.doubts),
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
            await progress.world.providers.close()


def _tell_waits(progress: Progress, words: str) -> None:
    """`drawing`: nothing is waited for but providers, which a line that counts what is in flight says already."""
    progress.tell("message", "", text=words, waiting=True, drawing=not progress.waiting.waits)


async def _farewell(progress: Progress) -> None:
    """Before a fault of ours ends the build: what is being sent gets its ticket, for without one it would be in doubt."""
    progress.stop_all("fault", "the build stops because of an internal error; nothing more is submitted")
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(progress.world.times.farewell):
            while progress.due or submits():  # noqa: ASYNC110  (ends once, and rarely begins)
                await asyncio.sleep(0.01)
    for job in progress.jobs.values():
        if job.done() and not job.cancelled():
            job.exception()  # the first one is raised; whoever failed beside it has nothing to add


async def _drain(progress: Progress) -> None:
    """First everything that was paid for, wanted or not, before any submit: links die in 24 hours."""
    if progress.world.policy.offline or not progress.world.cache.has_journal():
        return
    journal = progress.world.cache.journal
    dead = [a for a in journal.live(project=progress.world.project) if not journal.is_alive(a.build)]
    tickets = [*(attempt for attempt in dead if attempt.ticket is not None), *progress.world.providers.strays()]
    await finish(progress, list({attempt.id: attempt for attempt in tickets}.values()))
    await finish(progress, [attempt for attempt in dead if attempt.ticket is None])
    progress.contested = {attempt.key for attempt in journal.live()}


class _Schedule:
    """One task an entry that needs the network or other entries; the rest through a few threads."""

    def __init__(self, progress: Progress, plan: Plan) -> None:
        self.progress = progress
        self.world = progress.world
        self.steps = {step.id: step for step in plan.busy}
        self.endings = Endings(progress)
        self.ready: dict[str, asyncio.Future[str]] = {}

    async def carry_out(self) -> None:
        work = [step for step in self.steps.values() if step.verdict not in IDLE]
        linked = self._linked(work)
        drawn = [step for step in work if step.id not in linked and self._is_drawn(step)]
        together = {step.id for step in drawn}
        bound = [step for step in work if step.id in linked or (_needs_network(step) and step.id not in together)]
        self.ready = {step.id: asyncio.get_running_loop().create_future() for step in bound}
        tasks = [asyncio.ensure_future(self._entry(step)) for step in bound]
        drawing = iter(list(batches(drawn)))
        tasks += [asyncio.ensure_future(self._draw(drawing)) for _ in range(BATCHES_AT_ONCE if drawn else 0)]
        try:
            await self._locals(step for step in work if step.id not in self.ready and step.id not in together)
            await asyncio.gather(*tasks)
        except BaseException:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            raise

    def _linked(self, work: Sequence[Step]) -> frozenset[str]:
        """The entries that wait for others with something to do, or that others wait for."""
        busy = {step.id for step in work}
        names: set[str] = set()
        for step in work:
            inputs = {ref.entry for ref in step.keyed.entry.inputs if ref.entry in busy}
            names |= {step.id, *inputs} if inputs else set()
        return frozenset(name for name in names if name)

    # ------------------------------------------------ pictures that this machine draws, many at a time

    def _is_drawn(self, step: Step) -> bool:
        """Whether each picture that the entry lacks is drawn by this machine, together with others'."""
        lacking = [plan for plan in step.candidates if plan.verdict in NETWORK]
        if self.world.policy.offline or not lacking or not all(plan.candidate.key for plan in lacking):
            return False
        return all(drawer(self.progress, self._purchase(step, plan)) is not None for plan in lacking)

    async def _draw(self, drawing: Iterator[list[Step]]) -> None:
        for steps in drawing:
            await self._drawn(steps)
            ended = [(step, [await self._candidate(step, plan) for plan in step.candidates]) for step in steps]
            await self.endings.finish(*ended)

    async def _drawn(self, steps: Sequence[Step]) -> None:
        """Draw what a batch of entries lacks; each picture's outcome is noted under its key."""
        jobs, lacking = self.progress.jobs, dict[str, tuple[Step, CandidatePlan]]()
        for one in ((step, plan) for step in steps for plan in step.candidates):
            key = one[1].candidate.key
            if key not in jobs and self._unbought(*one) is None:
                lacking.setdefault(key, one)
        jobs.update((key, asyncio.get_running_loop().create_future()) for key in lacking)
        try:
            outcomes = await draw(self.progress, [self._purchase(*one) for one in lacking.values()]) if lacking else ()
            pairs = zip(lacking.items(), outcomes, strict=True)
            await asyncio.gather(*(self._settle(jobs[key], outcome, *one) for (key, one), outcome in pairs))
        finally:
            for key in lacking:
                jobs[key].cancel()

    async def _settle(self, job: asyncio.Future[Outcome], outcome: Outcome | None, step: Step, plan: CandidatePlan) -> None:
        job.set_result(outcome if outcome is not None else await self._bought(step, plan))

    # ------------------------------------------------ one entry

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
        outcomes = [outcome_at_hand(step, plan) for plan in step.candidates]
        await self.endings.finish((step, outcomes))

    async def _entry(self, step: Step) -> None:
        """One entry from its inputs to its files; its dependants wait for its picture's digest."""
        digest = ""
        try:
            settled = await self._with_inputs(step)
            if isinstance(settled, StepOutcome):
                self.endings.outcomes[step.id] = settled
                return
            if settled.verdict in IDLE:
                digest = picture_digest(settled)
                self.endings.outcomes[step.id] = StepOutcome(step.id, OutcomeKind.DONE, settled.verdict.value)
                return
            outcomes = await asyncio.gather(*(self._candidate(settled, plan) for plan in settled.candidates))
            await self.endings.finish((settled, outcomes))
            main = outcomes[settled.used]
            if self.endings.is_fit(step.id):
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
                return self.endings.skip(step, id)
        if all(plan.candidate.key for plan in step.candidates):
            return step
        settled: Step = await self.progress.off_loop(self.world.workspace.replan, step, digests)
        return settled

    async def _candidate(self, step: Step, plan: CandidatePlan) -> Outcome:
        if outcome := self._unbought(step, plan):
            return outcome
        job = self.progress.jobs.get(plan.candidate.key)
        if job is None:
            job = self.progress.jobs[plan.candidate.key] = asyncio.ensure_future(self._bought(step, plan))
        return await asyncio.shield(job)

    def _unbought(self, step: Step, plan: CandidatePlan) -> Outcome | None:
        """The Outcome of a candidate for which nothing is asked of a provider; None for one that is."""
        key = plan.candidate.key
        if plan.verdict not in NETWORK:
            return outcome_at_hand(step, plan)
        if key in self.progress.drained:
            return self.progress.drained[key]
        if self.world.policy.offline:
            return Outcome(OutcomeKind.SKIPPED, key, code="offline", message="not in the cache, and --offline sends nothing")
        if plan.verdict is Verdict.GENERATE and not self._may_buy(step, plan.candidate):
            return Outcome(OutcomeKind.SKIPPED, key, code="limit", message="left for a later build by --limit", stop="limit")
        return None

    def _may_buy(self, step: Step, candidate: Candidate) -> bool:
        """By its key, or as it was named while its inputs were not known."""
        names = (candidate.key, step.name_of(replace(candidate, key="")))
        return self.world.policy.allowed is None or not self.world.policy.allowed.isdisjoint(names)

    def _given_up(self, key: str) -> str:
        """The id of the attempt that a person gave up for this key, so that the next one names it; "" for none."""
        if key not in self.world.policy.given_up:
            return ""
        attempts = self.world.cache.journal.by_key([key]).get(key, [])
        return attempts[-1].id if attempts and attempts[-1].state is AttemptState.DROPPED else ""

    async def _bought(self, step: Step, plan: CandidatePlan) -> Outcome:
        purchase = self._purchase(step, plan)
        try:
            return await buy(self.progress, purchase)
        except CredentialsError as error:
            self.progress.stop_all("credentials", str(error))
            return Outcome(OutcomeKind.SKIPPED, purchase.key, code="credentials", message=str(error), stop="credentials")
        except (CacheError, InputError, OSError) as error:
            self.progress.tell("failed", step.id, code="cache", message=str(error))
            return Outcome(OutcomeKind.FAILED, purchase.key, code="cannot-tell", message=str(error))

    def _purchase(self, step: Step, plan: CandidatePlan) -> Purchase:
        names = self._given_up(plan.candidate.key)
        return Purchase(step.id, step.keyed.entry.provider, plan.candidate, step.keyed.price, names)


def _needs_network(step: Step) -> bool:
    return any(plan.verdict in NETWORK for plan in step.candidates)
