"""Builds at once over one cache: a picture that several want is bought once, and nobody holds up what others want alone."""

from __future__ import annotations

from tests.campaign import part_together


def test_four_builds_at_once_and_one_of_them_killed_buy_nothing_twice_and_lose_nothing() -> None:
    assert part_together.run(part_together.CI, seed=4) == []


def test_builds_that_wait_for_one_picture_hold_up_no_other() -> None:
    assert part_together.unblocked() == []
