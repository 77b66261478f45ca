"""Imports that are put off until a module is used: what start-up does not need is not loaded.

Knows no module by name. `lazy import` of Python 3.15 (PEP 810) takes its place one day.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import LazyLoader
from types import ModuleType


class Later:
    """`with later:` around `from qwenbuild.x import y` makes modules of this package that load at their first use.

    Only whole modules wait; a function or class that is imported by name loads its module at once. The first use must not be
    by two threads at once: the second would see half a module. What threads need first is imported where it is used.
    """

    def __enter__(self) -> None:
        sys.meta_path.insert(0, self)

    def __exit__(self, *exc: object) -> None:
        sys.meta_path.remove(self)

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        """As every finder of Python's. Other packages are left to the ones that follow."""
        spec = PathFinder.find_spec(name, path, target) if name.startswith("qwenbuild.") else None
        if spec is not None and spec.loader is not None:
            spec.loader = LazyLoader(spec.loader)
        return spec


later = Later()


def load(name: str) -> ModuleType:
    """A module, loaded now, also where its import was put off before. Raises ImportError, OSError."""
    module = import_module(name)
    vars(module)
    return module
