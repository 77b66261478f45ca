"""The budget of rendering: how much work and text templates may cost, counted, so that every machine gives the same answer.

Knows no clock and no template: it counts units, and raises Overspent when there are too many.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

MOST_TEXT = 1_000_000
"""Longest text that a template may make or print, in characters."""

RENDER_UNITS = 400_000
"""Units for one rendering: a loop's round costs its body's size, sixteen characters made or looked at cost one."""

BUILD_UNITS = 10_000_000
"""Units for all renderings together, to which every entry adds ENTRY_UNITS."""

ENTRY_UNITS = 200

BUILD_TEXT = 100_000_000
"""Most characters that all renderings together may print, to which every entry adds ENTRY_TEXT."""

ENTRY_TEXT = 400

NODE_UNITS = 40
"""What compiling one node of a template costs."""

MOST_BITS = 256
"""Largest integer a template may make, in bits."""

MOST_NESTING = 100
"""Lists inside lists: Python compares and hashes them by recursion in C."""

MOST_DEPTH = 40
"""Macros, blocks, includes and recursive loops that may be open inside each other."""


class Overspent(Exception):
    """A template costs too much. The text says of what."""


class BudgetExceeded(Overspent):
    """All templates together cost too much: nothing more is rendered."""


@dataclass(frozen=True, slots=True)
class Spent:
    """What expanding came to: combinations, entries that brought their own units, units and characters."""

    combinations: int = 0
    entries: int = 0
    units: int = 0
    text: int = 0


NOTHING = Spent()


class Budget:
    """What is left for this rendering and for the whole expansion."""

    __slots__ = ("depth", "left", "text", "total")

    def __init__(self) -> None:
        self.left = RENDER_UNITS
        self.depth = 0
        self.total = BUILD_UNITS
        self.text = BUILD_TEXT

    def without(self, spent: Spent) -> None:
        """What others have spent is not left."""
        self.total += spent.entries * ENTRY_UNITS - spent.units
        self.text += spent.entries * ENTRY_TEXT - spent.text
        self._check()

    def spent(self, combinations: int, entries: int) -> Spent:
        """What these entries came to, with those that were counted before."""
        units, text = BUILD_UNITS + entries * ENTRY_UNITS, BUILD_TEXT + entries * ENTRY_TEXT
        return Spent(combinations, entries, units - self.total, text - self.text)

    def expect(self, entries: int) -> None:
        """More entries are to come: each brings its own units."""
        self.total += entries * ENTRY_UNITS
        self.text += entries * ENTRY_TEXT

    def begin(self) -> None:
        """A rendering begins."""
        self.left = RENDER_UNITS
        self.depth = 0

    def end(self, base: int) -> None:
        """A rendering has ended, whose straight-line part cost `base` units."""
        self.total -= base + RENDER_UNITS - max(self.left, 0)
        self._check()

    def compiled(self, nodes: int) -> None:
        """A template of so many nodes is to be compiled."""
        self.total -= nodes * NODE_UNITS
        self._check()

    def printed(self, length: int) -> None:
        """A rendering printed `length` characters."""
        self.text -= length
        if self.text < 0:
            allowed = f"{BUILD_TEXT:,} characters together, and {ENTRY_TEXT} more for each entry"
            raise BudgetExceeded(f"the texts of this manifest are longer than {allowed}")

    def spend(self, units: int) -> None:
        """Count `units`; raises Overspent when none are left."""
        self.left -= units
        if self.left < 0:
            raise Overspent(f"the template needs more than {RENDER_UNITS:,} steps")

    def _check(self) -> None:
        if self.total < 0:
            raise BudgetExceeded("the templates of this manifest need too many steps together")

    def enter(self) -> None:
        """A macro, block, include or recursive loop opens; raises Overspent when too many are open."""
        self.depth += 1
        if self.depth > MOST_DEPTH:
            raise Overspent(f"macros, blocks and includes are nested deeper than {MOST_DEPTH}; one may call itself")

    def leave(self) -> None:
        """It closes."""
        self.depth -= 1

    def made(self, text: str) -> str:
        """The text, counted; raises Overspent when it is too long."""
        self.fits(len(text))
        return text

    def fits(self, length: int) -> None:
        """Count a text of `length` characters before it is made; raises Overspent when it is too long."""
        if length > MOST_TEXT:
            raise Overspent(f"a text of more than {MOST_TEXT:,} characters")
        self.spend(1 + (length >> 4))

    def weigh(self, value: Any) -> Any:
        """The value, its whole size counted: nested lists may share parts, so their size is found by walking them."""
        if isinstance(value, str):
            self.spend(1 + (len(value) >> 4))
        elif isinstance(value, (list, tuple, dict)):
            self._walk(value)
        return value

    def _walk(self, value: Any) -> None:
        level, depth = [value], 0
        while level:
            depth += 1
            if depth > MOST_NESTING:
                raise Overspent(f"lists are nested deeper than {MOST_NESTING}")
            below: list[Any] = []
            for item in level:
                below += self._counted(item)
            level = below

    def _counted(self, item: Any) -> Iterable[Any]:
        if isinstance(item, str):
            self.spend(1 + (len(item) >> 4))
        elif isinstance(item, dict):
            self.spend(1 + len(item))
            return [*item.keys(), *item.values()]
        elif isinstance(item, (list, tuple)):
            self.spend(1 + len(item))
            return item
        else:
            self.spend(1)
        return ()

    def each(self, items: Iterable[Any], weight: int) -> Iterator[Any]:
        """The items, each counted with the weight of the loop's body."""
        for item in items:
            self.spend(weight)
            yield item
