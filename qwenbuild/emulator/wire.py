"""What comes in and what goes out, as values: a request, a reply, and a script of raw bytes for a connection.

Knows no vendor and no web framework.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal
from urllib.parse import parse_qsl

Phase = Literal["submit", "poll", "download", "cancel", "list", "info"]


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request. Header names are lower case; `query` is as it was written; `door` says which socket took it."""

    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    door: Literal["api", "storage"] = "api"

    def json(self) -> Any:
        """The body; ValueError when it is not JSON."""
        try:
            return json.loads(self.body)
        except RecursionError as error:
            raise ValueError("nested too deeply") from error

    def prompt(self) -> str:
        """The text `prompt` of a JSON body, "" where there is none."""
        try:
            body = self.json()
        except ValueError:
            return ""
        prompt = body.get("prompt") if isinstance(body, dict) else None
        return prompt if isinstance(prompt, str) else ""

    def params(self) -> dict[str, str]:
        """The query as a mapping, the last value of a name winning."""
        return dict(parse_qsl(self.query, keep_blank_values=True))


@dataclass(frozen=True, slots=True)
class Reply:
    """One HTTP answer; `ready` is the moment at which it leaves (seconds since 1970, 0 = at once)."""

    status: int
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = (("content-type", "application/json"),)
    ready: float = 0.0

    def with_headers(self, *pairs: tuple[str, str]) -> Reply:
        """The same answer with further headers."""
        return replace(self, headers=self.headers + pairs)

    def type(self) -> str:
        """The content type, `""` when there is none."""
        return next((value for name, value in self.headers if name == "content-type"), "")


@dataclass(frozen=True, slots=True)
class Write:
    """Bytes for the connection, in pieces of `piece` bytes with `every` seconds between them; 0 = all at once."""

    data: bytes
    piece: int = 0
    every: float = 0.0


@dataclass(frozen=True, slots=True)
class Pause:
    """Nothing, for so many seconds of real time."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Until:
    """Nothing, until the emulator's clock shows a moment (seconds since 1970)."""

    moment: float


@dataclass(frozen=True, slots=True)
class Hang:
    """Nothing, until the other side leaves or so many seconds of real time are over."""

    seconds: float = 3600.0


@dataclass(frozen=True, slots=True)
class Reset:
    """End the connection with RST."""


@dataclass(frozen=True, slots=True)
class Close:
    """End the connection with FIN, after what was written is out."""


Step = Write | Pause | Until | Hang | Reset | Close
Script = tuple[Step, ...]


def dumps(value: Any) -> bytes:
    """JSON as the vendors write it: UTF-8, and `&` as an escape, which some of them do. A lone surrogate becomes an escape."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":")).replace("&", "\\u0026")
    return text.encode("utf-8", "backslashreplace")


def json_reply(status: int, value: Any, *headers: tuple[str, str], ready: float = 0.0) -> Reply:
    """A JSON answer."""
    return Reply(status, dumps(value), (("content-type", "application/json"), *headers), ready)


def raw_head(status: int, headers: tuple[tuple[str, str], ...]) -> bytes:
    """A status line and headers for a script, with `Connection: close`."""
    lines = [f"HTTP/1.1 {status} Scripted", *(f"{name}: {value}" for name, value in headers), "connection: close"]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
