"""Small changes: what a build does that believes what is remembered, against the same build without it. 10,000 examples.

Knows no change and no promise: the property test has them.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
TEST = "tests/test_short_build_property.py::test_the_short_way_and_the_whole_walk_build_the_same"
EXAMPLES = {True: 10_000, False: 40}


def main(whole: bool) -> list[tuple[str, str]]:
    """The figures. Raises AssertionError with the failing example."""
    examples = EXAMPLES[whole]
    environ = {**os.environ, "SHORT_EXAMPLES": str(examples)}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--hypothesis-show-statistics", TEST]
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:]
    events = [line.strip() for line in done.stdout.splitlines() if "%, " in line]
    return [
        ("small changes compared", f"{examples:,}"),
        *((f"small changes, {name}", share) for share, name in map(_event, events)),
    ]


def _event(line: str) -> tuple[str, str]:
    share, _, name = line.removeprefix("* ").partition(", ")
    return share, name
