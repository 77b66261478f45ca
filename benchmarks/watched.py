"""Runs qwenbuild's command line while timing every step of the event loop, and says the longest on standard error.

Does not know what the steps do; a second thread looks where a long one is. A commit of the journal has to be waited for
by the step that makes it, so the time in it is taken off, and said apart.

    python benchmarks/watched.py build --yes
"""

from __future__ import annotations

import asyncio.events
import sys
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any

LONG = 0.050
"""Seconds a step may take."""
LOOK = 0.040
"""Seconds after which the second thread looks."""

steps = 0
longest = 0.0
journal = 0.0
"""Seconds that the step has waited for the journal."""
slowest_commit = 0.0
over = 0
seen: list[tuple[float, float, str]] = []
"""Seconds of a long step, how many of them it worked, and where it was seen."""
begun = 0.0
place = ""


def watch() -> None:
    take_off_commits(threading.get_ident())
    run = asyncio.events.Handle._run  # type: ignore[attr-defined]

    def timed(self: asyncio.events.Handle) -> None:
        global steps, longest, over, begun, place, journal
        begun, place, journal, worked = time.perf_counter(), "", 0.0, time.thread_time()
        run(self)
        taken, begun = time.perf_counter() - begun - journal, 0.0
        steps += 1
        longest = max(longest, taken)
        if taken > LONG:
            over += 1
            seen.append((taken, time.thread_time() - worked, place))

    asyncio.events.Handle._run = timed  # type: ignore[attr-defined,method-assign]
    threading.Thread(target=look, args=(threading.get_ident(),), daemon=True).start()


def take_off_commits(loop_thread: int) -> None:
    from qwenbuild.cache.database import Database

    commit = Database.change

    def timed(self: Database, work: Callable[..., Any]) -> Any:
        global journal, slowest_commit
        start = time.perf_counter()
        try:
            return commit(self, work)
        finally:
            if threading.get_ident() == loop_thread:
                spent = time.perf_counter() - start
                journal += spent
                slowest_commit = max(slowest_commit, spent)

    Database.change = timed  # type: ignore[method-assign]


def look(loop_thread: int) -> None:
    global place
    while True:
        time.sleep(LOOK / 4)
        if begun and not place and time.perf_counter() - begun > LOOK:
            frames = traceback.extract_stack(sys._current_frames()[loop_thread])
            place = " < ".join(f"{frame.filename.rpartition('/')[2]}:{frame.lineno} {frame.name}" for frame in frames[:-11:-1])


def report() -> None:
    print(
        f"longest step of the loop, the journal apart: {longest * 1000:.1f} ms of {steps}; over 50 ms: {over}; "
        f"longest wait for the journal: {slowest_commit * 1000:.0f} ms",
        file=sys.stderr,
    )
    for taken, worked, where in sorted(seen, reverse=True)[:8]:
        print(f"  {taken * 1000:.1f} ms, of which it worked {worked * 1000:.1f}: {where}", file=sys.stderr)


def main() -> None:
    from qwenbuild.__main__ import main as command

    watch()
    try:
        command()
    finally:
        report()


if __name__ == "__main__":
    main()
