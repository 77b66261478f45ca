"""Decide for every entry and file what will happen, why, and what it costs: one pure function, from facts to a value.

Knows no disk, no clock and no network; what is true of them stands in Observed, and `build` does what the Plan says.
"""

from __future__ import annotations

from collections.abc import Collection, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from qwenbuild.key import action_key, differences, document, from_document, recipe_key, with_inputs
from qwenbuild.model import (
    ActionResult,
    Candidate,
    CandidatePlan,
    ImageStep,
    Keyed,
    LockEntry,
    LockOutput,
    Orphan,
    OutputPlan,
    OutputSpec,
    Plan,
    Price,
    Reason,
    Step,
    Verdict,
)

COSTLIEST = {verdict: rank for rank, verdict in enumerate(Verdict)}
ENTRY_REF = "entry:"
"""Stands in an Action's inputs before the digest of another entry's picture."""
NOTHING: Mapping[str, Any] = {}
SIDECARS = (".meta", ".import")
MEDIA_TYPES = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "webp": "image/webp",
    "avif": "image/avif",
}


@dataclass(frozen=True, slots=True)
class Observed:
    """What is true on disk, as far as this plan asks. `files` maps a path of the tree to its digest, absent when not there.

    `results` are newest first; `standing` maps a key to resume, recover, doubt or refused with the reason's words;
    `ours` holds digests whose bytes the vault or its records of derived files know; `shared` those the shared cache has;
    `unfit` maps a picture's digest to why it fails `expect`; `once` are entry ids this machine has stored before.
    """

    lock: Mapping[str, LockEntry] = field(default_factory=dict)
    results: Mapping[str, Sequence[ActionResult]] = field(default_factory=dict)
    blobs: Container[str] = frozenset()
    shared: Container[str] = frozenset()
    derived: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    ours: Container[str] = frozenset()
    standing: Mapping[str, tuple[Verdict, str]] = field(default_factory=dict)
    unfit: Mapping[tuple[str, str], str] = field(default_factory=dict)
    once: Container[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the user asked of this plan beyond the manifest. `forced` are entry ids to buy again."""

    forced: Container[str] = frozenset()
    overwrite: bool = False
    retry_failed: bool = False
    provenance: str = "off"


@dataclass(frozen=True, slots=True)
class _Facts:
    """Observed and Wishes, with what is asked of them often worked out once."""

    seen: Observed
    wishes: Wishes
    in_tree: Container[str]
    lock_digests: Container[str]
    orphan_keys: Mapping[str, str]

    def at_hand(self, digest: str) -> bool:
        """Whether the bytes can be had without paying."""
        return digest in self.seen.blobs or digest in self.in_tree or digest in self.seen.shared

    def is_ours(self, digest: str) -> bool:
        return digest in self.seen.ours or digest in self.lock_digests


def make_plan(
    wanted: Sequence[Keyed], seen: Observed, wishes: Wishes | None = None, everything: Iterable[Keyed] | None = None
) -> Plan:
    """The Plan for the `wanted` entries, in their order; `everything` are all entries of the manifest when that is more."""
    wishes = wishes or Wishes()
    whole = list(everything) if everything is not None else wanted
    ids = {keyed.entry.id for keyed in whole}
    facts = _Facts(seen, wishes, _values(seen.files), _lock_digests(seen.lock), _orphan_keys(seen.lock, ids))
    steps = _priced(_in_order(wanted, facts))
    complete = len(whole) == len(wanted)
    orphans = tuple(_orphans(whole, facts, {step.moved_from for step in steps})) if complete else ()
    cost, unknown = _cost(steps)
    return Plan(
        steps=steps,
        orphans=orphans,
        cost=cost,
        unknown_price=unknown,
        seconds=_seconds(steps),
        counts=_counts(steps, orphans),
        unexplained=_unexplained(steps, seen),
    )


def _values(files: Mapping[str, str]) -> Container[str]:
    return set(files.values())


def _lock_digests(lock: Mapping[str, LockEntry]) -> Container[str]:
    found = {entry.digest for entry in lock.values()}
    for entry in lock.values():
        for output in entry.outputs.values():
            if output.digest:
                found.add(output.digest)
    return found


def _orphan_keys(lock: Mapping[str, LockEntry], ids: Container[str]) -> dict[str, str]:
    return {entry.key: id for id, entry in lock.items() if id not in ids}


# ---------------------------------------------------------------- entries


def _in_order(wanted: Sequence[Keyed], facts: _Facts) -> tuple[Step, ...]:
    """Plan each entry after its inputs; the result stands in the manifest's order."""
    done: dict[str, Step] = {}
    by_id = {keyed.entry.id: keyed for keyed in wanted}
    taken: set[str] = set()
    for keyed in wanted:
        for ready in _inputs_first(keyed, by_id, done):
            step = _entry(ready, facts, done, taken)
            done[ready.entry.id] = step
            if step.moved_from:
                taken.add(step.moved_from)
    return tuple(done[keyed.entry.id] for keyed in wanted)


def _inputs_first(keyed: Keyed, by_id: Mapping[str, Keyed], done: Mapping[str, Step]) -> Iterator[Keyed]:
    """The entry's inputs that are not planned yet, deepest first, then the entry. Cycles were refused when loading."""
    if keyed.entry.id in done:
        return
    for reference in keyed.entry.inputs:
        if reference.entry and reference.entry in by_id and reference.entry not in done:
            yield from _inputs_first(by_id[reference.entry], by_id, done)
    if keyed.entry.id not in done:
        yield keyed


def _entry(keyed: Keyed, facts: _Facts, done: Mapping[str, Step], taken: Container[str]) -> Step:
    keyed, causes = _with_known_inputs(keyed, done)
    record, moved_from = _lock_record(keyed, facts, taken)
    held = record is not None and record.approved and record.key not in {c.key for c in keyed.candidates}
    candidates = (_candidate_of(record),) if held and record else keyed.candidates
    used = _used(candidates, record)
    pictures, outputs, reasons = _pictures(keyed, candidates, used, record, facts)
    if moved_from:
        reasons = (Reason("moved", "id", moved_from, keyed.entry.id), *reasons)
    if held and record:
        reasons = (
            *reasons,
            *(Reason("held", name, old, new) for name, old, new in _changes(record, keyed.candidates[0].action)),
        )
    reasons = (*(Reason("caused-by", "inputs", None, cause) for cause in causes), *reasons)
    verdict = min([c.verdict for c in pictures] + [o.verdict for o in outputs], key=COSTLIEST.__getitem__)
    shown = replace(keyed, candidates=candidates) if held else keyed
    return Step(shown, verdict, reasons, pictures, outputs, used, held, moved_from)


def _with_known_inputs(keyed: Keyed, done: Mapping[str, Step]) -> tuple[Keyed, tuple[str, ...]]:
    """The entry with its input entries' digests in its Actions where they are known, and the inputs that are not."""
    if not any(reference.entry for reference in keyed.entry.inputs):
        return keyed, ()
    known = {step.id: picture_digest(step) for step in done.values()}
    unknown = tuple(ref.entry for ref in keyed.entry.inputs if ref.entry and not known.get(ref.entry))
    if unknown:
        return replace(keyed, candidates=tuple(replace(c, key="") for c in keyed.candidates)), unknown
    return replace(keyed, candidates=tuple(substituted(candidate, known) for candidate in keyed.candidates)), ()


def substituted(candidate: Candidate, digests: Mapping[str, str]) -> Candidate:
    """The candidate with `entry:ID` inputs replaced by those entries' digests, and its key."""
    inputs = [digests[name.removeprefix(ENTRY_REF)] if name.startswith(ENTRY_REF) else name for name in candidate.action.inputs]
    action = with_inputs(candidate.action, inputs)
    return Candidate(candidate.seed, action, action_key(action))


def picture_digest(step: Step) -> str:
    """The digest of the picture that the entry's files are made from, "" while it is not known."""
    return step.candidates[step.used].digest


def _lock_record(keyed: Keyed, facts: _Facts, taken: Container[str]) -> tuple[LockEntry | None, str]:
    """The entry's lock record, or that of an orphan with the same key, with the orphan's id."""
    record = facts.seen.lock.get(keyed.entry.id)
    if record is not None:
        return record, ""
    for candidate in keyed.candidates:
        orphan = facts.orphan_keys.get(candidate.key)
        if orphan is not None and orphan not in taken:
            return facts.seen.lock[orphan], orphan
    return None, ""


def _candidate_of(record: LockEntry) -> Candidate:
    action = from_document(record.action)
    return Candidate(action.seed, action, record.key)


def _used(candidates: Sequence[Candidate], record: LockEntry | None) -> int:
    """The picked candidate, else the first that nobody rejected, else the first."""
    if record is None:
        return 0
    keys = [candidate.key for candidate in candidates]
    if record.picked in keys:
        return keys.index(record.picked)
    return next((index for index, key in enumerate(keys) if key not in record.rejected), 0)


# ---------------------------------------------------------------- pictures


def _pictures(
    keyed: Keyed, candidates: Sequence[Candidate], used: int, record: LockEntry | None, facts: _Facts
) -> tuple[tuple[CandidatePlan, ...], tuple[OutputPlan, ...], tuple[Reason, ...]]:
    """The verdicts of all candidates, of the files made from the used one, and why."""
    main, outputs, reasons = _used_picture(keyed, candidates[used], record, facts)
    plans = [main if index == used else _other_picture(keyed, c, record, facts) for index, c in enumerate(candidates)]
    if any(plan.verdict is Verdict.GENERATE for index, plan in enumerate(plans) if index != used) and not reasons:
        reasons = (Reason("new" if record is None else "changed", "variants"),)
    return tuple(plans), outputs, reasons


def _used_picture(
    keyed: Keyed, candidate: Candidate, record: LockEntry | None, facts: _Facts
) -> tuple[CandidatePlan, tuple[OutputPlan, ...], tuple[Reason, ...]]:
    entry = keyed.entry
    if facts.wishes.forced and entry.id in facts.wishes.forced:
        return _bought(keyed, candidate, record, facts, (Reason("forced"),))
    moved = record is not None and record.key != candidate.key and _table_moved(keyed, candidate, record)
    digest, media_type = _known_digest(candidate, entry.outputs, record, facts, moved)
    if not digest:
        return _without_picture(keyed, candidate, record, facts)
    unfit = facts.seen.unfit.get((entry.id, digest))
    if unfit and not facts.wishes.retry_failed:
        return _stopped(keyed, candidate, record, facts, Verdict.REFUSED, Reason("refused", "expect", None, unfit), digest)
    outputs = _outputs(entry.outputs, digest, media_type, candidate, record, facts)
    agrees = record is not None and record.key == candidate.key and record.digest == digest and not record.orphan
    verdict = _known_verdict(digest, outputs, agrees, facts)
    if verdict is Verdict.GENERATE:
        return _without_picture(keyed, candidate, record, facts)
    reasons = () if verdict is Verdict.FRESH else _restore_reasons(candidate, record, outputs, moved)
    return CandidatePlan(candidate, verdict, digest, {}, media_type), outputs, reasons


def _known_digest(
    candidate: Candidate, specs: Sequence[OutputSpec], record: LockEntry | None, facts: _Facts, moved: bool
) -> tuple[str, str]:
    """The picture to use and its media type, "" when nothing is known for the key."""
    results = _results(candidate, record, facts)
    default = MEDIA_TYPES.get(candidate.action.output_format, "image/png")
    if record is not None and (moved or record.key == candidate.key):
        named = next((r for r in results if r.digest == record.digest), None)
        if facts.at_hand(record.digest) or not any(facts.at_hand(r.digest) for r in results):
            return record.digest, named.media_type if named else default
    if record is not None and candidate.key in record.candidates:
        return record.candidates[candidate.key], default
    in_place = {facts.seen.files.get(spec.path) for spec in specs}
    usable = [result for result in results if facts.at_hand(result.digest)]
    chosen = next((result for result in usable if result.digest in in_place), usable[0] if usable else None)
    return (chosen.digest, chosen.media_type) if chosen else ("", default)


def _results(candidate: Candidate, record: LockEntry | None, facts: _Facts) -> Sequence[ActionResult]:
    key = candidate.key if record is None else record.accepted.get(candidate.key, candidate.key)
    results = facts.seen.results.get(key, ())
    return () if record is not None and candidate.key in record.rejected and candidate.key != record.key else results


def _known_verdict(digest: str, outputs: Sequence[OutputPlan], agrees: bool, facts: _Facts) -> Verdict:
    waiting = [output for output in outputs if output.verdict in (Verdict.RESTORE, Verdict.DERIVE)]
    if agrees and not waiting:
        return Verdict.FRESH
    if facts.at_hand(digest):
        return Verdict.RESTORE
    if all(output.digest and facts.at_hand(output.digest) for output in waiting):
        return Verdict.RESTORE
    return Verdict.GENERATE


def _other_picture(keyed: Keyed, candidate: Candidate, record: LockEntry | None, facts: _Facts) -> CandidatePlan:
    """A candidate that no file is made from: it only has to exist."""
    known = record.candidates.get(candidate.key, "") if record is not None else ""
    if record is not None and record.key == candidate.key:
        known = record.digest
    if known:
        return CandidatePlan(candidate, Verdict.FRESH, known, {})
    digest, media_type = _known_digest(candidate, (), record, facts, False)
    if digest:
        return CandidatePlan(candidate, Verdict.RESTORE, digest, {}, media_type)
    if record is not None and candidate.key in record.rejected:
        return CandidatePlan(candidate, Verdict.FRESH, "", {})
    verdict, _ = _standing(candidate, facts)
    return CandidatePlan(candidate, verdict, "", keyed.price if verdict is Verdict.GENERATE else {})


def _without_picture(
    keyed: Keyed, candidate: Candidate, record: LockEntry | None, facts: _Facts
) -> tuple[CandidatePlan, tuple[OutputPlan, ...], tuple[Reason, ...]]:
    """Nothing at hand: a live attempt, a person's turn, or a purchase."""
    verdict, words = _standing(candidate, facts)
    if verdict is not Verdict.GENERATE:
        return _stopped(keyed, candidate, record, facts, verdict, Reason(verdict.value, "", None, words))
    if record is not None and record.approved:
        return _stopped(keyed, candidate, record, facts, Verdict.REFUSED, Reason("lost", "approved"))
    return _bought(keyed, candidate, record, facts, _why_bought(candidate, record))


def _standing(candidate: Candidate, facts: _Facts) -> tuple[Verdict, str]:
    verdict, words = facts.seen.standing.get(candidate.key, (Verdict.GENERATE, ""))
    if verdict is Verdict.REFUSED and facts.wishes.retry_failed:
        return Verdict.GENERATE, ""
    return verdict, words


def _stopped(
    keyed: Keyed,
    candidate: Candidate,
    record: LockEntry | None,
    facts: _Facts,
    verdict: Verdict,
    reason: Reason,
    digest: str = "",
) -> tuple[CandidatePlan, tuple[OutputPlan, ...], tuple[Reason, ...]]:
    outputs = tuple(_awaiting(spec, record, facts) for spec in keyed.entry.outputs)
    return CandidatePlan(candidate, verdict, digest, {}), outputs, (reason,)


def _bought(
    keyed: Keyed, candidate: Candidate, record: LockEntry | None, facts: _Facts, reasons: tuple[Reason, ...]
) -> tuple[CandidatePlan, tuple[OutputPlan, ...], tuple[Reason, ...]]:
    outputs = tuple(_awaiting(spec, record, facts) for spec in keyed.entry.outputs)
    if outputs and all(output.verdict is Verdict.MODIFIED for output in outputs):
        return CandidatePlan(candidate, Verdict.MODIFIED, "", {}), outputs, reasons
    return CandidatePlan(candidate, Verdict.GENERATE, "", keyed.price), outputs, reasons


def _why_bought(candidate: Candidate, record: LockEntry | None) -> tuple[Reason, ...]:
    if record is None:
        return (Reason("new"),)
    if record.key == candidate.key:
        return (Reason("lost"),)
    return tuple(Reason("changed", name, old, new) for name, old, new in _changes(record, candidate.action))


def _restore_reasons(
    candidate: Candidate, record: LockEntry | None, outputs: Sequence[OutputPlan], moved: bool
) -> tuple[Reason, ...]:
    if record is None:
        return (Reason("new"),)
    if record.key != candidate.key:
        code = "table-moved" if moved else "changed"
        return tuple(Reason(code, name, old, new) for name, old, new in _changes(record, candidate.action))
    return tuple(Reason("file", output.spec.path, None, output.reason) for output in outputs if output.reason)


def _changes(record: LockEntry, action: Any) -> tuple[tuple[str, Any, Any], ...]:
    return differences(record.action, document(action))


def _table_moved(keyed: Keyed, candidate: Candidate, record: LockEntry) -> bool:
    """Whether record and candidate differ only by values that an older model table, or key version, gave."""
    return all(name == "v" or old in keyed.earlier.get(name, ()) for name, old, _ in _changes(record, candidate.action))


# ---------------------------------------------------------------- files


def implied_steps(spec: OutputSpec, media_type: str) -> tuple[ImageStep, ...]:
    """The file's steps with the conversion that its extension implies, when the picture is of another type."""
    wanted = MEDIA_TYPES.get(spec.path.rpartition(".")[2].lower())
    if wanted is None or any(step.kind == "format" for step in spec.steps) or (wanted == media_type):
        return spec.steps
    from qwenbuild.images import normalise

    return (*spec.steps, normalise("format", {"type": wanted.removeprefix("image/")}))


def marks_of(candidate: Candidate, provenance: str) -> dict[str, str] | None:
    """What `provenance: full` says of the picture in its derived files."""
    if provenance != "full":
        return None
    from hashlib import sha256

    prompt = sha256(candidate.action.prompt.encode()).hexdigest()
    return {"model": candidate.action.model, "prompt_digest": prompt, "key": candidate.key}


def output_recipe(spec: OutputSpec, picture: str, media_type: str, candidate: Candidate, provenance: str) -> str:
    """The Recipe of one file of a picture, "" when it is the picture itself."""
    return recipe_key(picture, implied_steps(spec, media_type), provenance, marks_of(candidate, provenance))


def _outputs(
    specs: Sequence[OutputSpec],
    picture: str,
    media_type: str,
    candidate: Candidate,
    record: LockEntry | None,
    facts: _Facts,
) -> tuple[OutputPlan, ...]:
    return tuple(_output(spec, picture, media_type, candidate, record, facts) for spec in specs)


def _output(
    spec: OutputSpec, picture: str, media_type: str, candidate: Candidate, record: LockEntry | None, facts: _Facts
) -> OutputPlan:
    recipe = output_recipe(spec, picture, media_type, candidate, facts.wishes.provenance)
    locked = record.outputs.get(spec.path) if record is not None else None
    digest = _wanted_digest(recipe, picture, locked, record, facts)
    there = facts.seen.files.get(spec.path)
    if there is not None and there != digest and not facts.is_ours(there) and not facts.wishes.overwrite:
        return OutputPlan(spec, Verdict.MODIFIED, digest, recipe, picture, "modified")
    agrees = locked is not None and not locked.orphan and locked.recipe == recipe and (not recipe or locked.digest == digest)
    if there == digest and agrees and digest:
        return OutputPlan(spec, Verdict.FRESH, digest, recipe, picture)
    reason = "missing" if there is None else "differs" if there != digest else "unlocked"
    verdict = Verdict.RESTORE if digest and (not recipe or facts.at_hand(digest)) else Verdict.DERIVE
    return OutputPlan(spec, verdict, digest, recipe, picture, reason)


def _wanted_digest(recipe: str, picture: str, locked: LockOutput | None, record: LockEntry | None, facts: _Facts) -> str:
    """The bytes the file should hold: the picture, or what the lockfile or the cache says the recipe made."""
    if not recipe:
        return picture
    if locked is not None and locked.recipe == recipe:
        return locked.digest
    elsewhere = (output for output in record.outputs.values()) if record is not None else ()
    return next((output.digest for output in elsewhere if output.recipe == recipe), facts.seen.derived.get(recipe, ""))


def _awaiting(spec: OutputSpec, record: LockEntry | None, facts: _Facts) -> OutputPlan:
    """A file whose picture is not there yet."""
    there = facts.seen.files.get(spec.path)
    if there is not None and not facts.is_ours(there) and not facts.wishes.overwrite:
        return OutputPlan(spec, Verdict.MODIFIED, "", "", "", "modified")
    derived = bool(spec.steps) or facts.wishes.provenance != "off"
    return OutputPlan(spec, Verdict.DERIVE if derived else Verdict.RESTORE, "", "", "", "no-picture")


# ---------------------------------------------------------------- orphans


def _orphans(whole: Collection[Keyed], facts: _Facts, taken: Container[str]) -> Iterator[Orphan]:
    """Paths of the lockfile that nothing wants any more, and entries without a path left."""
    wanted = {spec.path for keyed in whole for spec in keyed.entry.outputs}
    ids = {keyed.entry.id for keyed in whole}
    for id, record in facts.seen.lock.items():
        gone = id not in ids
        paths = [path for path in record.outputs if path not in wanted]
        if not paths and gone and id not in taken:
            yield Orphan(id, "", record.digest, True, False)
        for path in paths:
            yield _orphan(id, path, record, facts)


def _orphan(id: str, path: str, record: LockEntry, facts: _Facts) -> Orphan:
    output = record.outputs[path]
    digest = output.digest or record.digest
    there = facts.seen.files.get(path)
    unmodified = there is None or (there == digest and (there in facts.seen.blobs or bool(output.recipe)))
    return Orphan(id, path, digest, unmodified and not path.endswith(SIDECARS), there is not None)


# ---------------------------------------------------------------- money, time, counts


def _priced(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    """Entries that share a key pay once: the first in order carries the price."""
    seen: set[str] = set()
    return tuple(_priced_step(step, seen) for step in steps)


def _priced_step(step: Step, seen: set[str]) -> Step:
    shared = False
    for plan in step.candidates:
        if plan.verdict is Verdict.GENERATE and plan.candidate.key:
            shared = shared or plan.candidate.key in seen
    if not shared:
        seen.update(plan.candidate.key for plan in step.candidates if plan.verdict is Verdict.GENERATE)
        return step
    candidates = []
    for plan in step.candidates:
        twin = plan.verdict is Verdict.GENERATE and plan.candidate.key in seen
        candidates.append(replace(plan, price={}) if twin else plan)
        seen.add(plan.candidate.key)
    return replace(step, candidates=tuple(candidates))


def step_price(step: Step) -> Price | None:
    """What the entry costs in this plan; None when any of it is unknown."""
    total, unknown = _cost((step,))
    return None if unknown else total


def _cost(steps: Iterable[Step]) -> tuple[dict[str, Decimal], int]:
    total: dict[str, Decimal] = {}
    unknown = 0
    for step in steps:
        for plan in step.candidates:
            if plan.price is None:
                unknown += 1
                continue
            for unit, amount in plan.price.items():
                total[unit] = total.get(unit, Decimal(0)) + amount
    return total, unknown


def purchases(steps: Iterable[Step]) -> Iterator[tuple[Step, CandidatePlan]]:
    """Every picture the plan buys, once for each key, in order."""
    seen: set[str] = set()
    for step in steps:
        for plan in step.candidates:
            key = plan.candidate.key
            if plan.verdict is Verdict.GENERATE and (not key or key not in seen):
                seen.add(key)
                yield step, plan


def _seconds(steps: Sequence[Step]) -> float:
    """How long the purchases take at the providers' limits, at the least; providers work side by side."""
    lanes: dict[tuple[str, str], tuple[int, Keyed]] = {}
    for step, plan in purchases(steps):
        lane = (step.keyed.entry.provider, plan.candidate.action.model)
        count, _ = lanes.get(lane, (0, step.keyed))
        lanes[lane] = (count + 1, step.keyed)
    return max((_lane_seconds(count, keyed) for count, keyed in lanes.values()), default=0.0)


def _lane_seconds(count: int, keyed: Keyed) -> float:
    by_rate = (count - 1) / keyed.rps if keyed.rps else 0.0
    rounds = -(-count // keyed.in_flight) if keyed.in_flight else 1
    return max(by_rate + keyed.seconds, rounds * keyed.seconds)


def _counts(steps: Sequence[Step], orphans: Sequence[Orphan]) -> dict[str, int]:
    counts = {verdict.value: 0 for verdict in Verdict}
    for step in steps:
        counts[step.verdict.value] += 1
    counts["held"] = sum(step.held for step in steps)
    counts["orphan"] = len(orphans)
    return counts


def _unexplained(steps: Sequence[Step], seen: Observed) -> int:
    """Purchases that the manifest does not explain: lost, moved by the table alone, or of an asset that vanished."""
    buying = [step for step in steps if step.verdict is Verdict.GENERATE and _pays(step)]
    present = {id.partition("/")[0] for id in seen.lock}
    locked_assets = {step.keyed.entry.asset for step in steps if step.id in seen.lock}
    vanished = {
        step.keyed.entry.asset
        for step in buying
        if step.keyed.entry.asset not in locked_assets | present and step.id in seen.once
    }
    return sum(_is_unexplained(step, vanished) for step in buying)


def _pays(step: Step) -> bool:
    return any(plan.verdict is Verdict.GENERATE and plan.price != {} for plan in step.candidates)


def _is_unexplained(step: Step, vanished: Container[str]) -> bool:
    codes = {reason.code for reason in step.reasons}
    if "lost" in codes:
        return True
    if "new" in codes:
        return step.keyed.entry.asset in vanished
    changed = {reason.field for reason in step.reasons if reason.code == "changed"}
    return bool(changed) and all(name == "v" for name in changed)
