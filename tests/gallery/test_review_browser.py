"""The review in a real Chromium: choices by keyboard and by button, several tabs, a build beside them, hostile notes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browsing import Tab
from test_gallery_pages import committed
from xss import HOSTILE

from qwenbuild import review
from qwenbuild.verbs import choices, notes
from tests.walking import Project

pytestmark = pytest.mark.browser
BOARD = """\
version: 1
defaults: {params: {size: "64*64"}}
assets:
  gems:
    prompt: "A {{ kind }} {{ cut }} gem"
    matrix: {cut: [round, square], kind: [red, green, blue]}
    id: "gems/{{ kind }}-{{ cut }}"
"""
ICONS = "shield potion scroll key lantern boots ring helmet bow axe map compass"


@pytest.fixture
def served(heroes: Project) -> Iterator[review.ServedReview]:
    with review.serve(heroes.options()) as made:
        yield made


@pytest.fixture
def desk(served: review.ServedReview, tab: Tab) -> Tab:
    """A tab that has opened the address."""
    tab.page.goto(served.url)
    return tab


@pytest.fixture
def second(chromium: Any, served: review.ServedReview) -> Iterator[Tab]:
    """Another window of another person."""
    with Tab.opened(chromium) as made:
        made.page.goto(served.url)
        yield made


def locked(project: Project, id: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(project.lock.read_bytes())["entries"][id]
    return found


def said(tab: Tab, words: str) -> None:
    tab.until(f"document.getElementById('said').textContent.includes({json.dumps(words)})")


def test_the_address_keeps_no_token_and_nothing_else_is_asked(desk: Tab, served: review.ServedReview) -> None:
    assert desk.page.url == served.origin + "/"
    assert all(address.startswith(served.origin) for address in desk.asked)


def test_the_keyboard_picks_and_the_next_undecided_entry_comes(desk: Tab, heroes: Project, shots: Path) -> None:
    assert desk.text("#left") == "15 of 15 left"
    desk.press("ArrowDown", "Enter", "2", "Enter")
    assert desk.opened_entry() == "heroes/witch"
    said(desk, "heroes/knight: candidate 2 is picked")
    desk.until("document.getElementById('left').textContent === '14 of 15 left'")
    key = desk.page.evaluate("gallery.card('heroes/knight').candidates[1].key")
    assert locked(heroes, "heroes/knight")["picked"] == key
    desk.shot(shots, "review-viewer")
    desk.shot(shots, "review-viewer", 390)
    desk.page.reload()
    desk.until("gallery.card('heroes/knight').marks.includes('picked')")


def test_the_file_of_a_pick_is_made_at_once(desk: Tab, heroes: Project) -> None:
    before = (heroes.out / "heroes" / "knight.png").read_bytes()
    desk.press("ArrowDown", "Enter", "2", "Enter")
    desk.until("gallery.card('heroes/knight').files[0].digest === gallery.card('heroes/knight').candidates[1].digest")
    assert (heroes.out / "heroes" / "knight.png").read_bytes() != before
    assert heroes.verdicts()["heroes/knight"] == "fresh"


def test_choices_are_undone_one_after_the_other(desk: Tab, heroes: Project) -> None:
    before = heroes.lock.read_bytes()
    desk.press("ArrowDown", "Enter", "2", "Enter", "x", "Escape", "a")
    said(desk, "approved")
    desk.press("u", "u", "u")
    said(desk, "Undone: pick of heroes/knight")
    assert heroes.lock.read_bytes() == before
    desk.press("u")
    said(desk, "nothing to undo")


def test_every_entry_is_decided_with_one_key_each(desk: Tab, heroes: Project) -> None:
    desk.press("ArrowDown", "Enter", *["a"] * 15)
    desk.until("document.getElementById('left').textContent === '0 of 15 left'")
    desk.until("gallery.cards.every((card) => card.marks.includes('approved'))", 30)
    assert all(record["approved"] for record in json.loads(heroes.lock.read_bytes())["entries"].values())


def test_twelve_are_approved_at_once_and_stay_so(desk: Tab, heroes: Project, shots: Path) -> None:
    desk.press("/")
    desk.page.keyboard.type("asset:icons")
    desk.page.click("#approve-all")
    assert "12 entries shown" in desk.text("#confirm")
    desk.press("Enter")
    said(desk, "12 entries")
    icons = [id for id in json.loads(heroes.lock.read_bytes())["entries"] if id.startswith("icons/")]
    assert [locked(heroes, id)["approved"] for id in icons] == [True] * 12
    assert "approved" not in locked(heroes, "heroes/knight")
    desk.page.reload()
    desk.page.select_option("#by-state", "approved")
    assert sorted(desk.visible()) == sorted(icons)
    desk.shot(shots, "review")
    desk.shot(shots, "review", 390)
    assert desk.page.evaluate("document.documentElement.scrollWidth") == 390


def test_quick_keys_lose_no_choice(desk: Tab, heroes: Project) -> None:
    desk.page.fill("#search", "asset:icons")
    desk.page.focus("[aria-label='icons/sword']")
    desk.press("a", "a", "a")
    said(desk, "icons/potion: approved")
    for id in ("icons/sword", "icons/shield", "icons/potion"):
        assert locked(heroes, id)["approved"]
    desk.until("gallery.current()?.id === 'icons/scroll'")


def test_a_row_and_a_column_of_the_board_are_approved_rejected_and_rerolled_with_one_key(
    tab: Tab, walked: Project, shots: Path
) -> None:
    walked.manifest(BOARD)
    walked.build()
    with review.serve(walked.options()) as served:
        tab.page.goto(served.url)
        tab.press("l", "ArrowDown", "ArrowLeft", "a")
        said(tab, "3 entries: approve is done")
        assert all(locked(walked, f"gems/{cut}-round")["approved"] for cut in ("red", "green", "blue"))
        tab.press("ArrowDown", "ArrowRight", "ArrowUp", "ArrowUp", "x")  # a column's head; one of its two is approved
        said(tab, "gems/red-square: rejected")
        tab.press("ArrowDown", "ArrowDown", "ArrowLeft", "r")
        tab.until("document.getElementById('confirm').open")
        assert "Make 3 pictures for nothing?" in tab.text("#confirm")
        before = walked.lock.read_bytes()
        tab.press("Escape")
        assert walked.lock.read_bytes() == before
        tab.press("r")
        tab.until("document.getElementById('confirm').open")
        tab.press("Enter")
        tab.until("gallery.cards.filter((card) => card.candidates.length === 2 && card.candidates[1].digest).length === 3")
        tab.shot(shots, "review-board")


def test_a_board_fills_while_a_build_runs(desk: Tab, heroes: Project) -> None:
    heroes.edit("kind: [knight, witch, bard]", "kind: [knight, witch, bard, monk]")
    desk.press("l")
    desk.until("document.querySelector('#board button.cell.absent')")
    heroes.build()
    desk.until("!document.querySelector('#board button.cell.absent')")


def test_tabs_agree_without_a_reload(desk: Tab, second: Tab) -> None:
    desk.page.click("[aria-label^='heroes/witch']")
    desk.press("3", "Enter")
    second.until("gallery.card('heroes/witch').candidates[2].picked")
    assert second.page.evaluate("gallery.card('heroes/witch').used") == 2


def test_a_stale_tab_shows_the_newer_state_instead_of_overwriting(
    tab: Tab, served: review.ServedReview, heroes: Project
) -> None:
    """A tab that hears nothing of what others do: its stream of events ended before it began."""
    tab.page.route("**/events", lambda route: route.fulfill(status=204))
    tab.page.goto(served.url)
    tab.page.click("[aria-label^='heroes/witch']")
    choices.pick(heroes.options(), "heroes/witch", 2)
    before = heroes.lock.read_bytes()
    tab.press("3", "Enter")
    said(tab, "changed in the meantime")
    assert heroes.lock.read_bytes() == before
    assert tab.page.evaluate("gallery.card('heroes/witch').candidates[1].picked")
    tab.complained("409")


def test_one_more_is_made_after_its_price_was_agreed_to(desk: Tab, heroes: Project, shots: Path) -> None:
    desk.page.click("[aria-label^='heroes/bard']")
    desk.press("r")
    desk.until("document.getElementById('confirm').open")
    assert "Make 1 picture for nothing?" in desk.text("#confirm")
    desk.shot(shots, "review-price")
    desk.press("Enter")
    said(desk, "Built: 1 entry made, nothing spent")
    desk.until("gallery.card('heroes/bard').candidates.filter((one) => one.digest).length === 4")
    assert len(locked(heroes, "heroes/bard")["seeds"]) == 1


def test_rejecting_is_shown_and_can_be_taken_back(desk: Tab, heroes: Project) -> None:
    desk.page.click("[aria-label^='heroes/knight']")
    desk.press("1", "x")
    said(desk, "heroes/knight: rejected; candidate 2 is used instead")
    assert desk.page.locator("#viewer figure.rejected").count() == 1
    assert desk.opened_entry() == "heroes/knight"
    assert desk.page.locator("#viewer .actions .yes").inner_text() == "Pick 2"
    desk.press("1")
    assert not desk.page.locator("#viewer .actions .yes", has_text="Pick").count()
    desk.press("x")
    said(desk, "no longer rejected")
    assert "rejected" not in locked(heroes, "heroes/knight")


def test_a_note_is_kept_as_it_was_written(desk: Tab, heroes: Project) -> None:
    desk.page.click("[aria-label='icons/key']")
    for text in (HOSTILE[0], HOSTILE[6]):
        desk.press("n")
        desk.page.fill("#viewer textarea", text)
        desk.press("Escape")
        desk.until(f"gallery.card('icons/key').note === {json.dumps(text)}")
    desk.page.reload()
    assert desk.page.input_value("#viewer textarea") == HOSTILE[6]
    assert desk.page.evaluate("window.hacked") is None
    assert locked(heroes, "icons/key")["note"] == HOSTILE[6]


def test_a_note_that_was_not_kept_stays_on_the_page_until_somebody_decides(desk: Tab, heroes: Project, shots: Path) -> None:
    desk.page.click("[aria-label='icons/key']")
    desk.press("n")
    desk.page.keyboard.type("of this page")
    notes.note(heroes.options(), "icons/key", "of another hand\nin two lines")
    desk.until("gallery.card('icons/key').note.startsWith('of another hand')")
    assert desk.page.input_value("#viewer textarea") == "of this page"
    desk.press("Escape")
    said(desk, "Nothing was overwritten")
    assert desk.page.input_value("#viewer textarea") == "of this page"
    assert "The lockfile says: of another hand" in desk.text("#viewer .actions")
    assert locked(heroes, "icons/key")["note"] == "of another hand\nin two lines"
    desk.shot(shots, "review-note-not-kept")
    desk.shot(shots, "review-note-not-kept", 390)
    desk.page.click("text=Save this note")
    desk.until("!document.querySelector('#viewer .unkept')")
    assert locked(heroes, "icons/key")["note"] == "of this page"
    assert "Not kept yet" not in desk.text("#viewer .actions")


def test_a_typed_note_survives_what_is_drawn_anew_around_it(desk: Tab, heroes: Project) -> None:
    desk.page.click("[aria-label^='heroes/knight']")
    desk.press("n")
    desk.page.keyboard.type("taller")
    desk.page.set_viewport_size({"width": 900, "height": 700})
    desk.until("document.querySelector('#viewer textarea').value === 'taller'")
    desk.press("Escape")
    desk.until("gallery.card('heroes/knight').note === 'taller'")
    assert locked(heroes, "heroes/knight")["note"] == "taller"


def test_who_is_about_to_write_does_not_choose_by_the_first_letter(desk: Tab, heroes: Project) -> None:
    desk.page.click("[aria-label='icons/key']")
    desk.press("n")
    choices.approve(heroes.options(), ["icons/key"])
    desk.until("gallery.card('icons/key').marks.includes('approved')")
    desk.page.keyboard.type("a bow")
    desk.press("Escape")
    desk.until("gallery.card('icons/key').note === 'a bow'")
    assert locked(heroes, "icons/key")["approved"]


def test_a_button_pressed_right_after_typing_a_note_does_both(desk: Tab, heroes: Project) -> None:
    desk.page.click("[aria-label='icons/key']")
    desk.press("n")
    desk.page.keyboard.type("too shiny")
    box = desk.page.locator("#viewer .actions button", has_text="Approve").bounding_box()
    desk.page.mouse.move(box["x"] + 10, box["y"] + 10)
    desk.page.mouse.down()
    desk.until("gallery.card('icons/key').note === 'too shiny'")
    desk.page.mouse.up()
    said(desk, "icons/key: approved")
    assert (locked(heroes, "icons/key")["note"], locked(heroes, "icons/key")["approved"]) == ("too shiny", True)


def test_an_entry_that_is_not_made_says_that_a_note_must_wait(desk: Tab, heroes: Project, shots: Path) -> None:
    heroes.edit("axe, map]", "axe, map, compass]")
    desk.until("gallery.card('icons/compass')")
    desk.page.click("[aria-label='icons/compass']")
    field = desk.page.locator("#viewer textarea")
    assert field.get_attribute("placeholder") == "A note needs a picture: make the picture first."
    assert not field.is_editable()
    desk.shot(shots, "review-note-waits")
    heroes.build()
    desk.until("!document.querySelector('#viewer textarea').readOnly")


def test_a_build_from_outside_arrives_by_itself(desk: Tab, heroes: Project) -> None:
    heroes.edit("axe, map]", "axe, map, compass]")
    desk.until("gallery.card('icons/compass') && gallery.card('icons/compass').verdict === 'generate'")
    heroes.build()
    desk.until("gallery.card('icons/compass').candidates[0].digest !== ''")
    heroes.edit("sword, ", "")
    desk.until("!gallery.card('icons/sword')")
    assert desk.visible()[-12:] == [f"icons/{name}" for name in ICONS.split()]


def test_a_new_assets_section_appears_where_the_manifest_has_it(desk: Tab, heroes: Project) -> None:
    heroes.edit("  icons:", "  banners: {prompt: a banner}\n  icons:")
    headings = "[...document.querySelectorAll('#cards h2')].map((node) => node.firstChild.textContent)"
    desk.until(f"JSON.stringify({headings}) === JSON.stringify(['heroes', 'banners', 'icons'])")


def test_a_note_that_is_too_long_says_by_how_much_and_can_be_shortened(desk: Tab, heroes: Project) -> None:
    desk.page.click("[aria-label='icons/key']")
    desk.press("n")
    desk.page.fill("#viewer textarea", "x" * 4010)
    assert "10 characters too many" in desk.text("#viewer .actions")
    desk.press("Escape")
    said(desk, "4,000 is the most")
    desk.complained("422")
    desk.page.fill("#viewer textarea", "x" * 4000)
    desk.page.click("text=Save this note")
    desk.until("gallery.card('icons/key').note.length === 4000")


def test_a_message_covers_nothing(desk: Tab) -> None:
    covers = "getComputedStyle(document.getElementById('said')).position"
    desk.press("u")
    said(desk, "nothing to undo")
    assert desk.page.evaluate(covers) == "static"
    desk.press("ArrowDown", "Enter", "u")
    assert desk.page.evaluate("document.getElementById('viewer').contains(document.getElementById('said'))")
    assert desk.page.evaluate(covers) == "static"


def test_a_page_that_only_looks_follows_a_build_and_has_no_way_to_choose(tab: Tab, heroes: Project) -> None:
    with review.serve(heroes.options(), choosing=False) as served:
        tab.page.goto(served.url)
        heroes.edit("axe, map]", "axe, map, compass]")
        heroes.build()
        tab.until("gallery.card('icons/compass') && gallery.card('icons/compass').candidates[0].digest !== ''")
        assert tab.page.locator("#build, #approve-all, #undo").count() == 0


def test_a_page_of_another_site_can_neither_read_nor_choose(
    chromium: Any, served: review.ServedReview, heroes: Project, tmp_path: Path
) -> None:
    before = heroes.lock.read_bytes()
    (tmp_path / "foreign.html").write_text("<title>foreign</title>", encoding="utf-8")
    with Tab.opened(chromium) as tab:
        tab.page.goto(served.url)
        tab.go(tmp_path / "foreign.html")
        for script in (
            f"fetch('{served.origin}/cards', {{credentials: 'include'}}).then((answer) => answer.text(), () => 'refused')",
            f"fetch('{served.origin}/choose', {{method: 'POST', mode: 'no-cors', credentials: 'include', body: '{{}}'}})"
            ".then((answer) => answer.type, () => 'refused')",
        ):
            assert tab.page.evaluate(script) in ("refused", "opaque")
    assert heroes.lock.read_bytes() == before


def test_the_review_compares_with_a_revision_that_is_typed_in(desk: Tab, heroes: Project, shots: Path) -> None:
    committed(heroes, "qwenbuild.lock", "qwenbuild.yaml")
    heroes.edit("in full armour", "in light leather")
    heroes.build()
    desk.page.fill("#against", "no-such")
    desk.page.press("#against", "Enter")
    said(desk, "git knows no revision")
    desk.complained("422")
    desk.page.fill("#against", "main")
    desk.page.press("#against", "Enter")
    desk.until("document.querySelectorAll('#changes .change').length === 3", seconds=40)
    desk.until("document.querySelector('#changes .about').textContent.includes('of the pixels differ')")
    desk.shot(shots, "review-changes")
