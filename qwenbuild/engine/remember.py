"""Hand what a finished build knows to the remembered state, so that the next one need not look.

Decides only what may be remembered; `recall` decides what may be believed.
"""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Container, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from qwenbuild.cache import cache_dir
from qwenbuild.catalog import read_on
from qwenbuild.errors import CacheError, Problem
from qwenbuild.model import LockEntry, Step, Verdict
from qwenbuild.planning.drift import drift
from qwenbuild.planning.eligibility import ListedFiles, memory_of
from qwenbuild.planning.holdings import only_in_tree
from qwenbuild.planning.loading import Loaded
from qwenbuild.planning.observe import Vault
from qwenbuild.planning.planner import Planned
from qwenbuild.project.options import Options
from qwenbuild.report.problems import NOTICES, format_problem
from qwenbuild.resolve import RETIRES_SOON, TABLE_OLD
from qwenbuild.snapshot import entryfile, quick_answer, statefile
from qwenbuild.snapshot.entryfile import FreshRun
from qwenbuild.tree import TreeFile

Inputs = list[tuple[str, statefile.Signature]]
Records = Mapping[str, LockEntry | None]


@dataclass(frozen=True, slots=True)
class InputsSeen:
    """How the inputs stood when they were read: `began` is wall time in nanoseconds before the first of them was."""

    began: int
    inputs: Inputs
    leads: str

    @classmethod
    def at(cls, loaded: Loaded, began: int) -> InputsSeen:
        """The look that belongs to what was loaded. To be taken before the journal is read."""
        return cls(began, *statefile.look(str(loaded.manifest.folder), _inputs(loaded)))

    def settled(self) -> bool:
        """Whether nothing that was read can have been read in the middle of a change."""
        return all(statefile.settled(signature, self.began) for _, signature in self.inputs)

    def again(self, loaded: Loaded, now: int) -> InputsSeen:
        """The same inputs after a build, which itself writes two of them. Its inputs are none when others changed."""
        inputs, leads = statefile.look(str(loaded.manifest.folder), [path for path, _ in self.inputs])
        ours = {_lock_name(loaded), _journal()}
        same = leads == self.leads and all(
            statefile.settled(then[1], self.began) and then == after
            if then[0] not in ours
            else statefile.settled(after[1], now)
            for then, after in zip(self.inputs, inputs, strict=True)
        )
        return InputsSeen(self.began, inputs, leads) if same else InputsSeen(0, inputs, leads)


def remember_idle(planned: Planned, options: Options, look: InputsSeen) -> None:
    """After a build that had nothing to do."""
    if _partial(options):
        return
    trusted = _trusted(planned, look)
    modified = any(step.verdict is Verdict.MODIFIED for step in planned.plan.busy)
    idle = not modified and look.settled() and len(trusted) == len(planned.seen.files)
    plain = _is_simple_plan(planned) and not any(True for _ in only_in_tree(planned)) and not _has_lost(planned)
    facts = {"idle": idle, "plain": plain, "locked": not drift(planned)}
    memory = _Memory(_blobs(planned), {}, look.began, planned.loaded.lock.canonical)
    _write(planned, look, trusted, facts, memory)


def remember_made(
    planned: Planned,
    options: Options,
    look: InputsSeen,
    placed: Mapping[str, TreeFile],
    records: Records,
    *,
    done: bool,
    canonical: bool,
) -> None:
    """After a build that did something; `done`: all of it, so that the next one has nothing to do. `canonical`: the
    lockfile's bytes are those that its records give.
    """
    if _partial(options):
        return
    locked = _lock_stamp(planned.loaded)
    now = _settled_time()
    placed_files = {path: item for path, item in placed.items() if statefile.settled(item.signature, now)}
    files = {path: item for path, item in _trusted(planned, look).items() if path not in placed} | placed_files
    after = look.again(planned.loaded, now)
    modified = any(output.verdict is Verdict.MODIFIED for step in planned.plan.busy for output in step.outputs)
    whole = len(files) == len(planned.seen.files.keys() | placed.keys())
    idle = done and whole and not modified and not options.locked and after.began > 0
    idle = idle and locked == _lock_stamp(planned.loaded)
    blobs = _blobs(planned)
    digests = {record.digest for record in {**planned.loaded.lock.entries, **records}.values() if record is not None}
    plain = _is_simple_plan(planned) and all(digest in blobs for digest in digests) and not _has_lost(planned)
    facts = {"idle": idle, "plain": plain, "locked": False}
    _write(planned, after, files, facts, _Memory(blobs, records, now, canonical) if idle else None)


def _blobs(planned: Planned) -> Container[str]:
    """The vault's blobs: swept anew, or asked one by one where most entries are believed to have theirs."""
    return planned.cache.known_blobs() if planned.fresh_assets is None else Vault(planned.cache)


def _has_lost(planned: Planned) -> bool:
    """Whether a believed entry's picture has gone since the plan was made."""
    fresh = planned.fresh_assets
    if fresh is None:
        return False
    try:
        return fresh.lost(statefile.shards(str(planned.cache.blobs.folder)), planned.cache.known_blobs)
    except (OSError, ValueError, CacheError):
        return True


@dataclass(frozen=True, slots=True)
class _Memory:
    """What the next build may believe of whole assets hangs on this: `moment` is wall time, in nanoseconds, before which
    their inputs must have been written.
    """

    blobs: Container[str]
    records: Records
    moment: int
    canonical: bool


def _kept(planned: Planned, look: InputsSeen, files: ListedFiles, memory: _Memory) -> str:
    """Write down which assets are fresh; the stamp of what was written, "" where nothing was.

    The lockfile must have stood still, for nothing of those assets' records is looked at again.
    """
    present = [(path, signature) for path, signature in look.inputs if signature != statefile.ABSENT]
    settled = {path for path, signature in present if statefile.settled(signature, memory.moment)}
    if _lock_name(planned.loaded) not in settled or _has_lost(planned):
        return ""
    entries = memory_of(planned, files, settled, memory.records, memory.blobs, canonical=memory.canonical)
    return "" if entries is None else entryfile.write(entryfile.path_of(_state_path(planned.loaded)), entries)


def _partial(options: Options) -> bool:
    """A part of the manifest, or another output folder, is not remembered: it would forget the rest."""
    return bool(options.select or options.provider or options.output)


def _inputs(loaded: Loaded) -> list[str]:
    """What the answer hangs on: manifest, what it read, lockfile, journal; that no second manifest and no rescue is there."""
    name = os.path.basename(loaded.manifest.file)
    others = [other for other in quick_answer.NAMES if other != name] if name in quick_answer.NAMES else []
    read = {*loaded.read, *loaded.fresh_assets.files_read()} if loaded.fresh_assets else loaded.read
    return [name, *others, *sorted(read), _lock_name(loaded), f"{loaded.state.name}/rescue", _journal()]


def _manifest_path(loaded: Loaded) -> str:
    return os.path.join(loaded.manifest.folder, os.path.basename(loaded.manifest.file))


def _state_path(loaded: Loaded) -> str:
    return statefile.path_of(_manifest_path(loaded))


def _lock_name(loaded: Loaded) -> str:
    return os.path.splitext(os.path.basename(loaded.manifest.file))[0] + ".lock"


def _lock_stamp(loaded: Loaded) -> tuple[int, int]:
    """By what a lockfile that a person's choice replaced, while this build waited for the clock, is told apart."""
    try:
        status = loaded.lock_path.stat()
    except FileNotFoundError:
        return (0, 0)
    return status.st_ino, status.st_mtime_ns


def _journal() -> str:
    return str(cache_dir(os.environ) / "journal.db")


def _trusted(planned: Planned, look: InputsSeen) -> dict[str, TreeFile]:
    """The files of the tree that cannot have been hashed in the middle of a change."""
    return {path: item for path, item in planned.seen.files.items() if statefile.settled(item.signature, look.began)}


def _is_simple_plan(planned: Planned) -> bool:
    """Whether a look would say nothing but "fresh" of every entry, once all is made: no orphan, no candidate, nothing held."""
    return not planned.plan.orphans and all(_is_simple(step) for step in planned.plan.busy)


def _is_simple(step: Step) -> bool:
    fresh = step.verdict is Verdict.FRESH
    return len(step.candidates) == 1 and not step.approved and not (fresh and step.reasons)


def _write(
    planned: Planned, look: InputsSeen, outputs: Mapping[str, TreeFile], facts: Mapping[str, bool], memory: _Memory | None
) -> None:
    loaded = planned.loaded
    files, laid = _laid(planned, outputs)
    stamp = "" if memory is None else _kept(planned, look, laid, memory)
    blobs = str(planned.cache.blobs.folder)
    if facts["idle"] and planned.cache.has_journal() and planned.cache.journal.live(project=loaded.project):
        facts = {**facts, "idle": False}
    values = {name: str(int(fact)) for name, fact in facts.items()}
    values |= {
        "root": os.path.relpath(loaded.root, loaded.manifest.folder),
        "entries": str(len(loaded.entries) + (loaded.fresh_assets.count if loaded.fresh_assets else 0)),
        "until": _until(loaded, statefile.today()),
        "blobs": blobs,
        "vault": statefile.vault(blobs),
        "kept": stamp,
        **_said(planned.notices),
    }
    statefile.write(_manifest_path(loaded), look.inputs, look.leads, files, values)


def _laid(planned: Planned, outputs: Mapping[str, TreeFile]) -> tuple[statefile.Files, ListedFiles]:
    """The files in the manifest's order, then those that it no longer names."""
    files, places, firsts = statefile.Files(), dict[str, int](), dict[int, int]()

    def add(paths: Iterable[str]) -> None:
        for path in paths:
            if path in outputs and path not in places:
                places[path] = len(files.paths)
                files.add(path, outputs[path].signature, outputs[path].digest)

    for part in (part for _, parts in planned.parts() for part in parts):
        if not isinstance(part, FreshRun):
            add(spec.path for step in part for spec in step.keyed.entry.outputs)
        elif planned.fresh_assets is not None:
            firsts[part.first] = len(files.paths)
            files.take(planned.fresh_assets.state, *planned.fresh_assets.span(part))
    remembered_paths = planned.seen.facts.untouched.paths
    add(path for path in outputs if path not in places and path not in remembered_paths)
    return files, ListedFiles(outputs, places, firsts)


def _said(notices: Collection[Problem]) -> dict[str, str]:
    """The first line of each notice, as many as are shown, and how many are not."""
    lines = [format_problem(notice).partition("\n")[0] for notice in notices]
    return {"notices": "\r".join(lines[:NOTICES]), "more": str(max(0, len(lines) - NOTICES))}


def _until(loaded: Loaded, today: str) -> str:
    """The first day on which a notice about some model's retirement, or the table's age, will be another."""
    corrected = {str(values.get("retires", "")) for values in loaded.manifest.models.values()}
    retired = {day for day in {model.retires for model in loaded.catalog.rows()} | corrected if day}
    soon = {(date.fromisoformat(day) - timedelta(days=RETIRES_SOON)).isoformat() for day in retired}
    old = (date.fromisoformat(read_on()) + timedelta(days=TABLE_OLD + 1)).isoformat()
    return min((day for day in {*retired, *soon, old} if day > today), default=statefile.LAST_DAY)


def _settled_time() -> int:
    """Wall time in nanoseconds, late enough that what this build wrote is no longer too young to be trusted."""
    time.sleep(statefile.RACY_NS * 1.25e-9)
    return time.time_ns()
