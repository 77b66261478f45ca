"""`qwenbuild pick`: use one candidate of an entry.

Does not know how a choice is kept.
"""

from __future__ import annotations

import click

from qwenbuild.cli import options as opt
from qwenbuild.cli.choices import show
from qwenbuild.cli.completion import entries
from qwenbuild.cli.group import Verb
from qwenbuild.later import later

with later:
    from qwenbuild.verbs import choices


@click.command("pick", cls=Verb)
@click.argument("entry", metavar="ENTRY", shell_complete=entries)
@click.argument("number", metavar="N", type=click.IntRange(min=1))
def command(entry: str, number: int) -> int:
    """Use candidate N of ENTRY, as `qwenbuild explain ENTRY` numbers them. The next build makes its files, free of charge.

    The pick is stored in the lockfile by the picture's key: it survives renaming and reordering, and a new prompt makes
    it void.

    \b
    Examples:
      qwenbuild pick heroes/knight 2
    """
    return show([choices.pick(opt.walk(), entry, number)], "picked")
