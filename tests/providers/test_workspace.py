"""A workspace's own host is asked, and no other: not by an id that is an address, not by a redirect, not for a picture."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import httpx
import pytest

from qwenbuild.errors import InputError, ProviderError, Uncertain
from qwenbuild.manifest import load
from qwenbuild.model import Ticket
from qwenbuild.pace.clock import FakeTime
from qwenbuild.ports import Gate
from qwenbuild.providers import check_account
from qwenbuild.transport.http1 import Http1Transport
from tests.providers.bench import KEYS, build, order

CANARY = KEYS["DASHSCOPE_API_KEY"]
HOSTS = {"singapore": "ws-1a2b.ap-southeast-1.maas.aliyuncs.com", "beijing": "ws-1a2b.cn-beijing.maas.aliyuncs.com"}
ELSEWHERE = (
    "https://evil.example/steal", "https://dashscope-intl.aliyuncs.com/api/v1/x", "https://other.cn-beijing.maas.aliyuncs.com/x",
    "http://ws-1a2b.ap-southeast-1.maas.aliyuncs.com/plain",
)  # fmt: skip

Answers = Callable[[httpx.Request], httpx.Response]


class Watched:
    """Takes the network's place, and keeps every request."""

    def __init__(self, answer: Answers) -> None:
        self.requests: list[httpx.Request] = []
        self._answer = answer

    def carriers(self) -> set[str]:
        """The scheme and host of every request in which the key stood, anywhere."""
        found = [each for each in self.requests if CANARY in f"{each.url}{each.headers.raw}{each.content!r}"]
        return {f"{each.url.scheme}://{each.url.host}" for each in found}

    def patched(self) -> Any:
        async def handle(transport: Http1Transport, request: httpx.Request) -> httpx.Response:
            await request.aread()
            self.requests.append(request)
            return self._answer(request)

        return mock.patch.object(Http1Transport, "handle_async_request", handle)


def studio(region: str, workspace: str = "ws-1a2b") -> Any:
    return build("dashscope", KEYS, FakeTime().waits(), region=region, own={"workspace": workspace}, resolve_host=public)


async def public(host: str, port: int) -> list[str]:
    return ["93.184.216.34"]


@pytest.mark.parametrize("region", HOSTS)
async def test_every_request_of_a_workspace_goes_to_its_host_of_the_region(region: str) -> None:
    task = {"output": {"task_id": "t", "task_status": "PENDING"}, "request_id": "r"}
    watched = Watched(lambda request: httpx.Response(200, json=task))
    provider, asked = studio(region), order("dashscope")
    with watched.patched():
        ticket = await provider.submit(asked, provider.body(asked), Gate())
        await check_account(provider, ["qwen-image-plus"])
        await provider.clock_difference()
    assert ticket.base_url == f"https://{HOSTS[region]}/api/v1"
    assert {request.url.host for request in watched.requests} == {HOSTS[region]}
    assert watched.carriers() == {f"https://{HOSTS[region]}"}


@pytest.mark.parametrize("status", [301, 302, 307, 308])
@pytest.mark.parametrize("where", ELSEWHERE)
async def test_a_redirect_takes_the_key_nowhere(status: int, where: str) -> None:
    watched = Watched(lambda request: httpx.Response(status, headers={"location": where}))
    provider, asked = studio("singapore"), order("dashscope")
    with watched.patched():
        with pytest.raises(Uncertain):
            await provider.submit(asked, provider.body(asked), Gate())
        with pytest.raises(ProviderError):
            await provider.collect(Ticket("dashscope", provider.base_url, "t"), asked.action)
        assert not (await check_account(provider)).reachable
    assert {request.url.host for request in watched.requests} == {HOSTS["singapore"]}


async def test_a_pictures_link_and_its_redirects_are_followed_without_the_key() -> None:
    storage = "https://dashscope-result-sz.oss-cn-shenzhen.aliyuncs.com/a.png"
    done = {"output": {"task_id": "t", "task_status": "SUCCEEDED", "results": [{"url": storage}]}}

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.host == HOSTS["singapore"]:
            return httpx.Response(200, json=done)
        if request.url.path == "/a.png":
            return httpx.Response(302, headers={"location": "https://other-bucket.oss-cn-beijing.aliyuncs.com/b.png"})
        return httpx.Response(302, headers={"location": "https://evil.example/c.png"})

    watched = Watched(answer)
    provider, asked = studio("singapore"), order("dashscope")
    with watched.patched(), pytest.raises(ProviderError, match=r"evil\.example"):
        await provider.collect(Ticket("dashscope", provider.base_url, "t"), asked.action)
    hosts = {request.url.host for request in watched.requests}
    assert "evil.example" not in hosts
    assert len(hosts) == 3
    assert watched.carriers() == {f"https://{HOSTS['singapore']}"}


async def test_a_ticket_of_the_shared_host_is_not_asked_for_at_a_workspace() -> None:
    watched = Watched(lambda request: httpx.Response(200, json={}))
    provider, asked = studio("singapore"), order("dashscope")
    with watched.patched(), pytest.raises(ProviderError, match=r"dashscope-intl\.aliyuncs\.com"):
        await provider.collect(Ticket("dashscope", "https://dashscope-intl.aliyuncs.com/api/v1", "t"), asked.action)
    assert watched.requests == []


BAD = ["evil.example/", "evil.example#", "a.b", "-a", "a-", "a b", "a/../b", "{region}", "a@b", "", "ä", "x" * 64, "a:1", "a\n"]


@pytest.mark.parametrize("workspace", BAD)
def test_what_is_no_id_never_becomes_a_host(workspace: str, tmp_path: Path) -> None:
    if workspace:
        with pytest.raises(InputError, match="no id of a workspace"):
            studio("singapore", workspace)
    path = tmp_path / "qwenbuild.yaml"
    shown = workspace.replace("\n", "\\n")
    path.write_text(f'version: 1\nproviders: {{dashscope: {{workspace: "{shown}"}}}}\nassets: {{}}\n', encoding="utf-8")
    with pytest.raises(InputError) as caught:
        load(path)
    assert caught.value.problems[0].path == "providers.dashscope.workspace"


def test_a_workspace_beside_an_address_or_at_another_api_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "qwenbuild.yaml"
    for block in (
        'dashscope: {workspace: ws-1, base_url: "https://dashscope.aliyuncs.com/api/v1"}',
        "apiframe: {workspace: ws-1}",
    ):
        path.write_text(f"version: 1\nproviders: {{{block}}}\nassets: {{}}\n", encoding="utf-8")
        with pytest.raises(InputError, match="workspace"):
            load(path)


def test_an_address_of_the_environment_wins_over_the_workspace() -> None:
    told = {**KEYS, "QWENBUILD_DASHSCOPE_BASE_URL": "http://127.0.0.1:9/x"}
    assert build("dashscope", told, own={"workspace": "ws-1a2b"}).base_url == "http://127.0.0.1:9/x"
