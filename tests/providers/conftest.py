"""Each provider type in turn, and the emulator's fixtures."""

from __future__ import annotations

import pytest

from tests.plugin_emulator import _emulator_server, emulator, strict_emulator
from tests.providers.bench import HOSTED, TYPES

__all__ = ["_emulator_server", "emulator", "strict_emulator"]


@pytest.fixture(params=TYPES)
def kind(request: pytest.FixtureRequest) -> str:
    """Each provider type."""
    return str(request.param)


@pytest.fixture(params=HOSTED)
def hosted(request: pytest.FixtureRequest) -> str:
    """Each type that talks to a server."""
    return str(request.param)
