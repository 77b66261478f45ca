"""A project in a temporary folder, built in this process; what was bought is told by the recorded events.

Knows no test; pictures come from the placeholder or from the emulator.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qwenbuild.cache import Cache
from qwenbuild.ports import Event
from qwenbuild.tree import digest_of
from qwenbuild.verbs import Options, Planned, Summary, build, plan


@dataclass
class Recorder:
    """A reporter that remembers."""

    events: list[Event] = field(default_factory=list)

    def event(self, event: Event) -> None:
        self.events.append(event)

    def ids(self, kind: str) -> list[str]:
        """The entries of one kind of event, in the order in which it happened."""
        return [event.id for event in self.events if event.event == kind]


@dataclass
class Project:
    """A manifest's folder with its own cache, and the story of its last build."""

    folder: Path
    cache_dir: Path
    events: Recorder = field(default_factory=Recorder)
    asked: list[Planned] = field(default_factory=list)

    def manifest(self, text: str) -> None:
        (self.folder / "qwenbuild.yaml").write_text(text, encoding="utf-8")

    def edit(self, old: str, new: str) -> None:
        text = (self.folder / "qwenbuild.yaml").read_text(encoding="utf-8")
        assert old in text, f"{old!r} is not in the manifest"
        self.manifest(text.replace(old, new))

    def options(self, **said: Any) -> Options:
        return Options(self.folder, **said)

    def build(self, **said: Any) -> Summary:
        self.events = Recorder()
        return build(self.options(**{"yes": True, **said}), self.events, None)

    def ask(self, answer: bool, **said: Any) -> Summary:
        """A build with a terminal whose person answers so."""
        self.events = Recorder()

        def person(planned: Planned) -> bool:
            self.asked.append(planned)
            return answer

        return build(self.options(**said), self.events, person)

    def plan(self, **said: Any) -> Planned:
        return plan(self.options(**said))

    def verdicts(self, **said: Any) -> dict[str, str]:
        return {step.id: step.verdict.value for step in self.plan(**said).plan.steps}

    @property
    def submitted(self) -> list[str]:
        """The entries whose pictures the last build bought, in order."""
        return self.events.ids("submitted")

    @property
    def written(self) -> list[str]:
        """The files that the last build wrote."""
        return [str(event.data["path"]) for event in self.events.events if event.event == "written"]

    @property
    def lock(self) -> Path:
        return self.folder / "qwenbuild.lock"

    @property
    def out(self) -> Path:
        return self.folder / "assets"

    def tree(self) -> dict[str, str]:
        """Every file of the output tree and its digest."""
        return {
            path.relative_to(self.out).as_posix(): digest_of(path) for path in sorted(self.out.rglob("*")) if path.is_file()
        }

    def cache(self) -> Cache:
        return Cache.open(self.cache_dir)

    def lose(self, *names: str) -> None:
        """Delete the output tree, the lockfile, the index, the cache or the journal."""
        places = {
            "outputs": self.out,
            "lockfile": self.lock,
            "index": self.cache_dir / "index",
            "cache": self.cache_dir,
            "journal": self.cache_dir / "journal.db",
            "state": self.folder / ".qwenbuild",
        }
        for name in names:
            place = places[name]
            if place.is_dir():
                shutil.rmtree(place)
            else:
                place.unlink(missing_ok=True)
