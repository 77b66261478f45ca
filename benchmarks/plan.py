"""What planning and reading cost: our own rows, without a peer or beside the plain tools that do the unavoidable part.

    python benchmarks/plan.py                                   # every row at 10,000 entries
    python benchmarks/plan.py --sizes 1000 --rows changed cold  # a part

Rows:
    noop      nothing to do, with the remembered state
    changed   one variable of one asset changed, what is remembered still there
    cold      never built, nothing remembered
    locked    built, but what is remembered and the output tree are gone
    tree      nothing remembered, pictures of --bytes to hash; beside hashing them on as many threads
    lock      reading the lockfile, and reading it and writing it anew as a build does
    commands  status, explain, help, completion
    small     a build after a small change: a file lost, a variable changed, a row added; --beside measures another
              qwenbuild in turns, in a project of its own
Does not know what a good figure is.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import measure
import workload
from measure import Contender
from noop import command_beside_python

HASHING = """
import hashlib, os, sys
from concurrent.futures import ThreadPoolExecutor
def digest(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
paths = [os.path.join(folder, name) for folder, _, files in os.walk(sys.argv[1]) for name in files]
with ThreadPoolExecutor(os.cpu_count()) as pool:
    sum(1 for _ in pool.map(digest, paths))
"""

LOCKING = """
import sys
from pathlib import Path
from qwenbuild.lock import layout, lockfile
path = Path(sys.argv[1])
entries = lockfile.read(path).entries
if sys.argv[2:] == ["write"]:
    lockfile.replace_text(path, path.parent / ".qwenbuild", layout.text(entries, "qwenbuild.yaml"))
"""


def python(work: Path) -> Contender:
    return Contender("python -c pass", [sys.executable, "-c", "pass"], work)


class Projects:
    """Built projects by size, made once and kept below --work."""

    def __init__(self, work: Path, command: str, output_bytes: int, beside: str = "") -> None:
        self.work, self.command, self.bytes = work, command, output_bytes
        self.beside = Projects(work / "beside", beside, output_bytes) if beside else None

    def env(self, size: int) -> dict[str, str]:
        return {"QWENBUILD_CACHE_DIR": str(self.work / f"cache-{size}")}

    def built(self, size: int) -> Path:
        """The project, with what this version remembers of it."""
        folder = self.work / f"qwenbuild-{size}"
        if not (folder / "qwenbuild.lock").exists():
            print(f"  seeding {size:,}", file=sys.stderr, flush=True)
            workload.project(folder, size)
            workload.built(folder, self.env(size)["QWENBUILD_CACHE_DIR"])
        measure.run_once(Contender("build", [self.command, "build"], folder, self.env(size)))
        return folder

    def copy(self, size: int, name: str, *, state: bool = False) -> Path:
        """The built project without its output tree; `state`: with what it remembers."""
        folder = self.work / f"{name}-{size}"
        shutil.rmtree(folder, ignore_errors=True)
        leave = ("out",) if state else ("out", ".qwenbuild")
        return Path(shutil.copytree(self.built(size), folder, ignore=shutil.ignore_patterns(*leave)))

    def heavy(self, size: int) -> Path:
        """A tree of random bytes that the lockfile names: what a clone with committed outputs is."""
        folder = self.copy(size, "tree")
        lock = json.loads((folder / "qwenbuild.lock").read_text())
        block = os.urandom(self.bytes)
        for number, entry in enumerate(lock["entries"].values()):
            data = number.to_bytes(8, "big") + block[8:]
            entry["digest"] = hashlib.sha256(data).hexdigest()
            for path in entry["outputs"]:
                target = folder / "out" / path
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(data)
        (folder / "qwenbuild.lock").write_text(json.dumps(lock, indent=2, sort_keys=True, ensure_ascii=False) + "\n")
        return folder


def noop(projects: Projects, size: int) -> Iterator[Contender]:
    folder = projects.built(size)
    yield Contender("no-op build", [projects.command, "build"], folder, projects.env(size))
    yield Contender("no-op plan", [projects.command, "plan"], folder, projects.env(size))


def changed(projects: Projects, size: int) -> Iterator[Contender]:
    """Between two runs of the pair the manifest is written again, so every run meets a manifest it does not remember."""
    folder, env = projects.built(size), projects.env(size)
    expect = partial(_generates, count=100)
    argv = [projects.command, "plan", "--json", "asset:hundred"]
    whole = [projects.command, "plan", "--json"]
    change, undo = partial(workload.recolour, folder, colour="azure"), partial(workload.recolour, folder, colour="crimson")
    shown = [projects.command, "plan"]
    yield Contender("plan, one variable changed", shown, folder, env, before=change, check=_says_hundred)
    yield Contender("the same as JSON", whole, folder, env, before=change, check=expect)
    yield Contender("the same, SELECT of that asset", argv, folder, env, before=change, check=expect)
    yield Contender("plan, changed back", whole, folder, env, before=undo, check=partial(_generates, count=0))


def _says_hundred(said: str) -> str | None:
    return None if "100 to generate" in said else "expected 100 to generate"


def _generates(said: str, *, count: int) -> str | None:
    found = json.loads(said)["summary"]["generate"]
    return None if found == count else f"expected {count} to generate, found {found}"


def cold(projects: Projects, size: int) -> Iterator[Contender]:
    folder = projects.work / f"cold-{size}"
    workload.project(folder, size)
    empty = {"QWENBUILD_CACHE_DIR": str(projects.work / "cache-empty")}
    forget = partial(workload.forget, folder)
    yield Contender("plan, never built", [projects.command, "plan"], folder, empty, before=forget)


def locked(projects: Projects, size: int) -> Iterator[Contender]:
    folder = projects.copy(size, "locked")
    forget = partial(workload.forget, folder)
    yield Contender("plan, built, state and tree gone", [projects.command, "plan"], folder, projects.env(size), before=forget)


def tree(projects: Projects, size: int) -> Iterator[Contender]:
    folder = projects.heavy(size)
    forget = partial(workload.forget, folder)
    env = {"QWENBUILD_CACHE_DIR": str(projects.work / "cache-empty")}
    yield Contender("plan, state gone, tree there", [projects.command, "plan"], folder, env, before=forget)
    yield Contender("hashing the same files", [sys.executable, "-c", HASHING, "out"], folder)


def lock(projects: Projects, size: int) -> Iterator[Contender]:
    folder = projects.copy(size, "lock")
    argv = [sys.executable, "-c", LOCKING, "qwenbuild.lock"]
    print(f"  the lockfile has {(folder / 'qwenbuild.lock').stat().st_size / 1e6:.1f} MB", file=sys.stderr)
    yield Contender("lockfile read", argv, folder)
    yield Contender("lockfile read and written", [*argv, "write"], folder)


def commands(projects: Projects, size: int) -> Iterator[Contender]:
    folder, env = projects.built(size), projects.env(size)
    name = Path(projects.command).name
    completing = {"_QWENBUILD_COMPLETE": "bash_complete", "COMP_WORDS": f"{name} explain hundred/", "COMP_CWORD": "2"}
    yield Contender("status", [projects.command, "status"], folder, env)
    yield Contender("explain ENTRY", [projects.command, "explain", "hundred/e07"], folder, env)
    yield Contender("--help", [projects.command, "--help"], folder, env)
    yield Contender("completion of an entry's id", [projects.command], folder, {**env, **completing})


def small(projects: Projects, size: int) -> Iterator[Contender]:
    yield from _small(projects, size, "")
    if projects.beside:
        yield from _small(projects.beside, size, ", beside")


def _small(projects: Projects, size: int, who: str) -> Iterator[Contender]:
    """Every picture is in the vault after the first run of each, which is not counted."""
    folder, env = projects.built(size), projects.env(size)
    colours = itertools.cycle(["azure", "crimson"])
    now = ["crimson"]
    build = [projects.command, "build", "-q"]

    def lose() -> None:
        (folder / "out" / "000" / "000007.png").unlink()

    def recolour() -> None:
        now[0] = next(colours)
        workload.recolour(folder, colour=now[0], hundred=100)

    def add() -> None:
        workload.recolour(folder, colour=now[0], hundred=99)
        measure.run_once(Contender("build", [*build, "--prune"], folder, env))
        workload.recolour(folder, colour=now[0], hundred=100)

    yield Contender(f"build, one file lost{who}", build, folder, env, before=lose, check=_says("1 restored"))
    yield Contender(f"build, one variable changed{who}", build, folder, env, before=recolour, check=_says("100 "))
    yield Contender(f"build, one row added{who}", build, folder, env, before=add, check=_says("1 "))
    yield Contender(f"build, nothing to do{who}", build, folder, env, check=_says("Nothing to do"))


def _says(words: str) -> Callable[[str], str | None]:
    return lambda said: None if words in said else f"expected {words!r} in {said[-200:]!r}"


ROWS: dict[str, Callable[[Projects, int], Iterator[Contender]]] = {
    "noop": noop,
    "changed": changed,
    "cold": cold,
    "locked": locked,
    "tree": tree,
    "lock": lock,
    "commands": commands,
    "small": small,
}

AGAINST = {"tree": "plan, state gone, tree there"}
"""The row whose ratio to the others is printed, where there is a peer."""


def main() -> None:
    options = arguments()
    work = options.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    projects = Projects(work, options.command, options.bytes, options.beside)
    for size in options.sizes:
        for name in options.rows:
            print(f"\n{name}, {size:,} entries", file=sys.stderr)
            rows = measure.measure([python(work), *ROWS[name](projects, size)], options.runs)
            print(f"\n## {name}, {size:,} entries\n\n{measure.table(rows, AGAINST.get(name, ''))}\n", flush=True)
            measure.save(options.out, f"plan-{name}-{size}", rows, {"entries": size, "output_bytes": options.bytes})
            if name == "tree":
                shutil.rmtree(work / f"tree-{size}", ignore_errors=True)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000], help="entries")
    parser.add_argument("--runs", type=int, default=7, help="timed rounds (default 7)")
    parser.add_argument("--rows", nargs="+", choices=list(ROWS), default=list(ROWS), metavar="ROW", help=", ".join(ROWS))
    parser.add_argument("--bytes", type=int, default=1_500_000, help="size of a picture in the row `tree`")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "qwenbuild-benchmarks")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    parser.add_argument("--command", default=command_beside_python(), help="the qwenbuild to measure")
    parser.add_argument("--beside", default="", metavar="COMMAND", help="another qwenbuild, measured in turns (row `small`)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
