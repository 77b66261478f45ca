"""Results and derived files: found by index or by receipt, whatever of the two is missing."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from cachelab import PICTURE, digest_of, key, result, store

from qwenbuild.cache import Cache
from qwenbuild.errors import CacheError


def again(cache: Cache) -> Cache:
    cache.close()
    return Cache.open(cache.root)


def test_a_result_comes_back_as_it_was(cache: Cache) -> None:
    made = store(cache, 1)
    with again(cache) as later:
        assert later.results([key(1), key(2)]) == {key(1): (made,)}
        assert later.notices == []


def test_several_results_of_a_key_are_offered_newest_first(root: Path) -> None:
    times = iter([100.0, 50.0, 200.0])
    cache = Cache.open(root, clock=lambda: next(times))
    for number, attempt in enumerate(["b" * 32, "a" * 32, "c" * 32]):
        cache.put_result(result(1, data=str(number).encode(), attempt=attempt))
    with again(cache) as later:
        assert [item.attempt[0] for item in later.results([key(1)])[key(1)]] == ["c", "a", "b"]


def test_deleting_the_index_between_uses_loses_nothing(cache: Cache) -> None:
    made = [store(cache, number) for number in range(5)]
    cache.put_derived("d" * 64, digest_of(b"x"), {"media_type": "image/webp"})
    cache.close()
    for _ in range(2):
        shutil.rmtree(cache.root / "index")
        with Cache.open(cache.root) as later:
            assert later.results([key(n) for n in range(5)]) == {key(n): (made[n],) for n in range(5)}
            assert later.derived(["d" * 64, "e" * 64]) == {"d" * 64: digest_of(b"x")}
            assert later.notices == []
            later.put_derived("d" * 64, digest_of(b"x"), {})


def test_a_result_whose_receipt_vanished_is_taken_from_the_index_and_written_again(cache: Cache) -> None:
    made = store(cache, 1)
    cache.close()
    shutil.rmtree(cache.root / "receipts")
    with Cache.open(cache.root) as later:
        assert later.results([key(1)]) == {key(1): (made,)}
        later.mend()
    shutil.rmtree(cache.root / "index")
    with Cache.open(cache.root) as last:
        assert last.results([key(1)]) == {key(1): (made,)}


def test_a_receipt_that_another_process_added_is_seen_though_the_index_is_older(cache: Cache) -> None:
    first = store(cache, 1)
    cache.close()
    other = Cache.open(cache.root)
    second = result(1, data=b"bought again", attempt="f" * 32)
    other.receipts.put(second)
    with Cache.open(cache.root) as later:
        assert later.results([key(1)]) == {key(1): (second, first)}


def test_lookups_write_nothing(cache: Cache) -> None:
    store(cache, 1)
    cache.close()
    shutil.rmtree(cache.root / "index")
    before = sorted(cache.root.rglob("*"))
    with Cache.open(cache.root) as later:
        later.results([key(1)])
        later.derived([key(1)])
    assert sorted(cache.root.rglob("*")) == before


def test_a_lookup_that_read_receipts_mends_the_index_at_the_next_write(cache: Cache) -> None:
    store(cache, 1)
    cache.close()
    shutil.rmtree(cache.root / "index")
    with Cache.open(cache.root) as later:
        later.results([key(1)])
        store(later, 2)
        later.index.flush()
        assert later.index.get([key(1), key(2)]).keys() == {key(1), key(2)}


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"record":{},"sha256":"' + "0" * 64 + '"}', "garbage", "\x00" * 50])
def test_a_broken_receipt_is_reported_and_skipped(cache: Cache, text: str) -> None:
    made = store(cache, 1)
    (cache.receipts.of_key(key(1)) / "broken.json").write_text(text)
    with again(cache) as later:
        assert later.results([key(1)]) == {key(1): (made,)}
        assert any("broken.json" in notice for notice in later.notices)


def test_a_receipt_in_another_keys_folder_is_not_believed(cache: Cache) -> None:
    store(cache, 1)
    path = cache.receipts.files(key(1))[0]
    target = cache.receipts.of_key(key(2))
    target.mkdir(parents=True)
    shutil.copy(path, target / path.name)
    assert key(2) not in cache.results([key(1), key(2)])


def test_a_receipt_describes_itself_and_can_be_checked_with_sha256sum(cache: Cache) -> None:
    store(cache, 1)
    text = cache.receipts.files(key(1))[0].read_text()
    envelope = json.loads(text)
    record = envelope["record"]
    canonical = json.dumps(record, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
    assert envelope["sha256"] == digest_of(canonical)
    assert (record["key"], record["billed"], record["action"]["prompt"]) == (key(1), {"usd": "0.03"}, "a fox")


def test_a_lone_surrogate_in_a_providers_text_does_not_lose_the_receipt(cache: Cache) -> None:
    cache.put_result(result(1, actual_prompt="half \ud83e a fox"))
    assert cache.results([key(1)])[key(1)][0].actual_prompt == "half ? a fox"


@pytest.mark.parametrize("attempt", ["../../evil", "a/b", ".hidden", "A" * 300])
def test_an_attempts_name_cannot_leave_its_folder(cache: Cache, attempt: str) -> None:
    with pytest.raises(CacheError):
        cache.put_result(result(1, attempt=attempt))


def test_a_result_without_an_attempt_has_a_receipt_too(cache: Cache) -> None:
    made = result(1, attempt="", billed=None)
    cache.put_result(made)
    with again(cache) as later:
        assert later.results([key(1)]) == {key(1): (made,)}


def test_a_prompt_too_long_for_the_index_is_found_by_its_receipt(cache: Cache) -> None:
    made = replace(result(1), action={"prompt": "x" * 100_000})
    cache.put_result(made)
    with again(cache) as later:
        assert later.results([key(1)]) == {key(1): (made,)}
        assert later.notices == []


def test_exact_decimals_survive(cache: Cache) -> None:
    made = result(1, billed={"usd": Decimal("0.0350"), "apiframe": Decimal("1E+1")})
    cache.put_result(made)
    found = cache.results([key(1)])[key(1)][0].billed
    assert found == {"usd": Decimal("0.035"), "apiframe": Decimal(10)}


def test_derived_files_and_blobs_are_ours_and_nothing_else_is(cache: Cache) -> None:
    blob = cache.put_blob(PICTURE)
    cache.put_derived("d" * 64, digest_of(b"small"), {})
    with again(cache) as later:
        assert later.is_ours([blob, digest_of(b"small"), digest_of(b"a person's work")]) == {blob, digest_of(b"small")}
        assert later.derived(["d" * 64]) == {"d" * 64: digest_of(b"small")}


def test_a_recipe_made_again_with_other_bytes_keeps_both_as_ours(cache: Cache) -> None:
    for data in (b"old encoder", b"new encoder"):
        cache.put_derived("d" * 64, digest_of(data), {})
    assert cache.derived(["d" * 64]) == {"d" * 64: digest_of(b"new encoder")}
    assert len(cache.is_ours([digest_of(b"old encoder"), digest_of(b"new encoder")])) == 2


def test_many_keys_are_looked_up_by_one_sweep_and_with_the_same_answer(cache: Cache) -> None:
    made = {key(number): (store(cache, number),) for number in range(20)}
    many = [key(number) for number in range(3000)]
    assert cache.results(many) == made
    with again(cache) as later:
        assert later.results(many) == made
