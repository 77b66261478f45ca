"""WCAG 2.2 AA, as axe-core finds it: every view and every way to look at an entry, light and dark; and what no tool finds.

axe-core comes from npm into a temporary folder; where npm or its registry is missing the tests say so and are skipped.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from browsing import Tab
from test_gallery_browser import SHIPPED
from test_gallery_pages import committed

from qwenbuild import review
from qwenbuild.verbs import choices, gallery, notes
from tests.walking import Project

pytestmark = pytest.mark.browser
AXE = "axe-core@4.14.1"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
RUN = """(rules) => axe.run(document, { runOnly: rules }).then((found) => found.violations.flatMap((one) =>
  one.nodes.map((node) => `${one.id}: ${node.target.join(' ')} ${node.failureSummary}`)))"""
LOOKS = ["ship", "frames", "steps", "tile", "bought", "all", "compare"]


@pytest.fixture(scope="session")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The text of axe-core."""
    folder = tmp_path_factory.mktemp("axe")
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("there is no npm")
    words = [npm, "install", "--no-save", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(folder), AXE]
    try:
        done = subprocess.run(
            words, capture_output=True, text=True, timeout=120, check=False, env={**os.environ, "HOME": str(folder)}
        )
    except subprocess.TimeoutExpired:
        pytest.skip("npm did not answer")
    if done.returncode:
        pytest.skip(f"npm gave no {AXE}: {done.stderr.strip()[-200:]}")
    return (folder / "node_modules" / "axe-core" / "axe.min.js").read_text(encoding="utf-8")


@pytest.fixture
def gems(walked: Project) -> Project:
    """Every kind of file, candidate and choice, with an earlier revision to compare with."""
    walked.manifest(SHIPPED.replace("    tags: [gem]", "    tags: [gem]\n    variants: 2"))
    walked.build()
    committed(walked, "qwenbuild.lock", "qwenbuild.yaml")
    walked.edit("A {{ kind }}", "An old {{ kind }}")
    walked.build()
    choices.pick(walked.options(), "gems/red-square", 2)
    choices.approve(walked.options(), ["gems/green-round"])
    choices.reject(walked.options(), ["gems/blue-round"], [1])
    notes.note(walked.options(), "gems/green-round", "more facets " * 100)
    (walked.out / "icon" / "green-square.png").unlink()
    return walked


def check(tab: Tab, axe: str, what: str) -> list[str]:
    """What axe finds on the page as it is now, in both schemes."""
    tab.page.evaluate(axe)
    found = []
    for scheme in ("light", "dark"):
        tab.page.evaluate("(scheme) => gallery.theme(scheme)", scheme)
        tab.page.wait_for_timeout(50)
        found += [f"{what}, {scheme}: {said}" for said in tab.page.evaluate(RUN, RULES)]
    return found


def test_axe_finds_nothing_on_any_view_of_the_gallery(gems: Project, tab: Tab, axe: str) -> None:
    tab.go(gallery.gallery(gems.options(), None, against="main").gallery.index)
    found = check(tab, axe, "changes")
    tab.page.evaluate("gallery.clear()")
    for view in ("cards", "board", "sheets"):
        tab.page.evaluate("(view) => gallery.show(view)", view)
        found += check(tab, axe, view)
    for look in LOOKS:
        tab.page.evaluate("(mode) => gallery.open(gallery.card('gems/red-square'), { mode })", look)
        assert tab.page.evaluate("gallery.view.mode") == look
        found += check(tab, axe, look)
    for how in ("side", "blink", "difference"):
        tab.page.evaluate("(how) => { gallery.view.how = how; gallery.redrawViewer(); }", how)
        found += check(tab, axe, how)
    tab.press("Escape", "?")
    assert found + check(tab, axe, "keys") == []


def test_axe_finds_nothing_on_the_review(gems: Project, tab: Tab, axe: str) -> None:
    with review.serve(gems.options()) as served:
        tab.page.goto(served.url)
        found = check(tab, axe, "cards")
        tab.press("l", "ArrowDown", "ArrowLeft")
        found += check(tab, axe, "board")
        for id in ("red-square", "green-round", "blue-round"):
            tab.page.evaluate("(id) => gallery.open(gallery.card(id))", f"gems/{id}")
            found += check(tab, axe, id)
        tab.press("Escape")
        tab.page.click("#approve-all")
        assert found + check(tab, axe, "confirm") == []


def test_the_pages_work_without_motion_and_say_states_in_words(gems: Project, tab: Tab) -> None:
    tab.page.emulate_media(reduced_motion="reduce")
    tab.go(gallery.gallery(gems.options(), None).gallery.index)
    words = tab.page.locator(".card .sign").all_inner_texts()
    assert [text.split("\n")[-1] for text in words] == ["not picked yet", "stale", "approved", "file missing", "stale"]
    tab.page.evaluate("gallery.open(gallery.cards[0], { mode: 'compare' }); gallery.view.how = 'blink'; gallery.redrawViewer()")
    tab.page.wait_for_timeout(900)
    assert not tab.page.evaluate("document.querySelector('.pair.blink').classList.contains('second')")
    tab.page.click(".turner")
    assert tab.page.evaluate("document.querySelector('.pair.blink').classList.contains('second')")


def test_the_tab_key_passes_the_board_once(gems: Project, tab: Tab, tmp_path: Path) -> None:
    """The arrows move within it: one stop, not one for every cell."""
    tab.go(gallery.gallery(gems.options(), tmp_path / "page").gallery.index)
    tab.press("l", "ArrowDown", "ArrowRight", "Tab")
    assert not tab.page.evaluate("document.activeElement.matches('.cell, .side, .column')")
