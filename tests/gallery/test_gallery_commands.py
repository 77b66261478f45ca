"""`qwenbuild gallery` and `qwenbuild review` as a person calls them: what they print, and how they end."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from qwenbuild.cli.exits import run
from tests.walking import Project


def test_the_gallery_says_where_it_is_and_how_large(heroes: Project, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["gallery", "--contact-sheet", "--output", "page"]) == 0
    first, *sheets = capsys.readouterr().out.splitlines()
    assert first.startswith(f"{Path('page/index.html')} (15 entries, 21 pictures, ")
    assert [Path(line).name for line in sheets] == ["heroes.png", "icons.png"]


def test_a_gallery_against_nothing_known_is_a_usage_error(heroes: Project, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["gallery", "--against", "no-such-branch"]) == 2
    assert "git knows no revision 'no-such-branch'" in capsys.readouterr().err
    assert not (heroes.folder / ".qwenbuild" / "gallery").exists()


def test_a_review_on_a_taken_port_says_so(heroes: Project, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert run(["review", "--port", str(port)]) == 2
    assert f"cannot serve on port {port}" in capsys.readouterr().err


def test_a_review_serves_until_it_is_interrupted(heroes: Project) -> None:
    command = [sys.executable, "-m", "qwenbuild", "review"]
    with subprocess.Popen(
        command, cwd=heroes.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=dict(os.environ)
    ) as run:
        assert run.stdout is not None
        assert run.stderr is not None
        url = run.stdout.readline().decode().strip()
        assert url.startswith("http://127.0.0.1:")
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with pytest.raises(urllib.error.HTTPError, match="403"):
            opener.open(url.partition("?")[0], timeout=10)
        run.send_signal(signal.SIGINT)
        assert run.wait(20) == 0
        assert run.stderr.read() == b""
