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
from qwenbuild.catalog import Catalog, is_free
from qwenbuild.errors import Problem, QwenbuildError
from qwenbuild.expand.expansion import expand
from qwenbuild.expand.paths import collision_key, key_below, parents
from qwenbuild.lock import lockfile
from qwenbuild.model import Asset, Entry, Manifest
from qwenbuild.planning import planner
from qwenbuild.planning.check_status import noted
from qwenbuild.planning.eligibility import prints
from qwenbuild.planning.fresh_assets import FreshAssets
from qwenbuild.planning.holdings import only_here, only_in_tree
from qwenbuild.planning.loading import Loaded, refuse_links, uncollected
from qwenbuild.planning.moves import moves
from qwenbuild.planning.planner import Planned, make
from qwenbuild.project.options import STATE, Options
from qwenbuild.snapshot import entryfile, statefile
from qwenbuild.snapshot.entryfile import Columns, FreshRun, Memory
from qwenbuild.snapshot.statefile import Snapshot

MOST_TOUCHED = 500
"""Of an asset with more entries of which a file was touched everything is looked at."""
BATCH = 1000
"""Files that are looked at one by one where any of them was touched."""


def plan(options: Options) -> Planned | None:
    """The plan, as the whole walk would make it; None when it has to. Raises InputError for a manifest that is none."""
    loaded = load(options)
    return None if loaded is None else planned(loaded, options)


def status(options: Options) -> Planned:
    """How lockfile, manifest, cache and tree stand to each other: the same value as a plan."""
    return _noting(_noting(plan(options) or planner.plan(options), only_in_tree), noted)


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
            return _rest(manifest.load(path), memory, state, changed)
    except (QwenbuildError, OSError, ValueError):
        return None


def _rest(manifest: Manifest, memory: Memory, state: Snapshot, changed: Set[str]) -> Loaded | None:
    root = manifest.folder / manifest.output
    refuse_links(manifest)
    if manifest.atlases or os.path.normpath(manifest.folder / state.values["root"]) != os.path.normpath(root):
        return None
    fresh = FreshAssets(memory, state, tuple(_believed(manifest, memory, state, changed, str(root))))
    loaded = _loaded(manifest, fresh, root) if fresh.assets else None
    return loaded if loaded is not None and _fits(loaded, fresh) else None


# ---------------------------------------------------------------- what is believed


def _changed(state: Snapshot, path: Path) -> set[str] | None:
    """The inputs that are not as they were; None when the state is of no use here.

    The manifest may have changed, and the journal: what the plan needs of them is read again. The lockfile may not.
    """
    values = state.values
    if state.paths[0] != path.name or values["tool"] != statefile.tool() or values["environment"] != statefile.environment():
        return None
    inputs, leads = statefile.look(str(path.parent), state.paths[: state.inputs])
    if values["until"] <= statefile.today() or statefile.word(leads) != values["leads"]:
        return None
    changed = {path for at, (path, signature) in enumerate(inputs) if signature != state.signature(at)}
    return None if lockfile.path_of(path).name in changed else changed


def _believed(manifest: Manifest, memory: Memory, state: Snapshot, changed: Set[str], root: str) -> Iterator[FreshRun]:
    """Runs of entries whose assets say what they said, and whose inputs and files are as they were."""
    assets = {asset.name: asset for asset in memory.assets}
    blobs = _blobs(state)
    for name, word in prints(manifest).items():
        asset = assets.get(name)
        if asset is None or asset.print != word or not changed.isdisjoint(asset.read):
            continue
        lost = () if blobs is None else [at for at, digest in enumerate(memory.pictures(asset)) if digest not in blobs]
        touched = {*lost, *_touched(asset, memory, state, root)}
        if len(touched) <= MOST_TOUCHED:
            yield from _runs(asset, memory, sorted(touched))


def _blobs(state: Snapshot) -> set[str] | None:
    """The vault's blobs, where others were added or taken away; None where they are those that the pictures were among."""
    if statefile.vault(state.values["blobs"]) == state.values["vault"]:
        return None
    return Cache.open(cache_dir(os.environ)).known_blobs()


def _touched(asset: FreshRun, memory: Memory, state: Snapshot, root: str) -> Iterator[int]:
    """The entries, counted from the asset's first, with a file that is not as it was."""
    start = state.inputs + asset.file
    ends = list(accumulate(memory.columns.numbers[3 * asset.first + 2 : 3 * (asset.first + asset.count) : 3]))
    for first in range(start, start + asset.files, BATCH):
        last = min(first + BATCH, start + asset.files)
        paths = state.paths[first:last]
        if not statefile.same_files(root, paths, state.signatures[4 * first : 4 * last]):
            current = dict(tree.signatures(Path(root), paths))
            changed = (at for at, path in enumerate(paths, first) if current.get(path) != state.signature(at))
            yield from (bisect_right(ends, at - start) for at in changed)


def _runs(asset: FreshRun, memory: Memory, touched: Sequence[int]) -> Iterator[FreshRun]:
    """The entries between those that were touched."""
    numbers, file, start = memory.columns.numbers, asset.file, 0
    free = {number for number, kind in enumerate(asset.kinds) if is_free(kind.family)}
    for stop in (*touched, asset.count):
        first, last = asset.first + start, asset.first + stop
        files, kinds = sum(numbers[3 * first + 2 : 3 * last : 3]), numbers[3 * first : 3 * last : 3]
        paid = asset.paid and sum(kind not in free for kind in kinds)
        if stop > start:
            yield replace(asset, first=first, count=stop - start, file=file, files=files, paid=paid)
        start = stop + 1
        file += files + (numbers[3 * last + 2] if stop < asset.count else 0)


# ---------------------------------------------------------------- loading the rest


def _loaded(manifest: Manifest, fresh: FreshAssets, root: Path) -> Loaded | None:
    """Everything about the other assets, in the places where the walk would have it. Raises InputError."""
    places = {asset.name: fresh.left(asset) for asset in fresh.memory.assets if asset.name in fresh.runs}
    first = {asset.name: asset.first for asset in fresh.memory.assets}
    only = {name: {place - first[name] for place in left} for name, left in places.items() if left}
    path = Path(manifest.file)
    lock_path = lockfile.path_of(path)
    lock = _lock(lock_path, fresh)
    if lock is None:
        return None
    others = replace(manifest, assets=tuple(asset for asset in manifest.assets if places.get(asset.name) != []))
    spent = replace(fresh.memory.spent, entries=fresh.count)
    expansion = expand(others, spent, only)
    if not all(_says_the_same(fresh.memory.columns, places[name], expansion.entries, name) for name in only):
        return None
    catalog = Catalog.load(manifest.models)
    resolved = resolve.resolve(
        _with_samples(manifest.assets, expansion.entries, fresh),
        manifest,
        today=statefile.today(),
        catalog=catalog,
        seeds={id: entry.seeds for id, entry in lock.entries.items() if entry.seeds},
    )
    if resolved.problems:
        return None
    return Loaded(
        manifest=manifest,
        entries=expansion.entries,
        keyed=resolved.keyed,
        notices=(*manifest.warnings, *expansion.warnings, *resolved.notices),
        catalog=catalog,
        lock_path=lock_path.resolve(),
        lock=lock,
        root=root,
        state=manifest.folder / STATE,
        read=(*expansion.read, *(file for each in plugins.used() for file in each.files)),
        palettes=expansion.palettes,
        spent=expansion.spent,
        fresh_assets=fresh,
    )


def _lock(path: Path, fresh: FreshAssets) -> lockfile.Lock | None:
    """The lockfile without the records of the believed assets; None when it is not the remembered one, as it was."""
    memory = fresh.memory
    others = {memory.columns.ids[place] for asset in memory.assets for place in fresh.left(asset)}
    lock = lockfile.part(path, others.union(memory.loose), len(memory.loose) + len(memory.columns.ids))
    ((_, signature),), _ = statefile.look(str(path.parent), [path.name])
    if lock is None or signature != fresh.state.signature(fresh.state.paths.index(path.name)):
        return None
    return replace(lock, canonical=memory.canonical)


def _says_the_same(columns: Columns, places: Sequence[int], entries: Sequence[Entry], name: str) -> bool:
    """Whether an asset's entries that were expanded alone are those that were remembered."""
    expanded = [(entry.id, entry.prompt, entry.seed, len(entry.outputs)) for entry in entries if entry.asset == name]
    numbers = columns.numbers
    return expanded == [(columns.ids[at], columns.prompts[at], columns.seeds[at], numbers[3 * at + 2]) for at in places]


def _with_samples(assets: Sequence[Asset], entries: Sequence[Entry], fresh: FreshAssets) -> list[Entry]:
    """The entries in the manifest's order, and one for each kind of a believed asset's, of which there may be notices."""
    by_asset: dict[str, list[Entry]] = {asset.name: [] for asset in assets}
    for name, runs in fresh.runs.items():
        by_asset[name] = [Entry("", name, kind.provider, kind.model, "", kind.params, 0, ()) for kind in runs[0].kinds]
    for entry in entries:
        by_asset[entry.asset].append(entry)
    return [entry for name in by_asset for entry in by_asset[name]]


# ---------------------------------------------------------------- together


def _fits(loaded: Loaded, fresh: FreshAssets) -> bool:
    """Whether nothing is called or written twice: the entries that were expanded know nothing of the believed ones."""
    ids, files = set(fresh.ids()), _keys(fresh.files())
    paths = [spec.path for entry in loaded.entries for spec in entry.outputs]
    keys = {collision_key(path) for path in paths}
    above = {folder for key in keys for folder in parents(key)}
    if not ids.isdisjoint(entry.id for entry in loaded.entries) or not files.isdisjoint(keys | above):
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
    yield from (path for asset in fresh.assets for path in asset.read)
    yield from (Path(loaded.manifest.file).name, "qwenbuild.lock")
