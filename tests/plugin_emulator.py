"""Fixtures with a running emulator: `pytest_plugins = ["tests.plugin_emulator"]` in the top conftest."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from qwenbuild.emulator import Served


@pytest.fixture(scope="session")
def _emulator_server() -> Iterator[Served]:
    from qwenbuild.emulator import serve

    with serve(latency=0.05) as served:
        yield served


@pytest.fixture
def emulator(_emulator_server: Served) -> Served:
    """All APIs on loopback, empty, fast, counting rates and places in flight but refusing nothing for them."""
    _emulator_server.reset()
    _emulator_server.configure(enforce=False)
    return _emulator_server


@pytest.fixture
def strict_emulator(_emulator_server: Served) -> Served:
    """As `emulator`, with the vendors' limits enforced."""
    _emulator_server.reset()
    return _emulator_server


@pytest.fixture
def emulated(emulator: Served, monkeypatch: pytest.MonkeyPatch) -> Served:
    """`emulator`, with its addresses and keys in the environment."""
    for name, value in emulator.environ().items():
        monkeypatch.setenv(name, value)
    return emulator
