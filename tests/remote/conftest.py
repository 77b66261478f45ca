"""One store of each kind that this machine has; what it lacks is skipped and says so."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from qwenbuild.cli.exits import run
from qwenbuild.remote.addresses import open_remote
from qwenbuild.remote.store import Remote
from tests.remote import servers
from tests.remote.teams import Call, Machine, Team

KINDS = ["folder", "web", "nginx", "s3", "rclone"]


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qwenbuild.remote.web.PAUSES_S", (0.0, 0.0))


@pytest.fixture
def web() -> Iterator[servers.WebStore]:
    with servers.web_store() as store:
        yield store


@pytest.fixture(scope="session")
def _moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.S3 | None]:
    if servers.MOTO is None:
        yield None
        return
    with servers.moto(tmp_path_factory.mktemp("moto")) as s3:
        yield s3


@pytest.fixture
def s3(_moto: servers.S3 | None, monkeypatch: pytest.MonkeyPatch) -> servers.S3:
    """moto with an empty bucket `pictures`, its credentials in the environment."""
    if _moto is None:
        pytest.skip("moto_server is not installed: pip install 'moto[server]', or TEST_MOTO_SERVER=…/moto_server")
    _moto.forget()
    _moto.make_bucket("pictures")
    for name, value in _moto.environ.items():
        monkeypatch.setenv(name, value)
    return _moto


@pytest.fixture
def signed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[servers.S3]:
    """An S3 that checks signatures, with an empty bucket `pictures`."""
    if servers.RCLONE is None:
        pytest.skip("rclone is not installed; TEST_RCLONE=…/rclone names it")
    folder = tmp_path / "rclone"
    folder.mkdir()
    with servers.rclone(folder) as s3:
        for name, value in s3.environ.items():
            monkeypatch.setenv(name, value)
        yield s3


@pytest.fixture
def dav(tmp_path: Path) -> Iterator[str]:
    if servers.NGINX is None:
        pytest.skip("nginx is not installed")
    folder = tmp_path / "nginx"
    folder.mkdir()
    with servers.nginx(folder) as url:
        yield url


@pytest.fixture(params=KINDS)
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty store, of each kind in turn."""
    if request.param == "folder":
        (tmp_path / "share").mkdir()
        return (tmp_path / "share").as_uri()
    if request.param == "web":
        return str(request.getfixturevalue("web").url)
    if request.param == "nginx":
        return str(request.getfixturevalue("dav"))
    request.getfixturevalue("s3" if request.param == "s3" else "signed")
    return "s3://pictures/team"


@pytest.fixture
def opened() -> Iterator[Callable[..., Remote]]:
    """Opens stores, and closes them when the test is over."""
    with contextlib.ExitStack() as stack:

        def open_it(url: str, environ: Mapping[str, str] | None = None) -> Remote:
            return stack.enter_context(contextlib.closing(open_remote(url, os.environ if environ is None else environ)))

        yield open_it


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    def called(machine: Machine, *args: str) -> tuple[int, str, str]:
        machine.at()
        capsys.readouterr()
        code = run(
            [*args[:2], "-C", str(machine.folder), *args[2:]] if args[0] == "cache" else [*args, "-C", str(machine.folder)]
        )
        return (code, *capsys.readouterr())

    return called


@pytest.fixture
def ann(team: Team) -> Machine:
    made = team.machine("ann")
    assert made.build().exit_code == 0
    return made
