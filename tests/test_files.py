"""A file is replaced whole or not at all, and nothing is left beside it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from qwenbuild import files


def test_what_was_there_stays_when_the_new_bytes_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.lock"
    files.replace(path, b"old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        files.replace(path, b"new")
    assert [(name.name, name.read_bytes()) for name in tmp_path.iterdir()] == [("a.lock", b"old")]


@pytest.mark.parametrize(("durable", "synced"), [(True, 2), (False, 0)])
def test_only_what_must_last_is_synced_with_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, durable: bool, synced: int
) -> None:
    calls: list[int] = []
    monkeypatch.setattr(os, "fsync", calls.append)
    files.replace(tmp_path / "state", b"bytes", durable=durable)
    assert (len(calls), (tmp_path / "state").read_bytes()) == (synced, b"bytes")


def test_a_name_of_the_greatest_length_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / ("n" * 255)
    files.replace(path, b"bytes")
    assert path.read_bytes() == b"bytes"


@pytest.mark.parametrize(("platform", "tries"), [("win32", 3), ("linux", 1)])
def test_a_file_that_a_scanner_holds_is_tried_again_on_windows_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, platform: str, tries: int
) -> None:
    held: list[int] = []
    slept: list[float] = []
    real = os.replace

    def replace(source: Path, target: Path, **options: object) -> None:
        held.append(1)
        if len(held) < 3:
            raise PermissionError(13, "held by a scanner")
        real(source, target)

    (tmp_path / "new").write_bytes(b"new")
    monkeypatch.setattr(os, "replace", replace)
    monkeypatch.setattr(sys, "platform", platform)
    if platform == "win32":
        files.rename(tmp_path / "new", tmp_path / "a", sleep=slept.append)
    else:
        with pytest.raises(PermissionError):
            files.rename(tmp_path / "new", tmp_path / "a", sleep=slept.append)
    assert (len(held), slept) == (tries, [files.WINDOWS_REPLACE_PAUSE_S] * (tries - 1))
