"""Ctrl-C and SIGTERM during a run: the first stops submitting, the second leaves; SIGTERM leaves by itself after a while.

Knows nothing of entries; what is in flight it reads from the run's Progress.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Iterator

from qwenbuild.run.world import Progress

LEAVE = "What is in flight is waited for; press Ctrl-C again to leave."
SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextlib.contextmanager
def listening(progress: Progress) -> Iterator[None]:
    """Handle both signals while the block runs, where the platform and the thread allow it."""
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    added = []
    for number in SIGNALS:
        with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
            loop.add_signal_handler(number, _caught, progress, task, number)
            added.append(number)
    try:
        yield
    finally:
        for number in added:
            loop.remove_signal_handler(number)


def _caught(progress: Progress, task: asyncio.Task[object] | None, number: signal.Signals) -> None:
    """The first signal stops submitting. SIGTERM has no second: what is in flight gets a while, then the program leaves."""
    if progress.interrupted:
        if task is not None:
            task.cancel()
        return
    if number is signal.SIGTERM and task is not None:
        asyncio.get_running_loop().call_later(progress.world.times.farewell, task.cancel)
    progress.interrupted = True
    progress.stop_all("interrupted", "interrupted: nothing more is submitted")
    progress.tell("message", "", text=_in_flight(progress), level="warning")


def _in_flight(progress: Progress) -> str:
    flights, fates = progress.waiting.flying(), progress.waiting.leaving()
    collecting = [entry for id, (entry, _) in progress.in_flight.items() if id not in flights]
    if collecting:
        names = ", ".join(collecting[:5]) + (f" and {len(collecting) - 5:,} more" if len(collecting) > 5 else "")
        fates.append(f"Collected, or asked for, now: {names}: if you leave, the next build goes on with them.")
    if not fates:
        return "Interrupted: nothing is in flight; finishing what is stored."
    return " ".join(("Interrupted: nothing more is submitted.", *fates, LEAVE))
