"""Each error of each API's table through a whole build: what follows is read from the requests that the emulator saw."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

import pytest

from qwenbuild.emulator import Emulator, Served
from qwenbuild.images import placeholder_png
from qwenbuild.verbs import spend
from tests.campaign.part_http import hurried
from tests.providers.bench import action
from tests.walking import Project

APIS = {
    "dashscope async": "type: dashscope, mode: async, model: qwen-image-plus",
    "dashscope sync": "type: dashscope, mode: sync, model: qwen-image-plus",
    "apiframe": "type: apiframe",
    "qwen2512": "type: qwen2512",
    "openai": "type: openai, model: Qwen/Qwen-Image-2512",
}
SENT = {"refused": 1, "again": 2, "once": 2, "tired": 5, "throttled": 6, "doubt": 1, "resent": 2, "stopped": 1}
"""How often the prompt of an entry leaves: `tired` is an error that stays, `once` one after which a single try follows."""
COUNTED = {
    "refused": "refused", "again": "generated", "once": "failed", "tired": "failed", "throttled": "failed", "doubt": "doubt",
    "resent": "generated",
}  # fmt: skip


@dataclass(frozen=True)
class Row:
    """An error in the API's own envelope, and what the table says: see SENT, and for `stopped` the exit code."""

    status: int
    code: str
    message: str
    then: str
    exit: int = 0
    headers: dict[str, str] = field(default_factory=dict)


def refusals(*codes: str, status: int = 400) -> list[Row]:
    return [Row(status, code, "as ordered", "refused") for code in codes]


def stops(exit: int, *codes: str, status: int, message: str = "as ordered") -> list[Row]:
    return [Row(status, code, message, "stopped", exit) for code in codes]


DASHSCOPE = [
    *refusals("InvalidParameter", "InvalidParameter.Foo", "DataInspectionFailed", "data_inspection_failed"),
    *refusals("IPInfringementSuspect", "InvalidURL", "InvalidURL.ConnectionRefused", "BadRequest.InputDownloadFailed"),
    *refusals("BadRequest.EmptyInput", "BadRequest.IllegalInput", "BadRequest.TooLarge"),
    *refusals("SomethingNew", status=422),
    Row(400, "InvalidParameter.DataInspection", "could not download media", "once"),
    Row(400, "InvalidURL.Timeout", "input image timed out", "once"),
    Row(409, "Conflict", "as ordered", "once"),
    Row(500, "InternalError.Timeout", "as ordered", "once"),
    *[Row(429, code, "as ordered", "again") for code in ("Throttling", "Throttling.RateQuota", "LimitRequests")],
    *[Row(429, code, "as ordered", "again") for code in ("Throttling.BurstRate", "Throttling.Concurrency", "Throttling.Foo")],
    *[Row(429, code, "as ordered", "again") for code in ("Throttling.AllocationQuota", "insufficient_quota")],
    Row(429, "Throttling", "for ever", "throttled"),
    *[Row(500, code, "as ordered", "again") for code in ("InternalError", "InternalError.Algo", "InternalError.Upload")],
    *[Row(500, code, "as ordered", "again") for code in ("SystemError", "ModelServiceFailed", "RewriteFailed")],
    *[Row(500, code, "as ordered", "again") for code in ("ResponseTimeout", "SomethingNew", "InternalError.FileUpload")],
    *[Row(503, code, "as ordered", "again") for code in ("ServiceUnavailable", "ModelUnavailable")],
    Row(500, "InternalError", "for ever", "tired"),
]
DASHSCOPE_STOPS = [
    *stops(5, "InvalidApiKey", "invalid_api_key", "NOT AUTHORIZED", status=401),
    *stops(4, "Arrearage", status=400),
    *stops(4, "CommodityNotPurchased", "PrepaidBillOverdue", "PostpaidBillOverdue", status=429),
    *stops(4, "AllocationQuota.FreeTierOnly", status=403),
    *stops(4, "Throttling.AllocationQuota", status=429, message="Free allocated quota exceeded."),
    *stops(1, "AccessDenied", "AccessDenied.Unpurchased", "Model.AccessDenied", "Workspace.AccessDenied", status=403),
    *stops(1, "Endpoint.AccessDenied", status=403),
    *stops(1, "ModelNotFound", "model_not_found", "Model.NotExist", "WorkSpaceNotFound", "NotFound", status=404),
    *stops(1, "InvalidParameter", status=400, message="Model not exist."),
]
UNSETTLED = [Row(408, "RequestTimeOut", "as ordered", "doubt"), Row(504, "GatewayTimeout", "as ordered", "doubt")]
FREE = [replace(row, then="tired") for row in UNSETTLED]
"""What costs nothing is simply asked for again."""
HTTP = [
    *[Row(status, "", "as ordered", "again") for status in (429, 500, 502, 503)],
    Row(429, "", "slow down", "again", headers={"Retry-After": "9"}),
    Row(429, "", "for ever", "throttled"),
    Row(500, "", "for ever", "tired"),
]
"""Errors that only a status tells."""

TABLES: dict[str, list[Row]] = {
    "dashscope async": DASHSCOPE,
    "dashscope sync": [*DASHSCOPE, *UNSETTLED],
    "apiframe": [
        *HTTP,
        Row(400, "", "Validation failed", "refused"),
        Row(409, "", "Idempotency key reused", "refused"),
        Row(504, "", "as ordered", "resent"),
        Row(408, "", "as ordered", "resent"),
    ],
    "qwen2512": [*HTTP, *UNSETTLED, Row(400, "", "Bad Request: invalid size", "refused")],
    "openai": [*HTTP, *FREE, Row(400, "", "size must be WxH", "refused"), Row(422, "", "too many", "refused")],
}
STOPS: dict[str, list[Row]] = {
    "dashscope async": DASHSCOPE_STOPS,
    "dashscope sync": DASHSCOPE_STOPS[::4],
    "apiframe": [
        *stops(5, "", status=401, message="Invalid API key"),
        *stops(4, "", status=402, message="Insufficient credits"),
        *stops(5, "", status=403, message="API key is inactive"),
        *stops(1, "", status=501, message="Not implemented"),
    ],
    "qwen2512": [
        *stops(5, "", status=401, message="Unauthorized"),
        *stops(5, "", status=403, message="Forbidden"),
        *stops(4, "", status=402, message="Payment required"),
        *stops(4, "", status=400, message="Insufficient credits"),
        *stops(1, "", status=404, message="Not found"),
    ],
    "openai": [
        *stops(5, "", status=401, message="Unauthorized"),
        *stops(1, "", status=404, message="The model `x` does not exist"),
        *stops(1, "", status=400, message="The model `x` does not exist"),
    ],
}
FOR_EVER = ("once", "tired", "throttled", "doubt", "stopped")


@pytest.fixture(autouse=True)
def _hurried() -> Iterator[None]:
    with hurried():
        yield


def words(number: int) -> str:
    return f"row {number:03d}."


def stock(walked: Project, settings: str, count: int, concurrency: int = 8) -> None:
    """A project whose entry `rows/7` asks for `row 007.`."""
    rows = "".join(f"      - {{id: {number}, words: '{words(number)}'}}\n" for number in range(count))
    walked.manifest(
        f"version: 1\nprovider: shop\nproviders: {{shop: {{{settings}, limits: {{rps: 1000, concurrency: {concurrency}}}}}}}\n"
        f"assets:\n  rows:\n    prompt: '{{{{ words }}}}'\n    foreach:\n{rows}    id: 'rows/{{{{ id }}}}'\n"
    )


@pytest.fixture
def shop(walked: Project, emulated: Served, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project with a provider called `shop`, which has the key and the address of any type."""
    emulated.configure(latency=0.02)
    return walked


def lead(monkeypatch: pytest.MonkeyPatch, emulated: Served, api: str) -> None:
    family = api.split()[0].upper()
    monkeypatch.setenv("QWENBUILD_SHOP_BASE_URL", emulated.environ()[f"QWENBUILD_{family}_BASE_URL"])


def order(emulated: Served, row: Row, **match: Any) -> None:
    times = None if row.then in FOR_EVER else 1
    rule: dict[str, Any] = {"status": row.status, "code": row.code, "message": row.message, "headers": row.headers}
    emulated.fault("submit", "refuse", times=times, **rule, **match)


def submissions(emulated: Served) -> list[str]:
    """The prompts of all requests that ask for a picture, accepted or not, in the order in which they came."""
    bodies = [json.loads(request["body"]) for request in emulated.requests() if request["phase"] == "submit"]
    return [str(prompt_of(body)) for body in bodies]


def prompt_of(body: dict[str, Any]) -> Any:
    asked = body.get("input", body)
    return asked["messages"][0]["content"][-1]["text"] if "messages" in asked else asked["prompt"]


@pytest.mark.parametrize("api", APIS)
def test_an_error_of_one_entry_is_followed_as_its_table_says_and_disturbs_no_other(
    shop: Project, emulated: Served, monkeypatch: pytest.MonkeyPatch, api: str
) -> None:
    table = TABLES[api]
    lead(monkeypatch, emulated, api)
    stock(shop, APIS[api], len(table) + 3)
    for number, row in enumerate(table):
        order(emulated, row, match=words(number))
    summary = shop.build()
    sent = Counter(submissions(emulated))
    assert sent == {words(number): SENT[table[number].then] if number < len(table) else 1 for number in range(len(table) + 3)}
    expected = Counter(COUNTED[row.then] for row in table) + Counter(generated=3)
    assert summary.counts == expected
    assert summary.exit_code == (6 if expected["doubt"] else 1)
    paid = [job["prompt"] for job in emulated.ledger()]
    assert len(paid) == len(set(paid)) == expected["generated"]


@pytest.mark.parametrize("api", APIS)
def test_what_was_refused_or_is_in_doubt_is_not_sent_again_and_what_failed_is(
    shop: Project, emulated: Served, monkeypatch: pytest.MonkeyPatch, api: str
) -> None:
    table = TABLES[api]
    lead(monkeypatch, emulated, api)
    stock(shop, APIS[api], len(table))
    for number, row in enumerate(table):
        order(emulated, row, match=words(number))
    shop.build()
    emulated.clear_faults()
    before = len(submissions(emulated))
    shop.build()
    failed = {words(number) for number, row in enumerate(table) if COUNTED[row.then] == "failed"}
    assert sorted(submissions(emulated)[before:]) == sorted(failed)


@pytest.mark.parametrize(
    ("api", "row"),
    [(api, row) for api in APIS for row in STOPS[api]],
    ids=lambda value: value if isinstance(value, str) else f"{value.status} {value.code}",
)
def test_an_error_of_the_account_stops_it_at_the_first_answer_and_is_said_once(
    shop: Project, emulated: Served, monkeypatch: pytest.MonkeyPatch, api: str, row: Row
) -> None:
    lead(monkeypatch, emulated, api)
    stock(shop, APIS[api], 4, concurrency=1)
    order(emulated, row)
    summary = shop.build()
    assert len(submissions(emulated)) == 1
    assert summary.exit_code == row.exit
    assert len(summary.failures) == 1
    assert emulated.ledger() == []
    emulated.clear_faults()
    assert shop.build().counts == {"generated": 4}


def test_an_allocation_that_stays_used_up_stops_the_account_in_the_end(
    shop: Project, emulated: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    lead(monkeypatch, emulated, "dashscope")
    stock(shop, APIS["dashscope async"], 3, concurrency=1)
    emulated.fault("submit", "refuse", status=429, code="Throttling.AllocationQuota", message="quota exceeded", times=None)
    assert shop.build().exit_code == 4
    assert Counter(submissions(emulated)) == {words(0): 6}


def test_apiframe_is_asked_again_under_the_same_idempotency_key_and_a_new_attempt_has_another(
    shop: Project, emulated: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    lead(monkeypatch, emulated, "apiframe")
    stock(shop, APIS["apiframe"], 2)
    emulated.fault("accepted", "reset", match=words(0))
    emulated.fault("job", "failed", match=words(1), code="InternalError.Algo")
    assert shop.build().exit_code == 0
    keys: dict[str, list[str]] = {}
    for request, prompt in zip(sent_requests(emulated), submissions(emulated), strict=True):
        keys.setdefault(prompt, []).append(request["headers"]["idempotency-key"])
    assert [len(keys[words(0)]), len(set(keys[words(0)]))] == [2, 1]
    assert [len(keys[words(1)]), len(set(keys[words(1)]))] == [2, 2]
    assert Counter(job["prompt"] for job in emulated.ledger()) == {words(0): 1, words(1): 2}


def sent_requests(emulated: Served) -> list[dict[str, Any]]:
    return [request for request in emulated.requests() if request["phase"] == "submit"]


JOBS = {
    "refused content": ("failed", {"code": "DataInspectionFailed"}, 1, 1),
    "failed once": ("failed", {"code": "InternalError.Algo"}, 2, 0),
    "failed always": ("failed", {"code": "InternalError.Algo", "times": None}, 3, 1),
    "canceled": ("canceled", {}, 2, 0),
    "forgotten": ("unknown", {}, 1, 6),
    "no picture": ("no_url", {}, 1, 1),
}


TASKS = ["dashscope async", "apiframe", "qwen2512"]


@pytest.mark.parametrize(
    ("api", "case"), [(api, case) for api in TASKS for case in JOBS if (api, case) != ("qwen2512", "canceled")]
)
def test_how_a_task_ends_decides_how_often_its_prompt_is_sent(
    shop: Project, emulated: Served, monkeypatch: pytest.MonkeyPatch, api: str, case: str
) -> None:
    kind, rule, sent, code = JOBS[case]
    lead(monkeypatch, emulated, api)
    stock(shop, APIS[api], 2)
    emulated.fault("job", kind, match=words(0), **rule)
    assert shop.build().exit_code == code
    assert Counter(submissions(emulated)) == {words(0): sent, words(1): 1}
    shop.build()
    assert Counter(submissions(emulated))[words(0)] in ({sent} if case != "failed always" else {sent + 3})


@pytest.mark.parametrize("status", [429, 500, 502, 503])
@pytest.mark.parametrize("api", TASKS)
def test_an_error_while_asking_for_a_task_is_asked_again_and_never_submitted_again(
    shop: Project, emulated: Served, monkeypatch: pytest.MonkeyPatch, api: str, status: int
) -> None:
    lead(monkeypatch, emulated, api)
    stock(shop, APIS[api], 2)
    emulated.fault("poll", "refuse", status=status, code="Throttling" if status == 429 else "InternalError", times=3)
    assert shop.build().exit_code == 0
    assert sorted(submissions(emulated)) == [words(0), words(1)]


@pytest.mark.parametrize("api", TASKS)
def test_a_key_refused_while_asking_keeps_the_ticket_for_the_next_build(
    shop: Project, emulated: Served, monkeypatch: pytest.MonkeyPatch, api: str
) -> None:
    lead(monkeypatch, emulated, api)
    stock(shop, APIS[api], 2, concurrency=1)
    emulated.fault("poll", "refuse", status=401, code="InvalidApiKey", message="bad key", times=None)
    assert shop.build().exit_code == 5
    assert len(submissions(emulated)) == 1
    emulated.clear_faults()
    assert shop.build().exit_code == 0
    assert sorted(submissions(emulated)) == [words(0), words(1)]


@pytest.mark.parametrize(
    ("before", "after"),
    [("type: apiframe", "type: apiframe, webhook: 'https://hooks.example.com/q'"), ("dialect: docs", "dialect: openapi")],
)
def test_a_lost_answer_is_settled_under_its_key_also_when_the_settings_have_changed_since(
    shop: Project, emulated: Served, monkeypatch: pytest.MonkeyPatch, before: str, after: str
) -> None:
    lead(monkeypatch, emulated, "apiframe")
    emulated.configure(dialect="lenient")
    stock(shop, "type: apiframe, dialect: docs", 1)
    emulated.fault("accepted", "reset")
    emulated.fault("submit", "reset", at=2, times=None)
    assert shop.build().exit_code == 1
    emulated.clear_faults()
    shop.edit(before, after)
    assert shop.build().exit_code == 0
    assert emulated.prompts() == [words(0)]


def test_a_picture_of_another_size_is_kept_and_stays_on_the_bill(
    shop: Project, emulated: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    lead(monkeypatch, emulated, "dashscope sync")
    stock(shop, APIS["dashscope sync"], 3, concurrency=1)
    small = placeholder_png(action("dashscope", size="64*64"))
    honest = Emulator.picture_for

    def drawn(self: Emulator, task: str, index: int = 0) -> bytes:
        return small if self.book.by_id[task].order.prompt == words(0) else honest(self, task, index)

    monkeypatch.setattr(Emulator, "picture_for", drawn)
    summary = shop.build()
    assert (summary.exit_code, summary.spent) == (1, {"usd": Decimal("0.09")})
    ledger = spend(shop.options())
    assert ledger.total == {"usd": Decimal("0.09")} == dict(ledger.estimated)
    bad = next(line for line in ledger.attempts if line["code"] == "bad-picture")
    assert (bad["outcome"], bad["price"], bad["billed"]) == ("refused", {"usd": "0.03"}, None)
    aside = [path.read_bytes() for path in (shop.cache_dir / "quarantine").iterdir() if not path.suffix]
    assert aside == [small]
    assert shop.build().exit_code == 1
    assert sorted(submissions(emulated)) == [words(0), words(1), words(2)]
