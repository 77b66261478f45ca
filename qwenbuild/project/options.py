"""What the user said on the command line, and the name of the folder in which a project keeps what is its own.

Knows no manifest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

STATE = ".qwenbuild"
"""The project's own folder beside the manifest: locks, remembered state, what --overwrite replaced. Never committed."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the user said on the command line. `max_cost` is by unit; `limit` counts pictures to buy; `keep_modified` goes with
    `locked`; `shard` is (number, count), from 1.
    """

    folder: Path
    file: str | None = None
    select: tuple[str, ...] = ()
    jobs: int | None = None
    yes: bool = False
    max_cost: Mapping[str, Decimal] | None = None
    limit: int | None = None
    locked: bool = False
    keep_modified: bool = False
    offline: bool = False
    force: bool = False
    all: bool = False
    overwrite: bool = False
    fail_fast: bool = False
    retry_failed: bool = False
    prune: bool = False
    strict: bool = False
    provider: str | None = None
    output: str | None = None
    push: bool = False
    shard: tuple[int, int] | None = None
