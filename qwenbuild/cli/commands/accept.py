"""`qwenbuild accept`: an edit was cosmetic; the pictures stay, under their new keys.

Does not know keys.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from qwenbuild.cli import console
from qwenbuild.cli import options as opt
from qwenbuild.cli.call import current
from qwenbuild.cli.choices import agreed, confirm_options
from qwenbuild.cli.completion import selectors
from qwenbuild.cli.group import Verb
from qwenbuild.later import later

with later:
    from qwenbuild.report import escape, words
    from qwenbuild.verbs import adopt

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from qwenbuild.verbs.adopt import Acceptance


@click.command("accept", cls=Verb)
@click.argument("select", nargs=-1, required=True, metavar="ENTRY...", shell_complete=selectors)
@confirm_options
def command(select: tuple[str, ...], yes: bool, dry: bool) -> int:
    """Keep the pictures of entries after a cosmetic edit to their prompt, seed or size. Costs nothing.

    Shows each edit, old → new, and asks at a terminal. The lockfile then names the old picture under the new key.

    \b
    Examples:
      qwenbuild accept -n 'potions/*'
      qwenbuild accept potions/red-small
    """
    options = opt.walk()
    acceptances = adopt.accept(options, select, dry=True)
    number = sum(bool(item.fields) for item in acceptances)
    console.result(_lines(acceptances))
    if number and not dry:
        if not agreed("Keep these pictures?", yes=yes):
            return 4
        adopt.accept(options, select)
    console.result([f"{words.count(number, 'entry', 'entries')} {'would be ' if dry else ''}accepted."])
    return 0


def _lines(acceptances: Sequence[Acceptance]) -> Iterator[str]:
    width = current().out().width - 12
    for item in acceptances:
        if not item.fields:
            yield f"{escape.visible(item.id)}: {item.words}"
            continue
        saved = f"; otherwise {words.price_words(item.price)} a picture" if item.price != {} else ""
        yield f"{escape.visible(item.id)} keeps {item.digest[:12]}{saved}"
        yield from (f"    {escape.visible(name)}: {words.change_words(old, new, width)}" for name, old, new in item.fields)
