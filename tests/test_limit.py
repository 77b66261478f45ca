"""--limit: the plan, the question, the cap and the budget are of the pictures that this build may buy, and of no others."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from qwenbuild.emulator import Served
from qwenbuild.errors import GateStop
from qwenbuild.report.plan_json import summary_json
from qwenbuild.report.plan_text import plan_summary
from qwenbuild.report.terminal import Terminal
from tests.walking import Project

HEAD = """\
version: 1
provider: dashscope
providers:
  dashscope: {region: singapore, mode: auto, limits: {rps: 200, concurrency: 20}}
defaults: {params: {size: "1:1", prompt_extend: false}, model: qwen-image-plus}
assets:
"""
MANY = HEAD + "".join(
    f'  {name}: {{prompt: "{name} {{{{ n }}}}", matrix: {{n: [{", ".join(f"n{at}" for at in range(98))}]}}}}\n'
    for name in ("left", "right")
)
CENT = Decimal("0.03")


def test_a_limited_build_is_asked_for_and_capped_by_what_it_may_buy(walked: Project, emulated: Served) -> None:
    walked.manifest(MANY)
    summary = walked.build(yes=False, limit=1, max_cost={"usd": Decimal("0.10")})
    assert (summary.exit_code, summary.spent, len(emulated.prompts())) == (3, {"usd": CENT}, 1)
    assert walked.ask(True, limit=1).exit_code == 3
    assert (walked.asked[-1].plan.cost, len(emulated.prompts())) == ({"usd": CENT}, 2)


@pytest.mark.parametrize(("cap", "limit", "sent"), [("0.06", 2, 2), ("0.06", 3, 0), ("5.88", 196, 196)])
def test_the_cap_holds_the_limited_set_and_nothing_else(
    walked: Project, emulated: Served, cap: str, limit: int, sent: int
) -> None:
    walked.manifest(MANY)
    said: dict[str, Any] = {"yes": False, "limit": limit, "max_cost": {"usd": Decimal(cap)}}
    if sent:
        walked.build(**said)
    else:
        with pytest.raises(GateStop, match=r"costs 0\.09 USD, more than --max-cost"):
            walked.build(**said)
    assert len(emulated.prompts()) == sent


def test_the_budget_stops_a_limited_build_only_when_that_part_does_not_fit(walked: Project, emulated: Served) -> None:
    walked.manifest(MANY.replace("version: 1\n", 'version: 1\nbudget: {usd: "0.06"}\n'))
    with pytest.raises(GateStop, match=r"0\.09 USD, more than the manifest's budget"):
        walked.build(limit=3)
    assert emulated.prompts() == []
    assert walked.build(limit=2).exit_code == 3
    assert len(emulated.prompts()) == 2


def test_the_limit_is_of_what_was_selected(walked: Project, emulated: Served) -> None:
    walked.manifest(MANY)
    walked.build(yes=False, limit=2, select=("right/*",), max_cost={"usd": Decimal("0.06")})
    assert sorted(emulated.prompts()) == ["right n0", "right n1"]


def test_a_limited_plan_says_what_it_buys_and_how_much_is_left(walked: Project, emulated: Served) -> None:
    walked.manifest(MANY)
    made = walked.plan(limit=3).plan
    said = " ".join(plan_summary(made, Terminal()))
    assert "3 to generate, 193 left for later builds" in said
    assert "Cost: $0.09," in said
    told = summary_json(made)
    assert (told["generate"], told["left"], told["cost"], told["seconds"]) == (3, 193, {"usd": "0.09"}, 15)


def test_what_the_limit_leaves_is_not_braked(walked: Project, emulated: Served) -> None:
    walked.manifest(MANY)
    walked.build()
    walked.lose("cache", "outputs")
    with pytest.raises(GateStop) as stop:
        walked.build()
    assert stop.value.code == "brake"
    assert walked.build(limit=10).exit_code == 3
    assert len(emulated.prompts()) == 196 + 10


VARIANTS = HEAD + "  hero: {prompt: a hero, variants: 4}\n"
ICONS = """\
version: 1
provider: dashscope
providers: {dashscope: {model: qwen-image-2.0, limits: {rps: 500, concurrency: 20}}}
defaults: {params: {size: "1024*1024", prompt_extend: false}}
assets:
  icons:
    prompt: an icon
    model: qwen-image-edit
    params: {size: null}
    inputs: [{entry: hero}]
    variants: 4
  hero: {prompt: a hero}
"""


def test_each_variant_is_a_picture_and_the_one_in_use_comes_first(walked: Project, emulated: Served) -> None:
    walked.manifest(VARIANTS)
    assert walked.build(limit=1).exit_code == 3
    assert (len(emulated.prompts()), len(walked.tree())) == (1, 1)
    assert walked.plan(limit=2).plan.cost == {"usd": 2 * CENT}
    assert walked.build(limit=2).exit_code == 3
    assert walked.build(limit=2).exit_code == 0
    assert len(emulated.prompts()) == 4


def test_an_input_is_bought_before_what_builds_on_it_and_unknown_keys_count_one_by_one(
    walked: Project, emulated: Served
) -> None:
    walked.manifest(ICONS)
    for limit, pictures in ((1, ["a hero"]), (2, ["a hero", "an icon", "an icon"])):
        assert walked.build(limit=limit).exit_code == 3
        assert sorted(emulated.prompts()) == pictures


def test_an_input_and_one_variant_of_what_builds_on_it_are_two_pictures(walked: Project, emulated: Served) -> None:
    walked.manifest(ICONS)
    assert walked.build(limit=2).exit_code == 3
    assert sorted(emulated.prompts()) == ["a hero", "an icon"]


def test_a_picture_that_the_provider_fails_to_make_and_makes_anew_costs_its_price_once(
    walked: Project, emulated: Served
) -> None:
    walked.manifest(MANY)
    emulated.fault("job", "failed", code="InternalError.Algo", times=1)
    summary = walked.build(yes=False, limit=1, max_cost={"usd": CENT})
    assert (summary.exit_code, summary.spent, len(emulated.prompts())) == (3, {"usd": CENT}, 2)
    assert emulated.spent() == {"usd": "0.03"}
