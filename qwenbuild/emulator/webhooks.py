"""Tells a webhook when a job has ended: after the end on the emulator's clock, by a POST from a thread.

Knows nothing of what a notice says; it goes to loopback only, everything else is noted as due and not sent.
"""

from __future__ import annotations

import asyncio
import ipaddress
import urllib.error
import urllib.request
from typing import Any, Protocol
from urllib.parse import urlsplit

from qwenbuild.emulator.jobs import EmulatedJob
from qwenbuild.emulator.world import EmulatorCore


class Notifier(Protocol):
    """An API that tells webhooks."""

    api: str

    def notice(self, job: EmulatedJob) -> tuple[bytes, dict[str, str]]:
        """Body and headers."""
        ...


class Webhooks:
    """Sends the notices of one emulator."""

    def __init__(self, world: EmulatorCore, notifiers: list[Notifier]) -> None:
        self._world = world
        self._notifiers = {notifier.api: notifier for notifier in notifiers}
        self._tasks: set[asyncio.Task[None]] = set()

    def accepted(self, job: EmulatedJob) -> None:
        """Remember to tell, when the job has an address to tell; needs the server's running loop."""
        if job.order.webhook and job.order.api in self._notifiers:
            job.webhook_status = "pending"
            task = asyncio.get_running_loop().create_task(self._tell(job))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _tell(self, job: EmulatedJob) -> None:
        book = self._world.book
        await self._world.clock.until(job.end)
        body, headers = self._notifiers[job.order.api].notice(job)
        url = job.order.webhook
        line: dict[str, Any] = {
            "task": job.id,
            "url": url,
            "body": body.decode(),
            "headers": headers,
            "status": None,
            "note": "",
        }
        book.webhooks.append(line)
        if not _is_loopback(url):
            line["note"] = "not sent: the emulator tells loopback only"
            return
        line["status"], line["note"] = await asyncio.to_thread(_post, url, body, headers)
        job.webhook_status = "delivered" if line["status"] is not None and line["status"] < 300 else "failed"


def _is_loopback(url: str) -> bool:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or parts.hostname is None:
        return False
    try:
        return parts.hostname == "localhost" or ipaddress.ip_address(parts.hostname).is_loopback
    except ValueError:
        return False


def _post(url: str, body: bytes, headers: dict[str, str]) -> tuple[int | None, str]:
    request = urllib.request.Request(url, body, {"content-type": "application/json", **headers}, method="POST")
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=5) as answer:
            return int(answer.status), ""
    except urllib.error.HTTPError as error:
        with error:
            return error.code, ""
    except OSError as error:
        return None, str(error)
