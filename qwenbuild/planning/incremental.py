"""The plan after a small change: what the last build left fresh and nothing has touched is believed, the rest is walked.

Knows no verdict. It may only save work: where it cannot be sure of an asset the asset is walked, where it cannot be sure at
all it has no answer, and the walk looks at everything.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence, Set
from dataclasses import replace
from itertools import accumulate
from pathlib import Path

from qwenbuild import manifest, plugins, resolve, tree
from qwenbuild.cache import Cache, cache_dir
from qwenbuild.catalog import Catalog
from qwenbuild.errors import Problem, QwenbuildError
from qwenbuild.expand.expansion import Expansion, expand
from qwenbuild.expand.paths import collision_key, key_below, parents
from qwenbuild.later import later
from qwenbuild.lock import lockfile
from qwenbuild.model import Asset, Entry, Manifest
from qwenbuild.planning import planner
from qwenbuild.planning.atlases import paths_of
from qwenbuild.planning.eligibility import prints
from qwenbuild.planning.fresh_assets import FreshAssets, entry_at
from qwenbuild.planning.holdings import only_here, only_in_tree
from qwenbuild.planning.known_asset import KnownAsset, file_counts
from qwenbuild.planning.loading import Loaded, refuse_links, uncollected
from qwenbuild.planning.moves import moves
from qwenbuild.planning.planner import Planned, make
from qwenbuild.project.options import STATE, Options
from qwenbuild.snapshot import entryfile, manifestfile, statefile
from qwenbuild.snapshot.entryfile import PRINT, WIDTH, FreshRun, Memory, RememberedAsset, print_at
from qwenbuild.snapshot.statefile import Snapshot

with later:
    from qwenbuild.planning import check_status

MOST_TOUCHED = 500
"""Of an asset with more entries of which a file was touched, and more than a quarter of all, everything is looked at."""
BATCH = 1000
"""Files that are looked at one by one where any of them was touched."""


def plan(options: Options) -> Planned | None:
    """The plan, as the whole walk would make it; None when it has to. Raises InputError for a manifest that is none."""
    loaded = load(options)
    return None if loaded is None else planned(loaded, options)


def status(options: Options) -> Planned:
    """How lockfile, manifest, cache and tree stand to each other: the same value as a plan."""
    planned = _noting(plan(options) or planner.plan(options), only_in_tree)
    return _noting(planned, check_status.noted) if planned.is_checked else planned


def shown(options: Options) -> Planned:
    """The plan as `plan` shows it, with a word on pictures that exist on this machine alone, and on models that retire."""
    return _noting(_noting(plan(options) or planner.plan(options), moves), only_here)


def _noting(planned: Planned, look: Callable[[Planned], Iterator[Problem]]) -> Planned:
    notices = (*planned.plan.notices, *look(planned))
    return replace(planned, plan=replace(planned.plan, notices=notices))


def planned(loaded: Loaded, options: Options) -> Planned | None:
    """The plan for what was loaded in part; None when the whole walk has to make it."""
    try:
        return make(loaded, options)
    except (QwenbuildError, OSError, ValueError):
        return None  # whatever is wrong, the walk says it in its own words


def load(options: Options) -> Loaded | None:
    """What has to be looked at, and which assets need not be; None when everything has to.

    Raises InputError for a manifest that is none.
    """
    if options.provider or options.output or options.force or options.strict or options.shard:
        return None
    path = manifest.find(options.folder, options.file)
    place = statefile.path_of(str(path))
    state = statefile.read(place)
    changed = None if state is None else _changed(state, path)
    if state is None or changed is None:
        return None
    memory = entryfile.read(entryfile.path_of(place), state.values.get("kept", ""))
    if memory is None:
        return None
    try:
        with uncollected():
            return _rest(_manifest(path, memory, changed), memory, state, changed)
    except (QwenbuildError, OSError, ValueError):
        return None


def _manifest(path: Path, memory: Memory, changed: Set[str]) -> Manifest:
    """The manifest: as it was read, while its file is untouched."""
    if memory.manifest is None or path.name in changed:
        return manifest.load(path)
    return manifestfile.decoded(memory.manifest, path, manifestfile.UnreadSource(lambda: manifest.load(path).source))


def _rest(manifest: Manifest, memory: Memory, state: Snapshot, changed: Set[str]) -> Loaded | None:
    root = manifest.folder / manifest.output
    refuse_links(manifest)
    if os.path.normpath(manifest.folder / state.values["root"]) != os.path.normpath(root):
        return None
    believer = _Believer(manifest, memory, state, changed, str(root))
    return believer.loaded() if believer.lock is not None else None


# ---------------------------------------------------------------- what is believed


def _changed(state: Snapshot, path: Path) -> set[str] | None:
    """The inputs that are not as they were; None when the state is of no use here.

    The manifest may have changed, the lockfile, and the journal: what the plan needs of them is read again.
    """
    values = state.values
    if state.paths[0] != path.name or values["tool"] != statefile.tool() or values["environment"] != statefile.environment():
        return None
    inputs, leads = statefile.look(str(path.parent), state.paths[: state.inputs])
    if values["until"] <= statefile.today() or statefile.word(leads) != values["leads"]:
        return None
    return {path for at, (path, signature) in enumerate(inputs) if signature != state.signature(at)}


class _Believer:
    """What of one remembered state is believed, and the loading of everything else."""

    def __init__(self, manifest: Manifest, memory: Memory, state: Snapshot, changed: Set[str], root: str) -> None:
        self.manifest = manifest
        self.memory = memory
        self.state = state
        self.changed = changed
        self.root = root
        self.lock_path = lockfile.path_of(Path(manifest.file))
        self.remembered = {asset.name: asset for asset in memory.assets}
        self.known: dict[str, KnownAsset] = {}
        self.shards: tuple[tuple[str, int], ...] = ()
        self.new_records: set[int] = set()
        self.lock = self._changed_lock() if self.lock_path.name in changed else lockfile.Lock(canonical=memory.canonical)

    def _changed_lock(self) -> lockfile.Lock | None:
        """The records that are not as they were; None where it is another lockfile altogether."""
        if not self.memory.canonical:
            return None
        prints = self.memory.columns.records
        places = {print_at(prints, at): at for at in range(len(prints) // PRINT)}
        part = lockfile.changed_part(self.lock_path, places, Path(self.manifest.file).name, canonical=self.memory.canonical)
        if part is None:
            return None
        lock, seen = part
        left = bytearray(b"\1") * len(self.memory.columns.ids)
        for at in seen:
            left[at] = 0
        self.new_records = {at for at, each in enumerate(left) if each}
        ids = self.memory.columns.ids
        return lock if lock.entries.keys().isdisjoint(ids[at] for at in seen) else None

    # ------------------------------------------------------------ assets

    def loaded(self) -> Loaded | None:
        """What the walk would have loaded, but for the believed entries; None where nothing is believed."""
        blobs = self._blobs()
        for asset, (word, frame) in zip(self.manifest.assets, prints(self.manifest).values(), strict=True):
            remembered = self.remembered.get(asset.name)
            if remembered is None or remembered.frame != frame or not self.changed.isdisjoint(remembered.read):
                continue
            moved = remembered.print != word or remembered.data in self.changed
            touched = {*self._touched(remembered, blobs)}
            count = sum(run.count for run in remembered.runs)
            if len(touched) <= max(MOST_TOUCHED, count // 4):
                self.known[asset.name] = KnownAsset(remembered, self.memory, touched, moved=moved)
        self._remake()
        return self._loaded() if self.known else None

    def _blobs(self) -> set[str] | None:
        """The vault's blobs, where others were added or taken away; None where they are those that the pictures were among."""
        folder = self.state.values["blobs"]
        self.shards = tuple(statefile.shards(folder))
        same = statefile.vault(folder) == self.state.values["vault"]
        return None if same else Cache.open(cache_dir(os.environ)).known_blobs()

    def _touched(self, asset: RememberedAsset, blobs: Set[str] | None) -> Iterator[int]:
        """The entries, by their places in the columns, that lost their picture, their record or a file's signature."""
        for run in asset.runs:
            if blobs is not None:
                yield from (at for at, digest in enumerate(self.memory.pictures(run), run.first) if digest not in blobs)
            if self.new_records:
                yield from (at for at in range(run.first, run.first + run.count) if at in self.new_records)
            yield from self._touched_files(run)

    def _touched_files(self, run: FreshRun) -> Iterator[int]:
        state, start = self.state, self.state.inputs + run.file
        ends: list[int] = []
        for first in range(start, start + run.files, BATCH):
            last = min(first + BATCH, start + run.files)
            paths = state.paths[first:last]
            if not statefile.same_files(self.root, paths, state.signatures[4 * first : 4 * last]):
                ends = ends or list(accumulate(file_counts(self.memory, run)))
                current = dict(tree.signatures(Path(self.root), paths))
                changed = (at for at, path in enumerate(paths, first) if current.get(path) != state.signature(at))
                yield from (run.first + bisect_right(ends, at - start) for at in changed)

    def _remake(self) -> None:
        """Make the touched entries from the columns, in assets whose rows and axes are the same, where that can be."""
        columns = self.memory.columns
        for known in self.known.values():
            whole = sum(run.count for run in known.asset.runs) == known.asset.size
            if not known.moved and whole and all(columns.numbers[WIDTH * at + 4] for at in known.touched):
                places = sorted(known.touched)
                known.remade = [entry_at(known.asset, columns, at, known.paths(at, self.state)) for at in places]

    # ------------------------------------------------------------ loading the rest

    def _loaded(self) -> Loaded | None:
        """Everything about the other entries, in the places where the walk would have it. Raises InputError."""
        manifest = self.manifest
        done = {name: known for name, known in self.known.items() if known.remade is not None}
        others = replace(manifest, assets=tuple(asset for asset in manifest.assets if asset.name not in done))
        combinations = sum(known.asset.combinations for known in done.values())
        spent = replace(self.memory.spent, combinations=combinations, entries=combinations)
        expansion = expand(others, spent, {name: each for name, each in self.known.items() if name not in done}, prints=True)
        fresh = self._fresh(expansion)
        lock = self._lock(fresh) if fresh.assets else None
        if lock is None:
            return None
        catalog = Catalog.load(manifest.models)
        entries = tuple(entry for asset in manifest.assets for entry in self._entries(asset.name, expansion))
        resolved = resolve.resolve(
            _with_samples(manifest.assets, entries, fresh),
            manifest,
            today=statefile.today(),
            catalog=catalog,
            seeds={id: entry.seeds for id, entry in lock.entries.items() if entry.seeds},
        )
        if resolved.problems or not all(each.has_its_keys(resolved.keyed) for each in done.values()):
            return None
        remade_read = {path for known in done.values() for path in known.asset.files_read}
        loaded = Loaded(
            manifest=manifest,
            entries=entries,
            keyed=resolved.keyed,
            notices=(*manifest.warnings, *expansion.warnings, *resolved.notices),
            catalog=catalog,
            lock_path=self.lock_path.resolve(),
            lock=lock,
            root=manifest.folder / manifest.output,
            state=manifest.folder / STATE,
            read=tuple(sorted({*expansion.read, *remade_read, *(file for each in plugins.used() for file in each.files)})),
            palettes=expansion.palettes,
            spent=expansion.spent,
            prints={**expansion.prints, **{name: known.prints_of_remade() for name, known in done.items()}},
            sizes={**expansion.sizes, **{name: known.asset.combinations for name, known in done.items()}},
            fresh_assets=fresh,
        )
        new, remade = ([e for e in entries if (e.asset in done) is known] for known in (False, True))
        return loaded if _fits(loaded, fresh, new, remade) else None

    def _entries(self, name: str, expansion: Expansion) -> Sequence[Entry]:
        known = self.known.get(name)
        if known is not None and known.remade is not None:
            return known.remade
        return expansion.by_asset.get(name, ())

    def _fresh(self, expansion: Expansion) -> FreshAssets:
        known = {asset.name: self.known[asset.name] for asset in self.manifest.assets if asset.name in self.known}
        runs = {name: mine for name, each in known.items() if (mine := each.runs())}
        walked = {name: [entry.id for entry in self._entries(name, expansion)] for name in runs}
        sizes = {name: sum(run.count for run in mine) + len(walked[name]) for name, mine in runs.items()}
        every = tuple(run for mine in runs.values() for run in mine)
        return FreshAssets(self.memory, self.state, every, sizes, walked, shards=self.shards)

    def _lock(self, fresh: FreshAssets) -> lockfile.Lock | None:
        """The lockfile without the records of the believed entries; None when it is not the one that was looked at."""
        memory, ids = self.memory, self.memory.columns.ids
        others = {ids[place] for place in fresh.others}
        if self.lock is not None and self.lock.exists:
            same = {id for id in others if id not in self.lock.entries}
            more = lockfile.part_of(self.lock.raw, same - self.gone)
            return more and replace(self.lock, entries={**self.lock.entries, **more.entries})
        lock = lockfile.part(self.lock_path, others.union(memory.loose), len(memory.loose) + len(ids))
        ((_, signature),), _ = statefile.look(str(self.lock_path.parent), [self.lock_path.name])
        if lock is None or signature != self.state.signature(self.state.paths.index(self.lock_path.name)):
            return None
        return replace(lock, canonical=memory.canonical)

    @property
    def gone(self) -> set[str]:
        """The ids whose records are no longer what they were, or no longer there."""
        return {self.memory.columns.ids[at] for at in self.new_records}


def _with_samples(assets: Sequence[Asset], entries: Sequence[Entry], fresh: FreshAssets) -> list[Entry]:
    """The entries in the manifest's order, and one for each kind of a believed asset's, of which there may be notices."""
    by_asset: dict[str, list[Entry]] = {asset.name: [] for asset in assets}
    for name, asset in fresh.remembered_assets.items():
        by_asset[name] = [Entry("", name, kind.provider, kind.model, "", kind.params, 0, ()) for kind in asset.kinds]
    for entry in entries:
        by_asset[entry.asset].append(entry)
    return [entry for name in by_asset for entry in by_asset[name]]


# ---------------------------------------------------------------- together


def _fits(loaded: Loaded, fresh: FreshAssets, new: Sequence[Entry], remade: Sequence[Entry]) -> bool:
    """Whether nothing is called or written twice: the entries that were expanded know nothing of the believed ones. `new` are
    those that the last build may not have seen, `remade` the others.
    """
    paths = [spec.path for entry in new for spec in entry.outputs]
    paths += [path for atlas in loaded.manifest.atlases for path in paths_of(atlas)]
    if not paths:
        return True
    ids, files = set(fresh.ids()), _keys(fresh.files())
    ids.update(entry.id for entry in remade)
    files |= _keys([spec.path for entry in remade for spec in entry.outputs])
    keys = {collision_key(path) for path in paths}
    above = {folder for key in keys for folder in parents(key)}
    if not ids.isdisjoint(entry.id for entry in new) or not files.isdisjoint(keys | above):
        return False
    if not keys.isdisjoint(folder for head in {key.rpartition("/")[0] for key in files} for folder in (head, *parents(head))):
        return False
    return (keys | files).isdisjoint(key_below(loaded.manifest.output, path) for path in _sources(loaded, fresh))


def _keys(paths: Sequence[str]) -> set[str]:
    """The collision key of each path, at once where all are plain."""
    text = "\0".join(paths)
    return set(text.lower().split("\0")) if text.isascii() else set(map(collision_key, paths))


def _sources(loaded: Loaded, fresh: FreshAssets) -> Iterator[str]:
    """The files that no output may replace."""
    yield from loaded.read
    yield from fresh.files_read()
    yield from (Path(loaded.manifest.file).name, "qwenbuild.lock")
