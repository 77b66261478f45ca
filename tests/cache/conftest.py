"""A cache of its own for each test; nothing here knows what is tested."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from qwenbuild.cache import Cache


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "vault"


@pytest.fixture
def cache(root: Path) -> Iterator[Cache]:
    with Cache.open(root) as opened:
        yield opened
