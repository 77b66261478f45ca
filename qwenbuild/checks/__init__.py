"""Checks: what a picture is expected to be, read before anything is drawn and judged after.

Knows no entry, no cache and no network. Pillow is loaded when the first picture is judged, and not before.
"""

from __future__ import annotations

from qwenbuild.checks.expectation import (
    VerdictStore,
    check_expect,
    is_reported,
    judge,
    load_judges,
    split_expect,
)
from qwenbuild.checks.local import look_at
from qwenbuild.checks.sets import PictureSet, anchors, judge_set, look_key, sets_of

__all__ = [
    "PictureSet",
    "VerdictStore",
    "anchors",
    "check_expect",
    "is_reported",
    "judge",
    "judge_set",
    "load_judges",
    "look_at",
    "look_key",
    "sets_of",
    "split_expect",
]
