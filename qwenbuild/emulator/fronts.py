"""All APIs of the emulator, in the order in which a path is matched.

Knows nothing of what they do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from qwenbuild.emulator.dashscope import DashScope
from qwenbuild.emulator.storage import Storage, Trap

if TYPE_CHECKING:
    from qwenbuild.emulator.core import Emulator, Front


def all_fronts(world: Emulator) -> list[Front]:
    """Every API, region by region, and the storage."""
    return [DashScope(world, "singapore"), DashScope(world, "beijing"), Storage(world), Trap(world)]
