"""A job, from acceptance to its end, as the ledger keeps it.

Knows no vendor's words for states: a job is waiting, running, or at its end, by the time alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import Enum
from typing import Any


class Stage(Enum):
    """Where a job is."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELED = "canceled"


@dataclass(frozen=True, slots=True)
class Fate:
    """How a job will end, decided when it is accepted.

    kind: done · failed · stuck (never ends) · unknown (the API forgets it) · no_url (success without a link) ·
    item_error (success whose only item is an error) · canceled.
    """

    kind: str = "done"
    code: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class JobOrder:
    """What a vendor's front asks to be accepted.

    `fields` is the body as sent; `effective` what the picture depends on after cuts and defaults.
    `price` is the amount for all pictures in `unit`.
    """

    api: str
    region: str
    account: str
    model: str
    call: str
    prompt: str
    negative_prompt: str
    seed: int | None
    size: tuple[int, int]
    fields: Mapping[str, Any]
    effective: Mapping[str, Any]
    price: Decimal
    unit: str
    n: int = 1
    format: str = "png"
    watermark: bool = False
    idempotency_key: str = ""
    webhook: str = ""
    extra_delay: float = 0.0
    fate: Fate = Fate()


@dataclass(slots=True)
class EmulatedJob:
    """One accepted job. Moments are seconds since 1970 on the emulator's clock."""

    number: int
    id: str
    request_id: str
    order: JobOrder
    accepted: float
    start: float
    end: float
    fate: Fate
    unique: bool = True
    """Whether the picture is this job's alone."""
    weight: int = 0
    """Least size of the picture in bytes, roughly."""
    canceled: float | None = None
    free: int = 0
    """Pictures that the free quota paid."""
    settled: bool = False
    webhook_status: str | None = None
    served: list[dict[str, Any]] = field(default_factory=list)
    digests: list[str] | None = None

    def stage(self, now: float) -> Stage:
        """Where the job is at a moment."""
        if self.canceled is not None:
            return Stage.CANCELED
        if now < self.start:
            return Stage.WAITING
        if now < self.end:
            return Stage.RUNNING
        return {"failed": Stage.FAILED, "canceled": Stage.CANCELED}.get(self.fate.kind, Stage.DONE)

    def pays(self) -> bool:
        """Whether the job costs something once it has ended: only pictures do."""
        return self.canceled is None and self.fate.kind in ("done", "unknown", "no_url")

    def charged(self, now: float) -> dict[str, str]:
        """What the account has paid so far, unit → decimal string."""
        if not self.pays() or now < self.end or self.free >= self.order.n:
            return {}
        amount = self.order.price * (self.order.n - self.free) / self.order.n
        return {self.order.unit: format(amount.normalize(), "f")} if amount else {}

    def entry(self, now: float) -> dict[str, Any]:
        """The job as a line of the ledger: JSON values only."""
        order = self.order
        return {
            "number": self.number,
            "task": self.id,
            "request_id": self.request_id,
            "api": order.api,
            "region": order.region,
            "account": order.account,
            "model": order.model,
            "call": order.call,
            "prompt": order.prompt,
            "negative_prompt": order.negative_prompt,
            "seed": order.seed,
            "size": f"{order.size[0]}*{order.size[1]}",
            "n": order.n,
            "format": order.format,
            "watermark": order.watermark,
            "fields": dict(order.fields),
            "idempotency_key": order.idempotency_key,
            "webhook": order.webhook,
            "accepted": self.accepted,
            "start": self.start,
            "end": None if math.isinf(self.end) else self.end,
            "stage": self.stage(now).value,
            "fate": self.fate.kind,
            "code": self.fate.code,
            "charged": self.charged(now),
            "pictures": self.digests or [],
            "served": list(self.served),
        }
