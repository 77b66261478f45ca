"""Which assets of a finished build may be remembered as fresh: those of which nothing is open, chosen or shared.

Decides nothing about a plan; `kept` writes what is found here, `short` believes it only while nothing changed.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, fields
from hashlib import blake2b
from typing import Any

from qwenbuild.catalog import is_free
from qwenbuild.model import Asset, Entry, LockEntry, Manifest, Step, Verdict
from qwenbuild.planning.fresh_assets import Part
from qwenbuild.planning.loading import Loaded
from qwenbuild.planning.planner import Planned
from qwenbuild.snapshot.entryfile import DIGEST, Columns, FreshRun, Memory, SharedRequest
from qwenbuild.tree import TreeFile

Records = Mapping[str, LockEntry | None]

MOST_KINDS = 64
"""Of an asset with more different params than that nothing is remembered."""
ELSEWHERE = frozenset({"file", "folder", "assets", "atlases", "source", "warnings"})
"""Fields of a manifest that no asset's entries hang on."""


def prints(manifest: Manifest) -> dict[str, str]:
    """For each asset one word that stands for all of the manifest that its entries hang on."""
    shared = repr([(item.name, getattr(manifest, item.name)) for item in fields(Manifest) if item.name not in ELSEWHERE])
    start = blake2b(shared.encode("utf-8", "surrogatepass"), digest_size=32)
    fingerprints = {}
    for asset in manifest.assets:
        word = start.copy()
        word.update(repr(asset).encode("utf-8", "surrogatepass"))
        fingerprints[asset.name] = word.hexdigest()
    return fingerprints


def memory_of(
    planned: Planned, files: ListedFiles, settled: Set[str], records: Records, blobs: Container[str], *, canonical: bool
) -> Memory | None:
    """What is to be remembered after a build; None when that is nothing.

    `files` are the tree's as the state has them, `settled` the inputs that were not read in the middle of a change. `records`
    are what the build has changed in the lockfile; None there: the record is gone.
    """
    loaded = planned.loaded
    if loaded.manifest.atlases or loaded.lock.atlases or any(notice.code in ALWAYS_TOLD for notice in loaded.notices):
        return None
    keeper = _MemoryBuilder(planned, files, settled, records, blobs)
    for name, parts in planned.parts():
        keeper.add(name, parts)
    return keeper.memory(canonical=canonical)


@dataclass(frozen=True, slots=True)
class ListedFiles:
    """The tree's files as the state lists them: those that were looked at, the place of each, and the first place of each
    run of entries of which none was, by where that run begins in the columns.
    """

    observed: Mapping[str, TreeFile]
    places: Mapping[str, int]
    firsts: Mapping[int, int]


ALWAYS_TOLD = frozenset({"prompt-too-long", "padding", "unused-axis"})
"""Notices about an asset that only its expansion gives: a believed asset would be silent."""


def lock_ids(planned: Planned, records: Records) -> dict[str, None]:
    """The ids in the lockfile after the build."""
    ids = dict.fromkeys(planned.loaded.lock.entries)
    for step in planned.plan.busy:
        if step.moved_from and step.id in records:
            ids.pop(step.moved_from, None)
    for id, record in records.items():
        if record is None:
            ids.pop(id, None)
        else:
            ids[id] = None
    return ids


@dataclass
class _MemoryBuilder:
    """The memory while it is put together."""

    planned: Planned
    files: ListedFiles
    settled: Set[str]
    records: Records
    blobs: Container[str]
    assets: list[FreshRun] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    prompts: list[str] = field(default_factory=list)
    keys: bytearray = field(default_factory=bytearray)
    digests: bytearray = field(default_factory=bytearray)
    seeds: array[int] = field(default_factory=lambda: array("q"))
    numbers: array[int] = field(default_factory=lambda: array("I"))
    labels: dict[tuple[str, ...], int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        manifest = self.planned.manifest
        self.prints = prints(manifest)
        self.by_name = {asset.name: asset for asset in manifest.assets}
        fresh = self.planned.loaded.fresh_assets
        if fresh is not None:
            self.labels = {tags: at for at, tags in enumerate(fresh.memory.columns.labels)}
        self.unkept: list[str] = []
        entries = self.planned.loaded.entries
        self.referenced = {ref.entry for entry in entries for ref in entry.inputs if ref.entry}
        self.lock = {**self.planned.loaded.lock.entries, **self.records}

    def add(self, name: str, parts: Sequence[Part]) -> None:
        """Take an asset in, if every one of its entries may be believed: those that were looked at, and those that were not."""
        runs = [part for part in parts if isinstance(part, FreshRun)]
        steps = [step for part in parts if not isinstance(part, FreshRun) for step in part]
        read = {path for run in runs for path in run.read}
        if steps:
            read |= _read(self.by_name[name], [step.keyed.entry for step in steps], self.planned.loaded)
        kinds = _Kinds(runs[0].kinds if runs else ())
        numbers = {step.id: kinds.number(step) for step in steps}
        files = self._files(parts) if read <= self.settled and all(map(self._is_fresh, steps)) and kinds.sound() else None
        if files is None:
            self.unkept += [id for run in runs for id in self._kept_ids(run)]
            return
        paid = sum(not is_free(step.keyed.candidates[0].action.family) for step in steps) + sum(run.paid for run in runs)
        asset = FreshRun(
            name=name,
            print=self.prints[name],
            read=tuple(sorted(read)),
            kinds=tuple(kinds.requests),
            first=len(self.ids),
            count=len(steps) + sum(run.count for run in runs),
            file=files[0],
            files=len(files),
            paid=paid,
        )
        self.assets.append(asset)
        for part in parts:
            if isinstance(part, FreshRun):
                self._take(part)
            else:
                for step in part:
                    self._enter(step.keyed.entry, step, numbers[step.id])

    def _files(self, parts: Sequence[Part]) -> range | None:
        """The places of an asset's files in the state; None where they do not follow one another."""
        places, files = self.files.places, list[int]()
        for part in parts:
            if isinstance(part, FreshRun):
                first = self.files.firsts[part.first]
                files += range(first, first + part.files)
            else:
                files += [places[spec.path] for step in part for spec in step.keyed.entry.outputs]
        together = range(files[0], files[0] + len(files))
        return together if files == list(together) else None

    def _kept_ids(self, run: FreshRun) -> list[str]:
        fresh = self.planned.loaded.fresh_assets
        return fresh.memory.columns.ids[run.first : run.first + run.count] if fresh else []

    def _take(self, asset: FreshRun) -> None:
        """Take a run over as it was remembered."""
        fresh = self.planned.loaded.fresh_assets
        assert fresh is not None
        columns, start, end = fresh.memory.columns, asset.first, asset.first + asset.count
        self.ids += columns.ids[start:end]
        self.prompts += columns.prompts[start:end]
        self.keys += columns.keys[DIGEST * start : DIGEST * end]
        self.digests += columns.digests[DIGEST * start : DIGEST * end]
        self.seeds += columns.seeds[start:end]
        self.numbers += columns.numbers[3 * start : 3 * end]

    def _enter(self, entry: Entry, step: Step, kind: int) -> None:
        record = self.lock[entry.id]
        assert record is not None
        self.ids.append(entry.id)
        self.prompts.append(entry.prompt)
        self.keys += bytes.fromhex(record.key)
        self.digests += bytes.fromhex(record.digest)
        self.seeds.append(entry.seed)
        self.numbers.extend((kind, self.labels.setdefault(entry.tags, len(self.labels)), len(entry.outputs)))

    def _is_fresh(self, step: Step) -> bool:
        """Whether the entry is fresh, hangs on nothing but its own files and record, and nothing hangs on it.

        What this build has made counts: it is only called after a build that has done all there was to do.
        """
        entry, record = step.keyed.entry, self.lock.get(step.id)
        if record is None or len(step.candidates) != 1 or (step.id not in self.records and not _is_simple(step)):
            return False
        if entry.id in self.referenced or any(ref.entry for ref in entry.inputs) or _expects(entry):
            return False
        if record.key != step.keyed.candidates[0].key or _is_chosen(record) or "\0" in entry.prompt + entry.id:
            return False
        return record.digest in self.blobs and self._has_files(entry, record)

    def _has_files(self, entry: Entry, record: LockEntry) -> bool:
        paths = [spec.path for spec in entry.outputs]
        if not paths or record.outputs.keys() != set(paths) or any(path not in self.files.places for path in paths):
            return False
        outputs = [(path, record.outputs[path]) for path in paths]
        return all(
            not out.orphan and self.files.observed[path].digest == (out.digest or record.digest) for path, out in outputs
        )

    def memory(self, *, canonical: bool) -> Memory | None:
        """Everything that was taken in."""
        if not self.assets:
            return None
        remembered_ids = set(self.ids)
        loose = (*self.unkept, *(id for id in lock_ids(self.planned, self.records) if id not in remembered_ids))
        columns = Columns(
            self.ids,
            self.prompts,
            bytes(self.keys),
            bytes(self.digests),
            self.seeds,
            self.numbers,
            tuple(self.labels),
        )
        return Memory(tuple(self.assets), loose, self.planned.loaded.spent, columns, canonical)


def _is_simple(step: Step) -> bool:
    return step.verdict is Verdict.FRESH and not (step.reasons or step.approved or step.held or step.moved_from)


def _expects(entry: Entry) -> bool:
    return entry.expect is not None or entry.set_checks is not None or any(spec.expect is not None for spec in entry.outputs)


def _is_chosen(record: LockEntry) -> bool:
    """Whether people had a say in the record, or nobody wants it."""
    choices = (record.picked, record.approved, record.rejected, record.seeds, record.accepted, record.candidates, record.orphan)
    return any(choices) or bool(record.checks)


class _Kinds:
    """The different providers, models and params of one asset's entries."""

    def __init__(self, requests: Sequence[SharedRequest] = ()) -> None:
        self.requests = list(requests)
        self._remembered = {repr(kind): number for number, kind in enumerate(requests)}
        self._numbers: dict[tuple[Any, ...], int] = {}

    def number(self, step: Step) -> int:
        """The number of an entry's kind."""
        entry, action = step.keyed.entry, step.keyed.candidates[0].action
        identity = (entry.provider, entry.model, id(entry.params))
        number = self._numbers.get(identity)
        if number is None:
            kind = SharedRequest(entry.provider, entry.model, dict(entry.params), action.family, action.model)
            number = self._numbers[identity] = (
                self._remembered.get(repr(kind), len(self.requests)) if self._remembered else len(self.requests)
            )
            if number == len(self.requests):
                self.requests.append(kind)
        return number

    def sound(self) -> bool:
        """Whether they are few, and JSON keeps them as they are."""
        return len(self.requests) <= MOST_KINDS and all(_survives(kind.params) for kind in self.requests)


def _survives(params: Mapping[str, Any]) -> bool:
    try:
        return repr(json.loads(json.dumps(params, allow_nan=False))) == repr(dict(params))
    except (ValueError, TypeError):
        return False


def _read(asset: Asset, entries: Iterable[Entry], loaded: Loaded) -> set[str]:
    """The files that an asset's entries hang on; rather too many than too few."""
    paths = {ref.file for entry in entries for ref in entry.inputs if ref.file}
    defaults = loaded.manifest.defaults
    paths.update(rows for rows in (asset.foreach, defaults.foreach) if isinstance(rows, str))
    text = repr((asset, defaults))
    if "palette" in text:
        return paths | {*loaded.read}
    if asset.prompt_file or defaults.prompt_file or "{%" in text:
        paths.update(_templates(loaded))
    return paths


def _templates(loaded: Loaded) -> Iterator[str]:
    folder = loaded.manifest.templates.strip("/")
    return (path for path in loaded.read if folder in ("", ".") or path.startswith(f"{folder}/"))
