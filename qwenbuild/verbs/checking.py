"""Hold what exists against what is expected of it, without building: every verdict, found where nobody looked yet.

Knows no network; neither the output tree nor the lockfile is written.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from qwenbuild import tree
from qwenbuild.errors import CacheError
from qwenbuild.images import PluginFailed
from qwenbuild.later import later
from qwenbuild.model import CheckVerdict, LockEntry, Step
from qwenbuild.planning import incremental, planner
from qwenbuild.planning.check_status import Subject, comparing, pictures, settled, subjects
from qwenbuild.planning.planner import Planned
from qwenbuild.planning.verdict_cache import SetVerdicts, judged, set_verdicts
from qwenbuild.project.options import Options

with later:
    from qwenbuild import checks

NOT_BUILT = "there is no picture yet"
NOT_HERE = "the bytes are not on this machine"


@dataclass(frozen=True, slots=True)
class CheckRow:
    """One check of one picture or file; without a verdict `missing` says why there is none. `path` is "" for the picture."""

    id: str
    asset: str
    check: str
    path: str = ""
    verdict: CheckVerdict | None = None
    missing: str = ""

    @property
    def word(self) -> str:
        """pass, warn, fail, or unjudged."""
        return self.verdict.verdict if self.verdict is not None else "unjudged"


@dataclass(frozen=True, slots=True)
class CheckReport:
    """Every check of the entries that were asked for, in the manifest's order. `stale` are entries of which the lockfile says
    something else, or of which a check could not be judged.
    """

    rows: tuple[CheckRow, ...]
    stale: tuple[str, ...]

    @property
    def counts(self) -> dict[str, int]:
        """How many rows of each word."""
        words = [row.word for row in self.rows]
        return {word: words.count(word) for word in ("pass", "warn", "fail", "unjudged")}


def check(options: Options) -> CheckReport:
    """Judge the pictures and files that the lockfile names. Raises InputError, CacheError."""
    planned = incremental.plan(options) or planner.plan(options)
    reader = _Reader(planned)
    lock = planned.loaded.lock.entries
    steps = [(step, lock.get(step.moved_from or step.id)) for step in planned.plan.busy]
    verdicts = _judge_all(planned, reader, [subject for step, record in steps for subject in subjects(step, record)])
    entries = comparing(planned)
    sets = set_verdicts(planned.cache, entries, pictures(planned, {}), reader.read) if entries else SetVerdicts()
    rows: list[CheckRow] = []
    stale = []
    for step, record in steps:
        own = list(_rows(step, record, verdicts, sets))
        rows += own
        if own and not _agrees(own, record):
            stale.append(step.id)
    return CheckReport(tuple(rows), tuple(stale))


class _Reader:
    """The bytes of the vault, and of the tree where it still holds them. Nothing enters the vault."""

    def __init__(self, planned: Planned) -> None:
        self._planned = planned
        self._paths = {file.digest: path for path, file in planned.seen.files.items()}

    def read(self, digest: str) -> bytes:
        """The bytes. Raises CacheError when this machine has them no more."""
        if self._planned.cache.has_blob(digest):
            return self._planned.cache.read_blob(digest)
        path = self._paths.get(digest)
        data = tree.read(self._planned.loaded.root, path) if path is not None else b""
        if hashlib.sha256(data).hexdigest() != digest:
            raise CacheError(NOT_HERE)
        return data


Found = Mapping[tuple[str, str], Sequence[CheckVerdict] | str]
"""Entry and path to the verdicts, or to why there are none."""


def _judge_all(planned: Planned, reader: _Reader, asked: Sequence[Subject]) -> Found:
    """Judge on as many threads as there are processors: Pillow works outside the interpreter's lock."""

    def one(subject: Subject) -> Sequence[CheckVerdict] | str:
        try:
            return judged(planned.cache, subject.expect, subject.digest, lambda: reader.read(subject.digest))
        except (CacheError, PluginFailed) as error:
            return str(error)

    with ThreadPoolExecutor(os.cpu_count()) as threads:
        return dict(zip([(subject.id, subject.path) for subject in asked], threads.map(one, asked), strict=True))


def _rows(step: Step, record: LockEntry | None, found: Found, sets: SetVerdicts) -> Iterator[CheckRow]:
    entry = step.keyed.entry

    def row(check: str, path: str, found: CheckVerdict | str) -> CheckRow:
        if isinstance(found, str):
            return CheckRow(step.id, entry.asset, check, path, None, found)
        return CheckRow(step.id, entry.asset, check, path, settled(step, record, found))

    for path, expect in (("", entry.expect), *((spec.path, spec.expect) for spec in entry.outputs)):
        verdicts = found.get((step.id, path), NOT_BUILT)
        if isinstance(verdicts, str):
            yield from (row(name, path, verdicts) for name in expect or ())
        else:
            yield from (row(verdict.check, path, verdict) for verdict in verdicts)
    beside = {verdict.check: verdict for verdict in sets.verdicts.get(step.id, ())}
    missing = NOT_BUILT if record is None else "not all pictures of its set are on this machine"
    yield from (row(name, "", beside.get(name, missing)) for name in entry.set_checks or ())


def _agrees(rows: Sequence[CheckRow], record: LockEntry | None) -> bool:
    """Whether the lockfile says the same."""
    worst: dict[str, str] = {}
    order = ("pass", "warn", "fail", "unjudged")
    for row in rows:
        if checks.is_reported(row.check):
            worst[row.check] = max(worst.get(row.check, "pass"), row.word, key=order.index)
    return record is not None and worst == dict(record.checks)
