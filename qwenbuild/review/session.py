"""What all tabs look at: the cards as they are now, under one lock, with a version; and the build that runs.

Knows no HTTP. The lockfile is the truth: everything here is read from a plan and thrown away.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from qwenbuild.errors import QwenbuildError
from qwenbuild.gallery import SMALL, Sources, Thumbnails
from qwenbuild.gallery.cards import Card, digests
from qwenbuild.model import Verdict
from qwenbuild.ports import Event
from qwenbuild.project.options import Options
from qwenbuild.report.words import count, price_json, price_words
from qwenbuild.review.actions import ReviewRequest, carry_out
from qwenbuild.verbs import Planned, Summary, build, gallery, plan

Listener = Callable[[Mapping[str, Any]], None]


class Stale(Exception):
    """A choice was made upon an older state. `cards` are the entries as they are now; `gone` are no more."""

    def __init__(self, cards: list[Card], gone: list[str]) -> None:
        super().__init__("the entry changed meanwhile")
        self.cards, self.gone = cards, gone


class SessionBusy(Exception):
    """A build of this review runs already."""


class Session:
    """The project under review. Every method may be called from any thread."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.version = 0
        self.title = ""
        self._cards: dict[str, Card] = {}
        self._pictures: frozenset[str] = frozenset()
        self._due: dict[str, Any] = {}
        self._planned: Planned | None = None
        self._building: threading.Thread | None = None
        self._state = threading.RLock()
        self._listeners: set[Listener] = set()
        self.refresh()

    # ------------------------------------------------------------ looking

    def refresh(self) -> None:
        """Plan anew, and tell every tab what differs. Raises InputError, CacheError; the cards stay as they were then."""
        with self._state:
            planned = plan(self.options)
            sources = gallery.sources(planned)
            cards = {card["id"]: _shown(card, sources) for card in gallery.all_cards(planned)}
            due = bill(planned)
            changed = [card for id, card in cards.items() if self._cards.get(id) != card]
            removed = [id for id in self._cards if id not in cards]
            same = not changed and not removed and due == self._due
            order = {"order": list(cards)} if cards.keys() - self._cards.keys() else {}
            self._planned, self._cards, self._due = planned, cards, due
            self.title = gallery.title(planned)
            self._pictures = frozenset(digests(list(cards.values())))
            planned.cache.close()
            if not same:
                self.version += 1
                self.tell({"type": "cards", "version": self.version, "cards": changed, "gone": removed, "due": due, **order})

    def state(self) -> dict[str, Any]:
        """Everything a tab needs to begin with."""
        with self._state:
            return {"version": self.version, "cards": list(self._cards.values()), "due": self._due, "building": self.building}

    def watched(self) -> tuple[Path, ...]:
        """The files whose change makes another state: manifest, lockfile, templates, data."""
        with self._state:
            assert self._planned is not None
            loaded = self._planned.loaded
            folder = loaded.manifest.folder
            own = (loaded.lock_path, folder / Path(loaded.manifest.file).name)
            return (*own, *(folder / path for path in loaded.read))

    def picture(self, digest: str) -> bytes | None:
        """The bytes of a picture that a card shows."""
        sources = self._sources(digest)
        return None if sources is None else sources.read(digest)

    def thumbnail(self, digest: str) -> Path | None:
        """The small picture of one that a card shows."""
        sources = self._sources(digest)
        if sources is None:
            return None
        with self._state:
            assert self._planned is not None
            folder = self._planned.loaded.state / gallery.THUMBNAILS
        return Thumbnails(folder, sources.read).make(digest, SMALL)

    def _sources(self, digest: str) -> Sources | None:
        with self._state:
            assert self._planned is not None
            return gallery.sources(self._planned) if digest in self._pictures else None

    # ------------------------------------------------------------ choosing

    def choose(self, request: ReviewRequest, stamps: Mapping[str, str]) -> dict[str, Any]:
        """Carry a choice out where every entry still has its stamp; what became of it, and the cards as they are now.

        Raises Stale, InputError, CacheError, OSError.
        """
        with self._state:
            self.refresh()
            self._refuse_stale(stamps)
            done = carry_out(self.options, request)
            self.refresh()
            words = [f"{choice.id}: {choice.words}" for choice in done]
            cards = [self._cards[id] for id in request.ids if id in self._cards]
            return {"version": self.version, "words": words, "cards": cards, "due": self._due}

    def _refuse_stale(self, stamps: Mapping[str, str]) -> None:
        stale = [id for id, stamp in stamps.items() if self._cards.get(id, {}).get("stamp") != stamp]
        if stale:
            raise Stale([self._cards[id] for id in stale if id in self._cards], [id for id in stale if id not in self._cards])

    # ------------------------------------------------------------ building

    @property
    def building(self) -> bool:
        """Whether a build of this review runs."""
        return self._building is not None and self._building.is_alive()

    def price(self, ids: Sequence[str]) -> dict[str, Any]:
        """What a build of these entries would make and cost; of everything when none is named. Raises InputError."""
        options = self._selected(ids)
        planned = plan(options)
        decision = planned.decide(options)
        return {**bill(planned), "stop": decision.message if decision.answer == "stop" else ""}

    def start_build(self, ids: Sequence[str], consent: Mapping[str, Any]) -> None:
        """Begin a build in a thread; it asks the gate with the consent given: this bill, and no other. Raises Busy."""
        with self._state:
            if self.building:
                raise SessionBusy
            options = self._selected(ids)
            self._building = threading.Thread(target=self._build, args=(options, dict(consent)), name="build")
            self._building.start()

    def wait(self) -> None:
        """Wait for the build that runs: what it submitted is paid for."""
        if self._building is not None:
            self._building.join()

    def _selected(self, ids: Sequence[str]) -> Options:
        return replace(self.options, select=tuple(ids))

    def _build(self, options: Options, consent: Mapping[str, Any]) -> None:
        self.tell({"type": "building", "running": True})
        try:
            summary = build(options, SessionProgress(self.tell), lambda planned: agrees(planned, consent))
            result = {"words": _ended(summary), "bad": bool(summary.exit_code)}
        except (QwenbuildError, OSError) as error:
            result = {"words": str(error), "bad": True}
        with suppress(QwenbuildError):
            self.refresh()
        self.tell({"type": "building", "running": False, **result})

    # ------------------------------------------------------------ telling

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Be told of everything from now on; call what is returned to end it."""
        self._listeners.add(listener)
        return lambda: self._listeners.discard(listener)

    def tell(self, message: Mapping[str, Any]) -> None:
        """Tell every listener."""
        for listener in tuple(self._listeners):
            listener(message)


class SessionProgress:
    """A build's reporter that tells the tabs how far it is."""

    def __init__(self, tell: Listener) -> None:
        self._tell = tell
        self._pictures = self._stored = 0

    def event(self, event: Event) -> None:
        """Pass on what people watch for."""
        if event.event == "plan":
            summary = event.data.get("summary", {})
            self._pictures = int(summary.get("generate", 0)) + int(summary.get("resume", 0))
        elif event.event in ("stored", "submitted", "failed", "written"):
            self._stored += event.event == "stored"
            step = {"stored": self._stored, "pictures": max(self._pictures, self._stored)}
            self._tell({"type": "progress", "event": event.event, "id": event.id, **step})


def _ended(summary: Summary) -> str:
    """A build's end on one line."""
    if summary.failures:
        id, code, message = summary.failures[0]
        more = f" (and {len(summary.failures) - 1} more)" if len(summary.failures) > 1 else ""
        return f"{id + ': ' if id else ''}{message or code}{more}"
    entries = count(summary.counts.get("generated", 0), "entry made", "entries made")
    paid = price_words(summary.spent) if any(summary.spent.values()) else "nothing"
    return f"Built: {entries}, {paid} spent"


def bill(planned: Planned) -> dict[str, Any]:
    """What a build would do, in numbers and in words; `cost` and `unknown` are what consent is given to."""
    plan = planned.plan
    idle = (Verdict.FRESH, Verdict.MODIFIED)
    pictures = sum(one.verdict is Verdict.GENERATE for step in plan.steps for one in step.candidates)
    busy = sum(step.verdict not in idle for step in plan.steps)
    price = price_words(plan.cost) if plan.cost or not plan.unknown_price else ""
    unknown = f"{count(plan.unknown_price, 'picture')} at an unknown price" if plan.unknown_price else ""
    return {
        "entries": busy,
        "pictures": pictures,
        "cost": price_json(plan.cost),
        "unknown": plan.unknown_price,
        "words": " + ".join(part for part in (price, unknown) if part) if pictures else "",
    }


def agrees(planned: Planned, consent: Mapping[str, Any]) -> bool:
    """Whether the plan costs exactly what a person agreed to."""
    now = bill(planned)
    return all(now[name] == consent.get(name) for name in ("cost", "unknown"))


def _shown(card: Card, sources: Sources) -> Card:
    """The card with the pictures that can be shown."""
    candidates = []
    for one in card["candidates"]:
        lost = bool(one["digest"]) and not sources.has(one["digest"])
        candidates.append({**one, "digest": "", "lost": True} if lost else one)
    return {**card, "candidates": candidates}
