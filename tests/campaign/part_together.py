"""Several builds at once over one cache, in one project and in several, one of them killed: each picture is bought once.

Knows the builds as processes, and money by the emulator's ledger.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from qwenbuild.emulator import Remote
from tests.campaign.lab import APIS, Api, Forge, Shop, Verdict, emulator, forges, judge, settle, wait_until

CI, WHOLE = 10, 50
AT_ONCE = 4
SHARED, OWN = 12, 6


def shops(folder: Path, cache: Path, api: Api, remote: Remote, number: int) -> list[Shop]:
    """Three projects over one cache: all want the shared pictures, each wants some of its own."""
    shared = {f"s{n}": f"{api.name} {number} shared {n}" for n in range(SHARED)}
    made = []
    for name in "abc":
        shop = Shop(folder / f"{number}-{name}", cache, api, remote)
        shop.stock({**shared, **{f"{name}{n}": f"{api.name} {number} of {name} {n}" for n in range(OWN)}})
        made.append(shop)
    return made


def once(folder: Path, api: Api, remote: Remote, smiths: Sequence[Forge], chance: random.Random, number: int) -> list[str]:
    """One round: four builds, one of them killed, then each project once more. What is wrong, in words."""
    remote.reset()
    remote.configure(latency=0.1, enforce=False)
    remote.fault("accepted", "delay", seconds=0.05, times=None)
    places = shops(folder, folder / f"cache-{number // 5}", api, remote, number)
    at_once = [places[0], *places]
    children = [forge.start(shop, "build", "--yes") for forge, shop in zip(smiths, at_once, strict=True)]
    time.sleep(chance.uniform(0.05, 0.9))
    victim = chance.randrange(AT_ONCE)
    with contextlib.suppress(ProcessLookupError):  # it was quicker
        os.kill(children[victim], signal.SIGKILL)
    settle(remote)
    codes = [forge.wait() for forge in smiths]
    last = [smiths[0].run(shop, "build", "--yes") for shop in places]
    return _judged(places, remote, codes, last, victim)


def _judged(places: Sequence[Shop], remote: Remote, codes: list[int], last: list[int], victim: int) -> list[str]:
    jobs = remote.ledger()
    doubts = {id for shop in places for id in shop.in_doubt()}
    found = [f"{shop.folder.name}: {judge_shared(shop, jobs, doubts).bad}" for shop in places]
    found = [line for line in found if not line.endswith(": ")]
    allowed = {0} if places[0].api.doubtless else {0, 6}
    if not set(last) <= allowed or not {code for n, code in enumerate(codes) if n != victim} <= allowed:
        logs = "\n".join(shop.log.read_text()[-500:] for shop in places)
        found.append(f"exit codes {codes}, then {last}: {logs}")
    if places[0].api.doubtless and doubts:
        found.append(f"in doubt: {sorted(doubts)}")
    return found


def judge_shared(shop: Shop, jobs: Sequence[dict[str, object]], doubts: set[str]) -> Verdict:
    """As `judge`, with the doubts of every project: a shared picture is in doubt for all who want it."""
    verdict = judge(shop, jobs)
    verdict.lost = [id for id in verdict.lost if f"lamps/{id}" not in doubts]
    return verdict


def run(rounds: int, seed: int) -> list[str]:
    """So many rounds over the APIs in turn; what is wrong, in words."""
    chance, faults = random.Random(seed), []
    with tempfile.TemporaryDirectory() as folder, emulator(0.1) as remote, forges(AT_ONCE) as smiths:
        for number in range(rounds):
            api = APIS[number % len(APIS)]
            faults += once(Path(folder) / api.name.replace(" ", "-"), api, remote, smiths, chance, number)
    return faults


def unblocked() -> list[str]:
    """One picture never comes; three builds want it, in a lane of four places. The others' pictures come all the same."""
    api, faults = APIS[0], []
    with tempfile.TemporaryDirectory() as folder, emulator(0.1) as remote, forges(4) as smiths:
        remote.fault("job", "stuck", match="never")
        waiting = [Shop(Path(folder) / name, Path(folder) / "cache", api, remote) for name in "abc"]
        for shop in waiting:
            shop.stock({"never": "the one that never comes", "own": f"of {shop.folder.name}"}, places=3)
        children = [forge.start(shop, "build", "--yes") for forge, shop in zip(smiths, waiting, strict=False)]
        try:
            wait_until(lambda: all(shop.file("own") for shop in waiting), 30)
            other = Shop(Path(folder) / "d", Path(folder) / "cache", api, remote)
            other.stock({f"n{n}": f"of nobody else {n}" for n in range(6)}, places=3)
            if (code := smiths[3].run(other, "build", "--yes")) != 0:
                faults.append(f"a build that shares nothing ended with {code}")
        except TimeoutError:
            faults.append("builds that wait for one picture do not make their own")
        finally:
            for child in children:
                os.kill(child, signal.SIGKILL)
            for forge in smiths[:3]:
                forge.wait()
        if sum(job["prompt"].startswith("the one") for job in remote.ledger()) != 1:
            faults.append("the picture that three want was not bought exactly once")
    return faults


def main(whole: bool) -> list[tuple[str, str]]:
    """The figures. Raises AssertionError when something was bought twice, lost, or held up."""
    seed, rounds, start = random.SystemRandom().randrange(10**6), WHOLE if whole else CI, time.monotonic()
    faults = run(rounds, seed) + unblocked()
    assert not faults, f"seed {seed}\n" + "\n".join(faults)
    spent = time.monotonic() - start
    return [
        ("builds at once", f"{rounds} × {AT_ONCE}, one killed: 0 bought twice, 0 lost, 0 held up ({spent:.0f} s, seed {seed})")
    ]
