"""After a run: judge the sets, say what fails, and put every check's verdict into the lock records, a word for each.

Knows no check; judges nothing twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from qwenbuild.engine.context import make_publisher
from qwenbuild.later import later
from qwenbuild.model import Entry, Failure, LockEntry, Step
from qwenbuild.plan import overruled
from qwenbuild.planning.check_status import Judged, comparing, known_sets, pictures, verdicts_of_entry
from qwenbuild.planning.planner import Planned
from qwenbuild.planning.verdict_cache import SetVerdicts, set_verdicts

with later:
    from qwenbuild import checks

Records = Mapping[str, LockEntry | None]
WORST = {"pass": 0, "warn": 1, "fail": 2}


@dataclass(frozen=True, slots=True)
class SetsJudged:
    """What a build's pictures came to beside others. `records` are those whose line of checks is not what it was."""

    records: Mapping[str, LockEntry | None] = field(default_factory=dict)
    failures: tuple[Failure, ...] = ()


def judge_sets(planned: Planned, records: Records) -> SetsJudged:
    """Judge every set as it stands after the run, on this machine, and note all verdicts of the entries that were planned."""
    entries, read = comparing(planned), make_publisher(planned, {}).bytes_of
    verdicts = set_verdicts(planned.cache, entries, pictures(planned, records), read) if entries else SetVerdicts()
    changed = dict(changed_checks(planned, records, verdicts))
    return SetsJudged(changed, tuple(_failures(planned, {**records, **changed}, verdicts)))


def stale_checks(planned: Planned) -> dict[str, LockEntry | None]:
    """The lock records whose line of checks is not what is known by now, without looking at a single picture."""
    return dict(changed_checks(planned, {}, known_sets(planned)))


def changed_checks(planned: Planned, records: Records, sets: SetVerdicts) -> Iterator[tuple[str, LockEntry]]:
    """The records that need another line of checks. Where a verdict is not known the lockfile's word stays."""
    lock = planned.loaded.lock.entries
    for step in planned.plan.busy:
        record = records[step.id] if step.id in records else lock.get(step.moved_from or step.id)
        if record is None or not (record.checks or _expects(step.keyed.entry)):
            continue
        verdicts = verdicts_of_entry(planned, step, record.digest, record, sets)
        if verdicts is not None and (words := _worst(verdicts)) != record.checks:
            yield step.id, replace(record, checks=words)


def _expects(entry: Entry) -> bool:
    return entry.set_checks is not None or any(expect is not None for expect in (entry.expect, *_of_files(entry)))


def _of_files(entry: Entry) -> Iterator[Mapping[str, object] | None]:
    return (spec.expect for spec in entry.outputs)


def _worst(verdicts: Sequence[Judged]) -> dict[str, str]:
    """Name to the worst word, of the picture and its files; what a file simply is, is left out."""
    words: dict[str, str] = {}
    for item in verdicts:
        name, word = item.verdict.check, item.verdict.verdict
        if checks.is_reported(name) and WORST[word] >= WORST[words.get(name, "pass")]:
            words[name] = word
    return words


def _failures(planned: Planned, records: Records, sets: SetVerdicts) -> Iterator[Failure]:
    now = {**planned.loaded.lock.entries, **records}
    for step in planned.plan.busy:
        faults = [verdict.fault for verdict in sets.verdicts.get(step.id, ()) if verdict.verdict == "fail"]
        if faults and step.keyed.entry.on_fail != "warn" and not _is_overruled(step, now.get(step.id)):
            yield Failure(step.id, "expect", f"the picture is not what is expected: {'; '.join(faults)}")


def _is_overruled(step: Step, record: LockEntry | None) -> bool:
    return overruled(record, step.candidates[step.used].candidate)
