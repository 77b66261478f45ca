"""The end of a run: what failed and why, and the last line that says what was done and what it cost.

Does not know the run, only its sums; the exit code is decided elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from qwenbuild.errors import Problem
from qwenbuild.model import Failure, Price
from qwenbuild.report.escape import visible
from qwenbuild.report.plan_text import wrapped
from qwenbuild.report.terminal import Terminal
from qwenbuild.report.words import count, duration, once, price_json, price_words

COUNTS = ("generated", "restored", "resumed", "derived", "fresh", "failed", "refused", "doubt", "skipped", "modified")
"""The counts of a summary, in the order they are printed."""
FAILURES = 20
"""So many failures are repeated at the end; the rest is counted."""

_WORDS = {"doubt": "in doubt", "modified": "modified by hand, left alone"}


class Sums(Protocol):
    """What a run hands back. `failures` are (entry id, code, message); `seconds` is the time it took."""

    @property
    def counts(self) -> Mapping[str, int]:
        """Entries by what was done."""
        ...

    @property
    def spent(self) -> Price:
        """What was paid, by unit."""
        ...

    @property
    def seconds(self) -> float:
        """How long it took."""
        ...

    @property
    def failures(self) -> Sequence[Failure]:
        """What went wrong."""
        ...


def summary_json(sums: Sums) -> dict[str, Any]:
    """The data of the `summary` event."""
    return {name: sums.counts.get(name, 0) for name in COUNTS} | {"spent": price_json(sums.spent) or {}}


def failure_lines(sums: Sums, terminal: Terminal, reported: frozenset[str] = frozenset()) -> Iterator[str]:
    """A line for each failure whose message was not `reported` before, one for those that share theirs; at most FAILURES."""
    by_words: dict[str, list[str]] = {}
    for identity, code, message in sums.failures:
        if message not in reported:
            by_words.setdefault(_failure_words(code, message), []).append(identity)
    for words, ids in list(by_words.items())[:FAILURES]:
        yield f"{_named(ids, terminal)}{words}"
    rest = sum(len(ids) for ids in list(by_words.values())[FAILURES:])
    if rest:
        yield f"… and {rest:,} more (`qwenbuild status` lists them)"


def failure_problems(sums: Sums) -> list[Problem]:
    """The failures as problems, for those who list them elsewhere."""
    return [
        Problem(code or "failed", f"{identity}: {_failure_words(code, message)}" if identity else _failure_words(code, message))
        for identity, code, message in sums.failures
    ]


def _failure_words(code: str, message: str) -> str:
    if code == "expect":
        return f"failed its check: {visible(message)}"
    coded = f"{visible(code)}: " if code and not message.startswith((code, "refused")) else ""
    return once(coded + visible(message))


def _named(ids: list[str], terminal: Terminal) -> str:
    """Whom a failure concerns: up to three ids, then how many more."""
    named = [visible(identity) for identity in ids if identity]
    if not named:
        return ""
    more = f" and {len(named) - 3:,} more" if len(named) > 3 else ""
    return terminal.style(", ".join(named[:3]) + more, "red") + ": "


def _counted(name: str, sums: Sums) -> list[str]:
    """A count in words; of what failed, those whose picture is there and fails its check on their own."""
    number = sums.counts[name]
    if name != "failed":
        return [f"{number:,} {_WORDS.get(name, name)}"]
    checks = min(number, len({identity for identity, code, _ in sums.failures if code == "expect"}))
    others = [f"{number - checks:,} failed"] if number > checks else []
    return [*others, *([f"{checks:,} failed {'its' if checks == 1 else 'their'} check"] if checks else [])]


def summary_lines(sums: Sums, terminal: Terminal) -> Iterator[str]:
    """The last line, wrapped where it is too long."""
    if not any(sums.counts.get(name, 0) for name in COUNTS if name != "fresh"):
        fresh = count(sums.counts.get("fresh", 0), "entry is", "entries are")
        yield terminal.style(f"Nothing to do: {fresh} fresh ({duration(sums.seconds)}).", "bold")
        return
    parts = [part for name in COUNTS if sums.counts.get(name, 0) for part in _counted(name, sums)]
    parts += [f"spent {price_words(sums.spent)}" if any(sums.spent.values()) else "nothing spent", duration(sums.seconds)]
    whole = not any(sums.counts.get(name, 0) for name in ("failed", "refused", "doubt", "skipped"))
    yield from wrapped("Done: " if whole else "Incomplete: ", parts, terminal)
