"""Cuts a build into shards of about equal price and time, the same on every machine that has the same manifest and lockfile.

Knows no cache: what other shards have bought meanwhile moves no entry from one to another.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from hashlib import sha256

from qwenbuild.model import Candidate, Keyed, LockEntry, Price

IDLE = 0.001
"""What an entry with nothing to buy weighs, as a share of the mean picture."""


@dataclass(frozen=True, slots=True)
class Shard:
    """One part of a build, `number` of `count`. `pictures` are those to buy, `cost` is theirs, `seconds` at the pace allowed.

    `unknown_price` counts the pictures whose price nobody knows.
    """

    number: int
    count: int
    ids: frozenset[str] = frozenset()
    pictures: int = 0
    cost: Price = field(default_factory=dict)
    unknown_price: int = 0
    seconds: float = 0.0

    @property
    def name(self) -> str:
        """`3/8`, as `build --shard` takes it."""
        return f"{self.number}/{self.count}"


@dataclass(frozen=True, slots=True)
class _Group:
    """Entries that share a picture or build on each other: no two shards may need the same purchase."""

    ids: tuple[str, ...]
    purchases: tuple[Keyed, ...]

    @property
    def place(self) -> bytes:
        """Where it stands in the order that is cut: by name alone, so that a changed prompt stays where it was."""
        return sha256(min(self.ids).encode()).digest()


def split(keyed: Sequence[Keyed], lock: Mapping[str, LockEntry], count: int) -> tuple[Shard, ...]:
    """The shards of a build, in order; every entry is in exactly one. What the lockfile names weighs next to nothing.

    Groups are put in the order of a hash of their names and cut where the weight is reached, so that a small change moves
    few entries across a cut.
    """
    groups = sorted(_groups(keyed, lock), key=lambda group: group.place)
    weights = _weights(groups)
    whole = sum(weights)
    parts: list[list[_Group]] = [[] for _ in range(count)]
    before = 0.0
    for group, weight in zip(groups, weights, strict=True):
        parts[min(count - 1, int((before + weight / 2) / whole * count))].append(group)
        before += weight
    return tuple(_shard(number, count, part) for number, part in enumerate(parts, 1))


def total_cost(shards: Iterable[Shard]) -> dict[str, Decimal]:
    """The price of all, by unit."""
    return _added(shard.cost for shard in shards)


def _shard(number: int, count: int, groups: Iterable[_Group]) -> Shard:
    groups = list(groups)
    purchases = [keyed for group in groups for keyed in group.purchases]
    return Shard(
        number,
        count,
        frozenset(id for group in groups for id in group.ids),
        len(purchases),
        _sum(purchases),
        sum(keyed.price is None for keyed in purchases),
        sum(map(_pace, purchases)),
    )


def _sum(purchases: Iterable[Keyed]) -> dict[str, Decimal]:
    return _added(keyed.price or {} for keyed in purchases)


def _added(prices: Iterable[Price]) -> dict[str, Decimal]:
    total: dict[str, Decimal] = {}
    for price in prices:
        for unit, amount in price.items():
            total[unit] = total.get(unit, Decimal(0)) + amount
    return total


def _pace(keyed: Keyed) -> float:
    """Seconds that one more picture takes: at the rate, or shared by those in flight."""
    return max(1 / keyed.rps if keyed.rps else 0.0, keyed.seconds / max(1, keyed.in_flight))


def _weights(groups: Sequence[_Group]) -> list[float]:
    """Of each group: its part of the price of each unit, and as much again for its part of the time."""
    purchases = [keyed for group in groups for keyed in group.purchases]
    prices, seconds = _sum(purchases), sum(map(_pace, purchases))
    idle = IDLE / max(1, len(purchases))

    def weight(keyed: Keyed) -> float:
        shares = [float(amount / prices[unit]) for unit, amount in (keyed.price or {}).items() if prices[unit]]
        return sum(shares) / max(1, len(prices)) + (_pace(keyed) / seconds if seconds else 0.0)

    return [idle * len(group.ids) + sum(map(weight, group.purchases)) for group in groups]


def _groups(keyed: Sequence[Keyed], lock: Mapping[str, LockEntry]) -> list[_Group]:
    parents: dict[str, str] = {}
    for each in keyed:
        for name in _ties(each):
            parents[_root(parents, name)] = _root(parents, each.entry.id)
    members: dict[str, list[Keyed]] = {}
    for each in keyed:
        members.setdefault(_root(parents, each.entry.id), []).append(each)
    return [_group(part, lock) for part in members.values()]


def _root(parents: dict[str, str], name: str) -> str:
    """The name that stands for all that are tied to this one (union-find, halving the way as it goes)."""
    while (parent := parents.setdefault(name, name)) != name:
        parents[name] = parents.setdefault(parent, parent)
        name = parents[name]
    return name


def _ties(keyed: Keyed) -> Iterable[str]:
    """Names that tie an entry to others: its pictures' keys, and the entries it builds on. No id begins with a blank."""
    yield from (f" {candidate.key}" for candidate in keyed.candidates if candidate.key)
    yield from (ref.entry for ref in keyed.entry.inputs if ref.entry is not None)


def _group(members: Sequence[Keyed], lock: Mapping[str, LockEntry]) -> _Group:
    """A candidate without a key waits for its input's picture: it is bought anew where something of its group is."""
    pictures = [(keyed, candidate) for keyed in members for candidate in keyed.candidates]
    bought = {
        candidate.key: keyed
        for keyed, candidate in reversed(pictures)
        if candidate.key and not _is_named(lock.get(keyed.entry.id), candidate)
    }
    changed = bool(bought)
    for keyed, candidate in pictures:
        if not candidate.key and (changed or keyed.entry.id not in lock):
            bought[f"{keyed.entry.id} {candidate.seed}"] = keyed
    return _Group(tuple(keyed.entry.id for keyed in members), tuple(bought.values()))


def _is_named(record: LockEntry | None, candidate: Candidate) -> bool:
    if record is None:
        return False
    return candidate.key == record.key or candidate.key in record.candidates or candidate.key in record.accepted
