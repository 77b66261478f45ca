"""The emulator speaks Apiframe v2 in both of its dialects; asked with plain HTTP."""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import httpx
import pytest

from qwenbuild.emulator import Served


class Caller:
    def __init__(self, served: Served) -> None:
        self.base = served.environ()["QWENBUILD_APIFRAME_BASE_URL"] + "/v2"
        self.headers = {"X-API-Key": served.environ()["APIFRAME_API_KEY"]}

    def submit(self, prompt: str = "a lantern", key: str = "", **body: Any) -> httpx.Response:
        headers = self.headers | ({"Idempotency-Key": key} if key else {})
        return httpx.post(
            f"{self.base}/images/generate", json={"model": "qwen-image-2", "prompt": prompt, **body}, headers=headers
        )

    def get(self, path: str) -> httpx.Response:
        return httpx.get(self.base + path, headers=self.headers)

    def job(self, **body: Any) -> str:
        return str(self.submit(**body).json()["jobId"])


@pytest.fixture
def caller(emulator: Served) -> Caller:
    return Caller(emulator)


def test_a_job_is_accepted_with_202_and_ends_with_a_picture(emulator: Served, caller: Caller) -> None:
    emulator.configure(latency=30)
    answer = caller.submit(qwenParams={"negative_prompt": "blurry", "seed": 7})
    assert answer.status_code == 202
    assert set(answer.json()) == {"jobId", "status"}
    job = answer.json()["jobId"]
    assert caller.get(f"/jobs/{job}").json()["status"] in ("QUEUED", "PROCESSING")
    emulator.advance(31)
    done = caller.get(f"/jobs/{job}").json()
    assert (done["id"], done["status"], done["creditCost"], done["progress"]) == (job, "COMPLETED", 3, 100)
    assert httpx.get(done["result"]["images"][0]).content == emulator.picture_for(job)
    [entry] = emulator.ledger()
    assert {
        "prompt": "a lantern",
        "negative_prompt": "blurry",
        "seed": 7,
        "charged": {"apiframe": "3"},
    }.items() <= entry.items()


@pytest.mark.parametrize(
    ("shape", "unwrap"),
    [("images", lambda result: result["images"][0]), ("list", lambda result: result[0]), ("string", lambda result: result),
     ("url", lambda result: result["url"])],
)  # fmt: skip
def test_a_result_has_one_of_four_shapes(emulator: Served, caller: Caller, shape: Any, unwrap: Any) -> None:
    emulator.configure(result_shape=shape)
    job = caller.job()
    emulator.advance(1)
    assert unwrap(caller.get(f"/jobs/{job}").json()["result"]).startswith(emulator.storage_url)


def test_each_dialect_refuses_the_words_of_the_other(emulator: Served, caller: Caller) -> None:
    docs: dict[str, Any] = {"qwenParams": {"seed": 1}, "webhook_url": "https://example.com/h"}
    openapi: dict[str, Any] = {"qwenImage2Params": {"seed": 1}, "webhookUrl": "https://example.com/h"}
    refused = caller.submit(**openapi)
    assert refused.status_code == 400
    assert set(refused.json()["details"]) == set(openapi)
    assert caller.submit(**docs).status_code == 202
    emulator.configure(dialect="openapi")
    assert set(caller.submit(**docs).json()["details"]) == set(docs)
    assert caller.submit(**openapi).status_code == 202
    emulator.configure(dialect="lenient")
    assert [caller.submit(**body).status_code for body in (docs, openapi)] == [202, 202]


@pytest.mark.parametrize(
    "body",
    [{"prompt": ""}, {"prompt": "p" * 2001}, {"model": "dall-e"}, {"qwenParams": {"negative_prompt": "n" * 501}}, {"n": 1},
     {"qwenParams": {"seed": 1.5}}, {"qwenParams": {"seed": True}}, {"qwenParams": {"size": "1*1"}}, {"qwenParams": "x"},
     {"qwenParams": {"aspect_ratio": "2:1"}}, {"size": "1328*1328"}],
)  # fmt: skip
def test_what_it_cannot_express_is_refused_with_details(emulator: Served, caller: Caller, body: dict[str, Any]) -> None:
    answer = caller.submit(**{"prompt": "x", **body})
    assert answer.status_code == 400
    assert answer.json()["details"]
    assert emulator.ledger() == []


def test_the_same_idempotency_key_gives_the_same_job_and_another_body_a_conflict(emulator: Served, caller: Caller) -> None:
    first, again = caller.submit(key="k1").json(), caller.submit(key="k1").json()
    assert first["jobId"] == again["jobId"]
    assert caller.submit(prompt="other", key="k1").status_code == 409
    assert emulator.prompts() == ["a lantern"]
    assert emulator.ledger()[0]["idempotency_key"] == "k1"
    assert emulator.state()["replays"] == 1
    emulator.advance(86401)
    assert caller.submit(key="k1").json()["jobId"] != first["jobId"]


def test_a_lost_answer_is_found_again_by_its_key(emulator: Served, caller: Caller) -> None:
    emulator.fault("accepted", "close")
    with pytest.raises(httpx.RemoteProtocolError):
        caller.submit(key="k1")
    assert caller.submit(key="k1").json()["jobId"] == emulator.ledger()[0]["task"]
    assert len(emulator.ledger()) == 1


def test_credits_run_out_with_numbers_and_come_back_after_a_failure(emulator: Served, caller: Caller) -> None:
    emulator.configure(latency=60, accounts={"apiframe": {"credits": 5}}, refuse_words=("forbidden",))
    job = caller.job(prompt="a forbidden thing")
    answer = caller.submit()
    assert answer.status_code == 402
    assert answer.json() == {"error": "Insufficient credits", "creditsRequired": 3, "creditsAvailable": 2}
    emulator.advance(61)
    failed = caller.get(f"/jobs/{job}").json()
    assert (failed["status"], failed["creditCost"], failed["result"]) == ("FAILED", 0, None)
    assert "content policy" in failed["error"]
    assert caller.get("/me").json()["team"]["credits"] == 5
    assert caller.submit().status_code == 202


def test_too_many_at_once_get_429_with_a_retry_after(strict_emulator: Served) -> None:
    strict_emulator.freeze()
    caller = Caller(strict_emulator)
    answers = [caller.submit() for _ in range(3)]
    assert [answer.status_code for answer in answers] == [202, 202, 429]
    assert answers[2].headers["retry-after"] == "1"


def test_bad_keys_bad_ids_and_strangers(emulator: Served, caller: Caller) -> None:
    assert httpx.post(f"{caller.base}/images/generate", json={}).json() == {"error": "API key is required"}
    caller.headers["X-API-Key"] = "afk_wrong"
    assert caller.submit().json() == {"error": "Invalid API key"}
    caller = Caller(emulator)
    assert caller.get("/jobs/not-a-uuid").status_code == 400
    assert caller.get("/jobs/22222222-3333-4444-8555-666666666666").status_code == 404
    emulator.configure(accounts={"apiframe": {"inactive": True}})
    assert caller.submit().status_code == 403


def test_after_a_day_the_files_are_gone_and_it_says_so(emulator: Served, caller: Caller) -> None:
    job = caller.job()
    emulator.advance(86500)
    old = caller.get(f"/jobs/{job}").json()
    assert (old["status"], old["expired"], old["result"]) == ("COMPLETED", True, None)


def test_jobs_are_listed_newest_first_with_a_cursor(caller: Caller) -> None:
    jobs = [caller.job() for _ in range(3)]
    first = caller.get("/jobs?limit=2").json()
    assert [job["id"] for job in first["jobs"]] == [jobs[2], jobs[1]]
    assert first["hasMore"]
    rest = caller.get(f"/jobs?limit=2&cursor={first['nextCursor']}").json()
    assert [job["id"] for job in rest["jobs"]] == [jobs[0]]
    assert not rest["hasMore"]


@pytest.fixture
def listener() -> Iterator[tuple[str, list[tuple[dict[str, str], bytes]]]]:
    told: list[tuple[dict[str, str], bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told.append(
                (
                    {name.lower(): value for name, value in self.headers.items()},
                    self.rfile.read(int(self.headers["content-length"])),
                )
            )
            self.send_response(204)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            """Silent."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/hook", told
        server.shutdown()
        thread.join()


def wait_for(condition: Any) -> None:
    deadline = time.monotonic() + 5
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert condition()


def test_a_webhook_is_told_and_signed_with_the_digest_of_the_key(emulator: Served, caller: Caller, listener: Any) -> None:
    url, told = listener
    job = caller.job(webhook_url=url)
    emulator.advance(1)
    wait_for(lambda: emulator.webhooks() and emulator.webhooks()[0]["status"])
    [(headers, body)] = told
    secret = hashlib.sha256(caller.headers["X-API-Key"].encode()).digest()
    assert headers["x-webhook-signature"] == "sha256=" + hmac.new(secret, body, hashlib.sha256).hexdigest()
    assert headers["x-webhook-event"] == "completed"
    notice = json.loads(body)
    assert (notice["event"], notice["jobId"], notice["status"], notice["creditCost"]) == ("completed", job, "COMPLETED", 3)
    wait_for(lambda: caller.get(f"/jobs/{job}").json()["webhookStatus"] == "delivered")


def test_a_webhook_outside_this_machine_is_noted_and_not_told(emulator: Served, caller: Caller) -> None:
    caller.job(webhook_url="https://example.com/hook")
    emulator.advance(1)
    wait_for(emulator.webhooks)
    [line] = emulator.webhooks()
    assert line["url"] == "https://example.com/hook"
    assert "loopback only" in line["note"]


@pytest.mark.parametrize(
    ("params", "named"),
    [
        ({"acceleration": "warp"}, "qwenImageParams.acceleration"),
        ({"image_size": "16:9"}, "qwenImageParams.image_size"),
        ({"aspect_ratio": "16:9"}, "qwenImageParams.aspect_ratio"),
        ({"num_images": 5}, "qwenImageParams.num_images"),
        ({"num_inference_steps": 2.5}, "qwenImageParams.num_inference_steps"),
        ({"strength": True}, "qwenImageParams.strength"),
        ({"guidance_scale": 21}, "qwenImageParams.guidance_scale"),
    ],
)
def test_the_first_models_own_parameters_are_checked_by_name(emulator: Served, params: dict[str, object], named: str) -> None:
    emulator.configure(dialect="openapi")
    key = emulator.environ()["APIFRAME_API_KEY"]
    body = {"model": "qwen-image", "prompt": "a lantern", "qwenImageParams": params}
    answer = httpx.post(f"{emulator.url}/apiframe/v2/images/generate", headers={"X-API-Key": key}, json=body)
    assert answer.status_code == 400
    assert list(answer.json()["details"]) == [named]


def test_the_first_model_draws_as_many_pictures_as_asked_for_in_its_own_sizes(emulator: Served) -> None:
    emulator.configure(dialect="openapi")
    headers = {"X-API-Key": emulator.environ()["APIFRAME_API_KEY"]}
    params = {
        "image_size": "portrait_16_9",
        "num_images": 2,
        "output_format": "jpeg",
        "seed": 3,
        "image_url": "https://x.example/a",
    }
    body = {"model": "qwen-image", "prompt": "a lantern", "qwenImageParams": params}
    job = httpx.post(f"{emulator.url}/apiframe/v2/images/generate", headers=headers, json=body).json()["jobId"]
    emulator.advance(1)
    shown = httpx.get(f"{emulator.url}/apiframe/v2/jobs/{job}", headers=headers).json()
    assert (len(shown["result"]["images"]), shown["creditCost"]) == (2, 6)
    (kept,) = emulator.ledger()
    assert (kept["size"], kept["format"], kept["seed"]) == ("576*1024", "jpeg", 3)
    assert httpx.get(shown["result"]["images"][1]).content[:3] == b"\xff\xd8\xff"
