"""How the entries of a plan stand with their checks: every verdict that is known, each with the file or picture it is of.

Judges nothing; whoever does has put the verdicts into the cache.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from qwenbuild.errors import Problem
from qwenbuild.later import later
from qwenbuild.model import CheckVerdict, Entry, LockEntry, Step
from qwenbuild.plan import overruled
from qwenbuild.planning.planner import Planned
from qwenbuild.planning.verdict_cache import SetVerdicts, known_set_verdicts, verdicts_of

with later:
    from qwenbuild import checks


@dataclass(frozen=True, slots=True)
class Judged:
    """One verdict: of an entry's picture, or of the file at `path`. What only warns is a warning here already."""

    id: str
    path: str
    digest: str
    verdict: CheckVerdict

    @property
    def name(self) -> str:
        """The check, and the file where it is one's."""
        return f"{self.verdict.check} {self.path}" if self.path else self.verdict.check


def known_sets(planned: Planned) -> SetVerdicts:
    """The verdicts of all sets, as far as somebody judged them as the lockfile has them."""
    entries = comparing(planned)
    return known_set_verdicts(planned.cache, entries, pictures(planned, {}), lambda _: True) if entries else SetVerdicts()


@dataclass(frozen=True, slots=True)
class Subject:
    """What is judged by itself: an entry's picture, or the file at `path`, with what is expected of it."""

    id: str
    path: str
    digest: str
    expect: Mapping[str, Any]


def subjects(step: Step, record: LockEntry | None, picture: str = "") -> Iterator[Subject]:
    """The picture, which is the record's unless another is said, and the record's files, as far as anything is expected."""
    entry, outputs = step.keyed.entry, record.outputs if record is not None else {}
    picture = picture or (record.digest if record is not None else step.candidates[step.used].digest)
    if entry.expect is not None and picture:
        yield Subject(step.id, "", picture, entry.expect)
    for spec in entry.outputs:
        if spec.expect is not None and spec.path in outputs:
            yield Subject(step.id, spec.path, outputs[spec.path].digest or picture, spec.expect)


def verdicts_of_entry(
    planned: Planned, step: Step, picture: str, record: LockEntry | None, sets: SetVerdicts
) -> tuple[Judged, ...] | None:
    """Every verdict of one entry with this picture and the record's files; None while one is not known."""
    judged: list[Judged] = []
    for subject in subjects(step, record, picture):
        verdicts = verdicts_of(planned.cache, subject.expect, subject.digest)
        if verdicts is None:
            return None
        judged += [Judged(step.id, subject.path, subject.digest, verdict) for verdict in verdicts]
    beside = sets.verdicts.get(step.id, ()) if record is not None and record.digest == picture else ()
    if len(beside) < len(step.keyed.entry.set_checks or ()):
        return None
    judged += [Judged(step.id, "", picture, verdict) for verdict in beside]
    return tuple(replace(item, verdict=settled(step, record, item.verdict)) for item in judged)


def settled(step: Step, record: LockEntry | None, verdict: CheckVerdict) -> CheckVerdict:
    """The verdict as it counts: what would fail is a warning where the entry says so, or a person chose the picture."""
    mild = step.keyed.entry.on_fail == "warn" or overruled(record, step.candidates[step.used].candidate)
    return replace(verdict, verdict="warn") if mild and verdict.verdict == "fail" else verdict


def comparing(planned: Planned) -> list[Entry]:
    """The entries that are compared with others."""
    return [entry for entry in planned.loaded.entries if entry.set_checks is not None]


def pictures(planned: Planned, records: Mapping[str, LockEntry | None]) -> dict[str, tuple[str, ...]]:
    """The pictures, the one in use first, of each entry that is compared or that others are compared with: the lockfile's, and
    the `records` that are to take the place of some of its.
    """
    now: dict[str, Any] = {**planned.loaded.lock.entries, **records}
    entries = comparing(planned)
    ids = [*(entry.id for entry in entries), *(id for entry in entries for id in checks.anchors(entry))]
    return {id: (record.digest, *record.candidates.values()) for id in ids if (record := now.get(id)) is not None}


def noted(planned: Planned) -> Iterator[Problem]:
    """A notice of how many checks fail or warn, by the lockfile's own line of each entry."""
    lock = planned.loaded.lock.entries
    words = [word for step in planned.plan.busy if (record := lock.get(step.id)) for word in record.checks.values()]
    counted = [f"{words.count(word)} {word}" for word in ("fail", "warn") if word in words]
    if counted:
        yield Problem("checks", f"checks: {', '.join(counted)}", hint="`qwenbuild check` lists them")
