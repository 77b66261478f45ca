"""A template's fault as a value: what is wrong, and at which line and column of which template.

Knows no manifest: whoever has the fault's template knows where it stands.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any

from qwenbuild import nearmiss
from qwenbuild.errors import InputError
from qwenbuild.expand.columns import identifier, writable
from qwenbuild.nearmiss import did_you_mean

_NOT_DEFINED = re.compile(r"'([^']+)' is not defined\Z")
_OPENING = re.compile(r"\{[{%#]")
_QUOTED = re.compile(r"'([^']+)'")
WORDS = {
    "RecursionError": "the template is nested too deeply",
    "MemoryError": "the template is nested too deeply or too large",
    "ZeroDivisionError": "a division by zero",
    "OverflowError": "a number grows too large",
    "SyntaxError": "the template is nested too deeply",
    "IndentationError": "the template is nested too deeply",
}
CODES = {
    **dict.fromkeys(("Overspent", "RecursionError", "MemoryError", "SyntaxError", "IndentationError"), "template-too-costly"),
    "TemplateNotFound": "no-such-template",
    "TemplatesNotFound": "no-such-template",
    "UndefinedError": "undefined",
    "SecurityError": "template-forbidden",
    "Unprintable": "not-printable",
    "EmptySlug": "empty-slug",
    "TemplateSyntaxError": "template-syntax",
    "TemplateAssertionError": "template-syntax",
}


WHOLE_FILE = ("data-type", "not-a-file", "unreadable")
"""Codes of what is wrong with a file as such: no line in it is to blame, but the one that names it."""


class Fault(Exception):
    """What is wrong in a template. `file` names an included template, None the text itself; places count from 1."""

    def __init__(
        self, code: str, message: str, *, line: int = 0, column: int = 0, file: str | None = None, hint: str = ""
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.line = line
        self.column = column
        self.file = file
        self.hint = hint
        self.path: tuple[str | int, ...] = ()
        self.taken: tuple[str, str] | None = None
        """The path of an output that cannot be, and the id of the entry (or name of the atlas) that wants it."""

    def again(self) -> Fault:
        """The same fault for another field that holds the same template."""
        return Fault(self.code, self.message, line=self.line, column=self.column, file=self.file, hint=self.hint)


def of_whole_file(error: InputError, relative: str) -> Fault:
    """The fault of a file that cannot be read at all, for the place that names it."""
    problem = error.problems[0]
    return Fault(problem.code, f"`{relative}`: {problem.message}", hint=problem.hint)


def closest(word: str, candidates: Iterable[str]) -> str | None:
    """The known name that was meant: the same but for capitals, blanks and signs, else the nearest; None when none is near."""
    names = [name for name in candidates if isinstance(name, str)]
    alike = _letters(word)
    same = next((name for name in names if _letters(name) == alike), None) if alike else None
    return same or next(iter(nearmiss.near(word, names)), None)


def near(word: str, candidates: Iterable[str]) -> str:
    """The hint for a word that is not known: its near miss, or nothing."""
    close = closest(word, candidates)
    return did_you_mean([close] if close else [])


def near_key(word: str, mapping: Iterable[str]) -> str:
    """The hint for a part that a mapping does not have, as a template can write it."""
    close = closest(word, mapping)
    if not close:
        return ""
    return did_you_mean([close if writable(close) else f"[{json.dumps(close, ensure_ascii=False)}]"])


def undefined(name: str, context: Mapping[str, Any], line: int, column: int) -> Fault:
    """The fault of a name that no variable has."""
    return Fault("undefined", f"`{name}` is not defined", line=line, column=column, hint=_defined(name, context))


def _defined(name: str, context: Mapping[str, Any]) -> str:
    """What could be written instead: only names that a template can write."""
    names = [each for each in context if writable(each)]
    close = closest(name, names)
    others = [each for each in context if not writable(each)]
    column = next((each for each in others if close and identifier(each) == close), None)
    if close:
        suggestion = did_you_mean([close])
        return f"{suggestion[:-1]}, the column `{column}`?" if column else suggestion
    unreached = closest(name, others)
    if unreached:
        return f"no template can write the column `{unreached}`, and its plain name is taken: rename the column"
    return f"defined here: {', '.join(sorted(names)[:12])}"


def _letters(word: str) -> str:
    return "".join(filter(str.isalnum, word)).casefold()


def fault_of(error: BaseException, source: str, sources: Mapping[str, str], context: Mapping[str, Any]) -> Fault:
    """What Python or Jinja raised, as a fault at its place. `sources` are the included templates' texts by name."""
    if isinstance(error, Fault) and error.line:
        return error
    kind = type(error).__name__
    if "integer string conversion" in str(error):
        return Fault("template-too-costly", "an integer has too many digits", line=1, column=1)
    message = WORDS.get(kind) or (str(error) or kind).split("\n")[0]
    file, line = _place(error)
    text = source if file is None else sources.get(file, "")
    unknown = _NOT_DEFINED.match(message)
    if unknown:
        fault = undefined(unknown[1], context, line, 0)
    else:
        code, hint = (error.code, error.hint) if isinstance(error, Fault) else (CODES.get(kind, "template-error"), "")
        fault = Fault(code, message, line=line, hint=hint)
    fault.file = file
    fault.column = _column(text, line, unknown or _QUOTED.search(message))
    return fault


def _place(error: BaseException) -> tuple[str | None, int]:
    line = getattr(error, "lineno", None)
    if line is not None and hasattr(error, "name"):
        return error.name, line
    place: tuple[str | None, int] = (None, 1)
    trace: TracebackType | None = error.__traceback__
    while trace is not None:
        template = trace.tb_frame.f_globals.get("__jinja_template__")
        if template is not None:
            place = template.name, template.get_corresponding_lineno(trace.tb_lineno)
        trace = trace.tb_next
    return place


def _column(text: str, line: int, word: re.Match[str] | None) -> int:
    lines = text.splitlines()
    text_line = lines[line - 1] if 0 < line <= len(lines) else ""
    opening = _OPENING.search(text_line)
    start = opening.start() if opening else 0
    if word:
        at = re.compile(rf"(?<!\w){re.escape(word[1])}(?!\w)").search(text_line, start)
        start = at.start() if at else start
    return start + 1
