"""The emulator: accepts jobs, lets time pass over them, answers requests, keeps the ledger.

Knows the APIs only as fronts that are tried in order, and nothing of sockets: an answer is a value.
"""

from __future__ import annotations

import hashlib
import heapq
import math
import uuid
from collections.abc import Callable, Mapping
from dataclasses import fields
from datetime import UTC, datetime
from email.utils import formatdate
from typing import TYPE_CHECKING, Any

from qwenbuild.emulator import links, pictures
from qwenbuild.emulator.clock import Clock
from qwenbuild.emulator.faults import Hit, OrderedFault, Outcome
from qwenbuild.emulator.jobs import EmulatedJob, Fate, JobOrder
from qwenbuild.emulator.lanes import EmulatedLane, EmulatedPace
from qwenbuild.emulator.ledger import EmulatedLedger
from qwenbuild.emulator.settings import Account, Settings, apply, configure_account, default_accounts
from qwenbuild.emulator.wire import Reply, Request, Script
from qwenbuild.emulator.world import Front
from qwenbuild.later import later

with later:
    from qwenbuild import images
    from qwenbuild.emulator import control, faults, fronts, web

if TYPE_CHECKING:
    from starlette.applications import Starlette

EMPTY = Reply(200, b"{}")


class Emulator:
    """All APIs of one emulator. Everything but `respond` and `advance` is for tests.

    Settings may be given by name: `Emulator(latency=15, unique=False)`.
    """

    def __init__(self, **settings: Any) -> None:
        self._initial = dict(settings)
        self.clock = Clock()
        self.origins = {"api": "http://127.0.0.1", "storage": "http://127.0.0.1"}
        self._ports: dict[int, str] = {}
        self.on_accept: Callable[[EmulatedJob], None] = lambda job: None
        self._begin()

    def _begin(self) -> None:
        self.settings = Settings()
        self.accounts = default_accounts()
        self.book = EmulatedLedger(self.accounts)
        self.faults: list[OrderedFault] = []
        self.lanes: dict[tuple[str, str, str, str], EmulatedLane] = {}
        self.replays = 0
        self.traps = 0
        self._ends: list[tuple[float, int, EmulatedJob]] = []
        self._fronts = fronts.all_fronts(self)
        self.configure(**self._initial)

    # -- what a server needs -------------------------------------------------------------------------------------------

    def app(self) -> Starlette:
        """A starlette application that answers every path."""
        return web.application(self)

    def listen(self, api: tuple[str, int], storage: tuple[str, int]) -> None:
        """Tell where the two sockets are; links and redirects name them."""
        self.origins = {"api": f"http://{api[0]}:{api[1]}", "storage": f"http://{storage[0]}:{storage[1]}"}
        self._ports = {api[1]: "api", storage[1]: "storage"} if api[1] != storage[1] else {}

    def door(self, port: int) -> str:
        """Which socket a port is: `api`, `storage`, or `""` when one socket does both."""
        return self._ports.get(port, "")

    def respond(self, request: Request) -> Reply | Script:
        """Answer one request, honestly or as a fault says."""
        if request.path.startswith("/__emu/"):
            return control.control(self, request)
        now = self.clock.now()
        self.settle(now)
        if request.path.startswith("/__trap/"):
            self.traps += 1
        front = next((front for front in self._fronts if request.path.startswith(front.prefix)), None)
        if front is None or self.door_is_wrong(front, request):
            self.book.note(request, "", "", "info", now)
            return Reply(404, b"Not Found", (("content-type", "text/plain"),))
        answer = self._through(front, request, now)
        if isinstance(answer, tuple) or not self.settings.date_header:
            return answer
        return answer.with_headers(("date", self._date(now)))

    def door_is_wrong(self, front: Front, request: Request) -> bool:
        """Whether an API is asked for at the storage socket."""
        return request.door == "storage" and front.api != "storage"

    def _date(self, now: float) -> str:
        return formatdate(now + self.settings.date_skew, usegmt=True)

    # -- one request ---------------------------------------------------------------------------------------------------

    def _through(self, front: Front, request: Request, now: float) -> Outcome:
        phase = front.phase(request)
        subject = front.subject(request, phase)
        job = self.book.by_id.get(subject) if phase != "submit" else None
        line = self.book.note(request, front.api, front.region, phase, now)
        text = job.order.prompt if job else subject
        line["task"] = job.id if job else None
        late = phase in ("poll", "list", "download")
        whose = (job.order.api, job.order.region) if job else (front.api, front.region)
        fault = None if late else self._fault(phase, *whose, text)
        before = len(self.book.jobs)
        honest = EMPTY if fault else front.handle(request)
        if len(self.book.jobs) > before:
            job = self.book.jobs[-1]
            line["task"] = job.id
            fault = self._fault("accepted", *whose, job.order.prompt)
        elif late:
            fault = self._fault(phase, *whose, text)
        outcome = fault_outcome(fault, Hit(request, honest, front.refuse, self.origins, fault.options)) if fault else honest
        self._answered(line, fault, outcome, job if phase == "download" else None)
        return outcome

    def _fault(self, phase: str, api: str, region: str, text: str) -> OrderedFault | None:
        chosen = None
        for fault in self.faults:
            if fault.matches(phase, api, region, text):
                fault.seen += 1
                if chosen is None and fault.due():
                    fault.hits += 1
                    chosen = fault
        return chosen

    def _answered(self, line: dict[str, Any], fault: OrderedFault | None, outcome: Outcome, job: EmulatedJob | None) -> None:
        line["fault"] = f"{fault.phase}:{fault.kind}" if fault else None
        if isinstance(outcome, tuple):
            line["bytes"] = sum(len(getattr(step, "data", b"")) for step in outcome)
        else:
            line["status"], line["bytes"] = outcome.status, len(outcome.body)
        if job is not None:
            whole = fault is None and line["status"] == 200
            job.served.append({"time": line["time"], "bytes": line["bytes"], "whole": whole, "status": line["status"]})

    # -- what fronts need ----------------------------------------------------------------------------------------------

    def account(self, api: str, region: str, key: str) -> Account | None:
        """Whose key it is, at this API and region only."""
        return next((a for a in self.accounts if a.api == api and a.region == region and key in a.keys), None)

    def lane(self, api: str, region: str, account: str, model: str) -> EmulatedLane:
        """The lane of an account and model."""
        return self.lanes.setdefault((api, region, account, model), EmulatedLane())

    def pace(self, vendor: EmulatedPace) -> EmulatedPace:
        """The vendor's pace, with what the settings put in its place."""
        chosen = self.settings
        window = vendor if chosen.rate is None else EmulatedPace(max(1.0, chosen.rate), max(1.0, 1.0 / chosen.rate), 0)
        concurrency = vendor.concurrency if chosen.concurrency is None else float(chosen.concurrency)
        if not chosen.enforce:
            return EmulatedPace(math.inf, window.window, math.inf if chosen.concurrency is None else concurrency)
        return EmulatedPace(window.count, window.window, concurrency)

    def admit(self, lane: EmulatedLane, pace: EmulatedPace) -> str:
        """Count an arriving submission: `""` when it may come in, else `rate` or `concurrency`."""
        now = self.clock.now()
        lane.arrive(now)
        if lane.over_rate(now, pace, self.settings.rate_grace):
            lane.refused_rate += 1
            return "rate"
        if self.settings.overflow == "refuse" and lane.in_flight(now) >= pace.concurrency:
            lane.refused_concurrency += 1
            return "concurrency"
        return ""

    def accept(self, order: JobOrder, lane: EmulatedLane, concurrency: float, task_id: str = "") -> EmulatedJob:
        """Take a job on: from here on it costs, unless it fails."""
        now, settings = self.clock.now(), self.settings
        fate = self._fate(order)
        start = lane.earliest(now, concurrency) + settings.pending
        end = math.inf if fate.kind == "stuck" else start + settings.latency + order.extra_delay
        number = len(self.book.jobs) + 1
        job = EmulatedJob(
            number,
            task_id or str(uuid.uuid4()),
            str(uuid.uuid4()),
            order,
            now,
            start,
            end,
            fate,
            settings.unique,
            settings.weight,
        )
        self._reserve(job, +1)
        lane.enter(job, now)
        self.book.add(job)
        heapq.heappush(self._ends, (end, number, job))
        self.on_accept(job)
        return job

    def _fate(self, order: JobOrder) -> Fate:
        if order.fate.kind != "done":
            return order.fate
        if any(word in order.prompt or word in order.negative_prompt for word in self.settings.refuse_words):
            return Fate("failed", "DataInspectionFailed", "Input data may contain inappropriate content.")
        fault = self._fault("job", order.api, order.region, order.prompt)
        return fault.fate() if fault else Fate()

    def cancel(self, job: EmulatedJob, lane: EmulatedLane, concurrency: float) -> None:
        """Drop a waiting job; those behind it move up."""
        job.canceled = self.clock.now()
        lane.leave(job, job.canceled, concurrency)
        for other in lane.unfinished:
            heapq.heappush(self._ends, (other.end, other.number, other))
        self._settle_one(job)

    def settle(self, now: float) -> None:
        """Give back what failed jobs had reserved."""
        while self._ends and self._ends[0][0] <= now:
            self._settle_one(heapq.heappop(self._ends)[2])

    def _settle_one(self, job: EmulatedJob) -> None:
        if not job.settled:
            job.settled = True
            if not job.pays():
                self._reserve(job, -1)

    def _reserve(self, job: EmulatedJob, sign: int) -> None:
        order = job.order
        account = next((a for a in self.accounts if a.name == order.account), None)
        if account is None:
            return
        if order.unit != "usd":
            account.credits -= sign * int(order.price)
            return
        if sign > 0:
            job.free = min(order.n, account.free_left(order.model))
        account.used[order.model] = account.used.get(order.model, 0) + sign * job.free

    def forgotten(self, job: EmulatedJob) -> bool:
        """Whether the retention is over, or the API was told to forget the job."""
        now = self.clock.now()
        return now > job.accepted + self.settings.retention or (job.fate.kind == "unknown" and now >= job.end)

    def link(self, job: EmulatedJob, index: int = 0) -> str:
        """The signed address of a picture."""
        end = int(job.end)
        day = datetime.fromtimestamp(end, UTC).strftime("%Y%m%d")
        extension = {"jpeg": "jpg"}.get(job.order.format, job.order.format)
        return self.origins["storage"] + links.signed_path(job.id, index, extension, day, end + int(self.settings.retention))

    # -- what tests see ------------------------------------------------------------------------------------------------

    def picture_for(self, task: str, index: int = 0) -> bytes:
        """The bytes of a job's picture; KeyError for a task that was never accepted."""
        job = self.book.by_id[task]
        order = job.order
        seed = dict(order.effective, index=index)
        if job.unique or order.seed is None:
            seed["task"] = job.id
        behind = pictures.background_of(order.prompt)
        picture = pictures.png(
            *order.size, pictures.digest_of(seed), marked=order.watermark, weight=job.weight, background=behind
        )
        if order.format == "png":
            return picture
        converted: bytes = images.convert(picture, order.format)
        return converted

    def ledger(self) -> list[dict[str, Any]]:
        """Every accepted job in order, with the digests of its pictures and what was served of them."""
        now = self.clock.now()
        for job in self.book.jobs:
            if job.digests is None:
                job.digests = [hashlib.sha256(self.picture_for(job.id, index)).hexdigest() for index in range(job.order.n)]
        return [job.entry(now) for job in self.book.jobs]

    def prompts(self) -> list[str]:
        """The prompt of every accepted job, in order, as it was sent."""
        return [job.order.prompt for job in self.book.jobs]

    def requests(self) -> list[dict[str, Any]]:
        """Every request in order, keys struck out."""
        return list(self.book.requests)

    def leaks(self) -> list[dict[str, Any]]:
        """Credentials that came where none belongs: storage, trap, self-hosted server."""
        return list(self.book.leaks)

    def webhooks(self) -> list[dict[str, Any]]:
        """Every notification that was due, and what became of it."""
        return list(self.book.webhooks)

    def limits_seen(self) -> list[dict[str, Any]]:
        """For each account and model: submissions, refusals, most in flight, least spacing in seconds."""
        names = ("api", "region", "account", "model")
        return [dict(zip(names, key, strict=True)) | lane.seen() for key, lane in sorted(self.lanes.items())]

    def spent(self) -> dict[str, str]:
        """What all accounts paid, unit → decimal string."""
        return self.book.spent(self.clock.now())

    def state(self) -> dict[str, Any]:
        """Clock, settings, accounts and counters."""
        account = {item.name for item in fields(Account)} - {"keys"}
        return {
            "now": self.clock.now(),
            "settings": {item.name: getattr(self.settings, item.name) for item in fields(Settings)},
            "accounts": [{name: getattr(one, name) for name in sorted(account)} for one in self.accounts],
            "accepted": len(self.book.jobs),
            "requests": len(self.book.requests),
            "replays": self.replays,
            "leaks": len(self.book.leaks),
            "traps": self.traps,
            "spent": self.spent(),
            "faults": [fault.entry() for fault in self.faults],
        }

    # -- what tests set ------------------------------------------------------------------------------------------------

    def configure(self, accounts: Mapping[str, Mapping[str, Any]] | None = None, **settings: Any) -> None:
        """Change settings by name, and accounts by name and field. ValueError names what is unknown."""
        apply(self.settings, settings)
        for name, changes in (accounts or {}).items():
            configure_account(self.accounts, name, changes)

    def fault(self, phase: str, kind: str, **rule: Any) -> None:
        """Order a fault: `at`, `times`, `every`, `api`, `region`, `match`; everything else is an option of the kind."""
        conditions = {name: rule.pop(name) for name in ("at", "times", "every", "api", "region", "match") if name in rule}
        if "every" in conditions:
            conditions.setdefault("times", None)
        self.faults.append(OrderedFault(phase, kind, **conditions, options=rule))

    def clear_faults(self) -> None:
        """Forget every ordered fault."""
        self.faults.clear()

    def advance(self, seconds: float) -> None:
        """Push the clock forward."""
        self.clock.advance(seconds)

    def freeze(self) -> None:
        """Stop the clock: from now on only `advance` lets jobs start and end, and synchronous calls answer."""
        self.clock.freeze()

    def reset(self) -> None:
        """Back to the beginning: no jobs, no log, no faults, real time, the settings it was made with."""
        self.clock.reset()
        self._begin()


def fault_outcome(fault: OrderedFault, hit: Hit) -> Outcome:
    """What a fault makes of a request."""
    return faults.KINDS[fault.kind](hit)
