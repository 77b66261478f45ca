"""`qwenbuild lock`: resolve a lockfile that a merge left in conflict, by hand or as git's merge driver.

Does not know how entries are merged.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from qwenbuild.cli import console, show
from qwenbuild.cli import options as opt
from qwenbuild.cli.call import current
from qwenbuild.cli.group import Group
from qwenbuild.errors import InputError, Problem
from qwenbuild.later import later
from qwenbuild.lock import layout

with later:
    from qwenbuild import manifest
    from qwenbuild.cli import lockmerge
    from qwenbuild.lock import lockfile
    from qwenbuild.report import escape, words
    from qwenbuild.verbs import merge

if TYPE_CHECKING:
    from qwenbuild.lock.lockfile import Lock
    from qwenbuild.model import LockEntry
    from qwenbuild.verbs.merge import Entries, Merged, Question

command = Group(
    "lock",
    help="Work with the lockfile.",
)
DRIVER = "qwenbuild lock resolve --driver %O %A %B %P"


@command.command("resolve", short_help="Merge both sides of a conflict, entry by entry.")
@click.option("--ours", is_flag=True, help="Where choices differ, take ours.")
@click.option("--theirs", is_flag=True, help="Where choices differ, take theirs.")
@click.option("--driver", nargs=4, metavar="BASE OURS THEIRS PATH", help="Run as git's merge driver: %O %A %B %P.")
def resolve(ours: bool, theirs: bool, driver: tuple[str, str, str, str] | None) -> int:
    """Merge both sides of a conflicted lockfile, entry by entry.

    What only one side changed is taken; where both did, the record whose key the merged manifest wants is kept. Picks,
    approvals and rejections of both sides are kept. Where they differ, you are asked at a terminal; elsewhere pass
    --ours or --theirs (else exit 2 names the entries). Pictures of the side that loses stay in the cache.

    \b
    Examples:
      git merge main; qwenbuild lock resolve && git add qwenbuild.lock
      qwenbuild lock resolve --theirs
    """
    if ours and theirs:
        raise click.UsageError("--ours and --theirs exclude each other.")
    side = "ours" if ours else "theirs" if theirs else ""
    return _as_driver(driver, side) if driver else _by_hand(side)


def _by_hand(side: str) -> int:
    call = current()
    source = manifest.find(call.folder, call.file)
    path = lockfile.path_of(source)
    raw = _read(path)
    if not any(marker in raw for marker in lockfile.CONFLICT):
        entries = lockfile.parse(raw, path)
        console.result([f"{path.name} holds no conflict ({words.count(len(entries), 'entry', 'entries')})."])
        return 0
    sides = lockmerge.sides_of(path, raw)
    base, our, other = _parsed(sides.base, path), lockfile.document(sides.ours, path), lockfile.document(sides.theirs, path)
    manifest_keys = merge.wanted_keys(opt.walk(), (our.entries, other.entries))
    merged = merge.merge(None if base is None else base.entries, our.entries, other.entries, manifest_keys, _answering(side))
    _refuse_open(merged.open)
    atlases = merge.merge_atlases(None if base is None else base.atlases, our.atlases, other.atlases)
    lockfile.replace_text(path, path.parent / ".qwenbuild", layout.text(merged.entries, source.name, atlases))
    _tell(merged, our.entries, other.entries, path.name)
    return 0


def _tell(merged: Merged, our: Entries, other: Entries, name: str) -> None:
    for id in merged.both:
        side = "ours" if merged.entries[id].key == our[id].key else "theirs"
        noted = "" if merged.entries[id].note in (our[id].note, other[id].note) else "; the notes of both are kept"
        console.result([f"both changed  {escape.visible(id)}: {side} is taken ({merged.entries[id].digest[:12]}){noted}"])
    entries = words.count(len(merged.entries), "entry", "entries")
    console.result([f"{name}: {entries}. Now: git add {name}, then qwenbuild plan."])


def _parsed(raw: bytes | None, path: Path) -> Lock | None:
    """What both sides began from: an empty one where they began from nothing, None where it is not known."""
    return None if raw is None else lockfile.document(raw, path) if raw.strip() else lockfile.Lock()


def _answering(side: str) -> Callable[[Question], str]:
    """Who answers: the option, else a person at a terminal, else nobody."""

    def ask(question: Question) -> str:
        sys.stderr.write(f"{escape.visible(question.id)}: [o]urs {question.ours}, or [t]heirs {question.theirs}? ")
        sys.stderr.flush()
        return {"o": "ours", "ours": "ours", "t": "theirs", "theirs": "theirs"}.get(sys.stdin.readline().strip().lower(), "")

    if side:
        return lambda question: side
    return ask if show.may_ask(as_json=False) else lambda question: ""


def _refuse_open(questions: Sequence[Question]) -> None:
    hint = "pass --ours or --theirs, or run it at a terminal"
    problems = tuple(
        Problem("choices-differ", f"{q.id}: our side {q.ours}, their side {q.theirs}", hint=hint) for q in questions
    )
    if problems:
        raise InputError(problems[0].message, code="choices-differ", problems=problems)


# ---------------------------------------------------------------- git's merge driver


def _as_driver(names: tuple[str, str, str, str], side: str) -> int:
    """Merge into the file OURS, as git asks: 0 when nothing is left open, else 1 with markers around what is.

    The manifest is not asked: git may not have merged it yet. What hangs on it stays open, for `lock resolve`.
    """
    base_path, our_path, their_path = (Path(name) for name in names[:3])
    lock_path = Path(names[3])
    name = lockfile.manifest_of(_read(our_path)) or lock_path.with_suffix(".yaml").name
    base = _parsed(_read(base_path), lock_path) or lockfile.Lock()
    our, other = lockfile.document(_read(our_path), lock_path), lockfile.document(_read(their_path), lock_path)
    merged = merge.merge(base.entries, our.entries, other.entries, None, lambda question: side)
    atlases = merge.merge_atlases(base.atlases, our.atlases, other.atlases)
    clashes = {question.id for question in merged.open}
    if not side:
        sides = (base.entries, our.entries, other.entries)
        clashes |= {id for id in merged.both if _hangs_on_the_manifest(*(entries.get(id) for entries in sides))}
    our_path.write_bytes(layout.text(merged.entries, name, atlases))
    if not clashes:
        return 0
    texts = [
        layout.text({**merged.entries, **{id: lock.entries[id] for id in clashes if id in lock.entries}}, name, atlases)
        for lock in (our, base, other)
    ]
    our_path.write_bytes(lockmerge.marked(*texts))
    console.problem_text(
        f"{lock_path}: both sides changed {', '.join(sorted(clashes)[:5])}; `qwenbuild lock resolve` resolves it"
    )
    return 1


def _hangs_on_the_manifest(base: LockEntry | None, our: LockEntry | None, other: LockEntry | None) -> bool:
    """Whether both sides made another picture: which of them is wanted, only the merged manifest says."""
    keys = [record.key for record in (our, other) if record is not None]
    return len(set(keys)) > 1 and (base is None or base.key not in keys)


@command.command("install-driver", short_help="Let git merge lockfiles automatically.")
def install_driver() -> int:
    """Register `lock resolve` as git's merge driver for lockfiles: one line in .gitattributes (commit it), and two settings of
    this clone. Every clone needs the settings once.

    \b
    Examples:
      qwenbuild lock install-driver && git add .gitattributes
    """
    folder = current().folder
    settings = {"merge.qwenbuild.name": "qwenbuild's lockfile", "merge.qwenbuild.driver": DRIVER}
    for name, value in settings.items():
        done = lockmerge.git(folder, "config", "--local", name, value)
        if done is None or done.returncode != 0:
            raise InputError(f"{folder.absolute()} is not in a git repository", code="no-repository")
    path = folder / ".gitattributes"
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    pattern = f"{_lock_name()} merge=qwenbuild"
    if pattern not in text.splitlines():
        path.write_text(f"{text}{'' if text.endswith(chr(10)) or not text else chr(10)}{pattern}\n", encoding="utf-8")
    console.result([f"wrote    {path.name}: {pattern}", "git's settings of this clone: merge.qwenbuild.driver"])
    return 0


def _lock_name() -> str:
    call = current()
    return lockfile.path_of(manifest.find(call.folder, call.file)).name


def _read(path: Path) -> bytes:
    try:
        if path.exists() and not path.is_file():
            raise InputError(f"{path} is not a file", code="lockfile-unreadable")
        with path.open("rb") as file:
            data = file.read(lockfile.SIZE_LIMIT_BYTES + 1)
        if len(data) > lockfile.SIZE_LIMIT_BYTES:
            raise InputError(f"{path} is too large for a lockfile", code="lockfile-too-large")
        return lockfile.without_mark(data)
    except FileNotFoundError as error:
        raise InputError(f"there is no lockfile {path}", code="no-lockfile") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}", code="lockfile-unreadable") from error
