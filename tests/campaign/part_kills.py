"""Random kill -9: builds of many entries die at any moment and are started again, through every API.

Knows the journal only to say how many requests were in flight at a kill; money and pictures are judged from outside.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.campaign.lab import APIS, PLACES, Api, Forge, Shop, emulator, forges, judge, settle

ENTRIES = 40
CI, WHOLE = 200, 3000
A_ROUND = 8
"""Kills before a round's builds are let alone, so that each round comes to its end and is judged."""
A_REPORT = 10
"""Rounds after which a line is said, so that a run of an hour that ends early has shown something."""
LONGEST = 4.0
"""Seconds until a kill at most, however slow the machine is."""


@dataclass
class Count:
    """What the kills of one API came to."""

    api: Api
    kills: int = 0
    builds: int = 0
    jobs: int = 0
    twice: int = 0
    lost: int = 0
    wrong: int = 0
    doubts: int = 0
    intents: int = 0
    worst: int = 0
    faults: list[str] = field(default_factory=list)

    @property
    def line(self) -> str:
        """The figures, for a person."""
        return (
            f"{self.kills} kills, {self.builds} builds, {self.jobs} jobs: {self.twice} bought twice, {self.lost} lost, "
            f"{self.wrong} wrong, {self.doubts} in doubt of {self.intents} in flight (at most {self.worst} at one kill)"
        )


def kill_through(api: Api, kills: int, forge: Forge, chance: random.Random, folder: Path) -> Count:
    """Rounds of builds until so many were killed."""
    count = Count(api)
    usual = 0.0
    with emulator(0.1) as remote:
        number = 0
        while count.kills < kills and not count.faults:
            remote.reset()
            remote.configure(latency=0.1, enforce=False)
            remote.fault("accepted", "delay", seconds=0.1, times=None)  # accepted, and no answer yet: the moment to die in
            name = f"{api.name}-{number}".replace(" ", "-")
            shop = Shop(folder / name, folder / f"cache-{number // 10}", api, remote)
            shop.stock({f"n{n}": f"{api.name} {number} lamp {n}" for n in range(ENTRIES)})
            if number == 0:
                start = time.monotonic()
                count.faults += [] if forge.run(shop, "build", "--yes") == 0 else [shop.log.read_text()]
                usual = min(LONGEST, time.monotonic() - start)
            else:
                _round(shop, forge, chance, count, min(A_ROUND, kills - count.kills), usual)
            if number % A_REPORT == 0:
                print(f"  {api.name}: {count.line}", file=sys.stderr, flush=True)
            number += 1
    return count


def _round(shop: Shop, forge: Forge, chance: random.Random, count: Count, kills: int, usual: float) -> None:
    """Kill so many builds, each within `usual` seconds, then let one be. Judge."""
    flying = 0
    code = -signal.SIGKILL
    while code == -signal.SIGKILL:
        code = _build(shop, forge, chance.uniform(0.05, usual) if kills else None)
        count.builds += 1
        if code == -signal.SIGKILL:
            settle(shop.remote)
            kills -= 1
            intents = shop.states()["intent"]
            count.kills, count.intents, count.worst = count.kills + 1, count.intents + intents, max(count.worst, intents)
            flying += intents
    if code not in (0, 6):
        count.faults.append(f"{shop.folder.name}: exit code {code}: {shop.log.read_text()[-600:]}")
    _add(count, shop, flying)


def _build(shop: Shop, forge: Forge, after: float | None) -> int:
    """The exit code of one build, killed after so many seconds."""
    child = forge.start(shop, "build", "--yes")
    killer = threading.Timer(after, _kill, (child,)) if after is not None else None
    if killer is not None:
        killer.start()
    code = forge.wait()
    if killer is not None:
        killer.cancel()
        killer.join()
    return code


def _kill(child: int) -> None:
    try:
        os.kill(child, signal.SIGKILL)
    except ProcessLookupError:
        return


def _add(count: Count, shop: Shop, flying: int) -> None:
    jobs = shop.remote.ledger()
    verdict = judge(shop, jobs)
    count.jobs += len(jobs)
    count.twice += len(verdict.twice)
    count.lost += len(verdict.lost)
    count.wrong += len(verdict.wrong)
    count.doubts += len(verdict.doubts)
    if verdict.bad:
        count.faults.append(f"{shop.folder}: {verdict.bad}")
    if len(verdict.doubts) > flying:
        count.faults.append(f"{shop.folder}: {len(verdict.doubts)} in doubt, {flying} were in flight")
    if shop.api.doubtless and verdict.doubts:
        count.faults.append(f"{shop.folder}: {verdict.doubts} in doubt though {shop.api.name} can settle it")
    if count.worst > PLACES:
        count.faults.append(f"{shop.folder}: {count.worst} in flight in {PLACES} places")


def run(kills: int, seed: int, apis: Sequence[Api] = APIS) -> list[Count]:
    """So many kills over the APIs, side by side: most of the time is the emulator's latency."""
    found: list[Count] = []
    errors: list[BaseException] = []
    share = -(-kills // len(apis))

    def work(api: Api, forge: Forge, folder: Path) -> None:
        try:
            found.append(kill_through(api, share, forge, random.Random(f"{seed} {api.name}"), folder))
        except BaseException as error:
            errors.append(error)

    with tempfile.TemporaryDirectory() as folder, forges(len(apis)) as smiths:
        places = [Path(folder) / str(number) for number in range(len(apis))]
        threads = [threading.Thread(target=work, args=each) for each in zip(apis, smiths, places, strict=True)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    if errors:
        raise errors[0]
    return found


def main(whole: bool) -> list[tuple[str, str]]:
    """The figures. Raises AssertionError when one of them is not what was promised."""
    seed, start = random.SystemRandom().randrange(10**6), time.monotonic()
    counts = run(WHOLE if whole else CI, seed)
    lines = [(f"kill -9, {count.api.name}", count.line) for count in counts]
    lines.append(("kill -9, seed and time", f"{seed}, {time.monotonic() - start:.0f} s"))
    faults = [fault for count in counts for fault in count.faults]
    assert not faults, "\n".join([*faults, *(f"{name}: {line}" for name, line in lines)])
    return lines
