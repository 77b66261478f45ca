"""What `explain` can say without the walk, when the remembered state proves that nothing of the entry changed: what
became of other entries' files says nothing about it.

Never says anything else than the walk would: an entry of which anything was chosen, held or rejected is left to it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qwenbuild.cli.call import current
from qwenbuild.key import document, from_document
from qwenbuild.later import later
from qwenbuild.lock import layout, lockfile
from qwenbuild.model import ActionResult, LockEntry, OutputPlan, OutputSpec, Reason, Verdict
from qwenbuild.report.explain_text import picture_facts
from qwenbuild.snapshot import quick_answer, statefile

with later:
    from qwenbuild import cache

SIMPLE = frozenset({"action", "digest", "key", "made", "outputs"})
"""The fields of a record of which nothing was chosen, held or rejected."""


@dataclass(frozen=True, slots=True)
class FreshEntry:
    """An entry whose picture and files are what lockfile and manifest name."""

    id: str
    action: Mapping[str, Any]
    key: str
    lock: Mapping[str, Any]
    outputs: tuple[OutputPlan, ...]
    facts: Mapping[str, Any]
    reasons: tuple[Reason, ...] = field(default=())


def explain(id: str) -> FreshEntry | None:
    """What the lockfile says of one fresh entry; None when the walk must look."""
    call = current()
    manifest = quick_answer.manifest_of(str(call.folder), call.file or "")
    state = None if manifest is None else statefile.unchanged(manifest)
    if state is None or manifest is None or not state.says("plain"):
        return None
    try:
        lock = lockfile.part(lockfile.path_of(Path(manifest)), [id])
        if lock is None or not layout.record(lock.entries[id]).keys() <= SIMPLE:
            return None
        record = lock.entries[id]
        places = [state.paths.index(path, state.inputs) for path in record.outputs]
        if not statefile.has_files(manifest, state, places):
            return None
        result = _result(Path(state.values["blobs"]).parent, record)
    except (OSError, ValueError, TypeError, KeyError):
        return None
    if result is None:
        return None
    action, outputs = document(from_document(record.action)), _outputs(state, sorted(places))
    return FreshEntry(id, action, record.key, layout.record(record), outputs, picture_facts(result))


def _outputs(state: statefile.Snapshot, places: Sequence[int]) -> tuple[OutputPlan, ...]:
    """The entry's files in the order in which the state has them, which is the manifest's."""
    return tuple(OutputPlan(OutputSpec(state.paths[place], ()), Verdict.FRESH, "", "", "", "") for place in places)


def _result(root: Path, record: LockEntry) -> ActionResult | None:
    """The receipt of the picture in use. Its index is not opened: one key's receipts are as quickly read."""
    results = cache.Cache.open(root).receipts.read(record.key)
    return next((item.result for item in results if item.result.digest == record.digest), None)
