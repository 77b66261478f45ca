"""Whom the control surface answers, and which numbers it takes: a page in a browser can reach loopback, too."""

from __future__ import annotations

from typing import Any

import pytest

from qwenbuild.emulator.control import control
from qwenbuild.emulator.wire import Request


class World:
    """Remembers what was set."""

    def __init__(self) -> None:
        self.advanced: list[Any] = []

    def advance(self, seconds: Any) -> None:
        self.advanced.append(seconds)


def asked(body: bytes = b'{"seconds": 5}', **headers: str) -> tuple[int, list[Any]]:
    world = World()
    reply = control(world, Request("POST", "/__emu/advance", headers=headers, body=body))  # type: ignore[arg-type]
    return reply.status, world.advanced


@pytest.mark.parametrize("host", ["127.0.0.1:8080", "localhost:8080", "[::1]:8080", "localhost", "127.0.0.2:1", "[::1]"])
def test_loopback_is_answered(host: str) -> None:
    assert asked(host=host) == (200, [5])
    assert asked(host=host, origin=f"http://{host}") == (200, [5])


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.evil.example:80", "192.168.0.2:80", "localhost.evil"])
def test_another_host_sets_nothing(host: str) -> None:
    assert asked(host=host) == (403, [])


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "https://127.0.0.1:80", "http://127.0.0.1:81"])
def test_another_page_sets_nothing(origin: str) -> None:
    assert asked(host="127.0.0.1:80", origin=origin) == (403, [])


@pytest.mark.parametrize("number", [b"NaN", b"Infinity", b"-Infinity", b"1e999"])
def test_what_is_no_number_sets_nothing(number: bytes) -> None:
    assert asked(b'{"seconds": ' + number + b"}", host="localhost") == (400, [])
    assert asked(b'{"seconds": [{"x": ' + number + b"}]}", host="localhost") == (400, [])


@pytest.mark.parametrize("body", [b"[]", b"3", b"{", b"[" * 100_000])
def test_what_is_no_object_of_arguments_sets_nothing(body: bytes) -> None:
    assert asked(body, host="localhost") == (400, [])
