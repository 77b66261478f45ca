"""Faults on order are what they say, byte by byte, as a plain socket sees them."""

from __future__ import annotations

import gzip
import json
import socket
import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from qwenbuild.emulator import Served

BODY = {"model": "qwen-image-plus", "input": {"prompt": "a lantern"}, "parameters": {"seed": 1}}


def post_bytes(served: Served, prompt: str = "a lantern") -> bytes:
    body = json.dumps({**BODY, "input": {"prompt": prompt}}).encode()
    base = urlsplit(served.environ()["QWENBUILD_DASHSCOPE_BASE_URL"])
    head = (
        f"POST {base.path}/services/aigc/text2image/image-synthesis HTTP/1.1\r\nHost: {base.netloc}\r\n"
        f"Authorization: Bearer {served.environ()['DASHSCOPE_API_KEY']}\r\nX-DashScope-Async: enable\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def talk(url: str, data: bytes, patience: float = 5.0) -> tuple[bytes, str]:
    """What came back, and how it ended: closed, reset or silent."""
    place = urlsplit(url)
    assert place.hostname is not None
    assert place.port is not None
    received = b""
    with socket.create_connection((place.hostname, place.port), timeout=patience) as wire:
        wire.sendall(data)
        try:
            while piece := wire.recv(1 << 16):
                received += piece
        except ConnectionResetError:
            return received, "reset"
        except TimeoutError:
            return received, "silent"
    return received, "closed"


def submit(served: Served, prompt: str = "a lantern", patience: float = 5.0) -> tuple[bytes, str]:
    return talk(served.url, post_bytes(served, prompt), patience)


def accepted(served: Served) -> str:
    answer = httpx.post(
        served.environ()["QWENBUILD_DASHSCOPE_BASE_URL"] + "/services/aigc/text2image/image-synthesis",
        json=BODY,
        headers={"Authorization": "Bearer " + served.environ()["DASHSCOPE_API_KEY"], "X-DashScope-Async": "enable"},
    )
    return str(answer.json()["output"]["task_id"])


def poll(served: Served, task: str) -> httpx.Response:
    key = served.environ()["DASHSCOPE_API_KEY"]
    return httpx.get(
        f"{served.environ()['QWENBUILD_DASHSCOPE_BASE_URL']}/tasks/{task}", headers={"Authorization": "Bearer " + key}
    )


def link(served: Served) -> str:
    task = accepted(served)
    served.advance(10)
    return str(poll(served, task).json()["output"]["results"][0]["url"])


def download(served: Served, patience: float = 5.0) -> tuple[bytes, str]:
    place = urlsplit(link(served))
    request = f"GET {place.path}?{place.query} HTTP/1.1\r\nHost: {place.netloc}\r\n\r\n".encode()
    return talk(served.storage_url, request, patience)


WIRE: dict[str, Callable[[bytes, str], bool]] = {
    "reset": lambda data, end: (data, end) == (b"", "reset"),
    "close": lambda data, end: (data, end) == (b"", "closed"),
    "silence": lambda data, end: (data, end) == (b"", "silent"),
    "half_header": lambda data, end: data.startswith(b"HTTP/1.1 200 OK\r\n") and b"\r\n\r\n" not in data and end == "closed",
    "half_body": lambda data, end: end == "closed" and lacks_bytes(data),
    "garbage": lambda data, end: data.startswith(b"\x16\x03\x01") and end == "closed",
}


def lacks_bytes(data: bytes) -> bool:
    head, _, body = data.partition(b"\r\n\r\n")
    declared = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    return 0 < len(body) < declared


@pytest.mark.parametrize("kind", sorted(set(WIRE) - {"half_body"}))
def test_a_fault_before_acceptance_leaves_the_ledger_empty(emulator: Served, kind: str) -> None:
    emulator.fault("submit", kind)
    data, end = submit(emulator, patience=0.3 if kind == "silence" else 5)
    assert WIRE[kind](data, end), (data, end)
    assert emulator.ledger() == []
    [line] = emulator.requests()
    assert line["fault"] == f"submit:{kind}"


@pytest.mark.parametrize("kind", sorted(WIRE))
def test_a_fault_after_acceptance_has_the_job_in_the_ledger_and_its_price(emulator: Served, kind: str) -> None:
    emulator.fault("accepted", kind)
    data, end = submit(emulator, patience=0.3 if kind == "silence" else 5)
    assert WIRE[kind](data, end), (data, end)
    assert emulator.prompts() == ["a lantern"]
    emulator.advance(1)
    assert emulator.spent() == {"usd": "0.03"}


@pytest.mark.parametrize("phase", ["submit", "accepted"])
@pytest.mark.parametrize("status", [408, 500, 502, 503, 504])
def test_a_gateways_page_may_stand_on_either_side_of_acceptance(emulator: Served, phase: str, status: int) -> None:
    emulator.fault(phase, "status", status=status)
    data, _ = talk(emulator.url, post_bytes(emulator).replace(b"\r\nHost", b"\r\nConnection: close\r\nHost"))
    assert data.startswith(f"HTTP/1.1 {status} ".encode())
    assert b"<html>" in data
    assert len(emulator.ledger()) == (phase == "accepted")


def test_a_refusal_on_order_is_written_in_the_apis_own_envelope(emulator: Served) -> None:
    emulator.fault(
        "submit", "refuse", status=429, code="Throttling.RateQuota", message="slow down", headers={"Retry-After": "3"}
    )
    data, _ = talk(emulator.url, post_bytes(emulator).replace(b"\r\nHost", b"\r\nConnection: close\r\nHost"))
    head, _, body = data.partition(b"\r\n\r\n")
    assert b"retry-after: 3" in head
    assert {"code": "Throttling.RateQuota", "message": "slow down"}.items() <= json.loads(body).items()


def test_a_fault_hits_the_request_it_was_ordered_for(emulator: Served) -> None:
    emulator.fault("submit", "reset", at=2)
    emulator.fault("submit", "close", match="cursed", times=None)
    emulator.fault("submit", "garbage", api="apiframe")
    ends = [submit(emulator, prompt, patience=0.3) for prompt in ("one", "two", "cursed", "four", "cursed")]
    assert [end if not data else "answered" for data, end in ends] == ["answered", "reset", "closed", "answered", "closed"]
    assert emulator.prompts() == ["one", "four"]


def test_every_nth_request_can_be_hit(emulator: Served) -> None:
    emulator.fault("poll", "status", every=3, status=503)
    task = accepted(emulator)
    assert [poll(emulator, task).status_code for _ in range(7)] == [503, 200, 200, 503, 200, 200, 503]


def test_a_poll_can_fail_in_every_way_a_submission_can(emulator: Served) -> None:
    task = accepted(emulator)
    emulator.fault("poll", "html")
    emulator.fault("poll", "half_body")
    emulator.fault("poll", "empty")
    assert "log in" in poll(emulator, task).text
    with pytest.raises(httpx.RemoteProtocolError):
        poll(emulator, task)
    assert poll(emulator, task).content == b""
    assert poll(emulator, task).json()["output"]["task_id"] == task


def test_a_download_can_be_cut_with_and_without_a_length(emulator: Served) -> None:
    emulator.fault("download", "truncate")
    data, end = download(emulator)
    assert lacks_bytes(data)
    assert end == "closed"
    emulator.fault("download", "cut_without_length", bytes=100)
    data, end = download(emulator)
    assert b"content-length" not in data
    assert len(data.partition(b"\r\n\r\n")[2]) == 100
    emulator.fault("download", "cut_chunked")
    data, end = download(emulator)
    assert b"transfer-encoding: chunked" in data
    assert not data.endswith(b"0\r\n\r\n")
    assert [served["whole"] for job in emulator.ledger() for served in job["served"]] == [False] * 3


def test_a_download_can_end_in_a_reset_after_half_the_picture(emulator: Served) -> None:
    emulator.fault("download", "truncate", end="reset")
    data, end = download(emulator)
    assert lacks_bytes(data)
    assert end == "reset"


def test_a_slow_download_comes_drop_by_drop(emulator: Served) -> None:
    url = link(emulator)
    emulator.fault("download", "slow", bytes=8000, every=0.05)
    started = time.monotonic()
    [job] = emulator.ledger()
    assert httpx.get(url).content == emulator.picture_for(job["task"])
    assert time.monotonic() - started > 0.1


KINDS: list[tuple[str, dict[str, Any], Callable[[httpx.Response], bool]]] = [
    ("expired", {}, lambda answer: answer.status_code == 403 and "Request has expired" in answer.text),
    ("wrong_type", {}, lambda answer: answer.headers["content-type"] == "text/html" and answer.content[1:4] == b"PNG"),
    ("not_a_picture", {}, lambda answer: answer.headers["content-type"] == "image/png" and b"PNG" not in answer.content),
    ("html", {}, lambda answer: answer.status_code == 200 and answer.text.startswith("<html>")),
    ("empty", {}, lambda answer: answer.status_code == 200 and answer.content == b""),
    ("oversize", {"bytes": 300_000}, lambda answer: len(answer.content) == 300_000 and answer.content[1:4] == b"PNG"),
    ("oversize", {"bytes": 300_000, "declared": False}, lambda answer: "content-length" not in answer.headers),
    ("gzip_bomb", {"bytes": 5_000_000}, lambda answer: len(answer.content) == 5_000_000),
    ("delay", {"seconds": 0.05}, lambda answer: answer.content[1:4] == b"PNG"),
]


@pytest.mark.parametrize(("kind", "options", "holds"), KINDS, ids=[f"{kind}-{len(options)}" for kind, options, _ in KINDS])
def test_a_download_can_bring_something_else(
    emulator: Served, kind: str, options: dict[str, Any], holds: Callable[[httpx.Response], bool]
) -> None:
    url = link(emulator)
    emulator.fault("download", kind, **options)
    assert holds(httpx.get(url))
    assert httpx.get(url).content == emulator.picture_for(emulator.ledger()[0]["task"])


def test_a_corrupt_picture_differs_by_one_bit(emulator: Served) -> None:
    url = link(emulator)
    emulator.fault("download", "corrupt")
    bad, good = httpx.get(url).content, httpx.get(url).content
    assert sum((one ^ other).bit_count() for one, other in zip(bad, good, strict=True)) == 1


def test_a_gzip_stream_can_be_cut(emulator: Served) -> None:
    url = link(emulator)
    emulator.fault("download", "gzip_cut")
    with httpx.stream("GET", url) as answer:
        raw = b"".join(answer.iter_raw())
    with pytest.raises(EOFError):
        gzip.decompress(raw)


def test_redirects_lead_to_this_origin_to_another_in_a_circle_and_inside(emulator: Served) -> None:
    url = link(emulator)
    for to in ("same", "other", "loop", "internal", "trap", "https://evil.example/x"):
        emulator.fault("download", "redirect", to=to)
    places = [httpx.get(url).headers["location"] for _ in range(6)]
    assert places[0].startswith(emulator.storage_url)
    assert places[1].startswith(emulator.url)
    assert places[2] == url
    assert places[3].startswith("http://169.254.169.254/")
    assert places[5] == "https://evil.example/x"
    assert httpx.get(places[0]).status_code == 200
    assert httpx.get(places[1]).status_code == 200
    httpx.get(places[4], headers={"Authorization": "Bearer " + emulator.environ()["DASHSCOPE_API_KEY"]})
    assert emulator.state()["traps"] == 1
    assert [leak["where"] for leak in emulator.leaks()] == ["trap"]


@pytest.mark.parametrize(
    ("kind", "status", "pays"),
    [("failed", "FAILED", False), ("stuck", "RUNNING", False), ("unknown", "UNKNOWN", True), ("no_url", "SUCCEEDED", True),
     ("item_error", "SUCCEEDED", False), ("canceled", "CANCELED", False)],
)  # fmt: skip
def test_a_job_can_end_in_every_way(emulator: Served, kind: str, status: str, pays: bool) -> None:
    emulator.fault("job", kind, code="InternalError.Algo")
    task = accepted(emulator)
    emulator.advance(100)
    output = poll(emulator, task).json()["output"]
    assert output["task_status"] == status
    assert not any("url" in result for result in output.get("results", []))
    assert bool(emulator.spent()) == pays


def test_the_date_header_can_be_wrong(emulator: Served) -> None:
    emulator.configure(date_skew=25 * 3600)
    told = parsedate_to_datetime(poll(emulator, "x").headers["date"]).timestamp()
    assert told - time.time() > 24 * 3600


def test_an_unknown_fault_is_refused_with_the_known_ones(emulator: Served) -> None:
    with pytest.raises(ValueError, match=r"unknown kind 'rset' for phase submit; known: .*reset"):
        emulator.fault("submit", "rset")
    with pytest.raises(ValueError, match="unknown phase"):
        emulator.fault("sumbit", "reset")
