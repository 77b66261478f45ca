"""Runs qwenbuild's command line while timing every step of the event loop, and says the longest on standard error.

Does not know what the steps do.

    python benchmarks/watched.py build --yes
"""

from __future__ import annotations

import asyncio.events
import sys
import time

longest: list[tuple[float, str]] = []
steps = 0


def watch() -> None:
    run = asyncio.events.Handle._run  # type: ignore[attr-defined]

    def timed(self: asyncio.events.Handle) -> None:
        global steps
        started = time.perf_counter()
        run(self)
        taken = time.perf_counter() - started
        steps += 1
        if taken > 0.010:
            longest.append((taken, repr(self)[:300]))

    asyncio.events.Handle._run = timed  # type: ignore[attr-defined,method-assign]


def report() -> None:
    longest.sort(reverse=True)
    worst = longest[0][0] if longest else 0.0
    print(f"longest step of the loop: {worst * 1000:.1f} ms of {steps} steps; over 50 ms: ", end="", file=sys.stderr)
    print(sum(taken > 0.050 for taken, _ in longest), file=sys.stderr)
    for taken, what in longest[:5]:
        print(f"  {taken * 1000:.1f} ms {what}", file=sys.stderr)


def main() -> None:
    from qwenbuild.__main__ import main as command

    watch()
    try:
        command()
    finally:
        report()


if __name__ == "__main__":
    main()
