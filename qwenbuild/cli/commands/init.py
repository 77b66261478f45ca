"""`qwenbuild init`: a manifest that builds offline right away, with prompts, data, ignore rules and a place for keys.

Does not know the manifest's grammar; the starters are files.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from qwenbuild.cli import console
from qwenbuild.cli.call import current
from qwenbuild.cli.group import Verb
from qwenbuild.errors import InputError, Problem
from qwenbuild.later import later

with later:
    from qwenbuild.manifest import editor_schema

KINDS = ("game", "marketing")
SCHEMA = "schemas/manifest.v1.schema.json"
"""Written beside the manifest, so that every clone's editor has the schema of the version that wrote it, offline."""


@click.command("init", cls=Verb)
@click.argument("kind", type=click.Choice(KINDS), default="game", metavar="[game|marketing]")
def command(kind: str) -> int:
    """Write a small manifest with its prompts and data. It builds at once: offline, without a key, and free.

    Existing files are never overwritten; an existing .gitignore gets the missing lines.

    \b
    Examples:
      qwenbuild init game
      qwenbuild init marketing && qwenbuild build
    """
    folder = current().here
    files = {**dict(_starter(kind)), SCHEMA: editor_schema.schema_text(), ".env.example": _read("common", "env.example")}
    _refuse_what_is_there(folder, list(files))
    for path, text in files.items():
        _write(folder / path, text)
        console.message(f"{'wrote':<9}{path}")
    added = _ignore(folder / ".gitignore", _read("common", "gitignore"))
    console.message(f"{added:<9}.gitignore")
    console.result(["Ready: `qwenbuild plan` says what a build would do, `qwenbuild build` does it."])
    return 0


def _starter(kind: str) -> Iterator[tuple[str, str]]:
    from importlib.resources import files

    root = files("qwenbuild.cli").joinpath("starters", kind)
    for name in ("qwenbuild.yaml", "prompts", "data"):
        place = root.joinpath(name)
        if place.is_file():
            yield name, place.read_text(encoding="utf-8").replace("@SCHEMA@", SCHEMA)
        else:
            yield from ((f"{name}/{item.name}", item.read_text(encoding="utf-8")) for item in place.iterdir())


def _read(*names: str) -> str:
    from importlib.resources import files

    return files("qwenbuild.cli").joinpath("starters", *names).read_text(encoding="utf-8")


def _refuse_what_is_there(folder: Path, paths: Sequence[str]) -> None:
    names = [*paths, "qwenbuild.yml", "qwenbuild.lock"]
    existing = sorted(name for name in names if (folder / name).exists() or (folder / name).is_symlink())
    if existing:
        hint = "use an empty folder: qwenbuild -C DIR init"
        problem = Problem("exists", f"init overwrites nothing, and these exist already: {', '.join(existing)}", hint=hint)
        raise InputError(problem.message, code="exists", problems=(problem,))


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "x", encoding="utf-8", newline="\n") as file:
        file.write(text)


def _ignore(path: Path, text: str) -> str:
    """Add the lines that are missing; the word for what was done."""
    before = path.read_text(encoding="utf-8") if path.is_file() else ""
    present = set(before.splitlines())
    rules = [line for line in text.splitlines() if not line.startswith("#")]
    missing = [line for line in rules if line not in present]
    if not missing:
        return "kept"
    comment = next(line for line in text.splitlines() if line.startswith("#"))
    gap = "" if not before else "\n" if before.endswith("\n") else "\n\n"
    with open(path, "a", encoding="utf-8", newline="\n") as file:
        file.write(gap + "\n".join([comment, *missing]) + "\n")
    return "extended" if before else "wrote"
