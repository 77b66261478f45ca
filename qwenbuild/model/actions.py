"""What a manifest comes to, as frozen values: entries, Actions, candidates, and the results of them.

Knows only the standard library: no file, no clock, no network, and no rule about any of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from qwenbuild.model.money import Price


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
    """One expanded asset, its templates rendered. `params` holds only what the manifest said, typed.

    `expect` is what its picture must be by itself, `set_checks` what it must be beside others. `on_fail` is fail, warn or
    reroll; `attempts` are the pictures that may be drawn until one is as expected; `choose` is first or best.
    """

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
    set_checks: Mapping[str, Any] | None = None
    on_fail: str = "fail"
    attempts: int = 1
    choose: str = "first"


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
    spares: tuple[Candidate, ...] = ()
    """What may be drawn where the candidates are not as expected, in order: other seeds, by a fixed rule."""


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
