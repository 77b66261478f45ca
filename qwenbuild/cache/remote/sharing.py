"""Bring pictures from a shared cache into the vault, and put the vault's into it: many at once, each checked.

Knows no lockfile and no plan: digests and keys are given. Nothing unverified enters the vault.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from qwenbuild.cache.receipts import Stored, result_record, stored_of
from qwenbuild.cache.remote import VERSION, Remote, RemoteError, blob_name, receipt_name
from qwenbuild.cache.seal import BrokenSeal, seal, unseal
from qwenbuild.model import ActionResult

if TYPE_CHECKING:
    from qwenbuild.cache.vault import Cache

AT_ONCE = 24
"""Requests under way at a time."""
Told = Callable[[int, int], None]
"""Called with pictures done and bytes moved so far."""


@dataclass(frozen=True, slots=True)
class Held:
    """What the shared cache has of the digests it was asked for; `unknown` are those it did not answer for."""

    sizes: Mapping[str, int] = field(default_factory=dict)
    unknown: Mapping[str, RemoteError] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Moved:
    """What a transfer came to. `absent` are names the store does not have."""

    done: tuple[str, ...] = ()
    bytes: int = 0
    absent: tuple[str, ...] = ()
    failed: Mapping[str, RemoteError] = field(default_factory=dict)


def nobody(count: int, size: int) -> None:
    """Tell nobody."""


def look(remote: Remote, digests: Collection[str]) -> Held:
    """Which of these pictures the store has. No error is raised: what cannot be told is said so."""
    sizes: dict[str, int] = {}
    unknown: dict[str, RemoteError] = {}
    for digest, answer in _each(lambda digest: remote.size(blob_name(digest)), digests):
        if isinstance(answer, RemoteError):
            unknown[digest] = answer
        elif answer is not None:
            sizes[digest] = answer
    return Held(sizes, unknown)


def fetch(remote: Remote, cache: Cache, pictures: Mapping[str, str], told: Told = nobody, team: bytes = b"") -> Moved:
    """Bring pictures (digest → key) into the vault, with their receipts where those agree. Runs in threads."""
    done: list[str] = []
    absent: list[str] = []
    failed: dict[str, RemoteError] = {}
    size = 0
    for digest, answer in _each(lambda digest: _bring(remote, cache, digest, pictures[digest], team), pictures):
        if isinstance(answer, RemoteError):
            failed[digest] = answer
        elif answer is None:
            absent.append(digest)
        else:
            done.append(digest)
            size += answer
            told(len(done), size)
    return Moved(tuple(done), size, tuple(absent), failed)


def _bring(remote: Remote, cache: Cache, digest: str, key: str, team: bytes) -> int | None:
    """One picture's bytes into the vault; its size, None when the store has none."""
    data = remote.get(blob_name(digest))
    if data is None:
        return None
    if sha256(data).hexdigest() != digest:
        raise RemoteError(f"{remote.url} holds other bytes under {digest[:12]} than its name says", code="remote-digest")
    cache.put_blob(data, durable=False)
    result = receipt(remote, key, team) if key else None
    if result is not None and result.digest == digest and not cache.results([key]).get(key):
        cache.put_result(result)
    return len(data)


def receipt(remote: Remote, key: str, team: bytes = b"", *, signed: bool = False) -> ActionResult | None:
    """The receipt of a key as the store has it, None when it has none, or one that is not believed.

    `signed` believes only a receipt with the team key's HMAC. Raises RemoteError.
    """
    raw = remote.get(receipt_name(key))
    if raw is None:
        return None
    try:
        record = unseal(raw)
        stored = stored_of(record)
    except (BrokenSeal, KeyError, TypeError, ValueError, RecursionError):
        return None
    if stored.result.key != key or (signed and not hmac.compare_digest(str(record.get("hmac", "")), signature(record, team))):
        return None
    return stored.result


def signature(record: Mapping[str, Any], team: bytes) -> str:
    """HMAC-SHA256 of a receipt under the team's key, over its canonical form without the signature itself."""
    said = {name: value for name, value in record.items() if name != "hmac"}
    body = json.dumps(said, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
    return hmac.new(team, body, sha256).hexdigest()


def push(remote: Remote, cache: Cache, results: Iterable[ActionResult], told: Told = nobody, team: bytes = b"") -> Moved:
    """Put pictures and their receipts into the store where it lacks them; blobs before receipts. Runs in threads."""
    items = {result.key: result for result in results}
    done: list[str] = []
    failed: dict[str, RemoteError] = {}
    size = 0
    if items and remote.get("VERSION") is None:
        remote.put("VERSION", VERSION)
    for key, answer in _each(lambda key: _send(remote, cache, items[key], team), items):
        if isinstance(answer, RemoteError):
            failed[key] = answer
        elif answer is not None:
            done.append(key)
            size += answer
            told(len(done), size)
    return Moved(tuple(done), size, (), failed)


def _send(remote: Remote, cache: Cache, result: ActionResult, team: bytes) -> int | None:
    """One picture and its receipt; bytes sent, None when the store had both."""
    name = blob_name(result.digest)
    sent: int | None = None
    if remote.size(name) is None:
        data = cache.read_blob(result.digest)
        remote.put(name, data)
        sent = len(data)
    if remote.size(receipt_name(result.key)) is None:
        remote.put(receipt_name(result.key), receipt_bytes(result, team))
        sent = sent or 0
    return sent


def receipt_bytes(result: ActionResult, team: bytes = b"") -> bytes:
    """A receipt as the store holds it, signed where the team has a key."""
    record = result_record(Stored(result, 0.0))
    if team:
        record["hmac"] = signature(record, team)
    return seal(record)


def _each(work: Callable[[str], int | None], names: Collection[str]) -> Iterable[tuple[str, int | RemoteError | None]]:
    """Do the work for every name, some at a time; a RemoteError is an answer like the others."""
    if not names:
        return

    def carried(name: str) -> int | RemoteError | None:
        try:
            return work(name)
        except RemoteError as error:
            return error

    with ThreadPoolExecutor(min(AT_ONCE, len(names)), "qwenbuild-remote") as threads:
        waiting = {threads.submit(carried, name): name for name in names}
        for finished in as_completed(waiting):
            yield waiting[finished], finished.result()
