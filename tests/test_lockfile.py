"""The lockfile: its letters, its strictness, and that two writers never lose each other's entries."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qwenbuild.errors import InputError
from qwenbuild.lock import layout, lockfile
from qwenbuild.model import LockAtlas, LockEntry, LockOutput

A, B, C = "a" * 64, "b" * 64, "c" * 64
ACTION = {
    "family": "dashscope",
    "model": "qwen-image-plus",
    "negative_prompt": "blurry",
    "prompt": "A small bottle of crimson potion, hand-painted, thick outlines",
    "seed": 11,
    "size": "1140*1472",
}
ENTRY = LockEntry(A, B, ACTION, "2026-11-20", {"icons/red-small.png": LockOutput(B, C)})

EXACT = f"""{{
  "entries": {{
    "potions/red-small": {{
      "action": {{
        "family": "dashscope",
        "model": "qwen-image-plus",
        "negative_prompt": "blurry",
        "prompt": "A small bottle of crimson potion, hand-painted, thick outlines",
        "seed": 11,
        "size": "1140*1472"
      }},
      "digest": "{B}",
      "key": "{A}",
      "made": "2026-11-20",
      "outputs": {{
        "icons/red-small.png": {{
          "digest": "{B}",
          "recipe": "{C}"
        }}
      }}
    }}
  }},
  "manifest": "qwenbuild.yaml",
  "version": 1
}}
"""


def write(project: Path, entries: dict[str, LockEntry | None]) -> bool:
    return lockfile.update(project / "qwenbuild.lock", project / ".qwenbuild", "qwenbuild.yaml", lambda now: entries)


def test_a_lockfile_is_written_to_the_letter(project: Path) -> None:
    assert write(project, {"potions/red-small": ENTRY})
    assert (project / "qwenbuild.lock").read_text(encoding="utf-8") == EXACT


WORDS = st.text(max_size=6)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.tuples(inner, inner) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(WORDS, st.dictionaries(WORDS, VALUES, max_size=4), max_size=4), WORDS, WORDS)
def test_a_lockfile_is_what_json_writes_with_an_indent(actions: dict[str, Any], manifest: str, note: str) -> None:
    entries = {id: LockEntry(A, B, action, "", {id: LockOutput()}, note=note, seeds={}) for id, action in actions.items()}
    document = {"entries": {id: layout.record(entry) for id, entry in entries.items()}, "manifest": manifest, "version": 1}
    expected = json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    assert layout.text(entries, manifest) == expected.encode()


IDS = st.text('ab/é😀"\\{}: ', min_size=1, max_size=3)


@settings(max_examples=500, deadline=None)
@given(st.sets(IDS, min_size=1, max_size=8), st.dictionaries(IDS, st.sampled_from([None, ENTRY]), max_size=8))
def test_a_lockfile_of_which_some_records_are_replaced_is_the_one_written_anew(
    ids: set[str], changes: dict[str, LockEntry | None]
) -> None:
    before = {id: LockEntry(A, B, {"prompt": id}, "", {id: LockOutput()}) for id in ids} | {"z": ENTRY}
    after = {id: record for id, record in {**before, **changes}.items() if record is not None}
    assert layout.splice(layout.text(before, "m.yaml"), changes) == layout.text(after, "m.yaml")


def test_what_was_written_meanwhile_is_read_before_a_record_is_replaced(project: Path) -> None:
    write(project, {"one": ENTRY, "two": ENTRY})
    path = project / "qwenbuild.lock"
    known = lockfile.Lock({}, True, path.read_bytes(), canonical=True)
    write(project, {"one": None})
    lockfile.update(path, project / ".qwenbuild", "qwenbuild.yaml", lambda now: {"three": ENTRY}, as_read=known)
    assert list(lockfile.read(path).entries) == ["three", "two"]


def test_what_was_written_is_read_back(project: Path) -> None:
    rich = LockEntry(A, B, ACTION, "", {"a.png": LockOutput(), "b.png": LockOutput(B, orphan=True)}, picked=A, approved=True)
    write(project, {"one": ENTRY, "two": rich})
    assert lockfile.read(project / "qwenbuild.lock").entries == {"one": ENTRY, "two": rich}


def test_an_unchanged_lockfile_is_not_written(project: Path) -> None:
    write(project, {"one": ENTRY})
    before = (project / "qwenbuild.lock").stat()
    assert not write(project, {"one": ENTRY})
    assert (project / "qwenbuild.lock").stat().st_mtime_ns == before.st_mtime_ns


def test_a_writer_replaces_only_the_entries_it_touched(project: Path) -> None:
    write(project, {"one": ENTRY})
    write(project, {"two": ENTRY})
    write(project, {"one": None})
    assert list(lockfile.read(project / "qwenbuild.lock").entries) == ["two"]


def test_an_absent_lockfile_is_an_empty_one(project: Path) -> None:
    lock = lockfile.read(project / "qwenbuild.lock")
    assert (lock.entries, lock.exists) == ({}, False)


BAD = {
    "conflict": (EXACT.replace('        "seed": 11', '<<<<<<< HEAD\n        "seed": 11'), "lockfile-conflict", 9),
    "truncated": (EXACT[:300], "lockfile-invalid", 10),
    "empty": ("", "lockfile-invalid", 1),
    "not-an-object": ("[]", "lockfile-invalid", 1),
    "newer-version": (EXACT.replace('"version": 1', '"version": 2'), "lockfile-version", 1),
    "newer-version-with-new-fields": (EXACT.replace('"version": 1', '"version": 2, "more": 1'), "lockfile-version", 1),
    "unknown-field": (EXACT.replace('"made"', '"mode"'), "lockfile-invalid", 14),
    "bad-digest": (EXACT.replace(A, A[:-1] + "G"), "lockfile-invalid", 3),
    "same-entry-twice": (
        EXACT.replace(
            '    "potions/red-small": {',
            '    "potions/red-small": ' + json.dumps(layout.record(ENTRY)) + ',\n    "potions/red-small": {',
        ),
        "lockfile-duplicate",
        4,
    ),
}


@pytest.mark.parametrize("fault", BAD)
def test_a_bad_lockfile_never_reads_as_nothing_is_built(project: Path, fault: str) -> None:
    content, code, line = BAD[fault]
    (project / "qwenbuild.lock").write_text(content, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        lockfile.read(project / "qwenbuild.lock")
    problem = caught.value.problems[0]
    assert (problem.code, problem.mark and problem.mark.line) == (code, line)
    assert "lock resolve" in problem.hint


def test_a_lockfile_that_cannot_be_read_is_not_an_absent_one(project: Path) -> None:
    (project / "qwenbuild.lock").mkdir()
    with pytest.raises(InputError, match="cannot be read"):
        lockfile.read(project / "qwenbuild.lock")


def test_a_failed_write_leaves_the_old_lockfile(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(project, {"one": ENTRY})
    before = (project / "qwenbuild.lock").read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        write(project, {"two": ENTRY})
    assert (project / "qwenbuild.lock").read_bytes() == before
    assert [path.name for path in project.iterdir() if path.name.endswith(".tmp")] == []


def test_atlases_stand_beside_the_entries_and_only_where_there_are_any(project: Path) -> None:
    path = project / "qwenbuild.lock"
    atlas = LockAtlas({"atlas/ui.png": LockOutput(B, C), "atlas/ui.json": LockOutput(A, C)})
    write(project, {"potions/red-small": ENTRY})
    assert "atlases" not in path.read_text(encoding="utf-8")
    lockfile.update(path, project / ".qwenbuild", "qwenbuild.yaml", lambda now: {}, {"ui": atlas})
    assert lockfile.read(path).atlases == {"ui": atlas}
    assert list(json.loads(path.read_bytes())) == ["atlases", "entries", "manifest", "version"]
    assert not lockfile.update(path, project / ".qwenbuild", "qwenbuild.yaml", lambda now: {}, {"ui": atlas})
    lockfile.update(path, project / ".qwenbuild", "qwenbuild.yaml", lambda now: {}, {"ui": None})
    assert path.read_text(encoding="utf-8") == EXACT


def test_an_atlas_with_a_digest_that_is_none_is_refused(project: Path) -> None:
    path = project / "qwenbuild.lock"
    lockfile.update(
        path, project / ".qwenbuild", "qwenbuild.yaml", lambda now: {}, {"ui": LockAtlas({"a.png": LockOutput("no", C)})}
    )
    with pytest.raises(InputError, match="not a SHA-256"):
        lockfile.read(path)


BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def test_a_byte_order_mark_before_the_lockfile_changes_nothing(project: Path) -> None:
    path = project / "qwenbuild.lock"
    path.write_bytes(BYTE_ORDER_MARK + EXACT.encode())
    assert lockfile.read(path).entries == {"potions/red-small": ENTRY}
    assert lockfile.parse(path.read_bytes(), path) == {"potions/red-small": ENTRY}
    part = lockfile.part(path, {"potions/red-small"}, 1)
    assert part is not None
    assert part.entries == {"potions/red-small": ENTRY}
    assert write(project, {"new": ENTRY})
    assert path.read_bytes().startswith(b"{")
    assert sorted(lockfile.read(path).entries) == ["new", "potions/red-small"]


def test_what_is_wrong_behind_a_byte_order_mark_has_its_own_line(project: Path) -> None:
    path = project / "qwenbuild.lock"
    path.write_bytes(BYTE_ORDER_MARK + b"<<<<<<< ours\n" + EXACT.encode())
    with pytest.raises(InputError) as caught:
        lockfile.read(path)
    assert str(caught.value.problems[0].mark) == "qwenbuild.lock:1:1"
