"""Care: where the cache may be, what gc finds and leaves, what verify and rebuild say."""

from __future__ import annotations

import os
import shutil
import time
from decimal import Decimal
from pathlib import Path

import pytest
from cachelab import PICTURE, begun, digest_of, key, picture, result, store, ticket
from test_cache_blobs import spoil

from qwenbuild.cache import Cache, cache_dir
from qwenbuild.cache.care import gc, rebuild, verify
from qwenbuild.cache.care.gc import Reachable
from qwenbuild.cache.location import NETWORK_TYPES, bsd_mount_type, check_place, mount_type
from qwenbuild.errors import CacheError, InputError

DAY = 24 * 3600.0
MOUNTS = """\
22 1 254:0 / / rw,relatime - ext4 /dev/vda rw
23 22 0:21 / /proc rw - proc proc rw
40 22 0:45 / /mnt/team\\040share rw - nfs4 server:/x rw
41 22 0:46 / /mnt/usb rw - vfat /dev/sdb rw
42 41 0:47 / /mnt/usb/over rw - cifs //server/y rw
43 42 0:48 / /mnt/usb/over rw - ext4 /dev/sdc rw
"""


# ------------------------------------------------ location


def test_the_named_folder_wins_and_is_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert cache_dir({"QWENBUILD_CACHE_DIR": "my cache 缓存"}) == tmp_path / "my cache 缓存"
    assert cache_dir({"QWENBUILD_CACHE_DIR": "/x", "HOME": "/nonexistent"}) == Path("/x")


def test_without_a_name_it_is_in_the_users_data_folder(tmp_path: Path) -> None:
    assert cache_dir({"HOME": str(tmp_path)}) == tmp_path / ".local" / "share" / "qwenbuild"
    assert cache_dir({"XDG_DATA_HOME": str(tmp_path / "d"), "HOME": "/nonexistent"}) == tmp_path / "d" / "qwenbuild"


@pytest.mark.parametrize("environ", [{}, {"HOME": ""}, {"HOME": "/nonexistent-home"}])
def test_no_home_directory_is_said_with_the_variable_that_helps(environ: dict[str, str]) -> None:
    with pytest.raises(InputError, match="QWENBUILD_CACHE_DIR"):
        cache_dir(environ)


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/home/me", "ext4"),
        ("/mnt/team share/cache", "nfs4"),
        ("/mnt/team share", "nfs4"),
        ("/mnt/team share2", "ext4"),
        ("/mnt/usb/cache", "vfat"),
        ("/mnt/usb/over/cache", "ext4"),
        ("/proc/self", "proc"),
    ],
)
def test_the_file_system_under_a_path_is_told_by_the_longest_and_last_mount(path: str, kind: str) -> None:
    assert mount_type(path, MOUNTS) == kind


def test_the_output_of_macos_mount_is_understood() -> None:
    output = "/dev/disk1s1 on / (apfs, local, journaled)\n//me@nas/team on /Volumes/team (x) (smbfs, nodev)\n"
    assert bsd_mount_type("/Users/me", output) == "apfs"
    assert bsd_mount_type("/Volumes/team (x)/cache", output) == "smbfs"


def test_a_network_file_system_is_refused_with_advice(tmp_path: Path) -> None:
    mounts = f"22 1 0:1 / / rw - ext4 /dev/x rw\n30 22 0:2 / {tmp_path} rw - nfs4 server:/x rw\n"
    with pytest.raises(CacheError, match=r"network file system \(nfs4\).*QWENBUILD_CACHE_DIR"):
        check_place(tmp_path / "not" / "there" / "yet", mounts)
    assert {"nfs", "cifs", "smbfs", "fuse.sshfs"} <= NETWORK_TYPES
    assert not {"ext4", "btrfs", "xfs", "overlay", "tmpfs", "apfs", "fuse.ext4"} & NETWORK_TYPES


def test_a_cache_that_others_can_write_is_warned_about(root: Path) -> None:
    root.mkdir()
    root.chmod(0o777)
    with Cache.open(root) as cache:
        assert any("chmod 700" in notice for notice in cache.notices)
    root.chmod(0o755)
    with Cache.open(root) as cache:
        assert cache.notices == []


def test_a_file_in_the_caches_place_is_refused(root: Path) -> None:
    root.write_text("x")
    with pytest.raises(CacheError, match="not a folder"):
        Cache.open(root)


def test_a_cache_of_a_newer_version_or_of_one_that_cannot_be_read_is_refused(root: Path) -> None:
    root.mkdir()
    (root / "VERSION").write_text("2\n")
    with pytest.raises(CacheError, match="update qwenbuild"):
        Cache.open(root)
    for damage in ("\x00\x00", "", "one", "-1", "1 2"):
        (root / "VERSION").write_text(damage)
        with pytest.raises(CacheError, match=r"VERSION.*write 1 into"):
            Cache.open(root)


# ------------------------------------------------ roots


def test_roots_are_noted_once_whoever_notes_them(cache: Cache) -> None:
    for path in ("/p/qwenbuild.lock", "/q/a b/\n缓.lock", "/p/qwenbuild.lock"):
        cache.add_root(Path(path))
    before = (cache.root / "roots").stat().st_mtime_ns
    with Cache.open(cache.root) as later:
        later.add_root(Path("/p/qwenbuild.lock"))
        assert later.roots.known() == (Path("/p/qwenbuild.lock"), Path("/q/a b/\n缓.lock"))
    assert (cache.root / "roots").stat().st_mtime_ns == before
    cache.roots.forget(Path("/p/qwenbuild.lock"))
    assert cache.roots.known() == (Path("/q/a b/\n缓.lock"),)


def test_a_torn_line_among_the_roots_costs_only_itself(cache: Cache) -> None:
    cache.add_root(Path("/p/qwenbuild.lock"))
    with (cache.root / "roots").open("ab") as file:
        file.write(b'"/torn')
    cache.add_root(Path("/q/qwenbuild.lock"))
    assert cache.roots.known() == (Path("/p/qwenbuild.lock"), Path("/q/qwenbuild.lock"))


# ------------------------------------------------ gc


def age(root: Path, days: float) -> None:
    past = time.time() - days * DAY
    for path in root.rglob("*"):
        os.utime(path, (past, past))


def test_gc_says_what_it_would_remove_and_what_that_would_cost_and_removes_nothing(cache: Cache) -> None:
    for number in (1, 2, 3):
        store(cache, number)
    age(cache.root, 2)
    report = gc.collect(cache, Reachable(keys=frozenset({key(1)})))
    assert set(report.keys) == {key(2), key(3)}
    assert set(report.blobs) == {digest_of(picture(2)), digest_of(picture(3))}
    assert report.size == len(picture(2)) + len(picture(3))
    assert (report.cost, report.unknown, report.applied) == ({"usd": Decimal("0.06")}, 0, False)
    assert len(cache.known_blobs()) == 3


def test_gc_applied_removes_exactly_that_and_the_index_forgets_it_too(cache: Cache) -> None:
    for number in (1, 2):
        store(cache, number)
    age(cache.root, 2)
    gc.collect(cache, Reachable(keys=frozenset({key(1)})), apply=True)
    assert cache.known_blobs() == {digest_of(picture(1))}
    assert cache.results([key(1), key(2)]).keys() == {key(1)}
    with Cache.open(cache.root) as later:
        assert later.results([key(1), key(2)]).keys() == {key(1)}
        assert verify.verify(later).sound


def test_gc_keeps_what_a_digest_reaches_with_its_receipt(cache: Cache) -> None:
    made = store(cache, 1)
    age(cache.root, 2)
    report = gc.collect(cache, Reachable(digests=frozenset({made.digest})), apply=True)
    assert (report.blobs, report.keys) == ((), ())
    assert cache.results([key(1)]) == {key(1): (made,)}


@pytest.mark.real_clock
def test_gc_keeps_young_files_and_blobs_of_open_attempts(cache: Cache) -> None:
    store(cache, 1)
    cache.put_blob(PICTURE)
    cache.journal.ticket(begun(cache, 7).id, ticket(7, digest=digest_of(PICTURE)))
    assert gc.collect(cache, Reachable(), apply=True).kept_young == 1
    age(cache.root, 2)
    report = gc.collect(cache, Reachable(), apply=True)
    assert report.blobs == (digest_of(picture(1)),)
    assert cache.known_blobs() == {digest_of(PICTURE)}


def test_gc_takes_an_estimate_from_the_journal_and_counts_what_nobody_wrote_down(cache: Cache) -> None:
    estimated = begun(cache, 1)
    for number, attempt in ((1, estimated.id), (2, "e" * 32)):
        cache.put_blob(picture(number))
        cache.put_result(result(number, attempt=attempt, billed=None))
    cache.journal.ticket(estimated.id, ticket(1))
    cache.journal.stored(estimated.id, digest_of(picture(1)))
    age(cache.root, 2)
    report = gc.collect(cache, Reachable())
    assert (report.cost, report.unknown) == ({"usd": Decimal("0.03")}, 1)


@pytest.mark.real_clock
def test_gc_removes_old_temporary_files_and_leaves_new_ones(cache: Cache) -> None:
    store(cache, 1)
    old = cache.blob_path(digest_of(picture(1))).parent / ".old.1-aa.tmp"
    old.write_bytes(b"x")
    age(cache.root, 2)
    new = old.with_name(".new.1-aa.tmp")
    new.write_bytes(b"x")
    assert gc.collect(cache, Reachable(keys=frozenset({key(1)})), apply=True).leftovers == (old,)
    assert new.exists()


def test_gc_does_not_run_beside_a_build(cache: Cache) -> None:
    with cache.start_build(), pytest.raises(CacheError, match="a build is using"):
        gc.collect(cache, Reachable(), apply=True)


def test_gc_without_a_journal_it_can_read_removes_nothing(cache: Cache) -> None:
    store(cache, 1)
    begun(cache, 2)
    cache.close()
    age(cache.root, 2)
    (cache.root / "journal.db").write_bytes(b"garbage" * 1000)
    with Cache.open(cache.root) as later, pytest.raises(CacheError):
        gc.collect(later, Reachable(), apply=True)
    assert len(cache.known_blobs()) == 1


# ------------------------------------------------ verify, rebuild, stats


def test_verify_of_a_sound_cache_says_so(cache: Cache) -> None:
    store(cache, 1)
    cache.put_derived("d" * 64, cache.put_blob(b"small"), {})
    report = verify.verify(cache)
    assert report.sound
    assert (report.blobs, report.results, report.derived, report.unnamed) == (2, 1, 1, 0)


def test_verify_names_corrupt_and_missing_blobs_and_broken_receipts(cache: Cache) -> None:
    for number in (1, 2, 3):
        store(cache, number)
    spoil(cache.blob_path(digest_of(picture(1))), "flip")
    cache.blob_path(digest_of(picture(2))).unlink()
    cache.receipts.files(key(3))[0].write_bytes(b"")
    quick, full = verify.verify(cache, full=False), verify.verify(cache)
    assert quick.corrupt == ()
    assert full.corrupt == (digest_of(picture(1)),)
    assert full.missing == tuple(sorted({digest_of(picture(1)), digest_of(picture(2))}))
    assert len(full.notices) == 1
    assert not full.sound


def test_rebuild_makes_the_index_and_the_marks_anew_from_the_receipts(cache: Cache) -> None:
    made = {key(number): (store(cache, number),) for number in range(4)}
    cache.put_derived("d" * 64, digest_of(b"small"), {})
    cache.close()
    shutil.rmtree(cache.root / "index")
    shutil.rmtree(cache.root / "made")
    with Cache.open(cache.root) as later:
        assert rebuild.rebuild(later).results == 4
        assert later.index.get([*made, "d" * 64]).keys() == {*made, "d" * 64}
        assert later.is_ours([digest_of(b"small")]) == {digest_of(b"small")}
        assert later.index.settings()["sqlite_synchronous"] == 2
    assert [path.name for path in cache.root.iterdir() if path.name.startswith("index")] == ["index"]


def test_rebuild_of_an_empty_cache_is_fine(cache: Cache) -> None:
    assert rebuild.rebuild(cache).sound


def test_stats_count(cache: Cache) -> None:
    store(cache, 1)
    begun(cache, 2)
    cache.quarantine(b"html", {})
    stats = verify.stats(cache)
    assert (stats.blobs, stats.size, stats.keys, stats.derived, stats.quarantined) == (1, len(picture(1)), 1, 0, 1)
    assert stats.attempts == {"intent": 1}
    assert stats.free > 0
