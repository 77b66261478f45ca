"""Make one entry's files from its picture, and the lock record that says so.

Knows no network and no plan but the one step it is given; a person's file and a newcomer are left alone.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from qwenbuild import tree
from qwenbuild.cache import Cache
from qwenbuild.engine.acceptance import Acceptor, Unfit, digest_of, rule_of
from qwenbuild.errors import CacheError
from qwenbuild.key import short_document, unsuited_key
from qwenbuild.later import later
from qwenbuild.lfs import NOT_FETCHED, POINTER, POINTER_BYTES_MAX, pointer_oid
from qwenbuild.model import (
    ActionResult,
    Candidate,
    ImageStep,
    LockEntry,
    LockOutput,
    OutputPlan,
    Step,
    Verdict,
)
from qwenbuild.plan import (
    implied_steps,
    marks_of,
    media_type_for,
    output_recipe,
    same_request,
)

with later:
    from qwenbuild import images

ASIDE = "overwritten"
"""Folder below the project's own one where --overwrite keeps what it replaced."""


@dataclass(frozen=True, slots=True)
class PublishedFiles:
    """What was published of one entry: the lock's words for its files, and what happened to each.

    `unfit` are (path, sentence) of files that are not what is expected; `unsigned` are files made from a signed picture,
    whose signature they cannot carry.
    """

    outputs: Mapping[str, LockOutput]
    written: tuple[str, ...]
    derived: int
    failures: tuple[tuple[str, str], ...]
    unfit: tuple[tuple[str, str], ...] = ()
    unsigned: tuple[str, ...] = ()


@dataclass(slots=True)
class _Tally:
    """What happened to the files of one entry, as it happens."""

    outputs: dict[str, LockOutput] = field(default_factory=dict)
    written: list[str] = field(default_factory=list)
    failures: list[tuple[str, str]] = field(default_factory=list)
    unfit: list[tuple[str, str]] = field(default_factory=list)
    unsigned: list[str] = field(default_factory=list)
    derived: int = 0

    def files(self) -> PublishedFiles:
        return PublishedFiles(
            self.outputs, tuple(self.written), self.derived, tuple(self.failures), tuple(self.unfit), tuple(self.unsigned)
        )


@dataclass(frozen=True, slots=True)
class Publisher:
    """Everything publishing needs. `files` is the tree as the plan saw it; `lock` the records as read.

    `fetch` brings the bytes of a digest from the shared cache, None when it has none; `placed` notes every file written;
    `palettes` maps the digest of a palette's bytes to its file.
    """

    root: Path
    state: Path
    cache: Cache
    files: Mapping[str, tree.TreeFile]
    lock: Mapping[str, LockEntry]
    is_wanted: Callable[[str], bool]
    provenance: str = "off"
    fetch: Callable[[str], bytes | None] = lambda digest: None
    placed: dict[str, tree.TreeFile] = field(default_factory=dict)
    palettes: Mapping[str, Path] = field(default_factory=dict)

    def publish(self, step: Step, results: Mapping[str, ActionResult]) -> tuple[LockEntry, PublishedFiles]:
        """Write what the step's outputs lack.

        Raises Unfit when the picture is not what the entry expects, CacheError when its bytes are not to be had.
        """
        record = self.lock.get(step.moved_from or step.id)
        if step.keyed.entry.choose == "best" and len(step.candidates) > 1:
            step = replace(step, used=self.acceptance.best(step, results))
        used = step.candidates[step.used]
        result = results.get(used.candidate.key)
        digest = result.digest if result else used.digest
        media_type = self._media_type(digest) or (result.media_type if result else used.media_type)
        self.acceptance.picture(step, used.candidate, digest)
        files = self._files(step, record, digest, media_type)
        expected_type = media_type_for(used.candidate.action)
        recorded_type = "" if media_type == expected_type else media_type
        return replace(self._record(step, record, digest, result, results, files), media_type=recorded_type), files

    # ------------------------------------------------------------ bytes

    def _media_type(self, digest: str) -> str | None:
        """What the picture's own bytes are, whatever lockfile and receipt say; None where they are not at hand."""
        return images.sniff(self.cache.blob_head(digest) or self._from_tree(digest) or b"")

    def bytes_of(self, digest: str) -> bytes:
        """A picture's bytes from the vault; from the tree or the shared cache they enter the vault first."""
        if not self.cache.has_blob(digest):
            self.adopt(digest)
        return self.cache.read_blob(digest)

    def adopt(self, digest: str) -> None:
        """Bring bytes into the vault that only a file of the tree, or the shared cache, still has."""
        data = self._from_tree(digest) or self.fetch(digest)
        if data is None or hashlib.sha256(data).hexdigest() != digest:
            raise CacheError(f"the bytes of picture {digest[:12]} are not in the cache any more")
        self.cache.put_blob(data)

    def _from_tree(self, digest: str) -> bytes | None:
        path = next((path for path, file in self.files.items() if file.digest == digest), None)
        return tree.read(self.root, path) if path is not None else None

    @property
    def acceptance(self) -> Acceptor:
        """What holds pictures and files against what is expected of them."""
        return Acceptor(self.cache, self.lock, self.bytes_of)

    # ------------------------------------------------------------ files

    def _files(self, step: Step, record: LockEntry | None, digest: str, media_type: str) -> PublishedFiles:
        tally = _Tally()
        for output in step.outputs:
            path = output.spec.path
            locked = record.outputs.get(path) if record is not None else None
            if output.verdict is Verdict.MODIFIED:
                if locked is not None:
                    tally.outputs[path] = locked
                continue
            try:
                tally.outputs[path] = self._file(tally, step, output, locked, digest, media_type)
                continue
            except tree.NotWritten as error:
                tally.failures.append((path, str(error)))
            except (Unfit, ValueError) as error:
                tally.unfit.append((path, str(error)))
            if locked is not None:
                tally.outputs[path] = locked
        return tally.files()

    def _file(
        self, tally: _Tally, step: Step, output: OutputPlan, locked: LockOutput | None, digest: str, media_type: str
    ) -> LockOutput:
        """The lock's words for one file, which is written where it is not there yet.

        Raises NotWritten, Unfit, ValueError (the steps do not suit the picture), CacheError.
        """
        self._refuse_foreign(step, digest)
        if output.reason == POINTER and output.verdict is Verdict.REFUSED:
            raise tree.NotWritten(NOT_FETCHED)
        spec = output.spec
        recipe = output_recipe(spec, digest, media_type, step.candidates[step.used].candidate, self.provenance)
        if not recipe:
            self.acceptance.file(step, spec, digest, lambda: self.bytes_of(digest))
            tally.written += [spec.path] if self._place_picture(spec.path, digest) else []
            return LockOutput()
        recorded = locked.digest if locked is not None and locked.recipe == recipe else ""
        recorded = recorded or (output.digest if output.recipe == recipe else "")
        existing = self.files.get(spec.path)
        if existing is not None and existing.digest in {recorded, self.cache.derived([recipe]).get(recipe)}:
            self.acceptance.file(step, spec, existing.digest, lambda: tree.read(self.root, spec.path))
            return LockOutput(recorded or existing.digest, recipe)
        data = self._copied(recorded) or self._derived(recipe, lambda: self._derive(tally, step, output, digest, media_type))
        fresh = hashlib.sha256(data).hexdigest()
        self.cache.put_derived(recipe, fresh, {"path": spec.path, "picture": digest})
        self.acceptance.file(step, spec, fresh, lambda: data)
        self._place(spec.path, fresh, lambda file: tree.write_all(file, data))
        tally.derived += 1
        tally.written.append(spec.path)
        return LockOutput(recorded or fresh, recipe)

    def _derived(self, recipe: str, derive: Callable[[], bytes]) -> bytes:
        """The file. Steps that do not suit the picture are remembered, for they never will. Raises ValueError."""
        try:
            return derive()
        except images.PluginFailed:
            raise
        except ValueError as error:
            self.cache.put_judgement(unsuited_key(recipe), str(error))
            raise

    def _copied(self, digest: str) -> bytes | None:
        """The very file: from another place of the tree when it only moved, or as the shared cache brought it."""
        data = self._from_tree(digest) if digest else None
        if data is None and digest and self.cache.has_blob(digest):
            data = self.cache.read_blob(digest)
        return data if data is not None and hashlib.sha256(data).hexdigest() == digest else None

    def _derive(self, tally: _Tally, step: Step, output: OutputPlan, digest: str, media_type: str) -> bytes:
        steps = implied_steps(output.spec, media_type)
        facts = marks_of(step.candidates[step.used].candidate, self.provenance) or {}
        drawn_marks = images.Marks(
            model=facts.get("model", ""), prompt_digest=facts.get("prompt_digest", ""), key=facts.get("key", "")
        )
        marks = None if self.provenance == "off" else drawn_marks
        picture = self.bytes_of(digest)
        if images.signed(picture):
            if not steps:
                return picture
            tally.unsigned.append(output.spec.path)
        target_type = images.media_type_of(output.spec.path) or media_type
        return images.derive(picture, steps, target_type, palettes=self._palettes(steps), marks=marks)

    def _palettes(self, steps: Sequence[ImageStep]) -> dict[str, bytes]:
        """The bytes of the palettes that the steps name by digest."""
        palettes = {}
        for digest in {step.args["palette"] for step in steps if step.args.get("palette")}:
            data = self.palettes[digest].read_bytes()
            if hashlib.sha256(data).hexdigest() != digest:
                raise tree.NotWritten(f"the palette {self.palettes[digest].name} changed while the build ran")
            palettes[digest] = data
        return palettes

    def place_made(self, path: str, digest: str, data: bytes, recipe: str, *, again: bool = False) -> bool:
        """Write a file that was made of others and note it as ours. Raises NotWritten.

        False when it stands there already and is not to be written `again`.
        """
        self.cache.put_derived(recipe, digest, {"path": path})
        existing = self.placed.get(path) or self.files.get(path)
        if existing is not None and existing.digest == digest and not again:
            return False
        self._place(path, digest, lambda file: tree.write_all(file, data))
        return True

    def _refuse_foreign(self, step: Step, digest: str) -> None:
        """Raises NotWritten when the lockfile gives an entry the picture that was bought for another one."""
        candidate, record = step.candidates[step.used].candidate, self.lock.get(step.moved_from or step.id)
        if record is None or record.accepted or (record.key, record.digest) != (candidate.key, digest):
            return
        bought_digests = {result.digest for result in self.cache.results([candidate.key]).get(candidate.key, ())}
        if not bought_digests or digest in bought_digests or not self.cache.has_journal():
            return
        owner = next((attempt.entry for attempt in self.cache.journal.attempts() if attempt.digest == digest), "")
        if owner:
            raise tree.NotWritten(
                f"the lockfile names picture {digest[:12]}, which was bought for {owner}; correct the lockfile"
            )

    def _place_picture(self, path: str, digest: str) -> bool:
        existing = self.files.get(path)
        if existing is not None and existing.digest == digest:
            return False
        if not self.cache.has_blob(digest):
            self.adopt(digest)
        self._place(path, digest, lambda file: self.cache.fill(digest, file))
        return True

    def _place(self, path: str, digest: str, fill: Callable[[int], None]) -> None:
        existing = self.files.get(path)
        if existing is not None:
            self._save(path, existing, digest)
        signature = tree.place(self.root, path, fill, existing.signature if existing else None, digest)
        self.placed[path] = tree.TreeFile(digest, signature)

    def _save(self, path: str, existing: tree.TreeFile, digest: str) -> None:
        """No file is replaced until its own bytes are in the vault, known to be ours, or kept aside; but a git-LFS pointer
        to the very bytes that take its place holds nothing else.
        """
        if self.cache.has_blob(existing.digest) or self.cache.is_ours([existing.digest]):
            return
        if existing.signature[0] <= POINTER_BYTES_MAX and pointer_oid(tree.read(self.root, path)) == digest:
            return
        if any(existing.digest == record.digest for record in self.lock.values()):
            self.cache.put_blob(tree.read(self.root, path))
            return
        keep_aside(self.root, path, self.state, existing.digest)

    # ------------------------------------------------------------ the record

    def _record(
        self,
        step: Step,
        record: LockEntry | None,
        digest: str,
        result: ActionResult | None,
        results: Mapping[str, ActionResult],
        files: PublishedFiles,
    ) -> LockEntry:
        candidate = step.candidates[step.used].candidate
        same = record is not None and record.digest == digest
        made_at = (record.made if record is not None and same else "") or (result.made if result else "")
        base = record or LockEntry("", "", {})
        return replace(
            base,
            key=candidate.key,
            digest=digest,
            action=short_document(candidate.action) if not step.held else base.action,
            made=made_at or self._made(candidate.key, digest),
            outputs={**self._old_paths(base, files), **files.outputs},
            candidates=_others(step, base, candidate, results),
            seeds=base.seeds if step.held else tuple(seed for seed in base.seeds if seed in _seeds(step)),
            orphan=False,
            chosen=rule_of(step, base, candidate),
        )

    def _made(self, key: str, digest: str) -> str:
        return next((r.made for r in self.cache.results([key]).get(key, ()) if r.digest == digest), "")

    def _old_paths(self, record: LockEntry, files: PublishedFiles) -> dict[str, LockOutput]:
        """Paths that this entry no longer wants stay as orphans until they are cleaned."""
        return {
            path: replace(output, digest=output.digest or record.digest, orphan=True)
            for path, output in record.outputs.items()
            if path not in files.outputs and not self.is_wanted(path)
        }


def _others(step: Step, record: LockEntry, used: Candidate, results: Mapping[str, ActionResult]) -> dict[str, str]:
    """The other candidates' keys and digests: those wanted now, earlier ones of the same request, and one that was picked."""
    digests = dict(_earlier(record, used))
    digests.update((plan.candidate.key, digest) for plan in step.candidates if (digest := digest_of(plan, results)))
    digests.pop(used.key, None)
    return digests


def _earlier(record: LockEntry, used: Candidate) -> Iterator[tuple[str, str]]:
    """Lowering `variants` loses nothing; of another request only a picture that somebody picked is still named."""
    if not record.key:
        return
    same = same_request(record, used.action)
    for key, digest in ((record.key, record.digest), *record.candidates.items()):
        if same or key == record.picked:
            yield key, digest


def _seeds(step: Step) -> set[int]:
    return {plan.candidate.seed for plan in step.candidates}


def keep_aside(root: Path, path: str, state: Path, digest: str) -> Path:
    """Copy a person's file below the project's own folder before it is replaced."""
    folder = state / ASIDE
    folder.mkdir(parents=True, exist_ok=True)
    stem, dot, suffix = os.path.basename(path).rpartition(".")
    target = folder / f"{stem or suffix}.{digest[:12]}{dot}{suffix if stem else ''}"
    target.write_bytes(tree.read(root, path))
    return target
