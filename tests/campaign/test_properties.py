"""Properties that need no build, for what has none beside its module: redactor, terminal, seals, receipts, lockfile.

Keys, paths, templates, manifests and the journal's states have theirs beside them.
"""

from __future__ import annotations

import json
import unicodedata
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qwenbuild.cache.receipts import Stored, result_record, stored_of
from qwenbuild.cache.seal import BrokenSeal, seal, unseal
from qwenbuild.errors import InputError
from qwenbuild.lock import layout, lockfile
from qwenbuild.model import ActionResult, LockEntry, LockOutput
from qwenbuild.report.escape import visible
from qwenbuild.transport.secret import redact

EXAMPLES = settings(max_examples=150, deadline=None)
HEX = st.text("0123456789abcdef", min_size=64, max_size=64)
WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
KEYS = st.text("abcdefghijklmnopqrstuvwxyzABCDEFGHIJ0123456789-_", min_size=16, max_size=50)
DIRECTING = {
    "\u061c",
    "\u200e",
    "\u200f",
    "\u2028",
    "\u2029",
    "\ufeff",
    *map(chr, range(0x202A, 0x202F)),
    *map(chr, range(0x2066, 0x206A)),
}


@EXAMPLES
@given(st.text())
def test_nothing_that_acts_on_a_terminal_passes(text: str) -> None:
    shown = visible(text)
    assert not [c for c in shown if unicodedata.category(c) in ("Cc", "Cs") or c in DIRECTING]
    assert visible(shown) == shown


@EXAMPLES
@given(
    st.text(max_size=20),
    KEYS,
    st.sampled_from(["sk-{}", "Bearer {}", "Authorization: Bearer {}", "https://h.test/x.png?Signature={}"]),
)
def test_no_credential_passes_the_redactor_wherever_it_stands(around: str, key: str, form: str) -> None:
    around = around.replace(key, "")
    assert key not in redact(f"{around} {form.format(key)} {around}")


RESULTS = st.builds(
    ActionResult,
    key=HEX,
    digest=HEX,
    media_type=st.sampled_from(["image/png", "image/jpeg"]),
    width=st.integers(1, 9999),
    height=st.integers(1, 9999),
    size=st.integers(1, 1 << 30),
    made=st.just("2026-11-20"),
    provider=WORDS,
    task_id=WORDS,
    request_id=WORDS,
    actual_prompt=WORDS,
    billed=st.none() | st.dictionaries(st.sampled_from(["usd", "apiframe"]), st.decimals(0, 99, places=4), max_size=2),
    attempt=st.text("0123456789abcdef", min_size=32, max_size=32),
    action=st.dictionaries(st.sampled_from(["prompt", "model", "size"]), WORDS),
)


@EXAMPLES
@given(RESULTS, st.floats(0, 4e9))
def test_a_receipt_comes_back_as_it_was_written(result: ActionResult, made: float) -> None:
    stored = Stored(result, made)
    assert stored_of(unseal(seal(result_record(stored)))).result == result


@EXAMPLES
@given(RESULTS, st.data())
def test_one_changed_byte_of_a_receipt_is_never_another_receipt(result: ActionResult, data: st.DataObject) -> None:
    raw = seal(result_record(Stored(result, 1.0)))
    place = data.draw(st.integers(0, len(raw) - 1))
    changed = raw[:place] + bytes([raw[place] ^ data.draw(st.integers(1, 255))]) + raw[place + 1 :]
    try:
        assert stored_of(unseal(changed)).result == result
    except BrokenSeal:
        return


ENTRIES = st.builds(
    LockEntry,
    key=HEX,
    digest=HEX,
    action=st.dictionaries(st.sampled_from(["prompt", "model", "size"]), WORDS),
    outputs=st.dictionaries(
        st.from_regex(r"[a-z]{2,8}/[a-z]{2,8}\.png", fullmatch=True),
        st.just(LockOutput()) | st.builds(LockOutput, digest=HEX, recipe=HEX),
        max_size=3,
    ),
    orphan=st.booleans(),
)


@EXAMPLES
@given(st.dictionaries(st.from_regex(r"[a-z]{2,8}/[a-z]{2,8}", fullmatch=True), ENTRIES, max_size=4))
def test_a_lockfile_comes_back_as_it_was_written_to_the_byte(entries: dict[str, LockEntry]) -> None:
    raw = layout.text(entries, "qwenbuild.yaml")
    again = lockfile.parse(raw, Path("qwenbuild.lock"))
    assert again == entries
    assert layout.text(again, "qwenbuild.yaml") == raw


NAMES = WORDS | st.sampled_from(["entries", "version", "key"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | WORDS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(WORDS | st.sampled_from(["entries", "version", "key"]), inner, max_size=3)
    ),
    max_leaves=12,
)


@EXAMPLES
@given(st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode()))
def test_whatever_the_lockfile_holds_only_an_input_error_comes(raw: bytes) -> None:
    with pytest.raises(InputError):
        lockfile.parse(raw, Path("qwenbuild.lock"))


@EXAMPLES
@given(st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode()))
def test_whatever_a_receipt_holds_only_a_broken_seal_comes(raw: bytes) -> None:
    with pytest.raises(BrokenSeal):
        stored_of(unseal(raw))


@EXAMPLES
@given(JSON)
def test_a_sealed_record_of_another_kind_is_no_receipt(value: Any) -> None:
    with pytest.raises(BrokenSeal):
        stored_of(unseal(seal({"kind": "result", "v": 1, "x": str(value), "price": str(Decimal(1))})))
