"""What is known of each key: from the index where it is fresh, else from receipts, at last from the journal.

Knows no blob's bytes. The index is an accelerator; what had to be read elsewhere is written back to it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING

from qwenbuild.cache import reissue
from qwenbuild.cache.blobs import Blobs
from qwenbuild.cache.receipts import Receipts, Stored, folder_stamp, indexed_of, receipt_name, result_record
from qwenbuild.cache.seal import BrokenSeal, check_version, seal, unseal
from qwenbuild.errors import CacheError
from qwenbuild.model import ActionResult

if TYPE_CHECKING:
    from qwenbuild.cache.index import Index
    from qwenbuild.cache.journal import Journal

VERSION = 1
MEND_AT_MOST = 500
"""So many index entries are mended on the way; more are a case for `cache rebuild`."""


class Results:
    """Look-ups by key. `index` makes the index where there is none, `existing_index` does not; `journal` is None where
    nothing was ever bought.
    """

    def __init__(
        self,
        blobs: Blobs,
        receipts: Receipts,
        notices: list[str],
        index: Callable[[], Index],
        existing_index: Callable[[], Index | None],
        journal: Callable[[], Journal | None],
    ) -> None:
        self._blobs = blobs
        self._receipts = receipts
        self._notices = notices
        self._index = index
        self._existing_index = existing_index
        self._journal = journal
        self._to_mend: dict[str, tuple[Stored, ...]] = {}
        self._reissued: set[str] = set()
        self._unreadable: dict[str, str] = {}

    def results(self, keys: Collection[str]) -> dict[str, tuple[ActionResult, ...]]:
        """What is known of each key, newest first; keys without a result are absent. Nothing is written.

        The index is believed where it is as new as the folder of receipts; elsewhere the receipts are read. A result
        whose receipts were lost is taken from the index.
        """
        key_set = frozenset(keys)
        stamps = self._receipts.stamps(key_set)
        indexed = self._indexed(key_set)
        results = {key: self._results_of(key, stamps.get(key, 0), indexed.get(key)) for key in stamps.keys() | indexed.keys()}
        self._reissue(key_set, results)
        return {key: tuple([item.result for item in items]) for key, items in results.items() if items}

    def _reissue(self, keys: Collection[str], results: dict[str, tuple[Stored, ...]]) -> None:
        """Add what only the journal still knows, and note of which keys something is there that cannot be read."""
        reissued, damaged = reissue.complete(self._journal(), self._blobs, self._receipts, keys, results)
        self._reissued |= reissued
        self._to_mend |= {key: results[key] for key in reissued}
        for key in keys:
            self._unreadable.pop(key, None)
        self._unreadable |= damaged

    def unreadable(self, keys: Collection[str]) -> dict[str, str]:
        """Of these keys, as last looked up: what is there and cannot be read, in a sentence. It may have been paid for."""
        return {key: self._unreadable[key] for key in self._unreadable.keys() & set(keys)}

    def made(self, key: str) -> ActionResult | None:
        """The picture of a key whose bytes are at hand, by its receipts alone: what a plan looked up need not be again.

        Index and journal are busy with others' writes. Raises CacheError when a receipt is there that cannot be read.
        """
        results = {key: self._receipts.read(key)}
        if self._receipts.unreadable.get(key):
            self._reissue((key,), results)
        result = next((item.result for item in results[key] if self._blobs.has(item.result.digest)), None)
        if result is None and key in self._unreadable:
            raise CacheError(self._unreadable[key], code="cache-unreadable")
        return result

    def _results_of(self, key: str, stamp: int, record: tuple[int, tuple[Stored, ...]] | None) -> tuple[Stored, ...]:
        if record is not None and record[1] and stamp and record[0] == stamp:
            return record[1]
        items = self._receipts.read(key) if stamp else ()
        indexed = record[1] if record is not None else ()
        names = {item.result.attempt for item in items}
        items = (*items, *(item for item in indexed if item.result.attempt not in names))
        if items:
            self._to_mend[key] = items
        return items

    def _indexed(self, keys: Collection[str]) -> dict[str, tuple[int, tuple[Stored, ...]]]:
        index = self._existing_index()
        if index is None or not keys:
            return {}
        records = {}
        for key, value in index.get(keys).items():
            try:
                record = unseal(value)
                if record.get("kind") != "results" or record.get("key") != key:
                    raise BrokenSeal("of another key")
                check_version(record, VERSION)
                records[key] = (int(record["folder"]), tuple([indexed_of(item) for item in record["results"]]))
            except (BrokenSeal, KeyError, TypeError, ValueError) as error:
                self._notices.append(f"the index entry of {key} is broken ({error}); its receipts are read")
        return records

    def index_result(self, key: str) -> None:
        """Bring the index to what the receipts of a key say: after the journal says stored. Raises CacheError."""
        self._index().set(key, self.index_record(key, self._receipts.read(key)))
        self._to_mend.pop(key, None)
        if len(self._to_mend) <= MEND_AT_MOST:
            self.mend()

    def index_many(self, keys: Collection[str]) -> None:
        """Bring the index to what the receipts of a few keys say; of very many, lookups read the receipts until a rebuild.

        Each entry is a sync of its own. Raises CacheError.
        """
        for key in keys if len(keys) <= MEND_AT_MOST else ():
            self._index().set(key, self.index_record(key, self._receipts.read(key)))

    def index_record(self, key: str, items: Collection[Stored]) -> bytes:
        """What the index holds of a key: its results, and when its folder of receipts last changed (nanoseconds).

        0, which is never believed to be fresh, where a receipt cannot be read: the results may not be all.
        """
        record = {
            "kind": "results",
            "v": VERSION,
            "key": key,
            "folder": 0 if self._receipts.unreadable.get(key) else folder_stamp(self._receipts.of_key(key)),
            "results": [result_record(item) for item in items],
        }
        return seal(record)

    def mend(self) -> None:
        """Write to the index what lookups had to read from receipts, and the receipts that only the index still knew."""
        mending, self._to_mend = self._to_mend, {}
        self._mend(mending)

    def keep_reissued(self) -> None:
        """Write down the receipts that look-ups made anew from the journal; of very many only some, a rebuild does the rest."""
        keys = [key for key in sorted(self._reissued) if key in self._to_mend][:MEND_AT_MOST]
        self._mend({key: self._to_mend.pop(key) for key in keys})

    def _mend(self, mending: Mapping[str, tuple[Stored, ...]]) -> None:
        for key, items in mending.items():
            names = {receipt_name(item.result) for item in self._receipts.read(key)}
            for item in items:
                if item.result.attempt and receipt_name(item.result) not in names:
                    self._receipts.put_again(item)
            self._reissued.discard(key)
            self._index().set(key, self.index_record(key, items))

    def forget(self, keys: Collection[str]) -> None:
        """Write nothing back of these keys: their pictures are removed."""
        for key in keys:
            self._to_mend.pop(key, None)
            self._reissued.discard(key)


def derived_digest(recipe: str, value: bytes | None) -> str:
    """The digest in an index entry, "" when there is none that can be believed."""
    if value is None:
        return ""
    try:
        record = unseal(value)
    except BrokenSeal:
        return ""
    return str(record["digest"]) if record.get("kind") == "derived" and record.get("recipe") == recipe else ""
