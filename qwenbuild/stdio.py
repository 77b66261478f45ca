"""The three standard streams of the process: one that is missing is harmless, and a write that failed is not forgotten.

Does not know what is written.
"""

from __future__ import annotations

import errno
import io
import os
import stat
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TextIO

FAILED = 1
"""The exit code when everything went well, and could not be written where the user wants it."""


class Watched(io.FileIO):
    """A file that remembers the first write that failed. A reader that has gone away is no failure."""

    failure: OSError | None = None

    def write(self, data: Any, /) -> int:
        """As FileIO's. Raises OSError."""
        try:
            return super().write(data) or 0
        except OSError as error:
            if self.failure is None and not _reader_gone(self.fileno(), error):
                self.failure = error
            raise


def _reader_gone(descriptor: int, error: OSError) -> bool:
    """Whether a pipe, a socket or a terminal ended; an error of a disk, or of a device that is full, is a failure."""
    try:
        mode = os.fstat(descriptor).st_mode
    except OSError:
        return False
    pipe = stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)
    return pipe or isinstance(error, BrokenPipeError) or (stat.S_ISCHR(mode) and error.errno == errno.EIO)


def prepare() -> None:
    """Called once, before anything is opened: a closed descriptor would be given to the next file, and what is printed with
    it. Characters that a stream cannot show are written as escapes.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is this one
    sys.stdin = sys.stdin or open(os.devnull, encoding="utf-8")  # noqa: SIM115  (open until the process ends)
    sys.stdout = _watched(sys.stdout)
    sys.stderr = _watched(sys.stderr)


def _watched(stream: TextIO | None) -> TextIO:
    if stream is None:
        return open(os.devnull, "w", encoding="utf-8")
    try:
        if os.name == "nt" and stream.isatty():  # a console of Windows is no file of bytes
            return stream
        raw = Watched(stream.fileno(), "w", closefd=False)
    except (OSError, ValueError, AttributeError):
        return stream
    buffer = io.BufferedWriter(raw)
    encoding = stream.encoding or "utf-8"
    return io.TextIOWrapper(buffer, encoding, "backslashreplace", line_buffering=stream.isatty() or stream is sys.stderr)


def failure(stream: Any) -> OSError | None:
    """The first write to a standard stream that failed."""
    raw = getattr(getattr(stream, "buffer", None), "raw", None)
    return raw.failure if isinstance(raw, Watched) else None


def finish(code: int) -> int:
    """Flush both streams, and say on stderr what could not be written; the exit code, which is 1 then in place of 0."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            _to_nowhere(stream)
    out, err = failure(sys.stdout), failure(sys.stderr)
    if out is not None:
        try:
            sys.stderr.write(f"error: the output could not be written: {out.strerror or out}\n")
            sys.stderr.flush()
        except (OSError, ValueError):
            _to_nowhere(sys.stderr)
    return (code or FAILED) if out is not None or err is not None else code


def _to_nowhere(stream: Any) -> None:
    """Point a broken stream at nothing, so that the interpreter's own flush at exit stays silent."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        stream.flush()
    except (OSError, ValueError):
        return
