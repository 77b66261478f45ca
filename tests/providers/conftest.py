"""Each provider type in turn, and the emulator's fixtures."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.plugin_emulator import _emulator_server, emulator, strict_emulator
from tests.providers.bench import HOSTED, LATER, STRANGERS, TYPES, Played, routed
from tests.providers.wires import LONG, WAYS, over_sockets

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


@pytest.fixture(params=WAYS)
async def wire(request: pytest.FixtureRequest) -> AsyncIterator[Any]:
    """Routes whose answers take the network's place: by respx in httpx's, and over real sockets."""
    if request.param == "respx":
        with routed() as router:
            yield router
        return
    if "respx" in WAYS and request.node.originalname in LONG:
        pytest.skip("takes seconds over sockets: QWENBUILD_TEST_WIRES=sockets runs it")
    async with over_sockets() as sockets:
        yield sockets
