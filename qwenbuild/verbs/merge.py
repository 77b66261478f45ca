"""Three versions of a lockfile become one, entry by entry: the record that the manifest wants, and both sides' choices.

Knows no git and no terminal; where people chose differently it hands out a Question.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from qwenbuild import manifest, resolve
from qwenbuild.catalog import Catalog
from qwenbuild.errors import InputError
from qwenbuild.expand.expansion import expand
from qwenbuild.model import LockAtlas, LockEntry
from qwenbuild.planning.loading import today
from qwenbuild.project.options import Options

Entries = Mapping[str, LockEntry]
Atlases = Mapping[str, LockAtlas]
Wanted = Mapping[str, Collection[str]]
SIDES = ("ours", "theirs")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Question:
    """Where choices differ: what each side chose for an entry, as a phrase."""

    id: str
    ours: str
    theirs: str


@dataclass(frozen=True, slots=True)
class Merged:
    """The entries; `both` are the ids that both sides changed differently, `open` the questions that nobody answered."""

    entries: Mapping[str, LockEntry]
    both: tuple[str, ...] = ()
    open: tuple[Question, ...] = ()


@dataclass(frozen=True, slots=True)
class Pair:
    """Both sides of an entry that both changed, and what they began from; `base` is None where that is not known."""

    base: LockEntry | None
    ours: LockEntry
    theirs: LockEntry
    manifest_keys: Collection[str]

    def side(self, name: str) -> LockEntry:
        """One of the sides by its name."""
        return self.ours if name == "ours" else self.theirs

    @property
    def sides(self) -> tuple[LockEntry, LockEntry]:
        """Both sides, ours first."""
        return self.ours, self.theirs


def wanted_keys(options: Options, sides: Sequence[Entries]) -> dict[str, frozenset[str]]:
    """Entry to the keys that the manifest wants of it, with the added seeds of all sides. Raises InputError."""
    project_manifest = manifest.load(manifest.find(options.folder, options.file))
    expansion = expand(project_manifest)
    seeds: dict[str, tuple[int, ...]] = {}
    for entries in sides:
        for id, record in entries.items():
            if record.seeds:
                seeds[id] = (*seeds.get(id, ()), *record.seeds)
    resolved = resolve.resolve(
        expansion.entries, project_manifest, today=today(), catalog=Catalog.load(project_manifest.models), seeds=seeds
    )
    if resolved.problems:
        raise InputError(resolved.problems[0].message, code=resolved.problems[0].code, problems=resolved.problems)
    return {keyed.entry.id: frozenset(candidate.key for candidate in keyed.candidates) - {""} for keyed in resolved.keyed}


def merge(
    base: Entries | None, ours: Entries, theirs: Entries, manifest_keys: Wanted | None, answer: Callable[[Question], str]
) -> Merged:
    """One set of entries from three. `base` and `manifest_keys` are None where they are not known.

    `answer` says `ours` or `theirs` to a Question, or "" to leave it open: then ours stands there, and it is named in `open`.
    """
    entries: dict[str, LockEntry] = {}
    both: list[str] = []
    questions: list[Question] = []
    for id in sorted({*ours, *theirs}):
        old = None if base is None else base.get(id)
        our, their = ours.get(id), theirs.get(id)
        chosen: LockEntry | None
        if our == their or (base is not None and their == old):
            chosen = our
        elif base is not None and our == old:
            chosen = their
        elif our is None or their is None:
            chosen = _of_one(id, our or their, has_base=base is not None, manifest_keys=manifest_keys)
        else:
            both.append(id)
            pair = Pair(old, our, their, () if manifest_keys is None else manifest_keys.get(id, ()))
            chosen, question = _of_both(id, pair, answer)
            questions += [question] if question else []
        if chosen is not None:
            entries[id] = chosen
    return Merged(entries, tuple(both), tuple(questions))


def merge_atlases(base: Atlases | None, ours: Atlases, theirs: Atlases) -> dict[str, LockAtlas]:
    """The sheets of both sides. Where both changed one, ours stands: the next build packs it again, for nothing."""
    merged = {}
    for name in sorted({*ours, *theirs}):
        old, our, their = (None if base is None else base.get(name)), ours.get(name), theirs.get(name)
        chosen = their if base is not None and our == old else our if base is not None else our or their
        if chosen is not None:
            merged[name] = chosen
    return merged


def _of_one(id: str, record: LockEntry | None, *, has_base: bool, manifest_keys: Wanted | None) -> LockEntry | None:
    """An entry that one side changed and the other removed: it stays unless nobody wants it any more."""
    return None if has_base and manifest_keys is not None and id not in manifest_keys else record


def _of_both(id: str, pair: Pair, answer: Callable[[Question], str]) -> tuple[LockEntry, Question | None]:
    question = _question(id, pair)
    side_name = answer(question) if question else ""
    name = side_name or _side(pair)
    side = pair.side(name)
    if question:
        merged = replace(side, rejected=tuple(sorted(_rejected(pair) - {side.key, side.picked})))
    else:
        merged = replace(
            side, picked=_picked(pair) or "", approved=_approved(pair) is not False, rejected=tuple(sorted(_rejected(pair)))
        )
    other = pair.theirs if side is pair.ours else pair.ours
    seeds = _union(pair, [set(record.seeds) for record in (*pair.sides, pair.base) if record])
    digests = {**other.candidates, other.key: other.digest, **side.candidates}
    candidates = {key: digest for key, digest in digests.items() if key != merged.key and _belongs(key, pair, merged)}
    accepted = {**other.accepted, **side.accepted}
    merged = replace(merged, seeds=tuple(sorted(seeds)), accepted=accepted, candidates=candidates, note=_note(pair))
    return merged, None if side_name else question


def _belongs(key: str, pair: Pair, merged: LockEntry) -> bool:
    """Whether a picture is a candidate of the merged record: one of its side, a wanted one, or the one picked."""
    return key in merged.candidates or key in pair.manifest_keys or key == merged.picked


# ---------------------------------------------------------------- choices


def _question(id: str, pair: Pair) -> Question | None:
    """What only a person can say: two picks, a pick that the other side rejected, an approval of what it replaced."""
    picked, approved = _picked(pair), _approved(pair)
    if picked is None or approved is None or (picked and picked in _rejected(pair)):
        return Question(id, _words(pair.ours), _words(pair.theirs))
    keys = {side.key for side in pair.sides if side.approved}
    other = pair.theirs if pair.ours.approved else pair.ours
    moved = pair.base is None or other.key != pair.base.key
    if approved and (len(keys) > 1 or (len(keys) == 1 and other.key not in keys and moved)):
        return Question(id, _words(pair.ours), _words(pair.theirs))
    return None


def _words(record: LockEntry) -> str:
    states = [name for name, holds in (("approved", record.approved), ("picked", record.picked == record.key)) if holds]
    rejected = f", {len(record.rejected)} rejected" if record.rejected else ""
    return f"{' and '.join(states) or 'uses'} {record.digest[:12]}{rejected}"


def _picked(pair: Pair) -> str | None:
    """The pick that holds; None where both picked differently, and the manifest still knows both picks or neither."""
    pick = _three(pair, lambda record: record.picked)
    if pick is not None:
        return pick
    valid = [side.picked for side in pair.sides if side.picked in pair.manifest_keys]
    return valid[0] if len(valid) == 1 else None


def _approved(pair: Pair) -> bool | None:
    return _three(pair, lambda record: record.approved)


def _note(pair: Pair) -> str:
    """What one side wrote; where both did, both texts, in the same order whoever merges: no word of anybody is lost."""
    note = _three(pair, lambda record: record.note)
    if note is not None:
        return note
    ours, theirs = (side.note for side in pair.sides)
    if ours in theirs or theirs in ours:
        return max(ours, theirs, key=len)
    return "\n\n".join(sorted((ours, theirs)))


def _three(pair: Pair, value: Callable[[LockEntry], T]) -> T | None:
    """What one side changed; None where both did, differently. Without a base a choice beats none."""
    ours, theirs = value(pair.ours), value(pair.theirs)
    if ours == theirs:
        return ours
    if pair.base is None:
        return None if ours and theirs else ours or theirs
    old = value(pair.base)
    return theirs if ours == old else ours if theirs == old else None


def _rejected(pair: Pair) -> set[str]:
    return _union(pair, [set(record.rejected) for record in (*pair.sides, pair.base) if record])


def _union(pair: Pair, sets: Sequence[set[T]]) -> set[T]:
    """What either side has, without what one side took out of the base."""
    ours, theirs = sets[:2]
    base = sets[2] if len(sets) > 2 else set()
    return (ours | theirs) - (base - ours) - (base - theirs)


def _side(pair: Pair) -> str:
    """Whose picture: the picked one's, the approved one's, the one that the manifest wants, the one that is new; else ours."""
    picked = _picked(pair)
    tests: list[Callable[[LockEntry], bool]] = [
        lambda side: bool(picked) and side.key == picked and (not pair.manifest_keys or side.key in pair.manifest_keys),
        lambda side: side.approved,
        lambda side: side.key in pair.manifest_keys,
        lambda side: pair.base is not None and side.key != pair.base.key,
    ]
    for test in tests:
        holds = [name for name in SIDES if test(pair.side(name))]
        if len(holds) == 1:
            return holds[0]
    return "ours"
