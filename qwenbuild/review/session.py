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
from qwenbuild.gallery import SMALL, TINY, Before, PageContents, Sources, Thumbnails, atlas_sheets
from qwenbuild.gallery.cards import Card, digests
from qwenbuild.gallery.differences import Differences, Pair
from qwenbuild.gallery.thumbs import Stages
from qwenbuild.model import Step, Verdict
from qwenbuild.ports import Event
from qwenbuild.project.options import Options
from qwenbuild.report.words import count, price_json, price_words, total
from qwenbuild.review.actions import FILES_FOLLOW, ReviewRequest, carry_out
from qwenbuild.verbs import Planned, Summary, build, choices, gallery, plan

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

    def __init__(self, options: Options, against: str = "") -> None:
        self.options = options
        self.version = 0
        self.title = ""
        self._against = against
        self._before: Before | None = None
        self._contents = PageContents(())
        self._cards: dict[str, Card] = {}
        self._pictures: frozenset[str] = frozenset()
        self._stages: dict[str, Stages] = {}
        self._due: dict[str, Any] = {}
        self._planned: Planned | None = None
        self._sources: Sources | None = None
        self._building: threading.Thread | None = None
        self._making = False
        self._owed: set[str] = set()
        self._state = threading.RLock()
        self._listeners: set[Listener] = set()
        self.refresh()

    # ------------------------------------------------------------ looking

    def refresh(self, *, everything: bool = False) -> None:
        """Plan anew, and tell every tab what differs. Raises InputError, CacheError; the cards stay as they were then."""
        with self._state:
            planned = plan(self.options)
            before = gallery.earlier(planned, self._against, files=False)
            sources = gallery.sources(planned, before)
            contents = gallery.contents(planned, sources, before)
            cards = {card["id"]: _shown(card, sources) for card in contents.cards}
            due = bill(planned)
            changed = [card for id, card in cards.items() if everything or self._cards.get(id) != card]
            gone = [id for id in self._cards if id not in cards]
            news: dict[str, Any] = {"order": list(cards)} if cards.keys() - self._cards.keys() else {}
            news |= {} if contents.atlases == self._contents.atlases else {"atlases": contents.atlases}
            news |= {} if contents.facts == self._contents.facts else dict(contents.facts)
            same = not changed and not gone and not news and due == self._due
            self._planned, self._cards, self._due, self._contents = planned, cards, due, contents
            self._before, self._sources = before, sources
            self.title = gallery.title(planned)
            self._pictures = frozenset([*digests(list(cards.values())), *atlas_sheets.digests(contents.atlases)])
            self._stages = {name: each for each in contents.stages for name in each[2]}
            planned.cache.close()
            if not same:
                self.version += 1
                self.tell({"type": "cards", "version": self.version, "cards": changed, "gone": gone, "due": due, **news})

    def state(self) -> dict[str, Any]:
        """Everything a tab needs to begin with."""
        with self._state:
            state = {"version": self.version, "cards": list(self._cards.values()), "due": self._due, "building": self.building}
            return {**self._contents.facts, **state, "atlases": list(self._contents.atlases)}

    def compare(self, against: str) -> None:
        """Compare with a revision, or with the lockfile; with nothing when "". Raises InputError, and stays as it was."""
        with self._state:
            before, self._against = self._against, against
            try:
                self.refresh()
            except QwenbuildError:
                self._against = before
                raise

    def watched(self) -> tuple[Path, ...]:
        """The files whose change makes another state: manifest, lockfile, templates, data, and what a build writes first."""
        with self._state:
            assert self._planned is not None
            loaded = self._planned.loaded
            folder = loaded.manifest.folder
            journal = self._planned.cache.journal.path
            own = (
                loaded.lock_path,
                folder / Path(loaded.manifest.file).name,
                journal,
                journal.with_name(f"{journal.name}-wal"),
            )
            return (*own, *(folder / path for path in loaded.read))

    # ------------------------------------------------------------ pictures

    def picture(self, digest: str) -> bytes | None:
        """The bytes of a picture or file that the page shows."""
        sources = self._of(digest)
        return None if sources is None else sources.read(digest)

    def thumbnail(self, name: str, width: int) -> Path | None:
        """The small picture of one that the page shows, or of what one is between two steps. Raises OSError."""
        if width not in (TINY, SMALL):
            return None
        with self._state:
            stages, sources = self._stages.get(name), self._sources
        if stages is not None and sources is not None:
            kept = self._kept(sources)
            return kept.path(name, SMALL) if name in kept.make_stages([stages], sources.palettes_of) else None
        source = self._of(name)
        return None if source is None else self._kept(source).make(name, width)

    def difference(self, pair: Pair) -> float | None:
        """The share of pixels by which two pictures of the page differ, 0 to 1; None when nobody can tell. Raises OSError."""
        sources = self._of(pair[0]) and self._of(pair[1])
        if not sources:
            return None
        return Differences(self._folder() / "review-differences.json", sources.read).one(pair)

    def _folder(self) -> Path:
        with self._state:
            assert self._planned is not None
            return self._planned.loaded.state / gallery.THUMBNAILS

    def _kept(self, sources: Sources) -> Thumbnails:
        return Thumbnails(self._folder(), sources.read)

    def _of(self, digest: str) -> Sources | None:
        """The sources, for a picture that the page shows and no other."""
        with self._state:
            return self._sources if digest in self._pictures else None

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
            if request.verb in FILES_FOLLOW:
                self.make_files(request.ids)
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
        return self._is_busy() and not self._making

    def _is_busy(self) -> bool:
        return self._building is not None and self._building.is_alive()

    def price(self, ids: Sequence[str], *, reroll: bool = False) -> dict[str, Any]:
        """What a build of these entries would make and cost; of everything when none is named.

        With `reroll` each of them gets one more candidate first. Raises InputError.
        """
        options = self._selected(ids)
        planned = plan(options)
        planned = _with_one_more(planned) if reroll and ids else planned
        more = len(ids) if reroll else 0
        decision = planned.decide(options)
        return {**bill(planned, more), "stop": decision.message if decision.answer == "stop" else ""}

    def start_build(self, ids: Sequence[str], consent: Mapping[str, Any]) -> None:
        """Begin a build in a thread; it asks the gate with the consent given: this bill, and no other. Raises Busy."""
        if self._making:
            self.wait()  # files only: it takes a moment, and buys nothing
        with self._state:
            if self._is_busy():
                raise SessionBusy
            self._making = False
            self._start(self._build, self._selected(ids), dict(consent))

    def _start(self, work: Callable[..., None], *arguments: Any) -> None:
        self._building = threading.Thread(target=self._work, args=(work, *arguments), name="build")
        self._building.start()

    def _work(self, work: Callable[..., None], *arguments: Any) -> None:
        """Do it, and then make the files that were owed meanwhile."""
        work(*arguments)
        while ids := self._take_owed():
            self._make_files(ids)

    def _take_owed(self) -> tuple[str, ...]:
        """The entries whose files are still to be made; with none left the thread counts as ended."""
        with self._state:
            owed, self._owed = tuple(sorted(self._owed)), set()
            if not owed:
                self._building, self._making = None, False
            return owed

    def make_files(self, ids: Sequence[str]) -> None:
        """Make the files of entries of which another picture is in use now, after what runs at the moment. Buys nothing."""
        with self._state:
            self._owed |= set(ids)
            if not self._is_busy():
                self._making = True
                self._start(lambda: None)

    def _make_files(self, ids: Sequence[str]) -> None:
        """A build that may make no picture at all, whatever a picture costs; nobody is asked and nothing is agreed to."""
        try:
            options = replace(self._selected(ids), limit=0)
            if any(_has_files(step) for step in plan(options).plan.steps):
                build(options, SessionProgress(lambda message: None), lambda planned: False)
            self.refresh()
        except (QwenbuildError, OSError) as error:
            self.tell({"type": "problem", "words": str(error)})

    def wait(self) -> None:
        """Wait for the build that runs: what it submitted is paid for."""
        running = self._building
        if running is not None:
            running.join()

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
    made = count(summary.counts.get("generated", 0), "entry made", "entries made")
    paid = price_words(summary.spent) if any(summary.spent.values()) else "nothing"
    return f"Built: {made}, {paid} spent"


def bill(planned: Planned, more: int = 0) -> dict[str, Any]:
    """What a build would do, in numbers and in words; `cost` and `unknown` are what consent is given to.

    `more` are pictures that are in the cost and in no step yet.
    """
    made = planned.plan
    idle = (Verdict.FRESH, Verdict.MODIFIED)
    pictures = more + sum(one.verdict is Verdict.GENERATE for step in made.steps for one in step.candidates)
    busy = sum(step.verdict not in idle for step in made.steps)
    price = price_words(made.most) if made.most or not made.unknown_price else ""
    price = f"up to {price}" if made.further_cost else price
    unknown = f"{count(made.unknown_price, 'picture')} at an unknown price" if made.unknown_price else ""
    return {
        "entries": max(busy, more),
        "pictures": pictures,
        "cost": price_json(made.most),
        "unknown": made.unknown_price,
        "words": " + ".join(part for part in (price, unknown) if part) if pictures else "",
    }


def _with_one_more(planned: Planned) -> Planned:
    """The plan as it will be with one more candidate of each entry selected. Raises InputError where there can be none."""
    steps = choices.chosen_steps(planned)
    for step in steps:
        choices.refuse_approved(step)
        choices.refuse_unrollable(planned, step)
    prices = [step.keyed.price for step in steps]
    cost = total([dict(planned.plan.cost), *(price for price in prices if price is not None)])
    unknown = planned.plan.unknown_price + prices.count(None)
    return replace(planned, plan=replace(planned.plan, cost=cost, unknown_price=unknown))


def _has_files(step: Step) -> bool:
    return any(output.verdict in (Verdict.DERIVE, Verdict.RESTORE) for output in step.outputs)


def agrees(planned: Planned, consent: Mapping[str, Any]) -> bool:
    """Whether the plan costs exactly what a person agreed to."""
    now = bill(planned)
    return all(now[name] == consent.get(name) for name in ("cost", "unknown"))


def _shown(card: Card, sources: Sources) -> Card:
    """The card with the pictures and files that can be shown."""
    candidates = []
    for one in card["candidates"]:
        lost = bool(one["digest"]) and not sources.has(one["digest"])
        candidates.append({**one, "digest": "", "lost": True} if lost else one)
    files = [{**file, "digest": file["digest"] if sources.has(file["digest"]) else ""} for file in card["files"]]
    return {**card, "candidates": candidates, "files": files, "before": card["before"] and _earlier(card["before"], sources)}


def _earlier(before: Card, sources: Sources) -> Card:
    files = {path: digest for path, digest in before["files"].items() if sources.has(digest)}
    return {**before, "files": files, "digest": before["digest"] if sources.has(before["digest"]) else ""}
