"""Small changes: what a build and a plan cost after one of them, beside ninja, tup, Snakemake and DVC, in turns.

    python benchmarks/small.py                                     # 1,000, 10,000 and 100,000 entries: an hour
    python benchmarks/small.py --sizes 10000 --rows noop lost      # a part
    python benchmarks/small.py --sizes 1000000 --rows noop cold --tools qwenbuild ninja

Every picture is in the cache after the first run of a row, which is not counted: drawing is not measured here.

Rows:
    noop     nothing to do
    lost     one output deleted
    hundred  a hundred targets of one asset changed: ours by one variable, the peers' by a hundred sources
    added    one row added to the data file of the asset that has almost all entries
    plans    plans: nothing changed, one variable changed, with an atlas, after an approval, after a merge
    cold     a plan of what was never built
    lock     one record of the lockfile replaced in its text, less the start of the same program

Does not know what a good figure is.
"""

from __future__ import annotations

import argparse
import itertools
import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import measure
import peers
import workload
from measure import Contender
from noop import US, command_beside_python, peer_at

ATLAS = """\
atlases:
  sheet: {select: "asset:hundred", output: sheet.png}
"""

SPLICE = """
import sys
from dataclasses import replace
from pathlib import Path
from qwenbuild.lock import lockfile
path = Path("qwenbuild.lock")
id = "pictures/000007"
if sys.argv[1:] == ["splice"]:
    lock = replace(lockfile.part(path, [id]), canonical=True)
    other = {"2026-01-01": "2026-01-02"}.get(lock.entries[id].made, "2026-01-01")
    change = lambda now: {id: replace(now[id], made=other)}
    assert lockfile.update(path, path.parent / ".qwenbuild", "qwenbuild.yaml", change, as_read=lock)
"""

Before = Callable[[], object]


class Ours:
    """Our project of one size: built, and brought from change to change."""

    def __init__(self, work: Path, command: str, size: int) -> None:
        self.work, self.size, self.command = work, size, command
        self.folder = work / f"qwenbuild-{size}"
        self.env = {"QWENBUILD_CACHE_DIR": str(work / f"cache-{size}")}
        self.colour = "crimson"

    def ready(self) -> None:
        """Built, with what this version remembers of it."""
        if not (self.folder / "qwenbuild.lock").exists():
            print(f"  {US}: seeding {self.size:,}", file=sys.stderr, flush=True)
            workload.project(self.folder, self.size, size="64*64")
            workload.built(self.folder, self.env["QWENBUILD_CACHE_DIR"])
        self.build()

    def build(self, *options: str) -> None:
        """A build that is not timed."""
        measure.run_once(Contender("build", [self.command, "build", "-q", *options], self.folder, self.env))

    def row(self, name: str, *argv: str, before: Before | None = None, says: str = "") -> Contender:
        """A timed command of ours."""
        check = partial(_says, says) if says else None
        return Contender(f"{US}: {name}", [self.command, *argv], self.folder, self.env, before=before, check=check)

    # ------------------------------------------------------------ what a person does

    def lose(self) -> None:
        """One output is deleted."""
        (self.folder / "out" / "000" / "000007.png").unlink()

    def recolour(self) -> None:
        """The variable that a hundred entries hang on."""
        self.colour = "azure" if self.colour == "crimson" else "crimson"
        workload.recolour(self.folder, size="64*64", colour=self.colour)

    def shorten(self) -> None:
        """The data file without its last row, built."""
        self.rows(-1)
        self.build("--prune")

    def rows(self, more: int) -> None:
        """The data file with one row less, or more."""
        path = self.folder / "data" / "rows.csv"
        lines = path.read_text().splitlines(keepends=True)
        last = int(lines[-1][:6]) + 1
        path.write_text("".join(lines[:-1] if more < 0 else [*lines, f"{last:06d},{last // workload.PER_FOLDER:03d}\n"]))

    def lengthen(self) -> None:
        """One row less, built; then the row again."""
        self.shorten()
        self.rows(1)

    def base(self) -> None:
        """The manifest without an atlas, nothing approved, built."""
        lock = self.folder / "qwenbuild.lock"
        lock.write_bytes(lock.read_bytes().replace(b'      "approved": true,\n', b""))
        workload.recolour(self.folder, size="64*64", colour=self.colour)
        self.build("--prune")

    def pack(self) -> None:
        """The manifest with an atlas, built; then the variable changes."""
        manifest = self.folder / "qwenbuild.yaml"
        self.base()
        manifest.write_text(manifest.read_text() + ATLAS)
        self.build()
        self.recolour()
        manifest.write_text(manifest.read_text() + ATLAS)

    def approve(self) -> None:
        """A person approves one picture, after a build."""
        self.base()
        argv = [self.command, "approve", "pictures/000007"]
        measure.run_once(Contender("approve", argv, self.folder, self.env))

    def merge(self) -> None:
        """Another branch's lockfile names another day for fifty pictures, after a build."""
        self.base()
        path = self.folder / "qwenbuild.lock"
        day = b"2026-02-01" if path.read_bytes().count(b"2026-03-01") > 1 else b"2026-03-01"
        path.write_bytes(re.sub(rb"(\"made\": \")2026-\d\d-01", rb"\g<1>" + day, path.read_bytes(), count=50))


def _says(words: str, text: str) -> str | None:
    return None if words in text else f"expected {words!r} in {text[-200:]!r}"


# ---------------------------------------------------------------- rows


def noop(ours: Ours) -> Iterator[Contender]:
    yield ours.row("build", "build", says="Nothing to do")


def lost(ours: Ours) -> Iterator[Contender]:
    yield ours.row("build", "build", "-q", before=ours.lose, says="1 restored")


def hundred(ours: Ours) -> Iterator[Contender]:
    yield ours.row("build", "build", "-q", before=ours.recolour, says="100 ")


def added(ours: Ours) -> Iterator[Contender]:
    yield ours.row("build", "build", "-q", before=ours.lengthen, says="1 ")


def plans(ours: Ours) -> Iterator[Contender]:
    yield ours.row("plan, nothing changed", "plan", before=ours.base, says="Nothing to do")
    yield ours.row("plan, one variable changed", "plan", before=ours.recolour)
    yield ours.row("plan with an atlas, one variable changed", "plan", before=ours.pack)
    yield ours.row("plan after an approval", "plan", before=ours.approve)
    yield ours.row("plan after a merge", "plan", before=ours.merge)


def cold(ours: Ours) -> Iterator[Contender]:
    folder = ours.work / f"cold-{ours.size}"
    workload.project(folder, ours.size, size="64*64")
    forget = partial(workload.forget, folder)
    env = {"QWENBUILD_CACHE_DIR": str(ours.work / "cache-empty")}
    yield Contender(f"{US}: plan, never built", [ours.command, "plan"], folder, env, before=forget)


def lock(ours: Ours) -> Iterator[Contender]:
    argv = [sys.executable, "-c", SPLICE]
    yield Contender(f"{US}: the same program without it", argv, ours.folder)
    yield Contender(f"{US}: one record replaced", [*argv, "splice"], ours.folder)


ROWS: dict[str, Callable[[Ours], Iterator[Contender]]] = {
    "noop": noop,
    "lost": lost,
    "hundred": hundred,
    "added": added,
    "plans": plans,
    "cold": cold,
    "lock": lock,
}


# ---------------------------------------------------------------- the peers' changes


def peer_rows(name: str, peer: Contender) -> Contender | None:
    """The same change for a peer; None where it has none."""
    changes: dict[str, Before | None] = {
        "noop": None,
        "lost": (peer.cwd / "out" / "000" / "000007.png").unlink,
        "hundred": partial(_touch, peer.cwd, itertools.count()),
    }
    if name not in changes:
        return None
    return Contender(peer.name, peer.argv, peer.cwd, peer.env, before=changes[name])


def _touch(folder: Path, turn: Iterator[int]) -> None:
    colour = f"colour {next(turn)}"
    for name in itertools.islice(workload.names(100), 100):
        (folder / "in" / f"{name}.txt").write_text(f"picture {name} in {colour}\n")


def contenders(options: argparse.Namespace, work: Path, size: int, row: str) -> list[Contender]:
    found = [Contender("python -c pass", [sys.executable, "-c", "pass"], work)] if "python" in options.tools else []
    if US in options.tools:
        ours = Ours(work, options.command, size)
        if row != "cold":
            ours.ready()
        found += ROWS[row](ours)
    for peer in peers.PEERS:
        if peer.name in options.tools and size <= max(peer.most, 1_000_000 if peer.name == "ninja" else 0):
            try:
                mine = peer_rows(row, peer_at(peer, work, size, options.bytes))
            except peers.NotHereError as error:
                print(f"  {peer.name}: not measured: {error}", file=sys.stderr)
                continue
            found += [mine] if mine else []
    return found


def main() -> None:
    options = arguments()
    work = options.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    for size in options.sizes:
        for name in options.rows:
            print(f"\n{name}, {size:,} entries", file=sys.stderr)
            rows = measure.measure(contenders(options, work, size, name), options.runs)
            main_row = next((row.name for row in rows if row.name.startswith(US)), "")
            print(f"\n## {name}, {size:,} entries\n\n{measure.table(rows, main_row)}\n", flush=True)
            measure.save(options.out, f"small-{name}-{size}", rows, {"entries": size, "runs": options.runs})


def arguments() -> argparse.Namespace:
    every = ["python", US, *(peer.name for peer in peers.PEERS)]
    usual = ["python", US, "ninja", "tup", "snakemake", "dvc"]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 10_000, 100_000], help="entries")
    parser.add_argument("--runs", type=int, default=5, help="timed rounds (default 5)")
    parser.add_argument("--rows", nargs="+", choices=list(ROWS), default=list(ROWS), metavar="ROW", help=", ".join(ROWS))
    parser.add_argument("--tools", nargs="+", choices=every, default=usual, metavar="TOOL", help=", ".join(every))
    parser.add_argument("--bytes", type=int, default=1_500_000, help="size of a peer's output (sparse)")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "qwenbuild-benchmarks")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    parser.add_argument("--command", default=command_beside_python(), help="the qwenbuild to measure")
    return parser.parse_args()


if __name__ == "__main__":
    main()
