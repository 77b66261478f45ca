"""`qwenbuild approve`: keep pictures as they are, whatever the manifest says.

Does not know how a choice is kept.
"""

from __future__ import annotations

import click

from qwenbuild.cli import options as opt
from qwenbuild.cli.choices import show
from qwenbuild.cli.group import Verb
from qwenbuild.later import later

with later:
    from qwenbuild.verbs import choices


@click.command("approve", cls=Verb)
@opt.select_argument
def command(select: tuple[str, ...]) -> int:
    """Keep the pictures in use. Where the manifest asks for others later, the entry is held: reported, and not paid for.

    \b
    Examples:
      qwenbuild approve 'heroes/*'
      qwenbuild approve tag:ui heroes/knight
    """
    return show(choices.approve(opt.walk(), select), "approved")
