"""The gallery in a real Chromium, from disk: filter, zoom, slider, candidates, keyboard, hostile texts, 2,000 entries."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
from browsing import Tab
from test_gallery_pages import committed
from xss import HOSTILE

from qwenbuild.gallery import LARGE, SMALL, TINY, PageContents, Sources, Thumbnails, page, write
from qwenbuild.gallery.folder import PLACES
from qwenbuild.images import thumbnail
from qwenbuild.verbs import choices, gallery
from tests.walking import Project

pytestmark = pytest.mark.browser


@pytest.fixture
def before(heroes: Project) -> Project:
    """A revision in which the heroes wore armour; one of them is picked since, and a sword approved."""
    committed(heroes, "qwenbuild.lock", "qwenbuild.yaml")
    heroes.edit("in full armour", "in light leather")
    heroes.build()
    choices.pick(heroes.options(), "heroes/witch", 2)
    choices.approve(heroes.options(), ["icons/sword"])
    heroes.build()
    return heroes


@pytest.fixture
def index(before: Project) -> Path:
    return gallery.gallery(before.options(), None).gallery.index


@pytest.fixture
def opened(tab: Tab, index: Path) -> Tab:
    tab.go(index)
    return tab


@pytest.fixture
def compared(tab: Tab, before: Project) -> Tab:
    """The gallery against that revision."""
    tab.go(gallery.gallery(before.options(), None, against="main").gallery.index)
    return tab


def test_it_opens_from_disk_and_asks_for_nothing_but_its_own_pictures(opened: Tab, index: Path) -> None:
    opened.until("[...document.images].every((image) => image.complete && image.naturalWidth)")
    own = tuple((index.parent / name).as_uri() for name in ("thumbs", "files"))
    assert opened.asked[0] == index.as_uri()
    assert len(opened.asked) == 1 + 15
    assert all(address.startswith(own) for address in opened.asked[1:])


def test_typing_filters_by_words_tags_and_states(opened: Tab) -> None:
    opened.press("/")
    opened.page.keyboard.type("icon sHIeld")
    assert opened.visible() == ["icons/shield"]
    assert opened.text("#count") == "1 of 15"
    for words, found in (
        ("tag:witch", ["heroes/witch"]),
        ("asset:heroes is:picked", ["heroes/witch"]),
        ("is:approved", ["icons/sword"]),
        ("is:unpicked", ["heroes/knight", "heroes/bard"]),
        ("heroes/bard.png", ["heroes/bard"]),
        ("nothing like this", []),
    ):
        opened.page.fill("#search", words)
        assert opened.visible() == found
    assert opened.page.is_visible("#nothing")
    opened.page.click("#clear")
    assert len(opened.visible()) == 15
    opened.page.select_option("#by-asset", "heroes")
    opened.page.select_option("#by-state", "picked")
    assert opened.visible() == ["heroes/witch"]


def test_the_keyboard_goes_from_the_filter_to_a_picture_and_back(opened: Tab) -> None:
    opened.press("/")
    opened.page.keyboard.type("asset:icons")
    opened.press("ArrowDown", "ArrowRight", "ArrowRight", "Enter")
    assert opened.opened_entry() == "icons/potion"
    opened.press("ArrowRight")
    assert opened.opened_entry() == "icons/scroll"
    opened.press("Escape")
    assert not opened.page.is_visible("#viewer")
    opened.until("gallery.current()?.id === 'icons/scroll'")
    opened.press("ArrowDown")
    row = opened.page.evaluate("gallery.current().id")
    assert row in opened.visible()
    assert row != "icons/scroll"


def test_the_viewer_says_prompt_seed_model_price_and_key(opened: Tab) -> None:
    opened.page.click("[aria-label='icons/sword']")
    facts = opened.text("#viewer .facts")
    key = opened.page.evaluate("gallery.card('icons/sword').candidates[0].key")
    assert len(key) == 64
    for said in ("An icon of sword", "placeholder", "free", key, "256 × 256", "icons/sword.png", "approved"):
        assert said in facts


def test_candidates_stand_side_by_side_and_a_digit_chooses_one(opened: Tab) -> None:
    opened.page.click("[aria-label^='heroes/knight']")
    assert opened.page.locator("#viewer figure").count() == 3
    opened.press("3")
    assert opened.text("#viewer figure.chosen figcaption") == "3 · seed 9"
    opened.press("v")
    assert "3 · seed 9" in opened.text("#viewer .facts")
    assert opened.page.locator("#viewer .stage .picture").count() == 1
    opened.press("Escape", "c")
    assert opened.page.locator(".card:has([aria-label^='heroes/bard']) .frame").count() == 3


def test_light_and_dark(opened: Tab, shots: Path) -> None:
    paper = "getComputedStyle(document.documentElement).backgroundColor"
    light = opened.page.evaluate(paper)
    opened.shot(shots, "gallery-light")
    opened.press("t")
    dark = opened.page.evaluate(paper)
    assert light != dark
    assert opened.page.evaluate("localStorage.getItem('qwenbuild-theme')") == "dark"
    # When it reaches the next document is the browser's affair: right after a key it may come too late, or not at all.
    opened.page.add_init_script("localStorage.setItem('qwenbuild-theme', 'dark')")
    opened.page.reload()
    assert opened.page.evaluate(paper) == dark
    opened.shot(shots, "gallery-dark")


def test_a_narrow_screen_scrolls_in_one_direction_only(opened: Tab, shots: Path) -> None:
    opened.shot(shots, "gallery", 390)
    assert opened.page.evaluate("document.documentElement.scrollWidth") == 390
    opened.page.click("[aria-label^='heroes/knight']")
    opened.shot(shots, "viewer", 390)
    assert opened.page.evaluate("document.querySelector('#viewer').scrollWidth") == 390


def test_an_address_with_an_entry_opens_it(tab: Tab, index: Path, shots: Path) -> None:
    tab.go(index, "#heroes%2Fknight")
    assert tab.opened_entry() == "heroes/knight"
    tab.shot(shots, "viewer")


# ---------------------------------------------------------------- comparing


def test_a_comparison_opens_with_what_changed_only_and_an_entry_of_it_on_the_slider(compared: Tab, shots: Path) -> None:
    assert sorted(compared.visible()) == ["heroes/bard", "heroes/knight", "heroes/witch"]
    assert "full armour → light leather" in compared.text("#changes")
    assert "% of the pixels differ" in compared.text("#changes")
    compared.press("ArrowDown", "ArrowDown", "Enter")
    line = compared.page.locator("#viewer .pair .line")
    start = line.bounding_box()["x"]
    compared.press(*["ArrowRight"] * 20)
    assert line.bounding_box()["x"] > start
    assert compared.page.evaluate("getComputedStyle(document.querySelector('.pair .is')).clipPath") == "inset(0px 0px 0px 60%)"
    compared.shot(shots, "before-and-after")


def test_two_pictures_are_compared_in_four_ways_with_the_share_that_differs(compared: Tab) -> None:
    compared.press("ArrowDown", "Enter")
    compared.until("document.querySelector('.share').textContent.endsWith('of the pixels differ')")
    for how in ("sides", "pair ground blink", "pair ground difference", "pair ground slider"):
        compared.press("k")
        assert compared.page.locator(f"#viewer .canvas > [class='{how}']").count() == 1
    names = compared.page.locator(".between select").nth(1).locator("option").all_inner_texts()
    assert names[:2] == ["main: heroes/knight.png", "heroes/knight.png"]
    assert {"candidate 2", "candidate 3"} <= set(names)


def test_the_lockfile_itself_can_be_compared_with_what_lies_in_the_tree(tab: Tab, heroes: Project) -> None:
    (heroes.out / "icons" / "key.png").write_bytes((heroes.out / "icons" / "map.png").read_bytes())
    tab.go(gallery.gallery(heroes.options(), None, against="qwenbuild.lock").gallery.index)
    assert tab.visible() == ["icons/key"]
    tab.press("ArrowDown", "Enter")
    tab.until("document.querySelector('.share').textContent.endsWith('of the pixels differ')")


# ---------------------------------------------------------------- what ships

SHIPPED = """\
version: 1
defaults: {params: {size: "64*64"}}
assets:
  gems:
    prompt: "A {{ kind }} gem, seamless"
    matrix: {kind: [red, green, blue], cut: [round, square]}
    exclude: [{kind: blue, cut: square}]
    outputs:
      - {as: icon, path: "icon/{{ kind }}-{{ cut }}.png", steps: [{trim: {}}, {resize: {width: 32, height: 32}}]}
      - {as: wide, path: "wide/{{ kind }}-{{ cut }}.webp", steps: [{resize: {width: 60, height: 20}}]}
    tags: [gem]
atlases:
  ui: {select: "tag:gem", from: icon, output: "atlas/ui.png"}
"""


@pytest.fixture
def gems(walked: Project) -> Project:
    walked.manifest(SHIPPED)
    assert walked.build().exit_code == 0
    return walked


@pytest.fixture
def shipped(gems: Project, tab: Tab) -> Tab:
    tab.go(gallery.gallery(gems.options(), None).gallery.index)
    return tab


def test_a_card_shows_the_files_that_ship_and_one_key_shows_what_was_bought(shipped: Tab) -> None:
    shown = shipped.page.locator(".card").first.locator("img")
    shipped.until("[...document.querySelectorAll('.card img')].every((image) => image.naturalWidth)")
    sizes = "[...document.querySelector('.card').querySelectorAll('img')].map((image) => [image.width, image.height])"
    assert shown.count() == 2
    assert all(shown.nth(number).get_attribute("src").startswith("files/") for number in range(2))
    assert shipped.page.evaluate(sizes) == [[32, 32], [60, 20]]
    shipped.press("z", "z")
    assert shipped.page.evaluate(sizes) == [[64, 64], [120, 40]]
    shipped.press("v")
    assert shown.count() == 1
    shipped.until("[...document.querySelectorAll('.card img')].every((image) => image.naturalWidth)")
    assert shown.first.get_attribute("src").startswith("thumbs/")


def test_one_entry_is_seen_in_its_frames_step_by_step_and_repeated(shipped: Tab) -> None:
    shipped.press("ArrowDown", "Enter", "f")
    assert shipped.page.locator("#viewer .placed").count() == 2
    shipped.press("o")
    assert shipped.page.evaluate("[...document.querySelectorAll('.sizes img')].map((image) => image.width)") == [32, 64]
    shipped.press("e")
    assert shipped.page.locator("#viewer .steps img").count() == 3
    assert "1. trim" in shipped.text("#viewer .steps")
    shipped.press("w")
    assert shipped.page.evaluate("getComputedStyle(document.querySelector('.tiles')).backgroundPosition") == "25% 25%"


def test_a_sheets_frames_light_up_and_lead_to_their_entries(shipped: Tab) -> None:
    shipped.page.click("#views >> text=Sheets")
    assert shipped.page.locator(".sprite").count() == 5
    shipped.page.hover(".sprite[title='icon/green-round.png']")
    assert "icon/green-round.png" in shipped.text(".sheet-words")
    shipped.page.click(".sprite[title='icon/green-round.png']")
    assert shipped.opened_entry() == "gems/green-round"


def test_the_board_has_the_axes_as_rows_and_columns_and_says_which_cells_are_empty(shipped: Tab) -> None:
    shipped.press("l")
    assert shipped.page.locator("#board .column").all_inner_texts() == ["red", "green", "blue"]
    assert shipped.page.locator("#board .sides-of .side").all_inner_texts() == ["round", "square"]
    assert shipped.text("#board .cell.empty") == "not in the manifest"
    shipped.press("ArrowDown", "ArrowRight", "Enter")
    assert shipped.opened_entry() == "gems/green-round"
    shipped.press("Escape", "-", "-")
    assert shipped.page.evaluate("document.querySelector('#board button.cell').offsetWidth") == 80
    shipped.page.select_option("#board .picker select", label="file")
    assert shipped.page.locator("#board .column").all_inner_texts() == ["icon", "wide"]


def test_a_file_that_is_missing_or_stale_or_changed_is_marked_in_words(gems: Project, tab: Tab) -> None:
    (gems.out / "icon" / "red-round.png").unlink()
    (gems.out / "icon" / "red-square.png").write_bytes((gems.out / "icon" / "green-round.png").read_bytes()[:-1] + b"x")
    gems.edit("width: 60", "width: 50")
    tab.go(gallery.gallery(gems.options(), None).gallery.index)
    words = tab.page.locator(".card .sign").all_inner_texts()
    assert [text.split("\n")[-1] for text in words] == ["file missing", "changed by hand", "stale", "stale", "stale"]


# ---------------------------------------------------------------- hostile texts


def a_card(id: str, text: str, digest: str = "") -> dict[str, Any]:
    """A card as the gallery makes it, with one text in every place that a person can write to."""
    one = {"key": text, "seed": 1, "digest": digest, "size": [64, 64], "verdict": "fresh", "picked": False, "rejected": False}
    before = {"id": text, "digest": digest, "size": [64, 64], "key": text, "prompt": text, "seed": 1, "model": text}
    file = {
        "path": text,
        "name": text,
        "state": text,
        "digest": digest,
        "size": [64, 64],
        "steps": [[text, text]],
        "stages": [],
    }
    return {
        **dict.fromkeys(("asset", "prompt", "negative", "provider", "model", "size", "note", "price", "verdict"), text),
        "id": id,
        "tags": [text],
        "marks": ["changed", text],
        "reasons": [text],
        "ratio": 1,
        "files": [file],
        "place": [0],
        "tile": True,
        "used": 0,
        "stamp": "",
        "candidates": [
            {**one, "made": text, "price": text, "rewritten": text + " "},
            {**one, "made": "", "price": "", "rewritten": ""},
        ],
        "before": {**before, "files": {text: digest}, "made": text, "ratio": 1, "changes": [[text, text]]},
    }


def test_a_hundred_hostile_texts_do_nothing(tab: Tab, tmp_path: Path) -> None:
    index = tmp_path / "index.html"
    cards = [a_card(text, text) for text in HOSTILE]
    facts = {"against": HOSTILE[1], "boards": {text: [{"name": text, "labels": [text]}] for text in HOSTILE}, **PLACES}
    index.write_text(page(cards, title=HOSTILE[0], facts=facts), encoding="utf-8")
    tab.go(index)
    tab.page.evaluate("gallery.clear()")
    for view in ("cards", "board", "changes"):
        tab.page.evaluate("(view) => gallery.show(view)", view)
    ids = tab.visible()
    assert ids == HOSTILE
    for id in HOSTILE:
        tab.page.evaluate("(id) => gallery.open(gallery.card(id))", id)
        assert tab.page.locator("#viewer .prompt").first.text_content().startswith(id[:700])
        assert tab.page.locator("#viewer h2").text_content() == id
    assert tab.page.evaluate("window.hacked") is None
    assert (
        tab.page.evaluate("document.querySelectorAll('svg, iframe, object, embed, link, base, form:not([method])').length") == 0
    )
    assert tab.asked == [index.as_uri()]


def test_a_digest_that_is_none_makes_no_address(tab: Tab, tmp_path: Path) -> None:
    index = tmp_path / "index.html"
    cards = [a_card("x", "x", digest) for digest in ("../../secret", "javascript:alert(1)", "a" * 63)]
    index.write_text(page(cards, title="x", facts=PLACES), encoding="utf-8")
    tab.go(index)
    assert tab.page.locator("img").count() == 0
    assert len(tab.asked) == 1


def test_the_policy_stops_a_script_that_gets_in_all_the_same(tab: Tab, index: Path) -> None:
    text = index.read_text(encoding="utf-8").replace(
        "</main>", "</main><script>window.hacked = true</script><img src=x onerror='1'>"
    )
    index.write_text(text, encoding="utf-8")
    tab.go(index)
    assert tab.page.evaluate("window.hacked") is None
    assert any("Content Security Policy" in fault for fault in tab.faults)
    tab.faults.clear()


# ---------------------------------------------------------------- 2,000 entries


class Nowhere(Sources):
    """No bytes of any picture."""

    def __init__(self) -> None:
        """Of nothing."""

    def weight(self, digest: str) -> int:
        return 0

    def read(self, digest: str) -> bytes | None:
        return None


@pytest.fixture(scope="module")
def thousands(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of 2,000 entries, each with two pictures and a long prompt."""
    import random

    from PIL import Image

    folder = tmp_path_factory.mktemp("thousands")
    noise = Image.effect_noise((512, 512), 40).convert("RGB")
    noise.save(folder / "picture.png")
    data = (folder / "picture.png").read_bytes()
    kept = Thumbnails(folder / "kept", lambda digest: None)
    kept.folder.mkdir()
    small = {width: thumbnail(data, width) for width in (TINY, SMALL, LARGE)}
    words = (Path(__file__).parent.parent.parent / "docs" / "manifest.md").read_text(encoding="utf-8").split()
    drawn = random.Random(1)
    cards = []
    for number in range(2000):
        digest = hashlib.sha256(str(number).encode()).hexdigest()
        for width, each in small.items():
            kept.path(digest, width).write_bytes(each)
        made = a_card(f"asset{number % 8}/entry-{number}", " ".join(drawn.choices(words, k=90)), digest)
        cards.append({**made, "asset": f"asset{number % 8}", "tags": [f"tag{number % 5}"], "marks": [], "verdict": "fresh"})
    return write(folder / "page", PageContents(cards), kept, Nowhere(), title="thousands").index


FIRST_PAINT = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime"
TYPING = """async (text) => {
  const search = document.getElementById("search");
  const taken = [];
  for (let length = 1; length <= text.length; length += 1) {
    const start = performance.now();
    search.value = text.slice(0, length);
    search.dispatchEvent(new Event("input"));
    document.body.getBoundingClientRect();
    taken.push(performance.now() - start);
    await new Promise((done) => requestAnimationFrame(done));
  }
  return taken;
}"""


def test_two_thousand_entries_are_painted_in_a_second_and_filtered_in_a_tenth(chromium: Any, thousands: Path) -> None:
    """The best of several runs, keystroke by keystroke: other programs of the machine do not count."""
    painted, typed = [], []
    for _ in range(3):
        with Tab.opened(chromium) as tab:
            tab.go(thousands)
            tab.until(f"{FIRST_PAINT} !== undefined")
            painted.append(tab.page.evaluate(FIRST_PAINT))
            assert len(tab.asked) < 250
            typed += [tab.page.evaluate(TYPING, "entry-17") for _ in range(3)]
            assert len(tab.visible()) == 111
    keystrokes = [min(taken) for taken in zip(*typed, strict=True)]
    print(f"first paint {min(painted):.0f} ms, filter {max(keystrokes):.0f} ms of {[round(taken) for taken in keystrokes]}")
    assert min(painted) < 1000
    assert max(keystrokes) < 250


def test_the_folders_size_is_its_thumbnails(thousands: Path) -> None:
    thumbs = sum(path.stat().st_size for path in (thousands.parent / "thumbs").iterdir())
    assert thousands.stat().st_size < thumbs / 10


def test_the_second_writing_makes_no_thumbnail(heroes: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    gallery.gallery(heroes.options(), None)
    made: list[int] = []
    monkeypatch.setattr("qwenbuild.images.thumbnail", lambda data, width: made.append(width))
    calls: list[int] = []
    gallery.gallery(heroes.options(), None, progress=lambda done, all: calls.append(done))
    assert calls == list(range(1, 22))
    assert made == []
