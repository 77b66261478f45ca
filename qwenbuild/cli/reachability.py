"""What the lockfiles that use this cache still name: keys and digests that `cache gc` must keep.

Does not know the cache's files, and removes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from qwenbuild.later import later

with later:
    from qwenbuild.cache.care import gc
    from qwenbuild.lock import lockfile

if TYPE_CHECKING:
    from qwenbuild.model import LockEntry


def reachable(lockfiles: Iterable[Path]) -> gc.Reachable:
    """Everything that the lockfiles name. Raises InputError for one that cannot be read: it is never taken for empty."""
    keys: set[str] = set()
    digests: set[str] = set()
    for path in lockfiles:
        for entry in lockfile.read(path).entries.values():
            keys.update(_keys(entry))
            digests.update(_digests(entry))
    return gc.Reachable(frozenset(keys), frozenset(digests))


def _keys(entry: LockEntry) -> Iterator[str]:
    yield entry.key
    yield from entry.candidates
    yield from entry.accepted
    yield from entry.accepted.values()
    yield from entry.rejected
    if entry.picked:
        yield entry.picked


def _digests(entry: LockEntry) -> Iterator[str]:
    yield entry.digest
    yield from entry.candidates.values()
    for output in entry.outputs.values():
        yield from (name for name in (output.digest, output.recipe) if name)
