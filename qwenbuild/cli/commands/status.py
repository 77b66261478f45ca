"""`qwenbuild status`: the lockfile against manifest, cache and output tree.

Does not know how that is found out.
"""

from __future__ import annotations

import click

from qwenbuild.cli import options as opt
from qwenbuild.cli import show
from qwenbuild.cli.group import Verb
from qwenbuild.later import later

with later:
    from qwenbuild import verbs


@click.command("status", cls=Verb)
@opt.select_argument
@opt.check_option
@opt.offline_option
@opt.json_option
def command(select: tuple[str, ...], check: bool, offline: bool, as_json: bool) -> int:
    """Compare the lockfile with the manifest, the cache and the output tree. Reads only.

    \b
    Examples:
      qwenbuild status
      qwenbuild status --check      exit 3 unless everything is up to date
    """
    return show.status(verbs.status(opt.walk(select=select, offline=offline)), as_json=as_json, check=check)
