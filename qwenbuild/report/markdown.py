"""A plan as Markdown for a pull request: what a build would make, why, and what it would cost.

Does not know the terminal; all foreign text is nothing but text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from qwenbuild.model import Plan, Step, Verdict
from qwenbuild.report.escape import visible
from qwenbuild.report.words import count, price_words, reason_words

ROWS = 100
"""Entries that a table holds; a comment has room for about 65,000 characters."""
_MARKUP = re.compile(r"([\\`*_{}\[\]()#+!|~@:-])")
_WORDS = {
    Verdict.GENERATE: "to buy",
    Verdict.DOUBT: "in doubt",
    Verdict.FAILED: "failed its check",
    Verdict.RECOVER: "to recover",
    Verdict.RESUME: "under way",
    Verdict.DERIVE: "files to make",
    Verdict.RESTORE: "files to restore",
    Verdict.MODIFIED: "changed by hand",
}


def plain(text: str) -> str:
    """Foreign text that is nothing but text in Markdown: no markup, no table cell, no mention, no link."""
    escaped = visible(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _MARKUP.sub(r"\\\1", escaped)


def plan_lines(plan: Plan) -> Iterator[str]:
    """A heading with the price, and a table with a row for each entry that is not up to date."""
    busy = [step for step in plan.busy if step.verdict is not Verdict.FRESH]
    pictures = sum(one.verdict is Verdict.GENERATE for step in busy for one in step.candidates)
    known = price_words(plan.cost) if plan.cost or not plan.unknown_price else ""
    unknown = f"{count(plan.unknown_price, 'picture')} at an unknown price" if plan.unknown_price else ""
    price = " + ".join(part for part in (known, unknown) if part)
    yield f"### Plan: {count(pictures, 'picture')} to buy, {price}" if pictures else "### Plan: nothing to buy"
    yield ""
    if not busy:
        yield "Everything is up to date."
        return
    yield "| entry | verdict | why | price |"
    yield "|---|---|---|---|"
    yield from (_row(step) for step in busy[:ROWS])
    if len(busy) > ROWS:
        yield ""
        yield f"and {len(busy) - ROWS:,} more"


def _row(step: Step) -> str:
    why = "<br>".join(plain(reason_words(reason)) for reason in step.reasons[:3])
    new = sum(one.verdict is Verdict.GENERATE for one in step.candidates)
    each = price_words(step.keyed.price)
    price = "" if not new else each if new == 1 else f"{new} × {each}"
    return f"| {plain(step.id)} | {_WORDS.get(step.verdict, step.verdict.value)} | {why} | {plain(price)} |"
