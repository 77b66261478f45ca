"""`qwenbuild review`: the gallery on this machine, with choices.

Does not know the server.
"""

from __future__ import annotations

import click

from qwenbuild.cli import options as opt
from qwenbuild.cli import served
from qwenbuild.cli.group import Verb


@click.command("review", cls=Verb)
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="0 lets the system choose.")
@click.option("--against", metavar="REV", default="", help="Begin with what changed since a git revision, or qwenbuild.lock.")
@click.option("--open", "opens", is_flag=True, help="Open it in the browser.")
def command(port: int, against: str, opens: bool) -> int:
    """Serve the gallery on this machine until Ctrl-C, to pick, approve, reject, reroll and write notes.

    Choices go into the lockfile, as those of the command line do, and their files are made at once. What costs says its price
    first, and builds ask the same gate and budget. The address that is printed carries a token: whoever has it can choose and
    spend. Needs `pip install 'qwenbuild[server]'`.

    \b
    Examples:
      qwenbuild review --open
      qwenbuild review --against main
    """
    return served.serve(opt.walk(), port, against, opens=opens, choosing=True)
