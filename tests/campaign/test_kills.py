"""Random kill -9 over every API: nothing bought twice, nothing lost, nothing wrong, and doubt only where nobody can know."""

from __future__ import annotations

from tests.campaign import part_kills


def test_builds_that_are_killed_at_random_buy_nothing_twice_and_lose_nothing() -> None:
    for figure, value in part_kills.main(whole=False):
        print(f"{figure}: {value}")
