"""Blobs: stored once, read only when whole, copied without ever sharing a later change."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest
from cachelab import PICTURE, digest_of

from qwenbuild.cache import BlobCorrupt, Cache
from qwenbuild.cache.fsops import FileOps
from qwenbuild.errors import CacheError


def test_what_is_stored_comes_back_byte_for_byte(cache: Cache) -> None:
    digest = cache.put_blob(PICTURE)
    assert digest == digest_of(PICTURE)
    assert cache.read_blob(digest) == PICTURE
    assert cache.has_blob(digest)
    assert cache.known_blobs() == {digest}


@pytest.mark.skipif(not hasattr(os, "posix_fadvise"), reason="this system takes no such advice")
def test_a_picture_is_stored_where_the_system_takes_no_advice(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def refuse(*said: int) -> None:
        asked.append(said)
        raise OSError(errno.EINVAL, "no advice here")

    monkeypatch.setattr(os, "posix_fadvise", refuse)
    assert cache.read_blob(cache.put_blob(PICTURE)) == PICTURE
    assert len(asked) == 1


def test_looking_into_a_cache_that_is_not_there_makes_nothing(cache: Cache, root: Path) -> None:
    assert not cache.has_blob("0" * 64)
    assert cache.known_blobs() == set()
    assert cache.results(["0" * 64]) == {}
    assert cache.derived(["0" * 64]) == {}
    assert cache.is_ours(["0" * 64]) == set()
    assert cache.journal.live() == []
    assert cache.journal.refused(["0" * 64]) == {}
    assert cache.roots.known() == ()
    assert not root.exists()


def test_the_first_write_says_what_the_folder_is_and_closes_it_to_others(cache: Cache, root: Path) -> None:
    digest = cache.put_blob(PICTURE)
    assert "costs money" in (root / "README").read_text()
    assert (root / "VERSION").read_text() == "1\n"
    assert stat.S_IMODE(root.stat().st_mode) == 0o700
    assert stat.S_IMODE(cache.blob_path(digest).parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(cache.blob_path(digest).stat().st_mode) == 0o444


def test_storing_the_same_bytes_twice_leaves_one_file_and_no_litter(cache: Cache, root: Path) -> None:
    digest = cache.put_blob(PICTURE)
    assert cache.put_blob(PICTURE) == digest
    assert [path.name for path in (root / "blobs").rglob("*") if path.is_file()] == [digest]


@pytest.mark.parametrize("damage", ["empty", "half", "flip", "garbage"])
def test_a_damaged_blob_is_set_aside_and_never_served(cache: Cache, damage: str) -> None:
    digest = cache.put_blob(PICTURE)
    path = cache.blob_path(digest)
    spoil(path, damage)
    wrong = path.read_bytes()
    with pytest.raises(BlobCorrupt):
        cache.read_blob(digest)
    assert not cache.has_blob(digest)
    assert [kept.read_bytes() for kept in path.parents[2].glob("quarantine/*")] == [wrong]
    assert cache.put_blob(PICTURE) == digest
    assert cache.read_blob(digest) == PICTURE


def test_a_picture_that_a_disk_gives_back_otherwise_is_not_taken_for_stored(root: Path) -> None:
    class Forgetful(FileOps):
        def write(self, fd: int, data: bytes | memoryview) -> int:
            return os.write(fd, bytes(len(data)))

    cache = Cache.open(root, Forgetful())
    with pytest.raises(BlobCorrupt):
        cache.blobs.put(PICTURE)
    assert cache.known_blobs() == set()
    assert [path.read_bytes() for path in (root / "quarantine").iterdir()] == [bytes(len(PICTURE))]


def test_a_damaged_picture_is_not_filled_into_a_file_as_if_it_were_whole(cache: Cache, tmp_path: Path) -> None:
    digest = cache.put_blob(PICTURE)
    spoil(cache.blob_path(digest), "flip")
    with (tmp_path / "out.png").open("wb") as file, pytest.raises(BlobCorrupt):
        cache.fill(digest, file.fileno())
    assert not cache.has_blob(digest)


def test_storing_over_a_damaged_blob_heals_it_and_keeps_the_damaged_bytes(cache: Cache) -> None:
    digest = cache.put_blob(PICTURE)
    spoil(cache.blob_path(digest), "half")
    cache.put_blob(PICTURE)
    assert cache.read_blob(digest) == PICTURE
    assert len(list((cache.root / "quarantine").iterdir())) == 1


def test_a_copy_is_not_a_hard_link_and_can_be_edited(cache: Cache, tmp_path: Path) -> None:
    digest = cache.put_blob(PICTURE)
    target = tmp_path / "out.png"
    cache.copy_blob(digest, target)
    assert target.read_bytes() == PICTURE
    assert target.stat().st_nlink == 1
    assert target.stat().st_mode & stat.S_IWUSR
    target.write_bytes(b"edited by hand")
    assert cache.read_blob(digest) == PICTURE


def test_copying_a_damaged_blob_leaves_no_target(cache: Cache, tmp_path: Path) -> None:
    digest = cache.put_blob(PICTURE)
    spoil(cache.blob_path(digest), "flip")
    with pytest.raises(BlobCorrupt):
        cache.copy_blob(digest, tmp_path / "out.png")
    assert not (tmp_path / "out.png").exists()


def test_a_copy_never_replaces_a_file_nor_follows_a_link(cache: Cache, tmp_path: Path) -> None:
    digest = cache.put_blob(PICTURE)
    (tmp_path / "link").symlink_to(tmp_path / "victim")
    for name in ("link", "there"):
        if name == "there":
            (tmp_path / name).write_bytes(b"mine")
        with pytest.raises(CacheError):
            cache.copy_blob(digest, tmp_path / name)
    assert not (tmp_path / "victim").exists()
    assert (tmp_path / "there").read_bytes() == b"mine"


def test_a_copy_can_be_made_relative_to_an_open_folder(cache: Cache, tmp_path: Path) -> None:
    digest = cache.put_blob(PICTURE)
    folder = os.open(tmp_path, os.O_RDONLY)
    try:
        cache.copy_blob(digest, Path("out.png"), mode=0o640, dir_fd=folder)
    finally:
        os.close(folder)
    assert (tmp_path / "out.png").read_bytes() == PICTURE
    assert stat.S_IMODE((tmp_path / "out.png").stat().st_mode) == 0o640


def test_only_a_digest_becomes_a_file_name(cache: Cache) -> None:
    for name in ("../../etc/passwd", "A" * 64, "", "a" * 63, "a" * 64 + "\n"):
        with pytest.raises(CacheError):
            cache.blob_path(name)


def test_quarantined_bytes_are_kept_with_a_note_that_holds_no_signed_link(cache: Cache) -> None:
    path = cache.quarantine(b"<html>not a png", {"task": "t1", "url": "https://cdn.test/x.png?Signature=secret"})
    assert path.read_bytes() == b"<html>not a png"
    note = path.with_name(f"{path.name}.json").read_text()
    assert "t1" in note
    assert "secret" not in note


def test_temporary_files_are_no_blobs(cache: Cache) -> None:
    digest = cache.put_blob(PICTURE)
    (cache.blob_path(digest).parent / f".{digest[:16]}.1-ab.tmp").write_bytes(b"half")
    assert cache.known_blobs() == {digest}


def spoil(path: Path, damage: str) -> None:
    """Damage a file in place, as a bad disk does."""
    data = path.read_bytes()
    middle = len(data) // 2
    wrong = {
        "empty": b"",
        "half": data[:middle],
        "flip": data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :],
        "garbage": os.urandom(len(data) or 64),
    }[damage]
    path.chmod(0o600)
    path.write_bytes(wrong)
