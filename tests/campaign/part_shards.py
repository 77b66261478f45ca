"""Eight shards of one build at once, each on a machine of its own, one of them killed and run again: each picture is bought
once, and the lockfile of the last machine is that of one build.

Knows the builds as processes, and money by the emulator's ledger.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from qwenbuild.emulator import Remote
from tests.campaign.lab import APIS, Forge, Shop, emulator, forges, settle
from tests.remote.servers import MOTO, moto

CI, WHOLE = 1, 20
SHARDS, PICTURES = 8, 40
DOUBTLESS = [api for api in APIS if api.doubtless]
Environ = dict[str, str]


def machine(folder: Path, name: str, number: int, remote: Remote, team: Environ) -> Shop:
    """A clone of the project and an empty cache, with the team's store and key."""
    shop = Shop(folder / name, folder / f"{name}-cache", DOUBTLESS[number % len(DOUBTLESS)], remote)
    shop.stock({f"p{n}": f"shards {number} picture {n}" for n in range(PICTURES)})
    manifest = shop.folder / "qwenbuild.yaml"
    manifest.write_text(manifest.read_text().replace("version: 1\n", "version: 1\ntrust: keys\nclaims: true\n"))
    shop.environ |= team
    return shop


def once(folder: Path, remote: Remote, smiths: list[Forge], chance: random.Random, number: int, team: Environ) -> list[str]:
    """One round: eight shards, one killed and run again, then the job that may not pay. What is wrong, in words."""
    remote.reset()
    remote.configure(latency=0.2, enforce=False)
    machines = [machine(folder, f"worker{shard}", number, remote, team) for shard in range(1, SHARDS + 1)]
    words = [("build", "--yes", "--push", "--shard", f"{shard}/{SHARDS}") for shard in range(1, SHARDS + 1)]
    children = [smith.start(shop, *args) for smith, shop, args in zip(smiths, machines, words, strict=True)]
    victim = chance.randrange(SHARDS)
    time.sleep(chance.uniform(0.1, 1.5))
    with contextlib.suppress(ProcessLookupError):  # it was quicker
        os.kill(children[victim], signal.SIGKILL)
    settle(remote)
    codes = [smith.wait() for smith in smiths]
    codes[victim] = smiths[victim].run(machines[victim], *words[victim])
    last = machine(folder, "last", number, remote, team)
    codes += [smiths[0].run(last, "cache", "pull"), smiths[0].run(last, "build", "--offline")]
    alone = machine(folder, "alone", number, remote, team)
    bought = Counter(job["prompt"] for job in remote.ledger())
    codes.append(smiths[0].run(alone, "build", "--max-cost", "0"))
    faults = [f"{prompt} was bought {times} times" for prompt, times in bought.items() if times != 1]
    if len(bought) != PICTURES or any(codes):
        faults.append(
            f"{len(bought)} bought, exit codes {codes}: {last.log.read_text()[-500:]} {machines[victim].log.read_text()}"
        )
    if (last.folder / "qwenbuild.lock").read_bytes() != (alone.folder / "qwenbuild.lock").read_bytes():
        faults.append("the last job's lockfile is not that of one build")
    return faults


@contextlib.contextmanager
def stores(folder: Path) -> Iterator[list[Environ]]:
    """The team's stores: a shared folder, and S3 where moto is installed."""
    key = {"QWENBUILD_TEAM_KEY": "the team's secret"}
    share = folder / "share"
    share.mkdir()
    shared = {**key, "QWENBUILD_REMOTE": share.as_uri()}
    if MOTO is None:
        yield [shared]
        return
    (folder / "moto").mkdir()
    with moto(folder / "moto") as s3:
        s3.make_bucket("pictures")
        yield [{**key, "QWENBUILD_REMOTE": "s3://pictures/team", **s3.environ}, shared]


def run(rounds: int, seed: int) -> list[str]:
    """So many rounds over stores and APIs in turn; what is wrong, in words."""
    chance, faults = random.Random(seed), []
    with tempfile.TemporaryDirectory() as name, emulator(0.1) as remote, forges(SHARDS) as smiths, stores(Path(name)) as teams:
        for number in range(rounds):
            team = {**teams[number % len(teams)]}
            team["QWENBUILD_REMOTE"] += f"/{number}"
            faults += once(Path(name) / str(number), remote, smiths, chance, number, team)
    return faults


def main(whole: bool) -> list[tuple[str, str]]:
    """The figures. Raises AssertionError when something was bought twice or lost."""
    seed, rounds, start = random.SystemRandom().randrange(10**6), WHOLE if whole else CI, time.monotonic()
    faults = run(rounds, seed)
    assert not faults, f"seed {seed}\n" + "\n".join(faults)
    where = "S3 (moto) and a folder in turn" if MOTO else "a folder"
    spent = time.monotonic() - start
    return [
        (
            "shards",
            f"{rounds} × {SHARDS} over {where}, one killed: 0 bought twice, 0 lost, one lockfile ({spent:.0f} s, seed {seed})",
        )
    ]
