"""`qwenbuild explain`: the Action, the key, and what changed against the lockfile.

Does not know how keys are made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from qwenbuild.cli import console
from qwenbuild.cli import options as opt
from qwenbuild.cli.call import current
from qwenbuild.cli.completion import entries
from qwenbuild.cli.group import Verb
from qwenbuild.later import later

with later:
    from qwenbuild import verbs
    from qwenbuild.cli import explanation
    from qwenbuild.report import explain_text

if TYPE_CHECKING:
    from qwenbuild.report.explain_text import Explained


@click.command("explain", cls=Verb)
@click.argument("entry", metavar="ENTRY", shell_complete=entries)
@opt.json_option
def command(entry: str, as_json: bool) -> int:
    """Show everything that determines ENTRY's picture, its key, and what changed against the lockfile.

    \b
    Examples:
      qwenbuild explain potions/red-small
      qwenbuild explain potions/red-small --json
    """
    explained = explanation.explain(entry) or _walked(entry)
    if as_json:
        console.as_json(explain_text.explain_json(explained))
    else:
        console.result(explain_text.explain_lines(explained, current().out()))
    return 0


def _walked(entry: str) -> Explained:
    return verbs.explain(opt.walk(), entry)
