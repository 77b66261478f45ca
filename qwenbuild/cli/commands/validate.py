"""`qwenbuild validate`: manifest, templates, paths and provider parameters, offline.

Does not know the rules it checks.
"""

from __future__ import annotations

import click

from qwenbuild.cli import console
from qwenbuild.cli import options as opt
from qwenbuild.cli.exits import problem_json
from qwenbuild.cli.group import Verb
from qwenbuild.errors import InputError
from qwenbuild.later import later

with later:
    from qwenbuild import verbs
    from qwenbuild.report import words


@click.command("validate", cls=Verb)
@opt.strict_option
@opt.json_option
def command(strict: bool, as_json: bool) -> int:
    """Check the manifest, its templates, paths and provider parameters. Offline; exit 2 when something is wrong.

    \b
    Examples:
      qwenbuild validate
      qwenbuild validate --strict --json
    """
    try:
        loaded = verbs.load(opt.walk(strict=strict))
    except InputError as error:
        if not as_json:
            raise
        console.as_json({"v": 1, "entries": 0, "errors": [problem_json(problem) for problem in error.problems]})
        return error.exit_code
    console.notices(loaded.notices)
    if as_json:
        console.as_json({"v": 1, "entries": len(loaded.entries), "errors": []})
    else:
        console.result([f"{loaded.manifest.file}: {words.count(len(loaded.entries), 'entry', 'entries')}, no errors."])
    return 0
