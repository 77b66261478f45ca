"""Whole processes timed from exec to exit, in turns, and the table of their medians.

Does not know what is measured, nor what a good figure would be.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Contender:
    """One row of a table: a command, where it runs, and what has to be put right before each run (not timed)."""

    name: str
    argv: Sequence[str]
    cwd: Path
    env: Mapping[str, str] = field(default_factory=dict)
    before: Callable[[], None] | None = None
    ok: tuple[int, ...] = (0,)
    check: Callable[[str], str | None] | None = None
    runs: int | None = None


@dataclass
class Row:
    """Seconds and peak memory in bytes of every run; `missing` says why there are none."""

    name: str
    seconds: list[float] = field(default_factory=list)
    memory: list[int] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    missing: str = ""

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)


def run_once(contender: Contender) -> tuple[float, int, float, str]:
    """Wall seconds, peak resident bytes, CPU seconds (children included where the kernel says so), output."""
    if contender.before:
        contender.before()
    env = {**os.environ, **contender.env}
    env.pop("PYTHONDONTWRITEBYTECODE", None)  # a program that is compiled anew at each start is not what people run
    reader, writer = os.pipe()
    started = time.perf_counter()
    child = subprocess.Popen(
        contender.argv, cwd=contender.cwd, env=env, stdin=subprocess.DEVNULL, stdout=writer, stderr=subprocess.STDOUT
    )
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        said = pipe.read().decode(errors="replace")
    _, status, usage = os.wait4(child.pid, 0)
    elapsed = time.perf_counter() - started
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode not in contender.ok:
        raise RuntimeError(f"{contender.name}: exit {child.returncode}: {said[-400:].strip()}")
    problem = contender.check(said) if contender.check else None
    if problem:
        raise RuntimeError(f"{contender.name}: {problem}")
    return elapsed, usage.ru_maxrss * 1024, usage.ru_utime + usage.ru_stime, said


def measure(contenders: Sequence[Contender], runs: int) -> list[Row]:
    """One untimed run each, then `runs` rounds in which every contender has its turn."""
    rows = {contender.name: Row(contender.name) for contender in contenders}
    alive = [contender for contender in contenders if _warm(contender, rows[contender.name])]
    for turn in range(runs):
        for contender in alive:
            row = rows[contender.name]
            if row.missing or turn >= (contender.runs or runs):
                continue
            try:
                seconds, memory, cpu, _ = run_once(contender)
            except RuntimeError as error:
                row.missing = str(error)
                continue
            row.seconds.append(seconds)
            row.memory.append(memory)
            row.cpu.append(cpu)
        print(f"  round {turn + 1} of {runs}", file=sys.stderr, flush=True)
    return list(rows.values())


def _warm(contender: Contender, row: Row) -> bool:
    try:
        seconds = run_once(contender)[0]
    except (RuntimeError, OSError) as error:
        row.missing = str(error)
        print(f"  {contender.name}: {error}", file=sys.stderr, flush=True)
        return False
    print(f"  {contender.name}: first run {seconds:.3f} s", file=sys.stderr, flush=True)
    return True


def table(rows: Sequence[Row], against: str = "") -> str:
    """A Markdown table of medians, their spread, and the ratio of the row `against` to each other one."""
    ours = next((row.median for row in rows if row.name == against and row.seconds), None)
    lines = [
        f"| what | median s | min … max | CPU s | peak MB | {against + ' ÷ it' if against else ''} |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for row in sorted(rows, key=lambda row: row.median if row.seconds else float("inf")):
        if not row.seconds:
            lines.append(f"| {row.name} | not measured: {_one_line(row.missing)} | | | | |")
            continue
        ratio = "" if ours is None or row.name == against else f"{ours / row.median:.3g}"
        spread = f"{min(row.seconds):.3f} … {max(row.seconds):.3f}"
        cpu, peak = statistics.median(row.cpu), max(row.memory) / 1e6
        lines.append(f"| {row.name} | {row.median:.3f} | {spread} | {cpu:.3f} | {peak:.0f} | {ratio} |")
    return "\n".join(lines)


def _one_line(text: str) -> str:
    return " ".join(text.split()).replace("|", "/")[:160]


def save(folder: Path, name: str, rows: Sequence[Row], facts: Mapping[str, object]) -> Path:
    """Every single figure as JSON, beside what is known of the machine."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    record = {
        "facts": {**machine(), **facts},
        "rows": [
            {"name": row.name, "seconds": row.seconds, "memory": row.memory, "cpu": row.cpu, "missing": row.missing}
            for row in rows
        ],
    }
    path.write_text(json.dumps(record, indent=2) + "\n")
    return path


def machine() -> dict[str, object]:
    """What a reader needs to judge the figures: cores, kernel, Python. No host name, no path."""
    return {
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.release()}",
        "machine": platform.machine(),
        "python": platform.python_version(),
    }
