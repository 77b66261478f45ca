"""Which assets of a finished build may be remembered as fresh: those of which nothing is open, chosen or shared.

Decides nothing about a plan; `kept` writes what is found here, `short` believes it only while nothing changed.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, fields, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

from qwenbuild.catalog import is_free
from qwenbuild.lock import layout
from qwenbuild.model import Asset, Entry, LockEntry, Manifest, Step, Verdict
from qwenbuild.planning.fresh_assets import Part
from qwenbuild.planning.loading import Loaded
from qwenbuild.planning.planner import Planned
from qwenbuild.snapshot import manifestfile
from qwenbuild.snapshot.entryfile import (
    DIGEST,
    PRINT,
    WIDTH,
    Columns,
    FreshRun,
    Memory,
    RememberedAsset,
    SharedRequest,
    print_at,
)
from qwenbuild.tree import TreeFile

Records = Mapping[str, LockEntry | None]

MOST_KINDS = 64
"""Of an asset with more different params than that nothing is remembered."""
ELSEWHERE = frozenset({"file", "folder", "assets", "atlases", "source", "warnings"})
"""Fields of a manifest that no asset's entries hang on."""


def prints(manifest: Manifest) -> dict[str, tuple[str, str]]:
    """For each asset one word that stands for all of the manifest that its entries hang on, and one that stands for the same
    but its rows and the values of its axes.
    """
    shared = repr([(item.name, getattr(manifest, item.name)) for item in fields(Manifest) if item.name not in ELSEWHERE])
    start = blake2b(shared.encode("utf-8", "surrogatepass"), digest_size=32)

    def word(value: object) -> str:
        hasher = start.copy()
        hasher.update(repr(value).encode("utf-8", "surrogatepass"))
        return hasher.hexdigest()

    return {asset.name: (word(asset), word(_frame(asset))) for asset in manifest.assets}


def _frame(asset: Asset) -> tuple[object, ...]:
    rows = asset.foreach if isinstance(asset.foreach, str) or asset.foreach is None else ()
    return replace(asset, foreach=rows, matrix={}, include=(), exclude=()), list(asset.matrix)


def memory_of(
    planned: Planned, files: ListedFiles, settled: Set[str], records: Records, blobs: Container[str], *, canonical: bool
) -> Memory | None:
    """What is to be remembered after a build; None when that is nothing.

    `files` are the tree's as the state has them, `settled` the inputs that were not read in the middle of a change. `records`
    are what the build has changed in the lockfile; None there: the record is gone.
    """
    loaded = planned.loaded
    if any(notice.code in ALWAYS_TOLD for notice in loaded.notices):
        return None
    keeper = _MemoryBuilder(planned, files, settled, records, blobs, canonical)
    for name, parts in planned.parts():
        keeper.add(name, parts)
    return keeper.memory()


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
    canonical: bool
    assets: list[RememberedAsset] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    prompts: list[str] = field(default_factory=list)
    keys: bytearray = field(default_factory=bytearray)
    digests: bytearray = field(default_factory=bytearray)
    prints: bytearray = field(default_factory=bytearray)
    record_prints: bytearray = field(default_factory=bytearray)
    seeds: array[int] = field(default_factory=lambda: array("q"))
    numbers: array[int] = field(default_factory=lambda: array("I"))
    labels: dict[tuple[str | None, ...], int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        manifest = self.planned.manifest
        self.words = prints(manifest)
        self.by_name = {asset.name: asset for asset in manifest.assets}
        fresh = self.planned.loaded.fresh_assets
        if fresh is not None:
            self.labels = {tags: at for at, tags in enumerate(fresh.memory.columns.labels)}
        entries = self.planned.loaded.entries
        self.referenced = {ref.entry for entry in entries for ref in entry.inputs if ref.entry}
        self.lock = {**self.planned.loaded.lock.entries, **self.records}

    def add(self, name: str, parts: Sequence[Part]) -> None:
        """Take those entries of an asset in that may be believed: of those that were looked at, and all others."""
        fresh, loaded = self.planned.loaded.fresh_assets, self.planned.loaded
        before = fresh.remembered_assets.get(name) if fresh is not None else None
        steps = [step for part in parts if not isinstance(part, FreshRun) for step in part]
        read = {*before.read} if before is not None else set[str]()
        if steps:
            read |= _read(self.by_name[name], [step.keyed.entry for step in steps], loaded)
        rows = self.by_name[name].foreach or loaded.manifest.defaults.foreach
        data = rows if isinstance(rows, str) else ""
        kinds = _Kinds(before.kinds if before is not None else ())
        numbers = {step.id: kinds.number(step) for step in steps if self._is_fresh(step)}
        if not read | ({data} if data else set()) <= self.settled or not kinds.sound():
            return
        runs = list(self._runs(name, parts, numbers))
        if runs:
            size = sum(part.count if isinstance(part, FreshRun) else len(part) for part in parts)
            combinations = loaded.sizes[name] if name in loaded.sizes or before is None else before.combinations
            word, frame = self.words[name]
            requests = tuple(kinds.requests)
            asset = RememberedAsset(name, word, frame, tuple(sorted(read)), data, requests, size, combinations, tuple(runs))
            self.assets.append(asset)

    def _runs(self, name: str, parts: Sequence[Part], kinds: Mapping[str, int]) -> Iterator[FreshRun]:
        """The runs of an asset's entries that may be believed, which are taken in."""
        last: FreshRun | None = None
        for run in self._pieces(name, parts, kinds):
            if last is not None and (last.place + last.count, last.file + last.files) == (run.place, run.file):
                last = _together(last, run)
                continue
            if last is not None:
                yield last
            last = run
        if last is not None:
            yield last

    def _pieces(self, name: str, parts: Sequence[Part], kinds: Mapping[str, int]) -> Iterator[FreshRun]:
        place, number, prints = 0, 0, self.planned.loaded.prints.get(name, b"")
        for part in parts:
            if isinstance(part, FreshRun):
                run = replace(part, first=len(self.ids), place=place, file=self.files.firsts[part.first])
                self._take(part)
                yield run
                place += part.count
                continue
            for step in part:
                if step.id in kinds:
                    yield self._enter(name, step, kinds[step.id], print_at(prints, number), place)
                place, number = place + 1, number + 1

    def _take(self, run: FreshRun) -> None:
        """Take a run over as it was remembered."""
        fresh = self.planned.loaded.fresh_assets
        assert fresh is not None
        columns, start, end = fresh.memory.columns, run.first, run.first + run.count
        self.ids += columns.ids[start:end]
        self.prompts += columns.prompts[start:end]
        self.keys += columns.keys[DIGEST * start : DIGEST * end]
        self.digests += columns.digests[DIGEST * start : DIGEST * end]
        self.prints += columns.prints[PRINT * start : PRINT * end]
        self.record_prints += columns.records[PRINT * start : PRINT * end]
        self.seeds += columns.seeds[start:end]
        self.numbers += columns.numbers[WIDTH * start : WIDTH * end]

    def _enter(self, name: str, step: Step, kind: int, entry_print: bytes, place: int) -> FreshRun:
        """Take one entry in; a run of its own."""
        entry, record = step.keyed.entry, self.lock[step.id]
        assert record is not None
        self.ids.append(entry.id)
        self.prompts.append(entry.prompt)
        self.keys += bytes.fromhex(record.key)
        self.digests += bytes.fromhex(record.digest)
        self.prints += entry_print
        self.record_prints += layout.block_print(entry.id, record) if self.canonical else bytes(PRINT)
        self.seeds.append(entry.seed)
        tags = self.labels.setdefault(entry.tags, len(self.labels))
        names = self.labels.setdefault(tuple([spec.name for spec in entry.outputs]), len(self.labels))
        self.numbers.extend((kind, tags, len(entry.outputs), names, int(_is_plain(entry))))
        paid = int(not is_free(step.keyed.candidates[0].action.family))
        file = self.files.places[entry.outputs[0].path]
        return FreshRun(name, len(self.ids) - 1, 1, place, file, len(entry.outputs), paid)

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
        first = self.files.places[paths[0]]
        if any(self.files.places[path] != place for place, path in enumerate(paths, first)):
            return False
        outputs = [(path, record.outputs[path]) for path in paths]
        return all(
            not out.orphan and self.files.observed[path].digest == (out.digest or record.digest) for path, out in outputs
        )

    def memory(self) -> Memory | None:
        """Everything that was taken in."""
        if not self.assets:
            return None
        remembered_ids = set(self.ids)
        before = self.planned.loaded.fresh_assets
        unkept = before.ids() if before is not None else ()
        ids = dict.fromkeys((*unkept, *lock_ids(self.planned, self.records)))
        loose = tuple(id for id in ids if id not in remembered_ids)
        columns = Columns(
            self.ids,
            self.prompts,
            bytes(self.keys),
            bytes(self.digests),
            bytes(self.prints),
            bytes(self.record_prints),
            self.seeds,
            self.numbers,
            tuple(self.labels),
        )
        return Memory(tuple(self.assets), loose, self.planned.loaded.spent, columns, self.canonical, self._manifest())

    def _manifest(self) -> dict[str, Any] | None:
        """The manifest as it was read, if that was not in the middle of a change."""
        manifest, before = self.planned.manifest, self.planned.loaded.fresh_assets
        if before is not None and isinstance(manifest.source, manifestfile.UnreadSource):
            return before.memory.manifest
        return manifestfile.encoded(manifest) if Path(manifest.file).name in self.settled else None


def _is_simple(step: Step) -> bool:
    return step.verdict is Verdict.FRESH and not (step.reasons or step.approved or step.held or step.moved_from)


def _together(run: FreshRun, more: FreshRun) -> FreshRun:
    count, files, paid = run.count + more.count, run.files + more.files, run.paid + more.paid
    return replace(run, count=count, files=files, paid=paid)


def _is_plain(entry: Entry) -> bool:
    """Whether the entry can be made anew from what is remembered of it: its files are its picture, and nothing goes into it."""
    items = all(not spec.steps and spec.item == number for number, spec in enumerate(entry.outputs))
    return items and not entry.inputs and entry.variants == 1 and entry.on_fail == "fail"


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
    """The files that an asset's entries hang on but for their rows; rather too many than too few."""
    paths = {ref.file for entry in entries for ref in entry.inputs if ref.file}
    defaults = loaded.manifest.defaults
    text = repr((asset, defaults))
    if "palette" in text:
        return paths | {*loaded.read}
    if asset.prompt_file or defaults.prompt_file or "{%" in text:
        paths.update(_templates(loaded))
    return paths


def _templates(loaded: Loaded) -> Iterator[str]:
    folder = loaded.manifest.templates.strip("/")
    return (path for path in loaded.read if folder in ("", ".") or path.startswith(f"{folder}/"))
