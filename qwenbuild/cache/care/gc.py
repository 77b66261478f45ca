"""Find what no lockfile reaches, say what it would cost to make again, and remove it when told to.

Knows no lockfile: what is reachable is given. The order of removal is index, receipts, blob, so that a crash in between
leaves a blob too many and never a receipt without its picture.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from qwenbuild.cache.attempts import Attempt
from qwenbuild.cache.fsops import TEMP_SUFFIX
from qwenbuild.cache.trouble import as_cache_error
from qwenbuild.errors import CacheError
from qwenbuild.model import Price

if TYPE_CHECKING:
    from qwenbuild.cache.vault import Cache

YOUNG_S = 24 * 3600.0
"""Files younger than a day are kept: a build may have stored them whose lockfile is not written yet."""


@dataclass(frozen=True, slots=True)
class Reachable:
    """Keys and digests that some lockfile names: of pictures in use, candidates, orphans, derived files."""

    keys: frozenset[str] = frozenset()
    digests: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class GcReport:
    """What no lockfile reaches. `size` is in bytes; `cost` what those pictures were billed or estimated at, by unit.

    `unknown` counts pictures whose price nobody wrote down; `kept_young` blobs left because they are less than a day old.
    """

    blobs: tuple[str, ...]
    keys: tuple[str, ...]
    size: int
    cost: Price
    unknown: int
    kept_young: int
    leftovers: tuple[Path, ...]
    applied: bool


@dataclass
class _Finding:
    blobs: dict[str, int] = field(default_factory=dict)
    keys: dict[str, tuple[str, ...]] = field(default_factory=dict)
    young: int = 0


@as_cache_error
def collect(cache: Cache, reachable: Reachable, *, apply: bool = False, now: float | None = None) -> GcReport:
    """What no lockfile reaches; removed with `apply`. `now` is in wall seconds, the cache's own clock when it is None.

    Raises CacheError while a build runs, or when a receipt or the list of lockfiles cannot be read.
    """
    now = cache.now() if now is None else now
    with cache.builds.none_running() if apply else contextlib.nullcontext():
        attempts = list(cache.journal.attempts())
        garbage = _unreachable(cache, reachable, attempts, now)
        cost, unknown = _cost(cache, garbage, attempts)
        leftovers = tuple(_leftovers(cache, now))
        if apply:
            _remove(cache, garbage, leftovers)
    size = sum(garbage.blobs.values()) + sum(path.stat().st_size for path in leftovers if path.exists())
    return GcReport(tuple(garbage.blobs), tuple(garbage.keys), size, cost, unknown, garbage.young, leftovers, apply)


def _unreachable(cache: Cache, reachable: Reachable, attempts: Collection[Attempt], now: float) -> _Finding:
    garbage = _Finding()
    needed = set(reachable.digests)
    for attempt in attempts:
        if attempt.live:
            needed |= {attempt.digest, attempt.ticket.digest if attempt.ticket else ""}
    others: dict[str, tuple[str, ...]] = {}
    everything = {*cache.receipts.keys(), *reachable.keys}
    results = cache.results(everything)
    _refuse_unreadable(cache, everything)
    for key in everything:
        digests = tuple(result.digest for result in results.get(key, ()))
        if key in reachable.keys or any(attempt.live for attempt in attempts if attempt.key == key):
            needed.update(digests)
        else:
            others[key] = digests
    for entry in cache.blobs.sweep():
        status = entry.stat(follow_symlinks=False)
        if entry.name not in needed and now - status.st_mtime < YOUNG_S:
            garbage.young += 1
            needed.add(entry.name)
        if entry.name not in needed:
            garbage.blobs[entry.name] = status.st_size
    garbage.keys = {key: digests for key, digests in others.items() if not needed.intersection(digests)}
    return garbage


def _refuse_unreadable(cache: Cache, keys: Collection[str]) -> None:
    """What cannot be read may name any picture: while there is such a thing, nobody can say what no lockfile reaches."""
    for line in cache.roots.unreadable():
        raise CacheError(
            f"nothing is removed: line {line} of {cache.roots.path} cannot be read, and may name a lockfile; correct it, or "
            "delete it when you know that its project stands on another line or is gone",
            code="cache-unreadable",
        )
    for words in cache.unreadable(keys).values():
        raise CacheError(f"nothing is removed: {words}", code="cache-unreadable")


def _cost(cache: Cache, garbage: _Finding, attempts: Collection[Attempt]) -> tuple[Price, int]:
    prices = {attempt.id: attempt.billed if attempt.billed is not None else attempt.price for attempt in attempts}
    total: dict[str, Decimal] = {}
    unknown = 0
    for key in garbage.keys:
        for item in cache.receipts.read(key):
            price = item.result.billed if item.result.billed is not None else prices.get(item.result.attempt)
            unknown += price is None
            for unit, amount in (price or {}).items():
                total[unit] = total.get(unit, Decimal(0)) + amount
    return total, unknown


def _leftovers(cache: Cache, now: float) -> list[Path]:
    """Temporary files of processes that died."""
    leftovers = []
    for folder, _, names in os.walk(cache.root):
        for name in names:
            path = Path(folder) / name
            if name.startswith(".") and name.endswith(TEMP_SUFFIX) and now - path.lstat().st_mtime > YOUNG_S:
                leftovers.append(path)
    return leftovers


def _remove(cache: Cache, garbage: _Finding, leftovers: Collection[Path]) -> None:
    ops = cache.writer.ops
    cache.forget_index(garbage.keys)
    for key in garbage.keys:
        for path in cache.receipts.files(key, aside=True):
            ops.unlink(path)
        with contextlib.suppress(OSError):
            ops.rmdir(cache.receipts.of_key(key))
    for digest in garbage.blobs:
        ops.unlink(cache.blobs.path(digest))
    for path in leftovers:
        ops.unlink(path)
