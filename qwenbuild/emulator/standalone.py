"""Runs an emulator in a process of its own until it is told to end, and says what to export.

Knows no command line; `qwenbuild emulate` and `python -m qwenbuild.emulator` call `run_emulator`.
"""

from __future__ import annotations

import shlex
import signal
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from qwenbuild import files
from qwenbuild.emulator.server import serve

REALISTIC_LATENCY_S = 15.0


def exports(environment: Mapping[str, str]) -> str:
    """The environment as lines that a shell can `eval` or source."""
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in sorted(environment.items()) if value)


def run_emulator(
    port: int = 0,
    storage_port: int = 0,
    *,
    host: str = "127.0.0.1",
    region: str = "singapore",
    latency: float = REALISTIC_LATENCY_S,
    export_file: str | None = None,
    say: Callable[[str], None] = print,
    **settings: Any,
) -> int:
    """Serve until SIGINT or SIGTERM; 0 then.

    `say` is given the lines to export once the sockets accept. `export_file` gets the same lines at that moment, complete or
    not at all, and is gone again when the emulator is. `latency` is in seconds.
    OSError: a port is taken. ValueError: not loopback, or an unknown setting.
    """
    target = Path(export_file) if export_file else None
    if target:
        target.unlink(missing_ok=True)
    with serve(host, port, storage_port, latency=latency, **settings) as served:
        text = exports(served.environ(region))
        say(text.rstrip("\n"))
        if target:
            files.replace(target, text.encode(), durable=False)
        _until_told()
    if target:
        target.unlink(missing_ok=True)
    return 0


def _until_told() -> None:
    stop = threading.Event()
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        while not stop.wait(timeout=0.5):
            continue
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
