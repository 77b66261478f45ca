from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw, ImageFont

from qwenbuild.checks import check_expect, judge, ocr, scripts, text
from qwenbuild.checks.text import Line, comparable, nearness
from qwenbuild.images import PluginFailed
from qwenbuild.model import CheckVerdict
from tests.images.pictures import saved

READER = "rapidocr 0"


@pytest.fixture(autouse=True)
def readers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every reader is there, whatever this machine has."""
    monkeypatch.setattr(scripts, "_rapidocr", lambda: READER)
    monkeypatch.setattr(scripts, "_tesseract", lambda language, script: f"tesseract:{language} 0")


def asked(value: Any) -> Mapping[str, Any]:
    parameters: Mapping[str, Any] = check_expect({"text": value})["text"]
    return parameters


def said(value: Any, *lines: str) -> CheckVerdict:
    """What the check finds where these lines were read."""
    read = [Line(line, 990, (0, 20 * at, 100, 20)) for at, line in enumerate(lines)]
    return text.judge(asked(value), lambda reader: read).verdict("text", "1")


# ---------------------------------------------------------------- comparing


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("FRESH BAKERY", "fresh\nbakery"),
        ("ＦＲＥＳＨ１２", "fresh 12"),
        ("Straße", "STRASSE"),
        ("“Kaffee” – 5", "'Kaffee'-5"),
        ("Größe", "Gro\u0308ße"),
        ("ｶﾌｪ", "カフェ"),
        ("焼きたて　パン", "焼きたてパン"),
        ("wait…", "wait..."),
        ("a\u200bb", "ab"),
    ],
)
def test_what_means_the_same_is_compared_as_the_same(one: str, other: str) -> None:
    assert comparable(one) == comparable(other)


@pytest.mark.parametrize(("one", "other"), [("Grosse", "Größe"), ("cafe", "café"), ("大", "太"), ("は", "ば")])
def test_letters_that_differ_stay_different(one: str, other: str) -> None:
    assert comparable(one) != comparable(other)


@pytest.mark.parametrize(
    ("wanted", "found", "share"),
    [
        ("bakery", "freshbakery", 1000),
        ("bakery", "bakory", 834),
        ("bakery", "bakry", 834),
        ("bakery", "", 0),
        ("abc", "xyz", 0),
    ],
)
def test_nearness_is_the_share_of_letters_that_need_no_edit(wanted: str, found: str, share: int) -> None:
    assert nearness(wanted, found) == share


# ---------------------------------------------------------------- what passes


def test_words_may_stand_anywhere_over_several_lines_and_in_any_case() -> None:
    assert said("Fresh Bakery", "Welcome to the FRESH", "BAKERY of town").verdict == "pass"


def test_a_wrong_letter_fails_and_what_was_read_is_said() -> None:
    found = said("FRESH BAKERY", "FRESH BAKORY")
    assert (found.verdict, found.measured, found.threshold) == ("fail", "0.91", "1")
    assert found.fault == '"FRESH BAKERY" is not read in it; it reads: FRESH BAKORY'
    assert found.evidence["missing"] == ["FRESH BAKERY"]
    assert found.evidence["words"] == [{"text": "FRESH BAKORY", "confidence": 990, "box": [0, 0, 100, 20]}]


def test_fuzzy_forgives_as_many_letters_as_was_said() -> None:
    asked_for = {"wanted": "FRESH BAKERY", "match": "fuzzy"}
    assert said(asked_for, "FRESH BAKORY").verdict == "pass"
    assert said({**asked_for, "similarity": 0.95}, "FRESH BAKORY").verdict == "fail"


def test_exact_wants_a_whole_line_or_the_whole_text() -> None:
    exact = {"wanted": "FRESH BAKERY", "match": "exact"}
    assert said(exact, "Open", "fresh bakery").verdict == "pass"
    assert said(exact, "FRESH", "BAKERY").verdict == "pass"
    found = said(exact, "OUR FRESH BAKERY", "Open")
    assert found.fault == '"FRESH BAKERY" is not a line in it; it reads: OUR FRESH BAKERY / Open'


def test_every_wanted_text_must_stand_and_no_forbidden_one() -> None:
    both = {"wanted": ["OPEN", "DAILY"], "forbidden": ["lorem", "sample"]}
    assert said(both, "open daily").verdict == "pass"
    assert said(both, "open").evidence["missing"] == ["DAILY"]
    found = said(both, "open daily", "Lorem ipsum")
    assert found.fault == 'it reads "lorem", which it must not'
    assert found.evidence["score"] == 0


def test_a_picture_without_words_says_that_nothing_was_read() -> None:
    assert said("OPEN").fault == '"OPEN" is not read in it; it reads: nothing'


# ---------------------------------------------------------------- who reads what


@pytest.mark.parametrize(
    ("words", "reader"),
    [
        ("FRESH", READER),
        ("Größe", READER),
        ("新鲜面包", READER),
        ("焼きたて", READER),
        ("1987", READER),
        ("Свежий хлеб", "tesseract:rus 0"),
        ("Кофе Latte", "tesseract:rus 0"),
        ("καφές", "tesseract:ell 0"),
    ],
)
def test_each_script_has_a_reader_whose_version_is_part_of_what_is_remembered(words: str, reader: str) -> None:
    assert asked(words)["readers"] == [reader]


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ("مخبز", "no reader knows arabic letters; words are read in latin, chinese, japanese, cyrillic, greek"),
        ("빵집", "no reader knows hangul letters"),
        ("Хлеб καφές", "mixes cyrillic and greek letters, which no one reader knows: write them as two texts"),
        ("", "must be texts with a letter or a digit"),
        ("?!", "must be texts with a letter or a digit"),
        (True, "must be a text or a list of at most 50 texts, got True"),
        ([True], "must be texts with a letter or a digit"),
        ({}, "needs wanted or forbidden"),
        ({"wanted": "a", "match": "nearly"}, "must be one of contains, exact, fuzzy, got 'nearly'"),
        ({"wanted": "a", "similarity": 2}, "similarity must be a number from 0 to 1"),
        ({"wanted": "a", "script": "runes"}, "script must be one of auto, latin"),
        ({"word": "a"}, "expect: text has no argument 'word'"),
    ],
)
def test_words_that_nobody_can_read_or_that_make_no_sense_are_refused(value: Any, sentence: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        check_expect({"text": value})
    assert sentence in str(caught.value)


def test_without_the_extra_one_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(scripts, "find_spec", lambda name: None)
    monkeypatch.setattr(scripts.shutil, "which", lambda name: None)
    for cached in (scripts._rapidocr, scripts._tesseract):
        cached.cache_clear()
    with pytest.raises(ValueError, match="needs the extra `text`") as caught:
        check_expect({"text": "OPEN"})
    assert (
        str(caught.value) == "expect: text needs the extra `text`, which reads words in pictures: pip install 'qwenbuild[text]'"
    )
    with pytest.raises(ValueError, match="apt install tesseract-ocr-rus"):
        check_expect({"text": "ОТКРЫТО"})
    for cached in (scripts._rapidocr, scripts._tesseract):
        cached.cache_clear()


# ---------------------------------------------------------------- readers


class Store:
    def __init__(self) -> None:
        self.known: dict[str, Any] = {}

    def get(self, name: str, parameters: Any) -> Any:
        return self.known.get(f"{name} {parameters}")

    def put(self, name: str, parameters: Any, verdict: Any) -> None:
        self.known[f"{name} {parameters}"] = verdict


def test_a_picture_is_read_once_whatever_is_asked_of_its_words_later(monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[str] = []

    def read(data: bytes, reader: str) -> list[Line]:
        reads.append(reader)
        return [Line("OPEN", 990, (1, 2, 3, 4))]

    monkeypatch.setattr(ocr, "read_words", read)
    picture, store = saved(Image.new("RGB", (8, 8))), Store()
    assert judge(picture, check_expect({"text": "OPEN"}), store)[0].verdict == "pass"
    assert judge(picture, check_expect({"text": "CLOSED"}), store)[0].verdict == "fail"
    assert reads == [READER]


def test_tesseract_s_table_becomes_lines_with_their_boxes() -> None:
    head = "level\tpage_num\tblock_num\tpar_num\tline_num\tword_num\tleft\ttop\twidth\theight\tconf\ttext"
    first, second = "5\t1\t1\t1\t1\t1\t10\t20\t30\t10\t96.5\tСвежий", "5\t1\t1\t1\t1\t2\t50\t22\t20\t12\t80\tхлеб"
    rows = [first, second, "4\t1\t1\t1\t1\t0\t0\t0\t0\t0\t-1\t"]
    assert ocr._table("\n".join([head, *rows])) == [Line("Свежий хлеб", 800, (10, 20, 60, 14))]


def test_a_reader_that_dies_says_nothing_of_the_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ocr.sys, "executable", "/bin/false")
    with pytest.raises(PluginFailed, match="the reader of words failed"):
        ocr._Pool().read(b"picture")


def sign(words: str, font: str, **how: Any) -> bytes:
    image = Image.new("RGBA", (420, 120), how.get("ground", "#f4ecd8"))
    ImageDraw.Draw(image).text((20, 30), words, how.get("ink", "#302010"), ImageFont.truetype(font, 44))
    return saved(image)


DEJAVU = "/usr/share/fonts/truetype/dejavu/DejaVuSans-Bold.ttf"


@pytest.mark.skipif(find_spec("rapidocr") is None, reason="needs the extra `text`")
@pytest.mark.skipif(not Path(DEJAVU).exists(), reason="needs the DejaVu fonts")
def test_the_real_reader_reads_a_sign_also_on_a_transparent_ground(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    for picture in (sign("FRESH BAKERY", DEJAVU), sign("FRESH BAKERY", DEJAVU, ground="#00000000", ink="#ffffff")):
        assert judge(picture, check_expect({"text": "Fresh Bakery"}))[0].verdict == "pass"
        assert judge(picture, check_expect({"text": "Fresh Bakory"}))[0].verdict == "fail"
    ocr._pool.close()
