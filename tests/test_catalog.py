"""The model table: complete, dated, correctable by a manifest, and right about sizes."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from decimal import Decimal
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from qwenbuild.catalog import Catalog, Model
from qwenbuild.errors import InputError

ROWS = tuple(Catalog.load().rows())
DAY = re.compile(r"20\d\d-\d\d-\d\d")
READ = json.loads(files("qwenbuild").joinpath("catalog.json").read_text(encoding="utf-8"))["read"]


def row(family: str, model: str | None = None, **overrides: Any) -> Model:
    catalog = Catalog.load({model or "": overrides} if overrides else None)
    found = catalog.find(family, model)
    assert found is not None
    return found


def price(model: Model, region: str) -> Any:
    return model.price_of(region, size="1328*1328", extended=True, inputs=0)


def named(model: Model) -> str:
    return f"{model.family}:{model.id}"


@pytest.mark.parametrize("model", ROWS, ids=named)
def test_every_row_is_complete(model: Model) -> None:
    assert model.calls
    assert ("async" in model.calls) == bool(model.async_path) or model.family != "dashscope"
    assert model.licence
    assert model.rate() > 0 or model.family == "placeholder"
    assert model.in_flight >= 1
    assert model.source
    assert model.price_source
    assert all(DAY.fullmatch(day) and day <= READ for day in (model.source_date, model.price_date))
    assert not model.retires or (model.retires_source and DAY.fullmatch(model.retires))
    assert bool(model.retires) == bool(model.replacement)
    assert not model.replacement or row(model.family, model.replacement).retires == ""
    assert model.default_size == "" or model.size(model.default_size) == (model.default_size, "")
    for ratio, size in model.aliases.items():
        assert model.size(ratio) == (size, "")
        assert model.size(size) == (size, "")


NAMES = """
    qwen-image qwen-image-plus qwen-image-plus-2026-01-09 qwen-image-max qwen-image-max-2025-12-30 qwen-image-2.0
    qwen-image-2.0-2026-03-03 qwen-image-2.0-pro qwen-image-2.0-pro-2026-03-03 qwen-image-2.0-pro-2026-04-22
    qwen-image-2.0-pro-2026-06-22 qwen-image-2.1-pro qwen-image-2.1-turbo qwen-image-3.0 qwen-image-3.0-pro qwen-image-edit
    qwen-image-edit-plus qwen-image-edit-plus-2025-10-30 qwen-image-edit-plus-2025-12-15 qwen-image-edit-max
    qwen-image-edit-max-2026-01-16 z-image-turbo wan2.7-image wan2.7-image-pro
"""


def test_the_table_has_every_model() -> None:
    ids = {named(model) for model in ROWS}
    assert {f"dashscope:{name}" for name in NAMES.split()} <= ids
    assert {"apiframe:qwen-image-2", "qwen2512:qwen-image-2512", "openai:Qwen/Qwen-Image", "placeholder:placeholder"} <= ids


def test_the_two_documented_models_are_as_their_page_says() -> None:
    plus = row("dashscope", "qwen-image-plus")
    assert (plus.prompt_limit, plus.prompt_unit, plus.negative_limit, plus.over) == (800, "characters", 500, "cut")
    assert (plus.rps, plus.in_flight, plus.default_size, plus.prompt_extend, plus.watermark) == (2, 2, "1328*1328", True, False)
    assert price(plus, "singapore") == {"usd": Decimal("0.03")}
    assert price(plus, "beijing") == {"usd": Decimal("0.028671")}
    older = row("dashscope", "qwen-image")
    assert price(older, "singapore") == price(older, "beijing") == {"usd": Decimal("0.035")}
    assert not plus.experimental


RETIRED = """
    qwen-image qwen-image-plus qwen-image-max qwen-image-max-2025-12-30 qwen-image-edit-plus qwen-image-edit-max
"""


def test_what_the_vendor_takes_away_is_announced_with_a_day_a_source_and_a_replacement() -> None:
    assert {model.id for model in ROWS if model.retires} == set(RETIRED.split())
    for name in RETIRED.split():
        told = row("dashscope", name)
        assert (told.retires, told.replacement) == ("2026-10-10", "qwen-image-2.0")
        assert told.retires_source.startswith("announced by the vendor")


def test_a_limit_by_the_minute_is_one_by_the_second_and_the_stricter_holds() -> None:
    assert row("dashscope", "qwen-image-3.0").rate() == 5 / 60
    assert row("dashscope", "qwen-image-3.0").rate(rps=2) == 2  # what the manifest says takes the row's place
    assert row("dashscope", "qwen-image-3.0").rate(rpm=30) == 0.5
    assert row("dashscope", "qwen-image-plus").rate(rps=2, rpm=30) == 0.5
    assert row("dashscope", "qwen-image-2.0-pro", rps=3).rate() == 3
    assert row("dashscope", "qwen-image-plus", rpm=30).rate() == 0.5
    assert row("placeholder").rate() == 0


def test_wan_takes_nine_references_and_draws_4k_only_without_them() -> None:
    wan, pro = row("dashscope", "wan2.7-image"), row("dashscope", "wan2.7-image-pro")
    assert (wan.inputs_max, wan.negative_limit, wan.call("auto")) == (9, None, "async")
    assert pro.size("4096*4096") == ("4096*4096", "")
    with pytest.raises(ValueError, match="589,824 to 4,194,304 pixels"):
        wan.size("4096*4096")
    assert pro.inputs_fault("2048*2048") == ""
    assert "with reference images" in pro.inputs_fault("4096*4096")


def test_how_a_lost_answer_is_settled_is_a_column_of_the_row() -> None:
    said = {name: row.recovery for name, row in Catalog.load().families.items()}
    known = {"placeholder": "resend", "dashscope": "listing", "apiframe": "resend", "qwen2512": "none", "openai": "none"}
    assert said == known


def test_the_default_model_of_each_family_is_a_current_one() -> None:
    for family in Catalog.load().families:
        assert Catalog.load().default(family).retires == ""
    assert Catalog.load().default("dashscope").id == "qwen-image-2.0"


def test_what_is_asynchronous_is_called_so_because_it_can_be_resumed() -> None:
    assert row("dashscope", "qwen-image-plus").call("auto") == "async"
    assert row("dashscope", "qwen-image-plus").call("sync") == "sync"
    assert row("dashscope", "qwen-image-2.0").call("auto") == "sync"


def test_a_manifest_corrects_the_table() -> None:
    cheap = row("dashscope", "qwen-image-plus", price={"usd": "0.01"}, concurrency=9)
    assert price(cheap, "beijing") == {"usd": Decimal("0.01")}
    assert (cheap.in_flight, cheap.price_source) == (9, "the manifest")
    free = row("dashscope", "qwen-image-plus", price={})
    assert price(free, "beijing") == {}
    unknown = row("dashscope", "qwen-image-plus", price=None)
    assert price(unknown, "beijing") is None


def test_a_corrected_ratio_leaves_the_others_as_they_are() -> None:
    corrected = row("dashscope", "qwen-image-plus", aliases={"4:3": "1472*1104"})
    assert (corrected.size("4:3")[0], corrected.size("16:9")[0]) == ("1472*1104", "1664*928")


def test_a_manifest_can_describe_a_model_the_table_does_not_know() -> None:
    described = {"family": "dashscope", "price": {"usd": "0.5"}, "rps": 5}
    new = Catalog.load({"qwen-image-9": described}).find("dashscope", "qwen-image-9")
    assert new is not None
    assert (new.price, new.rate()) == ({"usd": Decimal("0.5")}, 5)
    assert Catalog.load({"qwen-image-9": {"price": {"usd": "0.5"}}}).find("dashscope", "qwen-image-9") is None


@pytest.mark.parametrize("wrong", [{"prise": {"usd": 1}}, {"price": {"usd": "cheap"}}, {"price": "0.03"}])
def test_a_correction_that_cannot_be_read_is_an_input_error(wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"models\.qwen-image"):
        Catalog.load({"qwen-image": wrong})


def test_an_unknown_model_is_none_with_near_misses_or_gets_the_strictest_pace() -> None:
    catalog = Catalog.load()
    assert catalog.find("dashscope", "qwen-image-pluss") is None
    assert catalog.near("dashscope", "qwen-image-pluss")[0] == "qwen-image-plus"
    stranger = catalog.find("dashscope", "qwen-image-9", allow_unknown=True)
    assert stranger is not None
    assert (stranger.price, stranger.experimental, round(stranger.rate() * 60)) == (None, True, 2)
    assert catalog.find("openai", "anybody/anything") is not None
    assert catalog.find("nobody", None) is None


@pytest.mark.parametrize("text", ["", "big", "0*5", "1:0", "12*", "1024*1024*3", "-1*5", "16/9"])
def test_what_is_no_size_is_refused(text: str) -> None:
    for model in (row("dashscope", "qwen-image-2.0"), row("dashscope", "qwen-image-plus"), row("placeholder")):
        with pytest.raises(ValueError, match=r"."):
            model.size(text)


@pytest.mark.parametrize("ratio", ["1:1", "3:2", "2:3", "5:4", "21:9", "7:5"])
def test_a_ratio_gives_a_size_of_about_that_shape_within_bounds(ratio: str) -> None:
    wide, high = map(int, ratio.split(":"))
    for model in (row("dashscope", "qwen-image-2.0"), row("dashscope", "z-image-turbo"), row("placeholder"), row("openai")):
        width, height = map(int, model.size(ratio)[0].split("*"))
        assert abs(width / height - wide / high) < 0.06
        assert model.size(f"{width}*{height}") == (f"{width}*{height}", "")


def test_a_listed_size_that_was_mistyped_gets_a_near_miss() -> None:
    with pytest.raises(ValueError, match=r"did you mean 1664\*928"):
        row("dashscope", "qwen-image-plus").size("1664*929")


def test_tokens_are_estimated_and_wide_characters_count_one_each() -> None:
    model = row("dashscope", "qwen-image-2.0")
    assert model.length("提" * 1301) == 1301
    assert model.length("a" * 1301) == 434


def test_the_page_of_the_providers_names_each_type_variable_and_address() -> None:
    page = (Path(__file__).parent.parent / "docs" / "providers.md").read_text(encoding="utf-8")
    for family in Catalog.load().families.values():
        assert f"| `{family.name}` |" in page
        assert all(address in page for address in family.regions.values())
        assert family.key_env in page or family.name == "openai"


def test_asking_the_table_imports_nothing_heavy() -> None:
    code = "import sys, qwenbuild.resolve, qwenbuild.catalog as c; c.Catalog.load(); "
    code += "print([n for n in ('httpx', 'pydantic', 'PIL', 'yaml', 'jinja2', 'asyncio', 'sqlite3') if n in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
