"""`qwenbuild migrate`: put another model in the place of one, in the manifest's own lines.

Does not know where a manifest names models.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from qwenbuild.cli import console, show
from qwenbuild.cli import options as opt
from qwenbuild.cli.exits import problem_json
from qwenbuild.cli.group import Verb
from qwenbuild.later import later

with later:
    from qwenbuild import verbs
    from qwenbuild.report import escape, plan_json

if TYPE_CHECKING:
    from qwenbuild.verbs.migration import Migration


class ModelPair(click.ParamType[tuple[str, str]]):
    """`OLD=NEW`: two models."""

    name = "OLD=NEW"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        """Read one pair."""
        if isinstance(value, tuple):
            return value
        old, equals, new = (part.strip() for part in str(value).partition("="))
        if not (old and equals and new) or old == new:
            self.fail(f"{value!r} is not two models such as qwen-image-max=qwen-image-2.0.", param, ctx)
        return old, new


@click.command("migrate", cls=Verb)
@click.option(
    "--model", "models", type=ModelPair(), metavar="OLD=NEW", multiple=True, required=True, help="Use NEW for OLD; repeatable."
)
@click.option("-n", "--dry-run", "dry", is_flag=True, help="Show what would change; write nothing.")
@opt.json_option
def command(models: tuple[tuple[str, str], ...], dry: bool, as_json: bool) -> int:
    """Replace a model with another in the manifest, and show what a build would then generate and cost. Pays nothing.

    Only the models' names are changed: comments, order and spelling of everything else stay as they are.

    \b
    Examples:
      qwenbuild migrate --model qwen-image-max=qwen-image-2.0 -n
      qwenbuild migrate --model qwen-image-max=qwen-image-2.0
    """
    options = opt.walk()
    done: Migration = verbs.migrate(options, dict(models), dry=dry)
    if as_json:
        console.as_json(_json(done))
        return 0
    console.result(_lines(done))
    console.notices(done.by_hand)
    return show.plan(done.planned, options, as_json=False, check=False)


def _lines(done: Migration) -> Iterator[str]:
    if not done.lines:
        yield f"{escape.visible(done.file)}: no line names a model that is to be replaced."
    for line in done.lines:
        yield f"{escape.visible(done.file)}:{line.line}"
        yield from (f"  - {escape.visible(line.before)}",) if line.before else ()
        yield f"  + {escape.visible(line.after)}"
    if done.lines and not done.written:
        yield "Nothing was written."
    yield ""


def _json(done: Migration) -> dict[str, Any]:
    return {
        "v": 1,
        "file": done.file,
        "lines": [{"line": line.line, "before": line.before, "after": line.after} for line in done.lines],
        "by_hand": [problem_json(problem) for problem in done.by_hand],
        "written": done.written,
        "summary": plan_json.summary_json(done.planned.plan),
    }
