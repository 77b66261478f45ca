"""What a build locks beside people who write into the same lockfile: theirs is never lost. Knows no files."""

from __future__ import annotations

from dataclasses import replace

import pytest

from qwenbuild.lock.records import EMPTY, reconcile

BEFORE = replace(EMPTY, key="a" * 64, digest="b" * 64)
MADE = replace(BEFORE, key="c" * 64, digest="d" * 64)


@pytest.mark.parametrize(
    ("name", "value"),
    [("note", "warmer, please"), ("rejected", ("e" * 64,)), ("accepted", ("f" * 64,)), ("seeds", (7,))],
)
def test_what_people_write_while_a_build_runs_stays_beside_what_it_made(name: str, value: object) -> None:
    kept = reconcile(BEFORE, replace(BEFORE, **{name: value}), MADE)
    assert kept == replace(MADE, **{name: value})


def test_without_anybody_else_the_build_locks_what_it_made() -> None:
    assert reconcile(BEFORE, BEFORE, MADE) is MADE
    assert reconcile(None, None, MADE) is MADE
