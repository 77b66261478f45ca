"""Files that the manifest no longer wants, and what becomes of their records: after a build with --prune, and for `clean`.

Knows no network; nothing here spends, and what is a person's work is left.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from qwenbuild import tree
from qwenbuild.engine.sheets import remove_sheets
from qwenbuild.lock import lockfile
from qwenbuild.lock.records import reconcile
from qwenbuild.model import Failure, LockEntry, LockOutput, Orphan
from qwenbuild.planning.planner import Planned, plan
from qwenbuild.project.options import Options


@dataclass(frozen=True, slots=True)
class Cleaned:
    """What `clean` removed, or would remove, and what it kept with the reason. `failed`: something could not be removed."""

    removed: tuple[str, ...]
    kept: tuple[tuple[str, str], ...] = ()
    failed: bool = False


def orphan_changes(planned: Planned) -> dict[str, LockEntry | None]:
    """Records that are not marked yet as what the manifest no longer wants. Nothing under a selection."""
    if planned.selected is not None:
        return {}
    lock = planned.loaded.lock.entries
    by_id: dict[str, list[str]] = {}
    for orphan in planned.plan.orphans:
        by_id.setdefault(orphan.id, []).append(orphan.path)
    ids = {keyed.entry.id for keyed in planned.loaded.keyed}
    moved_ids = {step.moved_from for step in planned.plan.busy}
    changes: dict[str, LockEntry | None] = {}
    for id, paths in by_id.items():
        marked = _marked(lock[id], paths, whole=id not in ids)
        if marked != lock[id] and id not in moved_ids:
            changes[id] = marked
    return changes


def _marked(record: LockEntry, paths: list[str], *, whole: bool) -> LockEntry:
    if whole:
        return replace(record, orphan=True)
    outputs = dict(record.outputs)
    for path in paths:
        output = outputs.get(path)
        if output is not None and not output.orphan:
            outputs[path] = LockOutput(output.digest or record.digest, output.recipe, True)
    return replace(record, outputs=outputs)


def remove_orphans(
    planned: Planned, failures: list[Failure], new_records: Mapping[str, LockEntry | None] | None = None
) -> dict[str, LockEntry | None]:
    """Remove orphans' files that are unmodified and whose bytes are in the vault; the records that follow from it.

    `new_records` are the records that a build has just made.
    """
    removed: dict[str, set[str]] = {}
    for orphan in planned.plan.orphans:
        try:
            if orphan.removable and _remove(planned, orphan):
                removed.setdefault(orphan.id, set()).add(orphan.path)
        except tree.NotWritten as error:
            failures.append(Failure(orphan.id, "not-removed", f"{orphan.path}: {error}"))
    records = {**planned.loaded.lock.entries, **(new_records or {})}
    return {id: _without(planned, id, records[id], paths) for id, paths in removed.items()}


def _remove(planned: Planned, orphan: Orphan) -> bool:
    """True when the orphan's file is not there any more."""
    file = planned.seen.files.get(orphan.path)
    if file is not None:
        tree.remove(planned.loaded.root, orphan.path, file.signature)
    return True


def _without(planned: Planned, id: str, record: LockEntry | None, paths: set[str]) -> LockEntry | None:
    if record is None:
        return None
    is_orphan = all(keyed.entry.id != id for keyed in planned.loaded.keyed)
    left = {path: output for path, output in record.outputs.items() if path not in paths}
    if is_orphan and all(map(planned.wants, left)):
        return None
    return replace(record, outputs=left, orphan=is_orphan)


def clean(options: Options, all: bool, dry: bool) -> Cleaned:
    """Remove orphans, or with `all` every unmodified file of ours that can be had again at no cost. Loses nothing."""
    planned = plan(replace(options, select=()))
    removed, kept, failed = _orphans(planned, dry)
    if all:
        for path in _ours(planned):
            try:
                is_removed = dry or tree.remove(planned.loaded.root, path, planned.seen.files[path].signature)
            except tree.NotWritten as error:
                failed.append((path, f"cannot be removed: {error}"))
            else:
                removed += [path] if is_removed else []
        left = _left(planned, [*removed, *(path for path, _ in failed)])
        kept += [(path, "modified, or the only copy of its bytes") for path in left]
    return Cleaned(tuple(removed), (*kept, *failed), bool(failed))


def _orphans(planned: Planned, dry: bool) -> tuple[list[str], list[tuple[str, str]], list[tuple[str, str]]]:
    orphans = planned.plan.orphans
    remaining = [(o.path, "modified, or the only copy of its bytes") for o in orphans if not o.removable and o.path]
    removed = [orphan.path for orphan in orphans if orphan.removable and orphan.present]
    failures: list[Failure] = []
    sheets = remove_sheets(planned, failures, removed, dry=dry)
    changes = remove_orphans(planned, failures) if not dry and orphans else {}
    failed = [(id, message) for id, _, message in failures]
    loaded = planned.loaded

    def change(now: Mapping[str, LockEntry]) -> Mapping[str, LockEntry | None]:
        return {id: record and reconcile(loaded.lock.entries.get(id), now.get(id), record) for id, record in changes.items()}

    if not dry and (changes or sheets):
        lockfile.update(loaded.lock_path, loaded.state, os.path.basename(loaded.manifest.file), change, sheets)
    return removed, remaining, failed


def _ours(planned: Planned) -> Iterator[str]:
    """Unmodified files of live entries whose bytes, or whose picture's bytes, are in the vault."""
    lock = planned.loaded.lock.entries
    blobs = planned.seen.facts.blobs
    for keyed in planned.loaded.keyed:
        record = lock.get(keyed.entry.id)
        if record is None:
            continue
        for path, output in record.outputs.items():
            file = planned.seen.files.get(path)
            digest = output.digest or record.digest
            if file is not None and file.digest == digest and (digest in blobs or (output.recipe and record.digest in blobs)):
                yield path


def _left(planned: Planned, removed: list[str]) -> Iterator[str]:
    removed_paths = set(removed)
    entry_paths = {spec.path for keyed in planned.loaded.keyed for spec in keyed.entry.outputs}
    yield from (path for path in planned.seen.files if path in entry_paths and path not in removed_paths)
