"""How far a server's clock is from this machine's, by the `Date` of its answers.

Knows no API; whether an answer is the server's own is for the caller to say.
"""

from __future__ import annotations

from datetime import UTC
from email.utils import parsedate_to_datetime

from qwenbuild.transport.http import Answer


def clock_difference_s(answer: Answer, now: float) -> float | None:
    """Seconds by which the server's clock is ahead of `now`, to about a second; None when the answer does not tell.

    An answer out of a store on the way (`Age`) carries the time at which it was stored, which is no measure.
    """
    if answer.headers.get("age", "0").strip() != "0":
        return None
    try:
        moment = parsedate_to_datetime(answer.headers.get("date", ""))
    except (ValueError, TypeError, OverflowError):
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() - now
