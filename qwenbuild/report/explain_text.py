"""An entry's explanation as text: its Action field by field, its key, and what differs from the lockfile.

Does not know how keys are made; it is handed the same fields that made them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from qwenbuild.model import ActionResult, OutputPlan, Reason
from qwenbuild.report.escape import visible
from qwenbuild.report.plan_json import reason_json
from qwenbuild.report.terminal import Terminal, pad, wrap
from qwenbuild.report.words import reason_words, value_words

INDENT = 16
"""So that a digest of 64 digits fits into 80 columns."""


class Explained(Protocol):
    """What `explain` shows. `action` and `lock` are JSON objects; `facts` is whatever else is known of the entry."""

    @property
    def id(self) -> str:
        """The entry."""
        ...

    @property
    def action(self) -> Mapping[str, Any]:
        """Everything that determines the picture."""
        ...

    @property
    def key(self) -> str:
        """The Action's key."""
        ...

    @property
    def lock(self) -> Mapping[str, Any] | None:
        """The lock entry, None when there is none."""
        ...

    @property
    def reasons(self) -> Sequence[Reason]:
        """What the plan says of it."""
        ...

    @property
    def outputs(self) -> Sequence[OutputPlan]:
        """Its files."""
        ...

    @property
    def facts(self) -> Mapping[str, Any]:
        """Further facts by name, for people."""
        ...


def picture_facts(result: ActionResult) -> dict[str, Any]:
    """What the receipt says of the picture in use."""
    facts = {
        "picture": result.digest,
        "made": result.made,
        "provider": result.provider,
        "task": result.task_id,
        "rewritten": result.actual_prompt,
        "pixels": f"{result.width}*{result.height}",
        "marks": result.marks,
    }
    return {name: value for name, value in facts.items() if value}


def explain_json(explained: Explained) -> dict[str, Any]:
    """The object of `explain --json`."""
    return {
        "v": 1,
        "id": explained.id,
        "action": dict(explained.action),
        "key": explained.key,
        "lock": None if explained.lock is None else dict(explained.lock),
        "reasons": [reason_json(reason) for reason in explained.reasons],
        "outputs": [{"path": output.spec.path, "verdict": output.verdict.value} for output in explained.outputs],
    }


def explain_lines(explained: Explained, terminal: Terminal) -> Iterator[str]:
    """The explanation for a person: Action, key, lockfile, reasons, files."""
    yield terminal.style(visible(explained.id), "bold")
    yield from _field("key", explained.key or "not known before its input is made", terminal)
    locked = (explained.lock or {}).get("action") or {}
    for name, value in explained.action.items():
        yield from _compared(name, value, locked, terminal)
    for name in locked.keys() - explained.action.keys():
        yield from _compared(name, None, locked, terminal)
    yield from _field("lockfile", _lock_words(explained), terminal)
    for output in explained.outputs:
        yield from _field(
            "file", f"{output.spec.path}: {output.verdict.value}{output.reason and f' ({output.reason})'}", terminal
        )
    for reason in explained.reasons:
        yield from _field("why", reason_words(reason, 1000), terminal, "yellow")
    for name, value in explained.facts.items():
        yield from _field(name, value_words(value), terminal)


def _lock_words(explained: Explained) -> str:
    if explained.lock is None:
        return "has no such entry"
    if explained.lock.get("key") == explained.key:
        return "has this key"
    return f"has another key: {explained.lock.get('key', '?')}"


def _compared(name: str, value: Any, locked: Mapping[str, Any], terminal: Terminal) -> Iterator[str]:
    yield from _field(name, value_words(value), terminal)
    old = locked.get(name)
    if locked and name in locked and old != value:
        yield from _field("", f"was: {value_words(old)}", terminal, "yellow")


def _field(name: str, text: str, terminal: Terminal, *roles: str) -> Iterator[str]:
    """A name and its value, wrapped at the width."""
    lines = wrap(visible(text), terminal.width - INDENT)
    yield f"{terminal.style(pad(visible(name), INDENT), 'dim')}{terminal.style(lines[0], *roles)}"
    for line in lines[1:]:
        yield " " * INDENT + terminal.style(line, *roles)
