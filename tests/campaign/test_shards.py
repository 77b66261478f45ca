"""Eight shards at once, one of them killed and run again: each picture is bought once, one lockfile."""

from __future__ import annotations

from tests.campaign import part_shards


def test_eight_shards_and_one_of_them_killed_buy_each_picture_once_and_make_the_lockfile_of_one_build() -> None:
    assert part_shards.run(part_shards.CI, seed=8) == []
