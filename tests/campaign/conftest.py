"""Fixtures of the campaign's parts that run in one process; knows no fault."""

from __future__ import annotations

import functools

import pytest

from qwenbuild.emulator import Served
from qwenbuild.engine import context
from qwenbuild.run.world import Times, World
from tests.campaign.shop import manifest
from tests.walking import Project


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Task lists are believed after milliseconds instead of minutes: the emulator's have no lag."""
    times = Times(settle=0.02, pause=0.02, patience=0.02)
    monkeypatch.setattr(context, "World", functools.partial(World, times=times))


@pytest.fixture
def shop(walked: Project, emulated: Served, quick: None) -> Project:
    """Three lanterns to buy from DashScope."""
    walked.manifest(manifest())
    return walked
