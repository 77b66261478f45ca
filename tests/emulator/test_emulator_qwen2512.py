"""The emulator speaks qwen-image-2512.org's envelope; asked with plain HTTP."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from qwenbuild.emulator import Served


class Caller:
    def __init__(self, served: Served) -> None:
        self.base = served.environ()["QWENBUILD_QWEN2512_BASE_URL"] + "/api"
        self.headers = {"Authorization": "Bearer " + served.environ()["QWEN2512_API_KEY"]}

    def submit(self, **body: Any) -> httpx.Response:
        return httpx.post(f"{self.base}/generate", json=body, headers=self.headers)

    def status(self, task: str) -> httpx.Response:
        return httpx.get(f"{self.base}/status", params={"task_id": task}, headers=self.headers)

    def task(self, **body: Any) -> str:
        return str(self.submit(**{"prompt": "a lantern", **body}).json()["data"]["task_id"])


@pytest.fixture
def caller(emulator: Served) -> Caller:
    return Caller(emulator)


def test_a_task_runs_with_its_credits_taken_and_ends_with_a_picture(emulator: Served, caller: Caller) -> None:
    emulator.configure(latency=30)
    emulator.freeze()
    answer = caller.submit(prompt="a lantern", size="768*1024", seed=3, output_format="png")
    assert answer.status_code == 200
    envelope = answer.json()
    assert (envelope["code"], envelope["data"]["status"]) == (200, "IN_PROGRESS")
    task = envelope["data"]["task_id"]
    emulator.advance(1)
    running = caller.status(task).json()["data"]
    assert (running["status"], running["consumed_credits"], running["response"]) == ("IN_PROGRESS", 5, None)
    emulator.advance(31)
    done = caller.status(task).json()["data"]
    assert (done["status"], done["consumed_credits"]) == ("SUCCESS", 5)
    picture = httpx.get(done["response"][0])
    assert picture.content == emulator.picture_for(task)
    assert picture.headers["content-type"] == "image/png"
    assert {"size": "768*1024", "seed": 3, "charged": {"qwen2512": "5"}}.items() <= emulator.ledger()[0].items()


@pytest.mark.parametrize(
    ("kind", "magic", "start"),
    [("jpeg", b"\xff\xd8\xff", 0), ("png", b"\x89PNG", 0), ("webp", b"WEBP", 8), (None, b"\xff\xd8\xff", 0)],
)
def test_each_format_has_its_own_first_bytes_and_jpeg_is_the_default(
    emulator: Served, caller: Caller, kind: str | None, magic: bytes, start: int
) -> None:
    task = caller.task(**({"output_format": kind} if kind else {}))
    assert emulator.picture_for(task)[start:].startswith(magic)


@pytest.mark.parametrize(
    ("body", "words"),
    [({}, "'prompt' is required"), ({"prompt": "p" * 2001}, "2000"), ({"prompt": "x", "size": "1328*1328"}, "invalid size"),
     ({"prompt": "x", "output_format": "gif"}, "output_format"), ({"prompt": "x", "seed": -2}, "seed"),
     ({"prompt": "x", "seed": 1.5}, "seed")],
)  # fmt: skip
def test_a_bad_field_is_a_400_in_the_envelope_and_costs_nothing(
    emulator: Served, caller: Caller, body: dict[str, Any], words: str
) -> None:
    answer = caller.submit(**body)
    assert (answer.status_code, answer.json()["code"], answer.json()["data"]) == (400, 400, None)
    assert words in answer.json()["message"]
    assert emulator.ledger() == []


def test_a_failed_task_is_a_200_and_gives_its_credits_back(emulator: Served, caller: Caller) -> None:
    emulator.configure(latency=60, accounts={"qwen2512": {"credits": 9}}, refuse_words=("forbidden",))
    task = caller.task(prompt="forbidden")
    answer = caller.submit(prompt="a lantern")
    assert (answer.status_code, answer.json()["code"]) == (402, 402)
    assert "credits" in answer.json()["message"]
    emulator.advance(61)
    failed = caller.status(task).json()
    assert failed["code"] == 200
    assert (failed["data"]["status"], failed["data"]["consumed_credits"]) == ("FAILED", 0)
    assert failed["data"]["error_message"] == "Content policy violation detected"
    assert caller.submit(prompt="a lantern").status_code == 200


def test_the_http_status_may_be_200_whatever_the_code(emulator: Served, caller: Caller) -> None:
    emulator.configure(always_200=True)
    answers = [caller.submit(), caller.status("nobody"), httpx.post(f"{caller.base}/generate", json={})]
    assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [(200, 400), (200, 404), (200, 401)]


def test_strangers_and_old_tasks_are_not_found(emulator: Served, caller: Caller) -> None:
    assert caller.status("nobody").status_code == 404
    task = caller.task()
    emulator.advance(86500)
    assert caller.status(task).status_code == 404


def test_the_second_submission_within_a_second_is_refused(strict_emulator: Served) -> None:
    strict_emulator.freeze()
    caller = Caller(strict_emulator)
    assert [caller.submit(prompt="x").status_code for _ in range(2)] == [200, 429]


def test_a_callback_outside_this_machine_is_noted(emulator: Served, caller: Caller) -> None:
    task = caller.task(callback_url="https://example.com/done")
    assert emulator.ledger()[0]["webhook"] == "https://example.com/done"
    assert task.endswith("qwenimg")
