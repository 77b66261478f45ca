"""Collects what is wrong, each thing once, and turns it into one error for all assets.

Knows no rule: it only keeps, counts and places problems.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from qwenbuild.errors import InputError, Problem
from qwenbuild.expand.faults import Fault
from qwenbuild.expand.templates import Templates
from qwenbuild.model import Manifest

MOST_SHOWN = 50


class Findings:
    """The problems found so far."""

    def __init__(self, manifest: Manifest, templates: Templates) -> None:
        self._manifest = manifest
        self._templates = templates
        self._problems: list[Problem] = []
        self._seen: set[tuple[object, ...]] = set()

    def __len__(self) -> int:
        return len(self._seen)

    def fault(self, fault: Fault, where: str = "") -> None:
        """A template's or a field's fault; `where` names the entry when the fault may be its alone."""
        key = (fault.code, fault.message, fault.path, fault.file, fault.line, fault.column)
        if key in self._seen:
            return
        self._seen.add(key)
        if len(self._problems) < MOST_SHOWN:
            self._problems.append(self._placed(fault, where))

    def problem(self, problem: Problem) -> None:
        """A problem that has its place already."""
        key = (problem.code, problem.message, problem.path, problem.mark)
        if key not in self._seen:
            self._seen.add(key)
            self._problems.append(problem)

    def error(self, error: InputError) -> None:
        """All problems of an error that ended a part of the work."""
        for problem in error.problems:
            self.problem(problem)

    def stop(self) -> None:
        """Raise InputError if there is anything; at most MOST_SHOWN problems, then how many more."""
        if not self._seen:
            return
        shown = tuple(self._problems[:MOST_SHOWN])
        more = len(self._seen) - len(shown)
        if more:
            shown += (Problem("more", f"and {more:,} more"),)
        first = shown[0]
        place = f"{first.mark}: " if first.mark else ""
        raise InputError(f"{place}{first.message}", code=first.code, problems=shown)

    def _placed(self, fault: Fault, where: str) -> Problem:
        message = f"{fault.message} (for {where})" if where else fault.message
        source = self._manifest.source
        placed = source.problem(fault.code, message, fault.path, hint=fault.hint, line=fault.line, column=fault.column)
        inside = self._templates.problem(fault, placed.path)
        return placed if inside is None else replace(inside, message=message)


def first(items: Iterable[str], most: int = 5) -> str:
    """The first few, in words."""
    shown = list(items)
    return ", ".join(shown[:most]) + (f" and {len(shown) - most} more" if len(shown) > most else "")
