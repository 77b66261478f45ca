"""Wrap a record into bytes that carry their own SHA-256, and open them again.

Knows no record's meaning; a record that does not open is broken, whatever broke it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

_HEAD = b'{"record":'
_MIDDLE = b',"sha256":"'
_TAIL = b'"}'
_AFTER = len(_MIDDLE) + 64 + len(_TAIL)


class BrokenSeal(ValueError):
    """The bytes are not a sealed record, or not the one that was sealed."""


class NewerRecord(BrokenSeal):
    """The record is whole, and of a version that this program does not know."""


def check_version(record: Mapping[str, Any], version: int) -> None:
    """Raise NewerRecord for a record of a later version, BrokenSeal for one of no version that ever was."""
    number = record.get("v")
    if type(number) is int and number > version:
        raise NewerRecord(f"made by a newer qwenbuild (version {number})")
    if type(number) is not int or number != version:
        raise BrokenSeal(f"not of version {version}")


def sha256(data: bytes) -> str:
    """The digest of bytes, 64 lower-case hex digits."""
    return hashlib.sha256(data).hexdigest()


def seal(record: Mapping[str, Any]) -> bytes:
    """Canonical JSON `{"record": …, "sha256": "<of the record's canonical JSON>"}`.

    A lone surrogate, which a provider's JSON can carry, becomes `?`: a receipt must never fail over a text.
    """
    body = json.dumps(record, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode("utf-8", "replace")
    return b"".join((_HEAD, body, _MIDDLE, sha256(body).encode(), _TAIL))


def unseal(data: bytes) -> dict[str, Any]:
    """The record that was sealed. Raises BrokenSeal when a single bit differs. A final newline is allowed."""
    data = data.rstrip(b"\n")
    body = data[len(_HEAD) : -_AFTER]
    if not data.startswith(_HEAD) or data[-_AFTER:] != _MIDDLE + sha256(body).encode() + _TAIL:
        raise BrokenSeal("truncated or altered")
    try:
        record = json.loads(body)
    except ValueError as error:
        raise BrokenSeal(str(error)) from None
    if not isinstance(record, dict):
        raise BrokenSeal("not an object")
    return record


def without_query(value: Any) -> Any:
    """The value with the query of every address cut off: a signed link is a credential."""
    if isinstance(value, str):
        return value.split("?", 1)[0] if "://" in value else value
    if isinstance(value, Mapping):
        return {name: without_query(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_query(item) for item in value]
    return value
