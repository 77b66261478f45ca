"""What a check found of one picture or file, as a frozen value.

Knows only the standard library: no check, no picture, and no rule about either.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class CheckVerdict:
    """`verdict` is pass, warn or fail. `measured` and `threshold` are texts, whole numbers or decimals that are the same on
    every machine; `evidence` holds boxes, words, distances and, where it fails, a `message` of one sentence.
    """

    check: str
    verdict: str
    measured: str = ""
    threshold: str = ""
    evidence: Mapping[str, Any] = field(default_factory=dict)
    version: str = "1"

    @property
    def fault(self) -> str:
        """The sentence that says what is wrong, "" when nothing is."""
        return "" if self.verdict == "pass" else str(self.evidence.get("message") or self.verdict)


def verdict_record(verdict: CheckVerdict) -> dict[str, Any]:
    """The verdict as JSON values."""
    return {
        "check": verdict.check,
        "version": verdict.version,
        "verdict": verdict.verdict,
        "measured": verdict.measured,
        "threshold": verdict.threshold,
        "evidence": dict(verdict.evidence),
    }


def verdict_of(record: Mapping[str, Any]) -> CheckVerdict:
    """The verdict that a record holds. Raises KeyError or TypeError when it is none."""
    return CheckVerdict(**{**record, "evidence": dict(record["evidence"])})
