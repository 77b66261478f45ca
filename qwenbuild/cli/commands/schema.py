"""`qwenbuild schema`: the manifest's JSON Schema, for editors.

Does not know the grammar.
"""

from __future__ import annotations

import click

from qwenbuild.cli import console
from qwenbuild.cli.group import Verb
from qwenbuild.later import later

with later:
    from qwenbuild.manifest import editor_schema, grammar


@click.command("schema", cls=Verb)
def command() -> int:
    """Print the JSON Schema (draft 2020-12) of a manifest, version 1, with what installed plug-ins add.

    \b
    Examples:
      qwenbuild schema > manifest.v1.schema.json
    """
    console.pieces([editor_schema.schema_text(grammar.all_types())])
    return 0
