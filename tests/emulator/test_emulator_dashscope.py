"""The emulator speaks DashScope as the vendor's pages describe it; asked with plain HTTP, not with our own client."""

from __future__ import annotations

import io
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from PIL import Image

from qwenbuild.emulator import Emulator, Served

SYNC = "/services/aigc/multimodal-generation/generation"
TEXT = "/services/aigc/text2image/image-synthesis"
THIRD = "/services/aigc/image-generation/generation"
ASYNC = {"X-DashScope-Async": "enable"}


class Caller:
    """Calls one region with one key."""

    def __init__(self, served: Served, region: str = "singapore", key: str | None = None) -> None:
        env = served.environ(region)
        self.base = env["QWENBUILD_DASHSCOPE_BASE_URL"]
        self.key = env["DASHSCOPE_API_KEY"] if key is None else key
        self.served = served
        self.headers = {"Authorization": f"Bearer {self.key}"}

    def get(self, url: str, **more: Any) -> httpx.Response:
        return httpx.get(url, headers=self.headers, **more)

    def post(self, path: str, body: Any = None, **headers: str) -> httpx.Response:
        return httpx.post(self.base + path, json=body, headers=self.headers | headers)

    def text(
        self, prompt: str = "a lantern", model: str = "qwen-image-plus", negative: str = "", **parameters: Any
    ) -> httpx.Response:
        body = {"model": model, "input": {"prompt": prompt, "negative_prompt": negative}, "parameters": parameters}
        return self.post(TEXT, body, **ASYNC)

    def sync(self, prompt: str = "a lantern", model: str = "qwen-image-plus", **parameters: Any) -> httpx.Response:
        messages = [{"role": "user", "content": [{"text": prompt}]}]
        return self.post(SYNC, {"model": model, "input": {"messages": messages}, "parameters": parameters})

    def task(self, task: str) -> dict[str, Any]:
        answer = self.get(f"{self.base}/tasks/{task}")
        assert answer.status_code == 200
        return dict(answer.json())

    def finished(self, task: str) -> dict[str, Any]:
        self.served.advance(1)
        return dict(self.task(task)["output"])

    def url(self, **parameters: Any) -> str:
        task = self.text(**parameters).json()["output"]["task_id"]
        return str(self.finished(task)["results"][0]["url"])


@pytest.fixture
def caller(emulator: Served) -> Caller:
    return Caller(emulator)


def test_a_task_goes_from_pending_over_running_to_a_picture_of_the_size_asked(emulator: Served, caller: Caller) -> None:
    emulator.configure(pending=10, latency=10)
    emulator.freeze()
    accepted = caller.text(size="928*1664", prompt_extend=False).json()
    assert set(accepted) == {"output", "request_id"}
    assert accepted["output"]["task_status"] == "PENDING"
    task = accepted["output"]["task_id"]
    seen = [caller.task(task)["output"]["task_status"]]
    for _ in range(2):
        emulator.advance(10.5)
        seen.append(caller.task(task)["output"]["task_status"])
    assert seen == ["PENDING", "RUNNING", "SUCCEEDED"]
    answer = caller.task(task)
    result = answer["output"]["results"][0]
    assert answer["usage"] == {"image_count": 1}
    assert "code" not in answer["output"]
    assert set(result) == {"orig_prompt", "url"}
    picture = httpx.get(result["url"])
    assert picture.headers["content-type"] == "image/png"
    image = Image.open(io.BytesIO(picture.content))
    image.load()
    assert image.size == (928, 1664)
    assert picture.content == emulator.picture_for(task)


def test_a_synchronous_call_answers_with_the_picture(emulator: Served, caller: Caller) -> None:
    answer = caller.sync(size="1472*1140").json()
    assert set(answer) == {"output", "usage", "request_id"}
    assert answer["usage"] == {"width": 1472, "height": 1140, "image_count": 1}
    assert answer["output"]["task_metric"] == {"TOTAL": 1, "FAILED": 0, "SUCCEEDED": 1}
    [choice] = answer["output"]["choices"]
    assert choice["finish_reason"] == "stop"
    assert Image.open(io.BytesIO(httpx.get(choice["message"]["content"][0]["image"]).content)).size == (1472, 1140)


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        ({}, "No API-key provided."),
        ({"Authorization": "Bearer"}, "No API-key provided."),
        ({"Authorization": "Basic x"}, "No API-key provided."),
        ({"Authorization": "Bearer sk-nobody"}, "Invalid API-key provided."),
    ],
)
def test_without_a_good_key_it_answers_401(emulator: Served, headers: dict[str, str], message: str) -> None:
    base = emulator.environ()["QWENBUILD_DASHSCOPE_BASE_URL"]
    answer = httpx.post(base + SYNC, json={}, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (401, "InvalidApiKey")
    assert message in answer.json()["message"]


def test_regions_share_neither_keys_nor_tasks(emulator: Served, caller: Caller) -> None:
    emulator.configure(latency=60)
    beijing_with_singapore_key = Caller(emulator, "beijing", caller.key)
    assert beijing_with_singapore_key.text().status_code == 401
    task = caller.text().json()["output"]["task_id"]
    assert Caller(emulator, "beijing").task(task)["output"] == {"task_id": task, "task_status": "UNKNOWN"}
    assert Caller(emulator, key="sk-emulated-singapore-0002").task(task)["output"]["task_status"] in ("PENDING", "RUNNING")


def test_the_wrong_kind_of_call_is_denied(caller: Caller) -> None:
    body = {"model": "qwen-image-plus", "input": {"prompt": "x"}}
    answer = caller.post(TEXT, body)
    assert answer.status_code == 403
    assert "does not support synchronous calls" in answer.json()["message"]
    messages = {"model": "qwen-image-2.0", "input": {"messages": [{"role": "user", "content": [{"text": "x"}]}]}}
    answer = caller.post(SYNC, messages, **ASYNC)
    assert answer.status_code == 403
    assert "does not support asynchronous calls" in answer.json()["message"]


GOOD = {"role": "user", "content": [{"text": "x"}]}


BAD_MESSAGES = [
    [],
    [GOOD, GOOD],
    [{**GOOD, "role": "system"}],
    [{"role": "user", "content": []}],
    [{"role": "user", "content": "x"}],
    [{"role": "user", "content": [{"text": "a"}, {"text": "b"}]}],
    [{"role": "user", "content": [{"text": ""}]}],
    [{"role": "user", "content": [{"image": "https://e.x/a.png"}, {"text": "a"}]}],
    "x",
]
BAD_PARAMETERS: list[dict[str, Any]] = [
    {"n": 2},
    {"n": True},
    {"size": "100*100"},
    {"size": "1328x1328"},
    {"size": 1328},
    {"seed": -1},
    {"seed": 2147483648},
    {"seed": True},
    {"seed": 1.0},
    {"watermark": "no"},
    {"negative_prompt": 3},
]


@pytest.mark.parametrize(
    ("given", "parameters"),
    [
        *(({"messages": messages}, {}) for messages in BAD_MESSAGES),
        *(({"messages": [GOOD]}, parameters) for parameters in BAD_PARAMETERS),
        ([], {}),
    ],
)
def test_a_bad_field_of_a_synchronous_call_is_refused_and_costs_nothing(
    emulator: Served, caller: Caller, given: Any, parameters: dict[str, Any]
) -> None:
    answer = caller.post(SYNC, {"model": "qwen-image-plus", "input": given, "parameters": parameters})
    assert answer.status_code == 400
    assert answer.json()["code"] == "InvalidParameter"
    assert emulator.ledger() == []


def test_broken_json_and_an_unknown_model_are_refused_at_once(caller: Caller) -> None:
    assert httpx.post(caller.base + SYNC, content=b"{", headers=caller.headers).json()["code"] == "InvalidParameter"
    answer = caller.text(model="qwen-image-9")
    assert (answer.status_code, answer.json()["message"]) == (400, "Model not exist.")


def test_the_asynchronous_call_complains_in_the_task_or_at_once_as_configured(emulator: Served, caller: Caller) -> None:
    task = caller.text(size="5*5").json()["output"]["task_id"]
    failed = caller.finished(task)
    assert (failed["task_status"], failed["code"]) == ("FAILED", "InvalidParameter")
    assert emulator.spent() == {}
    emulator.configure(validation="immediate")
    assert caller.text(size="5*5").status_code == 400


def test_what_is_over_the_limit_is_cut_and_not_refused(emulator: Served, caller: Caller) -> None:
    emulator.configure(unique=False)
    answers = [caller.text(prompt="p" * 800 + end, negative="n" * 500 + end, seed=1).json() for end in ("a", "b")]
    tasks = [answer["output"]["task_id"] for answer in answers]
    assert caller.finished(tasks[0])["results"][0]["orig_prompt"].endswith("a")
    assert emulator.picture_for(tasks[0]) == emulator.picture_for(tasks[1])
    assert emulator.prompts() == ["p" * 800 + "a", "p" * 800 + "b"]


def test_the_same_request_can_give_the_same_picture_through_every_call_and_region(emulator: Served, caller: Caller) -> None:
    emulator.configure(unique=False)
    caller.text(seed=5)
    caller.sync(seed=5)
    Caller(emulator, "beijing").text(seed=5, size="1328*1328", prompt_extend=True, watermark=False)
    caller.text(seed=6)
    caller.text()
    caller.text()
    digests = [job["pictures"][0] for job in emulator.ledger()]
    assert digests[0] == digests[1] == digests[2]
    assert len(set(digests)) == 4


def test_no_two_calls_give_the_same_picture_unless_asked_to(emulator: Served, caller: Caller) -> None:
    caller.text(seed=5)
    caller.text(seed=5)
    first, second = emulator.ledger()
    assert first["pictures"] != second["pictures"]


def test_a_rewritten_prompt_is_told_only_when_it_was_rewritten(caller: Caller) -> None:
    rewritten = caller.finished(caller.text().json()["output"]["task_id"])["results"][0]
    assert rewritten["actual_prompt"] not in ("", rewritten["orig_prompt"])
    kept = caller.finished(caller.text(prompt_extend=False).json()["output"]["task_id"])["results"][0]
    assert "actual_prompt" not in kept


def test_a_watermark_can_be_seen(emulator: Served, caller: Caller) -> None:
    emulator.configure(unique=False)
    plain, marked = (httpx.get(caller.url(seed=1, watermark=mark)).content for mark in (False, True))
    assert b"watermark" in marked
    assert b"watermark" not in plain
    image = Image.open(io.BytesIO(marked))
    assert image.getpixel((1327, 1327)) != image.getpixel((1327, 1200))


def test_the_third_submission_within_a_second_is_refused(strict_emulator: Served) -> None:
    strict_emulator.freeze()
    caller = Caller(strict_emulator)
    answers = [caller.text() for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[2].json()["code"] == "Throttling.RateQuota"
    assert caller.text(model="qwen-image").status_code == 200
    strict_emulator.advance(1.001)
    assert caller.text().status_code == 200
    [_, plus] = strict_emulator.limits_seen()
    assert (plus["arrivals"], plus["accepted"], plus["refused_rate"], plus["max_in_window"]) == (4, 3, 1, 2)


def test_the_third_unfinished_task_waits_in_the_queue(strict_emulator: Served) -> None:
    strict_emulator.configure(latency=10, pending=0)
    strict_emulator.freeze()
    caller = Caller(strict_emulator)
    tasks = []
    for _ in range(3):
        tasks.append(caller.text().json()["output"]["task_id"])
        strict_emulator.advance(1.01)
    assert [caller.task(task)["output"]["task_status"] for task in tasks] == ["RUNNING", "RUNNING", "PENDING"]
    strict_emulator.advance(7.5)
    assert [caller.task(task)["output"]["task_status"] for task in tasks] == ["SUCCEEDED", "RUNNING", "RUNNING"]


def test_the_third_unfinished_task_is_refused_when_so_configured(strict_emulator: Served) -> None:
    strict_emulator.configure(latency=60, overflow="refuse", retry_after="7")
    strict_emulator.freeze()
    caller = Caller(strict_emulator)
    answers = []
    for _ in range(3):
        answers.append(caller.text())
        strict_emulator.advance(1.01)
    assert answers[2].status_code == 429
    assert answers[2].json()["code"] == "Throttling.Concurrency"
    assert answers[2].headers["retry-after"] == "7"


def test_two_keys_of_an_account_share_its_limits(strict_emulator: Served) -> None:
    strict_emulator.freeze()
    first, second = Caller(strict_emulator), Caller(strict_emulator, key="sk-emulated-singapore-0002")
    assert [caller.text().status_code for caller in (first, second, first)] == [200, 200, 429]


def test_only_a_pending_task_can_be_canceled(emulator: Served, caller: Caller) -> None:
    emulator.configure(pending=10, latency=10)
    emulator.freeze()
    first, second = (caller.text().json()["output"]["task_id"] for _ in range(2))
    answer = caller.post(f"/tasks/{first}/cancel")
    assert (answer.status_code, set(answer.json())) == (200, {"request_id"})
    assert caller.task(first)["output"]["task_status"] == "CANCELED"
    emulator.advance(11)
    answer = caller.post(f"/tasks/{second}/cancel")
    assert (answer.status_code, answer.json()["code"]) == (400, "UnsupportedOperation")
    emulator.advance(20)
    assert [job["charged"] for job in emulator.ledger()] == [{}, {"usd": "0.03"}]


def test_canceling_lets_the_next_in_the_queue_move_up(emulator: Served, caller: Caller) -> None:
    emulator.configure(concurrency=1, pending=0, latency=10)
    emulator.freeze()
    _, second, third = (caller.text().json()["output"]["task_id"] for _ in range(3))
    assert caller.post(f"/tasks/{second}/cancel").status_code == 200
    emulator.advance(11)
    assert caller.task(third)["output"]["task_status"] == "RUNNING"


def test_a_job_that_moved_up_and_failed_gives_back_what_it_had_reserved(emulator: Served, caller: Caller) -> None:
    emulator.configure(concurrency=1, pending=0, latency=10, accounts={"singapore": {"free": 5}}, refuse_words=["forbidden"])
    emulator.freeze()
    _, second, _ = (caller.text(prompt=prompt).json()["output"]["task_id"] for prompt in ("one", "two", "forbidden"))
    caller.post(f"/tasks/{second}/cancel")
    assert free_used(emulator) == 2
    emulator.advance(20)
    caller.task(second)
    assert free_used(emulator) == 1


def free_used(served: Served) -> int:
    return int(next(one for one in served.state()["accounts"] if one["name"] == "singapore")["used"]["qwen-image-plus"])


def test_a_synchronous_call_answers_when_the_clock_is_pushed_past_its_end(emulator: Served, caller: Caller) -> None:
    emulator.configure(latency=300)
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(caller.sync)
        deadline = time.monotonic() + 10
        while not emulator.prompts() and time.monotonic() < deadline:
            time.sleep(0.01)
        emulator.advance(301)
        assert answer.result(timeout=5).status_code == 200


def test_after_a_day_the_task_is_forgotten_and_the_link_is_dead(emulator: Served, caller: Caller) -> None:
    task = caller.text().json()["output"]["task_id"]
    url = caller.finished(task)["results"][0]["url"]
    assert httpx.get(url).status_code == 200
    emulator.advance(86401)
    assert caller.task(task)["output"] == {"task_id": task, "task_status": "UNKNOWN"}
    dead = httpx.get(url)
    assert dead.status_code == 403
    assert "<Code>AccessDenied</Code><Message>Request has expired.</Message>" in dead.text


def test_a_link_is_signed_and_wants_its_query_back_byte_for_byte(caller: Caller) -> None:
    url = caller.url()
    assert "%2B" in url
    assert "%3D" in url
    assert "SignatureDoesNotMatch" in httpx.get(url.replace("%2B", "+")).text
    assert httpx.get(url.split("?")[0]).status_code == 403
    assert "SignatureDoesNotMatch" in httpx.get(url.replace("Expires=", "Expires=9")).text


def test_a_credential_at_the_storage_is_refused_and_counted(emulator: Served, caller: Caller) -> None:
    url = caller.url()
    assert caller.get(url).status_code == 400
    assert httpx.get(url, headers={"X-API-Key": "afk_x"}).status_code == 400
    assert [leak["headers"] for leak in emulator.leaks()] == [["authorization"], ["x-api-key"]]
    assert httpx.get(url).status_code == 200
    assert len(emulator.leaks()) == 2


def test_the_list_pages_through_tasks_without_their_prompts(emulator: Served, caller: Caller) -> None:
    emulator.configure(latency=60)
    tasks = [caller.text(prompt=f"secret {number}").json()["output"]["task_id"] for number in range(5)]
    answer = caller.get(caller.base + "/tasks", params={"page_no": 2, "page_size": 2})
    listed = answer.json()
    assert [listed[name] for name in ("total", "total_page", "page_no", "page_size")] == [5, 3, 2, 2]
    assert [line["task_id"] for line in listed["data"]] == [tasks[2], tasks[1]]
    assert "secret" not in answer.text
    assert "end_time" not in listed["data"][0]
    emulator.advance(61)
    assert caller.get(caller.base + "/tasks?status=SUCCEEDED&model_name=qwen-image-plus").json()["total"] == 5
    assert caller.get(caller.base + "/tasks?model_name=qwen-image").json()["total"] == 0


def test_a_new_task_is_missing_from_the_list_while_it_lags(emulator: Served, caller: Caller) -> None:
    emulator.configure(listing_lag=30)
    caller.text()
    assert caller.get(caller.base + "/tasks").json()["total"] == 0
    emulator.advance(31)
    assert caller.get(caller.base + "/tasks").json()["total"] == 1


def test_a_window_of_the_list_is_at_most_a_day_and_is_honoured(emulator: Served, caller: Caller) -> None:
    caller.text()
    assert caller.get(caller.base + "/tasks?start_time=20200101000000&end_time=20200103000000").status_code == 400
    assert caller.get(caller.base + "/tasks?start_time=20200101000000&end_time=20200101120000").json()["total"] == 0
    assert caller.get(caller.base + "/tasks?start_time=soon").status_code == 400


def test_the_free_quota_pays_first_and_free_only_stops_there(emulator: Served, caller: Caller) -> None:
    emulator.configure(accounts={"singapore": {"free": 1}}, refuse_words=("forbidden",))
    failed = caller.finished(caller.text(prompt="forbidden thing").json()["output"]["task_id"])
    assert (failed["task_status"], failed["code"]) == ("FAILED", "DataInspectionFailed")
    caller.text()
    caller.text()
    emulator.advance(1)
    assert [job["charged"] for job in emulator.ledger()] == [{}, {}, {"usd": "0.03"}]
    emulator.configure(accounts={"singapore": {"free_only": True}})
    answer = caller.text()
    assert (answer.status_code, answer.json()["code"]) == (403, "AllocationQuota.FreeTierOnly")
    assert caller.text(model="qwen-image").status_code == 200


def test_an_account_in_arrears_or_without_the_model_is_refused(emulator: Served, caller: Caller) -> None:
    emulator.configure(accounts={"singapore": {"unpurchased": ["qwen-image"]}})
    assert caller.text(model="qwen-image").json()["code"] == "AccessDenied.Unpurchased"
    emulator.configure(accounts={"singapore": {"arrears": True}})
    answer = caller.text()
    assert (answer.status_code, answer.json()["code"]) == (400, "Arrearage")


def test_the_second_series_is_synchronous_draws_several_and_takes_pictures_in(emulator: Served, caller: Caller) -> None:
    answer = caller.sync(model="qwen-image-2.0", n=3, size="1024*768").json()
    assert "task_metric" not in answer["output"]
    assert len(answer["output"]["choices"][0]["message"]["content"]) == 3
    assert answer["usage"]["image_count"] == 3
    [job] = emulator.ledger()
    assert len(set(job["pictures"])) == 3
    content = [{"image": "data:image/png;base64,AAAA"}, {"text": "edit it"}]
    body = {"model": "qwen-image-edit", "input": {"messages": [{"role": "user", "content": content}]}}
    assert caller.post(SYNC, body).status_code == 200
    assert caller.sync(model="qwen-image-edit").status_code == 400
    assert caller.sync(model="qwen-image-2.0", size="4096*4096").status_code == 400
    assert caller.sync(model="qwen-image-2.0", n=7).status_code == 400


def test_the_third_series_has_its_own_asynchronous_path_and_shape(emulator: Served, caller: Caller) -> None:
    body = {"model": "qwen-image-3.0", "input": {"messages": [GOOD]}, "parameters": {"size": "1024*1024"}}
    task = caller.post(THIRD, body, **ASYNC).json()["output"]["task_id"]
    emulator.advance(1)
    answer = caller.task(task)
    assert answer["output"]["choices"][0]["message"]["content"][0]["type"] == "image"
    assert answer["usage"]["output_width"] == 1024
    assert caller.text(model="qwen-image-3.0").status_code == 403


def test_z_image_answers_with_a_text_beside_the_picture(caller: Caller) -> None:
    content = caller.sync(model="z-image-turbo").json()["output"]["choices"][0]["message"]["content"]
    assert [list(item) for item in content] == [["image"], ["text"]]


def test_keys_are_struck_out_of_the_request_log(emulator: Served, caller: Caller) -> None:
    caller.text()
    [line] = emulator.requests()
    assert line["headers"]["authorization"] == "Bearer <key of singapore>"
    assert (line["phase"], line["api"], line["region"], line["status"]) == ("submit", "dashscope", "singapore", 200)


def test_settings_and_accounts_that_do_not_exist_are_named(emulator: Served) -> None:
    with pytest.raises(ValueError, match=r"unknown setting 'latncy'; known: .*latency"):
        emulator.configure(latncy=3)
    with pytest.raises(ValueError, match="no account 'nobody'"):
        emulator.configure(accounts={"nobody": {"credits": 3}})


def test_a_reset_forgets_everything_but_the_settings_it_was_made_with() -> None:
    core = Emulator(latency=7)
    core.configure(latency=1, accounts={"apiframe": {"credits": 0}})
    core.fault("submit", "reset")
    core.advance(1000)
    core.reset()
    state = core.state()
    assert state["settings"]["latency"] == 7
    assert state["faults"] == []
    assert [account["credits"] for account in state["accounts"]] == [1_000_000] * 4
