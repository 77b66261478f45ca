"""Where the bytes of what the lockfile names still are, and what to say when that is one place only.

Knows no plan's verdicts; nothing is written and no network is touched.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

from qwenbuild.catalog import is_free
from qwenbuild.errors import Problem
from qwenbuild.planning.planner import Planned
from qwenbuild.planning.remote_pictures import address


def only_here(planned: Planned) -> Iterator[Problem]:
    """A notice when paid pictures exist on this machine alone: no shared cache, and git ignores the outputs."""
    if address(planned.manifest, os.environ) or not _ignored(planned.loaded.root):
        return
    blobs = planned.seen.facts.blobs
    lock = planned.loaded.lock.entries.values()
    count = sum(record.digest in blobs and not is_free(str(record.action.get("family"))) for record in lock)
    count += planned.fresh_assets.paid if planned.fresh_assets else 0
    if count:
        pictures = "1 paid picture is" if count == 1 else f"{count:,} paid pictures are"
        message = f"{pictures} only in this machine's cache"
        hint = "name a shared cache as `remote:`, or commit the outputs"
        yield Problem("only-here", message, hint=hint)


def only_in_tree(planned: Planned) -> Iterator[Problem]:
    """A notice when the vault lacks pictures whose bytes only files of the tree still have."""
    facts = planned.seen.facts
    tree_digests = set(facts.files.values())
    lost = [record.digest for record in facts.lock.values() if record.digest not in facts.blobs]
    count = sum(digest in tree_digests or digest in facts.untouched.files for digest in lost)
    if count:
        pictures = "1 picture is" if count == 1 else f"{count:,} pictures are"
        yield Problem("only-in-tree", f"{pictures} only in the output tree, not in this machine's cache")


def _ignored(root: Path) -> bool:
    """Whether git would leave files of this folder out of a commit; False where there is no git to ask."""
    if not any((folder / ".git").exists() for folder in root.absolute().parents):
        return False
    command = ["git", "-C", str(root.absolute().parent), "check-ignore", "-q", f"{root.name}/picture.png"]
    try:
        return subprocess.run(command, capture_output=True, timeout=5, check=False).returncode == 0
    except (OSError, subprocess.SubprocessError):
        return False
