"""The stateful machine as a part of the campaign: any order of edits, builds, crashes and losses.

Knows no rule; `test_machine` has them.
"""

from __future__ import annotations

import os
from unittest import mock

from qwenbuild.emulator import serve
from tests.campaign.part_http import hurried
from tests.campaign.test_machine import CI, WHOLE, Machine, play


def main(whole: bool) -> list[tuple[str, str]]:
    """Raises AssertionError with the shortest story that breaks an invariant."""
    size = WHOLE if whole else CI
    with serve(latency=0.0) as served, hurried(), mock.patch.dict(os.environ, served.environ()):
        Machine.emulated = served
        play(**size)
    steps = f"{size['max_examples']} stories of up to {size['stateful_step_count']} steps"
    return [("property machine: invariants broken", f"0 in {steps}")]
