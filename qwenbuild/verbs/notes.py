"""What a person writes to an entry: a text in its lock record, committed and merged with the choices.

Knows no page. A note decides nothing: no key, no verdict and no file comes from it.
"""

from __future__ import annotations

import unicodedata
from dataclasses import replace

from qwenbuild.project.options import Options
from qwenbuild.verbs.choices import Choice, one, problem, record_of, write

NOTE_LENGTH_MAX = 4000
"""Characters of one note."""


def note(options: Options, entry: str, text: str) -> Choice:
    """Set an entry's note; an empty text takes it away.

    Raises InputError when it is too long, or when the entry has no lock record yet that could hold it.
    """
    note = clean(text)
    if len(note) > NOTE_LENGTH_MAX:
        raise problem("note-too-long", f"the note has {len(note):,} characters; {NOTE_LENGTH_MAX:,} is the most")
    planned, step = one(options, entry)
    old = record_of(planned, step)
    if not old.key:
        message = f"nothing is made yet of {step.id}, so there is no lock record to hold a note; it was not saved"
        raise problem("not-made", message, "`qwenbuild build` makes it")
    write(planned, {step.id: lambda now: replace(now, note=note)})
    if note == old.note:
        return Choice(step.id, "the note already says that" if note else "there was no note", False)
    return Choice(step.id, "note saved" if note else "note removed")


def clean(text: str) -> str:
    """The text with `\\n` for every kind of line end, and without what acts on a terminal or cannot be written as UTF-8."""
    lines = "\n".join(text.splitlines())
    return "".join(sign for sign in lines if sign in "\n\t" or unicodedata.category(sign) not in ("Cc", "Cs")).strip()
