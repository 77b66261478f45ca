"""`qwenbuild reject`: hide candidates for good.

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


@click.command("reject", cls=Verb)
@click.argument("select", nargs=-1, required=True, metavar="SELECT... [N...]", shell_complete=entries)
@click.option("--undo", is_flag=True, help="Undo rejections: of the candidates named, else all.")
def command(select: tuple[str, ...], undo: bool) -> int:
    """Hide candidates N of an entry for good; without N, the picture in use of each selected entry. The next one is used.

    A rejected candidate is never bought and never used again, unless nothing else is left.

    \b
    Examples:
      qwenbuild reject heroes/knight 1 3
      qwenbuild reject 'heroes/*'
      qwenbuild reject --undo heroes/knight
    """
    words, numbers = _split(select)
    return show(choices.reject(opt.walk(), words, numbers, undo=undo), "no longer rejected" if undo else "rejected")


def _split(select: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """The words, and the numbers that follow one of them."""
    numbers = tuple(int(word) for word in select[1:] if word.isascii() and word.isdigit())
    if not numbers:
        return select, ()
    return select[: len(select) - len(numbers)], numbers
