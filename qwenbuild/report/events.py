"""A run as JSON lines for machines: one object with `event` a line, the summary last and once.

Knows the events' interface only; what is meant for people goes to the other stream.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import IO, Any

from qwenbuild.ports import Event
from qwenbuild.report.escape import visible
from qwenbuild.report.streams import Lines
from qwenbuild.report.words import decimal_text


class JsonLines:
    """Events on `out` (stdout); messages for people on `err` (stderr)."""

    def __init__(self, out: IO[str], err: IO[str], *, quiet: bool = False) -> None:
        self._out, self._err = Lines(out), Lines(err)
        self._quiet = quiet
        self._held_back: Event | None = None

    def event(self, event: Event) -> None:
        """Write an event; the summary is kept until `close`, so that nothing comes after it."""
        if event.event == "message":
            self._message(event)
            if event.data.get("waiting"):
                self._out.line(event_json(Event("message", event.id, {"message": event.data.get("text", "")})))
        elif event.event == "summary":
            self._held_back = event
        elif event.event != "sending":
            self._out.line(event_json(event))

    def summary(self, data: Mapping[str, Any]) -> None:
        """The summary, where the run itself did not send one."""
        if self._held_back is None:
            self._held_back = Event("summary", data=data)

    def close(self) -> None:
        """Write the summary."""
        if self._held_back is not None:
            self._out.line(event_json(self._held_back))
            self._held_back = None

    def _message(self, event: Event) -> None:
        if not self._quiet:
            self._err.line(visible(str(event.data.get("message", event.data.get("text", "")))))


def event_json(event: Event) -> str:
    """One event on one line of ASCII."""
    fields: dict[str, Any] = {"event": event.event}
    if event.id:
        fields["id"] = event.id
    return json.dumps(fields | dict(event.data), default=_foreign)


def _foreign(value: Any) -> Any:
    return decimal_text(value) if isinstance(value, Decimal) else dict(value) if isinstance(value, Mapping) else str(value)
