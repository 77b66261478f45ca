"""`qwenbuild note`: write a few words to an entry.

Does not know how a note is kept.
"""

from __future__ import annotations

import click

from qwenbuild.cli import options as opt
from qwenbuild.cli.choices import show
from qwenbuild.cli.completion import entries
from qwenbuild.cli.group import Verb
from qwenbuild.later import later

with later:
    from qwenbuild.verbs import notes


@click.command("note", cls=Verb)
@click.argument("entry", metavar="ENTRY", shell_complete=entries)
@click.argument("text", metavar="TEXT")
def command(entry: str, text: str) -> int:
    """Attach TEXT to ENTRY as its note, replacing any earlier one; "" removes it. `qwenbuild explain ENTRY` shows it.

    The note is stored in the lockfile and never causes a new picture. It has at most 4,000 characters.

    \b
    Examples:
      qwenbuild note heroes/knight "the left hand has six fingers"
      qwenbuild note heroes/knight ""
    """
    return show([notes.note(opt.walk(), entry, text)], "noted")
