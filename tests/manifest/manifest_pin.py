"""Writes the pinned messages anew, after a change of words: `python tests/manifest/manifest_pin.py`; read the diff."""

from __future__ import annotations

import os
from pathlib import Path

from qwenbuild.errors import InputError
from qwenbuild.manifest import load
from qwenbuild.report.problems import format_problem

BAD = Path(__file__).parent / "bad"


def message(path: Path) -> str:
    """What a user reads of a bad manifest, but for features that are refused until they are built."""
    try:
        load(path)
    except InputError as error:
        problems = [problem for problem in error.problems if problem.code != "not-built-yet"]
        return "\n\n".join(f"[{problem.code}] {format_problem(problem)}" for problem in problems) + "\n"
    return "nothing is wrong\n"


if __name__ == "__main__":
    os.chdir(BAD)
    for path in sorted(Path().glob("*.yaml")):
        path.with_suffix(".txt").write_text(message(path), encoding="utf-8")
