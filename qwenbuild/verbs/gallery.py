"""Put together what the gallery and the review show: the plan's cards, their pictures' sources, what people wrote.

Knows no HTML.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qwenbuild.errors import Problem
from qwenbuild.expand.places import Places, places
from qwenbuild.gallery import (
    Before,
    CardFacts,
    FileRecipe,
    PageContents,
    Sources,
    Thumbnails,
    WrittenGallery,
    atlas_sheets,
    cards,
    lock_at,
    revision,
    shipped_files,
    write,
)
from qwenbuild.gallery.cards import Card
from qwenbuild.gallery.folder import refuse_foreign
from qwenbuild.gallery.standins import stand_in
from qwenbuild.images import media_type_of, structure
from qwenbuild.model import OutputPlan, Step
from qwenbuild.plan.files import implied_steps
from qwenbuild.planning.planner import Planned, plan
from qwenbuild.project.options import Options

GALLERY, THUMBNAILS = "gallery", "thumbnails"
"""Folders in the project's own one: the page, and the small pictures that every page shares."""


@dataclass(frozen=True, slots=True)
class GalleryReport:
    """A gallery that was written, and what is worth saying about it."""

    gallery: WrittenGallery
    notices: tuple[Problem, ...] = ()


def gallery(
    options: Options,
    folder: Path | None,
    *,
    against: str | None = None,
    sheets: bool = False,
    progress: Callable[[int, int], None] = lambda done, all: None,
) -> GalleryReport:
    """Write the gallery into `folder`, by default the project's own. Raises InputError, CacheError, OSError."""
    planned = plan(options)
    folder = folder or planned.loaded.state / GALLERY
    refuse_foreign(folder)
    before = earlier(planned, against)
    images = sources(planned, before)
    written = write(
        folder,
        contents(planned, images, before),
        thumbnails(planned, images),
        images,
        title=title(planned),
        sheets=sheets,
        progress=progress,
    )
    return GalleryReport(written, (*planned.notices, *_without_lockfile(planned, before)))


def contents(planned: Planned, images: Sources, before: Before | None = None) -> PageContents:
    """Everything that a page shows."""
    axes = _axes(planned)
    facts = {"against": before.name if before else "", "live": False, "boards": boards(axes)}
    stages = tuple(shipped_files.stages(_steps(planned)))
    return PageContents(all_cards(planned, images, before, axes), atlases(planned), stages, facts)


def earlier(planned: Planned, against: str | None, *, files: bool = True) -> Before | None:
    """The lockfile of the revision asked for; with `files` that of a path, too. Raises InputError."""
    if not against:
        return None
    lock_path = planned.loaded.lock_path
    path = lock_path.parent / against
    if path == lock_path or (files and path.suffix == ".lock" and path.is_file()):
        return revision.lock_in(path, against)
    return lock_at(lock_path, against)


def _without_lockfile(planned: Planned, before: Before | None) -> tuple[Problem, ...]:
    if before is None or before.exists:
        return ()
    return (Problem("no-lockfile", f"{before.name} has no {planned.loaded.lock_path.name}: every entry is new"),)


# ---------------------------------------------------------------- cards


def all_cards(
    planned: Planned, images: Sources, before: Before | None = None, axes: Mapping[str, Places] | None = None
) -> list[Card]:
    """The cards of what was selected; what is gone since `before` only where everything is shown."""
    loaded, steps = planned.loaded, _steps(planned)
    names = {step.id: step.moved_from or step.id for step in steps}
    look = CardFacts(
        steps=steps,
        lock=loaded.lock.entries,
        results=planned.cache.results([one.candidate.key for step in steps for one in step.candidates if one.candidate.key]),
        before=before,
        tree=planned.seen.facts.files,
        places=dict(_places(planned, _axes(planned) if axes is None else axes)),
    )
    olds = {} if before is None else before.entries
    current = [
        stand_in(card, look.lock.get(names.get(card["id"], "")), olds.get((card["before"] or card)["id"]), images.weight)
        for card in cards(look)
    ]
    current = [_measured(card, images) for card in current]
    return current if planned.selected is None else [card for card in current if card["verdict"] != "removed"]


def _steps(planned: Planned) -> list[Step]:
    return [step for step in planned.plan.steps if planned.selected is None or step.id in planned.selected]


def _measured(card: Card, images: Sources) -> Card:
    """The card with the size in pixels of files of which only their bytes can tell."""
    unknown = [file for file in card["files"] if file["size"] is None and file["steps"] and file["digest"]]
    for file in unknown:
        try:
            file["size"] = list(structure.size_of(images.read(file["digest"]) or b"")[1:])
        except ValueError:
            continue
    return card


# ---------------------------------------------------------------- boards and atlases


def _axes(planned: Planned) -> dict[str, Places]:
    """The places of the entries of each asset, where they are as many as its entries."""
    numbers: dict[str, int] = {}
    for entry in planned.loaded.entries:
        numbers[entry.asset] = numbers.get(entry.asset, 0) + 1
    return {name: each for name, each in places(planned.manifest).items() if len(each.entries) == numbers.get(name)}


def _places(planned: Planned, axes: Mapping[str, Places]) -> Iterator[tuple[str, tuple[int, ...]]]:
    at: dict[str, int] = {}
    for entry in planned.loaded.entries:
        number = at.get(entry.asset, 0)
        at[entry.asset] = number + 1
        if entry.asset in axes:
            yield entry.id, axes[entry.asset].entries[number]


def boards(axes: Mapping[str, Places]) -> dict[str, Any]:
    """Asset to its axes, each with its name and the labels of its values."""
    return {name: [{"name": axis.name, "labels": list(axis.labels)} for axis in each.axes] for name, each in axes.items()}


def atlases(planned: Planned) -> list[Card]:
    """Every atlas with its sheets."""
    return atlas_sheets.atlases(planned.plan.atlases, planned.loaded.lock.atlases, planned.loaded.root)


# ---------------------------------------------------------------- bytes


def thumbnails(planned: Planned, images: Sources) -> Thumbnails:
    """The project's small pictures."""
    return Thumbnails(planned.loaded.state / THUMBNAILS, images.read)


def sources(planned: Planned, before: Before | None = None) -> Sources:
    """Where the bytes of pictures and files are."""
    loaded = planned.loaded
    sheets = {sheet["path"]: sheet["digest"] for atlas in atlases(planned) for sheet in atlas["sheets"] if sheet["digest"]}
    palettes = {digest: loaded.manifest.folder / path for digest, path in loaded.palettes.items()}
    tree = {**planned.seen.facts.files, **sheets}
    return Sources.of(planned.cache, loaded.root, tree, before, dict(_recipes(planned, before)), palettes)


def _recipes(planned: Planned, before: Before | None) -> Iterator[tuple[str, FileRecipe]]:
    """How files that are perhaps not at hand are made: those of now, and those of before if the steps are still the same."""
    olds = {} if before is None else before.entries
    for step in planned.plan.steps:
        old = olds.get(step.id)
        for output in step.outputs:
            if not output.recipe:
                continue
            yield from _recipe(step, output, output.source, output.digest)
            locked = old.outputs.get(output.spec.path) if old else None
            if old and locked and locked.recipe:
                yield from _recipe(step, output, old.digest, locked.digest)


def _recipe(step: Step, output: OutputPlan, picture: str, digest: str) -> Iterator[tuple[str, FileRecipe]]:
    if not picture or not digest:
        return
    media_type = step.candidates[step.used].media_type
    target_type = media_type_of(output.spec.path) or media_type
    yield digest, FileRecipe(picture, implied_steps(output.spec, media_type), target_type)


def title(planned: Planned) -> str:
    """The project's name: its folder's."""
    return planned.manifest.folder.resolve().name or "gallery"
