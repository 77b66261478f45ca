"""What people wrote to entries: `<stem>.notes.json` beside the lockfile, one note a line, made to be committed.

Knows no plan. Notes are no part of the lockfile: they decide nothing, and no build reads them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

from qwenbuild import lockfile
from qwenbuild.build.loading import Options, load
from qwenbuild.errors import InputError, Mark, Problem

VERSION = 1
LONGEST = 4000
"""Characters of one note."""


def path_of(lock_path: Path) -> Path:
    """`<stem>.notes.json` beside the lockfile."""
    return lock_path.with_name(lock_path.stem + ".notes.json")


def read(path: Path) -> dict[str, str]:
    """Entry id to note; nothing where there is no file. Raises InputError when it cannot be read as notes."""
    try:
        found = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise _bad(path, str(error)) from error
    notes = found.get("notes") if isinstance(found, dict) and found.get("version") == VERSION else None
    if not isinstance(notes, dict) or not all(isinstance(text, str) for text in notes.values()):
        raise _bad(path, f"expected version {VERSION} and `notes`, an object of texts")
    return notes


def note(options: Options, id: str, text: str) -> bool:
    """Set an entry's note; False when the text is empty and the note gone. Raises InputError, OSError."""
    loaded = load(options)
    if id not in {entry.id for entry in loaded.entries}:
        raise InputError(f"there is no entry {id!r}", code="unknown-entry")
    write(path_of(loaded.lock_path), loaded.state, id, text)
    return bool(text.strip())


def write(path: Path, state: Path, id: str, text: str) -> None:
    """Set the note of one entry, or take it away with an empty text. Raises InputError, OSError."""
    if len(text) > LONGEST:
        raise InputError(f"the note has {len(text)} characters; {LONGEST} is the most", code="note-too-long")
    with lockfile.locked(path, state):
        notes = read(path)
        if text.strip():
            notes[id] = text.strip()
        else:
            notes.pop(id, None)
        _replace(path, notes)


def _replace(path: Path, notes: Mapping[str, str]) -> None:
    if not notes:
        path.unlink(missing_ok=True)
        return
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    document = {"notes": dict(notes), "version": VERSION}
    try:
        temporary.write_text(json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _bad(path: Path, said: str) -> InputError:
    message = f"the notes cannot be read: {said}"
    return InputError(message, code="notes-invalid", problems=(Problem("notes-invalid", message, Mark(path.name, 1, 1)),))
