"""Plays the object storage that holds the pictures: signed links, and no patience with credentials.

Knows nothing of the API that a picture came from.
"""

from __future__ import annotations

from qwenbuild.emulator import links
from qwenbuild.emulator.jobs import Stage
from qwenbuild.emulator.wire import Phase, Reply, Request
from qwenbuild.emulator.world import EmulatorCore

MEDIA = {"png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp"}


class Storage:
    """Signed links under `/oss/`."""

    api = "storage"
    region = ""
    prefix = links.PREFIX

    def __init__(self, world: EmulatorCore) -> None:
        self._world = world

    def phase(self, request: Request) -> Phase:
        """Everything here is a download."""
        return "download"

    def subject(self, request: Request, phase: Phase) -> str:
        """The task whose picture is asked for."""
        target = links.target(request)
        return target[0] if target else ""

    def refuse(self, status: int, code: str, message: str) -> Reply:
        """Storage's XML error."""
        return links.xml(status, code, message)

    def handle(self, request: Request) -> Reply:
        """The picture's bytes, or why not."""
        if self._world.book.leaked(request, "storage"):
            return links.xml(
                400, "InvalidArgument", "Only one auth mechanism allowed: the link is signed, and a credential came too."
            )
        now = self._world.clock.now()
        refusal = links.refusal(request, now)
        if refusal is not None:
            return refusal
        target = links.target(request)
        job = self._world.book.by_id.get(target[0]) if target else None
        if job is None or target is None or target[1] >= job.order.n or job.stage(now) is not Stage.DONE:
            return links.xml(404, "NoSuchKey", "The specified key does not exist.")
        data = self._world.picture_for(job.id, target[1])
        etag = f'"{job.id.replace("-", "").upper()}"'
        return Reply(200, data, (("content-type", MEDIA[job.order.format]), ("etag", etag), ("x-oss-object-type", "Normal")))


class Trap:
    """A place that nobody should be led to: counts who comes, and what they carry."""

    api = "storage"
    region = "trap"
    prefix = "/__trap/"

    def __init__(self, world: EmulatorCore) -> None:
        self._world = world

    def phase(self, request: Request) -> Phase:
        """Not a download that any fault was ordered for."""
        return "info"

    def subject(self, request: Request, phase: Phase) -> str:
        """Nothing."""
        return ""

    def refuse(self, status: int, code: str, message: str) -> Reply:
        """Storage's XML error."""
        return links.xml(status, code, message)

    def handle(self, request: Request) -> Reply:
        """Note the visit."""
        self._world.book.leaked(request, "trap")
        return Reply(200, b"caught", (("content-type", "text/plain"),))
