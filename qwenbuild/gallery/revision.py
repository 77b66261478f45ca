"""What git holds of an earlier revision: the lockfile as it was, and files that its output tree had.

Knows git's command line only; nothing is checked out and nothing is written.
"""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from qwenbuild.errors import InputError, Problem
from qwenbuild.lock import lockfile
from qwenbuild.model import LockEntry

TIMEOUT_S = 30
"""The longest that one call of git may take."""


@dataclass(frozen=True, slots=True)
class Before:
    """An earlier revision: its name as asked, its commit, and what its lockfile said. `exists`: whether it had one."""

    name: str
    commit: str
    entries: Mapping[str, LockEntry] = field(default_factory=dict)
    exists: bool = True


def lock_at(lock_path: Path, revision: str) -> Before:
    """The lockfile as `revision` had it; no entries when it had none.

    Raises InputError for a revision that git does not know, and for a lockfile that cannot be read.
    """
    folder = lock_path.parent
    resolved = _git(folder, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    if resolved is None:
        message = f"git knows no revision {revision!r} here"
        raise InputError(
            message, code="unknown-revision", problems=(Problem("unknown-revision", message, hint="such as main or HEAD~1"),)
        )
    commit = resolved.decode("ascii", "replace").strip()
    raw = _git(folder, "show", f"{commit}:./{lock_path.name}")
    if raw is None:
        return Before(revision, commit, {}, False)
    return Before(revision, commit, lockfile.parse(raw, Path(f"{revision}:{lock_path.name}")))


def lock_in(path: Path, name: str) -> Before:
    """What a lockfile says, as something to compare with. Raises InputError when it cannot be read."""
    return Before(name, "", lockfile.read(path).entries)


def file_at(folder: Path, commit: str, path: str, digest: str) -> bytes | None:
    """The bytes of a file (relative to `folder`) at a commit, where they are those of `digest`."""
    data = _git(folder, "show", f"{commit}:./{path}")
    return data if data is not None and hashlib.sha256(data).hexdigest() == digest else None


def _git(folder: Path, *words: str) -> bytes | None:
    """What git printed, None when it failed or is not there."""
    try:
        done = subprocess.run(["git", "-C", str(folder), *words], capture_output=True, timeout=TIMEOUT_S, check=False)
    except (OSError, ValueError, subprocess.SubprocessError):  # a NUL in a name is a ValueError
        return None
    return done.stdout if done.returncode == 0 else None
