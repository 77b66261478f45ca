"""Slugs: the part of a value's printed text that is safe in an id or a path, in any script.

Knows nothing of templates or entries.
"""

from __future__ import annotations

import re
import unicodedata

_ASCII_RUN = re.compile(r"[^a-z0-9]+")


LONGEST = 1000
"""Characters of a text that may name something; the longest part of a path has 200 bytes."""


class EmptySlug(ValueError):
    """A text that cannot name anything: without a letter or digit, or far too long."""


def slug(text: str) -> str:
    """NFC, lower case; letters with their marks and decimal digits stay, any other run becomes one `-`, ends trimmed.

    Raises EmptySlug when nothing is left, and for a text of more than LONGEST characters.
    """
    if len(text) > LONGEST:
        raise EmptySlug(f"a text of {len(text):,} characters is too long for a name; name the entry with `id:`")
    if text.isascii():
        name = _ASCII_RUN.sub("-", text.lower()).strip("-")
    else:
        name = "".join(_kept(unicodedata.normalize("NFC", text).lower())).strip("-")
    if not name:
        raise EmptySlug(f"{text[:40]!r} has no letter or digit to make a name of; name the entry with `id:`")
    return name


def _kept(text: str) -> list[str]:
    characters: list[str] = []
    letter = False
    for character in text:
        category = unicodedata.category(character)
        if category[0] == "L" or (letter and category[0] == "M"):
            letter = True
            characters.append(character)
            continue
        letter = False
        if category == "Nd":
            characters.append(character)
        elif not characters or characters[-1] != "-":
            characters.append("-")
    return characters
