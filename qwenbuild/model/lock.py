"""What a lockfile holds, as frozen values.

Knows only the standard library: no file, no clock, no network, and no rule about any of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

STRICT = {"extra": "forbid", "strict": True}
"""How the lockfile's reader checks these two; a plain mapping, so that nothing is imported for it."""


@dataclass(frozen=True, slots=True)
class LockOutput:
    """One file of a lock entry. No digest and no recipe: the file is the picture, byte for byte."""

    __pydantic_config__ = STRICT

    digest: str = ""
    recipe: str = ""
    orphan: bool = False


@dataclass(frozen=True, slots=True)
class LockEntry:
    """What the lockfile says of one entry: which picture it uses, which files it made, and what people chose.

    `accepted` maps a key to the key whose picture it keeps; `candidates` the other candidates' keys to digests.
    """

    __pydantic_config__ = STRICT

    key: str
    digest: str
    action: Mapping[str, Any]
    made: str = ""
    outputs: Mapping[str, LockOutput] = field(default_factory=dict)
    picked: str = ""
    approved: bool = False
    rejected: tuple[str, ...] = ()
    seeds: tuple[int, ...] = ()
    accepted: Mapping[str, str] = field(default_factory=dict)
    candidates: Mapping[str, str] = field(default_factory=dict)
    orphan: bool = False
    media_type: str = ""
    """Only where the picture is of another type than its Action's output format says."""
    note: str = ""
    """What somebody wrote to the entry; nothing is decided by it."""
    checks: Mapping[str, str] = field(default_factory=dict)
    """What the checks found of the picture in use: name to pass, warn or fail. Nothing is decided by it."""
    chosen: str = ""
    """By which rule the picture in use was chosen, `best` or `reroll`, where nobody picked it."""


@dataclass(frozen=True, slots=True)
class LockAtlas:
    """The files of one atlas: its sheets and their JSONs, all of one recipe."""

    __pydantic_config__ = STRICT

    outputs: Mapping[str, LockOutput] = field(default_factory=dict)
