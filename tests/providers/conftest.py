"""Each provider type in turn, and the emulator's fixtures."""

from __future__ import annotations

import pytest

from tests.plugin_emulator import _emulator_server, emulator, strict_emulator
from tests.providers.bench import HOSTED, STRANGERS, TYPES

__all__ = ["_emulator_server", "emulator", "strict_emulator"]


@pytest.fixture(params=TYPES)
def kind(request: pytest.FixtureRequest) -> str:
    """Each provider type."""
    return played(request)


@pytest.fixture(params=HOSTED)
def hosted(request: pytest.FixtureRequest) -> str:
    """Each type that talks to a server."""
    return played(request)


def played(request: pytest.FixtureRequest) -> str:
    """The type; a test that needs its server is left out where the emulator does not play it."""
    if request.param in STRANGERS and "emulator" in request.fixturenames:
        pytest.skip(f"the emulator does not play {request.param}")
    return str(request.param)
