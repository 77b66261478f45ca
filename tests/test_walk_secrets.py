"""The key goes to the API's own host and nowhere else: not after a redirect, not to the storage, not into any text or file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from qwenbuild.cli.exits import run
from qwenbuild.emulator import Served
from tests.campaign.part_http import hurried
from tests.walking import Project

KEYS = {
    "dashscope": ("DASHSCOPE_API_KEY", "mode: async, model: qwen-image-plus"),
    "dashscope sync": ("DASHSCOPE_API_KEY", "mode: sync, model: qwen-image-plus"),
    "apiframe": ("APIFRAME_API_KEY", "webhook: 'https://hooks.example.com/q'"),
    "qwen2512": ("QWEN2512_API_KEY", "webhook: 'https://hooks.example.com/q'"),
}
HEADERS = ("authorization", "x-api-key", "cookie", "proxy-authorization")


@pytest.fixture(autouse=True)
def _hurried() -> Iterator[None]:
    with hurried():
        yield


@pytest.fixture(params=KEYS)
def api(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def stock(walked: Project, api: str) -> None:
    family, settings = api.split()[0], KEYS[api][1]
    walked.manifest(
        f"version: 1\nprovider: {family}\nproviders: {{{family}: {{{settings}, limits: {{rps: 200, concurrency: 4}}}}}}\n"
        "assets:\n  lanterns: {prompt: 'lantern {{ n }}.', matrix: {n: [n0, n1, n2, n3]}}\n"
    )


def key_of(api: str) -> str:
    return os.environ[KEYS[api][0]]


def files_with(needle: str, *folders: Path) -> list[str]:
    """Every file below the folders that holds the text, in any of its bytes or in its name."""
    found = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    assert found
    return [str(path) for path in found if needle.encode() in path.read_bytes() or needle in str(path)]


def said(capsys: pytest.CaptureFixture[str], *commands: tuple[str, ...]) -> str:
    """Everything that these commands print."""
    capsys.readouterr()
    for words in commands:
        run([*words])
    printed = capsys.readouterr()
    return printed.out + printed.err


COMMANDS = (
    ("build", "--yes", "--json"), ("build", "--yes", "-v"), ("plan", "--json"), ("status",), ("doubt", "list", "--json"),
    ("spend", "--json"), ("explain", "lanterns/n0", "--json"), ("providers", "check", "--json"), ("providers", "-v"),
    ("cache", "stats"),
)  # fmt: skip


def test_each_request_to_the_api_carries_the_key_and_no_other_request_does(walked: Project, emulated: Served, api: str) -> None:
    stock(walked, api)
    assert walked.build().exit_code == 0
    requests = emulated.requests()
    downloads = [request for request in requests if request["phase"] == "download"]
    assert len(downloads) == 4
    assert [name for request in downloads for name in HEADERS if name in request["headers"]] == []
    assert all("<key of" in str(request["headers"]) for request in requests if request["phase"] != "download")
    assert emulated.leaks() == []


def test_no_printed_word_and_no_file_holds_the_key(
    walked: Project, emulated: Served, capsys: pytest.CaptureFixture[str], api: str
) -> None:
    stock(walked, api)
    assert key_of(api) not in said(capsys, *COMMANDS)
    assert len(emulated.ledger()) == 4
    assert files_with(key_of(api), walked.folder, walked.cache_dir) == []


ECHOES: dict[str, dict[str, Any]] = {
    "refused": {"phase": "submit", "status": 400},
    "failed": {"phase": "submit", "status": 500, "times": None},
    "a bad key": {"phase": "submit", "status": 401},
    "while polling": {"phase": "poll", "status": 401},
}


@pytest.mark.parametrize("case", ECHOES)
def test_an_api_that_repeats_the_key_in_its_error_does_not_get_it_written_down(
    walked: Project, emulated: Served, capsys: pytest.CaptureFixture[str], api: str, case: str
) -> None:
    stock(walked, api)
    message = f"cannot take Bearer {key_of(api)} for this"
    emulated.fault(kind="refuse", code="InvalidApiKey" if "key" in case else "Oops", message=message, **ECHOES[case])
    printed = said(capsys, *COMMANDS)
    assert key_of(api) not in printed
    assert files_with(key_of(api), walked.folder, walked.cache_dir) == []


def test_a_failed_job_that_repeats_the_key_does_not_get_it_written_down(
    walked: Project, emulated: Served, capsys: pytest.CaptureFixture[str], api: str
) -> None:
    stock(walked, api)
    emulated.fault("job", "failed", code="Oops", message=f"key {key_of(api)} failed", times=None)
    assert key_of(api) not in said(capsys, *COMMANDS)
    assert files_with(key_of(api), walked.folder, walked.cache_dir) == []


@pytest.mark.parametrize("to", ["other", "trap"])
@pytest.mark.parametrize("phase", ["submit", "accepted", "poll", "download"])
def test_no_redirect_takes_the_key_along(walked: Project, emulated: Served, api: str, phase: str, to: str) -> None:
    stock(walked, api)
    emulated.fault(phase, "redirect", to=to, times=2)
    walked.build()
    assert emulated.leaks() == []
    if phase != "download":
        assert emulated.state()["traps"] == 0
    paid = [job["prompt"] for job in emulated.ledger()]
    assert len(paid) == len(set(paid))


def test_a_link_to_another_host_of_the_storage_is_fetched_without_a_credential(
    walked: Project, emulated: Served, api: str
) -> None:
    stock(walked, api)
    emulated.fault("download", "redirect", to="other", times=None)
    walked.build()
    assert emulated.leaks() == []
    assert [r for r in emulated.requests() if r["phase"] == "download" and any(name in r["headers"] for name in HEADERS)] == []


def test_a_key_that_the_emulator_does_not_know_is_a_leak_at_the_storage_too(emulated: Served) -> None:
    import httpx

    httpx.get(f"{emulated.storage_url}/oss/x.png", headers={"Authorization": "Bearer of-anybody"})
    assert [leak["headers"] for leak in emulated.leaks()] == [["authorization"]]


def test_somebodys_openai_key_in_the_environment_is_not_sent_to_a_self_hosted_server(
    walked: Project, emulated: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-proj-canary-0001")
    walked.manifest("version: 1\nprovider: openai\nassets:\n  lantern: {prompt: a lantern, model: Qwen/Qwen-Image-2512}\n")
    assert walked.build().exit_code == 0
    assert emulated.leaks() == []
