"""Receipts: what was asked, what came, what it cost; and which file a recipe made. Authoritative, self-describing.

Knows no blob's bytes and no index; holds no secret and no address with a query.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from qwenbuild.cache.blobs import check_digest, folders_of, is_digest
from qwenbuild.cache.fsops import Writer, read_file
from qwenbuild.cache.seal import BrokenSeal, NewerRecord, check_version, seal, unseal, without_query
from qwenbuild.errors import CacheError
from qwenbuild.model import ActionResult, Price

VERSION = 1
SWEEP_FROM = 1000
"""From this many keys on, listing all folders once is cheaper than asking for each."""

_ATTEMPT = re.compile(r"[0-9a-z][0-9a-z-]{0,79}\Z")


@dataclass(frozen=True, slots=True)
class Stored:
    """A result and when it was stored (wall seconds): the order of several results for one key."""

    result: ActionResult
    stored: float


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A receipt that is there and says nothing: what was bought may stand in it. `newer`: a later version can read it."""

    path: Path
    why: str
    newer: bool = False


def price_text(price: Price | None) -> dict[str, str] | None:
    """A price as JSON holds it: unit to decimal string."""
    return None if price is None else {unit: format(amount, "f") for unit, amount in sorted(price.items())}


def price_of(value: Any) -> Price | None:
    """The price that JSON holds. Raises BrokenSeal when it is none."""
    if value is None:
        return None
    try:
        return {str(unit): Decimal(amount) for unit, amount in value.items()}
    except (InvalidOperation, TypeError, ValueError, AttributeError):
        raise BrokenSeal("not a price") from None


def result_record(stored: Stored) -> dict[str, Any]:
    """The JSON object of one result."""
    result = stored.result
    marks = {"marks": list(result.marks)} if result.marks else {}
    return {
        **marks,
        "kind": "result",
        "v": VERSION,
        "key": result.key,
        "digest": result.digest,
        "media_type": result.media_type,
        "width": result.width,
        "height": result.height,
        "size": result.size,
        "made": result.made,
        "provider": result.provider,
        "task_id": result.task_id,
        "request_id": result.request_id,
        "actual_prompt": result.actual_prompt,
        "billed": price_text(result.billed),
        "attempt": result.attempt,
        "action": dict(result.action),
        "stored": format(stored.stored, ".6f"),
    }


_FIELDS = (
    "key", "digest", "media_type", "width", "height", "size", "made", "provider", "task_id", "request_id", "actual_prompt",
    "billed", "attempt", "action",
)  # fmt: skip
_TYPES = [str, str, str, int, int, int, str, str, str, str, str, str, dict]
"""Of the fields without `billed`: a hundred thousand records are looked at in one plan."""


def stored_of(record: Mapping[str, Any]) -> Stored:
    """The result that a record holds. Raises BrokenSeal when it is none that this version knows."""
    if record.get("kind") != "result":
        raise BrokenSeal("not a result")
    check_version(record, VERSION)
    try:
        values = [record[name] for name in _FIELDS]
        stored = float(record["stored"])
    except (KeyError, TypeError, ValueError) as error:
        raise BrokenSeal(f"field missing or strange: {error}") from None
    billed = values[11]
    if [type(value) for value in (*values[:11], *values[12:])] != _TYPES:
        raise BrokenSeal("a field has the wrong type")
    if not (is_digest(values[0]) and is_digest(values[1])):
        raise BrokenSeal("key or digest is no SHA-256")
    if billed is not None:
        values[11] = price_of(billed)
    return Stored(ActionResult(*values, *_marks(record)), stored)


def indexed_of(record: Mapping[str, Any]) -> Stored:
    """The result in an index entry whose seal is whole: `stored_of` let it in, so its types are known. Raises KeyError."""
    values = [record[name] for name in _FIELDS]
    if values[11] is not None:
        values[11] = price_of(values[11])
    return Stored(ActionResult(*values, *_marks(record)), float(record["stored"]))


def _marks(record: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """What the picture says of its origin, as the field that follows; most pictures say nothing."""
    marks = record.get("marks")
    return [tuple([str(mark) for mark in marks])] if isinstance(marks, list) else []


def receipt_name(result: ActionResult) -> str:
    """The file of a result's receipt in its key's folder: named by the attempt, or by the digest of what was imported."""
    return f"{result.attempt or f'import-{check_digest(result.digest)[:16]}'}.json"


def newest_first(items: Collection[Stored]) -> tuple[Stored, ...]:
    """The results in the order in which they are offered."""
    return tuple(sorted(items, key=lambda item: (item.stored, item.result.attempt), reverse=True))


class Receipts:
    """The folder `receipts`. Methods raise OSError as the system gives it; a receipt that cannot be read is a notice,
    and stands in `unreadable`: whoever would buy its key asks there."""

    def __init__(self, root: Path, writer: Writer, notices: list[str], clock: Callable[[], float] = time.time) -> None:
        self.folder = root / "receipts"
        self.made = root / "made"
        self._writer = writer
        self._notices = notices
        self._clock = clock
        self.unreadable: dict[str, tuple[Unreadable, ...]] = {}
        """By key: the receipts that the last `read` could not read."""

    def of_key(self, key: str) -> Path:
        """The folder of a key's receipts."""
        return self.folder / check_digest(key)[:2] / key

    def of_recipe(self, recipe: str) -> Path:
        """The record of a derived file."""
        return self.folder / check_digest(recipe)[:2] / f"{recipe}.json"

    def stamps(self, keys: Collection[str]) -> dict[str, int]:
        """For each key that has a folder of receipts: when that folder last changed (nanoseconds).

        One sweep over the two-hex folders when many keys are asked for.
        """
        if len(keys) < SWEEP_FROM:
            return {key: stamp for key in keys if (stamp := folder_stamp(self.of_key(key)))}
        stamps = {}
        for shard in folders_of(self.folder):
            with os.scandir(shard) as entries:
                for entry in entries:
                    if entry.name in keys:
                        stamps[entry.name] = entry.stat(follow_symlinks=False).st_mtime_ns
        return stamps

    def read(self, key: str) -> tuple[Stored, ...]:
        """Every readable result of a key, newest first; the others stand in `unreadable`, and are reported."""
        results, unreadable = [], []
        for path in self.files(key):
            item = self._result(path, key)
            if isinstance(item, Unreadable):
                unreadable.append(item)
                self._report(item)
            elif item is not None:
                results.append(item)
        if unreadable or key in self.unreadable:
            self.unreadable[key] = tuple(unreadable)
        return newest_first(results)

    def files(self, key: str, *, aside: bool = False) -> list[Path]:
        """A key's receipts, by name; with `aside` also those that were set aside because they could not be read."""
        folder = self.of_key(key)
        try:
            return [folder / name for name in sorted(os.listdir(folder)) if aside or name.endswith(".json")]
        except FileNotFoundError:
            return []

    def _result(self, path: Path, key: str) -> Stored | Unreadable | None:
        try:
            item = stored_of(unseal(read_file(path)))
        except FileNotFoundError:
            return None
        except BrokenSeal as error:
            return Unreadable(path, str(error), isinstance(error, NewerRecord))
        return item if item.result.key == key else Unreadable(path, "it is of another key")

    def _report(self, item: Unreadable) -> None:
        words = f"was {item.why}; update qwenbuild" if item.newer else f"cannot be read ({item.why})"
        notice = f"receipt {item.path} {words}"
        if notice not in self._notices:
            self._notices.append(notice)

    def put(self, result: ActionResult, *, durable: bool = True) -> tuple[Stored, ...]:
        """Add a result durably, or not, where it can be had again; everything known of its key, newest first."""
        path, item, others = self._placed(result)
        if self._cleared(path, result.key):
            self._writer.write(path, seal(result_record(item)) + b"\n", durable=durable)
        return newest_first([item, *others])

    def put_many(self, results: Sequence[ActionResult]) -> None:
        """Add several results durably, of different keys; they share the syncs of folders."""
        placed = [self._placed(result) for result in results]
        fresh = [(path, item) for path, item, _ in placed if self._cleared(path, item.result.key)]
        self._writer.write_many([(path, seal(result_record(item)) + b"\n") for path, item in fresh])

    def _placed(self, result: ActionResult) -> tuple[Path, Stored, list[Stored]]:
        """Where a result's receipt goes, the result as stored now, and what else is known of its key. Raises CacheError."""
        name = receipt_name(result)
        if _ATTEMPT.match(name[:-5]) is None:
            raise CacheError(f"not an attempt's id: {name[:80]!r}", code="cache-receipt")
        others = self.read(result.key)
        stored = max([self._clock(), *(item.stored + 0.001 for item in others)])
        rest = [other for other in others if other.result.attempt != result.attempt]
        return self.of_key(result.key) / name, Stored(result, stored), rest

    def put_again(self, item: Stored) -> None:
        """Write a lost receipt anew, under its own name and time."""
        name = receipt_name(item.result)
        path = self.of_key(item.result.key) / name
        if _ATTEMPT.match(name[:-5]) and self._cleared(path, item.result.key):
            self._writer.write(path, seal(result_record(item)) + b"\n")

    def _cleared(self, path: Path, key: str) -> bool:
        """Set aside what stands in a receipt's place and cannot be read; False when a newer qwenbuild can."""
        for item in self.unreadable.get(key, ()):
            if item.path == path and item.newer:
                return False
            if item.path == path and path.exists():
                self._writer.move_aside(path, f"{path.stem}.corrupt")
        self.unreadable[key] = tuple(item for item in self.unreadable.get(key, ()) if item.path != path)
        return True

    def keys(self) -> Iterator[str]:
        """Every key that has a folder."""
        for shard in folders_of(self.folder):
            yield from sorted(name for name in os.listdir(shard) if is_digest(name))

    def recipes(self) -> Iterator[str]:
        """Every recipe that has a record."""
        for shard in folders_of(self.folder):
            names = sorted(os.listdir(shard))
            yield from (name[:64] for name in names if name.endswith(".json") and is_digest(name[:-5]))

    def derived(self, recipe: str) -> dict[str, Any] | None:
        """The record of a derived file, None when there is none that can be read."""
        try:
            record = unseal(read_file(self.of_recipe(recipe)))
        except FileNotFoundError:
            return None
        except BrokenSeal as error:
            self._notices.append(f"the record of derived file {recipe} is broken ({error}); it is made again")
            return None
        if type(record.get("v")) is int and record["v"] > VERSION:
            self._notices.append(f"the record of derived file {recipe} was made by a newer qwenbuild; the file is made again")
            return None
        sound = record.get("kind") == "derived" and record.get("recipe") == recipe and is_digest(str(record.get("digest")))
        return record if sound else None

    def is_derived(self, digest: str) -> bool:
        """Did some recipe make a file of these bytes?"""
        return folder_stamp(self.made / check_digest(digest)[:2] / digest) != 0

    def put_derived(self, recipe: str, digest: str, facts: Mapping[str, Any]) -> bytes:
        """Write down which file a recipe made; not synced, it is free to make again. The sealed record.

        A second small file named by the digest answers "is this ours?" with one look.
        """
        record = {
            "kind": "derived",
            "v": VERSION,
            "recipe": check_digest(recipe),
            "digest": check_digest(digest),
            "facts": without_query(facts),
        }
        data = seal(record)
        self.mark_derived(digest, recipe)
        self._writer.write(self.of_recipe(recipe), data + b"\n", durable=False)
        return data

    def mark_derived(self, digest: str, recipe: str) -> None:
        """Note that bytes of this digest are a derived file of ours."""
        self._writer.write(self.made / check_digest(digest)[:2] / digest, recipe.encode() + b"\n", durable=False)


def folder_stamp(path: Path) -> int:
    """When a folder last changed, in nanoseconds; 0 when it is not there."""
    try:
        return os.stat(path).st_mtime_ns
    except FileNotFoundError:
        return 0
