"""`qwenbuild build`: make every picture that is missing, ask before it costs, keep what was paid for.

Does not know the walk; it chooses who is told about it.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from qwenbuild.cli import console, show
from qwenbuild.cli import options as opt
from qwenbuild.cli.call import current
from qwenbuild.cli.group import Verb
from qwenbuild.later import later

with later:
    from qwenbuild import verbs
    from qwenbuild.report import events, progress, terminal
    from qwenbuild.report import summary as closing

if TYPE_CHECKING:
    from qwenbuild.verbs import Options, Planned


@click.command("build", cls=Verb)
@opt.select_argument
@opt.build_options
@opt.walk_options
@opt.shard_option
@opt.json_option
def command(select: tuple[str, ...], dry: bool, as_json: bool, **flags: Any) -> int:
    """Make what is missing: restore what was paid for, generate the rest, write the output tree and the lockfile.

    If that costs something, it shows the plan and asks first; without a terminal, pass --yes or --max-cost.
    SELECT is an entry id, a glob over ids ('icons/*'), tag:ui, asset:potions, path:web/* or atlas:ui.

    \b
    Examples:
      qwenbuild build
      qwenbuild build 'potions/*' --max-cost 2.50
      qwenbuild build --locked --offline     in CI: only what the cache has
    """
    opt.force_needs_a_choice(flags["force"], select, flags["all"])
    opt.keep_modified_needs_locked(flags["keep_modified"], flags["locked"])
    if dry:
        options = opt.walk(select=select, **flags)
        return show.plan(verbs.shown(options), options, as_json=as_json, check=False)
    return _json(opt.walk(select=select, **flags)) if as_json else _text(opt.walk(select=select, **flags))


def _text(options: Options) -> int:
    asks = show.may_ask(as_json=False) and not options.yes
    reporter = progress.reporter(sys.stderr, current().err(), live=terminal.is_terminal(sys.stderr), asks=asks)

    def ask(planned: Planned) -> bool:
        agreed = show.ask(planned)
        if agreed:
            reporter.plan_shown()
        return agreed

    try:
        summary = verbs.build(options, reporter, ask if asks else None)
    finally:
        reporter.close()
    console.notices(summary.problems)
    console.failures(closing.failure_problems(summary))
    for line in closing.failure_lines(summary, current().err(), reporter.reported):
        console.problem_text(line)
    console.result(closing.summary_lines(summary, current().out()))
    if getattr(summary, "first", False):
        console.message("`qwenbuild gallery` shows all pictures on one page.")
    return summary.exit_code


def _json(options: Options) -> int:
    reporter = events.JsonLines(sys.stdout, sys.stderr, quiet=current().quiet)
    try:
        summary = verbs.build(options, reporter, None)
        reporter.summary(closing.summary_json(summary))
        console.notices(summary.problems)
        console.failures(closing.failure_problems(summary))
    finally:
        reporter.close()
    return summary.exit_code
