"""Reads a scalar as YAML 1.2's core schema does, and tells a template from plain text.

Knows neither YAML's syntax nor which type is due where.
"""

from __future__ import annotations

import re

Scalar = str | int | float | bool | None

LONGEST_INTEGER = 19
"""Digits of the longest integer that is read as one: what fits into 64 bits."""

_WORDS: dict[str, Scalar] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), float("inf")),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), float("-inf")),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
}
_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]*)", re.ASCII)
_OCTAL = re.compile(r"0o[0-7]+")
_HEXADECIMAL = re.compile(r"0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", re.ASCII)
_FIRST = frozenset("0123456789+-.~tTfFnN")
_TEMPLATE = re.compile(r"\{[{%#]")


def scalar(text: str) -> Scalar:
    """What `text` means as an unquoted YAML 1.2 core scalar.

    Numbers with leading zeros (`017`), times, ratios, dates and `no` stay text, so that nothing is read as
    another thing than it looks like. An integer of more than 19 digits stays text, too.
    """
    if not text:
        return None
    if text[0] not in _FIRST:
        return text
    if text in _WORDS:
        return _WORDS[text]
    return _number(text)


def _number(text: str) -> str | int | float:
    if _INTEGER.fullmatch(text):
        return int(text) if len(text) <= LONGEST_INTEGER else text
    if _OCTAL.fullmatch(text) and len(text) <= LONGEST_INTEGER:
        return int(text[2:], 8)
    if _HEXADECIMAL.fullmatch(text) and len(text) <= LONGEST_INTEGER:
        return int(text[2:], 16)
    if len(text) <= 400 and _FLOAT.fullmatch(text):
        return float(text)
    return text


def is_template(text: str) -> bool:
    """Whether `text` holds anything that Jinja would act on."""
    return "{" in text and _TEMPLATE.search(text) is not None
