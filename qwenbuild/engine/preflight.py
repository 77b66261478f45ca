"""Before anything is spent: rescued pictures come home, each place that will be written proves that it takes a write, and
what is needed later is there: modules in memory, and as many open files as the system allows.

Knows neither plan nor provider.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from qwenbuild import tree
from qwenbuild.cache import Cache, cache_dir
from qwenbuild.cache.care import rescue
from qwenbuild.errors import Problem, QwenbuildError
from qwenbuild.later import load
from qwenbuild.planning.loading import Loaded

LATER = (
    "filelock",
    "qwenbuild.cache.index",
    "qwenbuild.cache.care.rescue",
    "qwenbuild.cache.roots",
    "qwenbuild.run.recover",
)
"""What stores, saves or recovers a picture that is paid for, and is imported where it is needed."""
OPEN_FILES = 10_240
"""What a process may have open at most on every macOS; 1,000 pictures in flight need a third of it."""


def bring_home(loaded: Loaded) -> tuple[Problem, ...]:
    """Adopt what an earlier build saved in the project because the cache failed; a notice where there was something.

    Raises CacheError while the cache still cannot take it: nothing was spent.
    """
    if not (loaded.state / "rescue").is_dir():
        return ()
    with Cache.open(cache_dir(os.environ)) as cache:
        adopted = rescue.adopt(cache, loaded.manifest.folder)
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


def load_later(*, pictures: bool) -> None:
    """Import what is needed once something is paid for: an import fails where open files have run out, or where an upgrade
    replaces the package below a running build. With `pictures` also what decodes and makes them. Raises QwenbuildError.
    """
    try:
        for name in LATER:
            load(name)
        if pictures:
            load("qwenbuild.images").load_all()
            load("qwenbuild.checks").load_judges()
    except (ImportError, OSError) as error:
        raise QwenbuildError(f"a part of qwenbuild cannot be loaded ({error}); nothing was sent", code="not-loaded") from error


def allow_open_files() -> None:
    """Raise this process's own limit of open files as far as it may: by default it is 256 on macOS, and each call takes one."""
    with contextlib.suppress(ImportError, OSError, ValueError):  # Windows has no such limit; a system may refuse
        import resource

        allowed, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        target = OPEN_FILES if most == resource.RLIM_INFINITY else min(most, OPEN_FILES)
        if allowed != resource.RLIM_INFINITY and allowed < target:
            resource.setrlimit(resource.RLIMIT_NOFILE, (target, most))
