"""The parts of a build as a table for a person, and as JSON for a job that starts one worker for each.

Does not know how they were cut.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from qwenbuild.plan.shards import Shard
from qwenbuild.report.words import count, duration, price_json, price_words


def shard_lines(shards: Sequence[Shard]) -> Iterator[str]:
    """A line for each part."""
    width = max(len(shard.name) for shard in shards)
    for shard in shards:
        unknown = f", {count(shard.unknown_price, 'picture')} at an unknown price" if shard.unknown_price else ""
        bought = (
            f"{count(shard.pictures, 'picture')} to generate, {price_words(shard.cost)}{unknown}, {duration(shard.seconds)}"
        )
        entries = count(len(shard.ids), "entry", "entries")
        yield f"{shard.name.rjust(width)}  {entries}: {bought if shard.pictures else 'nothing to generate'}"


def shards_json(shards: Sequence[Shard]) -> dict[str, Any]:
    """`plan --shards N --json`, version 1. `shard` is what `build --shard` takes, `seconds` are at the pace allowed."""
    return {"v": 1, "shards": [_shard_json(shard) for shard in shards]}


def _shard_json(shard: Shard) -> dict[str, Any]:
    return {
        "shard": shard.name,
        "pictures": shard.pictures,
        "cost": price_json(shard.cost),
        "unknown_price": shard.unknown_price,
        "seconds": round(shard.seconds, 1),
        "entries": sorted(shard.ids),
    }
