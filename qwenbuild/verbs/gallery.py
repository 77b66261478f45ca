"""Put together what the gallery and the review show: the plan's cards, their pictures' sources, what people wrote.

Knows no HTML.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from qwenbuild.errors import Problem
from qwenbuild.gallery import Before, CardFacts, Sources, Thumbnails, WrittenGallery, cards, lock_at, write
from qwenbuild.gallery.cards import Card
from qwenbuild.gallery.folder import refuse_foreign
from qwenbuild.gallery.standins import stand_in
from qwenbuild.model import Step
from qwenbuild.planning.planner import Planned, plan
from qwenbuild.project.options import Options

GALLERY, THUMBNAILS = "gallery", "thumbnails"
"""Folders in the project's own one: the page, and the small pictures that every page shares."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A gallery that was written, and what is worth saying about it."""

    made: WrittenGallery
    notices: tuple[Problem, ...] = ()


def gallery(
    options: Options,
    folder: Path | None,
    *,
    against: str | None = None,
    sheets: bool = False,
    told: Callable[[int, int], None] = lambda done, all: None,
) -> Shown:
    """Write the gallery into `folder`, by default the project's own. Raises InputError, CacheError, OSError."""
    planned = plan(options)
    folder = folder or planned.loaded.state / GALLERY
    refuse_foreign(folder)
    before = earlier(planned, against)
    made = write(
        folder,
        all_cards(planned, before),
        thumbnails(planned, before),
        title=title(planned),
        facts={"against": against or "", "live": False},
        sheets=sheets,
        progress=told,
    )
    return Shown(made, (*planned.notices, *_without_lockfile(planned, before)))


def earlier(planned: Planned, against: str | None) -> Before | None:
    """The lockfile of the revision asked for. Raises InputError."""
    return lock_at(planned.loaded.lock_path, against) if against else None


def _without_lockfile(planned: Planned, before: Before | None) -> tuple[Problem, ...]:
    if before is None or before.exists:
        return ()
    return (Problem("no-lockfile", f"{before.name} has no {planned.loaded.lock_path.name}: every entry is new"),)


def all_cards(planned: Planned, before: Before | None = None) -> list[Card]:
    """The cards of what was selected; what is gone since `before` only where everything is shown."""
    loaded = planned.loaded
    steps = [step for step in planned.plan.steps if _is_chosen(planned, step)]
    names = {step.id: step.moved_from or step.id for step in steps}
    look = CardFacts(
        steps=steps,
        lock=loaded.lock.entries,
        results=planned.cache.results([one.candidate.key for step in steps for one in step.candidates if one.candidate.key]),
        before=before,
    )
    weight = sources(planned, before).weight
    olds = {} if before is None else before.entries
    made = [
        stand_in(card, look.lock.get(names.get(card["id"], "")), olds.get((card["before"] or card)["id"]), weight)
        for card in cards(look)
    ]
    return made if planned.selected is None else [card for card in made if card["verdict"] != "removed"]


def _is_chosen(planned: Planned, step: Step) -> bool:
    return planned.selected is None or step.id in planned.selected


def thumbnails(planned: Planned, before: Before | None = None) -> Thumbnails:
    """The project's small pictures."""
    return Thumbnails(planned.loaded.state / THUMBNAILS, sources(planned, before).read)


def sources(planned: Planned, before: Before | None = None) -> Sources:
    """Where the bytes of pictures are."""
    return Sources.of(planned.cache, planned.loaded.root, planned.seen.facts.files, before)


def title(planned: Planned) -> str:
    """The project's name: its folder's."""
    return planned.manifest.folder.resolve().name or "gallery"
