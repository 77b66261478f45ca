"""The verdict of each atlas, from its members' files and what the lockfile says of its sheets.

Packs nothing; knows the plan of the entries, and nothing of how they are made.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from qwenbuild.cache import Cache
from qwenbuild.model import Atlas, AtlasPlan, Entry, LockAtlas, LockOutput, Manifest, OutputPlan, Step, Verdict
from qwenbuild.planning.atlases import Recipe, members_of, paths_of, recipe_of
from qwenbuild.tree import TreeFile


@dataclass(frozen=True, slots=True)
class Packing:
    """What the verdicts hang on. `files` is the tree, `locked` the lockfile's atlases, `pointers` the digests that git-LFS
    pointers of the tree stand for, by path. `untouched` are the digests of files that this plan does not look at, by path;
    `whole`: every entry is part of the plan.
    """

    manifest: Manifest
    entries: Sequence[Entry]
    steps: Sequence[Step]
    files: Mapping[str, TreeFile]
    locked: Mapping[str, LockAtlas]
    cache: Cache
    overwrite: bool = False
    pointers: Mapping[str, str] = field(default_factory=dict)
    untouched: Mapping[str, str] = field(default_factory=dict)
    whole: bool = True

    def plans(self) -> tuple[AtlasPlan, ...]:
        """The plan of every atlas whose members are all in this plan. Raises InputError for one that has none."""
        if not self.manifest.atlases:
            return tuple(self._gone())
        outputs = {output.spec.path: output for step in self.steps for output in step.outputs}
        plans = []
        for atlas in self.manifest.atlases:
            members = members_of(atlas, self.entries, self.manifest)
            if all(path in outputs or path in self.untouched for _, path in members):
                plans.append(self._plan(atlas, members, outputs))
        return (*plans, *self._gone())

    def _gone(self) -> Iterator[AtlasPlan]:
        """Atlases that the manifest no longer has; a part of the entries says nothing about them."""
        names = {atlas.name for atlas in self.manifest.atlases}
        if not self.whole:
            return
        for name, record in self.locked.items():
            if name not in names:
                files = tuple(record.outputs)
                yield AtlasPlan(name, Verdict.ORPHAN, (), "", files, "no longer in the manifest")

    def _plan(self, atlas: Atlas, members: tuple[tuple[str, str], ...], outputs: Mapping[str, OutputPlan]) -> AtlasPlan:
        digests = {path: self.untouched.get(path) or self._digest(outputs[path]) for _, path in members}
        recipe = recipe_of(atlas, digests).recipe if all(digests.values()) else ""
        record = self.locked.get(atlas.name)
        locked = {path: output for path, output in record.outputs.items() if not output.orphan} if record else {}
        files = tuple(locked) or paths_of(atlas)
        strangers = sorted(path for path in {*files, *paths_of(atlas)} if self._is_a_persons(path, record))
        pointers = tuple(path for path in strangers if path in locked and self.pointers.get(path) == locked[path].digest)
        theirs = tuple(path for path in strangers if path not in pointers)
        if theirs and not self.overwrite:
            why = "is a git-LFS pointer to other bytes" if theirs[0] in self.pointers else "was changed by hand"
            return AtlasPlan(atlas.name, Verdict.MODIFIED, members, recipe, files, f"{theirs[0]} {why}", theirs, pointers)
        reason = self._reason(locked, recipe)
        if pointers:
            reason = f"{pointers[0]} is a git-LFS pointer; `git lfs pull` fetches the sheet"
        verdict = Verdict.DERIVE if reason else Verdict.FRESH
        return AtlasPlan(atlas.name, verdict, members, recipe, files, reason, (), pointers)

    def _digest(self, output: OutputPlan) -> str:
        """A member's bytes as they will be, "" while nobody knows."""
        existing = self.files.get(output.spec.path)
        if output.verdict is Verdict.MODIFIED:
            return existing.digest if existing else ""
        return output.digest

    def _is_a_persons(self, path: str, record: LockAtlas | None) -> bool:
        existing = self.files.get(path)
        ours = {output.digest for output in record.outputs.values()} if record else set()
        return existing is not None and existing.digest not in ours and not self.cache.is_ours([existing.digest])

    def _reason(self, locked: Mapping[str, LockOutput], recipe: str) -> str:
        """Why the sheets are made anew, "" when they are as they should be."""
        if not locked:
            return "new"
        if not recipe or any(output.recipe != recipe for output in locked.values()):
            return "its members or options changed"
        if any(path not in self.files for path in locked):
            return "missing"
        return "another version is in its place" if any(self._differs(path, output) for path, output in locked.items()) else ""

    def _differs(self, path: str, output: LockOutput) -> bool:
        """The same recipe gives the same sheet, perhaps under another version of an encoder."""
        digest, recipe = self.files[path].digest, Recipe(output.recipe).of_file(path)
        return digest != output.digest and digest != self.cache.derived([recipe]).get(recipe)


def busy(plans: Sequence[AtlasPlan]) -> bool:
    """Whether an atlas is to be packed."""
    return any(plan.verdict is Verdict.DERIVE for plan in plans)


def sheet_paths(manifest: Manifest, locked: Mapping[str, LockAtlas]) -> list[str]:
    """Every file of an atlas that is wanted or locked, for whoever looks at the tree."""
    paths = [path for atlas in manifest.atlases for path in paths_of(atlas)]
    return [*paths, *(path for record in locked.values() for path in record.outputs)]
