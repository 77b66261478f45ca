"""The peers: how each is installed, how the common workload is written for it, and the command that finds nothing to do.

Does not know how they are timed.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import workload

TRUNCATE = shutil.which("truncate") or "truncate"


class NotHereError(Exception):
    """A peer cannot be measured on this machine; the text says why."""


@dataclass(frozen=True)
class Peer:
    """`install` gives the program; `prepare` leaves a folder in which `command` has nothing to do."""

    name: str
    install: Callable[[Path], str]
    prepare: Callable[[str, Path, int, int], None]
    arguments: Sequence[str]
    most: int = 100_000


def from_index(package: str, program: str) -> Callable[[Path], str]:
    """A program from the Python index, in a virtual environment of its own."""

    def install(home: Path) -> str:
        venv = home / package
        found = venv / "bin" / program
        if not found.exists():
            _run([sys.executable, "-m", "venv", str(venv)], home)
            _run([str(venv / "bin" / "python"), "-m", "pip", "install", "-q", package], home)
        return str(found)

    return install


def from_debian(package: str, *libraries: str) -> Callable[[Path], str]:
    """A program of the system, else its Debian packages unpacked beside the others (nothing is installed)."""

    def install(home: Path) -> str:
        found = shutil.which(package)
        if found:
            return found
        unpacked = home / package
        program = unpacked / "usr" / "bin" / package
        if not program.exists():
            unpacked.mkdir(parents=True, exist_ok=True)
            _run(["apt-get", "-q", "download", package, *libraries], unpacked)
            for archive in unpacked.glob("*.deb"):
                _run(["dpkg", "-x", str(archive), str(unpacked)], unpacked)
        return str(program)

    return install


def environment(program: str) -> dict[str, str]:
    """A quiet environment; an unpacked Debian program finds its libraries beside itself."""
    env = {"DVC_NO_ANALYTICS": "1", "MAKEFLAGS": ""}
    unpacked = Path(program).parent.parent
    if unpacked.name == "usr" and unpacked != Path("/usr"):
        env["PATH"] = os.pathsep.join([str(unpacked / "bin"), str(unpacked.parent / "bin"), os.environ.get("PATH", "")])
        env["LD_LIBRARY_PATH"] = os.pathsep.join({str(path.parent) for path in unpacked.parent.glob("**/*.so.*")})
    return env


def _run(argv: Sequence[str], cwd: Path) -> None:
    env = {**os.environ, **environment(argv[0])}
    try:
        done = subprocess.run(argv, cwd=cwd, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    except OSError as error:
        raise NotHereError(str(error)) from error
    if done.returncode:
        raise NotHereError(f"{Path(argv[0]).name}: {(done.stderr or done.stdout).strip()[-200:]}")


def make(program: str, folder: Path, count: int, size: int) -> None:
    workload.sources(folder, count)
    rules = [f"out/{name}.png: in/{name}.txt\n\t{TRUNCATE} -s {size} $@" for name in workload.names(count)]
    targets = " ".join(f"out/{name}.png" for name in workload.names(count))
    (folder / "Makefile").write_text(f"all: {targets}\n.PHONY: all\n" + "\n".join(rules) + "\n")
    workload.outputs(folder, count, size)


def ninja(program: str, folder: Path, count: int, size: int) -> None:
    workload.sources(folder, count)
    workload.folders(folder, count)
    rules = [f"build out/{name}.png: draw in/{name}.txt" for name in workload.names(count)]
    (folder / "build.ninja").write_text(f"rule draw\n  command = {TRUNCATE} -s {size} $out\n" + "\n".join(rules) + "\n")
    _run([program], folder)


def tup(program: str, folder: Path, count: int, size: int) -> None:
    workload.sources(folder, count)
    workload.folders(folder, count)
    rules = [f": in/{name}.txt |> {TRUNCATE} -s {size} %o |> out/{name}.png" for name in workload.names(count)]
    _run([program, "init"], folder)
    (folder / "Tupfile").write_text("\n".join(rules) + "\n")
    _run([program], folder)


DODO = """\
from pathlib import Path

DOIT_CONFIG = {{"reporter": "zero"}}


def draw(path):
    with open(path, "wb") as file:
        file.truncate({size})


def task_picture():
    for source in sorted(Path("in").glob("*/*.txt")):
        target = f"out/{{source.parent.name}}/{{source.stem}}.png"
        yield {{"name": source.stem, "actions": [(draw, [target])], "file_dep": [str(source)], "targets": [target]}}
"""


def doit(program: str, folder: Path, count: int, size: int) -> None:
    workload.sources(folder, count)
    workload.folders(folder, count)
    (folder / "dodo.py").write_text(DODO.format(size=size))
    _run([program, "run"], folder)


SNAKEFILE = """\
NAMES = [f"{{number // {per}:03d}}/{{number:06d}}" for number in range({count})]

rule all:
    input: [f"out/{{name}}.png" for name in NAMES]

rule draw:
    input: "in/{{name}}.txt"
    output: "out/{{name}}.png"
    shell: "{truncate} -s {size} {{output}}"
"""


def snakemake(program: str, folder: Path, count: int, size: int) -> None:
    """The outputs are laid out and taken over by `--touch`, which records what a real run records."""
    workload.sources(folder, count)
    workload.outputs(folder, count, size)
    text = SNAKEFILE.format(per=workload.PER_FOLDER, count=count, truncate=TRUNCATE, size=size)
    (folder / "Snakefile").write_text(text)
    _run([program, "--cores", "2", "--quiet", "all", "--touch"], folder)


def dvc(program: str, folder: Path, count: int, size: int) -> None:
    """The lockfile is written as a run would write it, for the run itself takes hours; one `repro` then settles its state."""
    workload.sources(folder, count)
    workload.outputs(folder, count, size)
    _run([program, "init", "--no-scm", "-q"], folder)
    _run([program, "config", "core.analytics", "false"], folder)
    _run([program, "config", "core.check_update", "false"], folder)
    blank = hashlib.md5(bytes(size)).hexdigest()
    stages, locked = {}, {}
    for name in workload.names(count):
        label = "s" + name.replace("/", "-")
        source, target, command = f"in/{name}.txt", f"out/{name}.png", f"{TRUNCATE} -s {size} out/{name}.png"
        data = (folder / source).read_bytes()
        stages[label] = {"cmd": command, "deps": [source], "outs": [{target: {"cache": False}}]}
        locked[label] = {
            "cmd": command,
            "deps": [{"path": source, "hash": "md5", "md5": hashlib.md5(data).hexdigest(), "size": len(data)}],
            "outs": [{"path": target, "hash": "md5", "md5": blank, "size": size}],
        }
    (folder / "dvc.yaml").write_text(json.dumps({"stages": stages}))
    (folder / "dvc.lock").write_text(json.dumps({"schema": "2.0", "stages": locked}))
    _run([program, "repro", "-q"], folder)


PEERS = (
    Peer("ninja", from_index("ninja", "ninja"), ninja, ()),
    Peer("make -rR", from_debian("make"), make, ("-rR",)),
    Peer("make", from_debian("make"), make, ()),
    Peer("tup", from_debian("tup", "libpcre3", "libfuse3-3", "fuse3"), tup, ()),
    Peer("doit", from_index("doit", "doit"), doit, ("run",)),
    Peer("snakemake", from_index("snakemake", "snakemake"), snakemake, ("--cores", "2", "--quiet", "all"), most=10_000),
    Peer("dvc", from_index("dvc", "dvc"), dvc, ("repro", "-q"), most=10_000),
)
