"""What every provider promises, the placeholder too: bodies, tickets, pictures, error classes, cancellation, secrets."""

from __future__ import annotations

import asyncio
import copy
import pickle
import socket
import time
from decimal import Decimal
from typing import Any

import pytest

from qwenbuild.catalog import FAMILIES
from qwenbuild.emulator import Served
from qwenbuild.errors import ProviderError, Refused, Unavailable, Uncertain, Waiting
from qwenbuild.images import check
from qwenbuild.model import Ticket
from qwenbuild.pace.clock import FakeTime
from qwenbuild.ports import Gate, Provider
from qwenbuild.providers import check_account
from tests.providers.bench import KEYS, action, at, build, http, order, server

CANARIES = ("canary", "Signature=", "OSSAccessKeyId=")


def quiet(text: object) -> bool:
    return not any(canary in str(text) for canary in CANARIES)


def live(kind: str, emulator: Served, **settings: Any) -> Provider:
    provider: Provider = build(kind, emulator.environ(), **settings)
    return provider


async def test_a_body_is_the_same_at_each_call_and_for_each_generation(kind: str) -> None:
    provider = at(kind, "http://127.0.0.1:9")
    bodies = {provider.body(order(kind, generation)) for generation in (0, 0, 1)}
    assert len(bodies) == 1
    await provider.close()


async def test_a_picture_is_submitted_collected_and_collected_again(kind: str, emulator: Served) -> None:
    provider, asked = live(kind, emulator), order(kind)
    ticket = await provider.submit(asked, provider.body(asked), Gate())
    first = await provider.collect(ticket, asked.action)
    again = await provider.collect(ticket, asked.action)
    assert first.data == again.data
    found = check(first.data, None, ("image/png", "image/jpeg", "image/webp"))
    assert (found.width, found.height, found.media_type) == (first.width, first.height, first.media_type)
    if "*" in asked.action.size:
        assert f"{first.width}*{first.height}" == asked.action.size
    assert emulator.leaks() == []
    await provider.close()


async def test_collecting_spends_nothing(hosted: str, emulator: Served) -> None:
    provider, asked = live(hosted, emulator), order(hosted)
    ticket = await provider.submit(asked, provider.body(asked), Gate())
    for _ in range(3):
        await provider.collect(ticket, asked.action)
    assert len(emulator.ledger()) == 1
    await provider.close()


async def test_a_ticket_survives_the_journal_and_another_process(kind: str, emulator: Served) -> None:
    first, asked = live(kind, emulator), order(kind)
    ticket = await first.submit(asked, first.body(asked), Gate())
    await first.close()
    second = live(kind, emulator)
    kept = Ticket(ticket.provider, ticket.base_url, ticket.task_id, ticket.url, ticket.request_id, facts=dict(ticket.facts))
    if kind == "openai":
        kept = ticket
    assert (await second.collect(kept, asked.action)).data
    await second.close()


async def test_checking_and_pricing_need_no_network(kind: str) -> None:
    provider = at(kind, "http://127.0.0.1:9")
    assert provider.check(action(kind)) == ()
    price = provider.price(action(kind))
    assert price is not None
    assert all(isinstance(amount, Decimal) for amount in price.values())
    limits = provider.limits(action(kind).model)
    assert limits.rps > 0
    assert limits.concurrency >= 1
    await provider.close()


async def test_what_cannot_be_expressed_is_said_offline(hosted: str) -> None:
    provider = at(hosted, "http://127.0.0.1:9")
    told = provider.check(action(hosted, output_format="gif", inputs=("a" * 64,) * 11, extra=(("acceleration", "high"),)))
    assert len(told) == 3
    await provider.close()


async def test_the_manifests_limits_win_over_the_tables(kind: str) -> None:
    provider = at(kind, "http://127.0.0.1:9", rps=20.0, concurrency=40)
    assert (provider.limits(action(kind).model).rps, provider.limits(action(kind).model).concurrency) == (20.0, 40)
    await provider.close()


async def test_a_manifests_limit_by_the_minute_takes_the_place_of_the_tables_pace(kind: str) -> None:
    provider = at(kind, "http://127.0.0.1:9", rpm=30.0)
    assert provider.limits(action(kind).model).rps == 0.5
    await provider.close()


# ---------------------------------------------------------------- what may have been paid


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def outcome(kind: str, answer: bytes | None, **settings: Any) -> tuple[ProviderError, int]:
    """The error of a submit that is answered with these bytes, and how many requests the server saw."""
    async with server(lambda _: answer) as (url, seen):
        provider, asked = at(kind, url, FakeTime().waits(), **settings), order(kind)
        with pytest.raises(ProviderError) as caught:
            await provider.submit(asked, provider.body(asked), Gate())
        await provider.close()
        return caught.value, len(seen)


class Watched(Gate):
    """A gate that notes what the server had seen of a request when it could leave, and when it had left."""

    def __init__(self, seen: list[bytes]) -> None:
        super().__init__()
        self.seen = seen
        self.told: list[tuple[str, int, bool]] = []

    async def __call__(self) -> None:
        await asyncio.sleep(0.02)
        self.told.append(("due", len(self.seen), self.written))

    def left(self) -> None:
        self.told.append(("left", len(self.seen), self.written))


async def test_a_submission_passes_its_gate_once_and_before_its_first_byte(hosted: str) -> None:
    async with server(lambda _: http(503, GATEWAY)) as (url, seen):
        provider, asked, gate = at(hosted, url), order(hosted), Watched(seen)
        with pytest.raises(Uncertain):
            await provider.submit(asked, provider.body(asked), gate)
        await provider.close()
    assert gate.told == [("due", 0, False), ("left", 0, True)]
    assert len(seen) == 1


async def test_a_refused_connection_never_arrived(hosted: str) -> None:
    provider, asked, gate = at(hosted, f"http://127.0.0.1:{closed_port()}"), order(hosted), Watched([])
    with pytest.raises(Unavailable):
        await provider.submit(asked, provider.body(asked), gate)
    await provider.close()
    assert (gate.told, gate.written) == ([], False)


GATEWAY = b"<html><head><title>502 Bad Gateway</title></head></html>"
LOST = {
    "closed without an answer": b"",
    "half a header": b"HTTP/1.1 200 OK\r\nContent-Le",
    "half a body": http(200, b'{"output"', length=500),
    "garbage": b"\x00\x01\x02 not http at all\r\n\r\n",
    "html": http(200, GATEWAY),
    "empty": http(200, b""),
    "an empty object": http(200, b"{}"),
    "a list": http(200, b"[]"),
    "too deep": http(200, b'{"output":' + b"[" * 5000 + b"]" * 5000 + b"}"),
    "not a number": http(200, b'{"output": NaN}'),
    "a gateway's page": http(502, GATEWAY),
    "a gateway's 503": http(503, GATEWAY),
    "408 with words": http(408, b'{"code":"RequestTimeOut","message":"m","error":"m"}'),
    "504 with words": http(504, b'{"code":"GatewayTimeout","message":"m","error":"m"}'),
    "a redirect": http(302, b"", "Location: http://127.0.0.1:9/"),
    "an answer that never ends": http(200, b" " * (2 << 20)),
}


@pytest.mark.parametrize("fault", LOST)
async def test_sent_and_no_readable_answer_is_perhaps_paid_and_never_resent(hosted: str, fault: str) -> None:
    error, requests = await outcome(hosted, LOST[fault])
    assert isinstance(error, Uncertain)
    assert requests == 1
    assert error.charged == "maybe"


async def test_silence_is_perhaps_paid(hosted: str) -> None:
    error, requests = await outcome(hosted, None, timeout=0.2)
    assert (type(error), requests) == (Uncertain, 1)


async def test_a_redirect_is_not_followed_with_a_key(hosted: str) -> None:
    async with server(lambda _: http(200, b"{}")) as (elsewhere, seen):
        error, _ = await outcome(hosted, http(307, b"{}", f"Location: {elsewhere}/"))
        assert isinstance(error, Uncertain)
        assert seen == []


async def test_a_cancelled_submit_ends_and_leaves_the_provider_usable(hosted: str) -> None:
    arrived = asyncio.Event()

    def say(request: bytes) -> None:
        arrived.set()

    async with server(say) as (url, _):
        provider, asked = at(hosted, url), order(hosted)
        task = asyncio.create_task(provider.submit(asked, provider.body(asked), Gate()))
        await arrived.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await provider.close()


async def test_a_cancelled_collect_can_be_taken_up_again(hosted: str, emulator: Served) -> None:
    emulator.configure(latency=0.5)
    provider, asked = live(hosted, emulator), order(hosted)
    ticket = await provider.submit(asked, provider.body(asked), Gate())
    task = asyncio.create_task(provider.collect(ticket, asked.action))
    await asyncio.sleep(0.05)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert (await provider.collect(ticket, asked.action)).data
    emulator.configure(latency=0.05)
    await provider.close()


async def test_a_job_that_takes_too_long_keeps_its_ticket(emulator: Served) -> None:
    emulator.configure(latency=30.0)
    for kind in ("dashscope", "apiframe", "qwen2512"):
        provider, asked = live(kind, emulator, timeout=0.3), order(kind)
        ticket = await provider.submit(asked, provider.body(asked), Gate())
        with pytest.raises(Waiting):
            await provider.collect(ticket, asked.action)
        await provider.close()
    emulator.configure(latency=0.05)


async def test_a_ticket_of_another_site_is_not_asked_with_this_key(emulator: Served) -> None:
    for kind in ("dashscope", "apiframe", "qwen2512"):
        async with server(lambda _: http(200, b"{}")) as (url, seen):
            provider = at(kind, url)
            with pytest.raises(Waiting, match=r"build with the settings"):
                await provider.collect(Ticket(kind, "https://elsewhere.example", "task"), action(kind))
            assert seen == []
            await provider.close()


async def test_refused_content_is_not_charged(emulator: Served) -> None:
    emulator.configure(refuse_words=("forbidden",))
    for kind in ("dashscope", "apiframe", "qwen2512"):
        provider, asked = live(kind, emulator), order(kind, prompt="a forbidden lantern")
        with pytest.raises(Refused):
            await provider.collect(await provider.submit(asked, provider.body(asked), Gate()), asked.action)
        await provider.close()
    emulator.configure(refuse_words=())
    assert {str(amount) for amount in emulator.spent().values()} <= {"0", "0.00"}


# ---------------------------------------------------------------- secrets


async def test_no_credential_is_in_any_repr_or_message(hosted: str, emulator: Served) -> None:
    provider, asked = at(hosted, "http://127.0.0.1:9"), order(hosted)
    with pytest.raises(ProviderError) as caught:
        await provider.submit(asked, provider.body(asked), Gate())
    assert quiet(repr(provider) + repr(vars(provider)) + str(caught.value) + repr(caught.value) + provider.account)
    assert quiet(repr(provider.site) + str(provider.site.key) + f"{provider.site.key!r:>30}{provider.site.key:s}")
    assert quiet(pickle.dumps(provider.site.key))
    assert quiet(copy.deepcopy(provider.site.key))
    await provider.close()


async def test_a_server_that_echoes_the_key_does_not_get_it_printed(hosted: str) -> None:
    for key in KEYS.values():
        body = f'{{"code":"InvalidParameter","message":"bad {key} here","error":"bad {key} here","detail":"bad {key}"}}'
        error, _ = await outcome(hosted, http(400, body.encode()))
        assert quiet(error)
        assert quiet(error.message)


async def test_the_key_goes_to_the_api_alone(hosted: str, emulator: Served) -> None:
    provider, asked = live(hosted, emulator), order(hosted)
    await provider.collect(await provider.submit(asked, provider.body(asked), Gate()), asked.action)
    assert emulator.leaks() == []
    await provider.close()


# ---------------------------------------------------------------- account


async def test_an_account_is_checked_without_spending(kind: str, emulator: Served) -> None:
    provider: Any = live(kind, emulator)
    report = await check_account(provider)
    assert (report.reachable, report.key) == (True, "accepted" if FAMILIES[kind].key_env and kind != "openai" else "not needed")
    assert report.good
    assert (report.credits is not None) == (kind == "apiframe")
    assert emulator.ledger() == []
    await provider.close()


async def test_a_wrong_key_and_a_closed_door_are_reports_not_errors(emulator: Served) -> None:
    for kind, name in (("dashscope", "DASHSCOPE"), ("apiframe", "APIFRAME"), ("qwen2512", "QWEN2512")):
        provider: Any = build(kind, {**emulator.environ(), f"{name}_API_KEY": "sk-canary-wrong-key"})
        report = await check_account(provider)
        assert (report.reachable, report.key, report.good) == (True, "refused", False)
        assert quiet(report)
        await provider.close()
        provider = at(kind, f"http://127.0.0.1:{closed_port()}")
        assert (await check_account(provider)).reachable is False
        await provider.close()


async def test_a_list_that_does_not_exist_settles_nothing(kind: str) -> None:
    provider, asked = at(kind, "http://127.0.0.1:9"), order(kind)
    assert provider.recovery == FAMILIES[kind].recovery
    if provider.recovery != "listing":
        with pytest.raises(Uncertain):
            await provider.find(asked, provider.body(asked), time.time() - 60, time.time(), frozenset())
    await provider.close()
