"""The decision, as frozen values: a step for every entry with its verdict, reasons and price.

Knows only the standard library: no file, no clock, no network, and no rule about any of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Any

from qwenbuild.errors import Problem
from qwenbuild.model.actions import Candidate, Keyed, OutputSpec
from qwenbuild.model.money import Price


class Verdict(StrEnum):
    """What will happen to a picture or a file. Costliest first: an entry shows the first that any part of it has."""

    GENERATE = "generate"  # a picture is bought
    DOUBT = "doubt"  # an intent that nobody can settle; a person decides
    REFUSED = "refused"  # the provider refused this very key
    FAILED = "failed"  # the picture is there, and fails its checks (`expect`)
    RECOVER = "recover"  # an intent without a ticket that the provider can settle
    RESUME = "resume"  # a live ticket, or another build on this machine makes it right now
    DERIVE = "derive"  # a file is made from the picture
    RESTORE = "restore"  # the bytes are known and at hand
    MODIFIED = "modified"  # a person's work; left alone
    ORPHAN = "orphan"  # nobody wants it any more
    FRESH = "fresh"  # nothing to do


@dataclass(frozen=True, slots=True)
class Reason:
    """Why. `code`: new, changed, lost, forced, caused-by, moved, table-moved, held, file, pointer, refused, failed, doubt,
    limit; and what a person has still to choose: unpicked, pick-void (`old` and `new` are both pictures), rejected (every
    candidate is).
    """

    code: str
    field: str = ""
    old: Any = None
    new: Any = None


@dataclass(frozen=True, slots=True)
class CandidatePlan:
    """The verdict for one candidate. `digest` is the picture to use, "" while there is none."""

    candidate: Candidate
    verdict: Verdict
    digest: str
    price: Price | None
    media_type: str = "image/png"


@dataclass(frozen=True, slots=True)
class OutputPlan:
    """The verdict for one file. `recipe` is "" for the picture itself; `digest` "" while unknown."""

    spec: OutputSpec
    verdict: Verdict
    digest: str
    recipe: str
    source: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """One entry's part of the plan. `used` indexes the candidate whose picture the outputs are made from; `further` are the
    pictures that this build may buy beyond it, one after the other, where they are not as expected.
    """

    keyed: Keyed
    verdict: Verdict
    reasons: tuple[Reason, ...]
    candidates: tuple[CandidatePlan, ...]
    outputs: tuple[OutputPlan, ...]
    used: int = 0
    held: bool = False
    moved_from: str = ""
    approved: bool = False
    further: int = 0

    @property
    def id(self) -> str:
        """The entry's id."""
        return self.keyed.entry.id

    def name_of(self, candidate: Candidate) -> str:
        """By what one of its pictures is known while the plan is carried out: its key, or the seed while there is none."""
        return candidate.key or f"entry:{self.id}:{candidate.seed}"


@dataclass(frozen=True, slots=True)
class Orphan:
    """A lock entry, or one path of it, that the manifest no longer wants. `removable`: unmodified, bytes in the vault."""

    id: str
    path: str
    digest: str
    removable: bool
    present: bool


@dataclass(frozen=True, slots=True)
class AtlasPlan:
    """What will happen to one atlas. `members` are (entry id, path of the file); `recipe` is "" while a member is unknown.

    `outputs` are the files known so far; `reason` says why it is not fresh; `modified` are files that a person changed,
    `pointers` git-LFS pointers to the sheets that the lockfile names.
    """

    name: str
    verdict: Verdict
    members: tuple[tuple[str, str], ...] = ()
    recipe: str = ""
    outputs: tuple[str, ...] = ()
    reason: str = ""
    modified: tuple[str, ...] = ()
    pointers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """The decision as a value: what the walk will do, why, and what it costs. Prices by unit; `seconds` is an estimate.

    `looked_at` are the steps that may be anything but fresh, where the others are only made when somebody asks for them.
    `allowed` are the pictures that may be bought, by their names in their steps (None: all); the rest is for later builds.
    `further_cost` is what comes to the cost where every check fails that may.
    """

    steps: Sequence[Step]
    orphans: tuple[Orphan, ...] = ()
    notices: tuple[Problem, ...] = ()
    cost: Price = field(default_factory=dict)
    unknown_price: int = 0
    seconds: float = 0.0
    counts: Mapping[str, int] = field(default_factory=dict)
    unexplained: int = 0
    atlases: tuple[AtlasPlan, ...] = ()
    looked_at: Sequence[Step] | None = None
    allowed: frozenset[str] | None = None
    further_cost: Price = field(default_factory=dict)

    @property
    def most(self) -> Price:
        """What the build costs at the most: with every picture that checks may ask for again."""
        units = {**self.cost, **self.further_cost}
        return {unit: self.cost.get(unit, Decimal(0)) + self.further_cost.get(unit, Decimal(0)) for unit in units}

    @property
    def busy(self) -> Sequence[Step]:
        """The steps among which everything that is not fresh is: whoever acts on a plan needs no others made."""
        return self.steps if self.looked_at is None else self.looked_at
