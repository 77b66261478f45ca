"""Look at the disk and say what is true for a plan: lockfile, cache, journal, output tree. No network, nothing written.

Knows nothing of what the facts lead to.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from qwenbuild import lfs, tree
from qwenbuild.cache import Attempt, AttemptState, Cache
from qwenbuild.later import later
from qwenbuild.lock.lockfile import Lock
from qwenbuild.model import Keyed, LockEntry, Verdict, verdict_of
from qwenbuild.plan import Observed, Rank, UntouchedEntries, rank_of

with later:
    from qwenbuild import images

MANY = 2000
"""Entries from which on one sweep over the vault costs less than asking it for each picture."""


@dataclass(frozen=True, slots=True)
class Seen:
    """The facts for the plan, and the tree's files as they were found."""

    facts: Observed
    files: Mapping[str, tree.TreeFile]


@dataclass(frozen=True, slots=True)
class Vault:
    """The digests of the vault's blobs, asked one by one."""

    cache: Cache

    def __contains__(self, digest: object) -> bool:
        return isinstance(digest, str) and self.cache.has_blob(digest)


@dataclass(frozen=True, slots=True)
class Ours:
    """Digests that are ours: blobs of the vault, or files it knows as derived. Asked one by one, only for strangers."""

    cache: Cache
    blobs: Container[str]

    def __contains__(self, digest: object) -> bool:
        return digest in self.blobs or (isinstance(digest, str) and bool(self.cache.is_ours([digest])))


@dataclass(frozen=True, slots=True)
class Derived(Mapping[str, str]):
    """Recipe to digest, asked one by one: only what the lockfile does not say is looked up."""

    cache: Cache

    def __getitem__(self, recipe: str) -> str:
        return self.cache.derived([recipe])[recipe]

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


@dataclass(frozen=True, slots=True)
class CachedJudgements(Mapping[str, str]):
    """What bytes fail of an expectation, asked one by one: few entries expect anything."""

    cache: Cache

    def __getitem__(self, key: str) -> str:
        judgement = self.cache.judgement(key)
        if judgement is None:
            raise KeyError(key)
        return judgement

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


@dataclass(frozen=True, slots=True)
class CachedRanks(Mapping[str, Rank]):
    """How pictures do by their checks, asked one by one."""

    cache: Cache

    def __getitem__(self, key: str) -> Rank:
        details = self.cache.judged_details(key)
        if not details:
            raise KeyError(key)
        return rank_of(map(verdict_of, details))

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


class Pointers:
    """The git-LFS pointers of the tree, read on demand: `by_path` one by one, `by_digest` all at the first question.

    Raises OSError. A file that is not the one that was seen any more counts as none.
    """

    def __init__(self, root: Path, files: Mapping[str, tree.TreeFile]) -> None:
        self._root = root
        self._files = files
        self.by_path = _Asked(self._oid)
        self.by_digest = _Asked(self._path)

    def _oid(self, path: str) -> str:
        file = self._files.get(path)
        if file is None or file.signature[0] > lfs.POINTER_BYTES_MAX:
            return ""
        try:
            data = tree.read(self._root, path)
        except FileNotFoundError:
            return ""
        return lfs.pointer_oid(data) if hashlib.sha256(data).hexdigest() == file.digest else ""

    def _path(self, digest: str) -> str:
        return self._paths.get(digest, "")

    @cached_property
    def _paths(self) -> Mapping[str, str]:
        return {oid: path for path in self._files if (oid := self._oid(path))}


@dataclass(frozen=True, slots=True)
class _Asked(Mapping[str, str]):
    """A mapping that is a function; "" stands for "not there"."""

    answer: Callable[[str], str]

    def __getitem__(self, name: str) -> str:
        value = self.answer(name)
        if not value:
            raise KeyError(name)
        return value

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


def observe(
    cache: Cache,
    lock: Lock,
    root: Path,
    keyed: Sequence[Keyed],
    *,
    whole: bool,
    project: str,
    recoverable: Callable[[Attempt], bool],
    remembered: tree.Remembered | None = None,
    extra_paths: Collection[str] = (),
    untouched: UntouchedEntries | None = None,
) -> Seen:
    """What is true of these entries. `whole`: they are all of the manifest's, so the lockfile's other paths count too.
    `untouched` are entries that nobody looks at.

    Raises CacheError, InputError or OSError: an error is never the same as "not there".
    """
    files = tree.observe(root, [*_paths(keyed, lock, whole), *extra_paths], remembered)
    blobs = cache.known_blobs() if untouched is None or len(keyed) > MANY else Vault(cache)
    keys = _keys(keyed, lock)
    untouched = untouched or UntouchedEntries()
    unsettled = _unsettled(keyed, lock, keys, (blobs, {item.digest for item in files.values()}, untouched.files))
    results = cache.results(unsettled)
    pointers = Pointers(root, files)
    facts = Observed(
        lock=_typed(cache, lock.entries),
        results=results,
        blobs=blobs,
        derived=Derived(cache),
        judgements=CachedJudgements(cache),
        ranks=CachedRanks(cache),
        files={path: item.digest for path, item in files.items()},
        ours=Ours(cache, blobs),
        standing=standing(cache, keys, recoverable),
        once=_once(cache, project),
        pointers=pointers.by_path,
        pointed=pointers.by_digest,
        untouched=untouched,
    )
    return Seen(facts, files)


def _typed(cache: Cache, lock: Mapping[str, LockEntry]) -> Mapping[str, LockEntry]:
    """The lockfile's records, each with the type that its picture's own bytes have: a merge may have written anything."""
    typed = {id: record for id, record in lock.items() if record.media_type}
    if not typed:
        return lock
    real = {id: images.sniff(cache.blob_head(record.digest)) for id, record in typed.items()}
    return {**lock, **{id: replace(typed[id], media_type=name) for id, name in real.items() if name}}


def _paths(keyed: Sequence[Keyed], lock: Lock, whole: bool) -> Collection[str]:
    paths = {spec.path: None for item in keyed for spec in item.entry.outputs}
    records: Collection[LockEntry]
    if whole:
        records = lock.entries.values()
    else:
        records = [lock.entries[item.entry.id] for item in keyed if item.entry.id in lock.entries]
    for record in records:
        paths.update(dict.fromkeys(record.outputs))
    return paths


def _keys(keyed: Sequence[Keyed], lock: Lock) -> Collection[str]:
    keys = {candidate.key for item in keyed for candidate in (*item.candidates, *item.spares) if candidate.key}
    for item in keyed:
        record = lock.entries.get(item.entry.id)
        if record is not None:
            keys.add(record.key)
            keys.update(record.accepted.values())
    return keys


def _unsettled(keyed: Sequence[Keyed], lock: Lock, keys: Collection[str], at_hand: Sequence[Container[str]]) -> Collection[str]:
    """The keys whose receipts matter: of an entry's candidates not those whose picture its record names, bytes at hand.

    A record settles nothing for another entry that wants the same key, nor which pictures were made for an input's key.
    """
    unsettled = set()
    inputs = {ref.entry for item in keyed if item.entry.inputs for ref in item.entry.inputs if ref.entry}
    for item in keyed:
        record = lock.entries.get(item.entry.id)
        if record is None or item.entry.id in inputs:
            unsettled.update([candidate.key for candidate in (*item.candidates, *item.spares)])
        if record is None:
            continue
        pictures = {record.key: record.digest, **record.candidates} if record.candidates else {record.key: record.digest}
        missing = {key for key, digest in pictures.items() if not any(digest in place for place in at_hand)}
        open_keys = [
            candidate.key
            for candidate in (*item.candidates, *item.spares)
            if candidate.key not in pictures or candidate.key in missing
        ]
        if open_keys:
            unsettled.update(open_keys)
            unsettled.update(record.accepted.values())
        if record.key in missing:
            unsettled.add(record.key)
    return unsettled & set(keys)


def standing(cache: Cache, keys: Collection[str], recoverable: Callable[[Attempt], bool]) -> dict[str, tuple[Verdict, str]]:
    """Key to resume, recover, doubt or refused, as the journal says; doubt, where something is there that cannot be read.

    What cannot be read stands as the look-up of the keys' results noted it.
    """
    unreadable = {key: (Verdict.DOUBT, words) for key, words in cache.unreadable(keys).items()}
    if not cache.has_journal():
        return unreadable
    verdicts = {key: (Verdict.REFUSED, _refusal(a)) for key, a in cache.journal.refused(keys).items()} | unreadable
    for attempt in cache.journal.live(keys):
        verdicts[attempt.key] = _live(attempt, cache, recoverable)
    return verdicts


def _refusal(attempt: Attempt) -> str:
    """Code and message; most vendors' messages begin with their code already."""
    return attempt.message if attempt.message.startswith(attempt.code) else f"{attempt.code}: {attempt.message}"


def _live(attempt: Attempt, cache: Cache, recoverable: Callable[[Attempt], bool]) -> tuple[Verdict, str]:
    if attempt.state is AttemptState.DOUBT:
        return Verdict.DOUBT, attempt.message
    if attempt.ticket is not None or cache.journal.is_alive(attempt.build):
        return Verdict.RESUME, _resumed(attempt)
    if recoverable(attempt):
        return Verdict.RECOVER, "sent, and no answer was stored"
    return Verdict.DOUBT, "sent, and no answer was stored; it may have been charged"


def _resumed(attempt: Attempt) -> str:
    if attempt.state is AttemptState.READY and attempt.message:
        return attempt.message
    return f"task {attempt.ticket.task_id}" if attempt.ticket else "another build makes it"


def _once(cache: Cache, project: str) -> Collection[str]:
    return cache.journal.stored_entries(project) if cache.has_journal() else frozenset()
