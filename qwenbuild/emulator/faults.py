"""Faults on order: which request they hit, and what the connection then does.

Knows no API: an API's own error envelope is made by the front that is handed in.

Phases: `submit` before anything is accepted, `accepted` after the job is in the ledger and in place of its answer,
`poll`, `download`, `cancel`, `list`, `info`, and `job` for how an accepted job ends.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from qwenbuild.emulator import links
from qwenbuild.emulator.jobs import Fate
from qwenbuild.emulator.wire import Close, Hang, Pause, Reply, Request, Reset, Script, Step, Until, Write, raw_head

PHASES = ("submit", "accepted", "poll", "download", "cancel", "list", "info", "job")
FATES = ("failed", "stuck", "unknown", "no_url", "item_error", "canceled")
GATEWAY_PAGE = "<html><head><title>{0}</title></head><body><center><h1>{0}</h1></center><hr>nginx</body></html>"
REASONS = {
    408: "Request Timeout",
    500: "Internal Server Error",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
}


@dataclass(slots=True)
class OrderedFault:
    """One fault on order.

    Of the requests that match from now on, it hits number `at` and the following ones, `times` in all (None = for ever),
    or with `every` each `every`-th. `match` is a part of the prompt (of the job's prompt, for polls and downloads).
    A request that an earlier fault takes is counted and left to it: two faults for one phase hit one request after the other.
    """

    phase: str
    kind: str
    at: int = 1
    times: int | None = 1
    every: int | None = None
    api: str | None = None
    region: str | None = None
    match: str | None = None
    options: dict[str, Any] = field(default_factory=dict)
    seen: int = 0
    hits: int = 0

    def __post_init__(self) -> None:
        if self.phase not in PHASES:
            raise ValueError(f"unknown phase {self.phase!r}; known: {', '.join(PHASES)}")
        kinds = FATES if self.phase == "job" else tuple(KINDS)
        if self.kind not in kinds:
            raise ValueError(f"unknown kind {self.kind!r} for phase {self.phase}; known: {', '.join(kinds)}")

    def matches(self, phase: str, api: str, region: str, subject: str) -> bool:
        """Whether the fault is about such a request."""
        if phase != self.phase or self.api not in (None, api) or self.region not in (None, region):
            return False
        return self.match is None or self.match in subject

    def due(self) -> bool:
        """Whether the request that was just counted is to be hit."""
        if self.seen < self.at or (self.times is not None and self.hits >= self.times):
            return False
        return self.every is None or (self.seen - self.at) % self.every == 0

    def fate(self) -> Fate:
        """How a job that is hit ends."""
        code = str(self.options.get("code", "InternalError.Algo" if self.kind == "failed" else "DataInspectionFailed"))
        return Fate(self.kind, code, str(self.options.get("message", "The emulator was told to fail this job.")))

    def entry(self) -> dict[str, Any]:
        """The fault as JSON values."""
        return {
            "phase": self.phase, "kind": self.kind, "at": self.at, "times": self.times, "every": self.every, "api": self.api,
            "region": self.region, "match": self.match, "options": self.options, "seen": self.seen, "hits": self.hits,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Hit:
    """What a fault needs to know of the request that it hit.

    `reply` is the honest answer, or an empty 200 before there is one; `refuse` writes the API's own error envelope;
    `origins` are the base URLs of both sockets.
    """

    request: Request
    reply: Reply
    refuse: Callable[[int, str, str], Reply]
    origins: dict[str, str]
    options: dict[str, Any]


Outcome = Reply | Script
Kind = Callable[[Hit], Outcome]


def _extra_headers(hit: Hit) -> tuple[tuple[str, str], ...]:
    return tuple((str(name).lower(), str(value)) for name, value in dict(hit.options.get("headers", {})).items())


def _refuse(hit: Hit) -> Outcome:
    status = int(hit.options.get("status", 400))
    reply = hit.refuse(
        status, str(hit.options.get("code", "InvalidParameter")), str(hit.options.get("message", "refused on order"))
    )
    return reply.with_headers(*_extra_headers(hit))


def _status(hit: Hit) -> Outcome:
    """A gateway's page, or any body that is asked for."""
    status = int(hit.options.get("status", 502))
    page = GATEWAY_PAGE.format(f"{status} {REASONS.get(status, 'Error')}")
    kind = str(hit.options.get("content_type", "text/html"))
    return Reply(status, str(hit.options.get("body", page)).encode(), (("content-type", kind), *_extra_headers(hit)))


def _html(hit: Hit) -> Outcome:
    page = "<html><body>Please log in to the network.</body></html>"
    return Reply(200, page.encode(), (("content-type", "text/html; charset=utf-8"),))


def _edit(hit: Hit) -> Outcome:
    """The honest JSON answer with names at its top `set` to other values, or `drop`ped."""
    try:
        value = json.loads(hit.reply.body)
    except ValueError:
        return hit.reply
    value = {name: item for name, item in value.items() if name not in hit.options.get("drop", ())}
    return replace(hit.reply, body=json.dumps(value | dict(hit.options.get("set", {}))).encode())


def _empty(hit: Hit) -> Outcome:
    return Reply(int(hit.options.get("status", 200)), b"", hit.reply.headers)


def _reset(hit: Hit) -> Outcome:
    return (Reset(),)


def _close(hit: Hit) -> Outcome:
    return (Close(),)


def _silence(hit: Hit) -> Outcome:
    return (Hang(float(hit.options.get("seconds", 3600.0))), Close())


def _half_header(hit: Hit) -> Outcome:
    return (Write(b"HTTP/1.1 200 OK\r\ncontent-type: applic"), *_end(hit))


def _garbage(hit: Hit) -> Outcome:
    return (Write(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 not http at all \x00\xff\r\n\r\n"), *_end(hit))


def _framed(hit: Hit, length: int) -> bytes:
    return raw_head(hit.reply.status, (*hit.reply.headers, ("content-length", str(length))))


def _end(hit: Hit) -> tuple[Step, ...]:
    """How a broken answer ends: closed, reset, or held open."""
    how = str(hit.options.get("end", "close"))
    return {"close": (Close(),), "reset": (Pause(0.05), Reset()), "hang": (Hang(), Close())}[how]


def _part(hit: Hit) -> bytes:
    body = hit.reply.body
    return body[: int(hit.options.get("bytes", len(body) // 2))]


def _half_body(hit: Hit) -> Outcome:
    """Content-Length says all, half comes."""
    return (Write(_framed(hit, max(len(hit.reply.body), 2)) + _part(hit)), *_end(hit))


def _cut_without_length(hit: Hit) -> Outcome:
    """No Content-Length: only the content tells that something is missing."""
    return (Write(raw_head(hit.reply.status, hit.reply.headers) + _part(hit)), *_end(hit))


def _cut_chunked(hit: Hit) -> Outcome:
    part = _part(hit)
    head = raw_head(hit.reply.status, (*hit.reply.headers, ("transfer-encoding", "chunked")))
    return (Write(head + b"%x\r\n" % len(part) + part + b"\r\n"), *_end(hit))


def _slow(hit: Hit) -> Outcome:
    """The whole answer, drop by drop: `bytes` each `every` seconds."""
    piece, every = int(hit.options.get("bytes", 64)), float(hit.options.get("every", 0.2))
    head = Write(_framed(hit, len(hit.reply.body)))
    return (Until(hit.reply.ready), head, Write(hit.reply.body, piece, every), Close())


def _delay(hit: Hit) -> Outcome:
    """The honest answer at its own moment, late by `seconds` of real time."""
    late = Pause(float(hit.options.get("seconds", 1.0)))
    return (Until(hit.reply.ready), late, Write(_framed(hit, len(hit.reply.body)) + hit.reply.body), Close())


def _wrong_type(hit: Hit) -> Outcome:
    return replace(hit.reply, headers=(("content-type", str(hit.options.get("content_type", "text/html"))),))


def _corrupt(hit: Hit) -> Outcome:
    """One bit flipped in the middle."""
    body = bytearray(hit.reply.body)
    if body:
        body[len(body) // 2] ^= 0x10
    return replace(hit.reply, body=bytes(body))


def _not_a_picture(hit: Hit) -> Outcome:
    return replace(hit.reply, status=200, body=b"this is not a picture")


def _expired(hit: Hit) -> Outcome:
    return links.expired()


def _oversize(hit: Hit) -> Outcome:
    """The picture and then zeros up to `bytes` in all, with an honest Content-Length unless `declared` is false."""
    total = int(hit.options.get("bytes", 64 * 1024 * 1024))
    declared = bool(hit.options.get("declared", True))
    head = _framed(hit, total) if declared else raw_head(200, hit.reply.headers)
    return (Write(head + hit.reply.body), Write(bytes(max(0, total - len(hit.reply.body))), 1 << 18), Close())


def _gzip(hit: Hit) -> Outcome:
    """The honest answer, compressed, though nobody asked for that."""
    return replace(hit.reply, body=gzip.compress(hit.reply.body, 1), headers=(*hit.reply.headers, ("content-encoding", "gzip")))


def _gzip_bomb(hit: Hit) -> Outcome:
    """A small body that unpacks to `bytes` zeros."""
    packed = gzip.compress(bytes(int(hit.options.get("bytes", 256 * 1024 * 1024))), 9)
    return Reply(200, packed, (*hit.reply.headers, ("content-encoding", "gzip")))


def _gzip_cut(hit: Hit) -> Outcome:
    packed = gzip.compress(hit.reply.body or b"{}", 1)
    return Reply(hit.reply.status, packed[: len(packed) // 2], (*hit.reply.headers, ("content-encoding", "gzip")))


def _redirect(hit: Hit) -> Outcome:
    """`to`: same (another path of this origin that serves), other (the other origin), loop, internal, or a URL."""
    to, request = str(hit.options.get("to", "same")), hit.request
    own_origin = hit.origins[request.door]
    other_origin = hit.origins["api" if request.door == "storage" else "storage"]
    full = request.path + (f"?{request.query}" if request.query else "")
    targets = {
        "same": own_origin + full + ("&" if request.query else "?") + "redirected=1",
        "other": other_origin + full,
        "loop": own_origin + full,
        "internal": "http://169.254.169.254/latest/meta-data/",
        "trap": hit.origins["storage"] + "/__trap/followed",
    }
    return Reply(int(hit.options.get("status", 302)), b"", (("location", targets.get(to, to)),))


KINDS: dict[str, Kind] = {
    "refuse": _refuse, "status": _status, "html": _html, "empty": _empty, "reset": _reset, "close": _close, "silence": _silence,
    "half_header": _half_header, "half_body": _half_body, "garbage": _garbage, "truncate": _half_body,
    "cut_without_length": _cut_without_length, "cut_chunked": _cut_chunked, "slow": _slow, "delay": _delay,
    "wrong_type": _wrong_type, "corrupt": _corrupt, "not_a_picture": _not_a_picture, "expired": _expired, "oversize": _oversize,
    "edit": _edit, "gzip": _gzip, "gzip_bomb": _gzip_bomb, "gzip_cut": _gzip_cut, "redirect": _redirect,
}  # fmt: skip
