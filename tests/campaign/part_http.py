"""HTTP faults: every way in which an answer can go wrong, in every phase of a job, through every API, over real sockets.

Knows only what a user would see: exit code, the emulator's ledger, the file in the tree. Waiting is switched off.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

from qwenbuild.emulator import Served, serve
from qwenbuild.pace.clock import Waits
from qwenbuild.pace.lanes import FileLanes
from qwenbuild.providers import build_provider
from qwenbuild.run.world import Times, World
from qwenbuild.transport.http import DownloadLimits
from qwenbuild.verbs import Options, Summary, build
from tests.campaign.lab import APIS, Api, Shop, judge
from tests.walking import Recorder

QUICK = DownloadLimits(read=0.8, cap=8 << 20)
SUBMISSIONS = 12
"""Requests for one picture at most, whatever happens; so that no fault makes a storm."""


class Hurry:
    """A clock that jumps over what is slept, so that minutes of waiting take milliseconds; the day's may be `wrong`."""

    def __init__(self, wrong: float = 0.0) -> None:
        self.skipped = 0.0
        self.wrong = wrong

    async def sleep(self, seconds: float) -> None:
        """Let the others run for a moment."""
        moment = min(max(0.0, seconds), 0.01)
        self.skipped += max(0.0, seconds - moment)
        await asyncio.sleep(moment)

    def waits(self) -> Waits:
        """The clock as a provider wants it."""
        return Waits(
            self.sleep, lambda: time.monotonic() + self.skipped, lambda: time.time() + self.skipped + self.wrong, lambda: 0.5
        )


@contextlib.contextmanager
def hurried(wrong: float = 0.0) -> Iterator[None]:
    """Builds in this process wait for nothing; their clock goes so many seconds wrong."""
    waits = Hurry(wrong).waits()
    times = Times(settle=0.1, pause=0.05, patience=0.02, farewell=1.0)
    with (
        mock.patch("qwenbuild.engine.context.World", functools.partial(World, waits=waits, times=times)),
        mock.patch("qwenbuild.providers.build_provider", functools.partial(build_provider, waits=waits, downloads=QUICK)),
        mock.patch("qwenbuild.pace.lanes.FileLanes", functools.partial(FileLanes, waits=waits)),
    ):
        yield


# ---------------------------------------------------------------- the matrix


@dataclass(frozen=True)
class Case:
    """One fault in one phase, and how the build and the one after it must end.

    `ends`: done, refused, stopped, kept (failed, and the next build finishes it), doubt.
    """

    name: str
    phase: str
    kind: str
    ends: str
    rule: Mapping[str, Any] = field(default_factory=dict)

    @property
    def slow(self) -> bool:
        """Whether only a timeout ends the waiting."""
        return self.kind == "silence" or self.rule.get("end") == "hang"


def _refusal(status: int, code: str = "", **more: Any) -> dict[str, Any]:
    return {"status": status, "code": code, "message": "as ordered", **more}


SILENT = {"seconds": 1.0}
NOTHING = [
    ("reset", "reset", {}),
    ("closed", "close", {}),
    ("silence", "silence", SILENT),
    ("half a header", "half_header", {}),
    ("half a body", "half_body", {}),
    ("half a body, held open", "half_body", {"end": "hang"}),
    ("half a body, reset", "half_body", {"end": "reset"}),
    ("no length", "cut_without_length", {}),
    ("chunks cut", "cut_chunked", {}),
    ("garbage", "garbage", {}),
    ("nothing", "empty", {}),
    ("HTML with 200", "html", {}),
    ("gzip cut", "gzip_cut", {}),
    ("gzip bomb", "gzip_bomb", {"bytes": 1 << 24}),
    ("408 page", "status", {"status": 408}),
    ("413 page", "status", {"status": 413}),
    ("500 page", "status", {"status": 500}),
    ("502 page", "status", {"status": 502}),
    ("503 page", "status", {"status": 503}),
    ("504 page", "status", {"status": 504}),
    ("524 page", "status", {"status": 524}),
    ("redirect here", "redirect", {"to": "same"}),
    ("redirect there", "redirect", {"to": "other"}),
    ("redirect in a loop", "redirect", {"to": "loop"}),
    ("redirect inside", "redirect", {"to": "internal"}),
    ("redirect to a trap", "redirect", {"to": "trap"}),
]
"""Answers that settle nothing."""

HARMLESS = [
    ("late", "delay", {"seconds": 0.3}),
    ("drop by drop", "slow", {"bytes": 40, "every": 0.01}),
    ("another content type", "wrong_type", {}),
]


def cases(api: Api) -> list[Case]:
    """Every case of one API."""
    settled = "done" if api.doubtless else "doubt"
    found = [Case(name, "accepted", kind, "done", rule) for name, kind, rule in HARMLESS]
    for name, kind, rule in NOTHING:
        late = "kept" if Case("", "", kind, "", rule).slow and api.provider == "apiframe" else settled
        found.append(Case(name, "submit", kind, late, rule))
        found.append(Case(name, "accepted", kind, late, rule))
    if api.name != "dashscope sync":
        found += _polls()
    return found + _answered(api) + _downloads(api) + _jobs(api)


def _polls() -> list[Case]:
    found = []
    for name, kind, rule in NOTHING:
        if rule.get("end") != "hang":
            found.append(Case(name, "poll", kind, "done", rule))
        if not Case("", "", kind, "", rule).slow:
            found.append(Case(f"{name}, always", "poll", kind, "kept", {**rule, "times": None}))
    return found


def _answered(api: Api) -> list[Case]:
    """The provider's own error envelopes."""
    said = [
        Case("400", "submit", "refuse", "refused", _refusal(400, "InvalidParameter")),
        Case("401", "submit", "refuse", "stopped", _refusal(401, "InvalidApiKey")),
        Case("402", "submit", "refuse", "stopped", _refusal(402, "Arrearage")),
        Case("403", "submit", "refuse", "stopped", _refusal(403, "AccessDenied.Unpurchased")),
        Case("404", "submit", "refuse", "stopped", _refusal(404, "ModelNotFound")),
        Case("429", "submit", "refuse", "done", _refusal(429, "Throttling")),
        Case("429 page", "submit", "status", "done", {"status": 429}),
        Case("429, nothing", "submit", "empty", "done", {"status": 429}),
        Case("429, told to wait", "submit", "refuse", "done", _refusal(429, "Throttling", headers={"Retry-After": "7"})),
        Case("429, absurd wait", "submit", "refuse", "done", _refusal(429, "Throttling", headers={"Retry-After": "9e9"})),
        Case("429, a date", "submit", "refuse", "done", _refusal(429, "Throttling", headers={"Retry-After": "soon"})),
        Case("429, always", "submit", "refuse", "failed", _refusal(429, "Throttling", times=None)),
        Case("500", "submit", "refuse", "done", _refusal(500, "InternalError")),
        Case("503", "submit", "refuse", "done", _refusal(503, "ServiceUnavailable")),
        Case("500, always", "submit", "refuse", "failed", _refusal(500, "InternalError", times=None)),
        Case("504", "submit", "refuse", "done" if api.doubtless else "doubt", _refusal(504, "GatewayTimeout")),
    ]
    if api.name == "dashscope sync":
        return said
    return [
        *said,
        Case("429", "poll", "refuse", "done", _refusal(429, "Throttling")),
        Case("429 page", "poll", "status", "done", {"status": 429}),
        Case("404 page", "poll", "status", "done", {"status": 404}),
        Case("404 page, always", "poll", "status", "kept", {"status": 404, "times": None}),
        Case("500", "poll", "refuse", "done", _refusal(500, "InternalError")),
        Case("401", "poll", "refuse", "kept", _refusal(401, "InvalidApiKey")),
        Case("404", "poll", "refuse", "doubt", _refusal(404, "NotFound")),
    ]


def _downloads(api: Api) -> list[Case]:
    """What the storage does: once, a fresh look mends it; for ever, nothing that was paid for may be forgotten."""
    broken = [case for case in NOTHING if not case[0].startswith("redirect")] + HARMLESS
    broken += [("one bit flipped", "corrupt", {}), ("text", "not_a_picture", {}), ("no end", "oversize", {"bytes": 9 << 20})]
    found = [Case(name, "download", kind, "done", {**rule, "times": 1}) for name, kind, rule in broken]
    found.append(Case("expired", "download", "expired", "done"))
    found.append(Case("expired, always", "download", "expired", "kept", {"times": None}))
    found += [
        Case("redirect here", "download", "redirect", "done", {"to": "same"}),
        Case("redirect inside", "download", "redirect", "kept", {"to": "internal"}),
        Case("reset, always", "download", "reset", "kept", {"times": None}),
        Case("429", "download", "status", "done", {"status": 429}),
        Case("gzip, always", "download", "gzip", "done", {"times": None}),
        Case("HTML, always", "download", "html", "kept", {"times": None}),
        Case("404 page, always", "download", "status", "kept", {"status": 404, "times": None}),
        Case("503, always", "download", "status", "kept", {"status": 503, "times": None}),
        Case("too large, always", "download", "oversize", "kept", {"bytes": 9 << 20, "times": None}),
        Case("text, always", "download", "not_a_picture", "kept", {"times": None}),
    ]
    return found


def _jobs(api: Api) -> list[Case]:
    """How an accepted job ends."""
    if api.name == "dashscope sync":
        return []
    return [
        Case("failed", "job", "failed", "done", {"code": "InternalError.Algo"}),
        Case("failed, always", "job", "failed", "failed", {"code": "InternalError.Algo", "times": None}),
        Case("canceled", "job", "canceled", "refused" if api.provider == "qwen2512" else "done"),
        Case("forgotten", "job", "unknown", "doubt"),
        Case("without a picture", "job", "no_url", "waits"),
        Case("never ends", "job", "stuck", "waits"),
    ]


# ---------------------------------------------------------------- one case


class Trial:
    """A project of one entry, the fault ordered, and what two builds made of it."""

    def __init__(self, folder: Path, api: Api, emulator: Served, case: Case) -> None:
        self.case, self.api, self.emulator = case, api, emulator
        self.shop = Shop(folder / "shop", folder / "cache", api, emulator)  # type: ignore[arg-type]
        hasty = case.slow and case.phase in ("submit", "accepted")
        self.shop.stock({"one": "a paper lamp"}, timeout=0.7 if hasty else 300)

    def faults(self) -> list[str]:
        """What is wrong, in words."""
        emulator, case = self.emulator, self.case
        emulator.reset()
        emulator.configure(enforce=False, latency=0.02)
        emulator.fault(case.phase, case.kind, **{"times": 1, **case.rule})
        first = self._build()
        jobs = len(emulator.ledger())
        posts = sum(request["phase"] == "submit" for request in emulator.requests())
        emulator.clear_faults()
        second = self._build()
        found = self._judged(first, second, jobs)
        if posts > SUBMISSIONS:
            found.append(f"{posts} submissions")
        if emulator.leaks() or emulator.state()["traps"]:
            found.append(f"leaks: {emulator.leaks()}, traps: {emulator.state()['traps']}")
        return [f"{self.api.name}, {case.phase}, {case.name}: {problem}" for problem in found]

    def _build(self) -> Summary | Exception:
        with mock.patch.dict(os.environ, self.shop.environ, clear=True):
            try:
                return build(Options(self.shop.folder, yes=True), Recorder(), None)
            except Exception as error:
                return error

    def _judged(self, first: Summary | Exception, second: Summary | Exception, jobs: int) -> list[str]:
        for each in (first, second):
            if isinstance(each, Exception):
                return [f"raised {type(each).__name__}: {each}"]
        assert isinstance(first, Summary)
        assert isinstance(second, Summary)
        codes = (first.exit_code, second.exit_code)
        found = [] if codes in ENDS[self.case.ends] else [f"exit codes {codes}, {first.failures} {second.failures}"]
        paid = [job for job in self.emulator.ledger() if job["fate"] == "done"]
        if len(paid) > 1 or (self.case.phase != "job" and len(self.emulator.ledger()) > 1):
            found.append(f"paid {len(paid)} times, accepted {len(self.emulator.ledger())} times")
        if any("\n" in message for _, _, message in (*first.failures, *second.failures)):
            found.append("a cause of several lines")
        verdict = judge(self.shop, self.emulator.ledger(), approved=9)
        if codes[1] == 0 and verdict.bad:
            found.append(verdict.bad)
        if (6 in codes[1:]) != bool(verdict.doubts):
            found.append(f"in doubt {verdict.doubts}, exit codes {codes}")
        return found


ENDS: Mapping[str, set[tuple[int, int]]] = {
    "done": {(0, 0)},
    "refused": {(1, 1)},
    "stopped": {(1, 0), (4, 0), (5, 0)},
    "kept": {(1, 0), (5, 0)},
    "waits": {(1, 1)},
    "failed": {(1, 0), (4, 0)},
    "doubt": {(6, 6)},
}
"""Exit codes of the build with the fault and of the next one without, for each way to end."""


def run(apis: tuple[Api, ...] = APIS, first: int = 0, step: int = 1) -> tuple[int, list[str]]:
    """How many cases there are, and what is wrong with which. `first` and `step` choose a part of an API's cases."""
    number, faults = 0, []
    with serve(latency=0.02, enforce=False) as emulator, hurried(), tempfile.TemporaryDirectory() as folder:
        for api in apis:
            for case in cases(api)[first::step]:
                number += 1
                faults += Trial(Path(folder) / str(number), api, emulator, case).faults()
    return number, faults


def main(whole: bool) -> list[tuple[str, str]]:
    """The figures. Raises AssertionError when a fault had another end than the table's."""
    number, faults = run()
    assert not faults, f"{len(faults)} of {number}\n" + "\n".join(faults)
    kinds = len({(case.kind, str(case.rule)) for api in APIS for case in cases(api)})
    return [("HTTP faults", f"{kinds} faults, {number} cases: 0 bought twice, 0 unhandled, every end the table's")]
