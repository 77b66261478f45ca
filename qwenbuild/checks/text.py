"""The words that a picture must show, or must not: how they are asked for, made comparable, and found in what was read.

Knows no reader: lines of text are handed in.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from qwenbuild.checks.check import VERSION, LocalCheck, Measurement, Parameters
from qwenbuild.images.arguments import Argument, choice, decimal, read_all
from qwenbuild.later import later

with later:
    from qwenbuild.checks import scripts

SCRIPTS = ("latin", "chinese", "japanese", "cyrillic", "greek")
MATCHES = ("contains", "exact", "fuzzy")
MOST_WORDS = 50
MOST_LINES = 60
"""Lines of a picture that stand in the evidence."""
_PLAIN = str.maketrans(dict.fromkeys("‘’‚‛“”„‟«»‹›", "'") | dict.fromkeys("–—−‐‑", "-"))


@dataclass(frozen=True, slots=True)
class Line:
    """One line that was read: its text, the confidence in thousandths, and its box: left, top, width and height in pixels."""

    text: str
    confidence: int
    box: tuple[int, int, int, int]


Read = Callable[[str], Sequence[Line]]
"""The lines of the picture as a reader has them."""


def _texts(doc: str) -> Argument:
    """One text or several, kept as a JSON list."""

    def read(value: Any) -> str:
        items = [value] if isinstance(value, str | int | float) and not isinstance(value, bool) else value
        if not isinstance(items, Sequence) or len(items) > MOST_WORDS:
            raise ValueError(f"must be a text or a list of at most {MOST_WORDS} texts, got {value!r}")
        texts = [
            str(item).strip() if isinstance(item, str | int | float) and not isinstance(item, bool) else "" for item in items
        ]
        if len(texts) < len(items) or not all(any(letter.isalnum() for letter in text) for text in texts):
            raise ValueError(f"must be texts with a letter or a digit, got {value!r}")
        return json.dumps(texts, ensure_ascii=False)

    schema = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}
    return Argument(read, "[]", schema, doc)


ARGUMENTS = {
    "wanted": _texts("the texts that the picture must show"),
    "forbidden": _texts("the texts that it must not show"),
    "match": choice(MATCHES, "contains", "whether a text stands somewhere, is a whole line, or nearly stands somewhere"),
    "similarity": decimal(0, 1, "0.9", "with fuzzy: the share of letters that must be right"),
    "script": choice(("auto", *SCRIPTS), "auto", "the script that is read; auto: that of the letters"),
}


class TextCheck(LocalCheck):
    """Whether words stand in a picture. The parameters name who reads each text: a text that nobody reads is an error."""

    def read(self, value: Any) -> Parameters:
        """Every argument, the version, and the reader of each text with its version. Raises ValueError."""
        given = value if isinstance(value, Mapping) else {"wanted": value}
        arguments = read_all("expect: text", self.arguments, given)
        parameters = {**arguments, **{name: json.loads(str(arguments[name])) for name in ("wanted", "forbidden")}}
        texts = [*parameters["wanted"], *parameters["forbidden"]]
        if not texts:
            raise ValueError("needs wanted or forbidden: a text, or a list of them")
        return {VERSION: self.version, **parameters, "readers": [_reader(text, str(arguments["script"])) for text in texts]}


def _reader(text: str, script: str) -> str:
    """Who reads one text; of several scripts the one that is not Latin decides, and its reader knows Latin letters, too."""
    names = [script] if script != "auto" else list(scripts.scripts_of(text)) or ["latin"]
    readers = list(dict.fromkeys(map(scripts.reader_of, [name for name in names if name != "latin"] or ["latin"])))
    if len(readers) > 1:
        raise ValueError(f"{text!r} mixes {' and '.join(names)} letters, which no one reader knows: write them as two texts")
    return readers[0]


TEXT = TextCheck("text", "whether words stand in the picture", ARGUMENTS, main="wanted")


# ---------------------------------------------------------------- comparing


def comparable(text: str) -> str:
    """A text as it is compared: full and half width, ligatures and accents composed alike (NFKC), one kind of quotes and of
    dashes, lower case (ß is ss), no spaces and no line breaks.
    """
    plain = unicodedata.normalize("NFKC", text).translate(_PLAIN).replace('"', "'")
    folded = unicodedata.normalize("NFKC", plain.casefold())
    return "".join(letter for letter in folded if not letter.isspace() and unicodedata.category(letter) != "Cf")


def nearness(wanted: str, text: str) -> int:
    """How much of `wanted` stands in a row somewhere in `text`, in thousandths: 1000 less its edits for each of its letters."""
    if not wanted or wanted in text:
        return 1000
    above = [0] * (len(text) + 1)
    for row, letter in enumerate(wanted, 1):
        line = [row]
        for at, other in enumerate(text, 1):
            line.append(min(above[at] + 1, line[at - 1] + 1, above[at - 1] + (letter != other)))
        above = line
    return max(0, 1000 - min(above) * 1000 // len(wanted))


def judge(parameters: Parameters, read: Read) -> Measurement:
    """What stands of the wanted texts, and what of the forbidden ones, in what the readers have read."""
    wanted, forbidden = parameters["wanted"], parameters["forbidden"]
    readers = parameters["readers"]
    lines = {reader: list(read(reader)) for reader in dict.fromkeys(readers)}
    least = _least(parameters)
    shares = [_share(text, lines[reader], parameters) for text, reader in zip(wanted, readers, strict=False)]
    missing = [text for text, share in zip(wanted, shares, strict=True) if share < least]
    standing = [
        text
        for text, reader in zip(forbidden, readers[len(wanted) :], strict=True)
        if _share(text, lines[reader], {**parameters, "match": "contains"}) == 1000
    ]
    lowest = min(shares, default=1000)
    words = [
        {"text": line.text, "confidence": line.confidence, "box": list(line.box)} for part in lines.values() for line in part
    ]
    evidence = {"words": words[:MOST_LINES], "missing": missing, "forbidden": standing, "score": 0 if standing else lowest}
    return Measurement(_fault(missing, standing, words, parameters), _decimal(lowest), _decimal(least), evidence)


def _least(parameters: Parameters) -> int:
    return int(float(parameters["similarity"]) * 1000 + 0.5) if parameters["match"] == "fuzzy" else 1000


def _share(text: str, lines: Sequence[Line], parameters: Parameters) -> int:
    """How much of a text stands in the lines."""
    wanted = comparable(text)
    if parameters["match"] == "exact":
        alone = [comparable(line.text) for line in lines]
        whole = [*alone, "".join(alone)]
        return 1000 if wanted in whole else min(999, max((nearness(wanted, each) for each in whole), default=0))
    return nearness(wanted, "".join(comparable(line.text) for line in lines))


def _fault(missing: Sequence[str], standing: Sequence[str], words: Sequence[Mapping[str, Any]], parameters: Parameters) -> str:
    said = []
    if missing:
        shown = " / ".join(str(word["text"]) for word in words[:6]) or "nothing"
        how = {"contains": "read", "exact": "is a line", "fuzzy": f"read with {parameters['similarity']} of its letters right"}
        said.append(f"{_quoted(missing)} is not {how[parameters['match']]} in it; it reads: {shown}")
    if standing:
        said.append(f"it reads {_quoted(standing)}, which it must not")
    return "; ".join(said).replace("is not is a line", "is not a line")


def _quoted(texts: Sequence[str]) -> str:
    return ", ".join(f'"{text}"' for text in texts)


def _decimal(thousandths: int) -> str:
    return "1" if thousandths >= 1000 else f"0.{thousandths:03}".rstrip("0").rstrip(".") or "0"
