"""`qwenbuild reroll`: add a candidate with a fresh seed.

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


@click.command("reroll", cls=Verb)
@click.argument("entry", metavar="ENTRY", shell_complete=entries)
def command(entry: str) -> int:
    """Add a candidate with a fresh seed to ENTRY. The next build makes it, and asks before it spends.

    The seed is stored in the lockfile. After a change of the prompt, added candidates are not bought again.

    \b
    Examples:
      qwenbuild reroll heroes/knight && qwenbuild build heroes/knight
    """
    return show([choices.reroll(opt.walk(), entry)], "added")
