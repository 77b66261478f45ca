"""What the lockfile still names and the manifest no longer wants.

Removes nothing; it says what could be removed at no loss.
"""

from __future__ import annotations

from collections.abc import Collection, Container, Iterator

from qwenbuild.model import Keyed, LockEntry, Orphan
from qwenbuild.plan.facts import Facts

SIDECARS = (".meta", ".import")
"""What game engines keep beside a file; never ours to remove."""


def find_orphans(whole: Collection[Keyed], facts: Facts, moved_ids: Container[str]) -> Iterator[Orphan]:
    """Paths of the lockfile that nothing wants any more, and entries without a path left."""
    if not facts.seen.lock:
        return
    entry_paths = {spec.path for keyed in whole for spec in keyed.entry.outputs}
    ids = {keyed.entry.id for keyed in whole}
    untouched = facts.seen.untouched
    for id, record in facts.seen.lock.items():
        is_orphan = id not in ids
        paths = [path for path in record.outputs if path not in entry_paths and path not in untouched.paths]
        if not paths and is_orphan and id not in moved_ids:
            yield Orphan(id, "", record.digest, True, False)
        for path in paths:
            yield _orphan(id, path, record, facts)


def _orphan(id: str, path: str, record: LockEntry, facts: Facts) -> Orphan:
    output = record.outputs[path]
    digest = output.digest or record.digest
    current = facts.seen.files.get(path)
    unmodified = current is None or (current == digest and (current in facts.seen.blobs or bool(output.recipe)))
    return Orphan(id, path, digest, unmodified and not path.endswith(SIDECARS), current is not None)
