"""Each provider type in turn, and the emulator's fixtures."""

from __future__ import annotations

import pytest

from tests.plugin_emulator import _emulator_server, emulator, strict_emulator
from tests.providers.bench import HOSTED, LATER, STRANGERS, TYPES, Played

__all__ = ["_emulator_server", "emulator", "strict_emulator"]


def name(kind: str) -> str:
    """A type, with its model where that is not the usual one."""
    return f"{kind}-{kind.model}" if isinstance(kind, Played) else kind


@pytest.fixture(params=(*TYPES, *LATER), ids=name)
def kind(request: pytest.FixtureRequest) -> str:
    """Each provider type."""
    return played(request)


@pytest.fixture(params=(*HOSTED, *LATER), ids=name)
def hosted(request: pytest.FixtureRequest) -> str:
    """Each type that talks to a server."""
    return played(request)


def played(request: pytest.FixtureRequest) -> str:
    """The type; a test that needs its server is left out where the emulator does not play it."""
    if request.param in STRANGERS and "emulator" in request.fixturenames:
        pytest.skip(f"the emulator does not play {request.param}")
    played: str = request.param
    return played
