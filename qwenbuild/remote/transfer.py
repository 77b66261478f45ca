"""Bring pictures from a shared cache into the vault, and put the vault's into it: many at once, each checked.

Knows no lockfile and no plan: digests and keys are given. Nothing unverified enters the vault.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Any, TypeVar

from qwenbuild.cache.receipts import VERSION, Stored, result_record, stored_of
from qwenbuild.cache.seal import BrokenSeal, seal, unseal
from qwenbuild.later import later
from qwenbuild.model import ActionResult
from qwenbuild.remote.store import (
    Remote,
    RemoteError,
    Unlisted,
    blob_name,
    check_version,
    not_kept,
    put_kept,
    receipt_name,
    require_version,
    start,
)

with later:
    from qwenbuild.images import structure

if TYPE_CHECKING:
    from qwenbuild.cache.vault import Cache

AT_ONCE = 24
"""Requests under way at a time."""
LISTED_FROM = 512
"""From so many pictures on, listing the store's 256 folders is fewer requests than asking for each."""
FAILURES_MAX = 2 * AT_ONCE
"""After so many errors in a row the rest is not asked for: nobody waits for a dead host's timeouts, one by one."""
OnProgress = Callable[[int, int], None]
"""Called with pictures done and bytes moved so far."""
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class StoredPictures:
    """What the shared cache has of the digests it was asked for; `unknown` are those it did not answer for.

    `empty`: nothing was ever put there, as far as can be told: there is no VERSION.
    """

    sizes: Mapping[str, int] = field(default_factory=dict)
    unknown: Mapping[str, RemoteError] = field(default_factory=dict)
    empty: bool = False


@dataclass(frozen=True, slots=True)
class TransferResult:
    """What a transfer came to. `absent` are names the store does not have."""

    done: tuple[str, ...] = ()
    bytes: int = 0
    absent: tuple[str, ...] = ()
    failed: Mapping[str, RemoteError] = field(default_factory=dict)


def ignore_progress(count: int, size: int) -> None:
    """Tell nobody."""


# ---------------------------------------------------------------- what is there


def look(remote: Remote, digests: Collection[str]) -> StoredPictures:
    """Which of these pictures the store has. No error is raised: what cannot be told is said so.

    A store that does not answer the first question is not asked any other. What it says it does not have is believed only
    between two readings of its VERSION: a server that has lost its way says "not found" to everything.
    """
    try:
        if not check_version(remote):
            return StoredPictures(empty=True)
    except RemoteError as error:
        return StoredPictures(unknown=dict.fromkeys(digests, error))
    stored = _look_at(remote, digests)
    absent = [digest for digest in digests if digest not in stored.sizes and digest not in stored.unknown]
    doubt = doubt_of(remote) if absent else None
    return stored if doubt is None else StoredPictures(stored.sizes, {**stored.unknown, **dict.fromkeys(absent, doubt)})


def doubt_of(remote: Remote) -> RemoteError | None:
    """After a store said that something is not there: why that cannot be believed, None when it can."""
    try:
        require_version(remote)
    except RemoteError as error:
        return error
    return None


def _look_at(remote: Remote, digests: Collection[str]) -> StoredPictures:
    if len(digests) >= LISTED_FROM:
        try:
            return _listed(remote, digests)
        except Unlisted:
            pass
    return _asked(remote, digests)


def _asked(remote: Remote, digests: Collection[str]) -> StoredPictures:
    sizes: dict[str, int] = {}
    unknown: dict[str, RemoteError] = {}
    for digest, answer in each(lambda digest: remote.size(blob_name(digest)), digests):
        if isinstance(answer, RemoteError):
            unknown[digest] = answer
        elif answer is not None:
            sizes[digest] = answer
    return StoredPictures(sizes, unknown)


def _listed(remote: Remote, digests: Collection[str]) -> StoredPictures:
    """The same from listings, a folder a request. Raises Unlisted."""
    shards: dict[str, list[str]] = {}
    for digest in digests:
        shards.setdefault(digest[:2], []).append(digest)
    sizes: dict[str, int] = {}
    unknown: dict[str, RemoteError] = {}
    for shard, answer in each(lambda shard: {i.name: i.size for i in remote.list(f"blobs/{shard}")}, shards):
        if isinstance(answer, Unlisted):
            raise answer
        if isinstance(answer, RemoteError):
            unknown |= dict.fromkeys(shards[shard], answer)
        else:
            sizes |= {digest: answer[name] for digest in shards[shard] if (name := blob_name(digest)) in answer}
    return StoredPictures(sizes, unknown)


# ---------------------------------------------------------------- out of the store


@dataclass(frozen=True, slots=True)
class RecordedPicture:
    """What the lockfile says of a picture: enough for a receipt, without asking the store for its own."""

    key: str
    action: Mapping[str, Any]
    made: str = ""
    provider: str = ""

    def result(self, digest: str, data: bytes) -> ActionResult | None:
        """The receipt; None for bytes that are no picture."""
        try:
            media_type, width, height = structure.size_of(data)
        except ValueError:
            return None
        return ActionResult(
            self.key, digest, media_type, width, height, len(data), self.made, self.provider, action=self.action
        )


def fetch(
    remote: Remote, cache: Cache, pictures: Mapping[str, RecordedPicture | None], progress: OnProgress = ignore_progress
) -> TransferResult:
    """Bring pictures into the vault by digest, with a receipt for those that the lockfile names a key for."""
    receipts = cache.results([picture.key for picture in pictures.values() if picture is not None])
    new = {
        digest: picture if picture is not None and picture.key not in receipts else None for digest, picture in pictures.items()
    }
    done: list[str] = []
    absent: list[str] = []
    failed: dict[str, RemoteError] = {}
    size = 0
    for digest, answer in each(lambda digest: bring(remote, cache, digest, new[digest]), pictures):
        if isinstance(answer, RemoteError):
            failed[digest] = answer
        elif answer is None:
            absent.append(digest)
        else:
            done.append(digest)
            size += answer
            progress(len(done), size)
    cache.index_many([picture.key for digest in done if (picture := new[digest]) is not None])
    return TransferResult(tuple(done), size, tuple(absent), failed)


def bring(remote: Remote, cache: Cache, digest: str, picture: RecordedPicture | None = None) -> int | None:
    """One picture's bytes into the vault, verified; their number, None when the store has none.

    Raises RemoteError, CacheError.
    """
    data = verified(remote, digest)
    if data is None:
        return None
    cache.put_again(data, digest, picture.result(digest, data) if picture is not None else None)
    return len(data)


def fetch_receipts(remote: Remote, cache: Cache, pictures: Mapping[str, str], team: bytes = b"") -> TransferResult:
    """Bring the store's own receipts of keys (key → the digest that the lockfile names), where they agree."""
    done: list[str] = []
    failed: dict[str, RemoteError] = {}
    for key, answer in each(lambda key: receipt(remote, key, team), pictures):
        if isinstance(answer, RemoteError):
            failed[key] = answer
        elif answer is not None and answer.digest == pictures[key]:
            cache.put_result(answer)
            done.append(key)
    return TransferResult(tuple(done), failed=failed)


def verified(remote: Remote, digest: str) -> bytes | None:
    """The bytes of a digest, None when the store has none. Wrong bytes are asked for once more. Raises RemoteError."""
    for _ in range(2):
        data = remote.get(blob_name(digest))
        if data is None or sha256(data).hexdigest() == digest:
            return data
    raise RemoteError(f"{remote.url} holds other bytes under {digest[:12]} than its name says", code="remote-digest")


def receipt(remote: Remote, key: str, team: bytes = b"", *, signed: bool = False) -> ActionResult | None:
    """The receipt of a key as the store has it, None when it has none, or one that is whole and not believed.

    `signed` believes only a receipt with the team key's HMAC. Raises RemoteError, also for everything that is no whole
    receipt of this key: it may stand where one should.
    """
    name = receipt_name(key)
    raw = remote.get(name)
    if raw is None:
        return None
    try:
        record = unseal(raw)
        if record.get("kind") == "result" and isinstance(record.get("v"), int) and record["v"] > VERSION:
            words = f"{name} in {remote.url} was made by a newer qwenbuild: update this one"
            raise RemoteError(words, code="remote-version")
        stored = stored_of(record)
    except (BrokenSeal, KeyError, TypeError, ValueError, RecursionError) as error:
        raise unreadable(remote, name) from error
    if stored.result.key != key:
        raise unreadable(remote, name)
    if signed and not _is_signed(record, team):
        return None
    return stored.result


def pictureless(remote: Remote, key: str, digest: str) -> RemoteError:
    """A receipt whose picture the store does not have: somebody has paid for it, and perhaps still has it."""
    words = f"{remote.url} has a receipt of {key[:12]}, but not its picture {digest[:12]}"
    hint = "`qwenbuild cache push` on the machine that drew it uploads it; `build --force` buys it again"
    return RemoteError(f"{words}: {hint}", code="remote-pictureless")


def unreadable(remote: Remote, name: str) -> RemoteError:
    """Something stands where a receipt should. That is neither a receipt nor the absence of one."""
    words = "is not a readable receipt: `qwenbuild cache push`, where its picture is, writes it again"
    return RemoteError(f"{name} in the shared cache {remote.url} {words}", code="remote-unreadable")


def _is_signed(record: Mapping[str, Any], team: bytes) -> bool:
    return bool(team) and hmac.compare_digest(str(record.get("hmac", "")).encode(), signature(record, team).encode())


def signature(record: Mapping[str, Any], team: bytes) -> str:
    """HMAC-SHA256 of a receipt under the team's key, over its canonical form without the signature itself."""
    fields = {name: value for name, value in record.items() if name != "hmac"}
    body = json.dumps(fields, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode("utf-8", "replace")
    return hmac.new(team, body, sha256).hexdigest()


# ---------------------------------------------------------------- into the store


def push(
    remote: Remote,
    cache: Cache,
    results: Iterable[ActionResult],
    progress: OnProgress = ignore_progress,
    team: bytes = b"",
    files: Mapping[str, Callable[[], bytes]] | None = None,
) -> TransferResult:
    """Put pictures and their receipts into the store where it lacks them; blobs before receipts.

    `files` are further bytes by digest. Nothing at all starts an empty store. Raises RemoteError where the store is none, or
    cannot be asked at all.
    """
    items: dict[str, Callable[[], int | None]] = {r.key: _sender(remote, cache, r, team) for r in results}
    items |= {digest: _file_sender(remote, digest, read) for digest, read in (files or {}).items()}
    done: list[str] = []
    failed: dict[str, RemoteError] = {}
    size = 0
    start(remote)
    for name, answer in each(lambda name: items[name](), items):
        if isinstance(answer, RemoteError):
            failed[name] = answer
        elif answer is not None:
            done.append(name)
            size += answer
            progress(len(done), size)
    return TransferResult(tuple(done), size, (), failed)


def _sender(remote: Remote, cache: Cache, result: ActionResult, team: bytes) -> Callable[[], int | None]:
    return lambda: send(remote, cache, result, team)


def _file_sender(remote: Remote, digest: str, read: Callable[[], bytes]) -> Callable[[], int | None]:
    return lambda: _send_blob(remote, digest, read, None)


def send(remote: Remote, cache: Cache, result: ActionResult, team: bytes = b"") -> int | None:
    """One picture and its receipt; bytes sent, None when the store had both. Raises RemoteError, CacheError."""
    sent = _send_blob(remote, result.digest, lambda: cache.read_blob(result.digest), result.size or None)
    record = receipt_bytes(result, team)
    if record and not _has_receipt(remote, result.key, team):
        put_kept(remote, receipt_name(result.key), record)
        sent = sent or 0
    return sent


def _send_blob(remote: Remote, digest: str, read: Callable[[], bytes], size: int | None) -> int | None:
    """A blob of another size than ours was cut short by somebody: it is written again."""
    stored_size = remote.size(blob_name(digest))
    if stored_size is not None and stored_size == size:
        return None
    data = read()
    if stored_size == len(data):
        return None
    remote.put(blob_name(digest), data)
    if remote.size(blob_name(digest)) != len(data):
        raise not_kept(remote, blob_name(digest))
    return len(data)


def _has_receipt(remote: Remote, key: str, team: bytes) -> bool:
    """Whether a receipt is there that readers of this team would believe; one that is broken is written again.

    Raises RemoteError for one of a newer version: it is not ours to replace.
    """
    try:
        return receipt(remote, key, team, signed=bool(team)) is not None
    except RemoteError as error:
        if error.code != "remote-unreadable":
            raise
        return False


def receipt_bytes(result: ActionResult, team: bytes = b"") -> bytes:
    """A receipt as the store holds it, signed where the team has a key; nothing for a picture without a key."""
    if not result.key or not result.action:
        return b""
    record = result_record(Stored(result, 0.0))
    if team:
        record["hmac"] = signature(record, team)
    return seal(record)


# ---------------------------------------------------------------- many at once


def each(work: Callable[[str], T], names: Collection[str]) -> Iterator[tuple[str, T | RemoteError]]:
    """Do the work for every name, some at a time; a RemoteError is an answer like the others.

    Whoever stops listening, or interrupts, waits only for what is under way. A store that only fails is given up.
    """
    if not names:
        return
    in_a_row = 0

    def carried(name: str) -> T | RemoteError:
        nonlocal in_a_row
        if in_a_row >= FAILURES_MAX:
            return RemoteError("not asked for: the shared cache failed too often in a row", code="remote-io")
        try:
            answer = work(name)
        except RemoteError as error:
            in_a_row += error.code != "remote-digest"
            return error
        in_a_row = 0
        return answer

    threads = ThreadPoolExecutor(min(AT_ONCE, len(names)), "qwenbuild-remote")
    try:
        waiting = {threads.submit(carried, name): name for name in names}
        for finished in as_completed(waiting):
            yield waiting[finished], finished.result()
    finally:
        threads.shutdown(cancel_futures=True)
