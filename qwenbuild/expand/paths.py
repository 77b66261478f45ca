"""The one path guard: which output paths are safe and distinct on Linux, macOS and Windows alike.

Knows no file system: it judges text, so every machine gives the same answer.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from posixpath import normpath

PART_BYTES = 200
"""Longest part of a path, in bytes of UTF-8: room below the usual 255 for a temporary file's suffix."""

PATH_BYTES = 1000
"""Longest path, in bytes of UTF-8, below the shortest PATH_MAX in use (1024 on macOS)."""

FORBIDDEN = '<>:"\\|?*'
DEVICES = frozenset(
    ["con", "prn", "aux", "nul", "conin$", "conout$"]
    + [f"{port}{number}" for port in ("com", "lpt") for number in "123456789¹²³"]
)
OURS = {
    "qwenbuild.lock": "the lockfile",
    "qwenbuild.yaml": "the manifest",
    "qwenbuild.yml": "the manifest",
    ".qwenbuild": "qwenbuild's own folder",
}
CATEGORIES = {
    "Cc": "a control character",
    "Cf": "an invisible format character",
    "Cs": "half of a surrogate pair",
    "Co": "a private-use character",
    "Zl": "a line separator",
    "Zp": "a paragraph separator",
}

_WORD = r"[A-Za-z0-9_-]+(?:[. ]+[A-Za-z0-9_-]+)*"
_RESERVED = r"(?:con|prn|aux|nul|com[0-9]|lpt[0-9])[ .]*(?:\.|/|$)|qwenbuild"
_PLAIN = re.compile(rf"(?:(?!(?i:{_RESERVED})){_WORD}/)*(?!(?i:{_RESERVED})){_WORD}\Z", re.ASCII)
_SHORT_NAME = re.compile(r"(?:git|qwenbu)~[0-9]+(?:\..*)?\Z", re.ASCII | re.DOTALL)


def guard_path(text: str) -> str:
    """The path in NFC, when it is a safe relative POSIX path on every platform.

    Raises ValueError with one sentence that says what is wrong and in which part.
    """
    if len(text) <= PART_BYTES and _PLAIN.match(text):
        return text
    path = _normalised(text)
    if path.startswith("/"):
        raise ValueError(f"{_shown(path)} is absolute; a path below the output folder was expected")
    for part in path.split("/"):
        _guard_part(part, path)
    if len(path.encode()) > PATH_BYTES:
        raise ValueError(f"{_shown(path)} is {len(path.encode())} bytes long, {PATH_BYTES} are allowed")
    return path


def collision_key(path: str) -> str:
    """Equal for two paths that are one file on some platform: NFC, then case-folded, until neither changes it."""
    if path.isascii():
        lower = path.lower()
        return path if lower == path else lower  # one text for both, where there are a million
    folded = unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())
    again = unicodedata.normalize("NFC", folded.casefold())
    return again


def key_below(folder: str, path: str) -> str | None:
    """The collision key that a file has below a folder, None when it is elsewhere. Both are as the manifest wrote them."""
    above, key = collision_key(normpath(folder)), collision_key(normpath(path))
    return key.removeprefix(f"{above}/") if key.startswith(f"{above}/") else None


def parents(path: str) -> Iterator[str]:
    """The folders above `path`, nearest first."""
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path


def _normalised(text: str) -> str:
    if not text:
        raise ValueError("the path is empty")
    for character in text:
        kind = CATEGORIES.get(unicodedata.category(character))
        if kind is not None:
            raise ValueError(f"{_shown(text)} holds {kind} (U+{ord(character):04X})")
    return unicodedata.normalize("NFC", text)


def _guard_part(part: str, path: str) -> None:
    where = f"in {_shown(path)}"
    if not part:
        raise ValueError(f"a part is empty {where}")
    if part in (".", ".."):
        raise ValueError(f"the part {part!r} {where} would leave its folder")
    folded = collision_key(part)
    if folded in OURS:
        raise ValueError(f"the part {part!r} {where} is the name of {OURS[folded]}")
    if folded == ".git" or folded.startswith(".git"):
        raise ValueError(f"the part {part!r} {where} belongs to git")
    if _SHORT_NAME.match(folded):
        raise ValueError(f"the part {part!r} {where} is a short name that Windows gives to a protected file")
    _guard_spelling(part, where)
    if folded.partition(".")[0].rstrip(" ") in DEVICES:
        raise ValueError(f"the part {part!r} {where} is the name of a device on Windows")
    if len(part.encode()) > PART_BYTES:
        raise ValueError(f"the part {_shown(part)} is {len(part.encode())} bytes long, {PART_BYTES} are allowed")


def _guard_spelling(part: str, where: str) -> None:
    for character in part:
        if character in FORBIDDEN:
            raise ValueError(f"the part {part!r} {where} holds {character!r}, which Windows refuses")
    if part[0] == "." or part[-1] == ".":
        raise ValueError(f"the part {part!r} {where} begins or ends with a dot")
    if part[0].isspace() or part[-1].isspace():
        raise ValueError(f"the part {part!r} {where} begins or ends with a space")


def _shown(text: str) -> str:
    return repr(text if len(text) <= 80 else text[:77] + "…")
