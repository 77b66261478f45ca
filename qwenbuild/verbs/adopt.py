"""Keep a picture through a cosmetic edit, and bring in one made elsewhere: both shown first, neither pays.

Writes the vault and the lockfile; the next build makes the files.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

from qwenbuild.key import differences, document
from qwenbuild.later import later
from qwenbuild.lfs import not_fetched, pointer_oid
from qwenbuild.lock import records
from qwenbuild.model import Action, ActionResult, Candidate, LockEntry, Price, Step
from qwenbuild.plan import picture_digest, substituted
from qwenbuild.planning.loading import today
from qwenbuild.planning.planner import Planned
from qwenbuild.project.options import Options
from qwenbuild.verbs.choices import candidate_of, chosen_steps, one, planned_of, problem, record_of, refuse_approved, write

with later:
    from qwenbuild import images

TYPES = ("image/png", "image/jpeg", "image/webp")
PICTURE_BYTES_MAX = 64 * 1024 * 1024
"""Bytes of a picture that is imported."""
RATIO_SLACK = 0.02
"""A picture whose sides are this near to the wanted ratio has it."""


@dataclass(frozen=True, slots=True)
class Acceptance:
    """An edit that is called cosmetic: what it changes (field, old, new), and the picture that is kept.

    `price` is what the pictures would have cost otherwise; `fields` are empty where there is nothing to accept.
    """

    id: str
    fields: tuple[tuple[str, Any, Any], ...]
    digest: str
    price: Price | None
    words: str = ""


@dataclass(frozen=True, slots=True)
class Import:
    """A picture from elsewhere, and the candidate (from 1) whose place it takes. Width and height in pixels, size in bytes."""

    id: str
    number: int
    digest: str
    media_type: str
    width: int
    height: int
    size: int
    replaces: str
    expected_size: str


# ---------------------------------------------------------------- accept


def accept(options: Options, select: Sequence[str], *, dry: bool = False) -> tuple[Acceptance, ...]:
    """Keep the pictures of the entries selected under the keys wanted now. `dry`: only say what that would do.

    Raises InputError when nothing is made yet, or an input's picture is not known.
    """
    planned = planned_of(options, select)
    digests = {step.id: picture_digest(step) for step in planned.plan.steps}
    steps = chosen_steps(planned)
    candidates = {step.id: _wanted(planned, step, digests) for step in steps}
    acceptances = tuple(_acceptance(planned, step, candidates[step.id]) for step in steps)
    changes = {item.id: partial(_accepted, candidates[item.id]) for item in acceptances if item.fields}
    if not dry:
        write(planned, changes)
    return acceptances


def _accepted(candidates: Sequence[Candidate], old: LockEntry) -> LockEntry:
    return records.accept(old, candidates)


def _wanted(planned: Planned, step: Step, digests: dict[str, str]) -> tuple[Candidate, ...]:
    """The candidates that the manifest wants, also where the entry is held."""
    keyed = next(keyed for keyed in planned.loaded.keyed if keyed.entry.id == step.id)
    unknown = [ref.entry for ref in keyed.entry.inputs if ref.entry and not digests.get(ref.entry)]
    if unknown:
        raise problem("not-made", f"the input {unknown[0]} of {step.id} is not made yet", "`qwenbuild build` makes it")
    candidates = keyed.candidates
    return tuple(substituted(candidate, digests) for candidate in candidates) if keyed.entry.inputs else candidates


def _acceptance(planned: Planned, step: Step, candidates: Sequence[Candidate]) -> Acceptance:
    record = record_of(planned, step)
    if not record.key:
        return Acceptance(step.id, (), "", {}, "nothing is made yet")
    if record.key in {candidate.key for candidate in candidates}:
        return Acceptance(step.id, (), record.digest, {}, "nothing to accept: the picture is the one wanted")
    used = next(candidate for candidate, old in records.match(record, candidates) if old == record.key)
    return Acceptance(step.id, differences(record.action, document(used.action)), record.digest, step.keyed.price)


# ---------------------------------------------------------------- import


def import_picture(
    options: Options, file: Path, entry: str, number: int = 0, *, any_size: bool = False, dry: bool = False
) -> Import:
    """Use a picture made elsewhere for an entry, in the place of candidate `number` (0: the one in use).

    `dry`: only check and say. Raises InputError for a file that is not a complete picture or of another size, an approved
    entry, or one whose inputs are not made.
    """
    data = _read(file)
    planned, step = one(options, entry)
    refuse_approved(step)
    number = number or step.used + 1
    plan = candidate_of(step, number)
    if not plan.candidate.key:
        raise problem("not-made", f"the inputs of {step.id} are not made yet", "`qwenbuild build` makes them")
    result = _checked(data, file, plan.candidate, any_size=any_size)
    imported = Import(
        id=step.id,
        number=number,
        digest=result.digest,
        media_type=result.media_type,
        width=result.width,
        height=result.height,
        size=result.size,
        replaces=plan.digest,
        expected_size=plan.candidate.action.size,
    )
    if not dry:
        planned.cache.put_blob(data)
        planned.cache.put_result(result)
        write(planned, {step.id: partial(_imported, step, number, result)})
        planned.cache.add_root(planned.loaded.lock_path)
    return imported


def _imported(step: Step, number: int, result: ActionResult, old: LockEntry) -> LockEntry:
    candidate = step.candidates[number - 1].candidate
    if number == step.used + 1 or not old.key:
        moved = records.use(old, records.picture_of(candidate, result))
        return replace(moved, rejected=records.without(moved.rejected, (candidate.key,)))
    return replace(old, candidates={**old.candidates, candidate.key: result.digest})


def _read(file: Path) -> bytes:
    try:
        if file.stat().st_size > PICTURE_BYTES_MAX:
            raise problem("too-large", f"{file} has {file.stat().st_size:,} bytes; {PICTURE_BYTES_MAX:,} is the most")
        return file.read_bytes()
    except OSError as error:
        raise problem("unreadable", f"{file} cannot be read: {error.strerror or error}") from error


def _checked(data: bytes, file: Path, candidate: Candidate, *, any_size: bool) -> ActionResult:
    if pointer_oid(data):
        raise problem("lfs-pointer", not_fetched(str(file)))
    try:
        checked = images.check(data, None, TYPES)
    except ValueError as error:
        raise problem("not-a-picture", f"{file}: {error}") from error
    size = candidate.action.size
    if not any_size and not _has_size(candidate.action, checked.width, checked.height):
        message = f"{file} is {checked.width}*{checked.height}; the entry's pictures are {size}"
        raise problem("size", message, "--any-size accepts it anyway")
    digest = sha256(data).hexdigest()
    return ActionResult(
        key=candidate.key,
        digest=digest,
        media_type=checked.media_type,
        width=checked.width,
        height=checked.height,
        size=len(data),
        made=today(),
        provider="import",
        billed={},
        attempt=f"import-{digest[:32]}",
        action=document(candidate.action),
    )


def _has_size(action: Action, width: int, height: int) -> bool:
    """Whether a picture has the Action's size: in pixels, or by its ratio where the API knows only ratios."""
    for sign, exact in (("*", True), (":", False)):
        one_side, separator, other = action.size.partition(sign)
        if separator and one_side.isdigit() and other.isdigit() and int(other):
            if exact:
                return (width, height) == (int(one_side), int(other))
            return abs(width / height - int(one_side) / int(other)) <= RATIO_SLACK * int(one_side) / int(other)
    return True
