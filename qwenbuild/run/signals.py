"""Ctrl-C and the signals that end a program, during a run: the first stops submitting, the second leaves. SIGTERM, a closed
terminal (SIGHUP) and a closed console (SIGBREAK on Windows) leave by themselves after a while.

Knows nothing of entries; what is in flight it reads from the run's Progress.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from qwenbuild.run.world import Progress

LEAVE = "Waiting for the requests in flight; press Ctrl-C again to leave."
ENDS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, name))
SIGNALS = (signal.SIGINT, *ENDS)
CLOSED = (2, 5, 6)
"""Windows' events of a console: closed, logged off, shut down."""


@contextlib.contextmanager
def listening(progress: Progress) -> Iterator[None]:
    """Handle the signals while the block runs, where the platform and the thread allow it. One that is ignored from
    outside, as `nohup` does with SIGHUP, stays ignored.
    """
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    undo: list[Callable[[], object]] = []
    for number in SIGNALS:
        with contextlib.suppress(RuntimeError, ValueError, OSError):
            if signal.getsignal(number) is not signal.SIG_IGN:
                undo.append(_listen(loop, number, partial(_caught, progress, task, number)))
    if sys.platform == "win32":
        undo.append(console(ctypes.windll.kernel32, loop, partial(_caught, progress, task, signal.SIGBREAK)))
    try:
        yield
    finally:
        for take_back in undo:
            take_back()


def console(kernel: Any, loop: asyncio.AbstractEventLoop, act: Callable[[], None]) -> Callable[[], object]:
    """Call `act` in the loop when Windows closes the console, and return what undoes that. Windows ends the process as soon
    as the handler returns, or after some seconds: it returns when the run is over.
    """
    over = threading.Event()

    def handler(event: int) -> bool:
        if event not in CLOSED:
            return False
        loop.call_soon_threadsafe(act)
        over.wait()
        return True

    callback = getattr(ctypes, "WINFUNCTYPE", ctypes.CFUNCTYPE)(ctypes.c_int, ctypes.c_uint)(handler)
    kernel.SetConsoleCtrlHandler(callback, True)

    def undo() -> None:
        over.set()
        kernel.SetConsoleCtrlHandler(callback, False)

    return undo


def _listen(loop: asyncio.AbstractEventLoop, number: signal.Signals, act: Callable[[], None]) -> Callable[[], object]:
    """Call `act` in the loop at this signal, and return what undoes that. Windows' loop has no handlers of its own."""
    try:
        loop.add_signal_handler(number, act)
    except NotImplementedError:
        before = signal.signal(number, lambda *_: loop.call_soon_threadsafe(act))
        return lambda: signal.signal(number, before)
    return lambda: loop.remove_signal_handler(number)


def _caught(progress: Progress, task: asyncio.Task[object] | None, number: signal.Signals) -> None:
    """The first signal stops submitting. Those that end a program come once: what is in flight gets a while, then it leaves."""
    if number in ENDS and task is not None:  # they may come twice: a closed terminal and its shell both send one
        asyncio.get_running_loop().call_later(progress.world.times.farewell, task.cancel)
    if progress.interrupted:
        if number == signal.SIGINT and task is not None:
            task.cancel()
        return
    progress.interrupted = True
    progress.stop_all("interrupted", "interrupted: nothing more is submitted")
    progress.tell("message", "", text=_in_flight(progress), level="warning")


def _in_flight(progress: Progress) -> str:
    flights, fates = progress.waiting.flying(), progress.waiting.leaving()
    collecting = [entry for id, (entry, _) in progress.in_flight.items() if id not in flights]
    if collecting:
        names = ", ".join(collecting[:5]) + (f" and {len(collecting) - 5:,} more" if len(collecting) > 5 else "")
        fates.append(f"Being collected or looked up: {names}. If you leave, the next build goes on with them.")
    if not fates:
        return "Interrupted: nothing is in flight; finishing what is stored."
    return " ".join(("Interrupted: nothing more is submitted.", *fates, LEAVE))
