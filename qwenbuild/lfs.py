"""Recognise a git-LFS pointer: the few lines that stand in a checkout for a file that was not fetched.

Knows no folder, and nothing of who wants the file.
"""

from __future__ import annotations

import re
from typing import Final

POINTER_BYTES_MAX: Final = 1023
"""Bytes: the specification says that a pointer is smaller than 1024."""
POINTER: Final = "pointer"
"""Reason of a file: a pointer to the very bytes that are wanted."""
OTHER_POINTER: Final = "pointer-other"
"""Reason of a file: a pointer to other bytes, which is left alone as a file that a person changed is."""

_POINTER = re.compile(
    rb"version https://git-lfs\.github\.com/spec/v1\r?\n"
    rb"(?:ext-\d-[^\n]*\n)*"
    rb"oid sha256:([0-9a-f]{64})\r?\n"
    rb"size \d{1,20}(?:\r?\n)?"
)


def pointer_oid(data: bytes) -> str:
    """The SHA-256 of the file that a pointer stands for, in hex; "" for anything that is no pointer."""
    if len(data) > POINTER_BYTES_MAX:
        return ""
    match = _POINTER.fullmatch(data)
    return match[1].decode() if match else ""


def not_fetched(name: str) -> str:
    """What to say of a file to be read that is only a pointer."""
    return f"`{name}` is a git-LFS pointer and not the file itself; `git lfs pull` fetches it"


NOT_FETCHED: Final = "a git-LFS pointer stands there, and its bytes are not in the cache; `git lfs pull` fetches the file"
"""What to say of a file to be written that is only a pointer."""
