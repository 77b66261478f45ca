"""The control surface under `/__emu/`: what a test in another process sees and sets, as JSON.

Knows nothing of how an emulator does it; each verb is one of its methods.
"""

from __future__ import annotations

import base64
import ipaddress
import json
import math
from collections.abc import Callable
from typing import Any

from qwenbuild.emulator.wire import Reply, Request, json_reply
from qwenbuild.emulator.world import Controlled

READS = ("state", "ledger", "prompts", "requests", "leaks", "webhooks", "limits_seen", "spent")
WRITES = ("configure", "fault", "clear_faults", "advance", "freeze", "reset")


def control(world: Controlled, request: Request) -> Reply:
    """Carry out one verb. GET reads, POST with a JSON object of arguments sets; 400 says what was wrong."""
    stranger = _stranger(request)
    if stranger:
        return json_reply(403, {"error": stranger})
    verb = request.path.removeprefix("/__emu/").strip("/")
    try:
        if request.method == "GET" and verb in READS:
            return json_reply(200, _read(world, verb)())
        if request.method == "GET" and verb == "picture":
            return json_reply(200, _picture(world, request.params()))
        if request.method == "POST" and verb in WRITES:
            _write(world, verb, _arguments(request))
            return json_reply(200, {"ok": True})
    except (ValueError, TypeError, KeyError) as error:
        return json_reply(400, {"error": str(error)})
    routes = ", ".join([f"GET {name}" for name in (*READS, "picture")] + [f"POST {name}" for name in WRITES])
    return json_reply(404, {"error": f"unknown: {request.method} {verb}; known: {routes}"})


def _stranger(request: Request) -> str:
    """What is wrong with where a request comes from; "" when nothing is. A page in a browser may ask loopback, too."""
    host = request.headers.get("host", "")
    name = host.rpartition(":")[0] if ":" in host and not host.endswith("]") else host
    if host and not _is_loopback(name):
        return f"the control surface is asked on loopback, not as {host[:80]}"
    if request.headers.get("origin", f"http://{host}") != f"http://{host}":
        return "another page asked; the control surface answers none"
    return ""


def _is_loopback(name: str) -> bool:
    try:
        return name.lower() == "localhost" or ipaddress.ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False


def _arguments(request: Request) -> dict[str, Any]:
    """The arguments of a verb. Raises ValueError for anything but a JSON object of finite numbers."""

    def finite(text: str) -> float:
        value = float(text)
        if not math.isfinite(value):
            raise ValueError(f"{text} is no number that can be set")
        return value

    try:
        arguments = json.loads(request.body, parse_float=finite, parse_constant=finite) if request.body else {}
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if not isinstance(arguments, dict):
        raise TypeError("the arguments are a JSON object")
    return arguments


def _read(world: Controlled, verb: str) -> Callable[[], Any]:
    reader: Callable[[], Any] = getattr(world, verb)
    return reader


def _write(world: Controlled, verb: str, arguments: dict[str, Any]) -> None:
    getattr(world, verb)(**arguments)


def _picture(world: Controlled, params: dict[str, str]) -> dict[str, str]:
    data = world.picture_for(params["task"], int(params.get("index", "0")))
    return {"base64": base64.b64encode(data).decode()}
