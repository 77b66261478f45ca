"""Carry pictures to and from the shared cache: after a build, and for `cache push`, `pull`, `verify --remote`, `gc --remote`.

Knows no plan's verdicts and no store's kind. Nothing here ever asks a provider.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from qwenbuild import tree
from qwenbuild.cache import Cache
from qwenbuild.engine.remote_session import TransferProgress
from qwenbuild.errors import CacheError, InputError
from qwenbuild.key import action_key, document, from_document
from qwenbuild.model import ActionResult, Failure, LockEntry
from qwenbuild.planning.loading import Loaded, load
from qwenbuild.planning.planner import Planned, make
from qwenbuild.planning.remote_pictures import address, environ_of, needed, pushes, team_key
from qwenbuild.ports import Reporter
from qwenbuild.project.options import Options
from qwenbuild.remote.addresses import open_remote
from qwenbuild.remote.store import Remote, RemoteError, StoredObject, blob_name, never_started, require_version
from qwenbuild.remote.transfer import RecordedPicture, TransferResult, each, fetch, fetch_receipts, look, push, verified

YOUNG_S = 24 * 3600.0
"""Seconds; what is younger may be of a branch whose lockfile nobody has yet."""
Records = Mapping[str, LockEntry | None]


@dataclass(frozen=True, slots=True)
class TransferReport:
    """What was, or with `dry` would be, moved. `missing` pictures are not where they should come from."""

    url: str
    dry: bool
    wanted: int
    moved: int
    bytes: int
    missing: tuple[str, ...] = ()
    failed: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StoreReport:
    """What reading the store found. `corrupt` hold other bytes than their names say; `missing` are named by the lockfile."""

    url: str
    read: int
    bytes: int
    corrupt: tuple[str, ...]
    missing: tuple[str, ...]
    failed: Mapping[str, str]

    @property
    def sound(self) -> bool:
        """Whether everything is there and whole."""
        return not (self.corrupt or self.missing or self.failed)


@dataclass(frozen=True, slots=True)
class Swept:
    """What no lockfile given names. `young` were left because they are too new to judge."""

    url: str
    dry: bool
    names: tuple[str, ...]
    bytes: int
    young: int


@contextmanager
def _opened(loaded: Loaded) -> Iterator[Remote]:
    environ = environ_of(loaded)
    url = address(loaded.manifest, environ)
    if not url:
        raise InputError(
            "no shared cache is configured: set `remote:` in the manifest, or QWENBUILD_REMOTE", code="remote-unnamed"
        )
    with closing(open_remote(url, environ)) as remote:
        yield remote


# ---------------------------------------------------------------- out


def push_pictures(options: Options, reporter: Reporter, *, dry: bool = False) -> TransferReport:
    """`cache push`: everything that the lockfile names of the selected entries. Raises InputError, CacheError."""
    planned = make(loaded := load(options), replace(options, offline=True))
    with _opened(loaded) as remote:
        return _push(planned, remote, loaded.lock.entries, reporter, dry=dry)


def share_built(
    planned: Planned, options: Options, records: Records, reporter: Reporter, fresh: frozenset[str]
) -> list[Failure]:
    """After a build: everything it knows under --push, only `fresh` entries under claims. Failures as the summary has them."""
    environ = environ_of(planned.loaded)
    pushing = pushes(replace(planned.manifest, claims=False), options, environ)
    if options.offline or not (pushing or (planned.manifest.claims and fresh)):
        return []
    all_records = {**planned.loaded.lock.entries, **records}
    all_records = {id: record for id, record in all_records.items() if pushing or id in fresh}
    try:
        with _opened(planned.loaded) as remote:
            done = _push(planned, remote, all_records, reporter, dry=False)
    except CacheError as error:
        return [Failure("", "not-pushed", f"nothing was uploaded to the shared cache: {error}")]
    words = sorted(set(done.failed.values()))
    count = f"{len(done.failed):,} of {done.wanted:,} could not be uploaded to the shared cache"
    return [Failure("", "not-pushed", f"{count}: {words[0]}")] if words else []


def _push(planned: Planned, remote: Remote, records: Records, reporter: Reporter, *, dry: bool) -> TransferReport:
    cache, ids = planned.cache, {step.id for step in planned.plan.steps}
    by_key = {
        key: digest
        for id, record in records.items()
        if record is not None and id in ids
        for key, digest in ((record.key, record.digest), *record.candidates.items())
    }
    pictures = {**by_key, **(_derived(records, ids) if planned.manifest.remote_derived else {})}
    results, files, missing = _sources(planned, by_key, pictures)
    if dry:
        present = look(remote, {*(r.digest for r in results), *files})
        if present.unknown:
            raise next(iter(present.unknown.values()))
        new = [r for r in results if r.digest not in present.sizes]
        size = sum(r.size for r in new)
        return TransferReport(
            remote.url, True, len(results) + len(files), len(new) + len(files.keys() - present.sizes), size, missing
        )
    progress = TransferProgress(
        reporter, f"shared cache: uploading {len(results) + len(files):,} pictures", len(results) + len(files)
    )
    moved = push(remote, cache, results, progress, team_key(environ_of(planned.loaded)), files)
    progress.done(moved.bytes, len(moved.done))
    return _carried(remote, len(results) + len(files), moved, missing)


def _carried(remote: Remote, total: int, moved: TransferResult, missing: tuple[str, ...]) -> TransferReport:
    failed = {name: str(error) for name, error in moved.failed.items()}
    return TransferReport(remote.url, False, total, len(moved.done), moved.bytes, missing, failed)


def _derived(records: Records, ids: set[str]) -> dict[str, str]:
    output_sets = (record.outputs.values() for id, record in records.items() if record is not None and id in ids)
    return {output.digest: output.digest for outputs in output_sets for output in outputs if output.digest}


def _sources(
    planned: Planned, by_key: Mapping[str, str], pictures: Mapping[str, str]
) -> tuple[list[ActionResult], dict[str, Callable[[], bytes]], tuple[str, ...]]:
    """Receipts whose pictures are in the vault, other bytes by digest, and digests whose bytes are not at hand."""
    cache, blobs = planned.cache, planned.cache.known_blobs()
    receipts = cache.results(list(by_key))
    results: list[ActionResult] = []
    files: dict[str, Callable[[], bytes]] = {}
    missing: list[str] = []
    in_tree = {item.digest: path for path, item in planned.seen.files.items()}
    for key, digest in pictures.items():
        result = next((result for result in receipts.get(key, ()) if result.digest == digest), None)
        if digest in blobs and result is not None:
            results.append(result)
        elif digest in blobs:
            files[digest] = _of_vault(cache, digest)
        elif digest in in_tree:
            files[digest] = _of_tree(planned, in_tree[digest], digest)
        else:
            missing.append(digest)
    return results, files, tuple(missing)


def _of_vault(cache: Cache, digest: str) -> Callable[[], bytes]:
    return lambda: cache.read_blob(digest)


def _of_tree(planned: Planned, path: str, digest: str) -> Callable[[], bytes]:
    def read() -> bytes:
        data = tree.read(planned.loaded.root, path)
        if hashlib.sha256(data).hexdigest() != digest:
            raise RemoteError(f"{path} changed while it was read", code="remote-digest")
        return data

    return read


# ---------------------------------------------------------------- in


def pull_pictures(options: Options, reporter: Reporter, *, dry: bool = False, receipts: bool = False) -> TransferReport:
    """`cache pull`: what the lockfile names of the selected entries and the vault lacks. Raises InputError, CacheError.

    Under `trust: keys` also what the team drew for keys that the lockfile does not name yet: a build with --offline takes it
    from there. `receipts`: the store's own receipts, too; they say what a picture cost and how its prompt was rewritten.
    """
    planned = make(loaded := load(options), replace(options, offline=True))
    blobs = planned.cache.known_blobs()
    drawn, untold = _drawn_by_the_team(loaded, options)
    recorded = {**dict(_named(planned)), **drawn}
    missing = {digest: item for digest, item in recorded.items() if digest not in blobs}
    with _opened(loaded) as remote:
        if dry:
            return _would_bring(remote, missing)
        if not recorded:
            return TransferReport(remote.url, False, 0, 0, 0, failed={key: str(error) for key, error in untold.items()})
        require_version(remote)
        keys = {item.key: digest for digest, item in recorded.items() if item is not None} if receipts else {}
        unread = fetch_receipts(remote, planned.cache, keys, team_key(environ_of(loaded))).failed
        progress = TransferProgress(reporter, f"shared cache: fetching {len(missing):,} pictures", len(missing))
        moved = fetch(remote, planned.cache, missing, progress)
        progress.done(moved.bytes, len(moved.done))
        planned.cache.add_root(loaded.lock_path)
        if moved.absent:
            require_version(remote)
        return _carried(remote, len(missing), replace(moved, failed={**untold, **unread, **moved.failed}), moved.absent)


def _drawn_by_the_team(loaded: Loaded, options: Options) -> tuple[dict[str, RecordedPicture | None], dict[str, RemoteError]]:
    """Pictures by signed receipts of keys that the lockfile does not name; and of which keys it could not be told, with why."""
    if loaded.manifest.trust != "keys":
        return {}, {}
    planned = make(loaded, options)
    imported = {result.digest for result in planned.shared.imported.values()}
    return {name: item for name, item in needed(planned.plan, planned.shared).items() if name in imported}, dict(
        planned.shared.blocked
    )


def _would_bring(remote: Remote, digests: Collection[str]) -> TransferReport:
    present = look(remote, digests)
    if present.empty:
        raise never_started(remote)
    failed = {digest: str(error) for digest, error in present.unknown.items()}
    missing = tuple(digest for digest in digests if digest not in present.sizes and digest not in failed)
    return TransferReport(remote.url, True, len(digests), len(present.sizes), sum(present.sizes.values()), missing, failed)


def _named(planned: Planned) -> Iterator[tuple[str, RecordedPicture | None]]:
    """Every picture that the lockfile names of these entries. A receipt can be made where the record's Action gives its key."""
    lock = planned.loaded.lock.entries
    for step in planned.plan.steps:
        record = lock.get(step.moved_from or step.id)
        if record is None:
            continue
        actions = {plan.candidate.key: document(plan.candidate.action) for plan in step.candidates}
        actions[record.key] = actions.get(record.key) or _recorded(record)
        for key, digest in ((record.key, record.digest), *record.candidates.items()):
            action = actions.get(key)
            made_at = record.made if key == record.key else ""
            yield digest, RecordedPicture(key, action, made_at, step.keyed.entry.provider) if action else None


def _recorded(record: LockEntry) -> dict[str, Any]:
    """The whole Action of a record, empty where it does not give the record's key."""
    try:
        action = from_document(record.action)
    except (KeyError, TypeError):
        return {}
    return document(action) if action_key(action) == record.key else {}


# ---------------------------------------------------------------- care


def verify_remote(options: Options, reporter: Reporter) -> StoreReport:
    """`cache verify --remote`: read what the lockfile names, and compare its digests. Raises InputError, RemoteError."""
    loaded = load(options)
    records = loaded.lock.entries.values()
    digests = {digest for record in records for digest in (record.digest, *record.candidates.values())}
    with _opened(loaded) as remote:
        require_version(remote)
        progress = TransferProgress(reporter, f"shared cache: reading {len(digests):,} pictures", len(digests))
        checked = _read_all(remote, digests, progress)
        if checked.missing:
            require_version(remote)
        return checked


def _read_all(remote: Remote, digests: set[str], progress: TransferProgress) -> StoreReport:
    corrupt, missing, failed = [], [], {}
    count = size = 0
    for digest, answer in each(lambda digest: _length(verified(remote, digest)), digests):
        if isinstance(answer, RemoteError) and answer.code == "remote-digest":
            corrupt.append(digest)
        elif isinstance(answer, RemoteError):
            failed[digest] = str(answer)
        elif answer is None:
            missing.append(digest)
        else:
            count, size = count + 1, size + answer
            progress(count, size)
    return StoreReport(remote.url, count, size, tuple(sorted(corrupt)), tuple(sorted(missing)), failed)


def _length(data: bytes | None) -> int | None:
    return None if data is None else len(data)


def sweep_remote(options: Options, keys: frozenset[str], digests: frozenset[str], *, dry: bool = True) -> Swept:
    """`cache gc --remote`: blobs, receipts and claims that nothing given names, older than a day of the store's own clock.

    Receipts go before blobs, so that none names what is gone. A dry run writes nothing, and judges by our clock.
    Raises InputError, RemoteError (also where a store cannot list, or is none that this version knows).
    """
    with _opened(load(options)) as remote:
        items = [item for prefix in ("receipts", "claims", "blobs") for item in remote.list(prefix)]
        require_version(remote)
        loose = [item for item in items if not _is_named(item, keys, digests)]
        old = _older(loose, (time.time() if dry else _time_there(remote)) - YOUNG_S)
        if not dry:
            for _, answer in (pair for part in _in_order(old) for pair in each(remote.delete, part)):
                if isinstance(answer, RemoteError):
                    raise answer
        names = tuple(item.name for item in old)
        return Swept(remote.url, dry, names, sum(item.size for item in old), len(loose) - len(old))


def _older(items: list[StoredObject], limit: float) -> list[StoredObject]:
    """What was written before; of claims on a key all or none, since a living one may follow on an old one."""
    young = {_key_of(item) for item in items if item.name.startswith("claims/") and item.written >= limit}
    return [
        item for item in items if 0 < item.written < limit and not (item.name.startswith("claims/") and _key_of(item) in young)
    ]


def _key_of(item: StoredObject) -> str:
    return item.name.rpartition("/")[2].partition(".")[0]


def _time_there(remote: Remote) -> float:
    """Wall seconds of the clock that stamps what the store holds: only it tells how old that is."""
    name = f"claims/clock-{secrets.token_hex(8)}.json"
    remote.put(name, b"1")
    try:
        written = next((item.written for item in remote.list("claims") if item.name == name), 0.0)
    finally:
        remote.delete(name)
    if not written:
        raise RemoteError(f"{remote.url} does not list what was just written there: nothing was removed", code="remote-io")
    return written


def _in_order(items: list[StoredObject]) -> Iterator[list[str]]:
    yield [item.name for item in items if not item.name.startswith("blobs/")]
    yield [item.name for item in items if item.name.startswith("blobs/")]


def _is_named(item: StoredObject, keys: frozenset[str], digests: frozenset[str]) -> bool:
    name = _key_of(item)
    return (item.name.startswith("receipts/") and name in keys) or (blob_name(name) == item.name and name in digests)
