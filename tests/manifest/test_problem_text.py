"""How a Problem reads as plain text, whatever it quotes."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwenbuild.errors import Mark, Problem
from qwenbuild.report.escape import visible
from qwenbuild.report.problems import format_problem


def test_a_problem_is_place_message_path_line_caret_and_hint() -> None:
    problem = Problem(
        "c", "`promt` is not known here", Mark("m.yaml", 12, 5), "assets.a.promt", "    promt: x", "did you mean `prompt`?"
    )
    assert format_problem(problem) == (
        "m.yaml:12:5: `promt` is not known here\n  in assets.a.promt\n"
        "  12 |     promt: x\n     |     ^\n  hint: did you mean `prompt`?"
    )


def test_a_problem_without_a_place_is_its_message() -> None:
    assert format_problem(Problem("c", "no manifest", hint="run init")) == "no manifest\n  hint: run init"


@pytest.mark.parametrize(("line", "column", "cells"), [("剣: x", 4, 4), ("é: x", 5, 4), ("\ta: x", 2, 1), ("a\x1bb", 3, 5)])
def test_the_caret_stands_under_wide_marked_and_escaped_characters(line: str, column: int, cells: int) -> None:
    caret = format_problem(Problem("c", "m", Mark("f", 1, column), snippet=line)).split("\n")[-1]
    assert caret == "    | " + " " * cells + "^"


def test_a_long_line_is_cut_around_the_caret() -> None:
    shown, caret = format_problem(Problem("c", "m", Mark("f", 1, 501), snippet="a" * 500 + "X" + "b" * 500)).split("\n")[1:]
    assert len(shown) < 120
    assert shown[caret.index("^")] == "X"
    assert shown.count("…") == 2


HOSTILE = "\x1b[31m\x9b31m\x00\x07\x7f\r\n\t\u202e\u2066\u200f\u2028\ufeff\ud800"


def test_nothing_foreign_acts_on_a_terminal() -> None:
    text = format_problem(Problem("c", HOSTILE, Mark(HOSTILE, 1, 1), HOSTILE, HOSTILE, HOSTILE))
    assert len(text.split("\n")) == 5
    assert all(character == "\n" or character.isprintable() for character in text)
    assert visible("\x1b\u202e\n") == "\\x1b\\u202e\\n"


@given(st.text())
def test_visible_text_is_one_harmless_line_and_plain_text_stays(text: str) -> None:
    shown = visible(text)
    assert not any(unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") for character in shown)
    assert unicodedata.bidirectional("\u202e") == "RLO"
    assert not any(
        unicodedata.bidirectional(character) in ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")
        for character in shown
    )
    assert shown == text or not text.isprintable()
