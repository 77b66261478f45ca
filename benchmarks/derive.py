"""Three files from each of many pictures, on one core and on two: time, peak memory, and how long the event loop stood still.

Does not know how files are derived; it runs the command line in a process of its own and looks at it from outside.

    python benchmarks/derive.py --pictures 500 --runs 3
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

HERE = Path(__file__).parent
MANIFEST = """\
version: 1
assets:
  cards:
    prompt: "card {{{{ n }}}}"
    params: {{size: "1328*1328"}}
    foreach: numbers.csv
    id: "cards/{{{{ n }}}}"
    outputs:
      - {{path: "icons/{{{{ n }}}}.png", steps: [{{resize: {{width: {width}}}}}]}}
      - {{path: "web/{{{{ n }}}}.webp", steps: [{{resize: {{width: {wide}}}}}]}}
      - {{path: "thumbs/{{{{ n }}}}.jpg", steps: [{{resize: {{width: {width}, height: {width}}}}}]}}
"""
TOLD = re.compile(r"longest step of the loop.*?: ([0-9.]+) ms")


@dataclass
class Run:
    """Seconds by the wall and of CPU, peak resident bytes, and the loop's longest step in milliseconds."""

    cores: int
    wall: float
    cpu: float
    memory: int
    step: float


def project(folder: Path, pictures: int) -> dict[str, str]:
    """A manifest and its environment; the pictures are drawn once, and not counted."""
    (folder / "numbers.csv").write_text("n\n" + "\n".join(str(n) for n in range(pictures)) + "\n")
    return {**os.environ, "QWENBUILD_CACHE_DIR": str(folder / "cache")}


def build(folder: Path, env: dict[str, str], width: int, cores: int) -> Run:
    """One build whose steps have not been seen before."""
    (folder / "qwenbuild.yaml").write_text(MANIFEST.format(width=width, wide=4 * width))
    command = [sys.executable, str(HERE / "watched.py"), "build", "--yes", "-q"]
    mine = sorted(os.sched_getaffinity(0))[:cores]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    child = subprocess.Popen(
        command,
        cwd=folder,
        env=env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: os.sched_setaffinity(0, mine),
    )
    assert child.stderr is not None
    said = child.stderr.read()
    _, status, usage = os.wait4(child.pid, 0)
    wall = time.perf_counter() - start
    if os.waitstatus_to_exitcode(status):
        raise SystemExit(f"the build failed:\n{said}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    found = TOLD.search(said)
    return Run(cores, wall, cpu, usage.ru_maxrss * 1024, float(found[1]) if found else float("nan"))


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--pictures", type=int, default=500)
    asked.add_argument("--runs", type=int, default=3)
    asked.add_argument("--json", type=Path, help="save every run here")
    options = asked.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        env = project(folder, options.pictures)
        build(folder, env, 100, 2)
        runs = [build(folder, env, 101 + 2 * at + cores, cores) for at in range(options.runs) for cores in (1, 2)]
    print(f"{options.pictures} pictures of 1328 x 1328, three files each; medians of {options.runs}")
    for cores in (1, 2):
        mine = [run for run in runs if run.cores == cores]
        wall, cpu = statistics.median(run.wall for run in mine), statistics.median(run.cpu for run in mine)
        memory, step = max(run.memory for run in mine) / 1e6, max(run.step for run in mine)
        said = f"{wall:7.1f} s ({cpu:.1f} s of CPU), peak {memory:.0f} MB, longest step of the loop {step:.1f} ms"
        print(f"  {cores} core{'s' * (cores > 1)}: {said}")
    ratio = [statistics.median(run.wall for run in runs if run.cores == cores) for cores in (1, 2)]
    print(f"  two cores are {ratio[0] / ratio[1]:.2f} times as fast as one")
    if options.json:
        options.json.write_text(json.dumps([asdict(run) for run in runs], indent=2) + "\n")


if __name__ == "__main__":
    main()
