"""Hold a credential so that it cannot be printed by accident, and take credentials out of any text.

Knows no provider and no file; the value leaves only through `reveal`, just before a request is sent.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any

MASK = "***"
_known: set[str] = set()

PATTERNS = (
    (re.compile(r"\b(?:sk|afk)[-_][A-Za-z0-9_\-]{6,}"), MASK),
    (re.compile(r"(?i)\bbearer\s+[A-Za-z0-9._~+/=\-]{6,}"), f"Bearer {MASK}"),
    (re.compile(r"\bKey\s+(?=\S*\d)[A-Za-z0-9._:\-]{16,}"), f"Key {MASK}"),
    (re.compile(r"(?i)\b(x-api-key|authorization)(['\"]?\s*[:=]\s*['\"]?)(?!Bearer )[^\s'\",}]+"), rf"\1\2{MASK}"),
    (re.compile(r"(https?://[^\s\"'<>?]+)\?[^\s\"'<>]+"), rf"\1?{MASK}"),
    (re.compile(r"(?i)\b(signature|ossaccesskeyid|x-amz-[a-z-]+)=[^&\s\"'<>]+"), rf"\1={MASK}"),
)


class Secret:
    """A credential. Printing, formatting, pickling and copying it give `***`."""

    __slots__ = ("__value",)

    def __init__(self, value: str) -> None:
        self.__value = value
        if len(value) >= 4:
            _known.add(value)

    def reveal(self) -> str:
        """The value itself: for a request's header and nothing else."""
        return self.__value

    def digest(self, salt: str) -> str:
        """A digest that tells two credentials apart and gives neither away, 24 hex digits."""
        return hashlib.sha256(f"{salt}\0{self.__value}".encode()).hexdigest()[:24]

    def __bool__(self) -> bool:
        return bool(self.__value)

    def __repr__(self) -> str:
        return MASK

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return MASK

    def __reduce__(self) -> tuple[Any, ...]:
        return str, (MASK,)


def without_keys(text: str) -> str:
    """The text without the values of known keys: for words of a server that are kept as they came."""
    for value in sorted(_known, key=len, reverse=True):
        text = text.replace(value, MASK)
    return text


def redact(text: str) -> str:
    """The text without credentials: known key values, what looks like a key, and the query of any address."""
    text = without_keys(text)
    for pattern, instead in PATTERNS:
        text = pattern.sub(instead, text)
    return text


def vendor_words(text: object, limit: int = 400) -> str:
    """What a server said, fit to be shown: one line, no control characters, no credential, at most `limit` characters."""
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in str(text)).split())
    line = redact(line)
    return line if len(line) <= limit else line[: limit - 1] + "…"
