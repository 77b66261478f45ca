"""Paid bytes that the cache cannot take: kept in the project, and brought home when the cache works again.

Knows no provider; a rescued file carries its key, its digest and its receipt.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from qwenbuild.cache.blobs import check_digest
from qwenbuild.cache.fsops import Writer, read_file
from qwenbuild.cache.receipts import Stored, result_record, stored_of
from qwenbuild.cache.seal import BrokenSeal, seal, sha256, unseal
from qwenbuild.cache.trouble import as_cache_error
from qwenbuild.model import ActionResult, Ticket

if TYPE_CHECKING:
    from qwenbuild.cache.vault import Cache

_NAME = re.compile(r"([0-9a-f]{64})\.([0-9a-f]{64})\Z")


@dataclass(frozen=True, slots=True)
class Adopted:
    """A picture that came home. `result` is None when only its key was known at the time of need."""

    key: str
    digest: str
    result: ActionResult | None


def folder_of(project: Path) -> Path:
    """Where a project's rescued pictures lie."""
    return project / ".qwenbuild" / "rescue"


def rescue(cache: Cache, data: bytes, key: str, project: Path, result: ActionResult | None = None) -> Path:
    """Write bytes that the cache cannot take, and the receipt where there is one, below the project. Raises OSError."""
    writer = Writer(project, cache.writer.ops)
    path = folder_of(project) / f"{check_digest(key)}.{sha256(data)}"
    if result is not None:
        writer.write(path.with_name(f"{path.name}.json"), seal(result_record(Stored(result, cache.now()))))
    writer.write(path, data)
    return path


@as_cache_error
def adopt(cache: Cache, project: Path) -> tuple[Adopted, ...]:
    """Store each rescued picture as if it had just come; its files go when the vault has it. Raises OSError, CacheError."""
    return tuple(_adopt_one(cache, path, key, data) for path, key, data in _rescued(project))


def _rescued(project: Path) -> Iterator[tuple[Path, str, bytes]]:
    folder = folder_of(project)
    if not folder.is_dir():
        return
    for path in sorted(folder.iterdir()):
        match = _NAME.match(path.name)
        with contextlib.suppress(FileNotFoundError):  # another build brought it home
            if match is not None and sha256(data := read_file(path)) == match[2]:
                yield path, match[1], data


def _adopt_one(cache: Cache, path: Path, key: str, data: bytes) -> Adopted:
    sidecar = path.with_name(f"{path.name}.json")
    digest = cache.put_blob(data)
    result = _receipt(sidecar, key, digest)
    if result is not None:
        cache.put_result(result)
        _settle(cache, result)
    for done in (path, sidecar):
        with contextlib.suppress(FileNotFoundError):
            cache.writer.ops.unlink(done)
    return Adopted(key, digest, result)


def _settle(cache: Cache, result: ActionResult) -> None:
    """Its attempt, where the journal still has it open, is stored now; a ticket that was never written down is, too."""
    attempt = cache.journal.get(result.attempt) if result.attempt and cache.has_journal() else None
    if attempt is None or not attempt.live or (attempt.build and cache.journal.is_alive(attempt.build)):
        return
    if attempt.ticket is None:
        cache.journal.ticket(attempt.id, Ticket(attempt.provider, attempt.base_url, result.task_id, result.request_id))
    cache.journal.stored(attempt.id, result.digest, result.billed)


def _receipt(path: Path, key: str, digest: str) -> ActionResult | None:
    try:
        result = stored_of(unseal(read_file(path))).result
    except (FileNotFoundError, BrokenSeal):
        return None
    return result if (result.key, result.digest) == (key, digest) else None
