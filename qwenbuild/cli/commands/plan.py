"""`qwenbuild plan`: what a build would do, why, and what it would cost.

Does not know how a plan is made.
"""

from __future__ import annotations

from typing import Any

import click

from qwenbuild.cli import options as opt
from qwenbuild.cli import show
from qwenbuild.cli.group import Verb


@click.command("plan", cls=Verb, short_help="What a build would do, why, and what it would cost.")
@opt.select_argument
@opt.check_option
@opt.walk_options
@opt.json_option
def command(select: tuple[str, ...], check: bool, as_json: bool, **said: Any) -> int:
    """Say for each entry what a build would do, why, and what it would cost. Nothing is sent and nothing is written.

    SELECT is an entry id, a glob over ids ('icons/*'), tag:ui, asset:potions, path:web/* or atlas:ui.

    \b
    Examples:
      qwenbuild plan
      qwenbuild plan 'potions/*' --check
    """
    from qwenbuild import build

    opt.force_needs_a_choice(said["force"], select, said["all"])
    options = opt.walk(select=select, **said)
    return show.plan(build.shown(options), options, as_json=as_json, check=check)
