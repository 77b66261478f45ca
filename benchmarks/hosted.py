"""The emulator in a process of its own, and a project of ours that builds against it.

Does not know what is measured. Run as a program it serves the emulator until its standard input ends.
"""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

MANIFEST = """\
version: 1
output: out
provider: hosted
providers:
  hosted: {{type: dashscope, model: {model}, mode: {mode}, limits: {{rps: {rps}, concurrency: {concurrency}}}}}
assets:
  pictures:
    prompt: "Picture {{{{ n }}}} of a shelf, ink and gouache"
    foreach: rows.csv
    params: {{prompt_extend: false}}
    id: "pictures/{{{{ n }}}}"
"""

SIDES = (1328, 2048)
"""Pixels of the squares that the two models draw when no size is asked for."""
MODELS = {"async": "qwen-image-plus", "sync": "qwen-image-2.0"}


@contextmanager
def emulator(**settings: Any) -> Iterator[dict[str, str]]:
    """Start one; gives the environment that leads `qwenbuild` to it."""
    argv = [sys.executable, str(Path(__file__).resolve()), json.dumps(settings)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            served = json.loads(process.stdout.readline())
            url = served["QWENBUILD_DASHSCOPE_BASE_URL"]
            yield {**served, "QWENBUILD_HOSTED_BASE_URL": url}
        finally:
            process.stdin.close()


def address(env: dict[str, str]) -> str:
    """Where the emulator's control surface is."""
    return env["QWENBUILD_DASHSCOPE_BASE_URL"].partition("/dashscope/")[0]


def refusals(env: dict[str, str]) -> int:
    """Submissions that the emulator refused for their pace or for jobs in flight, over all builds so far."""
    with urlopen(f"{address(env)}/__emu/limits_seen", timeout=30) as answer:
        lanes = json.loads(answer.read())
    return sum(lane["refused_rate"] + lane["refused_concurrency"] for lane in lanes)


def project(folder: Path, count: int, *, mode: str, rps: float, concurrency: int) -> None:
    """`count` entries of one asset for the hosted API, in the call `mode` (async or sync)."""
    folder.mkdir(parents=True)
    text = MANIFEST.format(model=MODELS[mode], mode=mode, rps=rps, concurrency=concurrency)
    (folder / "qwenbuild.yaml").write_text(text)
    (folder / "rows.csv").write_text("n\n" + "".join(f"{number:05d}\n" for number in range(count)))


def steady(weight: int = 0) -> None:
    """What would stop the emulator's loop for 20 ms and look like a slow network is done before, or never: the first picture
    of a size, and the collector's walks over what was imported.
    """
    from qwenbuild.emulator import pictures

    for side in SIDES:
        pictures.png(side, side, b"", weight=weight)
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000)


def main() -> None:
    from qwenbuild.emulator import serve

    settings = json.loads(sys.argv[1])
    steady(settings.get("weight", 0))
    with serve(**settings) as served:
        print(json.dumps({**served.environ(), "PID": str(os.getpid())}), flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
