"""What is there and cannot be read is never taken for a picture that was not bought, nor for one that nobody needs."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from qwenbuild.cache import Cache
from qwenbuild.cache.care import gc, rebuild
from qwenbuild.cache.care.gc import Reachable
from qwenbuild.cache.seal import seal, unseal
from qwenbuild.errors import CacheError
from qwenbuild.images import flatpng
from qwenbuild.model import ActionResult
from tests.cache.cachelab import begun, digest_of, key, result, ticket

PNG = flatpng.write(64, 32, [(9, 9, 9)], bytes(64 * 32))
DAY_S = 24 * 3600.0


def bought(cache: Cache, number: int = 1) -> ActionResult:
    """A picture that was bought as a build buys it: ticket, blob, receipt, stored, index."""
    attempt = begun(cache, number)
    cache.journal.ticket(attempt.id, ticket(number))
    made = result(number, PNG, attempt=attempt.id, width=64, height=32, request_id="", action=attempt.action, actual_prompt="")
    cache.put_blob(PNG)
    cache.put_receipt(made)
    cache.journal.stored(attempt.id, made.digest, made.billed)
    cache.index_result(made.key)
    cache.close()
    return made


def again(cache: Cache) -> Cache:
    return Cache.open(cache.root)


def lose_index(cache: Cache) -> None:
    shutil.rmtree(cache.root / "index")


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


def newer(path: Path) -> None:
    path.write_bytes(seal({**unseal(path.read_bytes()), "v": 2}) + b"\n")


def foreign(path: Path) -> None:
    path.write_bytes(seal({**unseal(path.read_bytes()), "key": key(99)}) + b"\n")


def versionless(path: Path) -> None:
    path.write_bytes(seal({**unseal(path.read_bytes()), "v": "1"}) + b"\n")


DAMAGE: dict[str, Callable[[Path], None]] = {
    "flipped": flip,
    "newer": newer,
    "foreign": foreign,
    "versionless": versionless,
    "empty": lambda path: path.write_bytes(b"") and None,
    "half": lambda path: path.write_bytes(path.read_bytes()[:200]) and None,
    "html": lambda path: path.write_bytes(b"<html>Sign in</html>") and None,
    "json": lambda path: path.write_bytes(json.dumps({"v": 1}).encode()) and None,
}
"""Every way in which a sealed record can be there and say nothing."""
LOST: dict[str, Callable[[Path], None]] = {
    "deleted": lambda path: path.unlink(),
    "folder deleted": lambda path: shutil.rmtree(path.parent),
    "all deleted": lambda path: shutil.rmtree(path.parent.parent.parent),
}


@pytest.mark.parametrize("damage", [*DAMAGE, *LOST])
def test_a_stored_picture_without_a_receipt_is_found_by_the_journal(cache: Cache, damage: str) -> None:
    made = bought(cache)
    lose_index(cache)
    {**DAMAGE, **LOST}[damage](cache.receipts.files(made.key)[0])
    with again(cache) as later:
        assert later.results([made.key]) == {made.key: (made.__class__(**{**as_dict(made), "made": found_day(later)}),)}
        assert later.unreadable([made.key]) == {}


def as_dict(made: ActionResult) -> dict[str, object]:
    return {name: getattr(made, name) for name in made.__slots__}


def found_day(cache: Cache) -> str:
    (item,) = cache.results([key(1)])[key(1)]
    return item.made


@pytest.mark.parametrize("damage", [*DAMAGE, *LOST])
def test_its_receipt_is_written_anew_and_what_stood_in_its_place_is_set_aside(cache: Cache, damage: str) -> None:
    made = bought(cache)
    lose_index(cache)
    path = cache.receipts.files(made.key)[0]
    {**DAMAGE, **LOST}[damage](path)
    before = path.read_bytes() if path.exists() else b""
    with again(cache) as later:
        later.results([made.key])
        later.keep_reissued()
    lose_index(cache)
    (cache.root / "journal.db").rename(cache.root / "elsewhere")
    with again(cache) as later:
        if damage == "newer":
            assert path.read_bytes() == before
            assert "update qwenbuild" in later.receipts.read(made.key) or any("newer" in n for n in later.notices)
            return
        assert [item.result.digest for item in later.receipts.read(made.key)] == [made.digest]
    aside = [path for path in cache.receipts.files(made.key, aside=True) if path.suffix != ".json"]
    assert [path.read_bytes() for path in aside] == ([before] if damage in DAMAGE else [])


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_receipt_that_nothing_stands_in_for_stops_its_key(cache: Cache, damage: str) -> None:
    made = result(1, PNG)  # imported, or brought from another machine: this journal does not know it
    cache.put_blob(PNG)
    cache.put_receipt(made)
    path = cache.receipts.files(made.key)[0]
    DAMAGE[damage](path)
    with again(cache) as later:
        assert later.results([made.key]) == {}
        (words,) = later.unreadable([made.key]).values()
        assert str(path) in words
        assert ("update qwenbuild" if damage == "newer" else "qwenbuild build --force") in words
        with pytest.raises(CacheError) as caught:
            later.made(made.key)
        assert str(caught.value) == words


def test_the_index_never_hides_a_receipt_that_cannot_be_read(cache: Cache) -> None:
    made = result(1, PNG, attempt="a" * 32)
    other = result(1, b"other", attempt="b" * 32)
    cache.put_blob(PNG)
    cache.put_receipt(made)
    cache.put_receipt(other)
    flip(cache.receipts.files(made.key)[0])
    with again(cache) as later:
        later.index_result(made.key)
    with again(cache) as later:
        assert [item.digest for item in later.results([made.key])[made.key]] == [other.digest]
        assert later.unreadable([made.key]).keys() == {made.key}


def test_an_index_row_without_a_result_is_no_proof_of_absence(cache: Cache) -> None:
    made = bought(cache)
    with again(cache) as later:
        later.index.set(made.key, later.known.index_record(made.key, ()))
    with again(cache) as later:
        assert [item.digest for item in later.results([made.key])[made.key]] == [made.digest]


@pytest.mark.parametrize("change", [{"v": 2}, {"kind": "derived"}, {"key": key(2)}, {"results": None}, {"folder": "x"}])
def test_an_index_row_of_another_kind_is_not_believed(cache: Cache, change: dict[str, object]) -> None:
    made = bought(cache)
    with again(cache) as later:
        record = unseal(later.index.get([made.key])[made.key])
        later.index.set(made.key, seal({**record, "results": [], **change}))
    with again(cache) as later:
        assert [item.digest for item in later.results([made.key])[made.key]] == [made.digest]


def test_a_receipt_that_names_another_picture_than_the_journal_hides_neither(cache: Cache) -> None:
    made = bought(cache)
    lose_index(cache)
    path = cache.receipts.files(made.key)[0]
    path.write_bytes(seal({**unseal(path.read_bytes()), "digest": digest_of(b"no such picture")}) + b"\n")
    with again(cache) as later:
        assert {item.digest for item in later.results([made.key])[made.key]} == {made.digest, digest_of(b"no such picture")}


def test_a_damaged_picture_that_only_the_journal_names_stops_its_key(cache: Cache) -> None:
    made = bought(cache)
    lose_index(cache)
    shutil.rmtree(cache.root / "receipts")
    blob = cache.blob_path(made.digest)
    blob.chmod(0o600)
    flip(blob)
    with again(cache) as later:
        assert later.results([made.key]) == {}
        assert "cache verify" in later.unreadable([made.key])[made.key]
        assert blob.exists()


def test_a_picture_that_is_gone_is_not_made_up_from_the_journal(cache: Cache) -> None:
    made = bought(cache)
    lose_index(cache)
    shutil.rmtree(cache.root / "receipts")
    cache.blob_path(made.digest).unlink()
    with again(cache) as later:
        assert later.results([made.key]) == {}
        assert later.unreadable([made.key]) == {}


def test_a_journal_that_cannot_be_read_stops_the_keys_that_nothing_else_knows(cache: Cache) -> None:
    known, gone = bought(cache, 1), bought(cache, 2)
    lose_index(cache)
    shutil.rmtree(cache.receipts.of_key(gone.key))
    (cache.root / "journal.db").write_bytes(b"no database, and longer than a header of one" * 99)
    with again(cache) as later:
        assert later.results([known.key, gone.key]).keys() == {known.key}
        assert "cache rebuild" in later.unreadable([known.key, gone.key])[gone.key]


def test_a_deleted_journal_is_a_loss_and_not_a_beginning(cache: Cache) -> None:
    bought(cache)
    (cache.root / "journal.db").unlink()
    with again(cache) as later:
        assert later.has_journal()
        with pytest.raises(CacheError, match="it was there and is gone"):
            list(later.journal.attempts())


def test_rebuild_writes_every_receipt_that_the_journal_can_give_back(cache: Cache) -> None:
    made = [bought(cache, number) for number in (1, 2)]
    shutil.rmtree(cache.root / "receipts")
    lose_index(cache)
    with again(cache) as later:
        assert rebuild.rebuild(later).results == 2
        assert [item.result.digest for one in made for item in later.receipts.read(one.key)] == [one.digest for one in made]


def test_looking_up_writes_nothing_even_where_receipts_are_made_anew(cache: Cache) -> None:
    made = bought(cache)
    lose_index(cache)
    flip(cache.receipts.files(made.key)[0])
    before = {path: path.stat().st_mtime_ns for path in cache.root.rglob("*")}
    with again(cache) as later:
        assert later.results([made.key])
    assert {path: path.stat().st_mtime_ns for path in cache.root.rglob("*")} == before


# ------------------------------------------------ gc


def removed(cache: Cache, now: float) -> int:
    with again(cache) as later:
        return len(gc.collect(later, Reachable(), apply=True, now=now).blobs)


@pytest.mark.parametrize("damage", DAMAGE)
def test_gc_removes_nothing_while_a_receipt_cannot_be_read(cache: Cache, damage: str) -> None:
    cache.put_blob(PNG)
    cache.put_receipt(result(1, PNG))
    now = cache.blob_path(digest_of(PNG)).stat().st_mtime + 9 * DAY_S
    DAMAGE[damage](cache.receipts.files(key(1))[0])
    with pytest.raises(CacheError, match="nothing is removed"):
        removed(cache, now)
    cache.receipts.files(key(1))[0].unlink()
    assert removed(cache, now) == 1


def test_gc_keeps_the_picture_of_a_lock_entry_whose_receipts_are_gone(cache: Cache) -> None:
    made = bought(cache)
    shutil.rmtree(cache.root / "receipts")
    lose_index(cache)
    with again(cache) as later:
        now = later.blob_path(made.digest).stat().st_mtime + 9 * DAY_S
        assert gc.collect(later, Reachable(frozenset({made.key})), apply=True, now=now).blobs == ()


def test_gc_removes_nothing_while_a_line_of_its_roots_cannot_be_read(cache: Cache) -> None:
    cache.put_blob(PNG)
    cache.add_root(Path("/p/qwenbuild.lock"))
    now = cache.blob_path(digest_of(PNG)).stat().st_mtime + 9 * DAY_S
    roots = cache.root / "roots"
    whole = roots.read_bytes()
    for damage in (b"/p/qwenbuild.lock\n", b'"relative.lock"\n', b'"/torn', b"7\n", b"\xff\n"):
        roots.write_bytes(whole + damage)
        with pytest.raises(CacheError, match="line 3"):
            removed(cache, now)
    roots.write_bytes(whole)
    assert removed(cache, now) == 1
