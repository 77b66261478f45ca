"""Words in pictures, in a build: told before anything is spent who reads them, read once, and offered from prompts."""

from __future__ import annotations

import json
from typing import Any

import pytest

from qwenbuild import verbs
from qwenbuild.checks import ocr, scripts
from qwenbuild.checks.text import Line
from qwenbuild.cli.program import program
from qwenbuild.errors import InputError
from qwenbuild.verbs.suggestions import quoted_words, suggestions
from tests.walking import Project

SIGNS = """\
version: 1
assets:
  signs:
    prompt: 'a sign that reads "{{ title }}"'
    foreach: [{id: en, title: FRESH BAKERY}, {id: de, title: Frische Brötchen}]
    params: {size: "64*64"}
    expect: {text: "{{ title }}"}
"""


@pytest.fixture
def signs(walked: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Signs of which the reader reads the English one rightly, and the German one without its dots."""
    read = {"en": "Fresh  BAKERY", "de": "Frische Brotchen"}
    left = ["en", "de"]
    known: dict[bytes, str] = {}

    def reads(data: bytes, reader: str) -> list[Line]:
        return [Line(read[known.setdefault(data, left.pop(0) if left else "")], 990, (1, 2, 30, 40))]

    monkeypatch.setattr(scripts, "_rapidocr", lambda: "rapidocr 0")
    monkeypatch.setattr(ocr, "read_words", reads)
    walked.manifest(SIGNS)
    walked.build(select=("signs/en",))
    return walked


def test_each_locale_s_picture_is_held_against_its_own_words(signs: Project) -> None:
    summary = signs.build()
    assert [(failure.entry, failure.message) for failure in summary.failures] == [
        ("signs/de", 'the picture is not what is expected: "Frische Brötchen" is not read in it; it reads: Frische Brotchen')
    ]
    assert json.loads(signs.lock.read_text(encoding="utf-8"))["entries"]["signs/en"]["checks"] == {"text": "pass"}
    signs.edit('{text: "{{ title }}"}', '{text: {wanted: "{{ title }}", match: fuzzy}}')
    assert (signs.build().exit_code, signs.submitted) == (0, [])


def test_a_reader_that_fails_fails_the_entry_and_is_asked_again(signs: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    def dies(*_: Any) -> Any:
        raise ocr.ReaderFailed("the reader of words failed: its process ended")

    with monkeypatch.context() as patched:
        patched.setattr(ocr, "read_words", dies)
        summary = signs.build()
        assert [failure.message for failure in summary.failures] == [
            "the picture is not what is expected: the reader of words failed: its process ended"
        ]
    assert "it reads: Frische Brotchen" in signs.build().failures[0].message
    assert signs.submitted == []


@pytest.mark.parametrize(
    ("title", "sentence"),
    [
        ("مخبز", "expect: text no reader knows arabic letters"),
        ("''", "expect: text: wanted must be texts with a letter or a digit, got ''"),
    ],
)
def test_words_that_nobody_reads_are_an_error_with_a_line_before_anything_is_drawn(
    walked: Project, title: str, sentence: str
) -> None:
    walked.manifest(SIGNS.replace("FRESH BAKERY", title))
    with pytest.raises(InputError) as caught:
        walked.build()
    problem = caught.value.problems[0]
    assert sentence in problem.message
    assert problem.mark is not None
    assert (problem.mark.line, walked.submitted) == (7, [])


def test_a_manifest_without_words_looks_for_no_reader(walked: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: Any) -> Any:
        raise AssertionError("looked for a reader")

    monkeypatch.setattr(scripts, "find_spec", never)
    walked.manifest(SIGNS.replace('{text: "{{ title }}"}', "{sharpness: 0}"))
    assert walked.build().exit_code == 0


# ---------------------------------------------------------------- validate --suggest


@pytest.mark.parametrize(
    ("prompt", "words"),
    [
        ('a sign that reads "FRESH BAKERY"', ["FRESH BAKERY"]),
        ('a sign that reads "{{ title }}" in „Große Schrift“', ["{{ title }}", "Große Schrift"]),
        ('a {{ "red" if hot else "blue" }} door with «Вход»', ["Вход"]),
        ("看板に「営業中」と書く", ["営業中"]),
        ('size 5" by 7', []),
        ("no words, it's plain", []),
        ('{% if x == "a" %}sun{% endif %}', []),
    ],
)
def test_words_in_quotation_marks_are_found_in_a_prompt(prompt: str, words: list[str]) -> None:
    assert list(quoted_words(prompt)) == words


def test_validate_offers_words_of_assets_that_expect_none(
    walked: Project, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scripts, "_rapidocr", lambda: "rapidocr 0")
    prompts = walked.folder / "prompts"
    prompts.mkdir()
    (prompts / "door.j2").write_text('a door, "Open {{ day }}"', encoding="utf-8")
    walked.manifest(SIGNS + "  doors: {prompt_file: door.j2, vars: {day: today}}\n  plain: {prompt: a wall}\n")
    assert [(one.asset, one.words) for one in suggestions(verbs.load(walked.options()))] == [("doors", ("Open {{ day }}",))]
    assert program.main(["-C", str(walked.folder), "validate", "--suggest"], standalone_mode=False) == 0
    assert capsys.readouterr().out.endswith('4 entries, no errors.\n  doors: expect: {text: "Open {{ day }}"}\n')
    program.main(["-C", str(walked.folder), "validate", "--suggest", "--json"], standalone_mode=False)
    said = {"v": 1, "entries": 4, "errors": [], "suggestions": [{"asset": "doors", "text": ["Open {{ day }}"]}]}
    assert json.loads(capsys.readouterr().out) == said
