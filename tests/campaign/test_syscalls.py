"""Killed or refused at each write of a build: the next one finishes it, and nothing is bought twice, lost, or held up."""

from __future__ import annotations

import pytest

from tests.campaign import part_syscalls


def test_a_build_survives_each_file_operation_that_fails_or_is_its_last() -> None:
    number, faults = part_syscalls.with_double(whole=False)
    assert number > 100
    assert faults == []


@pytest.mark.skipif(not part_syscalls.strace_works(), reason="there is no strace here")
def test_a_build_survives_kills_and_errors_at_system_calls() -> None:
    number, faults = part_syscalls.with_strace(whole=False, seed=1)
    assert number == part_syscalls.CI_POINTS
    assert faults == []
