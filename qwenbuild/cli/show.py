"""How a Planned is shown: by `plan`, `status` and `build -n`, and at the gate.

Decides nothing; what is up to date is read off the verdicts.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from qwenbuild.cli import console
from qwenbuild.cli.call import current
from qwenbuild.errors import Problem
from qwenbuild.later import later
from qwenbuild.model import Verdict

with later:
    from qwenbuild.report import markdown, plan_json, plan_text, shard_text, terminal, words

if TYPE_CHECKING:
    from qwenbuild.model import Plan
    from qwenbuild.plan.shards import Shard
    from qwenbuild.verbs import Options, Planned


def plan(planned: Planned, options: Options, *, as_json: bool, check: bool) -> int:
    """Print a plan; the exit code is 0, or 3 under `--check` when something is to do."""
    gc.freeze()  # nothing of a plan is garbage, and the process ends soon
    console.notices(planned.notices)
    if as_json:
        console.pieces(plan_json.plan_json(planned.plan))
    else:
        out = current().out()
        console.result([] if out.quiet else plan_text.plan_lines(planned.plan, out))
        console.result(plan_text.plan_summary(planned.plan, out))
        _gate(planned, options)
    return _checked(planned, check=check)


def plan_markdown(planned: Planned, *, check: bool) -> int:
    """Print a plan for a pull request; the exit code is that of `plan`."""
    console.notices(planned.notices)
    console.result(markdown.plan_lines(planned.plan))
    return _checked(planned, check=check)


def _checked(planned: Planned, *, check: bool) -> int:
    """0, or 3 under `--check` when something is to do, which is then an error where errors are listed."""
    if not check or up_to_date(planned.plan):
        return 0
    busy = [step.id for step in planned.plan.busy if step.verdict is not Verdict.FRESH]
    named = ", ".join(busy[:5]) + (f" and {len(busy) - 5:,} more" if len(busy) > 5 else "")
    console.failures([Problem("not-up-to-date", f"the lockfile is not up to date: {named}", hint="`qwenbuild plan` says why")])
    return 3


def status(planned: Planned, *, as_json: bool, check: bool) -> int:
    """Print the state: the same value as a plan, and the same judgement."""
    console.notices(planned.notices)
    if as_json:
        console.pieces(plan_json.plan_json(planned.plan))
    else:
        out = current().out()
        console.result([] if out.quiet else plan_text.plan_lines(planned.plan, out))
        console.result(plan_text.status_summary(planned.plan, out))
    return _checked(planned, check=check)


def shards(parts: Sequence[Shard], *, as_json: bool) -> int:
    """Print the parts of a build."""
    if as_json:
        console.as_json(shard_text.shards_json(parts))
    else:
        console.result(shard_text.shard_lines(parts))
    return 0


def up_to_date(plan: Plan) -> bool:
    """Whether every verdict is `fresh`; an orphan is not."""
    if any(atlas.verdict.value != "fresh" for atlas in plan.atlases):
        return False
    return not plan.orphans and all(step.verdict.value == "fresh" for step in plan.busy)


def _gate(planned: Planned, options: Options) -> None:
    """Say what would stop a build, and what it would ask."""
    stop = planned.gate(options)
    if stop is not None and stop.code != "consent":
        console.message(current().err().style(f"`build` would stop here: {stop}", "red"))


def may_ask(*, as_json: bool) -> bool:
    """Whether a person sits at a terminal who can answer."""
    return not as_json and terminal.is_terminal(sys.stdin) and terminal.is_terminal(sys.stderr)


def ask(planned: Planned) -> bool:
    """The question at the gate: the plan, its price, and y or N."""
    err = current().err()
    for line in (*plan_text.plan_lines(planned.plan, err), *plan_text.plan_summary(planned.plan, err)):
        console.problem_text(line)
    price = words.cost_words(planned.plan.cost, planned.plan.unknown_price)
    sys.stderr.write(f"Pay {price}{words.further_words(planned.plan.most if planned.plan.further_cost else None)}? [y/N] ")
    sys.stderr.flush()
    answer = sys.stdin.readline()
    if not answer.endswith("\n"):
        console.problem_text("")
    return answer.strip().lower() in ("y", "yes")
