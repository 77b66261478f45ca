"""One manifest through every API on the emulator: each prompt bought once with every field, and nothing bought again."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from qwenbuild.emulator import Served
from qwenbuild.errors import InputError
from tests.walking import Project

APIS: dict[str, dict[str, Any]] = {
    "dashscope async": {"type": "dashscope", "mode": "async", "model": "qwen-image-plus", "size": "1664*928", "asked": "16:9"},
    "dashscope sync": {"type": "dashscope", "mode": "sync", "model": "qwen-image-2.0", "size": "2688*1536", "asked": "16:9"},
    "apiframe": {"type": "apiframe", "model": "qwen-image-2", "size": "1664*928", "asked": "16:9"},
    "qwen2512": {"type": "qwen2512", "model": "qwen-image-2512", "size": "1536*1024", "asked": "1536*1024"},
    "openai": {"type": "openai", "model": "Qwen/Qwen-Image-2512", "size": "1664*928", "asked": "1664*928"},
}
UNITS = {"dashscope": "usd", "apiframe": "apiframe", "qwen2512": "qwen2512"}


def manifest(api: dict[str, Any]) -> str:
    mode = f"mode: {api['mode']}, " if "mode" in api else ""
    negative = "" if api["type"] == "qwen2512" else ", negative_prompt: blurry and dark"
    numbers = ", ".join(f"n{number}" for number in range(21))
    return f"""\
version: 1
provider: {api["type"]}
providers:
  {api["type"]}: {{{mode}model: {api["model"]}, limits: {{rps: 200, concurrency: 10}}}}
defaults: {{seed: 41, params: {{size: "{api["asked"]}"{negative}}}}}
assets:
  lanterns: {{prompt: "a paper lantern {{{{ n }}}}", matrix: {{n: [{numbers}]}}}}
  kites: {{prompt: "风筝 {{{{ n }}}} “Zoë’s”", seed: 0, matrix: {{n: [{numbers}]}}}}
"""


PROMPTS = sorted([f"a paper lantern n{n}" for n in range(21)] + [f"风筝 n{n} “Zoë’s”" for n in range(21)])


@pytest.mark.parametrize("name", APIS)
def test_each_prompt_is_bought_once_with_every_field_and_never_again(walked: Project, emulated: Served, name: str) -> None:
    api = APIS[name]
    walked.manifest(manifest(api))
    summary = walked.build()
    assert (summary.exit_code, summary.counts) == (0, {"generated": 42})
    jobs = emulated.ledger()
    assert sorted(job["prompt"] for job in jobs) == PROMPTS
    assert {(job["model"], job["size"]) for job in jobs} == {(api["model"], api["size"])}
    assert {job["seed"] for job in jobs if job["prompt"].startswith("a paper")} == {41}
    assert {job["seed"] for job in jobs if job["prompt"].startswith("风筝")} == {0}
    assert {job["negative_prompt"] for job in jobs} == {"" if api["type"] == "qwen2512" else "blurry and dark"}
    assert sorted(walked.tree().values()) == sorted(job["pictures"][0] for job in jobs)
    assert walked.build().counts == {"fresh": 42, "modified": 0}
    assert len(emulated.ledger()) == 42
    assert emulated.leaks() == []


@pytest.mark.parametrize("name", APIS)
def test_what_is_said_to_be_spent_is_what_the_emulator_took(walked: Project, emulated: Served, name: str) -> None:
    api = APIS[name]
    walked.manifest(manifest(api))
    spent = walked.build().spent
    taken = {unit: Decimal(amount) for unit, amount in emulated.spent().items() if Decimal(amount)}
    assert spent == taken


CANNOT = {
    "a negative prompt on qwen2512": ("qwen2512", "{negative_prompt: blurry}", "params.negative_prompt"),
    "an unlisted size on qwen2512": ("qwen2512", '{size: "800*600"}', "params.size"),
    "a pixel size on apiframe": ("apiframe", '{size: "1024*1024"}', "params.size"),
    "a ratio that apiframe lacks": ("apiframe", '{size: "5:4"}', "params.size"),
    "prompt rewriting on apiframe": ("apiframe", "{prompt_extend: true}", "params.prompt_extend"),
    "a watermark on qwen2512": ("qwen2512", "{watermark: true}", "params.watermark"),
    "an unlisted size on dashscope": ("dashscope", '{size: "1000*1000"}', "params.size"),
    "steps on dashscope": ("dashscope", "{num_inference_steps: 30}", "params.num_inference_steps"),
    "webp on dashscope": ("dashscope", "{output_format: webp}", "params.output_format"),
}


@pytest.mark.parametrize("case", CANNOT)
def test_what_an_api_cannot_express_is_named_with_its_place_and_nothing_is_sent(
    walked: Project, emulated: Served, case: str
) -> None:
    provider, params, path = CANNOT[case]
    model = "model: qwen-image-plus, " if provider == "dashscope" else ""
    walked.manifest(
        f"version: 1\nprovider: {provider}\nassets:\n  lantern:\n    {model.rstrip(', ') or 'tags: []'}\n"
        f"    prompt: a lantern\n    params: {params}\n"
    )
    with pytest.raises(InputError) as caught:
        walked.build()
    problem = caught.value.problems[0]
    assert problem.path == f"assets.lantern.{path}"
    assert problem.mark is not None
    assert problem.mark.line == 7
    assert emulated.requests() == []


@pytest.mark.parametrize("value", ["false", '""', "null"])
def test_false_empty_and_null_never_need_expressing(walked: Project, emulated: Served, value: str) -> None:
    name = "prompt_extend" if value == "false" else "negative_prompt"
    walked.manifest(f"version: 1\nprovider: qwen2512\nassets:\n  lantern: {{prompt: a lantern, params: {{{name}: {value}}}}}\n")
    assert walked.build().exit_code == 0
    assert emulated.prompts() == ["a lantern"]


@pytest.mark.parametrize(("provider", "limit"), [("apiframe", 2000), ("qwen2512", 2000)])
def test_a_prompt_that_an_api_would_refuse_is_refused_before_it_is_sent(
    walked: Project, emulated: Served, provider: str, limit: int
) -> None:
    walked.manifest(f"version: 1\nprovider: {provider}\nassets:\n  lantern: {{prompt: {'a' * (limit + 1)}}}\n")
    with pytest.raises(InputError, match=f"{limit + 1:,}|{limit + 1}"):
        walked.build()
    assert emulated.requests() == []


def test_a_prompt_that_dashscope_would_cut_is_warned_about_and_refused_under_strict(walked: Project, emulated: Served) -> None:
    walked.manifest(f"version: 1\nprovider: dashscope\nassets:\n  lantern: {{prompt: {'a' * 801}, model: qwen-image-plus}}\n")
    assert "prompt-too-long" in [notice.code for notice in walked.plan().notices]
    with pytest.raises(InputError, match="801"):
        walked.build(strict=True)
    assert emulated.requests() == []
    assert walked.build().exit_code == 0
    assert emulated.prompts() == ["a" * 801]


def test_a_model_that_nobody_knows_needs_to_be_allowed(walked: Project, emulated: Served) -> None:
    walked.manifest("version: 1\nprovider: dashscope\nassets:\n  lantern: {prompt: a lantern, model: qwen-imagine}\n")
    with pytest.raises(InputError, match="qwen-imagine"):
        walked.build()
    walked.edit("provider: dashscope\n", "provider: dashscope\nproviders: {dashscope: {allow_unknown_model: true}}\n")
    assert walked.plan().plan.unknown_price == 1
    assert emulated.requests() == []


WEBHOOKS = {"apiframe": ("webhook_url", "qwen-image-2"), "qwen2512": ("callback_url", "qwen-image-2512")}


@pytest.mark.parametrize("provider", WEBHOOKS)
def test_a_webhook_is_passed_on_and_is_no_part_of_the_key(walked: Project, emulated: Served, provider: str) -> None:
    field, model = WEBHOOKS[provider]
    base = f"version: 1\nprovider: {provider}\nassets:\n  lantern: {{prompt: a lantern, model: {model}}}\n"
    walked.manifest(base + f"providers: {{{provider}: {{webhook: 'https://hooks.example.com/q'}}}}\n")
    assert walked.build().exit_code == 0
    sent = [request for request in emulated.requests() if request["method"] == "POST"]
    assert field in str(sent[0])
    walked.manifest(base)
    assert walked.build().counts == {"fresh": 1, "modified": 0}


def test_a_webhook_is_refused_where_the_api_takes_none_and_over_plain_http(walked: Project, emulated: Served) -> None:
    asset = "assets:\n  lantern: {prompt: a lantern}\n"
    for provider, address in (("dashscope", "https://hooks.example.com/q"), ("apiframe", "http://hooks.example.com/q")):
        walked.manifest(f"version: 1\nprovider: {provider}\nproviders: {{{provider}: {{webhook: '{address}'}}}}\n{asset}")
        with pytest.raises(InputError, match="webhook"):
            walked.build()
    assert emulated.requests() == []
