"""What became of choices, a line an entry, as every choosing verb prints it.

Does not know the verbs.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from qwenbuild.cli import console
from qwenbuild.cli import show as shown
from qwenbuild.cli.call import current
from qwenbuild.later import later

with later:
    from qwenbuild.report import escape, words

if TYPE_CHECKING:
    from qwenbuild.verbs.choices import Choice

Decorated = TypeVar("Decorated", bound=Callable[..., Any])


def confirm_options(command: Decorated) -> Decorated:
    """`-y` and `-n` of a verb that shows first what it will do."""
    command = click.option("-n", "--dry-run", "dry", is_flag=True, help="Only show what it would do.")(command)
    return click.option("-y", "--yes", is_flag=True, help="Do it without asking.")(command)


def agreed(question: str, *, yes: bool) -> bool:
    """Whether to go on: a person at a terminal is asked, anybody else has seen what will be done and pays nothing for it."""
    if yes or not shown.may_ask(as_json=False):
        return True
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def show(choices: Sequence[Choice], done: str) -> int:
    """A line an entry, what it will cost where it does, and how many were `done`; nobody asks, for nothing is paid."""
    if not current().quiet:
        console.result(f"{escape.visible(choice.id)}: {escape.visible(choice.words)}{_price(choice)}" for choice in choices)
    if len(choices) != 1:
        console.result([f"{words.count(sum(choice.changed for choice in choices), 'entry', 'entries')} {done}."])
    return 0


def _price(choice: Choice) -> str:
    return "" if choice.price == {} else f" ({words.price_words(choice.price)} a picture)"
