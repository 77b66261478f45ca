"""The output tree: nothing outside it is touched, and no person's file is replaced."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from qwenbuild import tree


def put(root: Path, path: str, data: bytes, expected: tree.Signature | None = None) -> tree.Signature:
    return tree.place(root, path, lambda file: tree.write_all(file, data), expected)


def test_a_file_is_written_with_its_folders_and_seen_again(tmp_path: Path) -> None:
    signature = put(tmp_path / "out", "a/b/c.png", b"picture")
    found = tree.observe(tmp_path / "out", ["a/b/c.png", "a/none.png", "a"])
    assert list(found) == ["a/b/c.png"]
    assert found["a/b/c.png"].signature == signature
    assert (tmp_path / "out/a/b/c.png").read_bytes() == b"picture"


def test_a_remembered_file_is_not_read_again(tmp_path: Path) -> None:
    signature = put(tmp_path, "a.png", b"picture")
    assert tree.observe(tmp_path, ["a.png"], {"a.png": (signature, "remembered")})["a.png"].digest == "remembered"
    os.utime(tmp_path / "a.png", ns=(0, 0))
    assert tree.observe(tmp_path, ["a.png"], {"a.png": (signature, "remembered")})["a.png"].digest != "remembered"


def test_a_file_that_came_meanwhile_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"a person's")
    with pytest.raises(tree.NotWritten, match="left alone"):
        put(tmp_path, "a.png", b"ours")
    assert (tmp_path / "a.png").read_bytes() == b"a person's"


def test_a_file_that_came_meanwhile_with_the_very_bytes_is_as_good(tmp_path: Path) -> None:
    first = put(tmp_path, "a.png", b"ours")
    digest = tree.digest_of(tmp_path / "a.png")
    assert tree.place(tmp_path, "a.png", lambda file: tree.write_all(file, b"ours"), None, digest) == first
    with pytest.raises(tree.NotWritten, match="left alone"):
        tree.place(tmp_path, "a.png", lambda file: tree.write_all(file, b"other"), None, "0" * 64)


def test_a_link_as_file_or_folder_is_never_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "x.png").write_bytes(b"theirs")
    root = tmp_path / "out"
    root.mkdir()
    (root / "folder").symlink_to(outside)
    (root / "x.png").symlink_to(outside / "x.png")
    for path in ("folder/x.png", "folder/new.png", "x.png"):
        with pytest.raises(tree.NotWritten, match="link"):
            put(root, path, b"ours")
    assert tree.observe(root, ["folder/x.png", "x.png"]) == {}
    assert sorted(path.name for path in outside.iterdir()) == ["x.png"]
    assert (outside / "x.png").read_bytes() == b"theirs"


def test_a_folder_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.png").mkdir()
    with pytest.raises(tree.NotWritten, match="folder"):
        put(tmp_path, "a.png", b"ours")


def test_a_failed_write_leaves_the_old_file_and_no_debris(tmp_path: Path) -> None:
    old = put(tmp_path, "a.png", b"old")

    def broken(file: int) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(tree.NotWritten, match="no space"):
        tree.place(tmp_path, "a.png", broken, old)
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
    assert (tmp_path / "a.png").read_bytes() == b"old"


def test_removing_takes_only_the_file_that_was_seen_and_empty_folders(tmp_path: Path) -> None:
    signature = put(tmp_path, "a/b/c.png", b"picture")
    put(tmp_path, "a/d.png", b"picture")
    assert not tree.remove(tmp_path, "a/b/c.png", (0, 0, 0, 0))
    assert tree.remove(tmp_path, "a/b/c.png", signature)
    assert not tree.remove(tmp_path, "a/b/c.png", signature)
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["d.png"]


def test_many_files_are_hashed_on_threads_with_the_same_result(tmp_path: Path) -> None:
    for number in range(200):
        (tmp_path / f"{number}.png").write_bytes(b"%d" % number)
    paths = [f"{number}.png" for number in range(200)]
    found = tree.observe(tmp_path, paths)
    assert {path: found[path].digest for path in paths} == {path: tree.digest_of(tmp_path / path) for path in paths}


def test_only_old_temporary_files_are_swept_away(tmp_path: Path) -> None:
    for name, age in (("young", 0), ("old", 2 * tree.STALE_S)):
        path = tmp_path / f".a.png.{name}{tree.SUFFIX}"
        path.write_bytes(b"half")
        os.utime(path, (time.time() - age,) * 2)
    tree.sweep(tmp_path, ["a.png"])
    assert [path.name for path in tmp_path.iterdir()] == [f".a.png.young{tree.SUFFIX}"]
