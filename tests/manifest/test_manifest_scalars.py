"""What an unquoted scalar means: YAML 1.2's core schema, never YAML 1.1's surprises."""

from __future__ import annotations

import math

import pytest

from qwenbuild.manifest import is_template, scalar

TABLE = {
    "": None,
    "~": None,
    "null": None,
    "Null": None,
    "NULL": None,
    "nUll": "nUll",
    "none": "none",
    "true": True,
    "True": True,
    "TRUE": True,
    "false": False,
    "False": False,
    "FALSE": False,
    "yes": "yes",
    "no": "no",
    "on": "on",
    "off": "off",
    "y": "y",
    "n": "n",
    "tRue": "tRue",
    "0": 0,
    "7": 7,
    "-7": -7,
    "+7": 7,
    "-0": 0,
    "017": "017",
    "-017": "-017",
    "00": "00",
    "08": "08",
    "0123": "0123",
    "0o17": 15,
    "0x1F": 31,
    "0o8": "0o8",
    "0xg": "0xg",
    "0b11": "0b11",
    "1_000": "1_000",
    "1.10": 1.1,
    "1.": 1.0,
    ".5": 0.5,
    "-.5": -0.5,
    "1e5": 1e5,
    "1E-2": 0.01,
    "01.5": "01.5",
    "1e": "1e",
    ".": ".",
    "-": "-",
    "+": "+",
    "12:30": "12:30",
    "12:30:45": "12:30:45",
    "16:9": "16:9",
    "1:1": "1:1",
    "1.2.3": "1.2.3",
    "2026-11-20": "2026-11-20",
    "2026-11-20T10:00:00Z": "2026-11-20T10:00:00Z",
    ".inf": math.inf,
    "-.INF": -math.inf,
    "inf": "inf",
    "nan": "nan",
    "9" * 19: int("9" * 19),
    "9" * 20: "9" * 20,
    "9" * 5000: "9" * 5000,
    "７": "７",
    "१": "१",
    "sk-1": "sk-1",
    "<<": "<<",
    "=": "=",
    " 7": " 7",
}


@pytest.mark.parametrize(("text", "value"), TABLE.items())
def test_a_scalar_is_what_it_looks_like(text: str, value: object) -> None:
    read = scalar(text)
    assert read == value
    assert type(read) is type(value)


def test_not_a_number_is_one() -> None:
    assert math.isnan(float(scalar(".nan") or 0))


@pytest.mark.parametrize("text", ["{{ a }}", "x {% if a %}", "{# note #}"])
def test_a_template_is_told_from_plain_text(text: str) -> None:
    assert is_template(text)
    assert not is_template(text.replace("{", "("))
