"""Several machines in one process: each with its own clone and cache, all with one shared cache.

Knows no test.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from qwenbuild.lock.lockfile import read
from qwenbuild.verbs import Summary
from tests.walking import Project

Call = Callable[..., tuple[int, str, str]]
"""A command on a machine: its exit code, what it printed, and what it said on stderr."""


@dataclass
class Machine(Project):
    """A clone and a cache; whatever it does, it does with its own cache and the team's address."""

    team: Team | None = None

    def at(self) -> None:
        assert self.team is not None
        self.team.monkeypatch.setenv("QWENBUILD_CACHE_DIR", str(self.cache_dir))

    def build(self, **said: Any) -> Summary:
        self.at()
        return super().build(**said)

    def plan(self, **said: Any) -> Any:
        self.at()
        return super().plan(**said)

    def keys(self) -> list[str]:
        return [entry.key for entry in read(self.lock).entries.values()]

    def digests(self) -> list[str]:
        return [entry.digest for entry in read(self.lock).entries.values()]


@dataclass
class Team:
    """A place for machines, and the address that all of them know."""

    place: Path
    url: str
    monkeypatch: pytest.MonkeyPatch
    text: str
    machines: dict[str, Machine] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.share(self.url)

    def share(self, url: str) -> None:
        self.monkeypatch.setenv("QWENBUILD_REMOTE", url)

    def machine(self, name: str) -> Machine:
        folder = self.place / name / "project"
        folder.mkdir(parents=True)
        made = self.machines[name] = Machine(folder, self.place / name / "cache", team=self)
        made.manifest(self.text)
        return made

    def clone(self, name: str, of: str = "ann") -> Machine:
        """The manifest and the lockfile of another machine, and nothing else."""
        made = self.machine(name)
        for file in ("qwenbuild.yaml", "qwenbuild.lock"):
            shutil.copyfile(self.machines[of].folder / file, made.folder / file)
        return made
