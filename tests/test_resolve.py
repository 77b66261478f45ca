"""Entries become keyed candidates; what an API cannot express is named before anything is paid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from qwenbuild.catalog import read_on
from qwenbuild.key import action_key
from qwenbuild.model import Asset, Entry, InputRef, Manifest, ProviderSettings
from qwenbuild.resolve import Resolved, resolve

TODAY = "2026-11-20"


def entry(provider: str = "dashscope", model: str | None = "qwen-image-plus", **given: Any) -> Entry:
    values: dict[str, Any] = {"prompt": "a lantern", "params": {}, "seed": 7, "outputs": (), **given}
    return Entry(given.pop("id", "a"), "a", provider, model, **{k: v for k, v in values.items() if k != "id"})


def manifest(provider: str = "dashscope", *, params: Mapping[str, Any] | None = None, **settings: Any) -> Manifest:
    providers = {provider: ProviderSettings(provider, settings.pop("type", provider), **settings)} if settings else {}
    return Manifest(
        "qwenbuild.yaml", Path(), provider=provider, providers=providers, assets=(Asset("a", prompt="x", params=params or {}),)
    )


def one(given: Entry, described: Manifest | None = None, today: str = TODAY) -> Resolved:
    return resolve([given], described or manifest(given.provider, params=given.params), today=today)


def action(given: Entry, described: Manifest | None = None) -> Any:
    resolved = one(given, described)
    assert resolved.problems == ()
    return resolved.keyed[0].candidates[0].action


def codes(resolved: Resolved) -> list[str]:
    return [problem.code for problem in resolved.problems]


def test_writing_a_default_gives_the_same_key_as_leaving_it_out() -> None:
    said = {
        "size": "1328x1328",
        "prompt_extend": True,
        "watermark": False,
        "negative_prompt": "",
        "output_format": "png",
        "n": 1,
    }
    assert action_key(action(entry())) == action_key(action(entry(params=said)))


@pytest.mark.parametrize(
    ("provider", "model", "prompt_extend"),
    [
        ("dashscope", None, True),
        ("dashscope", "z-image-turbo", False),
        ("apiframe", None, False),
        ("qwen2512", None, False),
        ("openai", None, False),
        ("placeholder", None, False),
    ],
)
def test_the_servers_default_of_prompt_rewriting_is_made_explicit(
    provider: str, model: str | None, prompt_extend: bool
) -> None:
    assert action(entry(provider, model)).prompt_extend is prompt_extend


@pytest.mark.parametrize(
    ("provider", "model", "written", "resolved"),
    [
        ("dashscope", "qwen-image-plus", "16:9", "1664*928"),
        ("dashscope", "qwen-image-plus", "4:3", "1472*1140"),
        ("dashscope", "qwen-image-plus", "1472x1104", "1472*1104"),
        ("dashscope", "qwen-image-max", "4:3", "1472*1104"),
        ("dashscope", "qwen-image-2.0", "32:18", "2688*1536"),
        ("dashscope", "qwen-image-2.0", "3:2", "2496*1664"),
        ("dashscope", "qwen-image-2.0", "800*600", "800*600"),
        ("apiframe", None, "16:9", "16:9"),
        ("qwen2512", None, "2:3", "1024*1536"),
        ("openai", None, "1472*1140", "1472*1136"),
        ("placeholder", None, "3:4", "1140*1472"),
        ("placeholder", None, "2:1", "1440*720"),
        ("placeholder", "whatever", "64x64", "64*64"),
    ],
)
def test_sizes_are_resolved_before_hashing(provider: str, model: str | None, written: str, resolved: str) -> None:
    assert action(entry(provider, model, params={"size": written})).size == resolved


@pytest.mark.parametrize(
    ("provider", "model", "params", "code"),
    [
        ("dashscope", "qwen-image-plus", {"size": "1000*1000"}, "size"),
        ("dashscope", "qwen-image-2.0", {"size": "4096*4096"}, "size"),
        ("dashscope", "qwen-image-2.0", {"size": "big"}, "size"),
        ("dashscope", "qwen-image-3.0", {"size": "4096*400"}, "size"),
        ("dashscope", "qwen-image-edit", {"size": "1:1"}, "not-expressible"),
        ("dashscope", "qwen-image-plus", {"output_format": "webp"}, "not-expressible"),
        ("dashscope", "qwen-image-plus", {"true_cfg_scale": 4}, "not-expressible"),
        ("dashscope", "qwen-image-plus", {"negativ_prompt": "x"}, "unknown-param"),
        ("dashscope", "qwen-image-plus", {"seed": 4}, "unknown-param"),
        ("dashscope", "qwen-image-plus", {"n": 2}, "unknown-param"),
        ("dashscope", "qwen-image-plus", {"prompt_extend": "perhaps"}, "param-type"),
        ("dashscope", "z-image-turbo", {"negative_prompt": "x"}, "not-expressible"),
        ("apiframe", None, {"size": "1024*1024"}, "size"),
        ("apiframe", None, {"size": "2:1"}, "size"),
        ("apiframe", None, {"watermark": True}, "not-expressible"),
        ("apiframe", None, {"negative_prompt": "n" * 501}, "negative-prompt-too-long"),
        ("qwen2512", None, {"negative_prompt": "blurry"}, "not-expressible"),
        ("qwen2512", None, {"prompt_extend": True}, "not-expressible"),
        ("openai", None, {"num_inference_steps": 500}, "param-type"),
    ],
)
def test_what_an_api_cannot_express_is_a_problem_where_it_was_written(
    provider: str, model: str | None, params: Mapping[str, Any], code: str
) -> None:
    resolved = one(entry(provider, model, params=params))
    assert codes(resolved) == [code]
    assert resolved.problems[0].path == f"assets.a.params.{next(iter(params))}"
    assert resolved.keyed == ()


@pytest.mark.parametrize("value", [False, "", None])
def test_false_and_empty_never_need_expressing(value: Any) -> None:
    names = ("negative_prompt",) if value == "" and value is not False else ("prompt_extend", "watermark")
    assert action(entry("qwen2512", None, params=dict.fromkeys(names, value))) == action(entry("qwen2512", None))


def test_the_place_named_is_the_block_that_said_it() -> None:
    params = {"watermark": True}
    told = manifest("apiframe", params={}, region="singapore")
    settings = ProviderSettings("apiframe", "apiframe", params=params)
    told = Manifest("f", Path(), providers={"apiframe": settings}, assets=told.assets)
    assert one(entry("apiframe", None, params=params), told).problems[0].path == "providers.apiframe.params.watermark"
    told = Manifest("f", Path(), defaults=Asset("", params=params), assets=told.assets)
    assert one(entry("apiframe", None, params=params), told).problems[0].path == "defaults.params.watermark"


def test_the_placeholder_takes_every_model_and_parameter() -> None:
    params = {
        "true_cfg_scale": 4.50,
        "enable_thinking": True,
        "watermark": True,
        "output_format": "webp",
        "n": 3,
        "my_own": "x",
    }
    drawn = action(entry("placeholder", "anything/at-all", params=params))
    assert drawn.extra == (("enable_thinking", True), ("my_own", "x"), ("true_cfg_scale", "4.5"))
    assert drawn.model == "anything/at-all"
    assert drawn.output_format == "png"


def test_a_self_hosted_server_gets_its_defaults_and_its_weights_in_the_key() -> None:
    drawn = action(entry("openai", None), manifest("openai", weights="sha256:1"))
    assert (drawn.negative_prompt, drawn.weights) == (" ", "sha256:1")
    assert drawn.extra == (("num_inference_steps", 50), ("true_cfg_scale", "4"))


def test_a_size_the_server_rounds_is_said() -> None:
    resolved = one(entry("openai", None, params={"size": "1472*1140"}))
    assert [notice.code for notice in resolved.notices] == ["size-rounded"]


def test_an_unlisted_size_is_sent_when_the_provider_says_so() -> None:
    params = {"size": "1000*1000"}
    assert action(entry(params=params), manifest(params=params, allow_unlisted_size=True)).size == "1000*1000"


def test_a_prompt_the_server_would_cut_is_a_warning_with_the_count() -> None:
    resolved = one(entry(prompt="é" * 801, model="qwen-image-plus"))
    assert [(n.code, n.path) for n in resolved.notices if "long" in n.code] == [("prompt-too-long", "assets.a.prompt")]
    assert "801" in resolved.notices[-1].message
    assert len(resolved.keyed) == 1
    assert [n.code for n in one(entry(prompt="é" * 800)).notices] == ["model-retired"]


def test_a_prompt_the_server_would_refuse_is_an_error() -> None:
    assert codes(one(entry("apiframe", None, prompt="é" * 2001))) == ["prompt-too-long"]
    assert codes(one(entry("qwen2512", None, prompt="é" * 2000))) == []


def test_one_warning_stands_for_all_entries_of_an_asset() -> None:
    given = [entry(prompt="x" * 900, id=f"a/{number}") for number in range(5)]
    resolved = resolve(given, manifest(), today=TODAY)
    long = [notice for notice in resolved.notices if notice.code == "prompt-too-long"]
    assert len(long) == 1
    assert "4 more" in long[0].message


def test_prompts_that_differ_only_after_the_cut_have_different_keys() -> None:
    keys = {action_key(action(entry(prompt="x" * 800 + end))) for end in "ab"}
    assert len(keys) == 2


def test_variants_are_candidates_with_following_seeds() -> None:
    keyed = one(entry(variants=3, seed=11)).keyed[0]
    assert [candidate.seed for candidate in keyed.candidates] == [11, 12, 13]
    assert len({candidate.key for candidate in keyed.candidates}) == 3
    more = resolve([entry(variants=2, seed=11)], manifest(), today=TODAY, seeds={"a": [99, 11]})
    assert [candidate.seed for candidate in more.keyed[0].candidates] == [11, 12, 99]


def test_a_seed_past_the_range_is_a_problem() -> None:
    assert codes(one(entry(seed=2147483646, variants=3))) == ["seed-range"]
    assert codes(one(entry(seed=2147483645, variants=3))) == []


def test_an_input_that_is_an_entry_waits_for_its_digest() -> None:
    inputs = (InputRef(file="k.png", digest="a" * 64), InputRef(entry="heroes/kim"))
    candidate = one(entry(model="qwen-image-2.0", inputs=inputs)).keyed[0].candidates[0]
    assert candidate.action.inputs == ("a" * 64, "entry:heroes/kim")
    assert candidate.key == ""


def test_too_many_or_too_few_reference_images_are_a_problem() -> None:
    image = InputRef(file="k.png", digest="a" * 64)
    assert codes(one(entry(inputs=(image,)))) == ["inputs"]
    assert codes(one(entry(model="qwen-image-edit"))) == ["inputs"]
    assert codes(one(entry(model="qwen-image-edit", inputs=(image,) * 4))) == ["inputs"]
    agent = {"prompt_extend_mode": "agent"}
    assert codes(one(entry(model="qwen-image-3.0", params=agent, inputs=(image,)))) == ["not-expressible"]


def test_a_retired_model_is_said_and_stops_nothing() -> None:
    resolved = one(entry())
    assert [notice.code for notice in resolved.notices] == ["model-retired"]
    assert "announced by the vendor" in resolved.notices[0].message
    assert "take qwen-image-2.0" in resolved.notices[0].message
    assert resolved.notices[0].hint == "`qwenbuild migrate --model qwen-image-plus=qwen-image-2.0` moves to it"
    assert len(resolved.keyed) == 1
    assert [notice.code for notice in one(entry(), today="2026-06-01").notices] == ["model-retires"]
    assert one(entry(), today="2025-06-01").notices == ()


def old(days: int) -> str:
    return (date.fromisoformat(read_on()) + timedelta(days)).isoformat()


def test_the_model_tables_age_is_said_once_when_it_is_more_than_90_days() -> None:
    given = [replace(entry(model=None), asset=name, id=name) for name in "ab"]
    told = resolve(given, manifest(), today=old(91)).notices
    assert [(notice.code, notice.path) for notice in told] == [("model-table", "")]
    assert read_on() in told[0].message
    assert resolve(given, manifest(), today=old(90)).notices == ()


def test_where_nothing_is_sold_the_tables_age_is_nobodys_concern() -> None:
    assert one(entry("openai", None), today=old(1000)).notices == ()
    assert one(entry("placeholder", None), today=old(1000)).notices == ()


def test_a_retired_model_is_said_once_however_many_assets_use_it() -> None:
    given = [replace(entry(), asset=name, id=name) for name in "abc"]
    assert len(resolve(given, manifest(), today=TODAY).notices) == 1


def test_an_unknown_model_needs_to_be_allowed_and_then_has_no_price() -> None:
    resolved = one(entry(model="qwen-image-pluss"))
    assert codes(resolved) == ["unknown-model"]
    assert "qwen-image-plus" in resolved.problems[0].hint
    allowed = one(entry(model="qwen-image-9"), manifest(allow_unknown_model=True)).keyed[0]
    assert allowed.price is None
    assert (round(allowed.rps, 4), allowed.in_flight) == (0.0333, 1)


def test_prices_follow_region_and_parameters() -> None:
    assert str(one(entry()).keyed[0].price["usd"]) == "0.03"  # type: ignore[index]
    assert str(one(entry(), manifest(region="beijing")).keyed[0].price["usd"]) == "0.028671"  # type: ignore[index]
    dear = one(entry(model="z-image-turbo", params={"prompt_extend": True})).keyed[0].price
    assert str(dear["usd"]) == "0.03"  # type: ignore[index]
    assert one(entry("openai", None)).keyed[0].price == {}


def test_region_mode_and_webhook_are_not_in_the_key() -> None:
    told = manifest(region="beijing", mode="sync", rps=9.0)
    assert action_key(action(entry(), told)) == action_key(action(entry()))


@pytest.mark.parametrize(
    ("provider", "settings", "code"),
    [
        ("dashscope", {"webhook": "https://team.example/x"}, "webhook"),
        ("apiframe", {"webhook": "http://team.example/x"}, "webhook"),
        ("dashscope", {"base_url": "https://evil.example/api/v1"}, "base-url"),
        ("dashscope", {"base_url": "http://dashscope.aliyuncs.com/api/v1"}, "base-url"),
        ("dashscope", {"base_url": "https://dashscope.aliyuncs.com@evil.example/"}, "base-url"),
        ("dashscope", {"region": "mars"}, "region"),
        ("dashscope", {"mode": "async", "model": "qwen-image-2.0"}, "mode"),
    ],
)
def test_a_providers_block_is_checked_before_anything_is_sent(provider: str, settings: dict[str, Any], code: str) -> None:
    assert codes(one(entry(provider, None), manifest(provider, **settings))) == [code]


@pytest.mark.parametrize(
    ("provider", "settings"),
    [
        ("apiframe", {"webhook": "https://team.example/x"}),
        ("dashscope", {"base_url": "http://127.0.0.1:8000/api/v1"}),
        ("dashscope", {"base_url": "https://abc.cn-beijing.maas.aliyuncs.com/api/v1"}),
        ("openai", {"base_url": "http://gpu-box:8091"}),
    ],
)
def test_a_providers_block_that_is_right_is_quiet(provider: str, settings: dict[str, Any]) -> None:
    assert codes(one(entry(provider, None), manifest(provider, **settings))) == []


def test_correcting_the_table_is_told_apart_from_a_change_of_the_users() -> None:
    told = Manifest("f", Path(), models={"qwen-image-plus": {"aliases": {"4:3": "1472*1104"}}}, assets=(Asset("a"),))
    keyed = one(entry(params={"size": "4:3"}), told).keyed[0]
    assert keyed.candidates[0].action.size == "1472*1104"
    assert keyed.earlier == {"size": ("1472*1140",)}
    assert one(entry()).keyed[0].earlier == {}
