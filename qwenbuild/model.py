"""The nouns of the walk as frozen values: manifest, entry, action, result, plan, outcome.

Knows only the standard library: no file, no clock, no network, and no rule about any of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Any

from qwenbuild.errors import Mark, Problem

Price = Mapping[str, Decimal]
"""Unit (`usd`, `apiframe`, `qwen2512`) to amount. `{}` is free; an unknown price is None, never `{}`."""


# ---------------------------------------------------------------- manifest


@dataclass(frozen=True, slots=True)
class Limits:
    """A provider's pace: submissions a second, jobs in flight from submit to their end, seconds that one job may take."""

    rps: float
    concurrency: int
    timeout: float = 300.0


@dataclass(frozen=True, slots=True)
class ProviderSettings:
    """One block under `providers:`, or a built-in type by its name. None means: not said in the manifest."""

    name: str
    type: str
    region: str = "singapore"
    mode: str = "auto"
    model: str | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    api_key_env: str | None = None
    rps: float | None = None
    concurrency: int | None = None
    timeout: float = 300.0
    webhook: str | None = None
    base_url: str | None = None
    dialect: str = "docs"
    weights: str | None = None
    allow_unknown_model: bool = False
    allow_unlisted_size: bool = False


@dataclass(frozen=True, slots=True)
class Asset:
    """One block under `assets:`, validated, with templates still in it. None means: not said.

    `matrix` keeps the order written; `foreach` is a path or a list of rows; `outputs` are raw mappings.
    """

    name: str
    prompt: str | None = None
    prompt_file: str | None = None
    matrix: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    include: tuple[Mapping[str, Any], ...] = ()
    exclude: tuple[Mapping[str, Any], ...] = ()
    foreach: str | tuple[Mapping[str, Any], ...] | None = None
    provider: str | None = None
    model: str | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    vars: Mapping[str, Any] = field(default_factory=dict)
    seed: Any = None
    variants: Any = None
    inputs: tuple[Any, ...] | None = None
    id: str | None = None
    output: str | None = None
    steps: tuple[Any, ...] | None = None
    outputs: tuple[Mapping[str, Any], ...] | None = None
    expect: Mapping[str, Any] | None = None
    tags: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Atlas:
    """One block under `atlases:`; `options` are the packer's settings as written."""

    name: str
    select: str
    source: str | None
    output: str
    options: Mapping[str, Any] = field(default_factory=dict)


class Source:
    """Where each place of the manifest was written. The loader's subclass knows; this one knows nothing."""

    def at(self, path: tuple[str | int, ...]) -> Mark | None:
        """The mark of the value at `path`, or of its nearest ancestor that was written."""
        return None

    def problem(
        self, code: str, message: str, path: tuple[str | int, ...], *, hint: str = "", line: int = 0, column: int = 0
    ) -> Problem:
        """A Problem at `path`; `line`/`column` (from 1) point inside a template that stands there as a scalar."""
        return Problem(code, message, self.at(path), ".".join(str(part) for part in path), hint=hint)


@dataclass(frozen=True, slots=True)
class Manifest:
    """The user's YAML, parsed and validated; `defaults` is an Asset named "" whose fields apply to every asset."""

    file: str
    folder: Path
    output: str = "assets"
    provider: str = "placeholder"
    templates: str = "prompts"
    providers: Mapping[str, ProviderSettings] = field(default_factory=dict)
    models: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    vars: Mapping[str, Any] = field(default_factory=dict)
    defaults: Asset = field(default_factory=lambda: Asset(""))
    budget: Mapping[str, Decimal] = field(default_factory=dict)
    provenance: str = "off"
    remote: str | None = None
    trust: str = "lockfile"
    claims: bool = False
    remote_derived: bool = False
    assets: tuple[Asset, ...] = ()
    atlases: tuple[Atlas, ...] = ()
    source: Source = field(default_factory=Source, compare=False)
    warnings: tuple[Problem, ...] = ()


# ---------------------------------------------------------------- entries and actions


@dataclass(frozen=True, slots=True)
class ImageStep:
    """One step of a derived file: its kind and its arguments with every default made explicit."""

    kind: str
    args: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class OutputSpec:
    """One file the user wants from the picture. `path` is relative to the output root, POSIX, NFC.

    `item` counts the items of `outputs` from 0: which of them the file comes from.
    """

    path: str
    steps: tuple[ImageStep, ...] = ()
    name: str | None = None
    expect: Mapping[str, Any] | None = None
    item: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class InputRef:
    """A reference image: a file (with the digest, number and type of its bytes) or another entry's picture."""

    file: str | None = None
    digest: str | None = None
    entry: str | None = None
    size: int = field(default=0, compare=False)
    media_type: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Entry:
    """One expanded asset, its templates rendered. `params` holds only what the manifest said, typed."""

    id: str
    asset: str
    provider: str
    model: str | None
    prompt: str
    params: Mapping[str, Any]
    seed: int
    outputs: tuple[OutputSpec, ...]
    variants: int = 1
    inputs: tuple[InputRef, ...] = ()
    expect: Mapping[str, Any] | None = None
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Action:
    """Everything that determines one picture. Field by field it is the key table of docs/keys.md.

    `size` is `W*H` in pixels, or a ratio where the API has only ratios; `inputs` are digests in order;
    `extra` are the family's other drawing parameters, sorted by name, decimals as their shortest string.
    """

    family: str
    model: str
    prompt: str
    size: str
    seed: int
    negative_prompt: str = ""
    prompt_extend: bool = False
    watermark: bool = False
    output_format: str = "png"
    weights: str = ""
    inputs: tuple[str, ...] = ()
    extra: tuple[tuple[str, str | int | bool], ...] = ()


@dataclass(frozen=True, slots=True)
class Candidate:
    """One picture an entry could use. `key` is "" while an input entry's digest is not known yet."""

    seed: int
    action: Action
    key: str


@dataclass(frozen=True, slots=True)
class Keyed:
    """An entry with its candidates and what the catalog says of them. `price` is for one picture."""

    entry: Entry
    candidates: tuple[Candidate, ...]
    price: Price | None
    seconds: float = 15.0
    rps: float = 0.0
    in_flight: int = 0
    earlier: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    """Field to the values an older model table would have given for the same request."""


@dataclass(frozen=True, slots=True)
class ActionResult:
    """What an Action gave. `digest` names the blob, `size` is in bytes, `made` is a day (ISO), prices are as billed or None."""

    key: str
    digest: str
    media_type: str
    width: int
    height: int
    size: int
    made: str
    provider: str = ""
    task_id: str = ""
    request_id: str = ""
    actual_prompt: str = ""
    billed: Price | None = None
    attempt: str = ""
    action: Mapping[str, Any] = field(default_factory=dict)
    marks: tuple[str, ...] = ()
    """What the picture says of its origin, a line each: the kind (c2pa, aigc, source-type, xmp, text), where, what."""


# ---------------------------------------------------------------- lockfile

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


@dataclass(frozen=True, slots=True)
class LockAtlas:
    """The files of one atlas: its sheets and their JSONs, all of one recipe."""

    __pydantic_config__ = STRICT

    outputs: Mapping[str, LockOutput] = field(default_factory=dict)


# ---------------------------------------------------------------- plan


class Verdict(StrEnum):
    """What will happen to a picture or a file. Costliest first: an entry shows the first that any part of it has."""

    GENERATE = "generate"  # a picture is bought
    DOUBT = "doubt"  # an intent that nobody can settle; a person decides
    REFUSED = "refused"  # the provider refused this very key, or its picture fails `expect`
    RECOVER = "recover"  # an intent without a ticket that the provider can settle
    RESUME = "resume"  # a live ticket, or another build on this machine makes it right now
    DERIVE = "derive"  # a file is made from the picture
    RESTORE = "restore"  # the bytes are known and at hand
    MODIFIED = "modified"  # a person's work; left alone
    ORPHAN = "orphan"  # nobody wants it any more
    FRESH = "fresh"  # nothing to do


@dataclass(frozen=True, slots=True)
class Reason:
    """Why. `code`: new, changed, lost, forced, caused-by, moved, table-moved, held, file, refused, doubt; and what a person
    has still to choose: unpicked, pick-void (`old` and `new` are both pictures), rejected (every candidate is).
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
    """One entry's part of the plan. `used` indexes the candidate whose picture the outputs are made from."""

    keyed: Keyed
    verdict: Verdict
    reasons: tuple[Reason, ...]
    candidates: tuple[CandidatePlan, ...]
    outputs: tuple[OutputPlan, ...]
    used: int = 0
    held: bool = False
    moved_from: str = ""
    approved: bool = False

    @property
    def id(self) -> str:
        """The entry's id."""
        return self.keyed.entry.id


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

    `outputs` are the files known so far; `reason` says why it is not fresh.
    """

    name: str
    verdict: Verdict
    members: tuple[tuple[str, str], ...] = ()
    recipe: str = ""
    outputs: tuple[str, ...] = ()
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """The decision as a value: what the walk will do, why, and what it costs. Prices by unit; `seconds` is an estimate.

    `looked_at` are the steps that may be anything but fresh, where the others are only made when somebody asks for them.
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

    @property
    def busy(self) -> Sequence[Step]:
        """The steps among which everything that is not fresh is."""
        return self.steps if self.looked_at is None else self.looked_at


# ---------------------------------------------------------------- carrying out


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
