"""Turn an Action into its key, and two Actions into their differences: one ordered walk feeds all of it.

Knows no manifest, no model table, no clock: equal Actions give equal keys on every machine.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, replace
from decimal import Decimal
from json.encoder import encode_basestring
from typing import Any

from qwenbuild.model import Action, ImageStep

_encode = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode

KEY_VERSION = 1
RECIPE_VERSION = 1
SEEDS = 1 << 31
"""Seeds are 0 to 2147483647."""

ALWAYS = ("family", "model", "negative_prompt", "prompt", "seed", "size")
"""The fields a lock entry always spells out; the others only when they differ from DEFAULTS."""

DEFAULTS: Mapping[str, Any] = {
    "v": KEY_VERSION,
    "prompt_extend": False,
    "watermark": False,
    "output_format": "png",
    "weights": "",
    "inputs": [],
}
FIELDS = tuple(item.name for item in fields(Action) if item.name != "extra")


def walk(action: Action) -> Iterator[tuple[str, Any]]:
    """Every field of the Action that determines the picture, in one fixed order, as JSON values."""
    yield "v", KEY_VERSION
    for name in FIELDS:
        value = getattr(action, name)
        yield name, list(value) if isinstance(value, tuple) else value
    yield from action.extra


def canonical(value: Any) -> bytes:
    """RFC 8785 bytes of a value that holds only strings, integers, booleans, lists and objects with ASCII names."""
    return _encode(value).encode()


def document(action: Action) -> dict[str, Any]:
    """The Action as the object whose canonical form is hashed."""
    return dict(walk(action))


def action_key(action: Action) -> str:
    """The ActionKey: SHA-256 of the canonical form, 64 lower-case hex digits."""
    return hashlib.sha256(canonical(document(action))).hexdigest()


class KeyOfPrompt:
    """The keys of Actions that differ in prompt and seed alone: the text that is hashed, with these two to be filled in."""

    def __init__(self, action: Action) -> None:
        marked = replace(action, prompt=_MARK, seed=_SEED)
        parts = canonical(document(marked)).decode().split(_encode(_MARK))
        self._start, rest = parts if len(parts) == 2 else ("", "")
        parts = rest.split(str(_SEED))
        self._between, self._end = parts if len(parts) == 2 else ("", "")

    def key(self, action: Action) -> str:
        """The ActionKey of one of them."""
        if not self._end:
            return action_key(action)
        text = f"{self._start}{encode_basestring(action.prompt)}{self._between}{action.seed}{self._end}"
        return hashlib.sha256(text.encode()).hexdigest()


_MARK = "\0the prompt\0"
_SEED = -(2**62) - 1


def short_document(action: Action) -> dict[str, Any]:
    """The Action as a lock entry holds it: fields equal to their default are left out."""
    return {name: value for name, value in walk(action) if name in ALWAYS or DEFAULTS.get(name, None) != value}


def from_document(record: Mapping[str, Any]) -> Action:
    """The Action that a lock entry or a receipt holds. Raises KeyError or TypeError when a field is missing or strange."""
    fields = {name: record[name] for name in FIELDS if name in record}
    fields["inputs"] = tuple(fields.get("inputs", ()))
    extra = tuple(sorted((name, value) for name, value in record.items() if name not in FIELDS and name != "v"))
    for name in ALWAYS:
        record[name]
    return Action(**fields, extra=extra)


def recorded_key(record: Mapping[str, Any]) -> str:
    """The key of a recorded Action as this version computes it."""
    return action_key(from_document(record))


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[tuple[str, Any, Any], ...]:
    """Field, old, new for each field that differs, in the walk's order, then the family's extras by name."""
    full_old, full_new = {**DEFAULTS, **old}, {**DEFAULTS, **new}
    order = ["v", *FIELDS, *sorted((full_old.keys() | full_new.keys()) - set(FIELDS) - {"v"})]
    return tuple((name, full_old.get(name), full_new.get(name)) for name in order if full_old.get(name) != full_new.get(name))


def with_inputs(action: Action, digests: Sequence[str]) -> Action:
    """The Action with the digests of its input images known."""
    return replace(action, inputs=tuple(digests))


def decimal_text(value: int | float | Decimal) -> str:
    """A number's shortest decimal string, never with an exponent: 4.0 → "4", 0.50 → "0.5"."""
    text = format(Decimal(str(value)).normalize(), "f")
    return "0" if text in ("-0", "") else text


def recipe_key(picture: str, steps: Sequence[ImageStep], provenance: str, marks: Mapping[str, Any] | None = None) -> str:
    """The Recipe of a derived file, from the picture's digest. "" when the file is the picture, byte for byte.

    `marks` is what `provenance: full` writes into the file.
    """
    if not steps and provenance == "off":
        return ""
    record: dict[str, Any] = {
        "v": RECIPE_VERSION,
        "picture": picture,
        "provenance": provenance,
        "steps": [{step.kind: dict(step.args)} for step in steps],
    }
    if marks:
        record["marks"] = dict(marks)
    return hashlib.sha256(canonical(record)).hexdigest()


def reroll_seed(seed: int, number: int) -> int:
    """The seed of an entry's picture `number`, from 2, that is drawn because those before it were not as expected."""
    return int.from_bytes(hashlib.sha256(f"reroll:{seed}:{number}".encode()).digest()[:4], "big") % SEEDS


def judgement_key(expect: Mapping[str, Any], digest: str) -> str:
    """What stands for an expectation and the bytes that are held against it."""
    return hashlib.sha256(canonical({"digest": digest, "expect": dict(expect)})).hexdigest()


def unsuited_key(recipe: str) -> str:
    """What stands for a picture that a recipe's steps do not suit, such as one without the background to key out."""
    return judgement_key({"steps": "suit"}, recipe)
