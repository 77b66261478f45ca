"""`qwenbuild plan`: what a build would do, why, and what it would cost.

Does not know how a plan is made.
"""

from __future__ import annotations

from typing import Any

import click

from qwenbuild.cli import console, show
from qwenbuild.cli import options as opt
from qwenbuild.cli.group import Verb
from qwenbuild.later import later

with later:
    from qwenbuild import verbs
    from qwenbuild.report import graph as graphs

FORMATS = ("mermaid", "dot")


@click.command("plan", cls=Verb)
@opt.select_argument
@opt.check_option
@opt.walk_options
@opt.shard_option
@click.option(
    "--shards",
    type=click.IntRange(1, opt.SHARDS_MAX),
    metavar="N",
    help="Show how a build splits into N parts of about equal price.",
)
@opt.json_option
@click.option("--markdown", "as_markdown", is_flag=True, help="Print a table for a pull request.")
@click.option(
    "--graph",
    type=click.Choice(FORMATS),
    is_flag=False,
    flag_value="mermaid",
    help="Print the dependency graph instead of the plan.",
)
def command(
    select: tuple[str, ...],
    check: bool,
    as_json: bool,
    as_markdown: bool,
    graph: str | None,
    shards: int | None,
    **flags: Any,
) -> int:
    """Show for each entry what a build would do, why, and what it would cost. Nothing is sent and nothing is written.

    SELECT is an entry id, a glob over ids ('icons/*'), tag:ui, asset:potions, path:web/* or atlas:ui.

    \b
    Examples:
      qwenbuild plan
      qwenbuild plan 'potions/*' --check
      qwenbuild plan --graph=dot
      qwenbuild plan --markdown >> comment.md
      qwenbuild plan --shards 8 --json     for CI: who builds what
    """
    opt.force_needs_a_choice(flags["force"], select, flags["all"])
    options = opt.walk(select=select, **flags)
    if shards:
        return show.shards(verbs.shards(options, shards), as_json=as_json)
    if graph:
        console.result(graphs.graph_lines(verbs.plan(options).plan, graph))
        return 0
    if as_markdown:
        return show.plan_markdown(verbs.shown(options), check=check)
    return show.plan(verbs.shown(options), options, as_json=as_json, check=check)
