"""Writing lines to a stream that may have gone away: a closed pipe or terminal ends the text, never the work.

Does not know what the lines say.
"""

from __future__ import annotations

from typing import IO


class Lines:
    """Lines to a stream, flushed one by one. After the reader has gone it swallows everything."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self.gone = False

    def write(self, text: str) -> None:
        """Write `text` as it is. An OSError (EPIPE, EIO after a hang-up) or a closed stream makes it silent for good."""
        if self.gone:
            return
        try:
            self._stream.write(text)
            self._stream.flush()
        except UnicodeEncodeError:
            self.write(text.encode("ascii", "backslashreplace").decode("ascii"))
        except (OSError, ValueError):
            self.gone = True

    def line(self, text: str = "") -> None:
        """Write one line."""
        self.write(text + "\n")
