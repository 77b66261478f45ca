"""`qwenbuild validate`: manifest, templates, paths and provider parameters, offline.

Does not know the rules it checks.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

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
    from qwenbuild.verbs import suggestions


@click.command("validate", cls=Verb)
@opt.strict_option
@click.option("--suggest", is_flag=True, help="Offer the words in quotation marks in prompts as `expect: {text: …}`.")
@opt.json_option
def command(strict: bool, suggest: bool, as_json: bool) -> int:
    """Check the manifest, its templates, paths and provider parameters. Offline; exit 2 when something is wrong.

    \b
    Examples:
      qwenbuild validate
      qwenbuild validate --strict --json
      qwenbuild validate --suggest
    """
    try:
        loaded = verbs.load(opt.walk(strict=strict))
    except InputError as error:
        if not as_json:
            raise
        console.failures(error.problems)
        console.as_json({"v": 1, "entries": 0, "errors": [problem_json(problem) for problem in error.problems]})
        return error.exit_code
    console.notices(loaded.notices)
    offers = list(suggestions.suggestions(loaded)) if suggest else []
    more = {"suggestions": [{"asset": one.asset, "text": list(one.words)} for one in offers]} if suggest else {}
    if as_json:
        console.as_json({"v": 1, "entries": len(loaded.entries), "errors": [], **more})
    else:
        console.result([f"{loaded.manifest.file}: {words.count(len(loaded.entries), 'entry', 'entries')}, no errors."])
        console.result(f"  {one.asset}: expect: {{text: {_yaml(one.words)}}}" for one in offers)
    return 0


def _yaml(words: Sequence[str]) -> str:
    """The words as a manifest has them."""
    quoted = [json.dumps(word, ensure_ascii=False) for word in words]
    return quoted[0] if len(quoted) == 1 else f"[{', '.join(quoted)}]"
