"""Runs an emulator on loopback: two bound sockets, uvicorn in a thread, and a handle for tests in this or another process.

Knows nothing of the APIs; what it offers are addresses, environment variables, and the emulator's own methods.
"""

from __future__ import annotations

import asyncio
import base64
import ipaddress
import json
import os
import socket
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import quote

import uvicorn

from qwenbuild.emulator.core import Emulator
from qwenbuild.emulator.settings import Account, default_accounts

DOORS = {
    "DASHSCOPE_SINGAPORE": "/dashscope/singapore/api/v1",
    "DASHSCOPE_BEIJING": "/dashscope/beijing/api/v1",
    "SINGAPORE": "/dashscope/singapore/api/v1",
    "BEIJING": "/dashscope/beijing/api/v1",
    "APIFRAME": "/apiframe",
    "QWEN2512": "/qwen2512",
    "OPENAI": "/openai",
}


def environment(url: str, accounts: list[Account], region: str = "singapore") -> dict[str, str]:
    """What to export so that qwenbuild (and the vendor's SDK) talk to the emulator at `url`.

    `region` is the one that the plain DASHSCOPE names mean.
    """
    names = {f"QWENBUILD_{name}_BASE_URL": url + path for name, path in DOORS.items()}
    names["QWENBUILD_DASHSCOPE_BASE_URL"] = names["DASHSCOPE_HTTP_BASE_URL"] = url + f"/dashscope/{region}/api/v1"
    keys = {account.name: account.keys[0] for account in accounts if account.keys}
    return names | {
        "DASHSCOPE_API_KEY": keys.get(region, ""),
        "DASHSCOPE_SINGAPORE_API_KEY": keys.get("singapore", ""),
        "DASHSCOPE_BEIJING_API_KEY": keys.get("beijing", ""),
        "APIFRAME_API_KEY": keys.get("apiframe", ""),
        "QWEN2512_API_KEY": keys.get("qwen2512", ""),
    }


class Served:
    """A running emulator in this process. Every method of Emulator is at hand (`ledger`, `fault`, `configure`, …)."""

    def __init__(self, core: Emulator, url: str, storage_url: str) -> None:
        self.core = core
        self.url = url
        self.storage_url = storage_url

    def environ(self, region: str = "singapore") -> dict[str, str]:
        """Environment variables to export."""
        return environment(self.url, self.core.accounts, region)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.core, name)


class Remote:
    """An emulator in another process, through its control surface. The same methods as `Served`, where they are JSON."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self._open = urllib.request.build_opener(urllib.request.ProxyHandler({})).open

    def environ(self, region: str = "singapore") -> dict[str, str]:
        """Environment variables to export; knows the default accounts only."""
        return environment(self.url, default_accounts(), region)

    def picture_for(self, task: str, index: int = 0) -> bytes:
        """The bytes of a job's picture."""
        return base64.b64decode(self._call(f"picture?task={quote(task)}&index={index}")["base64"])

    def fault(self, phase: str, kind: str, **rule: Any) -> None:
        """Order a fault, as `Emulator.fault`."""
        self._call("fault", {"phase": phase, "kind": kind, **rule})

    def configure(self, **settings: Any) -> None:
        """Change settings, as `Emulator.configure`."""
        self._call("configure", settings)

    def advance(self, seconds: float) -> None:
        """Push the clock forward."""
        self._call("advance", {"seconds": seconds})

    def freeze(self) -> None:
        """Stop the clock."""
        self._call("freeze", {})

    def reset(self) -> None:
        """Back to the beginning."""
        self._call("reset", {})

    def clear_faults(self) -> None:
        """Forget every ordered fault."""
        self._call("clear_faults", {})

    def state(self) -> dict[str, Any]:
        """Clock, settings, accounts and counters."""
        return dict(self._call("state"))

    def spent(self) -> dict[str, str]:
        """What all accounts paid."""
        return dict(self._call("spent"))

    def prompts(self) -> list[str]:
        """The prompt of every accepted job, in order."""
        return list(self._call("prompts"))

    def ledger(self) -> list[dict[str, Any]]:
        """Every accepted job."""
        return list(self._call("ledger"))

    def requests(self) -> list[dict[str, Any]]:
        """Every request."""
        return list(self._call("requests"))

    def leaks(self) -> list[dict[str, Any]]:
        """Credentials where none belongs."""
        return list(self._call("leaks"))

    def webhooks(self) -> list[dict[str, Any]]:
        """Notifications that were due."""
        return list(self._call("webhooks"))

    def limits_seen(self) -> list[dict[str, Any]]:
        """Counters for each account and model."""
        return list(self._call("limits_seen"))

    def _call(self, verb: str, arguments: dict[str, Any] | None = None) -> Any:
        data = None if arguments is None else json.dumps(arguments).encode()
        request = urllib.request.Request(f"{self.url}/__emu/{verb}", data, {"content-type": "application/json"})
        try:
            with self._open(request, timeout=60) as answer:
                return json.loads(answer.read())
        except urllib.error.HTTPError as error:
            raise ValueError(json.loads(error.read()).get("error", str(error))) from error


def bind(host: str, port: int) -> socket.socket:
    """A listening socket on loopback; ValueError for any other address."""
    if host != "localhost" and not ipaddress.ip_address(host).is_loopback:
        raise ValueError(f"the emulator serves loopback only, not {host}")
    bound = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    if os.name != "nt":
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind((host, port))
    bound.listen(512)
    return bound


def server_for(core: Emulator, sockets: list[socket.socket]) -> uvicorn.Server:
    """A uvicorn server for the emulator's sockets (API first, storage last)."""
    core.listen(sockets[0].getsockname()[:2], sockets[-1].getsockname()[:2])
    config = uvicorn.Config(
        core.app(), http="h11", ws="none", lifespan="off", log_config=None, access_log=False, date_header=False,
        server_header=False, proxy_headers=False, timeout_keep_alive=30, timeout_graceful_shutdown=1, backlog=512,
    )  # fmt: skip
    return uvicorn.Server(config)


@contextmanager
def serve(host: str = "127.0.0.1", port: int = 0, storage_port: int = 0, **settings: Any) -> Iterator[Served]:
    """Serve an emulator in a thread until the block ends. Ports of 0 are chosen by the system."""
    core = Emulator(**settings)
    sockets = [bind(host, port), bind(host, storage_port)]
    server = server_for(core, sockets)
    thread = threading.Thread(target=_run, args=(server, sockets), name="qwenbuild-emulator", daemon=True)
    thread.start()
    try:
        _wait_until_up(server, thread)
        yield Served(core, core.origins["api"], core.origins["storage"])
    finally:
        server.should_exit = server.force_exit = True
        thread.join(timeout=10)
        for bound in sockets:
            bound.close()


def _wait_until_up(server: uvicorn.Server, thread: threading.Thread) -> None:
    while not server.started:
        if not thread.is_alive():
            raise RuntimeError("the emulator's server did not start")
        thread.join(timeout=0.002)


def _run(server: uvicorn.Server, sockets: list[socket.socket]) -> None:
    with suppress(asyncio.CancelledError):
        asyncio.run(_served(server, sockets))


async def _served(server: uvicorn.Server, sockets: list[socket.socket]) -> None:
    """Serve to the end. What is being answered then is cut off: uvicorn, told to end at once, would leave it open."""
    try:
        await server.serve(sockets)
    finally:
        for connection in list(server.server_state.connections):
            connection.transport.abort()
        await asyncio.sleep(0)
