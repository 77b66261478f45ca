"""HTTP faults in each phase end as the table says, through each API: a third of the cases of each, other ones of the next."""

from __future__ import annotations

import pytest

from tests.campaign import part_http
from tests.campaign.lab import APIS, Api

PART = 3
"""The command in README.md goes through all of them."""


@pytest.mark.parametrize("api", APIS, ids=lambda api: api.name)
def test_each_fault_in_each_phase_has_the_end_of_the_table(api: Api) -> None:
    number, faults = part_http.run((api,), APIS.index(api) % PART, PART)
    assert number > 30
    assert faults == []
