"""What ships of an entry: each of its files as it lies in the output tree, its state in words, and the steps it is made by.

Knows no HTML and reads no file: digests stand for bytes, and the pictures between two steps have names of their own.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from qwenbuild.images.sizes import SizeFault, final_size
from qwenbuild.images.steps import STEPS
from qwenbuild.model import ImageStep, LockEntry, OutputPlan, Step, Verdict

File = dict[str, Any]
SHOWN_ARGUMENTS = 4
"""So many arguments of a step are said; the others have their defaults, or can be read in the manifest."""


def files(step: Step, record: LockEntry, tree: Mapping[str, str]) -> list[File]:
    """The entry's files, in the manifest's order. `tree` maps paths to the digests of what lies there now."""
    return [_file(step, output, record, tree) for output in step.outputs]


def _file(step: Step, output: OutputPlan, record: LockEntry, tree: Mapping[str, str]) -> File:
    used = step.candidates[step.used]
    picture = output.source or used.digest
    there = tree.get(output.spec.path, "")
    locked = record.outputs.get(output.spec.path)
    digest = there or output.digest or (locked.digest or record.digest if locked else "")
    steps = output.spec.steps
    return {
        "path": output.spec.path,
        "name": output.spec.name or "",
        "verdict": output.verdict.value,
        "state": state(step, output, there),
        "digest": digest,
        "size": _size(used.candidate.action.size, steps) if steps else None,
        "steps": [step_words(each) for each in steps],
        "stages": [stage_name(picture, steps[:number]) for number in range(1, len(steps))] if picture else [],
    }


def state(step: Step, output: OutputPlan, there: str) -> str:
    """What is wrong with a file, "" for nothing: its entry's trouble first, then its own."""
    if output.verdict in (Verdict.FRESH, Verdict.MODIFIED):
        return "" if output.verdict is Verdict.FRESH else "changed by hand"
    trouble = _TROUBLE.get(output.verdict) or _TROUBLE.get(step.verdict)
    if trouble:
        return trouble
    if there:
        return "stale"
    return "missing" if step.candidates[step.used].digest else "not made yet"


_TROUBLE = {
    Verdict.FAILED: "failed its check",
    Verdict.DOUBT: "in doubt",
    Verdict.REFUSED: "refused",
    Verdict.RESUME: "under way",
    Verdict.RECOVER: "to recover",
}


def _size(action: str, steps: Sequence[ImageStep]) -> list[int] | None:
    """Width and height in pixels of a file made from a picture of `W*H`, None when only the file can tell."""
    width, _, height = action.partition("*")
    size = (int(width), int(height)) if width.isdigit() and height.isdigit() else None
    try:
        final = final_size(steps, size)
    except SizeFault:
        return None
    return list(final) if final else None


def step_words(step: ImageStep) -> list[str]:
    """A step as its kind, and in words those of its arguments that are not the defaults."""
    usual = {name: argument.default for name, argument in STEPS.get(step.kind, {}).items()}
    arguments = [f"{name} {_value(value)}" for name, value in step.args.items() if value != usual.get(name, "")]
    return [step.kind.replace("_", " "), ", ".join(arguments[:SHOWN_ARGUMENTS])]


def _value(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return text[:12] + "…" if len(text) > 40 else text


# ---------------------------------------------------------------- between the steps


def stage_name(picture: str, steps: Sequence[ImageStep]) -> str:
    """The name of what a picture is after some steps: 64 hexadecimal digits, as a digest has."""
    identity = [picture, [[step.kind, dict(step.args)] for step in steps]]
    return hashlib.sha256(json.dumps(identity, sort_keys=True, default=str).encode()).hexdigest()


def stages(steps: Sequence[Step]) -> Iterator[tuple[str, tuple[ImageStep, ...], list[str]]]:
    """Picture, steps, and the names of what is between them, for every file that two steps or more make."""
    for step in steps:
        used = step.candidates[step.used]
        for output in step.outputs:
            picture, made_by = output.source or used.digest, output.spec.steps
            if picture and len(made_by) > 1:
                yield picture, made_by, [stage_name(picture, made_by[:number]) for number in range(1, len(made_by))]
