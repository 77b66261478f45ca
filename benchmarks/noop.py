"""The no-op build: ours beside ninja, make, tup, doit, Snakemake and DVC, on the same number of targets, in turns.

    python benchmarks/noop.py                               # 1,000, 10,000 and 100,000 targets: hours
    python benchmarks/noop.py --sizes 1000 --runs 7         # minutes
    python benchmarks/noop.py --sizes 1000 --tools qwenbuild ninja "make -rR"

Peers are installed into environments of their own below --work and stay there for the next run.
Does not know what a good figure is: docs/performance.md says what was measured and how.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import measure
import peers
import workload
from measure import Contender, Row

US = "qwenbuild"


def main() -> None:
    options = arguments()
    work = options.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    for size in options.sizes:
        print(f"\n{size:,} targets", file=sys.stderr)
        rows = measure_size(options, work, size)
        print(f"\n## No-op build, {size:,} targets\n\n{measure.table(rows, US)}\n")
        facts = {"targets": size, "output_bytes": options.bytes, "runs": options.runs}
        print(f"saved {measure.save(options.out, f'noop-{size}', rows, facts)}", file=sys.stderr)


def measure_size(options: argparse.Namespace, work: Path, size: int) -> list[Row]:
    contenders = [Contender("python -c pass", [sys.executable, "-c", "pass"], work)] if "python" in options.tools else []
    missing = []
    if US in options.tools:
        contenders.append(ours(options, work, size))
    for peer in peers.PEERS:
        if peer.name not in options.tools or size > peer.most:
            continue
        try:
            contenders.append(peer_at(peer, work, size, options.bytes))
        except peers.NotHereError as error:
            missing.append(Row(peer.name, missing=str(error)))
            print(f"  {peer.name}: not measured: {error}", file=sys.stderr)
    return measure.measure(contenders, options.runs) + missing


def ours(options: argparse.Namespace, work: Path, size: int) -> Contender:
    folder = work / f"qwenbuild-{size}"
    env = {"QWENBUILD_CACHE_DIR": str(work / f"cache-{size}")}
    if not (folder / "qwenbuild.lock").exists():
        print(f"  {US}: seeding {size:,}", file=sys.stderr, flush=True)
        workload.project(folder, size)
        workload.built(folder, env["QWENBUILD_CACHE_DIR"])
    return Contender(US, [options.command, "build"], folder, env)


def peer_at(peer: peers.Peer, work: Path, size: int, output_bytes: int) -> Contender:
    """A finished preparation is marked, so that an interrupted one starts again."""
    home = work / "peers"
    home.mkdir(exist_ok=True)
    program = peer.install(home)
    folder = work / f"{peer.name.replace(' ', '')}-{size}"
    ready = folder.with_suffix(".ready")
    if not ready.exists():
        print(f"  {peer.name}: preparing {size:,}", file=sys.stderr, flush=True)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        peer.prepare(program, folder, size, output_bytes)
        ready.touch()
    return Contender(peer.name, [program, *peer.arguments], folder, peers.environment(program))


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    every = ["python", US, *(peer.name for peer in peers.PEERS)]
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 10_000, 100_000], help="targets")
    parser.add_argument("--runs", type=int, default=7, help="timed rounds (default 7)")
    parser.add_argument("--tools", nargs="+", choices=every, default=every, metavar="TOOL", help=", ".join(every))
    parser.add_argument("--bytes", type=int, default=1_500_000, help="size of a peer's output (sparse)")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "qwenbuild-benchmarks")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    parser.add_argument("--command", default=command_beside_python(), help="the qwenbuild to measure")
    return parser.parse_args(argv)


def command_beside_python() -> str:
    """The `qwenbuild` of this Python's environment, else the one on PATH."""
    beside = Path(sys.executable).parent / "qwenbuild"
    return str(beside) if beside.exists() else shutil.which("qwenbuild") or "qwenbuild"


if __name__ == "__main__":
    main()
