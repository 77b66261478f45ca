"""The plan as `plan` and `status` state it: the short way where there is one, with a word on where the bytes are.

Carries nothing out, and imports nothing that does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from qwenbuild.errors import Problem
from qwenbuild.planning import incremental
from qwenbuild.planning.holdings import only_here, only_in_tree
from qwenbuild.planning.planner import Planned, plan
from qwenbuild.project.options import Options


def status(options: Options) -> Planned:
    """How lockfile, manifest, cache and tree stand to each other: the same value as a plan."""
    return _noting(incremental.plan(options) or plan(options), only_in_tree)


def shown(options: Options) -> Planned:
    """The plan as `plan` shows it, with a word on pictures that exist on this machine alone."""
    return _noting(incremental.plan(options) or plan(options), only_here)


def _noting(planned: Planned, look: Callable[[Planned], Iterator[Problem]]) -> Planned:
    notices = (*planned.plan.notices, *look(planned))
    return replace(planned, plan=replace(planned.plan, notices=notices))
