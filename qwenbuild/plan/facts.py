"""What is true and what was wished, as the plan reads it, with what is often asked worked out once.

Knows no verdict.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field

from qwenbuild.model import ActionResult, LockEntry, Verdict


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
class Facts:
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
        """Whether a file of these bytes is ours, and not a person's work."""
        return digest in self.seen.ours or digest in self.lock_digests


def lock_digests(lock: Mapping[str, LockEntry]) -> Container[str]:
    """Every digest that the lockfile names, for pictures and files at any path."""
    found = {entry.digest for entry in lock.values()}
    for entry in lock.values():
        for output in entry.outputs.values():
            if output.digest:
                found.add(output.digest)
    return found


def orphan_keys(lock: Mapping[str, LockEntry], ids: Container[str]) -> dict[str, str]:
    """Key to id of the lock entries that the manifest has no more."""
    return {entry.key: id for id, entry in lock.items() if id not in ids}
