"""The answer of `build` and `status` where there is nothing to do, from the remembered state alone, before anything else is
imported.

Knows no manifest's content. Whatever is not exactly as it was is left to the walk.
"""

from __future__ import annotations

import os
import sys

from qwenbuild.snapshot.statefile import Snapshot, proven

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TextIO

NAMES = ("qwenbuild.yaml", "qwenbuild.yml")


QUIET = ("-q", "--quiet")
HARMLESS = {
    "build": frozenset({*QUIET, "--locked", "--offline", "--yes", "--fail-fast"}),
    "status": frozenset({*QUIET, "--check", "--offline"}),
}
"""Options under which "nothing to do" is still the whole answer of a command."""


LOUD = frozenset(
    "QWENBUILD_" + name
    for name in ["DIRECTORY", "FILE", "QUIET", "VERBOSE", "COLOR", "JSON", "DRY_RUN", "LOCKED", "FORMAT", "JUNIT"]
)
"""Variables that stand for options which the quick answer does not know."""


def answer(args: list[str]) -> int | None:
    """The exit code of a command that has nothing to do, its words printed; None when the walk must look."""
    request = _asked(args)
    if request is None:
        return None
    verb, folder_arg, name, quiet = request
    folder = folder_arg if folder_arg or name else above()
    manifest = manifest_of(folder, name)
    if manifest is None:
        return None
    state = proven(manifest)
    if state is None or ("--locked" in args and not state.says("locked")) or (verb == "status" and not state.says("plain")):
        return None
    if folder != folder_arg and not quiet:
        _line(sys.stderr, "", "", took(folder))
    _say(state, verb, quiet=quiet)
    return 0


def _asked(args: list[str]) -> tuple[str, str, str, bool] | None:
    """Command, folder, manifest's name and quietness of a plain call; None for anything else."""
    folder, name, quiet, verb = "", "", False, ""
    words = iter(args)
    for word in words:
        if word in HARMLESS and not verb:
            verb = word
        elif word in ("-C", "--directory", "-f", "--file"):
            value = next(words, "")
            if not value:
                return None
            folder, name = (value, name) if word in ("-C", "--directory") else (folder, value)
        elif word in HARMLESS.get(verb, QUIET):
            quiet = quiet or word in QUIET
        else:
            return None
    if not verb or any(variable in os.environ for variable in LOUD):
        return None
    return verb, folder, name, quiet


def manifest_of(folder: str, name: str) -> str | None:
    """The manifest that `-C` and `-f` name; None when there is none, or two."""
    if name:
        return os.path.join(folder, name)
    existing = [os.path.join(folder, file_name) for file_name in NAMES if os.path.lexists(os.path.join(folder, file_name))]
    return existing[0] if len(existing) == 1 else None


def above() -> str:
    """The nearest folder above this one that has a manifest, such as `../..`; "" when this one has, or none above has.

    One that belongs to somebody else is none: its prompts would be paid for with this user's keys.
    """
    folder, whole = "", os.getcwd()
    while not _has_manifest(folder):
        parent = os.path.dirname(whole)
        if parent == whole:
            return ""
        folder, whole = os.path.join(folder, os.pardir) if folder else os.pardir, parent
    return folder if not folder or _is_own(folder) else ""


def took(folder: str) -> str:
    """The words for a manifest that was found above."""
    return f"The manifest of {os.path.abspath(folder)} is used, as there is none here."


def _has_manifest(folder: str) -> bool:
    return any(os.path.lexists(os.path.join(folder, name)) for name in NAMES)


def _is_own(folder: str) -> bool:
    """Whether folder and manifest are this user's; always where the system does not tell."""
    if not hasattr(os, "geteuid"):
        return True
    try:
        paths = [folder, *(path for name in NAMES if os.path.lexists(path := os.path.join(folder, name)))]
        return all(os.stat(path).st_uid == os.geteuid() for path in paths)
    except OSError:
        return False


def _say(state: Snapshot, verb: str, *, quiet: bool) -> None:
    """What the walk would say: the notices of the build that found nothing to do, and the last line."""
    notices = [] if quiet else state.values["notices"].split("\r")
    for notice in notices:
        if notice:
            _line(sys.stderr, "note: ", "33", notice)
    more = int(state.values["more"])
    if more and not quiet:
        _line(sys.stderr, "", "", f"note: and {more:,} more (-v shows them)")
    count = int(state.values["entries"])
    entries, are = (f"{count:,} entry", "is") if count == 1 else (f"{count:,} entries", "are")
    last = f"Nothing to do: {entries} {are} fresh." if verb == "build" else f"Up to date: {entries}."
    _line(sys.stdout, last, "1", "")


def _line(stream: TextIO | None, head: str, code: str, rest: str) -> None:
    """A line, its head coloured for a person's terminal. A reader that has gone away is no error."""
    if stream is None:
        return
    try:
        plain = not code or bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb" or not stream.isatty()
        stream.write(f"{head}{rest}\n" if plain else f"\x1b[{code}m{head}\x1b[0m{rest}\n")
        stream.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    except ValueError:
        return
