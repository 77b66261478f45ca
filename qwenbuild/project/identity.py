"""By what the journal knows a project: its lockfile's path when it first bought, kept in the project so that it moves along.

Knows no attempt; a project that never bought, or whose note was deleted, goes by the path where it stands.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from qwenbuild import files
from qwenbuild.errors import CacheError

NAME = "projects.json"
VERSION = 1
IDENTITY_BYTES_MAX = 1 << 20
"""Bytes; a longer file is not read."""


def project_of(state: Path, lock_path: Path) -> str:
    """The journal's name of the project with this lockfile; `state` is its own folder. Raises CacheError, OSError."""
    return _names(state / NAME).get(_relative(state, lock_path), str(lock_path))


def note_project(state: Path, lock_path: Path) -> None:
    """Write the project's name down where it is not yet: before the first purchase. Raises CacheError."""
    names, place = _names(state / NAME), _relative(state, lock_path)
    if place in names:
        return
    record = {"v": VERSION, "projects": {**names, place: str(lock_path)}}
    try:
        state.mkdir(parents=True, exist_ok=True)
        files.replace(state / NAME, (json.dumps(record, indent=2, sort_keys=True) + "\n").encode())
    except OSError as error:
        raise CacheError(f"{state / NAME} cannot be written ({error}); nothing was sent", code="project-not-written") from error


def _relative(state: Path, lock_path: Path) -> str:
    """The lockfile's path from the manifest's folder: the same wherever both were moved to."""
    try:
        return Path(os.path.relpath(lock_path, os.path.realpath(state.parent))).as_posix()
    except ValueError:  # pragma: no cover - another drive of Windows
        return lock_path.as_posix()


def _names(path: Path) -> dict[str, str]:
    """Lockfile to name. What is there and cannot be read is no new project: its open requests would be lost sight of."""
    try:
        with open(path, "rb") as file:
            data = file.read(IDENTITY_BYTES_MAX)
    except FileNotFoundError:
        return {}
    try:
        record = json.loads(data)
        version, names = record["v"], record["projects"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise CacheError(_words(path, f"cannot be read ({error})"), code="project-unreadable") from None
    if type(version) is int and version > VERSION:
        raise CacheError(f"{path} was made by a newer qwenbuild (version {version}); update qwenbuild", code="project-newer")
    if version != VERSION or not isinstance(names, dict) or not all(isinstance(name, str) for name in names.values()):
        raise CacheError(_words(path, "is not as this program writes it"), code="project-unreadable")
    return names


def _words(path: Path, why: str) -> str:
    return (
        f"{path} {why}: it says by what name the journal knows this project, and its open requests. If the project was "
        "never moved, delete that file"
    )
