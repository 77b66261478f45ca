"""What safety costs: seconds spent on journal, fsync, hashes and receipts, as a share of a build at one second a picture.

`python -m benchmarks.safety [PICTURES]`: pictures of 1.5 MB, one at a time, drawn by the emulator in one second each.
"""

from __future__ import annotations

import functools
import os
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

from benchmarks import hosted
from qwenbuild.cache import Cache
from qwenbuild.cache.journal import Journal
from qwenbuild.pace.lanes import FileLane
from qwenbuild.ports import Event
from qwenbuild.verbs import Options, build

PLACES: dict[str, tuple[type, tuple[str, ...]]] = {
    "journal": (Journal, ("begin", "ticket", "ready", "stored", "live", "claimed_tasks", "takeover", "check_writable")),
    "picture, durable and read back": (Cache, ("put_blob",)),
    "receipt, durable": (Cache, ("put_receipt",)),
    "index": (Cache, ("index_result",)),
    "look before buying": (Cache, ("results", "has_blob", "free_bytes")),
    "write probe": (Cache, ("write_probe",)),
    "pace, shared by all builds": (FileLane, ("_changed",)),
}
SHARE = 0.02


class Silent:
    """A reporter for nobody."""

    def event(self, event: Event) -> None:
        """Ignore it."""


class Watch:
    """Adds up the seconds of what it wraps, of the wall and of the CPU; a call inside another one is counted once."""

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()
        self.cpu: Counter[str] = Counter()
        self._inside = threading.local()

    def over(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        """The same function, timed."""

        @functools.wraps(real)
        def timed(*args: Any, **said: Any) -> Any:
            if getattr(self._inside, "yes", False):
                return real(*args, **said)
            self._inside.yes, start, worked = True, time.perf_counter(), time.thread_time()
            try:
                return real(*args, **said)
            finally:
                self._inside.yes = False
                self.seconds[name] += time.perf_counter() - start
                self.cpu[name] += time.thread_time() - worked

        return timed


def watched(folder: Path, pictures: int) -> tuple[Watch, float]:
    """Build so many pictures; where the seconds of safety went, and wall time."""
    watch = Watch()
    hosted.project(folder / "shop", pictures, mode="async", rps=1000, concurrency=1)
    with hosted.emulator(latency=1.0, weight=1_500_000, enforce=False) as env, mock.patch.dict(os.environ, env):
        os.environ["QWENBUILD_CACHE_DIR"] = str(folder / "cache")
        patches = [
            mock.patch.object(kind, name, watch.over(group, getattr(kind, name)))
            for group, (kind, names) in PLACES.items()
            for name in names
        ]
        for patch in patches:
            patch.start()
        start = time.perf_counter()
        try:
            summary = build(Options(folder / "shop", yes=True), Silent(), None)
        finally:
            spent = time.perf_counter() - start
            for patch in patches:
                patch.stop()
    assert summary.exit_code == 0, summary.failures
    return watch, spent


def main(pictures: int) -> int:
    """Print the table; 1 when safety takes more than its share."""
    with tempfile.TemporaryDirectory() as folder:
        watch, spent = watched(Path(folder), pictures)
    for name, seconds in watch.seconds.most_common():
        print(f"{name:<32}{1000 * seconds / pictures:8.2f} ms a picture, {1000 * watch.cpu[name] / pictures:6.2f} of them CPU")
    total, cpu = sum(watch.seconds.values()), sum(watch.cpu.values())
    print(f"{'all of it':<32}{1000 * total / pictures:8.2f} ms a picture, {1000 * cpu / pictures:6.2f} of them CPU")
    print(f"{total / spent:.2%} of {spent:.1f} s for {pictures} pictures; load of the machine {os.getloadavg()[0]:.1f}")
    return 0 if total / spent <= SHARE else 1


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 30))
