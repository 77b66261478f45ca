"""Every row of the model table through a whole build on the emulator; retired, soon retiring and unknown models."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal

import pytest

from qwenbuild.catalog import Catalog, Model
from qwenbuild.emulator import Served
from qwenbuild.errors import InputError
from qwenbuild.images import placeholder_png
from qwenbuild.model import Action
from tests.campaign.part_http import hurried
from tests.walking import Project

ROWS = {family: [row for row in Catalog.load().rows() if row.family == family] for family in ("dashscope", "apiframe")}


@pytest.fixture(autouse=True)
def _hurried() -> Iterator[None]:
    with hurried():
        yield


def asset(number: int, row: Model) -> str:
    inputs = ", inputs: [reference.png]" if row.inputs_min else ""
    return f"  m{number}: {{prompt: 'picture {number}', model: {row.id}, seed: {number}{inputs}}}\n"


@pytest.mark.parametrize(
    ("family", "settings"), [("dashscope", "mode: auto"), ("dashscope", "mode: sync"), ("apiframe", "dialect: openapi")]
)
def test_every_model_of_the_table_is_drawn_by_its_own_call(
    walked: Project, emulated: Served, family: str, settings: str
) -> None:
    emulated.configure(dialect="openapi")
    rows = ROWS[family]
    reference = Action("placeholder", "placeholder", "a reference", "512*512", 1)
    (walked.folder / "reference.png").write_bytes(placeholder_png(reference))
    walked.manifest(
        f"version: 1\nprovider: {family}\nproviders: {{{family}: {{{settings}, limits: {{rps: 500, concurrency: 8}}}}}}\n"
        + "assets:\n"
        + "".join(asset(number, row) for number, row in enumerate(rows))
    )
    summary = walked.build()
    assert (summary.exit_code, summary.failures) == (0, ())
    jobs = {job["prompt"]: job for job in emulated.ledger()}
    assert {prompt: job["model"] for prompt, job in jobs.items()} == {f"picture {n}": row.id for n, row in enumerate(rows)}
    assert [jobs[f"picture {n}"]["seed"] for n in range(len(rows))] == list(range(len(rows)))
    if family == "dashscope":
        asynchronous = {row.id for row in rows if "async" in row.calls and settings == "mode: auto"}
        assert {job["model"] for job in jobs.values() if job["call"] != "sync"} == asynchronous
    sent = len(emulated.ledger())
    assert walked.build().counts == {"fresh": len(rows), "modified": 0}
    assert len(emulated.ledger()) == sent


WAN = """\
version: 1
provider: dashscope
providers: {dashscope: {limits: {rps: 200, concurrency: 4}}}
assets:
  lamp: {prompt: a lamp, model: wan2.7-image-pro, params: {size: "4096*4096"}}
  shelf: {prompt: "nine lamps on a shelf", model: wan2.7-image, inputs: [%s]}
"""


def test_wan_draws_4k_and_takes_nine_references_and_the_bill_is_the_plans_price(walked: Project, emulated: Served) -> None:
    walked.manifest(WAN % ", ".join(["{entry: lamp}"] * 9))
    planned = walked.plan().plan.cost
    assert walked.build().exit_code == 0
    lamp, shelf = emulated.ledger()
    assert [len(lamp["pictures"]), lamp["size"], lamp["call"]] == [1, "4096*4096", "async"]
    assert [part.keys() for part in shelf["fields"]["input"]["messages"][0]["content"]] == [{"image"}] * 9 + [{"text"}]
    parameters = {"size": "2048*2048", "n": 1, "watermark": False, "seed": 0, "thinking_mode": True}
    assert shelf["fields"]["parameters"] == parameters
    assert {unit: Decimal(amount) for unit, amount in emulated.spent().items()} == planned == {"usd": Decimal("0.11")}


def test_what_wan_cannot_do_is_said_before_anything_is_sent(walked: Project, emulated: Served) -> None:
    walked.manifest(WAN.replace("wan2.7-image,", "wan2.7-image-pro, params: {size: 4096*4096}, ") % "{entry: lamp}")
    with pytest.raises(InputError, match="with reference images"):
        walked.build()
    walked.manifest(WAN.replace("wan2.7-image,", "wan2.7-image, params: {negative_prompt: blur}, ") % "{entry: lamp}")
    with pytest.raises(InputError, match="cannot express negative_prompt"):
        walked.build()
    assert emulated.ledger() == []


LANTERNS = """\
version: 1
provider: dashscope
providers: {{dashscope: {{limits: {{rps: 200, concurrency: 4}}}}}}
models: {{qwen-image-plus: {{retires: "{retires}"}}}}
assets:
  lantern: {{prompt: a lantern, model: qwen-image-plus}}
"""


def day(offset: int) -> str:
    return (date.today() + timedelta(days=offset)).isoformat()


def manifest(offset: int | None) -> str:
    return LANTERNS.format(retires="" if offset is None else day(offset))


def notices(walked: Project) -> list[str]:
    return [notice.code for notice in walked.plan().notices if notice.code.startswith("model-")]


@pytest.mark.parametrize(("offset", "told"), [(-1, ["model-retired"]), (20, ["model-retires"]), (400, []), (None, [])])
def test_a_retirement_date_is_said_and_stops_nothing_even_under_strict(
    walked: Project, emulated: Served, offset: int | None, told: list[str]
) -> None:
    walked.manifest(manifest(offset))
    assert notices(walked) == told
    assert walked.build(strict=True).exit_code == 0
    assert emulated.prompts() == ["a lantern"]


def test_a_model_that_retires_after_its_picture_was_made_changes_nothing(walked: Project, emulated: Served) -> None:
    walked.manifest(manifest(None))
    walked.build()
    emulated.fault("submit", "refuse", status=404, code="ModelNotFound", message="retired", times=None)
    walked.manifest(manifest(-1))
    assert walked.verdicts() == {"lantern": "fresh"}
    assert walked.build(strict=True).counts == {"fresh": 1, "modified": 0}
    walked.lose("outputs")
    assert walked.build().counts["restored"] == 1
    assert walked.build(locked=True).exit_code == 0
    assert len(emulated.prompts()) == 1


def test_a_retired_model_that_must_draw_something_new_stops_with_the_apis_word(walked: Project, emulated: Served) -> None:
    walked.manifest(manifest(-1))
    walked.build()
    emulated.fault("submit", "refuse", status=404, code="ModelNotFound", message="retired", times=None)
    walked.edit("assets:\n", "assets:\n  kite: {prompt: a kite, model: qwen-image-plus}\n")
    assert walked.verdicts() == {"lantern": "fresh", "kite": "generate"}
    summary = walked.build()
    assert (summary.exit_code, len(summary.failures)) == (1, 1)
    assert "ModelNotFound" in summary.failures[0][2]
    assert (walked.out / "lantern.png").exists()


@pytest.mark.parametrize("family", ["dashscope", "apiframe", "qwen2512"])
def test_an_unknown_model_is_refused_at_its_place_with_the_near_miss(walked: Project, emulated: Served, family: str) -> None:
    near = {"dashscope": "qwen-image-pluss", "apiframe": "qwen-image-22", "qwen2512": "qwen-image-2513"}[family]
    walked.manifest(f"version: 1\nprovider: {family}\nassets:\n  lantern:\n    prompt: a lantern\n    model: {near}\n")
    with pytest.raises(InputError) as caught:
        walked.build()
    problem = caught.value.problems[0]
    assert problem.mark is not None
    assert problem.mark.line == 6
    assert near in problem.message
    assert emulated.requests() == []


def test_an_unknown_model_that_is_allowed_has_no_price_and_the_strictest_pace(walked: Project, emulated: Served) -> None:
    emulated.configure(enforce=True)
    walked.manifest(
        "version: 1\nprovider: dashscope\nproviders: {dashscope: {allow_unknown_model: true}}\n"
        "assets:\n  lantern: {prompt: a lantern, model: qwen-image-9}\n"
    )
    planned = walked.plan()
    assert planned.plan.unknown_price == 1
    row = Catalog.load().find("dashscope", "qwen-image-9", allow_unknown=True)
    assert row is not None
    assert (row.rate(), row.in_flight, row.price) == (pytest.approx(2 / 60), 1, None)
    assert walked.build(yes=True).exit_code == 1
    assert [request["phase"] for request in emulated.requests()] == ["submit"]
