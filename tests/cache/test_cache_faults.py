"""Faults: every file damaged in every way, every operation failing at every place. It heals or refuses; it never lies."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from cachelab import Failing, begin, begun, digest_of, key, picture, result, store, ticket
from test_cache_blobs import spoil

from qwenbuild.cache import AttemptState, BlobCorrupt, Cache
from qwenbuild.cache.attempts import Attempt, Busy
from qwenbuild.cache.care import rebuild, rescue, verify
from qwenbuild.errors import CacheError

DAMAGE = ["delete", "empty", "half", "flip", "garbage", "append"]
FILES = ["blob", "receipt", "recipe", "made", "index", "journal", "mark", "VERSION", "README", "roots"]


def furnished(root: Path) -> None:
    """Two pictures stored, one attempt open, one stored attempt, a derived file, a root."""
    with Cache.open(root) as cache:
        for number in (1, 2):
            store(cache, number)
        done = begun(cache, 1)
        cache.journal.ticket(done.id, ticket(1))
        cache.journal.stored(done.id, digest_of(picture(1)))
        cache.journal.ticket(begun(cache, 3).id, ticket(3))
        cache.put_derived("d" * 64, digest_of(b"small"), {})
        cache.add_root(Path("/p/qwenbuild.lock"))


def files(root: Path) -> dict[str, Path]:
    digest = digest_of(picture(1))
    small = digest_of(b"small")
    return {
        "blob": root / "blobs" / digest[:2] / digest,
        "receipt": next((root / "receipts" / key(1)[:2] / key(1)).iterdir()),
        "recipe": root / "receipts" / "dd" / ("d" * 64 + ".json"),
        "made": root / "made" / small[:2] / small,
        "index": root / "index" / "cache.db",
        "journal": root / "journal.db",
        "mark": root / "journal.made",
        "VERSION": root / "VERSION",
        "README": root / "README",
        "roots": root / "roots",
    }


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("name", FILES)
def test_every_file_damaged_in_every_way_heals_or_refuses(root: Path, name: str, damage: str) -> None:
    furnished(root)
    path = files(root)[name]
    if damage == "delete":
        path.unlink()
    elif damage == "append":
        path.chmod(0o600)
        path.write_bytes(path.read_bytes() + b"tail")
    else:
        spoil(path, damage)
    if name == "VERSION" and damage != "delete" and path.read_bytes().strip() != b"1":
        with pytest.raises(CacheError, match="VERSION"):
            Cache.open(root)
        return
    pictures_are_right_or_gone(root)
    nothing_is_bought_by_mistake(root)
    with Cache.open(root) as cache:
        rebuild.rebuild(cache)
        verify.verify(cache)
    pictures_are_right_or_gone(root)
    nothing_is_bought_by_mistake(root, lossy=name == "journal")
    with Cache.open(root) as cache:
        begin(cache, 4)


def pictures_are_right_or_gone(root: Path) -> None:
    with Cache.open(root) as cache:
        known = cache.results([key(1), key(2)])
        assert known.keys() >= {key(2)}
        for number in (1, 2):
            for item in known.get(key(number), ()):
                assert item == result(number)
                try:
                    assert cache.read_blob(item.digest) == picture(number)
                except (BlobCorrupt, CacheError):
                    assert number == 1


def nothing_is_bought_by_mistake(root: Path, *, lossy: bool = False) -> str:
    """The open attempt of key 3 is seen, or the journal refuses; a rebuilt one may have lost it, and said so."""
    with Cache.open(root) as cache:
        try:
            answer = "seen" if isinstance(begin(cache, 3), Busy) else "bought"
        except CacheError as error:
            answer = "refused" if "journal" in str(error) else f"failed: {error}"
        assert answer in ("seen", "refused") or lossy
        return answer


def test_flipping_any_byte_of_the_journal_never_hides_an_open_attempt(root: Path, tmp_path: Path) -> None:
    furnished(root)
    whole = (root / "journal.db").read_bytes()
    step = max(1, len(whole) // 160)
    answers = set()
    for place in range(0, len(whole), step):
        copy = tmp_path / f"copy{place}"
        copy.mkdir()
        (copy / "journal.db").write_bytes(whole[:place] + bytes([whole[place] ^ 0x41]) + whole[place + 1 :])
        (copy / "journal.made").touch()
        answers.add(nothing_is_bought_by_mistake(copy))
        shutil.rmtree(copy)
    assert answers == {"seen", "refused"}


def test_a_broken_journal_is_set_aside_and_its_whole_rows_are_saved(root: Path) -> None:
    furnished(root)
    import sqlite3

    connection = sqlite3.connect(root / "journal.db")
    connection.execute("UPDATE attempts SET account = 'other' WHERE state = 'stored'")
    connection.commit()
    connection.close()
    with Cache.open(root) as cache:
        report = rebuild.rebuild(cache)
        assert (report.journal, report.rescued_attempts, report.lost_attempts) == ("ok", 1, 1)
        assert [attempt.key for attempt in cache.journal.live()] == [key(3)]
        assert isinstance(begin(cache, 3), Busy)
        (root / "journal.corrupt-1").stat()
        saved = cache.journal.live()[0]
        assert cache.journal.stored(saved.id, digest_of(b"x")).digest == digest_of(b"x")


@pytest.mark.parametrize("code", [errno.EMFILE, errno.EACCES, errno.EIO, errno.ENFILE, errno.ELOOP])
def test_a_disk_that_cannot_be_read_is_never_a_miss(root: Path, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    furnished(root)
    shutil.rmtree(root / "index")

    def refused(*args: object, **kwargs: object) -> None:
        raise OSError(code, os.strerror(code))

    questions: list[Callable[[Cache], object]] = [
        lambda cache: cache.has_blob(digest_of(picture(1))),
        lambda cache: cache.known_blobs(),
        lambda cache: cache.read_blob(digest_of(picture(1))),
        lambda cache: cache.results([key(1)]),
        lambda cache: cache.results([key(number) for number in range(2000)]),
        lambda cache: cache.derived(["d" * 64]),
        lambda cache: cache.is_ours([digest_of(b"small")]),
        lambda cache: cache.journal.live(),
        lambda cache: cache.journal.by_key([key(1)]),
        lambda cache: cache.journal.refused([key(1)]),
        lambda cache: begin(cache, 9),
    ]
    for ask in questions:
        cache = Cache.open(root)
        with monkeypatch.context() as patch:
            for name in ("open", "stat", "scandir", "listdir"):
                patch.setattr(os, name, refused)
            with pytest.raises(CacheError):
                ask(cache)
        cache.close()


def test_a_real_shortage_of_descriptors_is_never_a_miss(root: Path) -> None:
    furnished(root)
    taken = []
    with Cache.open(root) as cache:
        try:
            while True:
                taken.append(os.open("/dev/null", os.O_RDONLY))
        except OSError:
            pass
        try:
            with pytest.raises(CacheError):
                cache.results([key(1)])
            with pytest.raises(CacheError):
                cache.journal.live()
        finally:
            for fd in taken:
                os.close(fd)
    with Cache.open(root) as cache:
        assert cache.results([key(1)]) == {key(1): (result(1),)}


def steps(cache: Cache) -> list[Callable[[], object]]:
    """One entry from nothing to stored."""
    held: list[Attempt] = []
    return [
        cache.write_probe,
        lambda: held.append(begun(cache, 1)),
        lambda: cache.journal.ticket(held[0].id, ticket(1)),
        lambda: cache.put_blob(picture(1)),
        lambda: cache.put_result(result(1)),
        lambda: cache.journal.stored(held[0].id, digest_of(picture(1))),
    ]


def run_until_failure(cache: Cache) -> int:
    for number, step in enumerate(steps(cache)):
        try:
            step()
        except CacheError:
            return number
    return len(steps(cache))


def test_failing_at_every_operation_leaves_a_cache_that_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qwenbuild.cache.vault.PLACE_BESIDE_BYTES", 0)
    clean = Failing(at=10**9)
    with Cache.open(tmp_path / "clean", clean) as cache:
        assert run_until_failure(cache) == len(steps(cache))
    assert clean.calls > 60
    for at in range(1, clean.calls + 1):
        root = tmp_path / f"at{at}"
        with Cache.open(root, Failing(at, [errno.ENOSPC, errno.EIO, errno.EROFS][at % 3])) as cache:
            done = run_until_failure(cache)
        with Cache.open(root) as later:
            if done >= 4:
                assert later.read_blob(digest_of(picture(1))) == picture(1)
            if done >= 2:
                assert isinstance(begin(later, 1), Busy) or done == len(steps(later))
            assert verify.verify(later).corrupt == ()
            later.put_blob(picture(1))
            later.put_result(result(1))
            assert later.results([key(1)])[key(1)] == (result(1),)
        shutil.rmtree(root)


def test_no_failed_write_leaves_a_temporary_file(tmp_path: Path) -> None:
    for at in range(1, 12):
        root = tmp_path / f"at{at}"
        with Cache.open(root) as cache:
            cache.put_blob(b"first")
        with Cache.open(root, Failing(at)) as cache:
            try:
                cache.put_blob(picture(1))
            except CacheError:
                assert list(root.rglob("*.tmp")) == []


@pytest.mark.parametrize("code", [errno.EROFS, errno.EACCES, errno.ENOSPC])
def test_the_probe_finds_a_cache_that_cannot_be_written_and_says_so_in_one_line(root: Path, code: int) -> None:
    with Cache.open(root, Failing(1, code, forever=True)) as cache, pytest.raises(CacheError) as raised:
        cache.write_probe()
    assert os.strerror(code) in str(raised.value)
    assert "nothing was sent" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_the_probe_leaves_nothing_but_folders(cache: Cache) -> None:
    cache.write_probe()
    left = {path.name for path in cache.root.rglob("*") if path.is_file()}
    assert left <= {"README", "VERSION", "journal.db", "journal.made"}


def test_the_probe_wants_room_for_what_is_in_flight(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Cache, "free_bytes", lambda self: (2 * 32 + 256) << 20)
    cache.write_probe(in_flight=2)
    with pytest.raises(CacheError, match="3 pictures in flight"):
        cache.write_probe(in_flight=3)


def test_a_vanished_cache_does_not_come_back_by_itself_and_paid_bytes_are_rescued(cache: Cache, tmp_path: Path) -> None:
    attempt = begun(cache, 1)
    cache.journal.ticket(attempt.id, ticket(1))
    store(cache, 2)
    cache.index.close()
    shutil.rmtree(cache.root)
    with pytest.raises(CacheError):
        cache.put_blob(picture(2))
    with pytest.raises(CacheError):
        begin(cache, 5)
    project = tmp_path / "project"
    project.mkdir()
    path = rescue.rescue(cache, picture(1), key(1), project, result(1, attempt=attempt.id))
    assert path.read_bytes() == picture(1)
    assert path.is_relative_to(project / ".qwenbuild" / "rescue")
    with Cache.open(tmp_path / "new vault") as fresh:
        (home,) = rescue.adopt(fresh, project)
        assert (home.key, home.digest, home.result) == (key(1), digest_of(picture(1)), result(1, attempt=attempt.id))
        assert fresh.read_blob(home.digest) == picture(1)
        assert fresh.results([key(1)])[key(1)] == (result(1, attempt=attempt.id),)
        assert rescue.adopt(fresh, project) == ()
    assert list(path.parent.iterdir()) == []


def test_adopting_a_rescued_picture_ends_its_open_attempt(cache: Cache, tmp_path: Path) -> None:
    attempt = begun(cache, 1)
    cache.journal.ticket(attempt.id, ticket(1))
    rescue.rescue(cache, picture(1), key(1), tmp_path, result(1, attempt=attempt.id))
    rescue.adopt(cache, tmp_path)
    assert cache.journal.live() == []


def test_a_rescued_picture_without_a_receipt_comes_home_too_and_a_broken_one_stays(cache: Cache, tmp_path: Path) -> None:
    whole = rescue.rescue(cache, picture(1), key(1), tmp_path)
    broken = rescue.rescue(cache, picture(2), key(2), tmp_path)
    broken.write_bytes(b"half")
    (home,) = rescue.adopt(cache, tmp_path)
    assert (home.key, home.result) == (key(1), None)
    assert cache.has_blob(home.digest)
    assert not whole.exists()
    assert broken.exists()


def test_a_rescued_picture_leaves_the_attempt_of_a_living_build_to_that_build(cache: Cache, tmp_path: Path) -> None:
    """Another build has taken the ticket over and is fetching it: closed below it, its own end would be an illegal step."""
    with cache.start_build() as fetching:
        attempt = begun(cache, 1, fetching.id)
        cache.journal.ticket(attempt.id, ticket(1))
        rescue.rescue(cache, picture(1), key(1), tmp_path, result(1, attempt=attempt.id))
        assert len(rescue.adopt(cache, tmp_path)) == 1
        (live,) = cache.journal.live()
        assert (live.id, live.state) == (attempt.id, AttemptState.TICKET)
        assert live.url == ticket(1).url  # the signed link that it still fetches from
        cache.journal.fail(attempt.id, "gone", "the provider failed after all")
    attempt = begun(cache, 2, fetching.id)
    cache.journal.ticket(attempt.id, ticket(2))
    rescue.rescue(cache, picture(2), key(2), tmp_path, result(2, attempt=attempt.id))
    assert len(rescue.adopt(cache, tmp_path)) == 1
    assert cache.journal.live() == []
