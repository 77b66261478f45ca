"""What an asset could expect of its pictures by its own prompt: the words in quotation marks, which the picture is to show.

Knows no picture; nothing is changed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from qwenbuild.model import Asset
from qwenbuild.planning.loading import Loaded

_MARKS = (('"', '"'), ("“", "”"), ("„", "“"), ("„", "”"), ("«", "»"), ("「", "」"), ("『", "』"))
_QUOTED = re.compile("|".join(f"{first}([^{first}{last}\n]{{1,80}}){last}" for first, last in _MARKS))
_TAG = re.compile(r"\{%.*?%\}|\{#.*?#\}", re.S)


@dataclass(frozen=True, slots=True)
class Suggestion:
    """An asset, and the words that stand in quotation marks in its prompt's template."""

    asset: str
    words: tuple[str, ...]


def suggestions(loaded: Loaded) -> Iterator[Suggestion]:
    """The assets that expect no words yet, and whose prompt quotes some."""
    for asset in loaded.manifest.assets:
        words = tuple(dict.fromkeys(quoted_words(_template(loaded, asset))))
        if words and "text" not in (asset.expect or {}):
            yield Suggestion(asset.name, words)


def quoted_words(template: str) -> Iterator[str]:
    """The words in quotation marks, those of templates as they are written, such as `{{ title }}`."""
    for match in _QUOTED.finditer(_outside_braces(template)):
        words = next(group for group in match.groups() if group is not None).strip().replace("\x00", '"')
        if any(letter.isalnum() for letter in words):
            yield words


def _outside_braces(template: str) -> str:
    """The template without its tags, and with the quotation marks inside of `{{ }}` set aside: they are no words."""
    return re.sub(r"\{\{.*?\}\}", lambda found: found[0].replace('"', "\x00"), _TAG.sub("", template), flags=re.S)


def _template(loaded: Loaded, asset: Asset) -> str:
    """The text of the asset's prompt; that of a file where it names one, "" when it cannot be read as it is written."""
    if asset.prompt is not None:
        return asset.prompt
    path = loaded.manifest.folder / loaded.manifest.templates / (asset.prompt_file or "")
    try:
        return path.read_text(encoding="utf-8") if path.is_file() else ""
    except (OSError, UnicodeDecodeError):
        return ""
