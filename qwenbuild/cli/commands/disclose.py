"""`qwenbuild disclose`: the list of AI-made files that ship, from the lockfile alone.

Does not know how a list is written.
"""

from __future__ import annotations

import click

from qwenbuild.cli import console
from qwenbuild.cli import options as opt
from qwenbuild.cli.call import current
from qwenbuild.cli.group import Verb
from qwenbuild.later import later

with later:
    from qwenbuild import catalog as models
    from qwenbuild import manifest
    from qwenbuild.lock import lockfile
    from qwenbuild.report import disclosure


@click.command("disclose", cls=Verb)
@click.option("--format", "style", type=click.Choice(["md", "csv", "json"]), default="md", help="Format of the list.")
@opt.json_option
def command(style: str, as_json: bool) -> int:
    """List every file that a model made, with its model, licence, date and digest.

    Shop forms and the EU AI Act's article 50 ask which pictures were made by AI. Placeholders
    are not in the list. Neither manifest nor cache is read.

    \b
    Examples:
      qwenbuild disclose > AI-CONTENT.md
      qwenbuild disclose --format csv
    """
    call = current()
    lock = lockfile.read(lockfile.path_of(manifest.find(call.folder, call.file)))
    catalog = models.Catalog.load({})

    def licence(family: str, model: str) -> str:
        row = catalog.find(family, model, True) if catalog.families.recorded(family) else None
        return row.licence if row is not None else "not known"

    def generative(family: str) -> bool:
        family_row = catalog.families.recorded(family)
        return family_row is None or family_row.generative

    rows = disclosure.disclosed(lock.entries, lock.atlases, licence, generative)
    if as_json or style == "json":
        console.as_json(disclosure.as_json(rows))
    elif style == "csv":
        console.pieces([disclosure.as_csv(rows)])
    else:
        console.result(disclosure.as_markdown(rows))
    return 0
