"""Carry out a plan: finish what was paid for, buy what the plan buys, publish pictures as they come.

Knows providers, lanes and the reporter as protocols only; what to do was decided before.
"""

from qwenbuild.run.schedule import run
from qwenbuild.run.world import Policy, Published, RunResult, StepOutcome, World

__all__ = ["Policy", "Published", "RunResult", "StepOutcome", "World", "run"]
