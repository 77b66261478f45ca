"""What is true and what was wished, as the plan reads it, with what is often asked worked out once.

Knows no verdict.
"""

from __future__ import annotations

from collections.abc import Collection, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from qwenbuild.key import judgement_key
from qwenbuild.model import ActionResult, CheckVerdict, Entry, LockEntry, OutputSpec, Verdict


@dataclass(frozen=True, slots=True)
class Observed:
    """What is true on disk, as far as this plan asks. `files` maps a path of the tree to its digest, absent when not there.

    `results` are newest first; `standing` maps a key to resume, recover, doubt or refused with the reason's words;
    `ours` holds digests whose bytes the vault or its records of derived files know; `shared` those the shared cache has;
    `judgements` maps what stands for an expectation and bytes to what fails, "" for nothing; `beside` is what was found of
    pictures beside others; `ranks` maps the same as `judgements` to how a picture does by its checks, the least being best;
    `once` are entry ids this machine has stored before; `pointers` maps the path of a git-LFS pointer to the digest that it
    stands for, `pointed` such a digest to a path.
    """

    lock: Mapping[str, LockEntry] = field(default_factory=dict)
    results: Mapping[str, Sequence[ActionResult]] = field(default_factory=dict)
    blobs: Container[str] = frozenset()
    shared: Container[str] = frozenset()
    derived: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    ours: Container[str] = frozenset()
    standing: Mapping[str, tuple[Verdict, str]] = field(default_factory=dict)
    judgements: Mapping[str, str] = field(default_factory=dict)
    beside: SetFacts = field(default_factory=lambda: SetFacts())
    ranks: Mapping[str, Rank] = field(default_factory=dict)
    once: Container[str] = frozenset()
    pointers: Mapping[str, str] = field(default_factory=dict)
    pointed: Mapping[str, str] = field(default_factory=dict)
    untouched: UntouchedEntries = field(default_factory=lambda: UntouchedEntries())


Rank = tuple[int, int]
"""How many checks fail, and the sum of their scores, negative."""


@dataclass(frozen=True, slots=True)
class SetFacts:
    """What the checks of sets found of the pictures that the lockfile names: entry id to what fails, and the entries whose
    set nobody judged as it stands now.
    """

    faults: Mapping[str, str] = field(default_factory=dict)
    unjudged: Container[str] = frozenset()


@dataclass(frozen=True, slots=True)
class UntouchedEntries:
    """Entries that are known to be fresh, and that this plan does not look at: what the others' verdicts hang on of them.

    `files` are digests of the tree's files that are theirs, `digests` all that the lockfile names for them. `left` counts
    those that are not even part of the plan.
    """

    ids: Collection[str] = frozenset()
    paths: Container[str] = frozenset()
    files: Container[str] = frozenset()
    digests: Container[str] = frozenset()
    left: int = 0


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the user asked of this plan beyond the manifest. `forced` are entry ids to buy again."""

    forced: Container[str] = frozenset()
    overwrite: bool = False
    retry_failed: bool = False
    provenance: str = "off"


@dataclass(frozen=True, slots=True)
class Facts:
    """Observed and Wishes, with what is asked of them often worked out once.

    `needed` are entries whose picture's very bytes are wanted, because an entry that builds on them must be submitted.
    """

    seen: Observed
    wishes: Wishes
    in_tree: Container[str]
    lock_digests: Container[str]
    orphan_keys: Mapping[str, str]
    needed: Container[str] = frozenset()

    def at_hand(self, digest: str) -> bool:
        """Whether the bytes can be had without paying."""
        seen = self.seen
        return digest in seen.blobs or digest in self.in_tree or digest in seen.shared or digest in seen.untouched.files

    def unfetched(self, digest: str) -> str:
        """The path of a git-LFS pointer that stands for these bytes where nothing else has them, "" when there is none."""
        return "" if not digest or self.at_hand(digest) else self.seen.pointed.get(digest, "")

    def unfit(self, expect: Mapping[str, Any] | None, digest: str) -> str | None:
        """What bytes fail of an expectation: "" for nothing, None when nobody looked yet."""
        if expect is None:
            return ""
        return self.seen.judgements.get(judgement_key(expect, digest)) if digest else None

    def unfit_picture(self, entry: Entry, digest: str, record: LockEntry | None) -> str | None:
        """The same of an entry's picture, by itself and beside others; one that only warns fails nothing."""
        alone = _stopping(entry, self.unfit(entry.expect, digest))
        if alone or entry.set_checks is None or record is None or record.digest != digest:
            return alone
        fault = self.seen.beside.faults.get(entry.id, "") if entry.on_fail != "warn" else ""
        return fault or (None if entry.id in self.seen.beside.unjudged else alone)

    def unfit_file(self, entry: Entry, spec: OutputSpec, digest: str) -> str | None:
        """The same of one of the entry's files."""
        return _stopping(entry, self.unfit(spec.expect, digest))

    def rank(self, entry: Entry, digest: str) -> Rank | None:
        """How a picture does by the entry's checks, None when nobody looked yet."""
        return self.seen.ranks.get(judgement_key(entry.expect or {}, digest)) if digest else None

    def is_ours(self, digest: str) -> bool:
        """Whether a file of these bytes is ours, and not a person's work."""
        return digest in self.seen.ours or digest in self.lock_digests or digest in self.seen.untouched.digests


def _stopping(entry: Entry, unfit: str | None) -> str | None:
    """What fails, "" where the entry only warns of it."""
    return unfit and "" if entry.on_fail == "warn" else unfit


def rank_of(verdicts: Iterable[CheckVerdict]) -> Rank:
    """How a picture does by these verdicts."""
    fails = total = 0
    for verdict in verdicts:
        fails += verdict.verdict == "fail"
        total += int(verdict.evidence.get("score", 0))
    return fails, -total


def lock_digests(lock: Mapping[str, LockEntry]) -> Container[str]:
    """Every digest that the lockfile names, for pictures and files at any path."""
    digests = {entry.digest for entry in lock.values()}
    for entry in lock.values():
        if entry.candidates:
            digests.update(entry.candidates.values())
        for output in entry.outputs.values():
            if output.digest:
                digests.add(output.digest)
    return digests


def orphan_keys(lock: Mapping[str, LockEntry], ids: Container[str]) -> dict[str, str]:
    """Key to id of the lock entries that the manifest has no more; the pictures in use count before other candidates."""
    orphans = [(id, entry) for id, entry in lock.items() if id not in ids]
    others = {key: id for id, entry in orphans for key in entry.candidates}
    return others | {entry.key: id for id, entry in orphans}
