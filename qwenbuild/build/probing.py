"""Before anything is spent: rescued pictures come home, and each place that will be written proves that it takes a write.

Knows neither plan nor provider.
"""

from __future__ import annotations

import os
from pathlib import Path

from qwenbuild import tree
from qwenbuild.build.loading import Loaded
from qwenbuild.cache import Cache, cache_dir
from qwenbuild.errors import Problem, QwenbuildError


def bring_home(loaded: Loaded) -> tuple[Problem, ...]:
    """Adopt what an earlier build saved in the project because the cache failed; a notice where there was something.

    Raises CacheError while the cache still cannot take it: nothing was spent.
    """
    if not (loaded.state / "rescue").is_dir():
        return ()
    with Cache.open(cache_dir(os.environ)) as cache:
        adopted = cache.adopt_rescued(loaded.manifest.folder)
    if not adopted:
        return ()
    message = f"{len(adopted)} rescued picture{'s are' if len(adopted) > 1 else ' is'} in the cache now"
    return (Problem("rescued", message),)


def probe_tree(loaded: Loaded) -> None:
    """Can output files, the lockfile and the project's own folder be written? Raises QwenbuildError with the cause."""
    for name, folder in _places(loaded).items():
        try:
            tree.probe(folder)
        except tree.NotWritten as error:
            raise QwenbuildError(
                f"{name} {folder} cannot be written ({error}); nothing was sent", code="not-writable"
            ) from error


def _places(loaded: Loaded) -> dict[str, Path]:
    return {"the output folder": loaded.root, "the folder of the lockfile": loaded.lock_path.parent, "the folder": loaded.state}
