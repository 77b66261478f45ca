"""Both sides of a conflicted lockfile, as git keeps them or by their markers; and git's three-way merge of what stays open.

Does not know what the entries mean.
"""

from __future__ import annotations

import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

TIMEOUT_S = 60
"""For one call of git."""


@dataclass(frozen=True, slots=True)
class Sides:
    """The bytes of both sides of a conflict, and of what they began from where that is known."""

    ours: bytes
    theirs: bytes
    base: bytes | None = None


def sides_of(path: Path, raw: bytes) -> Sides:
    """Both sides: as git keeps them while a merge is unfinished, else by the conflict markers."""
    staged = [_staged(path, number) for number in (1, 2, 3)]
    if staged[1] is not None and staged[2] is not None:
        return Sides(staged[1], staged[2], staged[0] or b"")
    return _by_markers(raw)


def _staged(path: Path, number: int) -> bytes | None:
    done = git(path.parent, "show", f":{number}:./{path.name}")
    return done.stdout if done is not None and done.returncode == 0 else None


def git(folder: Path, *args: str) -> subprocess.CompletedProcess[bytes] | None:
    """Run git in a folder; None when there is no git, or it does not answer."""
    try:
        return subprocess.run(["git", *args], cwd=folder, capture_output=True, check=False, timeout=TIMEOUT_S)
    except (OSError, subprocess.TimeoutExpired):
        return None


def _by_markers(raw: bytes) -> Sides:
    """What git wrote between its markers; lines outside belong to all sides."""
    texts: dict[str, list[bytes]] = {"ours": [], "theirs": [], "base": []}
    inside, based = "", False
    for line in raw.splitlines(keepends=True):
        if line.startswith(b"<<<<<<< "):
            inside = "ours"
        elif line.startswith(b"||||||| ") and inside:
            inside, based = "base", True
        elif line.rstrip(b"\r\n") == b"=======" and inside:
            inside = "theirs"
        elif line.startswith(b">>>>>>> ") and inside:
            inside = ""
        else:
            for name in [inside] if inside else texts:
                texts[name].append(line)
    return Sides(b"".join(texts["ours"]), b"".join(texts["theirs"]), b"".join(texts["base"]) if based else None)


def marked(ours: bytes, base: bytes, theirs: bytes) -> bytes:
    """One text with conflict markers where both sides differ. Raises OSError when git is not to be had."""
    with tempfile.TemporaryDirectory() as folder:
        names = []
        for name, content in (("ours", ours), ("base", base), ("theirs", theirs)):
            (Path(folder) / name).write_bytes(content)
            names += ["-L", name]
        done = git(Path(folder), "merge-file", "-p", "--diff3", *names, "ours", "base", "theirs")
        if done is None or not 0 <= done.returncode < 128:
            raise OSError("git merge-file does not work")
        return done.stdout
