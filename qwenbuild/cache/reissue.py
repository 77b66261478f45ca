"""Results made anew from the journal, where it calls a picture stored and no receipt that can be read names it.

Knows no index and no lockfile. What cannot be made anew is told, and never taken for a picture that was not bought.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from qwenbuild.cache.fsops import read_file
from qwenbuild.cache.receipts import Stored, Unreadable, newest_first, receipt_name
from qwenbuild.cache.seal import sha256
from qwenbuild.errors import CacheError
from qwenbuild.later import later
from qwenbuild.model import ActionResult

with later:
    from qwenbuild import images

if TYPE_CHECKING:
    from qwenbuild.cache.attempts import Attempt
    from qwenbuild.cache.blobs import Blobs
    from qwenbuild.cache.journal import Journal
    from qwenbuild.cache.receipts import Receipts


def complete(
    journal: Journal | None,
    blobs: Blobs,
    receipts: Receipts,
    keys: Collection[str],
    results: dict[str, tuple[Stored, ...]],
) -> tuple[set[str], dict[str, str]]:
    """Add to the results what only the journal, None where nothing was ever bought, still knows. The keys that this
    concerns, and a sentence for each key of which something is there that cannot be read. Raises OSError.
    """
    added: set[str] = set()
    damaged: dict[str, str] = {}
    try:
        for key, item in _reissued(journal, blobs, keys, results):
            if isinstance(item, str):
                damaged[key] = item
            else:
                results[key] = newest_first([*results.get(key, ()), item])
                added.add(key)
    except CacheError as error:  # of the journal: what receipts name is at hand all the same
        damaged |= {key: str(error) for key in keys if not results.get(key)}
    for key in receipts.unreadable.keys() & set(keys):
        names = {receipt_name(item.result) for item in results.get(key, ())}
        for receipt in receipts.unreadable[key]:
            if receipt.path.name not in names:
                damaged[key] = _words(receipt)
    return added, damaged


def _reissued(
    journal: Journal | None, blobs: Blobs, keys: Collection[str], results: Mapping[str, Collection[Stored]]
) -> Iterator[tuple[str, Stored | str]]:
    """Key and result of each stored attempt that no result names and whose picture is in the vault; a sentence where
    the picture is damaged.

    Raises CacheError when the journal cannot be used, OSError.
    """
    if journal is None:
        return
    receipt_digests = {key: {item.result.digest for item in items} for key, items in results.items()}
    digests = journal.stored_digests(keys)
    incomplete = [key for key, bought in digests.items() if not bought <= receipt_digests.get(key, set())]
    for key, attempts in journal.by_key(incomplete).items() if incomplete else ():
        for attempt in attempts:
            if attempt.state == "stored" and attempt.digest not in receipt_digests.get(key, ()):
                item = _from_row(blobs, attempt)
                if item is not None:
                    yield key, item


def _from_row(blobs: Blobs, attempt: Attempt) -> Stored | str | None:
    """The result of a stored attempt; None when the vault has not its picture, a sentence when it has other bytes."""
    path = blobs.path(attempt.digest)
    try:
        data = read_file(path)
        media_type, width, height = images.structure.size_of(data)
    except FileNotFoundError:
        return None
    except ValueError as error:
        return _damaged(path, str(error))
    if sha256(data) != attempt.digest:
        return _damaged(path, "its bytes are not those of its name")
    ticket = attempt.ticket
    result = ActionResult(
        key=attempt.key,
        digest=attempt.digest,
        media_type=media_type,
        width=width,
        height=height,
        size=len(data),
        made=datetime.fromtimestamp(attempt.updated, UTC).date().isoformat(),
        provider=attempt.provider,
        task_id=ticket.task_id if ticket else "",
        request_id=ticket.request_id if ticket else "",
        billed=attempt.billed,
        attempt=attempt.id,
        action=dict(attempt.action),
        marks=images.mark_lines(data),
    )
    return Stored(result, attempt.updated)


def _damaged(path: Path, why: str) -> str:
    return f"its picture {path} was paid for and is damaged ({why}); `qwenbuild cache verify` sets it aside, to buy it again"


def _words(item: Unreadable) -> str:
    """What is said of an entry whose receipt cannot be read, when nothing else knows its picture."""
    if item.newer:
        return f"its receipt {item.path} was {item.why}; update qwenbuild: nothing is bought in its place"
    return (
        f"its receipt {item.path} cannot be read ({item.why}) and nothing else names its picture, which may be paid for: "
        "bring the file back from a backup, or buy the picture again with `qwenbuild build --force ENTRY`"
    )
