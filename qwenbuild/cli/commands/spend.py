"""`qwenbuild spend`: the ledger, every attempt with what it cost.

Does not know where attempts are kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import click

from qwenbuild.cli import console
from qwenbuild.cli import options as opt
from qwenbuild.cli.call import current
from qwenbuild.cli.group import Verb
from qwenbuild.errors import NOT_FETCHED
from qwenbuild.later import later

with later:
    from qwenbuild import verbs
    from qwenbuild.report import escape, table, words


@click.command("spend", cls=Verb)
@opt.json_option
def command(as_json: bool) -> int:
    """List every attempt of this project with its provider's id, amount and outcome, and the total. Cache hits cost nothing.

    \b
    Examples:
      qwenbuild spend
      qwenbuild spend --json
    """
    ledger = verbs.spend(opt.walk())
    if as_json:
        attempts = [_plain(attempt) for attempt in ledger.attempts]
        console.as_json({"v": 1, "attempts": attempts, "total": words.price_json(ledger.total) or {}})
        return 0
    if ledger.attempts and not current().quiet:
        console.result(_table(ledger.attempts))
    spent = words.price_words(ledger.total) if any(ledger.total.values()) else "nothing"
    both = any(ledger.billed.values()) and any(ledger.estimated.values())
    parts = (
        f" ({words.price_words(ledger.billed)} as billed, {words.price_words(ledger.estimated)} by the price list)"
        if both
        else ""
    )
    console.result([f"{words.count(len(ledger.attempts), 'attempt')}, {spent} spent{parts}."])
    return 0


def _table(attempts: list[dict[str, Any]]) -> Any:
    head = ("sent (UTC)", "outcome", "price", "entry", "model", "provider's id")
    return table.table(head, [_row(attempt) for attempt in attempts], current().out(), frozenset({2}))


def _row(attempt: Mapping[str, Any]) -> tuple[str, ...]:
    def text(*names: str) -> str:
        value = next((attempt[name] for name in names if attempt.get(name)), "")
        return escape.visible(str(value))

    return (
        text("sent").replace("T", " ")[:19],
        NOT_FETCHED if attempt.get("outcome") == "ready" else text("outcome", "state"),
        _price(attempt),
        text("id", "key"),
        text("model"),
        text("task_id", "request_id"),
    )


def _price(attempt: Mapping[str, Any]) -> str:
    price = attempt.get("price")
    if price is None:
        return "unknown"
    amounts = {unit: Decimal(str(amount)) for unit, amount in price.items()}
    return words.price_words(amounts) if any(amounts.values()) else "0"


def _plain(attempt: Mapping[str, Any]) -> dict[str, Any]:
    """An attempt as JSON: decimals as their text."""

    def plain(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {str(key): plain(item) for key, item in value.items()}
        return str(value) if isinstance(value, Decimal) else value

    return {name: plain(value) for name, value in attempt.items()}
