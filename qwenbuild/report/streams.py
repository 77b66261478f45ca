"""Writing lines to a stream that may have gone away: a closed pipe or terminal ends the text, never the work.

Does not know what the lines say.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import IO


class Lines:
    """Lines to a stream, flushed one by one. After the reader has gone it swallows everything."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self.gone = False

    def write(self, text: str) -> None:
        """Write `text` as it is. An OSError (EPIPE, EIO after a hang-up) or a closed stream makes it silent for good."""
        self._write(text)
        if self.gone:
            return
        try:
            self._stream.flush()
        except (OSError, ValueError):
            self.gone = True

    def _write(self, text: str) -> None:
        if self.gone:
            return
        try:
            self._stream.write(text)
        except UnicodeEncodeError:
            self._stream.write(text.encode("ascii", "backslashreplace").decode("ascii"))
        except (OSError, ValueError):
            self.gone = True

    def write_all(self, texts: Iterable[str]) -> None:
        """Write many pieces and flush once."""
        for text in texts:
            if self.gone:
                return
            self._write(text)
        self.write("")

    def line(self, text: str = "") -> None:
        """Write one line."""
        self.write(text + "\n")
