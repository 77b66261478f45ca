"""`python -m tests.campaign [--whole] [PART…]`: every part of the campaign, its figures printed at the end.

Knows no part: each module `part_*` has `main(whole)`, which gives its figures or raises AssertionError.
"""

from __future__ import annotations

import argparse
import sys
import time
from importlib import import_module
from pathlib import Path


def parts() -> list[str]:
    """The names of all parts."""
    return sorted(path.stem.removeprefix("part_") for path in Path(__file__).parent.glob("part_*.py"))


def main() -> int:
    """Run the parts and print the table; 1 when one of them failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.campaign", description=__doc__)
    parser.add_argument("--whole", action="store_true", help="the large numbers, an hour or more; without: what CI runs")
    parser.add_argument("part", nargs="*", help=f"one or several of: {', '.join(parts())}")
    said = parser.parse_args()
    failed, table = [], []
    for name in said.part or parts():
        start = time.monotonic()
        print(f"{name} …", file=sys.stderr, flush=True)
        try:
            table += import_module(f"tests.campaign.part_{name}").main(said.whole)
        except AssertionError as error:
            failed.append(name)
            table.append((name, f"FAILED: {error}"))
        table.append((f"{name}, time", f"{time.monotonic() - start:.0f} s"))
    width = max(len(figure) for figure, _ in table)
    for figure, value in table:
        print(f"{figure:<{width}}  {value}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
