"""Runs qwenbuild's command line while timing every step of the event loop, and says the longest on standard error.

Does not know what the steps do; a second thread looks where a long one is. A commit of the journal has to be waited for,
so those are listed but not counted.

    python benchmarks/watched.py build --yes
"""

from __future__ import annotations

import asyncio.events
import sys
import threading
import time
import traceback

LONG = 0.050
"""Seconds a step may take."""
LOOK = 0.040
"""Seconds after which the second thread looks."""

steps = 0
longest = 0.0
over = 0
seen: list[tuple[float, str]] = []
begun = 0.0
place = ""


def watch() -> None:
    run = asyncio.events.Handle._run  # type: ignore[attr-defined]

    def timed(self: asyncio.events.Handle) -> None:
        global steps, longest, over, begun, place
        begun, place = time.perf_counter(), ""
        run(self)
        taken, begun = time.perf_counter() - begun, 0.0
        steps += 1
        journal = "journal.py" in place
        longest = max(longest, 0.0 if journal else taken)
        if taken > LONG:
            over += not journal
            seen.append((taken, place))

    asyncio.events.Handle._run = timed  # type: ignore[attr-defined,method-assign]
    threading.Thread(target=look, args=(threading.get_ident(),), daemon=True).start()


def look(loop_thread: int) -> None:
    global place
    while True:
        time.sleep(LOOK / 4)
        if begun and not place and time.perf_counter() - begun > LOOK:
            frames = traceback.extract_stack(sys._current_frames()[loop_thread])
            place = " < ".join(f"{frame.filename.rpartition('/')[2]}:{frame.lineno} {frame.name}" for frame in frames[:-11:-1])


def report() -> None:
    print(
        f"longest step of the loop, the journal apart: {longest * 1000:.1f} ms of {steps}; over 50 ms: {over}", file=sys.stderr
    )
    for taken, where in sorted(seen, reverse=True)[:8]:
        print(f"  {taken * 1000:.1f} ms {where}", file=sys.stderr)


def main() -> None:
    from qwenbuild.__main__ import main as command

    watch()
    try:
        command()
    finally:
        report()


if __name__ == "__main__":
    main()
