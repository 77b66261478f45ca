"""Make the index anew from the receipts, beside the old one, and a broken journal from its whole rows.

Knows no lockfile. The old index is set aside only when the new one is complete.
"""

from __future__ import annotations

import os
import secrets
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

from qwenbuild.cache.care.verify import Report, journal_state, salvage, verify
from qwenbuild.cache.fsops import READING
from qwenbuild.cache.index import Index
from qwenbuild.cache.seal import seal
from qwenbuild.cache.trouble import as_cache_error

if TYPE_CHECKING:
    from qwenbuild.cache.vault import Cache


@as_cache_error
def rebuild(cache: Cache) -> Report:
    """The report of what is there now. Raises CacheError, OSError."""
    saved = lost = 0
    with cache.builds.none_running():
        broken = journal_state(cache) != "ok"
        if broken:
            saved, lost = salvage(cache)
        _reindex(cache)
    return replace(verify(cache, full=False), rescued_attempts=saved, lost_attempts=lost, made_anew=broken)


def _reindex(cache: Cache) -> None:
    """Fill a new index without a sync for each entry, sync it whole, and put it in the old one's place."""
    cache.restore_receipts()
    fresh = Index(cache.root, cache.writer, cache.notices, folder=f"index.new-{secrets.token_hex(4)}", synchronous=0)
    for key in cache.receipts.keys():  # noqa: SIM118 - a method of our own
        items = cache.receipts.read(key)
        if items:
            fresh.set(key, cache.known.index_record(key, items))
    for recipe in cache.receipts.recipes():
        record = cache.receipts.derived(recipe)
        if record is not None:
            cache.receipts.mark_derived(record["digest"], recipe)
            fresh.set(recipe, seal(record))
    fresh.close()
    cache.close()
    old = cache.root / "index"
    if fresh.folder.exists():
        _sync(fresh)
        cache.writer.forget(fresh.folder)
        if old.exists():
            shutil.rmtree(cache.writer.move_aside(old, "index.old"))
        cache.writer.ops.replace(fresh.folder, old)
        cache.writer.ops.fsync_folder(cache.root)


def _sync(index: Index) -> None:
    fd = os.open(index.database, READING)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
