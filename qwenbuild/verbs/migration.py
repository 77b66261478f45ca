"""Move a manifest from one model to another: which lines change, what would be generated then, and for how much.

Pays nothing and draws nothing; of the manifest it changes the model's name alone.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from qwenbuild import files, manifest, resolve
from qwenbuild.catalog import Catalog
from qwenbuild.errors import InputError, Problem
from qwenbuild.later import later
from qwenbuild.model import Manifest, ProviderSettings
from qwenbuild.nearmiss import did_you_mean
from qwenbuild.planning import loading, planner
from qwenbuild.planning.planner import Planned
from qwenbuild.project.options import Options

with later:
    from qwenbuild.manifest import edits

BOM = b"\xef\xbb\xbf"
Place = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Migration:
    """What a move changes. `planned` is the plan under the changed manifest, whether or not it was written.

    `by_hand` are places that only a person can change.
    """

    file: str
    lines: tuple[edits.ChangedLine, ...]
    by_hand: tuple[Problem, ...]
    planned: Planned
    written: bool


def migrate(options: Options, models: Mapping[str, str], *, dry: bool = False) -> Migration:
    """Put new models in the place of old ones (old → new) and plan. Where nothing names an old one any more, nothing changes.

    Raises InputError for a model that nobody knows, or one that cannot draw what the manifest asks for: nothing is written.
    """
    path = manifest.find(options.folder, options.file)
    before = path.read_bytes()
    asked = manifest.load(path)
    first = edits.source_of(asked.source).text.characters
    for old, new in models.items():
        asked = _moved(path, asked, old, new)
    after = edits.source_of(asked.source).text.characters
    loaded = loading.load(options, asked)
    planned = planner.make(loaded, options)
    if written := after != first and not dry:
        _write(path, before, after)
    return Migration(str(path), edits.changed_lines(first, after), tuple(_by_hand(planned, models)), planned, written)


def _write(path: Path, before: bytes, after: str) -> None:
    """Raises InputError when the file was changed meanwhile; its mode stays, and a link leads where it led."""
    target = path.resolve()
    if target.read_bytes() != before:
        raise InputError(f"{path} was changed by somebody else just now; nothing was written", code="changed-meanwhile")
    mode = target.stat().st_mode & 0o7777
    files.replace(target, (BOM if before.startswith(BOM) else b"") + after.encode("utf-8"))
    os.chmod(target, mode)


# ---------------------------------------------------------------- where a model is named


def _moved(path: Path, asked: Manifest, old: str, new: str) -> Manifest:
    """The manifest with one model in the place of another. Raises InputError."""
    catalog = Catalog.load(asked.models)
    source = edits.source_of(asked.source)
    _known(asked, catalog, old, new)
    named = [place for place, settings in _named(asked, old) if _has(catalog, settings, new)]
    made = [edit for place in named if (edit := edits.replaced(source, place, new)) is not None]
    made += _given(asked, catalog, old, new)
    if not made:
        return asked
    changed = manifest.load_text(path, edits.applied(source.text, made))
    if _without_models(changed) != _without_models(asked):
        words = f"{old} cannot be exchanged in {path} without changing something else; change it by hand"
        raise InputError(words, code="migrate")
    return changed


def _without_models(asked: Manifest) -> Manifest:
    """The manifest but for the models that it names."""
    providers = {name: replace(settings, model=None) for name, settings in asked.providers.items()}
    assets = tuple(replace(asset, model=None) for asset in asked.assets)
    defaults = replace(asked.defaults, model=None)
    return replace(asked, providers=providers, assets=assets, defaults=defaults, warnings=())


def _named(asked: Manifest, model: str) -> Iterator[tuple[Place, ProviderSettings]]:
    """Every place that names a model, and the provider that it names it to."""
    for name, settings in asked.providers.items():
        if settings.model == model:
            yield ("providers", name, "model"), settings
    if asked.defaults.model == model:
        yield ("defaults", "model"), resolve.settings_of(asked, asked.provider)
    for asset in asked.assets:
        if asset.model == model:
            yield ("assets", asset.name, "model"), resolve.settings_of(asked, asset.provider or asked.provider)


def _has(catalog: Catalog, settings: ProviderSettings, model: str) -> bool:
    """Whether a provider's API has a model, or is told to take any."""
    return catalog.find(settings.type, model, settings.allow_unknown_model) is not None


def _given(asked: Manifest, catalog: Catalog, old: str, new: str) -> Iterator[edits.Edit]:
    """An edit for each block whose entries take the old model because nobody names one: there the new one is named."""
    source, done = edits.source_of(asked.source), set[Place]()
    for asset in asked.assets:
        provider = asset.provider or asked.provider
        settings = resolve.settings_of(asked, provider)
        unsaid = not (asset.model or settings.model or asked.defaults.model)
        if not unsaid or catalog.default(settings.type).id != old or not _has(catalog, settings, new):
            continue
        for place in (("providers", provider), ("assets", asset.name)):
            edit = edits.added(source, place, "model", new)
            if edit is not None:
                if place not in done:
                    yield edit
                done.add(place)
                break


def _known(asked: Manifest, catalog: Catalog, old: str, new: str) -> None:
    """Raises InputError with the near miss for a model that no provider in use has."""
    names = {asked.provider, *asked.providers, *(asset.provider for asset in asked.assets if asset.provider)}
    used = [resolve.settings_of(asked, name) for name in sorted(names)]
    for model in (old, new):
        if any(_named(asked, model)) or any(_has(catalog, settings, model) for settings in used):
            continue
        meant = did_you_mean([name for settings in used for name in catalog.near(settings.type, model)][:1], quote="")
        message = f"no provider of the manifest has a model {model!r}"
        problem = Problem("unknown-model", message, hint=meant or "`qwenbuild providers` lists them")
        raise InputError(message, code="unknown-model", problems=(problem,))


def _by_hand(planned: Planned, models: Mapping[str, str]) -> Iterator[Problem]:
    """What still asks for an old model, and corrections of an old one that the new one does not inherit."""
    problem = planned.manifest.source.problem
    for name in dict.fromkeys(_left(planned, list(models))):
        message = f"entries of {name} still ask for a model that was to be replaced: it comes from a template or from data"
        yield problem("by-hand", message, ("assets", name, "model"))
    yield from _faster(planned, models)
    for old in models:
        if old in planned.manifest.models:
            yield problem("by-hand", f"`models` corrects {old}; what it says does not hold for {models[old]}", ("models", old))


def _faster(planned: Planned, models: Mapping[str, str]) -> Iterator[Problem]:
    """Limits of the manifest that are above what the table says of a new model: they hold for every model of a provider."""
    for name, settings in planned.manifest.providers.items():
        for new in dict.fromkeys(models.values()):
            row = planned.loaded.catalog.find(settings.type, new)
            is_limited = settings.rps is not None or settings.rpm is not None
            if row is not None and is_limited and (rate := row.rate(settings.rps, settings.rpm)) > row.rate():
                message = f"`limits` allow {60 * rate:g} submissions a minute; {new} is known to take {60 * row.rate():g}"
                yield planned.manifest.source.problem("by-hand", message, ("providers", name, "limits"))


def _left(planned: Planned, models: Sequence[str]) -> Iterator[str]:
    for step in planned.plan.steps:
        if any(candidate.action.model in models for candidate in step.keyed.candidates):
            yield step.keyed.entry.asset
