"""`qwenbuild unpick`: take picks back.

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


@click.command("unpick", cls=Verb)
@opt.select_argument
def command(select: tuple[str, ...]) -> int:
    """Undo picks: the first candidate that nobody rejected is used again.

    \b
    Examples:
      qwenbuild unpick heroes/knight
      qwenbuild unpick 'heroes/*'
    """
    return show(choices.unpick(opt.walk(), select), "unpicked")
