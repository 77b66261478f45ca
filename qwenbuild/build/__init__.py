"""The walk and what stands beside it, as the command line calls them.

Knows no terminal: results are values, questions are asked through a callable. Each name is imported when somebody asks for
it: a plan needs nothing of what carries it out.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qwenbuild.build.beside import clean, explain
    from qwenbuild.build.carrying import carry_in, carry_out, sweep_remote, verify_remote
    from qwenbuild.build.loading import Loaded, Options, Planned, load, plan
    from qwenbuild.build.money import check_provider, doubts, models, resolve_doubt, spend
    from qwenbuild.build.stating import shown, status
    from qwenbuild.build.walk import Summary, build

_HOMES = {
    "beside": ("clean", "explain"),
    "carrying": ("carry_in", "carry_out", "sweep_remote", "verify_remote"),
    "loading": ("Loaded", "Options", "Planned", "load", "plan"),
    "money": ("check_provider", "doubts", "models", "resolve_doubt", "spend"),
    "stating": ("shown", "status"),
    "walk": ("Summary", "build"),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "Loaded",
    "Options",
    "Planned",
    "Summary",
    "build",
    "carry_in",
    "carry_out",
    "check_provider",
    "clean",
    "doubts",
    "explain",
    "load",
    "models",
    "plan",
    "resolve_doubt",
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
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
