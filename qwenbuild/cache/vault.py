"""The cache as one object: blobs, receipts, index and journal, each opened when it is first needed.

Knows no manifest, no lockfile's content, no provider and no network. Trouble with the disk is a CacheError, never a miss.
"""

from __future__ import annotations

import functools
import os
import shutil
import threading
import time
from collections.abc import Callable, Collection, Container, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qwenbuild.cache.blobs import Blobs
from qwenbuild.cache.fsops import REAL, FileOps, Writer, read_file
from qwenbuild.cache.judgements import Judgements
from qwenbuild.cache.location import check_place
from qwenbuild.cache.receipts import Receipts
from qwenbuild.cache.results import VERSION, Results, derived_digest
from qwenbuild.cache.trouble import as_cache_error
from qwenbuild.errors import CacheError
from qwenbuild.later import later
from qwenbuild.model import ActionResult

with later:
    from qwenbuild.cache import builds as builds_file
    from qwenbuild.cache import index as index_file
    from qwenbuild.cache import journal as journal_file
    from qwenbuild.cache import roots as roots_file

if TYPE_CHECKING:
    from qwenbuild.cache.builds import Build


PLACE_IN_FLIGHT_BYTES = 32 << 20
PLACE_BESIDE_BYTES = 256 << 20
"""Bytes: a picture in flight must find room, and the journal with it."""

README = """\
This folder is the picture cache of qwenbuild.

  blobs/       pictures exactly as they were received, named by their SHA-256
  receipts/    what was asked, what came, what it cost
  journal.db   every attempt to buy a picture, open ones too
  index/       an accelerator, made anew by `qwenbuild cache rebuild`
  quarantine/  bytes that were paid for and failed a check

THESE PICTURES WERE PAID FOR. Deleting this folder costs money: what a lockfile names and no other copy holds is bought again.
`qwenbuild cache gc` removes what no lockfile needs; `qwenbuild cache verify` reads everything.
"""


class Cache:
    """The vault. Opening it writes nothing; the first write makes the folder. `notices` are sentences for the user."""

    def __init__(self, root: Path, ops: FileOps = REAL, clock: Callable[[], float] = time.time) -> None:
        self.root = root
        self.notices: list[str] = []
        self.writer = Writer(root, ops)
        self.blobs = Blobs(root, self.writer)
        self.receipts = Receipts(root, self.writer, self.notices, clock)
        self.judgements = Judgements(root, self.writer)
        self._clock = clock
        self._opening = threading.RLock()
        self._index: index_file.Index | None = None
        self._journal: journal_file.Journal | None = None
        self._prepared = False
        self.known = Results(
            self.blobs,
            self.receipts,
            self.notices,
            lambda: self.index,
            self._existing_index,
            lambda: self.journal if self.has_journal() else None,
        )

    @classmethod
    def open(cls, root: Path, ops: FileOps = REAL, clock: Callable[[], float] = time.time) -> Cache:
        """The cache at `root`, which need not exist yet. Raises CacheError for a newer version or a network file system."""
        cache = cls(Path(os.path.abspath(root)), ops, clock)
        cache._look()
        return cache

    @as_cache_error
    def _look(self) -> None:
        self.notices.extend(check_place(self.root))
        try:
            text = read_file(self.root / "VERSION").decode("ascii", "replace").strip()
        except FileNotFoundError:
            return
        if text.isdigit() and int(text) > VERSION:
            raise CacheError(f"the cache {self.root} has VERSION {text}; update qwenbuild to use it", code="cache-version")
        if text != str(VERSION):
            raise CacheError(
                f"{self.root / 'VERSION'} cannot be read, so it cannot be told which qwenbuild wrote this cache, and nothing "
                f"is bought from it; if it was this version, write {VERSION} into that file",
                code="cache-version",
            )

    def close(self) -> None:
        """Write what the index still has to write and close the databases. The cache may be used again afterwards."""
        if self._index is not None:
            self._index.close()
        if self._journal is not None:
            self._journal.close()

    def __enter__(self) -> Cache:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    # ------------------------------------------------ blobs

    def blob_path(self, digest: str) -> Path:
        """Where a blob is, or would be."""
        return self.blobs.path(digest)

    @as_cache_error
    def has_blob(self, digest: str) -> bool:
        """Is a blob of that name there? Raises CacheError when it cannot be told."""
        return self.blobs.has(digest)

    @as_cache_error
    def known_blobs(self, shards: Container[str] | None = None) -> set[str]:
        """The digests of all blobs, in one sweep; of those whose first two digits are among `shards`, where these are given."""
        return set(self.blobs.names(shards))

    @as_cache_error
    def read_blob(self, digest: str) -> bytes:
        """A blob's bytes, hashed. Raises BlobCorrupt (its file is in quarantine then), CacheError."""
        return self.blobs.read(digest)

    @as_cache_error
    def blob_head(self, digest: str) -> bytes:
        """A blob's first 64 bytes, not hashed: enough to tell its type. Empty when it is not there. Raises CacheError."""
        try:
            with open(self.blobs.path(digest), "rb", buffering=0) as file:
                return file.read(64)
        except FileNotFoundError:
            return b""

    @as_cache_error
    def put_blob(self, data: bytes, *, durable: bool = True) -> str:
        """Store bytes durably, read them back and hash them; the digest. Raises CacheError; then see `rescue`.

        Without `durable` nothing is synced: for bytes that can be had again at no cost.
        """
        self._prepare()
        return self.blobs.put(data, durable=durable)

    @as_cache_error
    def put_blobs(self, pictures: Sequence[bytes]) -> list[str]:
        """`put_blob` for several pictures, which share syncs; their digests, in order. Raises CacheError."""
        self._prepare()
        return self.blobs.put_many(pictures)

    def hold(self, data: bytes, digest: str) -> None:
        """Bytes that `put_blob` has just stored and that are copied into the tree in a moment: spares reading them again."""
        self.blobs.hold(data, digest)

    @as_cache_error
    def put_again(self, data: bytes, digest: str, result: ActionResult | None = None) -> None:
        """Store a picture that was just verified and can be had again, with its receipt: nothing is synced or read back.

        The index learns of such receipts by `index_many`. Raises CacheError.
        """
        self._prepare()
        self.blobs.put_again(data, digest)
        if result is not None:
            self.receipts.put(result, durable=False)

    @as_cache_error
    def quarantine(self, data: bytes, note: Mapping[str, Any]) -> Path:
        """Keep paid bytes that fail a check, with what is known of them; where they are."""
        self._prepare()
        return self.blobs.quarantine(data, note)

    @as_cache_error
    def copy_blob(self, digest: str, target: Path, *, mode: int = 0o666, dir_fd: int | None = None) -> None:
        """Make `target`, which must not exist, a copy of a blob: a reflink or a copy, never a hard link, hashed on the way.

        `target` is relative to `dir_fd` where one is given; `mode` is cut by the umask.
        Raises BlobCorrupt, CacheError, and CopyFailed, an OSError, when the copy cannot be written.
        """
        self.blobs.copy(digest, target, mode=mode, dir_fd=dir_fd)

    @as_cache_error
    def fill(self, digest: str, fd: int) -> None:
        """Write a blob's bytes into an open, empty file: a reflink or a copy, hashed.

        Raises BlobCorrupt, CacheError, and CopyFailed, an OSError, when that file cannot be written.
        """
        self.blobs.fill(digest, fd)

    # ------------------------------------------------ results

    @as_cache_error
    def results(self, keys: Collection[str]) -> dict[str, tuple[ActionResult, ...]]:
        """What is known of each key, newest first; keys without a result are absent. Nothing is written."""
        return self.known.results(keys)

    def unreadable(self, keys: Collection[str]) -> dict[str, str]:
        """Of these keys, as last looked up: what is there and cannot be read, in a sentence. It may have been paid for."""
        return self.known.unreadable(keys)

    @as_cache_error
    def made(self, key: str) -> ActionResult | None:
        """The picture of a key whose bytes are at hand, by its receipts alone: what a plan looked up need not be again.

        Raises CacheError, also when a receipt is there that cannot be read.
        """
        return self.known.made(key)

    def put_result(self, result: ActionResult) -> None:
        """Write a result's receipt durably, then the index. Raises CacheError."""
        self.put_receipt(result)
        self.index_result(result.key)

    @as_cache_error
    def put_receipt(self, result: ActionResult) -> None:
        """Write a result's receipt durably. Raises CacheError."""
        self._prepare()
        self.receipts.put(result)

    @as_cache_error
    def put_receipts(self, results: Sequence[ActionResult]) -> None:
        """`put_receipt` for results of different keys, which share syncs. Raises CacheError."""
        self._prepare()
        self.receipts.put_many(results)

    @as_cache_error
    def index_result(self, key: str) -> None:
        """Bring the index to what the receipts of a key say: after the journal says stored. Raises CacheError."""
        self.known.index_result(key)

    @as_cache_error
    def index_many(self, keys: Collection[str]) -> None:
        """Bring the index to what the receipts of a few keys say. Each entry is a sync of its own. Raises CacheError."""
        self.known.index_many(keys)

    @as_cache_error
    def mend(self) -> None:
        """Write to the index what lookups had to read from receipts, and the receipts that only the index still knew."""
        self.known.mend()

    @as_cache_error
    def keep_reissued(self) -> None:
        """Write down the receipts that look-ups made anew from the journal; of very many only some, a rebuild does the rest."""
        self.known.keep_reissued()

    def restore_receipts(self) -> None:
        """Write again the receipts that only the index still holds, for every key that the journal knows."""
        self.results([attempt.key for attempt in self.journal.attempts()])
        self.mend()

    # ------------------------------------------------ derived files

    @as_cache_error
    def derived(self, recipes: Collection[str]) -> dict[str, str]:
        """The digest of the file that each recipe made, where one is known."""
        index = self._existing_index()
        records = {} if index is None else index.get(recipes)
        digests = {}
        for recipe in recipes:
            digest = derived_digest(recipe, records.get(recipe))
            if not digest:
                record = self.receipts.derived(recipe)
                digest = "" if record is None else str(record["digest"])
            if digest:
                digests[recipe] = digest
        return digests

    @as_cache_error
    def put_derived(self, recipe: str, digest: str, facts: Mapping[str, Any]) -> None:
        """Note which file a recipe made, with facts worth keeping; not synced, it is free to make again."""
        self._prepare()
        self.index.set(recipe, self.receipts.put_derived(recipe, digest, facts))

    @as_cache_error
    def is_ours(self, digests: Collection[str]) -> set[str]:
        """Those of the digests that are a blob or a derived file that we made."""
        return {digest for digest in digests if self.blobs.has(digest) or self.receipts.is_derived(digest)}

    @as_cache_error
    def judgement(self, key: str) -> str | None:
        """What fails of an expectation, "" when nothing does, None when nobody looked yet."""
        return self.judgements.read(key)

    @as_cache_error
    def judged_details(self, key: str) -> Sequence[Mapping[str, Any]]:
        """What a judgement noted beside what fails: JSON objects."""
        return self.judgements.details(key)

    @as_cache_error
    def put_judgement(self, key: str, fails: str, details: Sequence[Mapping[str, Any]] = ()) -> None:
        """Note what bytes fail of an expectation, "" for nothing; not synced, it is free to find again."""
        self._prepare()
        self.judgements.write(key, fails, details)

    # ------------------------------------------------ what is opened when needed

    @property
    def index(self) -> index_file.Index:
        """The accelerator; making this object opens nothing."""
        with self._opening:
            if self._index is None:
                self._index = index_file.Index(self.root, self.writer, self.notices)
            return self._index

    def _existing_index(self) -> index_file.Index | None:
        """The index when there is one on the disk: diskcache is not even imported for a lookup in nothing."""
        return self.index if self._index is not None or (self.root / "index" / "cache.db").exists() else None

    def forget_index(self, keys: Collection[str]) -> None:
        """Take keys out of the index, and write nothing of them back."""
        self.known.forget(keys)
        index = self._existing_index()
        if index is not None:
            index.drop(keys)

    @property
    def journal(self) -> journal_file.Journal:
        """Attempts and money; looking makes no file."""
        with self._opening:
            if self._journal is None:
                self._journal = journal_file.Journal(self.root, self.writer, self.builds.is_alive, self._clock)
            return self._journal

    def has_journal(self) -> bool:
        """Whether anything was ever written down on this machine, the journal lost since or not; asking opens nothing."""
        return self.journal.path.exists() or self.journal.mark.exists()

    @functools.cached_property
    def builds(self) -> builds_file.Builds:
        """Which builds are alive over this cache."""
        return builds_file.Builds(self.root, self.writer)

    @as_cache_error
    def start_build(self) -> Build:
        """Begin a build: its id is alive until it is closed or its process dies."""
        self._prepare()
        return self.builds.start()

    @functools.cached_property
    def roots(self) -> roots_file.Roots:
        """The lockfiles that use this cache."""
        return roots_file.Roots(self.root, self.writer)

    @as_cache_error
    def add_root(self, lockfile: Path) -> None:
        """Note a lockfile that uses this cache; nothing is written when it is known."""
        self._prepare()
        self.roots.add(lockfile)

    # ------------------------------------------------ room

    @as_cache_error
    def free_bytes(self) -> int:
        """Bytes that this user may still write where the cache is."""
        folder = next(folder for folder in (self.root, *self.root.parents) if folder.exists())
        return shutil.disk_usage(folder).free

    def room_for(self, in_flight: int) -> int:
        """Bytes that must be free before one more picture is submitted, with so many in flight."""
        return in_flight * PLACE_IN_FLIGHT_BYTES + PLACE_BESIDE_BYTES

    def write_probe(self, in_flight: int = 2) -> None:
        """Before the first submit: can a picture be stored? Raises CacheError with the cause in one line."""
        try:
            self._prepare()
            for name in ("blobs", "receipts", "quarantine", "builds"):
                self.writer.probe(self.root / name)
            self.writer.probe(self.root)
        except OSError as error:
            message = f"the cache {self.root} cannot be written ({error}); nothing was sent"
            raise CacheError(message, code="cache-write") from error
        needed, free = self.room_for(in_flight), self.free_bytes()
        if free < needed:
            text = f"{free >> 20} MB are free where the cache {self.root} is, {needed >> 20} MB are needed"
            raise CacheError(f"{text} for {in_flight} pictures in flight; nothing was sent", code="cache-full")
        self.journal.check_writable()

    def _prepare(self) -> None:
        """Once: the folder for its owner alone, VERSION and README."""
        if self._prepared:
            return
        self.writer.folder(self.root)
        for name, text in (("README", README), ("VERSION", f"{VERSION}\n")):
            if not (self.root / name).exists():
                self.writer.write(self.root / name, text.encode())
        self._prepared = True

    def now(self) -> float:
        """Wall seconds, by the clock that this cache was opened with."""
        return self._clock()
