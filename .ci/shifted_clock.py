"""Let Python sleep under libfaketime with an untouched monotonic clock; does nothing where no FAKETIME is set.

Knows no test. Since 3.11 `time.sleep` waits until a moment of the monotonic clock, which libfaketime mistakes for one of its
own and refuses (EINVAL). `select` waits for a span. Imported by a .pth file, so that children sleep as well.
"""

import os

if "FAKETIME" in os.environ:
    import select
    import time

    def _sleep(seconds: float) -> None:
        """Wait for `seconds`. Raises ValueError when they are negative."""
        if seconds < 0:
            raise ValueError("sleep length must be non-negative")
        until = time.monotonic() + seconds
        while seconds > 0:
            select.select([], [], [], seconds)
            seconds = until - time.monotonic()

    time.sleep = _sleep  # type: ignore[assignment]
