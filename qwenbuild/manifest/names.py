"""The names that the manifest knows: kinds of steps, patterns of names, and the features that are refused.

Knows no values and no files.
"""

from __future__ import annotations

import re
import unicodedata

NOT_BUILT: frozenset[str] = frozenset()
"""Keys that are read and refused with `not-built-yet`. Take a word out when its feature is there."""

STEP_KINDS = (
    "resize", "crop", "pad", "trim", "flip", "rotate", "grayscale", "blur", "quantize", "key_out", "round", "tile", "format",
)  # fmt: skip

LONGEST_NAME = 100
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]|[./](?=[A-Za-z0-9_]))*", re.ASCII)
PROVIDER_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
VARIABLE = re.compile(r"[^\W\d]\w*")
KEY_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,100}_API_KEY")
RESERVED = "asset"
"""The variable that holds the asset's name; nothing may redefine it."""


def is_asset_name(name: str) -> bool:
    """Whether `name` can begin ids and paths: letters, marks and digits of any script, `_` `-`, and `.` `/` between them."""
    if len(name) > LONGEST_NAME:
        return False
    if name.isascii():
        return _PLAIN_NAME.fullmatch(name) is not None
    plain = "".join("a" if unicodedata.category(character)[0] in "LMN" else character for character in name)
    return _PLAIN_NAME.fullmatch(plain) is not None
