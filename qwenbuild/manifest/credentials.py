"""Finds what looks like a credential in a text, and masks it.

Knows no environment: which keys really exist is not asked.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_TOKEN = re.compile(
    r"(?<![A-Za-z0-9_-])(?:(sk-|afk_)(?=[A-Za-z0-9_-]*[0-9])[A-Za-z0-9_-]{12,}|(Bearer +)[A-Za-z0-9._~+/=-]{16,})"
)
_NAMED = re.compile(
    r"""((?:api[_-]?key(?:[_-]env)?|apikey|secret|access[_-]?key|token|password|authorization)["']?\s*[:=]\s*["']?)([^\s"',}\]#]+)""",
    re.IGNORECASE,
)
_USERINFO = re.compile(r"(://)([^/\s@]+)(?=@)")
_NAME = re.compile(r"[A-Z][A-Z0-9]*(?:_[A-Z0-9]+){1,8}")

SECRET_NAME = re.compile(r"api[_-]?key|apikey|secret|access[_-]?key|token|password|authorization", re.IGNORECASE)
"""Names of settings whose value would be a credential."""


def credentials(text: str) -> Iterator[int]:
    """Where in `text` something stands that looks like a provider's key, as offsets."""
    return (match.start() for match in _TOKEN.finditer(text))


def looks_secret(text: str) -> bool:
    """Whether `text` holds something that looks like a provider's key."""
    return _TOKEN.search(text) is not None


def masked(line: str) -> str:
    """`line` with credentials as asterisks of the same length, so that a caret below it still points right."""
    line = _TOKEN.sub(lambda match: _stars(match.group(1) or match.group(2), match.group()), line)
    line = _USERINFO.sub(lambda match: match.group(1) + "*" * len(match.group(2)), line)
    return _NAMED.sub(lambda match: match.group(1) + masked_value(match.group(2)), line)


def _stars(visible: str, whole: str) -> str:
    return visible + "*" * (len(whole) - len(visible))


def masked_value(text: str) -> str:
    """What stands under a name such as `api_key`: a variable's name and a template may be shown, nothing else."""
    harmless = len(text) <= 60 and _NAME.fullmatch(text)
    return text if harmless or text.startswith(("{", "*")) else "*" * len(text)
