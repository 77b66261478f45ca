"""What a build costs us beside what the provider makes us wait for, measured against the emulator.

    python benchmarks/build.py                                     # every row; about ten minutes
    python benchmarks/build.py --rows free --count 200 --runs 1    # a part

Rows:
    free      limits far above need, 200 in flight, pictures of --bytes: CPU a picture, in turns with `floor.py`, which does the
              unavoidable part over the same httpx; longest step of the event loop
    paced     20 submissions a second, 40 in flight: the share of what the limits allow, and refusals
    waiting   50 in flight, 15 s latency: the share of one core
    cold      --cold distinct placeholder pictures of 64 x 64 into an empty cache, in each folder of --disks
    restore   --restored pictures of 2 MB from the cache into the tree, beside cp and sha256sum of the same files
Does not know what a good figure is.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import hosted
import measure
import workload
from measure import Contender
from noop import command_beside_python

TICK = os.sysconf("SC_CLK_TCK")
FAR = 100_000
MOST = 1_000
"""The highest `rps` a manifest may ask for."""


def fresh(work: Path, name: str) -> tuple[Path, dict[str, str]]:
    """An empty project folder and an empty cache, when all that was written before is on the disk.

    Nothing is removed before the row is measured: after that some file systems make new files slowly for minutes.
    """
    os.sync()
    work.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=work))
    return folder / "project", {"QWENBUILD_CACHE_DIR": str(folder / "cache")}


def one_build(options: argparse.Namespace, mode: str, env: dict[str, str], count: int, rps: float, flying: int) -> Contender:
    folder, cache = fresh(options.work, f"build-{mode}")
    hosted.project(folder, count, mode=mode, rps=rps, concurrency=flying)
    return Contender(f"build, {mode} calls", [options.command, "build", "--yes", "-q"], folder, {**env, **cache})


def free(options: argparse.Namespace) -> list[str]:
    lines = [
        "| calls | pictures | wall s | CPU ms a picture | the least over httpx, wall s | CPU ms | longest step, ms |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for mode in options.modes:
        with hosted.emulator(
            latency=0.2, rate=FAR, concurrency=FAR, query_rate=FAR, enforce=False, weight=options.bytes
        ) as env:
            ours, least = [], []
            for _ in range(options.runs):
                ours.append(measure.run_once(one_build(options, mode, env, options.count, MOST, 200)))
                least.append(measure.run_once(the_least(options, mode, env)))
            longest = longest_step(options, mode, env)
        figures = " | ".join(wall_and_cpu(runs, options.count) for runs in (ours, least))
        lines.append(f"| {mode} | {options.count:,} | {figures} | {longest:.1f} |")
    return lines


def wall_and_cpu(runs: Sequence[tuple[float, int, float, str]], count: int) -> str:
    """The medians of whole processes: wall seconds, CPU milliseconds a picture."""
    return f"{statistics.median(run[0] for run in runs):.1f} | {statistics.median(run[2] for run in runs) / count * 1000:.2f}"


def the_least(options: argparse.Namespace, mode: str, env: dict[str, str]) -> Contender:
    folder = fresh(options.work, f"floor-{mode}")[0]
    words = [env["QWENBUILD_DASHSCOPE_BASE_URL"], env["DASHSCOPE_API_KEY"], mode, str(options.count), "200", str(folder)]
    argv = [sys.executable, str(Path(__file__).with_name("floor.py")), *words]
    return Contender("floor", argv, options.work)


def longest_step(options: argparse.Namespace, mode: str, env: dict[str, str]) -> float:
    """A build of its own, for the watching costs something."""
    build = one_build(options, mode, env, options.count, MOST, 200)
    watched = [sys.executable, str(Path(__file__).with_name("watched.py")), *build.argv[1:]]
    said = measure.run_once(Contender("watched", watched, build.cwd, build.env))[3]
    print(said, file=sys.stderr)
    found = re.search(r"longest step of the loop, the journal apart: ([\d.]+) ms", said)
    return float(found[1]) if found else float("nan")


def paced(options: argparse.Namespace) -> list[str]:
    """The limits allow the last submission at (n - 1)/rate; its picture comes a latency later."""
    rate, flying, latency, count = 20.0, 40, 1.5, options.paced
    lines = ["| calls | pictures | wall s | allowed s | share | refused |", "|---|---:|---:|---:|---:|---:|"]
    for mode in options.modes:
        with hosted.emulator(latency=latency, rate=rate, concurrency=flying, query_rate=FAR, overflow="refuse") as env:
            walls = []
            for _ in range(options.runs):
                wall = measure.run_once(one_build(options, mode, env, count, rate, flying))[0]
                walls.append(wall)
            refused = hosted.refusals(env)
        allowed = (count - 1) / rate + latency
        wall = statistics.median(walls)
        lines.append(f"| {mode} | {count:,} | {wall:.2f} | {allowed:.2f} | {allowed / wall:.1%} | {refused} |")
    return lines


def waiting(options: argparse.Namespace) -> list[str]:
    """Sampled from the third to the twelfth second of a latency of fifteen: everything is submitted, nothing has come."""
    lines = ["| calls | in flight | share of one core |", "|---|---:|---:|"]
    for mode in options.modes:
        with hosted.emulator(latency=15.0, rate=FAR, concurrency=FAR, query_rate=FAR) as env:
            shares = [core_share(one_build(options, mode, env, 50, MOST, 50), 3.0, 12.0) for _ in range(options.runs)]
        lines.append(f"| {mode} | 50 | {statistics.median(shares):.2%} |")
    return lines


def core_share(build: Contender, start: float, end: float) -> float:
    with subprocess.Popen(build.argv, cwd=build.cwd, env={**os.environ, **build.env}, stdout=subprocess.DEVNULL) as process:
        time.sleep(start)
        before = ticks(process.pid)
        time.sleep(end - start)
        used = ticks(process.pid) - before
        if process.wait() != 0:
            raise RuntimeError(f"the build ended with {process.returncode}")
    return used / TICK / (end - start)


def ticks(pid: int) -> int:
    """User and system time of a process, in clock ticks."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def cold(options: argparse.Namespace) -> list[str]:
    """Where everything is new, our own work is all there is: nothing is waited for but the disk."""
    lines = ["| disk | pictures | user s | system s | wall s | load before |", "|---|---:|---:|---:|---:|---:|"]
    for disk in options.disks or [options.work]:
        with tempfile.TemporaryDirectory(prefix="cold-", dir=disk) as folder:
            runs = [cold_build(options, Path(folder)) for _ in range(options.runs)]
        user, system, wall = (f"{statistics.median(figures):.1f}" for figures in zip(*(run[:3] for run in runs), strict=True))
        loads = ", ".join(f"{run[3]:.1f}" for run in runs)
        lines.append(f"| {kind_of(disk)} | {options.cold:,} | {user} | {system} | {wall} | {loads} |")
    return lines


def cold_build(options: argparse.Namespace, disk: Path) -> tuple[float, float, float, float]:
    """Seconds of user and of system time, and by the wall; and the machine's load before."""
    folder, cache = fresh(disk, "cold")
    workload.project(folder, options.cold, size="64*64")
    load, started, before = os.getloadavg()[0], time.perf_counter(), os.times()
    argv, env = [options.command, "build", "--yes", "-q"], {**os.environ, **cache}
    subprocess.run(argv, cwd=folder, env=env, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    after = os.times()
    user, system = after.children_user - before.children_user, after.children_system - before.children_system
    return user, system, time.perf_counter() - started, load


def kind_of(folder: Path) -> str:
    """The type of the file system that a folder is on, as the kernel names it."""
    mounts = [line.split()[1:3] for line in Path("/proc/mounts").read_text().splitlines()]
    above = [(len(point), kind) for point, kind in mounts if folder.resolve().is_relative_to(point)]
    return max(above)[1]


def restore(options: argparse.Namespace) -> list[str]:
    folder, cache = fresh(options.work, "restore")
    hosted.project(folder, options.restored, mode="sync", rps=MOST, concurrency=50)
    with hosted.emulator(latency=0.05, rate=FAR, concurrency=FAR, enforce=False, weight=2_000_000) as env:
        subprocess.run([options.command, "build", "--yes", "-q"], cwd=folder, env={**os.environ, **env, **cache}, check=True)
    kept = folder / "kept"
    shutil.copytree(folder / "out", kept)
    plain = "cp -r --reflink=never kept out && find out -type f -print0 | xargs -0 -P 2 -n 100 sha256sum"
    before = partial(shutil.rmtree, folder / "out", ignore_errors=True)
    rows = [
        Contender("qwenbuild", [options.command, "build", "--offline", "-q"], folder, cache, before=before),
        Contender("cp and sha256sum", ["sh", "-c", plain], folder, before=before),
    ]
    found = measure.measure(rows, options.runs)
    measure.save(options.out, "restore", found, {"pictures": options.restored, "bytes": 2_000_000})
    return measure.table(found, "qwenbuild").splitlines()


ROWS: dict[str, Callable[[argparse.Namespace], list[str]]] = {
    "free": free,
    "paced": paced,
    "waiting": waiting,
    "cold": cold,
    "restore": restore,
}


def main() -> None:
    options = arguments()
    options.work.mkdir(parents=True, exist_ok=True)
    options.work = Path(tempfile.mkdtemp(prefix="build-", dir=options.work.resolve()))
    try:
        rows(options)
    finally:
        shutil.rmtree(options.work)


def rows(options: argparse.Namespace) -> None:
    for name in options.rows:
        print(f"\n{name}", file=sys.stderr)
        text = f"## {name}\n\n" + "\n".join(ROWS[name](options)) + "\n"
        print(f"\n{text}", flush=True)
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / f"build-{name}.md").write_text(text)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", nargs="+", choices=list(ROWS), default=list(ROWS), metavar="ROW", help=", ".join(ROWS))
    parser.add_argument("--modes", nargs="+", choices=list(hosted.MODELS), default=list(hosted.MODELS))
    parser.add_argument("--runs", type=int, default=7, help="builds a row (default 7)")
    parser.add_argument("--count", type=int, default=2_000, help="entries of the row `free`")
    parser.add_argument("--paced", type=int, default=400, help="entries of the row `paced`")
    parser.add_argument("--cold", type=int, default=10_000, help="entries of the row `cold`")
    parser.add_argument("--disks", nargs="+", type=Path, help="folders for the row `cold` (default: that of --work)")
    parser.add_argument("--restored", type=int, default=1_000, help="pictures of the row `restore`")
    parser.add_argument("--bytes", type=int, default=1_500_000, help="size of a picture in the row `free`")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "qwenbuild-benchmarks")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    parser.add_argument("--command", default=command_beside_python(), help="the qwenbuild to measure")
    return parser.parse_args()


if __name__ == "__main__":
    main()
