"""Turns a manifest into entries: rows and axes multiplied, templates rendered, ids and paths checked.

Knows no key, no price and no network; besides the manifest's own folder it reads nothing.
"""

from __future__ import annotations

from qwenbuild.expand.budget import Spent
from qwenbuild.expand.expansion import Expansion, expand
from qwenbuild.expand.paths import collision_key, guard_path

__all__ = ["Expansion", "Spent", "collision_key", "expand", "guard_path"]
