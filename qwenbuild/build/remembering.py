"""Hand what a finished build knows to the remembered state, so that the next one need not look.

Decides only what may be remembered; `recall` decides what may be believed.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping

from qwenbuild import recall
from qwenbuild.build.loading import Options, Planned
from qwenbuild.model import Verdict
from qwenbuild.tree import Found


def remember(planned: Planned, options: Options, placed: Mapping[str, Found], *, idle: bool) -> None:
    """Write the state after a whole build. `idle`: a build right now would have nothing to do.

    A part of the manifest, or another output folder, is not remembered: it would forget the rest.
    """
    if options.select or options.provider or options.output:
        return
    found = {**planned.seen.found, **placed}
    modified = any(step.verdict is Verdict.MODIFIED for step in planned.plan.steps)
    outputs = {path: (item.signature, item.digest) for path, item in found.items()}
    loaded = planned.loaded
    path = os.path.join(loaded.manifest.folder, os.path.basename(loaded.manifest.file))
    recall.remember(
        path,
        str(loaded.root),
        _inputs(planned),
        outputs,
        entries=len(loaded.entries),
        idle=idle and not modified and not planned.notices,
        clock=_settled(max((item.signature[1] for item in placed.values()), default=0) if placed else 0),
    )


def _inputs(planned: Planned) -> list[str]:
    """What the answer hangs on: manifest, what it read, lockfile, journal, and that no second manifest stands beside it."""
    loaded = planned.loaded
    name = os.path.basename(loaded.manifest.file)
    others = [other for other in recall.NAMES if other != name] if name in recall.NAMES else []
    return [name, *others, *loaded.read, loaded.lock_path.name, str(planned.cache.journal.path)]


def _settled(newest: int) -> int:
    """Wall time in nanoseconds, late enough that what this build wrote is no longer too young to be trusted."""
    if newest:
        time.sleep(recall.RACY_NS * 1.25e-9)
    return time.time_ns()
