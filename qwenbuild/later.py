"""Imports that are put off until a module is used: what start-up does not need is not loaded.

Knows no module by name. `lazy import` of Python 3.15 (PEP 810) takes its place one day.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import LazyLoader
from threading import RLock
from types import ModuleType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from importlib.abc import Loader
    from typing import Any


class Later:
    """`with later:` around `from qwenbuild.x import y` makes modules of this package that load at their first use.

    Only whole modules wait; a function or class that is imported by name loads its module at once. Whoever uses a module while
    another thread loads it waits until it is whole; as no two modules import each other, no two threads wait for each other.
    """

    def __enter__(self) -> None:
        sys.meta_path.insert(0, self)

    def __exit__(self, *exc: object) -> None:
        sys.meta_path.remove(self)

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        """As every finder of Python's. Other packages are left to the ones that follow."""
        spec = PathFinder.find_spec(name, path, target) if name.startswith("qwenbuild.") else None
        if spec is not None and spec.loader is not None:
            spec.loader = _LateLoader(spec.loader)
        return spec


class _LateLoader(LazyLoader):
    """Python 3.11's own lets a second thread see half a module; 3.12's has a lock, which this one brings along."""

    loader: Loader

    def exec_module(self, module: ModuleType) -> None:
        """Leave the module to its first use."""
        spec = module.__spec__
        assert spec is not None
        spec.loader = module.__loader__ = self.loader
        spec.loader_state = _Loading()
        module.__class__ = _LateModule


class _Loading:
    """One module's way from late to loaded: by one thread, which may look at the module meanwhile."""

    def __init__(self) -> None:
        self.lock, self.begun = RLock(), False

    def load(self, module: ModuleType, loader: Loader) -> None:
        """Load it, unless that is done or being done. Raises what the module raises; then its next use tries again."""
        with self.lock:
            if self.begun:
                return
            self.begun = True
            try:
                loader.exec_module(module)
            except BaseException:
                self.begun = False
                raise
            module.__class__ = ModuleType


class _LateModule(ModuleType):
    """A module that is not loaded yet, or is just being loaded: then only the thread that does it sees what is there."""

    def __getattribute__(self, name: str) -> Any:
        spec = ModuleType.__getattribute__(self, "__spec__")
        spec.loader_state.load(self, spec.loader)
        return ModuleType.__getattribute__(self, name)


later = Later()


def load(name: str) -> ModuleType:
    """A module, loaded now, also where its import was put off before. Raises ImportError, OSError."""
    module = import_module(name)
    vars(module)
    return module
