"""The verdict of each file, from its picture's digest and its recipe.

Knows no other entry and no price.
"""

from __future__ import annotations

from hashlib import sha256

from qwenbuild.key import recipe_key, unsuited_key
from qwenbuild.later import later
from qwenbuild.lfs import OTHER_POINTER, POINTER
from qwenbuild.model import Action, Candidate, Entry, ImageStep, LockEntry, LockOutput, OutputPlan, OutputSpec, Verdict
from qwenbuild.plan.facts import Facts

with later:
    from qwenbuild import images

MEDIA_TYPES = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "webp": "image/webp",
    "avif": "image/avif",
}


def media_type_for(action: Action) -> str:
    """The type that an Action's picture has unless the provider sent another."""
    return MEDIA_TYPES.get(action.output_format, "image/png")


def implied_steps(spec: OutputSpec, media_type: str) -> tuple[ImageStep, ...]:
    """The file's steps with the conversion that its extension implies, when the picture is of another type."""
    target_type = MEDIA_TYPES.get(spec.path.rpartition(".")[2].lower())
    if target_type is None or any(step.kind == "format" for step in spec.steps) or (target_type == media_type):
        return spec.steps
    return (*spec.steps, images.normalise("format", {"type": target_type.removeprefix("image/")}))


def marks_of(candidate: Candidate, provenance: str) -> dict[str, str] | None:
    """What `provenance: full` says of the picture in its derived files."""
    if provenance != "full":
        return None
    prompt = sha256(candidate.action.prompt.encode()).hexdigest()
    return {"model": candidate.action.model, "prompt_digest": prompt, "key": candidate.key}


def output_recipe(spec: OutputSpec, picture: str, media_type: str, candidate: Candidate, provenance: str) -> str:
    """The Recipe of one file of a picture, "" when it is the picture itself."""
    return recipe_key(picture, implied_steps(spec, media_type), provenance, marks_of(candidate, provenance))


def plan_outputs(
    entry: Entry,
    picture: str,
    media_type: str,
    candidate: Candidate,
    record: LockEntry | None,
    facts: Facts,
) -> tuple[OutputPlan, ...]:
    """The verdict of each file of a picture that is known."""
    return tuple(_output(spec, entry, picture, media_type, candidate, record, facts) for spec in entry.outputs)


def _output(
    spec: OutputSpec,
    entry: Entry,
    picture: str,
    media_type: str,
    candidate: Candidate,
    record: LockEntry | None,
    facts: Facts,
) -> OutputPlan:
    recipe = output_recipe(spec, picture, media_type, candidate, facts.wishes.provenance)
    locked = record.outputs.get(spec.path) if record is not None else None
    digest = _wanted_digest(recipe, picture, locked, record, facts)
    current = facts.seen.files.get(spec.path)
    stranger = current is not None and current != digest and not facts.is_ours(current)
    oid = facts.seen.pointers.get(spec.path, "") if stranger else ""
    if oid and oid == digest and not facts.at_hand(digest) and not facts.at_hand(picture):
        return OutputPlan(spec, Verdict.REFUSED, digest, recipe, picture, POINTER)
    if stranger and (not oid or oid != digest) and not facts.wishes.overwrite:
        return OutputPlan(spec, Verdict.MODIFIED, digest, recipe, picture, OTHER_POINTER if oid else "modified")
    if recipe and current is not None and current != digest and current == facts.seen.derived.get(recipe):
        digest = current  # the same recipe made it, perhaps under another version of an encoder
    unfit = facts.unfit_file(entry, spec, digest)
    fails = unfit or (facts.seen.judgements.get(unsuited_key(recipe)) if recipe and not digest else "")
    if fails:
        return OutputPlan(spec, Verdict.FAILED, digest, recipe, picture, fails)
    agrees = locked is not None and not locked.orphan and locked.recipe == recipe
    if current is not None and current == digest and agrees and unfit is None:
        return OutputPlan(spec, Verdict.RESTORE, digest, recipe, picture, "unjudged")
    if current is not None and current == digest and agrees:
        return OutputPlan(spec, Verdict.FRESH, digest, recipe, picture)
    reason = (
        POINTER if oid and oid == digest else "missing" if current is None else "differs" if current != digest else "unlocked"
    )
    verdict = Verdict.RESTORE if digest and (not recipe or facts.at_hand(digest)) else Verdict.DERIVE
    return OutputPlan(spec, verdict, digest, recipe, picture, reason)


def _wanted_digest(recipe: str, picture: str, locked: LockOutput | None, record: LockEntry | None, facts: Facts) -> str:
    """The bytes the file should hold: the picture, or what the lockfile or the cache says the recipe made."""
    if not recipe:
        return picture
    if locked is not None and locked.recipe == recipe:
        return locked.digest
    elsewhere = (output for output in record.outputs.values()) if record is not None else ()
    return next((output.digest for output in elsewhere if output.recipe == recipe), facts.seen.derived.get(recipe, ""))


def awaiting(spec: OutputSpec, record: LockEntry | None, facts: Facts) -> OutputPlan:
    """A file whose picture is not there yet."""
    current = facts.seen.files.get(spec.path)
    if current is not None and not facts.is_ours(current) and not facts.wishes.overwrite:
        return OutputPlan(spec, Verdict.MODIFIED, "", "", "", OTHER_POINTER if spec.path in facts.seen.pointers else "modified")
    derived = bool(spec.steps) or facts.wishes.provenance != "off"
    return OutputPlan(spec, Verdict.DERIVE if derived else Verdict.RESTORE, "", "", "", "no-picture")
