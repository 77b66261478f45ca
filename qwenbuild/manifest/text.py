"""Reads a file of the user's as text, within a size, and tells lines and columns of offsets in it.

Knows neither YAML nor what the text means.
"""

from __future__ import annotations

import os
import re
from bisect import bisect_right
from pathlib import Path

from qwenbuild.errors import InputError, Mark, Problem
from qwenbuild.lfs import pointer_oid
from qwenbuild.manifest.credentials import masked

LONGEST_SNIPPET = 2_000
"""A line is shown with a problem when the caret stands within this many characters."""

_BREAK = re.compile(r"\r\n|\r|\n")
_FORBIDDEN = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x80-\x84\x86-\x9f\ufffe\uffff]")
_OTHER_UNICODE = {b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16", b"\x00\x00": "UTF-32"}


class Text:
    """The characters of one file, and where its lines begin. `shown` is the file's name as the user gave it."""

    def __init__(self, shown: str, characters: str) -> None:
        self.shown = shown
        self.characters = characters
        self._starts: list[int] | None = None

    def mark(self, offset: int) -> Mark:
        """The line and column of a character."""
        starts = self._line_starts()
        line = bisect_right(starts, offset)
        return Mark(self.shown, line, offset - starts[line - 1] + 1)

    def start(self, line: int) -> int:
        """The offset at which a line (from 1) begins."""
        return self._line_starts()[line - 1]

    def snippet(self, mark: Mark) -> str:
        """The line of `mark`, credentials masked; empty where it is too long to be shown."""
        starts = self._line_starts()
        if not 1 <= mark.line <= len(starts) or mark.column > LONGEST_SNIPPET:
            return ""
        start = starts[mark.line - 1]
        end = starts[mark.line] if mark.line < len(starts) else len(self.characters)
        line = self.characters[start : min(end, start + 2 * LONGEST_SNIPPET)].rstrip("\r\n")
        return masked(line)

    def problem(self, code: str, message: str, offset: int, *, hint: str = "") -> Problem:
        """A Problem at a character."""
        mark = self.mark(offset)
        return Problem(code, message, mark, snippet=self.snippet(mark), hint=hint)

    def error(self, code: str, message: str, offset: int, *, hint: str = "") -> InputError:
        """The error that ends the reading at a character."""
        return stop(self.problem(code, message, offset, hint=hint))

    def _line_starts(self) -> list[int]:
        if self._starts is None:
            self._starts = [0, *(match.end() for match in _BREAK.finditer(self.characters))]
        return self._starts


def stop(problem: Problem) -> InputError:
    """The error of a single Problem."""
    where = f"{problem.mark}: " if problem.mark else ""
    return InputError(f"{where}{problem.message}", code=problem.code, problems=(problem,))


def read(path: Path, shown: str, limit: int) -> Text:
    """The text of a UTF-8 file of at most `limit` bytes, a byte order mark removed.

    Raises InputError when it cannot be read, is too large, or holds bytes that are not text.
    """
    data = _bytes(path, shown, limit)
    if pointer_oid(data):
        raise _whole(shown, "lfs-pointer", "this is a git-LFS pointer and not the file itself", "`git lfs pull` fetches it")
    if data[:2] in _OTHER_UNICODE:
        raise _whole(shown, "encoding", f"the file is {_OTHER_UNICODE[data[:2]]}, not UTF-8", "save it as UTF-8")
    text = Text(shown, _decode(data, shown))
    bad = _FORBIDDEN.search(text.characters)
    if bad:
        code = ord(bad.group())
        raise text.error("control-character", f"a control character (U+{code:04X}) that no text file holds", bad.start())
    return text


def _bytes(path: Path, shown: str, limit: int) -> bytes:
    try:
        if path.exists() and not path.is_file():
            raise _whole(shown, "not-a-file", "this is not a file", "name the file itself")
        with path.open("rb") as file:
            too_large = os.fstat(file.fileno()).st_size > limit
            data = b"" if too_large else file.read(limit + 1)
    except FileNotFoundError:
        raise _whole(shown, "no-such-file", "there is no such file", "") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise _whole(shown, "unreadable", f"the file cannot be read: {reason}", "") from error
    if too_large or len(data) > limit:
        raise _whole(shown, "too-large", f"the file is larger than {_size(limit)}", "make it smaller, or split it")
    return data


def _size(limit: int) -> str:
    return f"{limit // 1_000_000} MB" if limit >= 1_000_000 else f"{limit // 1_000} kB"


def _decode(data: bytes, shown: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = Text(shown, data[: error.start].decode("utf-8-sig"))
        mark = before.mark(len(before.characters))
        message = f"byte 0x{data[error.start]:02x} is not UTF-8"
        raise stop(Problem("encoding", message, mark, hint="save the file as UTF-8")) from None


def _whole(shown: str, code: str, message: str, hint: str) -> InputError:
    return stop(Problem(code, message, Mark(shown, 1, 1), hint=hint))
