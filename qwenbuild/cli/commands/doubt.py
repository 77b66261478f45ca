"""`qwenbuild doubt`: requests that left this machine without an answer, and what a person decides about them.

Does not know how a doubt arises.
"""

from __future__ import annotations

from typing import Any

import click

from qwenbuild.cli import console
from qwenbuild.cli import options as opt
from qwenbuild.cli.call import current
from qwenbuild.cli.completion import entries
from qwenbuild.cli.group import Group
from qwenbuild.later import later

with later:
    from qwenbuild import verbs
    from qwenbuild.report import escape, table, words

command = Group(
    "doubt",
    help="""Settle requests that left this machine and whose answer was never stored: you may have been charged for them.

    Nothing is sent again automatically. Look into the provider's console, then settle each request.
    """,
)


@command.command("list", short_help="List everything in doubt.")
@opt.json_option
def listing(as_json: bool) -> int:
    """List everything in doubt.

    \b
    Examples:
      qwenbuild doubt list
      qwenbuild doubt list --json
    """
    doubts = list(verbs.doubts(opt.walk()))
    if as_json:
        console.as_json({"v": 1, "doubts": [_json(doubt) for doubt in doubts]})
        return 0
    if doubts and not current().quiet:
        console.result(_table(doubts))
    console.result([f"{words.count(len(doubts), 'request')} in doubt." if doubts else "Nothing is in doubt."])
    if doubts:
        console.message("settle with: qwenbuild doubt claim ID --task TASK | retry ID (may pay again) | drop ID")
    return 0


@command.command("claim", short_help="It was made: collect this task's picture.")
@click.argument("ids", nargs=-1, required=True, metavar="ENTRY...", shell_complete=entries)
@click.option("--task", metavar="TASK", help="The task's id in the provider's console.")
def claim(ids: tuple[str, ...], task: str | None) -> int:
    """Name the task found in the provider's console; the next build collects its picture.

    \b
    Examples:
      qwenbuild doubt claim heroes/cat --task 0385dc79-5ff8-4d82-bcb6
    """
    return _settled("claim", ids, task)


@command.command("retry", short_help="Send it again; you may pay twice.")
@click.argument("ids", nargs=-1, required=True, metavar="ENTRY...", shell_complete=entries)
def retry(ids: tuple[str, ...]) -> int:
    """Let the next build send it again. You may pay for it twice.

    \b
    Examples:
      qwenbuild doubt retry heroes/cat
    """
    return _settled("retry", ids, None)


@command.command("drop", short_help="Forget it.")
@click.argument("ids", nargs=-1, required=True, metavar="ENTRY...", shell_complete=entries)
def drop(ids: tuple[str, ...]) -> int:
    """Forget the request: it was not charged, or its picture is not wanted.

    \b
    Examples:
      qwenbuild doubt drop heroes/cat
    """
    return _settled("drop", ids, None)


def _settled(verb: str, ids: tuple[str, ...], task: str | None) -> int:
    verbs.resolve_doubt(opt.walk(), verb, ids, task)
    done = {"claim": "claimed; the next build collects it", "retry": "the next build sends it again", "drop": "dropped"}
    for identity in ids:
        console.message(f"{identity}: {done[verb]}")
    return 0


_FIELDS = ("id", "key", "provider", "model", "sent", "attempt")


def _said(doubt: Any, name: str) -> Any:
    return doubt.get(name) if isinstance(doubt, dict) else getattr(doubt, name, None)


def _json(doubt: Any) -> dict[str, Any]:
    return {name: _said(doubt, name) for name in _FIELDS}


def _cell(value: Any) -> str:
    return "" if value is None else escape.visible(str(value))


def _table(doubts: list[Any]) -> Any:
    columns = ("id", "seed", "sent", "provider", "model", "attempt")
    rows = [[_cell(_said(doubt, name)) for name in columns] for doubt in doubts]
    return table.table(("entry", *columns[1:]), rows, current().out())
