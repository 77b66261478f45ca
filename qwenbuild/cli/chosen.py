"""What became of choices, a line an entry, as every choosing verb prints it.

Does not know the verbs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from qwenbuild.cli import say
from qwenbuild.cli.call import current

if TYPE_CHECKING:
    from qwenbuild.build.choices import Choice


def show(choices: Sequence[Choice], done: str) -> int:
    """A line an entry, what it will cost where it does, and how many were `done`; nobody asks, for nothing is paid."""
    from qwenbuild.report.escape import visible
    from qwenbuild.report.words import count

    if not current().quiet:
        say.result(f"{visible(choice.id)}: {visible(choice.words)}{_price(choice)}" for choice in choices)
    if len(choices) != 1:
        say.result([f"{count(sum(choice.changed for choice in choices), 'entry', 'entries')} {done}."])
    return 0


def _price(choice: Choice) -> str:
    from qwenbuild.report.words import price_words

    return "" if choice.price == {} else f" ({price_words(choice.price)} a picture)"
