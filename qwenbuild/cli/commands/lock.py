"""`qwenbuild lock`: mend a lockfile that a merge left in conflict.

Does not know how entries are merged.
"""

from __future__ import annotations

import os
from pathlib import Path

import click

from qwenbuild.cli import say
from qwenbuild.cli.call import current
from qwenbuild.cli.group import Group

command = Group(
    "lock",
    short_help="Mend a lockfile that a merge left in conflict.",
    help="Look after the lockfile.",
)


@command.command("resolve", short_help="Merge both sides of a conflict, entry by entry.")
@click.option("--theirs", is_flag=True, help="Where both sides changed an entry, take theirs (default: ours).")
def resolve(theirs: bool) -> int:
    """Merge both sides of a conflicted lockfile, entry by entry: what one side changed wins over what the other left alone.

    Pictures of the side that loses stay in the cache, so nothing is paid again for that. The next build goes by the manifest.

    \b
    Examples:
      git merge main; qwenbuild lock resolve && git add qwenbuild.lock
    """
    from qwenbuild import lockfile, manifest
    from qwenbuild.cli.lockmerge import merge, sides_of
    from qwenbuild.report.escape import visible
    from qwenbuild.report.words import count

    call = current()
    source = manifest.find(call.folder, call.file)
    path = lockfile.path_of(source)
    raw = _read(path)
    if not any(marker in raw for marker in lockfile.CONFLICT):
        entries = lockfile.parse(raw, path)
        say.result([f"{path.name} holds no conflict ({count(len(entries), 'entry', 'entries')})."])
        return 0
    sides = sides_of(path, raw)
    base = lockfile.parse(sides.base, path) if sides.base else {}
    merged = merge(base, lockfile.parse(sides.ours, path), lockfile.parse(sides.theirs, path), prefer_theirs=theirs)
    with lockfile.locked(path, path.parent / ".qwenbuild"):
        _write(path, lockfile.text(merged.entries, source.name))
    taken = "theirs" if theirs else "ours"
    say.result(f"both changed  {visible(identity)}: {taken} is taken" for identity in merged.both)
    say.result(
        [f"{path.name}: {count(len(merged.entries), 'entry', 'entries')}. Now: git add {path.name}, then qwenbuild plan."]
    )
    return 0


def _read(path: Path) -> bytes:
    from qwenbuild.errors import InputError

    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise InputError(f"there is no lockfile {path}", code="no-lockfile") from error


def _write(path: Path, content: bytes) -> None:
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(beside, "xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)
