"""Guards: no test reaches the network, a real credential or the home directory; nothing here knows what is tested."""

from __future__ import annotations

import ipaddress
import os
import socket
from pathlib import Path
from typing import Any

import pytest

from tests.walking import Project

pytest_plugins = ["tests.plugin_emulator"]

LOOPBACK = {"localhost"}


def _is_loopback(host: object) -> bool:
    if not isinstance(host, str):
        return True
    if host in LOOPBACK:
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    connect = socket.socket.connect
    resolve = socket.getaddrinfo

    def guarded(self: socket.socket, address: Any) -> None:
        if isinstance(address, tuple) and not _is_loopback(address[0]):
            raise AssertionError(f"a test reached for the network: {address!r}")
        return connect(self, address)

    def looked_up(host: Any, *args: Any, **kwargs: Any) -> Any:
        if host is not None and not _is_loopback(host):
            raise AssertionError(f"a test looked up a name: {host!r}")
        return resolve(host, *args, **kwargs)

    monkeypatch.setattr(socket.socket, "connect", guarded)
    monkeypatch.setattr(socket, "getaddrinfo", looked_up)


@pytest.fixture(autouse=True)
def _no_home(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Home is a folder that cannot be written; the cache is a fresh one; no credential is there."""
    for name in list(os.environ):
        if name.endswith("_API_KEY") or name.startswith(("QWENBUILD_", "DASHSCOPE_", "AWS_")):
            monkeypatch.delenv(name)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "/nonexistent-home")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent.parent))  # a child runs the package that is tested here
    monkeypatch.setenv("QWENBUILD_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project folder, and the working directory."""
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def walked(project: Path) -> Project:
    """A project that is built in this process, with the cache of this test."""
    return Project(project, Path(os.environ["QWENBUILD_CACHE_DIR"]))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Each worker begins with its share of the campaign, which takes longest: else one ends alone with it."""
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    campaign = [item for item in items if "campaign" in item.path.parts]
    rest = [item for item in items if "campaign" not in item.path.parts]
    if workers > 1:
        bounds = [number * len(rest) // workers for number in range(workers + 1)]
        items[:] = [
            item
            for number in range(workers)
            for item in (*campaign[number::workers], *rest[bounds[number] : bounds[number + 1]])
        ]
