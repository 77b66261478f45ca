"""What a choice of default model means: time and price of a build by the model table, and doubts a thousand kills.

    python -m benchmarks.default_model
    python -m benchmarks.default_model --kills 200

Time and price are the plan's own. The kills run against the emulator, twenty times as fast as the real services are said to
be: a picture takes 1 s for 20 s, the answer to a submission 25 ms for half a second, and the pace is twenty times the table's.
A build is killed at a random moment after its start; what is counted is requests that had left and had no ticket, for each of
which a person may have to decide: a task of 3.0 does not say what it was asked for, and a synchronous call leaves none.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
import threading
from pathlib import Path

from qwenbuild.catalog import Catalog, Model
from qwenbuild.report.words import duration, price_words
from qwenbuild.verbs import Options, plan
from tests.campaign.lab import Api, Shop, emulator, forges, settle

MODELS = ("qwen-image-2.0", "qwen-image-3.0", "qwen-image-3.0-pro", "wan2.7-image", "qwen-image-plus")
COUNTS = (10, 100, 1000)
FASTER = 20
KILLED = ("qwen-image-2.0", "qwen-image-3.0")
JOB_S, ANSWER_S = 20.0, 0.5
ENTRIES, KILLS_A_SHOP = 400, 10


def row(model: str) -> Model:
    """The model's row."""
    found = Catalog.load().find("dashscope", model)
    assert found is not None
    return found


def planned(model: str, count: int) -> tuple[str, str]:
    """Time and price of a build of so many entries, as `plan` says them."""
    with tempfile.TemporaryDirectory() as folder:
        rows = ", ".join(f"{{id: n{number}}}" for number in range(count))
        text = f"assets: {{a: {{prompt: 'lamp {{{{ id }}}}', model: {model}, foreach: [{rows}]}}}}"
        text = f"version: 1\nprovider: dashscope\n{text}\n"
        (Path(folder) / "qwenbuild.yaml").write_text(text, encoding="utf-8")
        made = plan(Options(Path(folder))).plan
    return duration(made.seconds), price_words(made.cost)


def killed(model: str, kills: int, chance: random.Random) -> float:
    """Requests without a ticket, a thousand kills."""
    described = row(model)
    mode = described.call("auto")
    api = Api(model, "dashscope", f"region: singapore, mode: {mode}", model, False)
    open_requests = done = 0
    with emulator(JOB_S / FASTER) as remote, tempfile.TemporaryDirectory() as place, forges(1) as (forge,):
        while done < kills:
            remote.reset()
            remote.configure(latency=JOB_S / FASTER, enforce=False)
            if mode == "async":
                remote.fault("accepted", "delay", seconds=ANSWER_S / FASTER, times=None)
            shop = Shop(Path(place) / f"shop{done}", Path(place) / f"cache{done}", api, remote)
            prompts = {f"n{number}": f"lamp {done} {number}" for number in range(ENTRIES)}
            shop.stock(prompts, rps=described.rate() * FASTER, places=described.in_flight)
            before = 0
            for _ in range(min(KILLS_A_SHOP, kills - done)):
                child = forge.start(shop, "build", "--yes")
                timer = threading.Timer(chance.uniform(0.5, 3.5), os.kill, (child, signal.SIGKILL))
                timer.start()
                if forge.wait() != -signal.SIGKILL:
                    raise RuntimeError(shop.log.read_text())
                settle(remote)
                states = shop.states()
                open_requests += states["intent"] + states["doubt"] - before
                before, done = states["intent"] + states["doubt"], done + 1
            print(f"  {model}: {open_requests} of {done} kills", file=sys.stderr, flush=True)
    return 1000 * open_requests / done


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as cache:
        os.environ["QWENBUILD_CACHE_DIR"] = cache
        for model in MODELS:
            figures = "  ".join(f"{count:>5}: {' '.join(planned(model, count)):<20}" for count in COUNTS)
            print(f"{model:<20} {row(model).call('auto'):<6} {figures}")
    for model in KILLED if asked.kills else ():
        print(f"{model:<20} {killed(model, asked.kills, random.Random(asked.seed)):.0f} in doubt a thousand kills")


if __name__ == "__main__":
    main()
