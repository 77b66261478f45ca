"""A real Chromium for the pages, and projects with something to look at; knows no page."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browsing import Tab, browser

from tests.walking import Project

HEROES = """\
version: 1
defaults: {params: {size: "256*256"}}
assets:
  heroes:
    prompt: "A {{ kind }} in full armour"
    matrix: {kind: [knight, witch, bard]}
    seed: 7
    variants: 3
    tags: [hero, "{{ kind }}"]
  icons:
    prompt: "An icon of {{ thing }}"
    matrix: {thing: [sword, shield, potion, scroll, key, lantern, boots, ring, helmet, bow, axe, map]}
"""


@pytest.fixture
def heroes(walked: Project) -> Project:
    """Three heroes of three candidates each and twelve icons, built."""
    walked.manifest(HEROES)
    assert walked.build().exit_code == 0
    return walked


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The system's Chromium, headless, with a home of its own."""
    pytest.importorskip("playwright.sync_api")
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("there is no chromium")
    with browser(path, {**os.environ, "HOME": str(tmp_path_factory.mktemp("home"))}) as made:
        yield made


@pytest.fixture(scope="session")
def shots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the screenshots of this run are kept: QWENBUILD_TEST_SHOTS, or a temporary folder."""
    folder = Path(os.environ.get("QWENBUILD_TEST_SHOTS") or tmp_path_factory.mktemp("shots"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture
def tab(chromium: Any, tmp_path: Path) -> Iterator[Tab]:
    """A fresh window of 1440 by 900 pixels; at its end nothing on the page may have failed.

    It asks for the folder so that the window closes first: a page still loads pictures while its test ends.
    """
    with Tab.opened(chromium) as made:
        yield made
    assert made.faults == []
