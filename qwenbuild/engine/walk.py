"""The walk as one function: load → expand → key → observe → plan → gate → run → derive → write → lock.

Does not know how anything below is done.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from qwenbuild.engine.context import families, make_world
from qwenbuild.engine.preflight import bring_home
from qwenbuild.engine.prune import orphan_changes, remove_orphans
from qwenbuild.engine.remember import InputsSeen, remember_idle, remember_made
from qwenbuild.engine.shared_cache import share_built
from qwenbuild.engine.sheets import build_sheets, gone_sheets, remove_sheets
from qwenbuild.errors import CacheError, GateStop, NotUpToDate, Problem
from qwenbuild.later import later
from qwenbuild.lfs import OTHER_POINTER
from qwenbuild.lock import lockfile
from qwenbuild.lock.records import reconcile
from qwenbuild.model import Failure, LockAtlas, LockEntry, OutcomeKind, Price, Step, Verdict
from qwenbuild.planning import incremental
from qwenbuild.planning.atlas_plans import busy
from qwenbuild.planning.drift import drift
from qwenbuild.planning.loading import load
from qwenbuild.planning.planner import Planned, make
from qwenbuild.planning.remote_pictures import environ_of, pushes
from qwenbuild.planning.signatures import marks_lost
from qwenbuild.ports import Event, Reporter
from qwenbuild.project.options import Options
from qwenbuild.project.strays import abandoned
from qwenbuild.run import RunResult, run
from qwenbuild.tree import TreeFile

with later:
    from qwenbuild.engine import rerolls, verdicts

STOP_CODES = {
    "credentials": 5,
    "quota": 4,
    "arrears": 4,
    "budget": 4,
    "limit": 3,
}
NAMES_MAX = 10
"""So many files that were left alone are named."""
ORDER = (130, 70, 5, 4, 6, 1, 3, 0)
"""When several exit codes apply, the first of these."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What a build came to. `failures` are (entry id, code, message); `seconds` is wall time; `first`: pictures were made
    where no lockfile was before.
    """

    exit_code: int
    counts: Mapping[str, int]
    spent: Price = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    seconds: float = 0.0
    failures: tuple[Failure, ...] = ()
    first: bool = False


def build(options: Options, reporter: Reporter, ask: Callable[[Planned], bool] | None) -> Summary:
    """Bring the output tree and the lockfile to what the manifest says. `ask` answers the gate; None: no terminal.

    Raises InputError (2), NotUpToDate (3), GateStop (4), CredentialsError (5), CacheError (1) before anything is spent.
    """
    start, began = time.monotonic(), time.time_ns()
    planned, look, homecoming = _in_part(options, began) or _in_full(options, began)
    loaded = planned.loaded
    reporter.event(Event("plan", data=plan_data(planned)))
    if options.locked:
        _refuse_drift(planned, options)
    if not options.offline:
        _gate(planned, options, ask)
    if is_done(planned, options):
        failures = share_built(planned, options, {}, reporter, frozenset())
        if not failures:
            remember_idle(planned, options, look)
        notices = (*_left_alone(planned), *homecoming, *planned.notices)
        return Summary(1 if failures else 0, _fresh_counts(planned), {}, notices, time.monotonic() - start, tuple(failures))
    placed: dict[str, TreeFile] = {}
    with make_world(planned, options, reporter, placed) as world:
        result = run(planned.plan, world)
        if any(step.further for step in planned.plan.busy):
            planned, result = rerolls.draw_again(planned, options, result, world, placed)
    records = {**orphan_changes(planned), **_renamed(planned), **result.records}
    failures = _failures(planned, result)
    if planned.is_checked:
        sets = verdicts.judge_sets(planned, records)
        records |= sets.records
        failures += [failure for failure in sets.failures if failure.entry not in {known.entry for known in failures}]
    sheets = build_sheets(planned, records, placed, reporter)
    failures += sheets.failures
    if options.prune:
        records |= remove_orphans(planned, failures, records)
        sheets.changes |= remove_sheets(planned, failures, [])
    agreed, canonical = True, False
    if not options.locked:
        failed, agreed, canonical = _lock(planned, records, sheets.changes)
        failures += failed
    failures += share_built(planned, options, records, reporter, _bought(result))
    counts = _counts(planned, result)
    code = _exit_code(planned, result, failures)
    remember_made(planned, options, look, placed, records, done=code == 0 and agreed, canonical=canonical)
    notices = (*_left_alone(planned), *homecoming, *planned.notices, *_marks_lost(result))
    first = not loaded.lock.exists and counts.get("generated", 0) > 0
    return Summary(code, counts, result.spent, notices, time.monotonic() - start, tuple(failures), first)


Begun = tuple[Planned, InputsSeen, tuple[Problem, ...]]


def _in_full(options: Options, began: int) -> Begun:
    """The plan of everything, how its inputs stood before the journal was read, and what came home."""
    loaded = load(options, prints=True)
    homecoming = bring_home(loaded)
    look = InputsSeen.at(loaded, began)
    return make(loaded, options), look, homecoming


def _in_part(options: Options, began: int) -> Begun | None:
    """The same where some assets are believed to be fresh; None where the build may ask for more of them than a plan does."""
    loaded = incremental.load(options)
    if loaded is None or pushes(loaded.manifest, options, environ_of(loaded)) or (loaded.state / "rescue").exists():
        return None
    look = InputsSeen.at(loaded, began)
    planned = incremental.planned(loaded, options)
    if planned is None or busy(planned.plan.atlases) or _takes_from_believed(planned):
        return None
    return planned, look, ()


def _takes_from_believed(planned: Planned) -> bool:
    """Whether bytes are wanted that nothing but a believed entry's file may have."""
    facts = planned.seen.facts
    digests = (digest for step in planned.plan.busy if step.verdict is not Verdict.FRESH for digest in _bytes_of(step))
    return any(digest and digest not in facts.blobs and digest in facts.untouched.files for digest in digests)


def _bytes_of(step: Step) -> Iterator[str]:
    for plan in step.candidates:
        yield from (plan.digest, *plan.candidate.action.inputs)
    yield from (output.digest for output in step.outputs)


def plan_data(planned: Planned) -> dict[str, object]:
    """The plan for the reporter: its value, and the summary as JSON has it."""
    plan = planned.plan
    cost = {unit: str(amount) for unit, amount in plan.cost.items()}
    most = {"most": {unit: str(amount) for unit, amount in plan.most.items()}} if plan.further_cost else {}
    return {
        "summary": {**plan.counts, "cost": cost, **most, "unknown_price": plan.unknown_price, "seconds": round(plan.seconds)}
    }


def _refuse_drift(planned: Planned, options: Options) -> None:
    """CachedJudgements at the plan, before any submit."""
    drifted = drift(planned, keep_modified=options.keep_modified)
    if drifted:
        raise NotUpToDate(f"--locked: {'; '.join(drifted.sentences())}", code="locked")


def _gate(planned: Planned, options: Options, ask: Callable[[Planned], bool] | None) -> None:
    decision = planned.decide(options)
    if decision.answer == "open":
        return
    if decision.answer == "ask" and ask is not None:
        if ask(planned):
            return
        raise GateStop("declined: nothing was sent", code=decision.code)
    raise GateStop(decision.message, code=decision.code)


def is_done(planned: Planned, options: Options) -> bool:
    """Whether nothing at all is to do: no step, no ticket, no orphan to mark, no lock record to mend."""
    plan = planned.plan
    if any(step.verdict not in (Verdict.FRESH, Verdict.MODIFIED) or step.moved_from for step in plan.busy):
        return False
    if options.prune and plan.orphans:
        return False
    if orphan_changes(planned) or busy(plan.atlases) or (options.prune and any(gone_sheets(planned))):
        return False
    if planned.is_checked and not options.locked and verdicts.stale_checks(planned):
        return False
    if options.offline or not planned.cache.has_journal():
        return True
    project = planned.loaded.project
    return not planned.cache.journal.live(project=project) and not _reachable(planned, project)


def _reachable(planned: Planned, project: str) -> bool:
    """Whether there are tickets of a project that is gone, which an account of this manifest might collect."""
    return any(attempt.family in families(planned.manifest) for attempt in abandoned(planned.cache, project))


def _left_alone(planned: Planned) -> tuple[Problem, ...]:
    """Names the files that a person edited and that this build does not touch: the first ten, and how many more."""
    steps = planned.plan.busy
    outputs = [output for step in steps for output in step.outputs if output.verdict is Verdict.MODIFIED]
    paths = [output.spec.path for output in outputs if output.reason != OTHER_POINTER]  # these have a sentence of their own
    if not paths:
        return ()
    more = f" and {len(paths) - NAMES_MAX:,} more" if len(paths) > NAMES_MAX else ""
    what = "1 file was changed by hand and is" if len(paths) == 1 else f"{len(paths):,} files were changed by hand and are"
    hint = "`--overwrite` replaces them, and keeps them in the project's own folder"
    return (Problem("modified", f"{what} left alone: {', '.join(paths[:NAMES_MAX])}{more}", hint=hint),)


def _fresh_counts(planned: Planned) -> dict[str, int]:
    modified = sum(step.verdict is Verdict.MODIFIED for step in planned.plan.busy)
    return {"fresh": len(planned.plan.steps) - modified, "modified": modified}


# ---------------------------------------------------------------- after the run


def _renamed(planned: Planned) -> dict[str, LockEntry | None]:
    """The records of entries that have another name now and nothing to do: their files stay where they were."""
    lock, idle = planned.loaded.lock.entries, (Verdict.FRESH, Verdict.MODIFIED)
    return {step.id: lock[step.moved_from] for step in planned.plan.busy if step.moved_from and step.verdict in idle}


def _bought(result: RunResult) -> frozenset[str]:
    """Entries whose pictures came from a provider in this run."""
    return frozenset(id for id, outcome in result.outcomes.items() if outcome.how in ("generated", "resumed", "recovered"))


def _marks_lost(result: RunResult) -> tuple[Problem, ...]:
    """Named once the pictures are there: nobody can know before what a provider puts into a file."""
    files = [path for outcome in result.outcomes.values() if outcome.published for path in outcome.published.unsigned]
    return (marks_lost(files),) if files else ()


def _lock(
    planned: Planned, records: Mapping[str, LockEntry | None], sheets: Mapping[str, LockAtlas | None]
) -> tuple[list[Failure], bool, bool]:
    """Write the lockfile; a failure is reported, the pictures are in the vault.

    Then whether nobody else wrote it meanwhile, and whether its bytes are known to be those that its records give.
    """
    loaded = planned.loaded
    names = {step.id: step.moved_from for step in planned.plan.busy if step.moved_from and step.id in records}
    before = {step.id: loaded.lock.entries.get(step.moved_from or step.id) for step in planned.plan.busy}
    agreed = same = True

    def change(now: Mapping[str, LockEntry]) -> Mapping[str, LockEntry | None]:
        nonlocal agreed, same
        same = now is loaded.lock.entries
        agreed = same or now == (
            lockfile.parse(loaded.lock.raw, loaded.lock_path) if loaded.fresh_assets else loaded.lock.entries
        )
        current = {id: now.get(id) or now.get(names.get(id, "")) for id in records}
        new_records = {id: record and reconcile(before.get(id), current[id], record) for id, record in records.items()}
        return {**dict.fromkeys(names.values()), **new_records}

    try:
        loaded.lock_path.parent.mkdir(parents=True, exist_ok=True)
        name = os.path.basename(loaded.manifest.file)
        written = lockfile.update(loaded.lock_path, loaded.state, name, change, sheets, loaded.lock)
        planned.cache.add_root(loaded.lock_path)
    except (OSError, CacheError) as error:
        return [Failure("", "lock-not-written", f"the lockfile could not be written: {error}")], False, False
    return [], agreed, written or (same and loaded.lock.canonical)


def _failures(planned: Planned, result: RunResult) -> list[Failure]:
    failures = [Failure("", kind, message) for kind, message in result.stops if kind not in ("interrupted",)]
    stop_messages = {message for _, message in result.stops}
    failures += [Failure(id, "doubt", message) for id, message in result.doubts if id not in result.outcomes]
    for step in planned.plan.busy:
        outcome = result.outcomes.get(step.id)
        if outcome is not None and outcome.kind is not OutcomeKind.DONE and outcome.message not in stop_messages:
            failures.append(Failure(step.id, outcome.code, outcome.message))
    return failures


def _counts(planned: Planned, result: RunResult) -> dict[str, int]:
    remembered = len(planned.plan.steps) - len(planned.plan.busy)
    counts = {"fresh": remembered} if remembered else {}
    for step in planned.plan.busy:
        name = _count_name(step, result)
        counts[name] = counts.get(name, 0) + 1
    return counts


def _count_name(step: Step, result: RunResult) -> str:
    outcome = result.outcomes.get(step.id)
    if outcome is None:
        idle = step.verdict in (Verdict.FRESH, Verdict.MODIFIED)
        return step.verdict.value if idle else "skipped"
    if outcome.kind is OutcomeKind.DONE:
        return {"recovered": "resumed"}.get(outcome.how, outcome.how)
    return outcome.kind.value


def _exit_code(planned: Planned, result: RunResult, failures: list[Failure]) -> int:
    codes = {0}
    if result.interrupted:
        codes.add(130)
    for kind, _ in result.stops:
        codes.add(STOP_CODES.get(kind, 1))
    if result.doubts:
        codes.add(6)
    for step in planned.plan.busy:
        outcome = result.outcomes.get(step.id)
        if outcome is None:
            codes.add(0 if step.verdict in (Verdict.FRESH, Verdict.MODIFIED) else 1)
        elif outcome.kind is OutcomeKind.DOUBT:
            codes.add(6)
        elif outcome.kind is not OutcomeKind.DONE:
            codes.add(STOP_CODES.get(outcome.code, 1))
    if any(code in ("lock-not-written", "not-pushed", "atlas", "expect") for _, code, _ in failures):
        codes.add(1)
    return next(code for code in ORDER if code in codes)
