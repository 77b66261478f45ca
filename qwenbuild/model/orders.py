"""What is ordered, what comes back, and what became of an entry, as frozen values.

Knows only the standard library: no file, no clock, no network, and no rule about any of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

from qwenbuild.model.actions import Action, ActionResult
from qwenbuild.model.money import Price


@dataclass(frozen=True, slots=True)
class Order:
    """What a provider is asked to draw once: the Action, its key, and this attempt's generation (from 0).

    `inputs` are the reference images' bytes in the Action's order, with their media types; `links` their addresses,
    where an API has to be given those.
    """

    action: Action
    key: str
    generation: int = 0
    inputs: tuple[tuple[bytes, str], ...] = ()
    links: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Ticket:
    """The provider's receipt for something accepted: where to ask, or the picture itself.

    `data` never reaches the journal: it becomes a blob first, and `digest` then names it.
    """

    provider: str
    base_url: str
    task_id: str = ""
    url: str = ""
    request_id: str = ""
    digest: str = ""
    data: bytes = field(default=b"", repr=False)
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Picture:
    """What `collect` brought: bytes exactly as received, checked in structure, and the provider's facts.

    `others` are further pictures of the same paid task; they are stored too.
    """

    data: bytes = field(repr=False)
    media_type: str
    width: int
    height: int
    task_id: str = ""
    request_id: str = ""
    actual_prompt: str = ""
    billed: Price | None = None
    others: tuple[bytes, ...] = field(default=(), repr=False)


class Failure(NamedTuple):
    """What a build could not do: the entry's id ("" for the whole build, `atlas:NAME` for a sheet), a code, a sentence."""

    entry: str
    code: str
    message: str


class OutcomeKind(StrEnum):
    """How a job ended."""

    DONE = "done"
    FAILED = "failed"
    REFUSED = "refused"
    DOUBT = "doubt"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one job ended. `how` of a Done one: generated, restored, resumed, recovered."""

    kind: OutcomeKind
    key: str
    result: ActionResult | None = None
    how: str = ""
    code: str = ""
    message: str = ""
    stop: str = ""
