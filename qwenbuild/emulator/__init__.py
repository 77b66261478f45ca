"""Plays the hosted image APIs on loopback: real sockets, tasks, limits, failures, signed links, credits, and a ledger.

Knows nothing of qwenbuild's own clients. Needs the extra `emulator` (starlette, uvicorn).
"""

from __future__ import annotations

from qwenbuild.emulator.core import Emulator
from qwenbuild.emulator.server import Remote, Served, serve
from qwenbuild.emulator.standalone import run_emulator

__all__ = ["Emulator", "Remote", "Served", "run_emulator", "serve"]
