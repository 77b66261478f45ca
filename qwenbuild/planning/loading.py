"""Load a project: manifest, lockfile, entries and their keys, as the command line's options change them.

Knows no cache, no output tree and no plan.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from qwenbuild import plugins, resolve
from qwenbuild.catalog import FAMILIES, Catalog
from qwenbuild.errors import InputError, Problem
from qwenbuild.expand.budget import Spent
from qwenbuild.expand.expansion import expand
from qwenbuild.lock import lockfile
from qwenbuild.manifest import find as find_manifest
from qwenbuild.manifest import inside
from qwenbuild.manifest import load as load_manifest
from qwenbuild.model import Entry, Keyed, Manifest
from qwenbuild.nearmiss import did_you_mean, near
from qwenbuild.planning.fresh_assets import FreshAssets
from qwenbuild.project.identity import project_of
from qwenbuild.project.options import STATE, Options
from qwenbuild.snapshot import statefile
from qwenbuild.tree import Remembered


@dataclass(frozen=True, slots=True)
class Loaded:
    """The manifest and everything it asks for, keyed. `root` is the output tree, `state` the project's own folder.

    `prints` are those of each asset's entries, where they were asked for; `sizes` counts each asset's rows and combinations.
    `fresh_assets` are assets that are believed to be fresh: of their entries, their records and what they read nothing is here.
    """

    manifest: Manifest
    entries: tuple[Entry, ...]
    keyed: tuple[Keyed, ...]
    notices: tuple[Problem, ...]
    catalog: Catalog
    lock_path: Path
    lock: lockfile.Lock
    root: Path
    state: Path
    read: tuple[str, ...] = ()
    palettes: Mapping[str, str] = field(default_factory=dict)
    spent: Spent = field(default_factory=Spent)
    prints: Mapping[str, bytes] = field(default_factory=dict)
    sizes: Mapping[str, int] = field(default_factory=dict)
    fresh_assets: FreshAssets | None = None

    @property
    def project(self) -> str:
        """By what the journal knows this project: its lockfile's path when it first bought. Raises CacheError."""
        return project_of(self.state, self.lock_path)


@contextmanager
def uncollected() -> Iterator[None]:
    """No cyclic garbage collection while large structures grow: nothing in them is garbage yet."""
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def today() -> str:
    """The day, UTC, as the lockfile writes it."""
    return datetime.now(UTC).date().isoformat()


def load(options: Options, instead: Manifest | None = None, *, prints: bool = False) -> Loaded:
    """Load, expand and key; `instead` stands for what the manifest's file says, `prints` are for whoever remembers it.

    Raises InputError with every problem found.
    """
    with uncollected():
        path = find_manifest(options.folder, options.file)
        manifest = _overridden(instead or load_manifest(path), options)
        lock_path = lockfile.path_of(_lock_beside(path, manifest, options))
        lock = lockfile.read(lock_path)
        expansion = expand(manifest, prints=prints)
        catalog = Catalog.load(manifest.models)
        seeds = {id: entry.seeds for id, entry in lock.entries.items() if entry.seeds}
        resolved = resolve.resolve(expansion.entries, manifest, today=today(), catalog=catalog, seeds=seeds)
    notices = (*manifest.warnings, *expansion.warnings, *resolved.notices)
    problems = (*resolved.problems, *(_strict(notices) if options.strict else ()))
    if problems:
        raise InputError(problems[0].message, code=problems[0].code, problems=problems)
    if not options.output:
        refuse_links(manifest)
    return Loaded(
        manifest=manifest,
        entries=expansion.entries,
        keyed=resolved.keyed,
        notices=notices,
        catalog=catalog,
        lock_path=lock_path.resolve(),
        lock=lock,
        root=_output_root(manifest, options),
        state=manifest.folder / STATE,
        read=(*expansion.read, *(file for each in plugins.used() for file in each.files)),
        palettes=expansion.palettes,
        spent=expansion.spent,
        prints=expansion.prints,
        sizes=expansion.sizes,
    )


def refuse_links(manifest: Manifest) -> None:
    """Raises InputError when the output folder or the project's own is a link that leads out of the project.

    A manifest may come from someone else: what it makes is written inside its folder.
    """
    for name in (manifest.output, STATE):
        try:
            inside(manifest.folder, name)
        except ValueError:
            message = f"{manifest.folder / name} is a link that leads out of the project; nothing is written through it"
            hint = "make it a folder of its own; --output DIR names one anywhere" if name != STATE else "make it a folder"
            problem = Problem("link-outside", message, hint=hint)
            raise InputError(message, code=problem.code, problems=(problem,)) from None


def _strict(notices: Sequence[Problem]) -> tuple[Problem, ...]:
    """Under --strict warnings about the manifest are errors; notices about models are not."""
    return tuple(notice for notice in notices if not notice.code.startswith("model-"))


def _overridden(manifest: Manifest, options: Options) -> Manifest:
    """The manifest under --provider: another family only into another folder, with the lockfile there."""
    if options.provider is None:
        return replace(manifest, output=options.output) if options.output else manifest
    known_provider(manifest, options.provider)
    if _families(manifest, options.provider) and not options.output:
        raise InputError(
            f"--provider {options.provider} draws other pictures than the manifest's: pass --output DIR for them",
            code="provider-needs-output",
        )
    assets = tuple(replace(asset, provider=None) for asset in manifest.assets)
    return replace(manifest, provider=options.provider, assets=assets, output=options.output or manifest.output)


def known_provider(manifest: Manifest, name: str) -> None:
    """Raises InputError with the near miss for a name that is neither a provider of the manifest nor a built-in type."""
    if name in manifest.providers or name in FAMILIES:
        return
    names = {*manifest.providers, *FAMILIES, *plugins.names("provider")}
    hint = did_you_mean(near(name, names), quote="'") or f"known: {', '.join(sorted(names))}"
    problem = Problem("unknown-provider", f"there is no provider {name!r}", hint=hint)
    raise InputError(problem.message, code=problem.code, problems=(problem,))


def _families(manifest: Manifest, name: str) -> bool:
    """Whether any asset's pictures would come from another family than the manifest says."""
    family = resolve.settings_of(manifest, name).type
    names = {asset.provider or manifest.provider for asset in manifest.assets}
    return any(resolve.settings_of(manifest, used).type != family for used in names)


def _output_root(manifest: Manifest, options: Options) -> Path:
    if options.output:
        return (options.folder / options.output).absolute()
    return manifest.folder / manifest.output


def _lock_beside(path: Path, manifest: Manifest, options: Options) -> Path:
    """The lockfile stands beside the manifest, or in the folder of --output."""
    return _output_root(manifest, options) / path.name if options.output else path


def recalled(loaded: Loaded) -> Remembered:
    """The tree's digests as the last build knew them, by signature; empty when there is nothing to be trusted."""
    state = statefile.read(statefile.path_of(str(loaded.manifest.folder / os.path.basename(loaded.manifest.file))))
    same = state is not None and os.path.realpath(loaded.manifest.folder / state.values["root"]) == os.path.realpath(
        loaded.root
    )
    return state.outputs() if state is not None and same else {}
