"""What each local check finds and misses among pictures with planted faults, at the limits that it has by default.

Does not know how a check measures. Half of each set was used to find the default limits (seed 1), the other half is reported
(seed 2): no limit was tuned on what it is reported on.

    python -m benchmarks.checks            the table of docs/checks.md
    python -m benchmarks.checks --tune     the measured values of the first half, to choose limits by
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from typing import Any

from benchmarks.planted import SETS, Planted, palette
from qwenbuild.checks import check_expect, judge, look_at
from qwenbuild.checks.sets import PictureSet, judge_set
from qwenbuild.model import CheckVerdict

HALVES = (1, 2)
COLOURS = 0.58
"""The hue of the palette that the pictures keep to."""


def expectation(check: str) -> Any:
    """What is asked of the check: its defaults; the palette's colours are one draw of the set's own."""
    import random

    if check != "palette":
        return True
    named = [colour for seed in range(8) for colour in palette(random.Random(seed), COLOURS, 0.05, 0.35, 0.7)]
    return {"colours": [f"#{red:02x}{green:02x}{blue:02x}" for red, green, blue in named]}


def verdicts(check: str, pictures: Sequence[Planted]) -> Iterator[CheckVerdict]:
    """The verdict of each picture."""
    expect = check_expect({check: expectation(check)})
    if check not in ("near_duplicate", "outlier"):
        yield from (judge(picture.data, expect)[0] for picture in pictures)
        return
    looks = {picture.name: look_at(picture.data) for picture in pictures}
    members = tuple((name, name) for name in looks)
    found = judge_set(PictureSet(check, expect[check], members), looks, {}, lambda digest, expect: ())
    yield from (found[picture.name] for picture in pictures)


def half(check: str, seed: int) -> list[tuple[Planted, CheckVerdict]]:
    """One half of a set, judged."""
    draw, count, planted = SETS[check]
    pictures = draw(seed, count // 2, planted // 2)
    return list(zip(pictures, verdicts(check, pictures), strict=True))


def row(check: str, judged: Sequence[tuple[Planted, CheckVerdict]]) -> str:
    """One line of the table."""
    faulty = [verdict for picture, verdict in judged if picture.faulty]
    sound = [verdict for picture, verdict in judged if not picture.faulty]
    found = sum(verdict.verdict == "fail" for verdict in faulty)
    alarms = sum(verdict.verdict == "fail" for verdict in sound)
    limit = judged[0][1].threshold
    return f"| `{check}` | {limit} | {len(judged)} | {len(faulty)} | {found} | {len(faulty) - found} | {alarms} |"


def tuning(check: str, judged: Sequence[tuple[Planted, CheckVerdict]]) -> Iterator[str]:
    """What was measured of sound and of faulty pictures, in order."""
    for faulty in (False, True):
        values = sorted(float(verdict.measured or "inf") for picture, verdict in judged if picture.faulty is faulty)
        shown = [values[len(values) * part // 20] for part in range(20)] + values[-1:]
        yield f"{check} {'faulty' if faulty else 'sound'}: {' '.join(f'{value:g}' for value in shown)}"


def main() -> None:
    """Print the table, or what the limits were chosen by."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tune", action="store_true")
    parser.add_argument("check", nargs="*", default=list(SETS))
    asked = parser.parse_args()
    if not asked.tune:
        print("| check | limit | pictures | planted | found | missed | false alarms |\n|---|---|---|---|---|---|---|")
    for check in asked.check:
        if asked.tune:
            print("\n".join(tuning(check, half(check, HALVES[0]))), flush=True)
        else:
            print(row(check, half(check, HALVES[1])), flush=True)


if __name__ == "__main__":
    main()
