"""`python -m tests.mutants PATH…`: change the code by rule, a small thing at a time, and say which change no test notices.

Knows neither the rules nor how a test is run.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.mutants.nursery import Nursery, Verdict

ROOT = Path(__file__).parent.parent.parent
TESTS = {
    "qwenbuild/plan": ["tests/test_plan*.py", "tests/test_choices*.py", "tests/test_walk.py", "tests/test_walk_[acdeglmn]*.py"],
    "qwenbuild/engine/publish.py": ["tests/test_publish*.py", "tests/test_walk.py", "tests/test_walk_[acdegl]*.py"],
    "qwenbuild/run": ["tests/test_run*.py", "tests/test_walk*.py"],
    "qwenbuild/cache/journal.py": ["tests/cache"],
    "qwenbuild/remote": ["tests/remote"],
    "qwenbuild/providers": ["tests/providers", "tests/test_run_recover.py"],
    "qwenbuild/pace": ["tests/providers"],
    "qwenbuild/transport": ["tests/providers"],
    "qwenbuild": ["tests"],
}
"""The tests that a part is run against where none are named."""


def main(args: Sequence[str]) -> int:
    """Print the table; 1 when fewer mutants than `--least` percent were killed."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("path", nargs="+", type=Path, help="modules or folders of the package")
    parser.add_argument("--tests", nargs="+", help="test files instead of the part's own")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="only each Nth mutant")
    parser.add_argument("--lines", help="only these lines, as in 20-40")
    parser.add_argument("--seconds", type=float, default=30.0, help="of tests for one mutant; the quickest come first")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--least", type=float, default=90.0, metavar="PERCENT")
    said = parser.parse_args(args)
    files = [file for path in said.path for file in (sorted(path.rglob("*.py")) if path.is_dir() else [path])]
    first, _, last = (said.lines or "0-999999").partition("-")
    counter = iter(range(10**9))
    start = time.monotonic()
    nursery = Nursery(
        [file.resolve() for file in files],
        lambda mutant: int(first) <= mutant.line <= int(last or first) and next(counter) % said.every == 0,
        _tell,
        said.processes,
        said.seconds,
    )
    named = [str(path) for each in said.tests or _tests_of(files) for path in sorted(ROOT.glob(each))]
    options = ["-qq", "-p", "no:cacheprovider", "-p", "no:xdist", "-W", "ignore"]
    code = pytest.main([*options, *dict.fromkeys(named)], plugins=[nursery])
    if code not in (0, 5) or not nursery.verdicts:
        print(f"pytest ended with {code}: nothing was tried", file=sys.stderr)
        return 1
    return _summary(nursery.verdicts, said.least, time.monotonic() - start)


def _tests_of(files: Sequence[Path]) -> list[str]:
    named = [file.resolve().relative_to(ROOT).as_posix() for file in files]
    parts = [next(part for part in TESTS if name.startswith(part)) for name in named]
    return [test for part in dict.fromkeys(parts) for test in TESTS[part]]


def _tell(verdict: Verdict) -> None:
    if verdict.fate != "killed":
        print(f"{verdict.fate:<12} {verdict.file.relative_to(ROOT)}:{verdict.mutant}  {verdict.by}", flush=True)


def _summary(verdicts: Sequence[Verdict], least: float, seconds: float) -> int:
    low = 0
    for file in (*dict.fromkeys(verdict.file for verdict in verdicts), None):
        counts = Counter(verdict.fate for verdict in verdicts if file is None or verdict.file == file)
        tried = sum(counts.values()) - counts["no mutant"]
        share = 100 * counts["killed"] / tried if tried else 100.0
        low += file is None and share < least
        name = str(file.relative_to(ROOT)) if file else "all"
        print(f"{share:5.1f} %  {counts['killed']:>5} of {tried:<5} killed  {name}")
    print(f"{seconds:.0f} s")
    return 1 if low else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
