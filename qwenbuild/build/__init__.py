"""The walk and what stands beside it, as the command line calls them.

Knows no terminal: results are values, questions are asked through a callable.
"""

from qwenbuild.build.beside import clean, explain, shown, status
from qwenbuild.build.carrying import carry_in, carry_out, sweep_remote, verify_remote
from qwenbuild.build.loading import Loaded, Options, Planned, load, plan
from qwenbuild.build.money import check_provider, doubts, models, resolve_doubt, spend
from qwenbuild.build.walk import Summary, build

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
