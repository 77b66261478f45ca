"""Power loss: every legal disk after every step of the order of writes; and proof that the enumeration finds bad orders."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cachelab import Recording, begun, digest_of, disks, key, lay_out, picture, result, ticket

from qwenbuild.cache import BlobCorrupt, Cache
from qwenbuild.cache.fsops import FileOps
from qwenbuild.errors import CacheError

ENTRIES = 3


@dataclass
class Tally:
    states: int = 0
    lost: int = 0
    wrong: int = 0
    hollow: int = 0

    @property
    def violations(self) -> tuple[int, int, int]:
        return self.lost, self.wrong, self.hollow


def as_designed(cache: Cache, log: Recording) -> None:
    """blob → receipt → stored, for each entry; index writes are left out, they are believed only with their seal."""
    for number in range(ENTRIES):
        attempt = begun(cache, number)
        cache.journal.ticket(attempt.id, ticket(number))
        cache.put_blob(picture(number))
        cache.receipts.put(result(number))
        log.event("ack", str(number).encode())
        cache.journal.stored(attempt.id, digest_of(picture(number)))
        log.event("stored", str(number).encode())


def in_a_batch(cache: Cache, log: Recording) -> None:
    """The same for several entries at once: all of one kind are durable before the next."""
    attempts = [begun(cache, number) for number in range(ENTRIES)]
    cache.put_blobs([picture(number) for number in range(ENTRIES)])
    cache.journal.ticket_many({attempt.id: ticket(number) for number, attempt in enumerate(attempts)})
    cache.put_receipts([result(number) for number in range(ENTRIES)])
    for number in range(ENTRIES):
        log.event("ack", str(number).encode())
    cache.journal.stored_many({attempt.id: (digest_of(picture(number)), None) for number, attempt in enumerate(attempts)})
    for number in range(ENTRIES):
        log.event("stored", str(number).encode())


def journal_first(cache: Cache, log: Recording) -> None:
    for number in range(ENTRIES):
        log.event("stored", str(number).encode())
        cache.put_blob(picture(number))
        cache.receipts.put(result(number))
        log.event("ack", str(number).encode())


def receipt_first(cache: Cache, log: Recording) -> None:
    for number in range(ENTRIES):
        cache.receipts.put(result(number))
        cache.put_blob(picture(number))
        log.event("ack", str(number).encode())


def tallies(tmp_path: Path, protocol: Callable[[Cache, Recording], None], *forget: str) -> Iterator[Tally]:
    """Play the protocol, then look at every disk that a power cut could leave, counting. `forget`: operations not done."""
    log = Recording(forget=forget)
    source = tmp_path / "source"
    with Cache.open(source, log) as cache:
        protocol(cache, log)
    found = Tally()
    for done, disk in disks(log.log):
        target = lay_out(disk, source, tmp_path / "disk" / "vault") if source in disk else tmp_path / "disk" / "vault"
        events = log.log[:done]
        _judge(found, target, {op.data for op in events if op.kind == "ack"}, {op.data for op in events if op.kind == "stored"})
        shutil.rmtree(tmp_path / "disk", ignore_errors=True)
        yield found


def _judge(found: Tally, root: Path, acknowledged: set[bytes], stored: set[bytes]) -> None:
    found.states += 1
    try:
        opened = Cache.open(root)
    except CacheError:  # its VERSION is hollow: everything is refused
        found.lost += 1
        return
    with opened as cache:
        for number in range(ENTRIES):
            name, data = str(number).encode(), picture(number)
            path = cache.blob_path(digest_of(data))
            found.wrong += path.exists() and path.read_bytes() != data
            served = _served(cache, digest_of(data))
            assert served in (data, None), "wrong bytes were served"
            receipt = cache.results([key(number)]).get(key(number), ())
            assert receipt in ((), (result(number),)), "a receipt was served altered"
            found.lost += name in acknowledged and (served is None or not receipt)
            found.hollow += (name in stored or bool(receipt)) and served is None


def _served(cache: Cache, digest: str) -> bytes | None:
    try:
        return cache.read_blob(digest)
    except (BlobCorrupt, CacheError):
        return None


@pytest.mark.parametrize("protocol", [as_designed, in_a_batch])
def test_no_legal_disk_loses_an_acknowledged_picture_or_shows_a_hollow_one(
    tmp_path: Path, protocol: Callable[[Cache, Recording], None]
) -> None:
    *_, found = tallies(tmp_path, protocol)
    assert found.states > 50
    assert found.violations == (0, 0, 0)


@pytest.mark.parametrize(
    ("protocol", "forget"),
    [
        (as_designed, ("fsync",)),
        (as_designed, ("fsync_folder",)),
        (as_designed, ("fsync", "fsync_folder")),
        (in_a_batch, ("fsync",)),
        (in_a_batch, ("fsync_folder",)),
        (journal_first, ()),
        (receipt_first, ()),
    ],
    ids=[
        "no file sync",
        "no folder sync",
        "no sync",
        "batch, no file sync",
        "batch, no folder sync",
        "journal before blob",
        "receipt before blob",
    ],
)
def test_the_enumeration_finds_what_is_wrong_with_every_other_order(
    tmp_path: Path, protocol: Callable[[Cache, Recording], None], forget: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("test_cache_crash.ENTRIES", 1)
    assert any(any(found.violations) for found in tallies(tmp_path, protocol, *forget))


def test_a_picture_stored_after_another_process_died_before_its_sync_is_durable(tmp_path: Path) -> None:
    """The folder `blobs/ab` and even the blob may be there without being durable: storing again makes them so."""
    log = Recording()
    source = tmp_path / "source"
    with Cache.open(source, Recording()) as dead:
        dead.put_blob(picture(0))
    with Cache.open(source, log) as cache:
        cache.put_blob(picture(0))
    synced = {op.folder for op in log.log if op.kind == "fsync_folder"}
    blob = cache.blob_path(digest_of(picture(0)))
    assert {blob.parent, blob.parents[1], blob.parents[2], source.parent} <= synced


def test_a_picture_that_was_fetched_unsynced_is_synced_when_it_is_bought(tmp_path: Path) -> None:
    """What came from a shared cache can be had again; the same bytes, once paid for, must outlive a power cut."""
    synced: list[int] = []

    class Syncing(FileOps):
        def fsync(self, fd: int) -> None:
            super().fsync(fd)
            synced.append(os.fstat(fd).st_ino)

    with Cache.open(tmp_path / "source", Syncing()) as cache:
        cache.put_again(picture(0), digest_of(picture(0)))
        blob = cache.blob_path(digest_of(picture(0))).stat().st_ino
        assert blob not in synced
        cache.put_blob(picture(0))
    assert blob in synced
