"""Every HTTP fault in every phase ends as the table says, through each API."""

from __future__ import annotations

import pytest

from tests.campaign import part_http
from tests.campaign.lab import APIS, Api


@pytest.mark.parametrize("api", APIS, ids=lambda api: api.name)
def test_each_fault_in_each_phase_has_the_end_of_the_table(api: Api) -> None:
    number, faults = part_http.run((api,))
    assert number > 60
    assert faults == []
