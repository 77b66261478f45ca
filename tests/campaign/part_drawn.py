"""Pictures that are drawn and kept in batches: a build of them dies, or is refused by the disk, at each operation; then it is
run again.

The batch is cut small, so that several are under way. The journal's transactions count as operations too: before each, and
just after it is on the disk.
"""

from __future__ import annotations

import errno
import os
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from qwenbuild.cache import AttemptState, Cache
from qwenbuild.cache.database import Database
from qwenbuild.cache.fsops import FileOps
from qwenbuild.errors import QwenbuildError
from qwenbuild.images import placeholder_png
from qwenbuild.key import from_document
from tests.campaign.part_http import hurried
from tests.campaign.part_syscalls import PORTABLE, USUAL, Died, Faulty
from tests.walking import Project

PICTURES, A_BATCH = 5, 2
CI_EVERY = 3
"""CI takes every third operation."""
MANIFEST = f"""\
version: 1
defaults: {{params: {{size: "32*32"}}}}
assets:
  lamps:
    prompt: "a lamp {{{{ n }}}}"
    matrix: {{n: [{", ".join(map(str, range(PICTURES)))}]}}
    id: "lamps/{{{{ n }}}}"
  twin: {{prompt: "a lamp 0"}}
"""


class Disk(Faulty):
    """Counts the journal's transactions with the operations on files."""

    def transaction(self, change: Callable[..., Any]) -> Callable[..., Any]:
        """Between two operations the process may die before the change is made, and after it was."""

        def counted(database: Database, work: Any) -> Any:
            self._die_here()
            result = change(database, work)
            self._die_here()
            return result

        return counted

    def _die_here(self) -> None:
        self.number += 1
        if self.dead or (self.number == self.at and not self.error):
            self.dead = True
            raise Died


@contextmanager
def _on(disk: FileOps) -> Iterator[None]:
    real = Cache.open.__func__  # type: ignore[attr-defined]
    opened = classmethod(lambda cls, root, *args: real(cls, root, disk))
    change = disk.transaction(Database.change) if isinstance(disk, Disk) else Database.change
    with mock.patch.object(Cache, "open", opened), mock.patch.object(Database, "change", change):
        yield


def _project(folder: Path) -> Project:
    project = Project(folder / "project", folder / "cache")
    project.folder.mkdir(parents=True)
    project.manifest(MANIFEST)
    return project


def _built(project: Project, disk: FileOps) -> int | str:
    """The exit code; "died"; or what is wrong with how it ended, in words."""
    with _on(disk), mock.patch.dict(os.environ, {"QWENBUILD_CACHE_DIR": str(project.cache_dir)}):
        try:
            return project.build().exit_code
        except QwenbuildError as error:
            return error.exit_code
        except Died:
            return "died"
        except Exception as error:
            return f"raised {type(error).__name__}: {error}"


def survived(project: Project, disk: FileOps) -> str:
    """What is wrong after a build on this disk, and one on a good one, in words."""
    first = _built(project, disk)
    if first != "died" and first not in USUAL:
        return str(first)
    second = _built(project, FileOps())
    return _judged(project) if second == 0 else f"the next build ended with {second}"


def _judged(project: Project) -> str:
    with project.cache() as cache:
        attempts = list(cache.journal.attempts())
        stored = Counter(attempt.key for attempt in attempts if attempt.state is AttemptState.STORED)
        live = [attempt.entry for attempt in attempts if attempt.live]
        results = cache.results(stored)
        right = {
            key: placeholder_png(from_document(result.action)) == cache.read_blob(result.digest)
            for key, (result, *_) in results.items()
        }
    tree = {path: (project.out / path).read_bytes() for path in project.tree()}
    if live:
        return f"left open: {live}"
    if set(stored.values()) != {1} or len(stored) != PICTURES:
        return f"stored so often: {sorted(stored.values())}"
    if len(right) != PICTURES or not all(right.values()):
        return f"not every receipt and blob is there and right: {sorted(right.values())}"
    return "" if len(tree) == PICTURES + 1 and len(set(tree.values())) == PICTURES else f"in the tree: {sorted(tree)}"


def with_faults(whole: bool) -> tuple[int, list[str]]:
    """How many runs had a fault, and what was wrong afterwards, in words."""
    number, faults = 0, []
    with tempfile.TemporaryDirectory() as folder, mock.patch("qwenbuild.run.drawings.AT_ONCE", A_BATCH), hurried():
        clean = Disk(0, 0)
        clean.at = -1
        assert (problem := survived(_project(Path(folder) / "clean"), clean)) == "", problem
        print(f"  {clean.number} operations", file=sys.stderr, flush=True)
        for error in (0, *PORTABLE) if whole else (0, errno.ENOSPC):
            for at in range(1, clean.number + 1, 1 if whole else CI_EVERY):
                number += 1
                project = _project(Path(folder) / str(number))
                problem = survived(project, Disk(at, error))
                faults += [f"operation {at}, errno {error}: {problem}"] if problem else []
                shutil.rmtree(project.folder.parent)
    return number, faults


def main(whole: bool) -> list[tuple[str, str]]:
    """The figures. Raises AssertionError when a picture was lost, is wrong, or stored twice."""
    number, faults = with_faults(whole)
    assert not faults, f"{len(faults)} of {number}\n" + "\n".join(faults)
    return [("deaths and faults in batches", f"{number} runs: 0 lost, 0 wrong, 0 stored twice")]
