"""Killed or refused at each operation of a batch: the next build finishes it, and nothing is lost, wrong, or stored twice."""

from __future__ import annotations

from tests.campaign import part_drawn


def test_a_batch_survives_each_operation_that_fails_or_is_its_last() -> None:
    number, faults = part_drawn.with_faults(whole=False)
    assert number > 50
    assert faults == []
