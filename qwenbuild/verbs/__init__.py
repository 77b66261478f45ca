"""What the commands do, one function each, and the walk, as the command line calls them.

Knows no terminal: results are values, questions are asked through a callable. Each name is imported when somebody asks for
it: a plan needs nothing of what carries it out.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qwenbuild.engine.prune import clean
    from qwenbuild.engine.shared_cache import pull_pictures, push_pictures, sweep_remote, verify_remote
    from qwenbuild.engine.walk import Summary, build
    from qwenbuild.planning.incremental import shown, status
    from qwenbuild.planning.loading import Loaded, load
    from qwenbuild.planning.planner import Planned, plan, shards
    from qwenbuild.project.options import Options
    from qwenbuild.verbs.accounts import check_provider, models
    from qwenbuild.verbs.checking import check
    from qwenbuild.verbs.explanation import explain
    from qwenbuild.verbs.ledger import doubts, resolve_doubt, spend
    from qwenbuild.verbs.migration import migrate

_HOMES = {
    "engine.shared_cache": ("pull_pictures", "push_pictures", "sweep_remote", "verify_remote"),
    "engine.walk": ("Summary", "build"),
    "planning.incremental": ("shown", "status"),
    "planning.loading": ("Loaded", "load"),
    "planning.planner": ("Planned", "plan", "shards"),
    "project.options": ("Options",),
    "engine.prune": ("clean",),
    "verbs.checking": ("check",),
    "verbs.explanation": ("explain",),
    "verbs.accounts": ("check_provider", "models"),
    "verbs.ledger": ("doubts", "resolve_doubt", "spend"),
    "verbs.migration": ("migrate",),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "Loaded",
    "Options",
    "Planned",
    "Summary",
    "build",
    "check",
    "check_provider",
    "clean",
    "doubts",
    "explain",
    "load",
    "migrate",
    "models",
    "plan",
    "pull_pictures",
    "push_pictures",
    "resolve_doubt",
    "shards",
    "shown",
    "spend",
    "status",
    "sweep_remote",
    "verify_remote",
]


def __getattr__(name: str) -> Any:
    """A public name, from the module that has it."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"qwenbuild.{_HOME[name]}"), name)
