"""The control surface under `/__emu/`: what a test in another process sees and sets, as JSON.

Knows nothing of how an emulator does it; each verb is one of its methods.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

from qwenbuild.emulator.wire import Reply, Request, json_reply
from qwenbuild.emulator.world import Controlled

READS = ("state", "ledger", "prompts", "requests", "leaks", "webhooks", "limits_seen", "spent")
WRITES = ("configure", "fault", "clear_faults", "advance", "freeze", "reset")


def control(world: Controlled, request: Request) -> Reply:
    """Carry out one verb. GET reads, POST with a JSON object of arguments sets; 400 says what was wrong."""
    verb = request.path.removeprefix("/__emu/").strip("/")
    try:
        if request.method == "GET" and verb in READS:
            return json_reply(200, _read(world, verb)())
        if request.method == "GET" and verb == "picture":
            return json_reply(200, _picture(world, request.params()))
        if request.method == "POST" and verb in WRITES:
            _write(world, verb, request.json() if request.body else {})
            return json_reply(200, {"ok": True})
    except (ValueError, TypeError, KeyError) as error:
        return json_reply(400, {"error": str(error)})
    known = ", ".join([f"GET {name}" for name in (*READS, "picture")] + [f"POST {name}" for name in WRITES])
    return json_reply(404, {"error": f"unknown: {request.method} {verb}; known: {known}"})


def _read(world: Controlled, verb: str) -> Callable[[], Any]:
    reader: Callable[[], Any] = getattr(world, verb)
    return reader


def _write(world: Controlled, verb: str, arguments: dict[str, Any]) -> None:
    getattr(world, verb)(**arguments)


def _picture(world: Controlled, params: dict[str, str]) -> dict[str, str]:
    data = world.picture_for(params["task"], int(params.get("index", "0")))
    return {"base64": base64.b64encode(data).decode()}
