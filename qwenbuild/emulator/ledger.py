"""The emulator's memory: accepted jobs, every request with its credentials struck out, and every leak of a credential.

Knows nothing of what is answered; it is the judge of money, so it only ever grows between resets.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from qwenbuild.emulator.jobs import EmulatedJob
from qwenbuild.emulator.settings import Account
from qwenbuild.emulator.wire import Request

SECRET_HEADERS = ("authorization", "x-api-key", "cookie", "proxy-authorization")
KEPT_BODY = 20_000


class EmulatedLedger:
    """Jobs in the order of acceptance, requests in the order of arrival."""

    def __init__(self, accounts: list[Account]) -> None:
        self._accounts = accounts
        self.jobs: list[EmulatedJob] = []
        self.by_id: dict[str, EmulatedJob] = {}
        self.requests: list[dict[str, Any]] = []
        self.leaks: list[dict[str, Any]] = []
        self.webhooks: list[dict[str, Any]] = []

    def add(self, job: EmulatedJob) -> None:
        """Keep an accepted job."""
        self.jobs.append(job)
        self.by_id[job.id] = job

    def note(self, request: Request, api: str, region: str, phase: str, now: float) -> dict[str, Any]:
        """Keep a request; the answer's fields are filled in by `answered`."""
        line: dict[str, Any] = {
            "number": len(self.requests) + 1,
            "time": now,
            "api": api,
            "region": region,
            "phase": phase,
            "method": request.method,
            "path": request.path,
            "query": self.redact(request.query),
            "headers": {name: self._header(name, value) for name, value in request.headers.items()},
            "body": self.redact(request.body[:KEPT_BODY].decode("utf-8", "replace")),
            "status": None,
            "bytes": 0,
            "fault": None,
            "task": None,
        }
        self.requests.append(line)
        return line

    def leaked(self, request: Request, where: str) -> bool:
        """Note a credential that came where none belongs; true when one did."""
        carried = [name for name in SECRET_HEADERS if name in request.headers]
        text = request.query + "\n" + "\n".join(request.headers.values()) + "\n" + request.body[:KEPT_BODY].decode("latin-1")
        accounts = [account.name for account in self._accounts if any(key in text for key in account.keys)]
        if carried or accounts:
            self.leaks.append({"where": where, "path": request.path, "headers": carried, "keys_of": accounts})
        return bool(carried)

    def redact(self, text: str) -> str:
        """The text with every known key replaced by its account's name."""
        for account in self._accounts:
            for key in account.keys:
                if key in text:
                    text = text.replace(key, f"<key of {account.name}>")
        return text

    def _header(self, name: str, value: str) -> str:
        if name not in SECRET_HEADERS:
            return self.redact(value)
        redacted = self.redact(value)
        return redacted if redacted != value else f"<unknown, {len(value)} characters>"

    def spent(self, now: float) -> dict[str, str]:
        """What all accounts paid, unit → decimal string."""
        return total(job.charged(now) for job in self.jobs)


def total(amounts: Iterable[dict[str, str]]) -> dict[str, str]:
    """Sums by unit."""
    sums: dict[str, Decimal] = {}
    for amount in amounts:
        for unit, value in amount.items():
            sums[unit] = sums.get(unit, Decimal(0)) + Decimal(value)
    return {unit: format(value.normalize(), "f") for unit, value in sums.items()}
