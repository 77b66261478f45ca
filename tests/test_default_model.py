"""The default model stands on figures: those of the page are what plans say today, by the model table."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from benchmarks.default_model import COUNTS, planned
from qwenbuild.catalog import Catalog

PAGE = (Path(__file__).parent.parent / "docs" / "providers.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| `([^`]+)`(?: \(default\))? \| (a?sync) \| ([^|]+) \| ([^|]+) \| ([^|]+) \|", PAGE, re.MULTILINE)


@pytest.mark.parametrize(("model", "call", "figures"), [(model, call, figures) for model, call, *figures in ROWS])
def test_the_page_shows_the_time_and_price_that_a_plan_says(model: str, call: str, figures: list[str]) -> None:
    row = Catalog.load().find("dashscope", model)
    assert row is not None
    assert row.call("auto") == call
    assert figures == [", ".join(planned(model, count)) for count in COUNTS]


def test_the_page_names_the_default_and_it_is_quicker_where_3_0_is_cheaper() -> None:
    default = Catalog.load().default("dashscope")
    assert f"`{default.id}` (default)" in PAGE
    assert len(ROWS) == 4
    other = Catalog.load().find("dashscope", "qwen-image-3.0")
    assert other is not None
    assert default.rate() > other.rate()
    assert (default.price or {})["usd"] > (other.price or {})["usd"]
    assert (default.resumable, other.resumable) == (False, True)
