"""What the environment says of the way out is checked before anything is sent: one sentence, which names the variable."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from qwenbuild.emulator import Served
from qwenbuild.errors import InputError
from qwenbuild.remote.addresses import open_remote
from qwenbuild.transport.environment import check_proxies, proxy_for
from qwenbuild.transport.guard import AddressGuard
from qwenbuild.transport.http import Wire
from tests.walking import Project

NAMES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")
UNUSABLE = (
    "socks5://127.0.0.1:1080", "socks5h://127.0.0.1:1080", "socks4://127.0.0.1:1080", "ftp://proxy:21", "http://", "http://:3128",
    "http://proxy:port", "http://proxy:99999", "http://proxy:0", "http://pro xy:3128", "http://[::1", "://", "http://user:p#ss@proxy:1",
)  # fmt: skip
USABLE = ("http://proxy.example:3128", "proxy.example:3128", "https://u:p%23@proxy.example", "http://[fd00::1]:3128")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", UNUSABLE)
def test_a_proxy_that_cannot_be_used_stops_before_anything_is_sent(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match=name) as told:
        Wire(AddressGuard(("*",)))
    assert "p#ss" not in str(told.value)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", USABLE)
def test_a_proxy_that_can_be_used_is_used(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    check_proxies()
    scheme = "http" if name.lower() == "http_proxy" else "https"
    assert proxy_for(scheme, "api.example") in (value, f"http://{value}")


@pytest.mark.parametrize("entry", ["::1", "[::1]", "2001:db8::/32", "[2001:db8::1]:443", "10.0.0.0/8", ".example", "*", "a:80"])
@pytest.mark.parametrize("name", ["NO_PROXY", "no_proxy"])
def test_an_exception_that_can_be_read_is_obeyed(entry: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    for other in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(other, raising=False)
    monkeypatch.setenv(name, f"localhost, {entry}")
    check_proxies()
    hosts = {"[2001:db8::1]:443": "2001:db8::1", "2001:db8::/32": "2001:db8::7", "10.0.0.0/8": "10.1.2.3", "*": "a.b"}
    hosts |= {"::1": "::1", "[::1]": "::1", ".example": "api.example"}
    if entry in hosts:
        assert proxy_for("https", hosts[entry]) is None
    assert (proxy_for("https", "other.test") is None) == (entry == "*")


@pytest.mark.parametrize("entry", ["[::1", "::1]", "[not an address]", "fd00::/200", "a:b:c"])
def test_an_exception_that_cannot_be_read_stops_before_anything_is_sent(entry: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setenv("NO_PROXY", f"localhost,{entry}")
    with pytest.raises(InputError, match="NO_PROXY"):
        Wire(AddressGuard(("*",)))


def folder(path: Path) -> None:
    path.mkdir()


UNREADABLE: dict[str, Callable[[Path], object]] = {
    "missing": lambda path: None,
    "a folder": folder,
    "empty": lambda path: path.write_bytes(b""),
    "NUL bytes": lambda path: path.write_bytes(bytes(100)),
    "UTF-16": lambda path: path.write_text("-----BEGIN CERTIFICATE-----\n", encoding="utf-16"),
    "Latin-1": lambda path: path.write_bytes("-----BEGIN CERTIFICATE-----\né".encode("latin-1")),
    "a pipe": os.mkfifo,
    "too large": lambda path: os.truncate(os.open(path, os.O_CREAT | os.O_RDWR), 1 << 30),
}


@pytest.mark.parametrize("kind", UNREADABLE)
def test_certificates_that_cannot_be_read_stop_before_anything_is_sent(
    kind: str, walked: Project, emulated: Served, tmp_path: Path
) -> None:
    path = tmp_path / "corporate.pem"
    UNREADABLE[kind](path)
    told = child(walked, emulated, SSL_CERT_FILE=str(path))
    assert (told.returncode, emulated.requests()) == (2, [])
    assert "SSL_CERT_FILE" in told.stderr
    assert "corporate.pem" in told.stderr


@pytest.mark.parametrize("name", ["SSL_CERT_DIR", "SSLKEYLOGFILE"])
def test_a_folder_of_certificates_or_a_log_of_keys_that_is_not_there_stops_too(
    name: str, walked: Project, emulated: Served
) -> None:
    told = child(walked, emulated, **{"SSL_CERT_FILE": "", name: "/nonexistent-place/x"})
    assert (told.returncode, emulated.requests()) == (2, [])
    assert name in told.stderr


def test_a_shared_cache_asks_the_same_of_its_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:1")
    with pytest.raises(InputError, match="ALL_PROXY"):
        open_remote("https://cache.example/x", {})
    monkeypatch.delenv("ALL_PROXY")
    monkeypatch.setenv("SSL_CERT_FILE", "/nonexistent-place/x")
    with pytest.raises(InputError, match="SSL_CERT_FILE"):
        open_remote("https://cache.example/x", {})


def child(project: Project, emulated: Served, **more: str) -> subprocess.CompletedProcess[str]:
    """A build of one picture in its own process."""
    words = "provider: dashscope\nproviders: {dashscope: {region: singapore}}\n"
    project.manifest(f"version: 1\n{words}assets: {{lamp: {{prompt: a lamp, model: qwen-image-plus}}}}\n")
    environ = {**os.environ, **emulated.environ(), **more}
    words_of = [sys.executable, "-m", "qwenbuild", "build", "--yes"]
    return subprocess.run(words_of, cwd=project.folder, env=environ, capture_output=True, text=True, timeout=60)
