"""One manifest through every API on the emulator: each prompt bought once with every field, and nothing bought again."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import httpx
import pytest

from qwenbuild.emulator import Served
from qwenbuild.errors import GateStop, InputError
from qwenbuild.transport.connection import Connection
from qwenbuild.transport.http1 import Http1Transport
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
def test_the_very_bytes_that_leave_stand_in_the_journal_before(
    walked: Project, emulated: Served, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Looked up by another reader of the file, at the moment in which the request is handed to its connection."""
    walked.manifest(manifest(APIS[name]))
    leave, written = Http1Transport.handle_async_request, []

    async def watched(self: Http1Transport, request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            with walked.cache() as cache:
                written.append(request.content in {attempt.body for attempt in cache.journal.live()})
        return await leave(self, request)

    monkeypatch.setattr(Http1Transport, "handle_async_request", watched)
    assert walked.build().exit_code == 0
    assert written == [True] * 42


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


def test_everything_that_apis_cannot_express_is_named_at_once_with_line_and_column(walked: Project, emulated: Served) -> None:
    lines = ["version: 1", "assets:"]
    wanted: list[tuple[str, int, int]] = []
    for number, (provider, params, path) in enumerate(CANNOT.values()):
        model = ", model: qwen-image-plus" if provider == "dashscope" else ""
        lines.append(f"  a{number}: {{prompt: a lantern, provider: {provider}{model}, params: {params}}}")
        name = path.removeprefix("params.")
        wanted.append((f"assets.a{number}.{path}", len(lines), lines[-1].index(name, lines[-1].index("params:") + 7)))
    walked.manifest("\n".join(lines) + "\n")
    with pytest.raises(InputError) as caught:
        walked.plan()
    found = {problem.path: problem.mark for problem in caught.value.problems}
    assert list(found) == [path for path, _, _ in wanted]
    for path, line, column in wanted:
        mark = found[path]
        assert mark is not None
        assert (mark.line, mark.column > column) == (line, True)
    assert emulated.requests() == []


@pytest.mark.parametrize("shape", ["images", "list", "string", "url"])
@pytest.mark.parametrize("dialect", ["docs", "openapi"])
def test_apiframes_dialects_and_shapes_of_a_result_give_the_same_files(
    walked: Project, emulated: Served, dialect: str, shape: str
) -> None:
    emulated.configure(dialect=dialect, result_shape=shape)
    hook = "webhook: 'https://hooks.example.com/q'"
    walked.manifest(
        f"version: 1\nprovider: apiframe\nproviders: {{apiframe: {{dialect: {dialect}, {hook}}}}}\nassets:\n"
        "  lantern: {prompt: a lantern, seed: 3, params: {size: '16:9', negative_prompt: dark}}\n"
    )
    assert walked.build().exit_code == 0
    (job,) = emulated.ledger()
    assert (job["size"], job["seed"], job["negative_prompt"]) == ("1664*928", 3, "dark")
    assert job["fields"]["webhook_url" if dialect == "docs" else "webhookUrl"] == "https://hooks.example.com/q"
    assert list(walked.tree().values()) == job["pictures"]
    walked.edit(f"dialect: {dialect}, {hook}", "dialect: " + ("openapi" if dialect == "docs" else "docs"))
    assert walked.build().counts == {"fresh": 1, "modified": 0}


def test_the_wrong_dialect_stops_at_the_first_answer_and_names_the_other(walked: Project, emulated: Served) -> None:
    emulated.configure(dialect="openapi")
    walked.manifest("version: 1\nprovider: apiframe\nassets:\n  lantern: {prompt: 'a {{ n }}', matrix: {n: [n0, n1, n2]}}\n")
    summary = walked.build()
    assert (len(emulated.requests()), len(summary.failures), emulated.ledger()) == (1, 1, [])
    assert "dialect: openapi" in summary.failures[0][2]


@pytest.mark.parametrize("always_200", [False, True])
@pytest.mark.parametrize("kind", ["jpeg", "png", "webp"])
def test_qwen2512_gives_the_format_asked_for_and_a_failure_inside_a_success_is_a_failure(
    walked: Project, emulated: Served, kind: str, always_200: bool
) -> None:
    emulated.configure(always_200=always_200, refuse_words=["kite"])
    walked.manifest(
        f"version: 1\nprovider: qwen2512\ndefaults: {{params: {{output_format: {kind}}}}}\n"
        "assets:\n  lantern: {prompt: a lantern, seed: 0}\n  kite: {prompt: a kite}\n"
    )
    summary = walked.build()
    assert (summary.exit_code, summary.counts) == (1, {"generated": 1, "refused": 1})
    assert summary.spent == {"qwen2512": Decimal(5)}
    assert [job["format"] for job in emulated.ledger()] == [kind, kind]
    assert {job["seed"] for job in emulated.ledger()} == {0}
    assert not any("-1" in request["body"] for request in emulated.requests())


@pytest.mark.parametrize("server", ["vllm", "sglang"])
def test_both_self_hosted_servers_are_built_through_free_of_charge_and_with_rounded_sizes(
    walked: Project, emulated: Served, server: str
) -> None:
    emulated.configure(server=server)
    walked.manifest(
        "version: 1\nprovider: openai\nproviders: {openai: {weights: 'bf16', model: Qwen/Qwen-Image-2512}}\nassets:\n"
        "  lantern: {prompt: a lantern, seed: 3, params: {size: '1000*601', num_inference_steps: 20}}\n"
    )
    assert "size-rounded" in [notice.code for notice in walked.plan().notices]
    summary = walked.build(yes=False)
    assert (summary.exit_code, summary.spent) == (0, {})
    (job,) = emulated.ledger()
    assert job["fields"] == {
        "model": "Qwen/Qwen-Image-2512", "prompt": "a lantern", "negative_prompt": " ", "n": 1, "size": "992x592",
        "num_inference_steps": 20, "true_cfg_scale": 4.0, "seed": 3, "response_format": "b64_json", "output_format": "png",
    }  # fmt: skip
    walked.edit("weights: 'bf16'", "weights: 'int4'")
    assert walked.verdicts() == {"lantern": "generate"}


def test_a_self_hosted_server_may_have_a_price_that_the_gate_asks_about(walked: Project, emulated: Served) -> None:
    walked.manifest(
        "version: 1\nprovider: openai\nmodels: {Qwen/Qwen-Image-2512: {price: {usd: '0.004'}}}\n"
        "assets:\n  lantern: {prompt: a lantern, model: Qwen/Qwen-Image-2512}\n"
    )
    assert walked.plan().plan.cost == {"usd": Decimal("0.004")}
    with pytest.raises(GateStop):
        walked.build(yes=False)
    assert emulated.requests() == []
    assert walked.build().spent == {"usd": Decimal("0.004")}


@pytest.mark.parametrize("name", APIS)
def test_at_a_limit_that_the_manifest_names_no_submission_is_refused(
    walked: Project, strict_emulator: Served, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    for variable, value in strict_emulator.environ().items():
        monkeypatch.setenv(variable, value)
    places = 1 if name == "openai" else 3
    strict_emulator.configure(rate=4, concurrency=places, overflow="refuse", rate_grace=0.1, latency=0.3)
    walked.manifest(
        manifest(APIS[name]).replace("rps: 200, concurrency: 10", f"rps: 4, concurrency: {places}")
        .replace(", ".join(f"n{number}" for number in range(21)), "n0, n1, n2, n3")
    )  # fmt: skip
    assert walked.build().counts == {"generated": 8}
    (seen,) = strict_emulator.limits_seen()
    assert (seen["accepted"], seen["refused_rate"], seen["refused_concurrency"]) == (8, 0, 0)
    assert seen["max_in_flight"] <= places


@pytest.mark.parametrize("name", ["dashscope async", "dashscope sync"])
def test_a_server_far_away_refuses_nothing_either(
    walked: Project, strict_emulator: Served, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Connecting takes a third of a second: each is ready before its time, and leaves at it."""
    for variable, value in strict_emulator.environ().items():
        monkeypatch.setenv(variable, value)
    near = Connection.connect

    async def far(self: Connection, *args: Any, **kwargs: Any) -> None:
        await asyncio.sleep(0.3)
        await near(self, *args, **kwargs)

    monkeypatch.setattr(Connection, "connect", far)
    strict_emulator.configure(rate=10, concurrency=100, overflow="refuse", rate_grace=0.1, latency=0.1)
    walked.manifest(manifest(APIS[name]).replace("rps: 200, concurrency: 10", "rps: 10, concurrency: 100"))
    assert walked.build().counts == {"generated": 42}
    (seen,) = strict_emulator.limits_seen()
    assert (seen["accepted"], seen["refused_rate"]) == (42, 0)
