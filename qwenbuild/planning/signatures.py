"""What becomes of the marks that providers put into pictures: which derived files lose a signature.

Knows no bytes: the receipts say which marks a picture carries.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from qwenbuild.errors import Problem
from qwenbuild.model import ActionResult, Step, Verdict

SIGNED = "c2pa"
Receipts = Callable[[Collection[str]], Mapping[str, Sequence[ActionResult]]]
"""Looks up the results of keys."""

MOST = 5
"""Files that a notice names."""


def losing(steps: Sequence[Step], receipts: Receipts) -> tuple[Problem, ...]:
    """The notice of a plan that makes files from pictures known to be signed; nothing where none is."""
    deriving = [(step, paths) for step in steps if (paths := _made(step))]
    results = receipts([step.candidates[step.used].candidate.key for step, _ in deriving]) if deriving else {}
    files = [path for step, paths in deriving for path in paths if _is_signed(step, results)]
    return (marks_lost(files),) if files else ()


def _made(step: Step) -> list[str]:
    return [output.spec.path for output in step.outputs if output.verdict is Verdict.DERIVE and output.source]


def _is_signed(step: Step, results: Mapping[str, Sequence[ActionResult]]) -> bool:
    used = step.candidates[step.used]
    marks = next((result.marks for result in results.get(used.candidate.key, ()) if result.digest == used.digest), ())
    return any(mark.startswith(SIGNED) for mark in marks)


def marks_lost(files: Sequence[str]) -> Problem:
    """The notice that names files without the signature of the picture they are made from."""
    names = ", ".join(files[:MOST]) + (f" and {len(files) - MOST} more" if len(files) > MOST else "")
    message = (
        f"{len(files)} {'file' if len(files) == 1 else 'files'} made from signed pictures cannot carry their signature (C2PA): "
        f"{names}; the AIGC label and the IPTC source type are carried over"
    )
    return Problem("marks-lost", message, hint="the signed pictures stay in the cache; files without steps keep the signature")
