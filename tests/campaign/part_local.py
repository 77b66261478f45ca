"""Local faults, power loss and security as a part of the campaign: their tests, counted.

Knows no fault; the test modules have them.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
MODULES = (
    ("local faults: double submissions, lost pictures, unexplained endings", ["tests/campaign/test_local_faults.py"]),
    ("power loss: acknowledged pictures lost, wrong bytes, hollow receipts", ["tests/campaign/test_power_loss.py"]),
    (
        "security, end to end: key found, connections, writes outside, executions, raw controls",
        ["tests/campaign/test_security.py"],
    ),
)
BENEATH = (
    "tests/cache",
    "tests/providers/test_http.py",
    "tests/providers/test_secret.py",
    "tests/expand/test_expand_hostile.py",
    "tests/expand/test_expand_paths.py",
    "tests/manifest",
)


def main(whole: bool) -> list[tuple[str, str]]:
    """The figures; raises AssertionError with the end of the output when a test fails."""
    modules = list(MODULES)
    if whole:
        modules.append(("the same, module by module", list(BENEATH)))
    return [(figure, f"0 in {count(paths)} checks") for figure, paths in modules]


def count(paths: list[str]) -> int:
    """How many tests of these files passed; all must."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *paths]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=3600, check=False)
    counted = re.search(r"(\d+) passed", done.stdout)
    assert done.returncode == 0, done.stdout[-3000:]
    return int(counted[1]) if counted else done.stdout.count(".")
