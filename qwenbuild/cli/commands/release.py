"""`qwenbuild release`: let the manifest decide about approved pictures again.

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


@click.command("release", cls=Verb)
@opt.select_argument
def command(select: tuple[str, ...]) -> int:
    """Withdraw approvals: the next build makes, and pays for, what the manifest says.

    \b
    Examples:
      qwenbuild release heroes/knight
      qwenbuild release && qwenbuild plan
    """
    return show(choices.release(opt.walk(), select), "released")
