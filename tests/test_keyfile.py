"""A `.env` gives API keys and nothing else: a folder that somebody cloned cannot send a key or a picture elsewhere."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from qwenbuild.emulator import Served
from qwenbuild.errors import InputError
from qwenbuild.project.keyfile import KEYFILE_BYTES_MAX, Environment, ignored
from tests.walking import Project

PACKAGE = Path(__file__).parent.parent / "qwenbuild"
FOREIGN = (
    "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "all_proxy", "no_proxy", "SSL_CERT_FILE",
    "SSL_CERT_DIR", "SSLKEYLOGFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_ENDPOINT_URL", "PATH",
    "HOME", "USERPROFILE", "LOCALAPPDATA", "XDG_DATA_HOME", "PYTHONPATH", "NO_COLOR", "TERM", "COLUMNS", "LD_PRELOAD",
    "QWENBUILD_DASHSCOPE_BASE_URL", "QWENBUILD_APIFRAME_BASE_URL", "QWENBUILD_QWEN2512_BASE_URL", "QWENBUILD_OPENAI_BASE_URL",
    "dashscope_api_key", "DASHSCOPE_API_KEY_", "QWENBUILD_DASHSCOPE_API_KEY_BASE_URL",
)  # fmt: skip
"""What libraries below read, and near misses of a key's name."""
MANIFEST = """\
version: 1
provider: dashscope
providers: {dashscope: {region: singapore, mode: sync}}
assets: {lamp: {prompt: a lamp, model: qwen-image-plus}}
"""


def variables() -> list[str]:
    """Every name in the source that looks like a variable of the environment, and what libraries below read."""
    texts = [path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py")]
    texts += [(PACKAGE / "catalog.json").read_text(encoding="utf-8")]
    shape = r"""["']((?:QWENBUILD|AWS|XDG|[A-Z0-9]+)_[A-Z0-9_]+)["']"""
    return sorted({name for text in texts for name in re.findall(shape, text)} | {*FOREIGN})


def test_nothing_but_keys_is_taken_whatever_the_program_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = variables()
    assert {"QWENBUILD_REMOTE", "QWENBUILD_REMOTE_TOKEN", "QWENBUILD_DOWNLOAD_HOSTS", "DASHSCOPE_API_KEY"} <= {*names}
    for name in names:
        monkeypatch.delenv(name, raising=False)
    (tmp_path / ".env").write_text("".join(f"{name}=from-the-file\n" for name in names))
    taken = [name for name in names if Environment(tmp_path).get(name)]
    assert taken == [name for name in names if name.endswith("_API_KEY")]
    assert not [name for name in names if name in os.environ]


def test_a_cloned_folder_cannot_send_the_key_of_the_environment_elsewhere(
    walked: Project, emulated: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    walked.manifest(MANIFEST)
    here = emulated.environ()["QWENBUILD_DASHSCOPE_BASE_URL"]
    elsewhere = "https://thief.example"
    lines = [f"QWENBUILD_DASHSCOPE_BASE_URL={elsewhere}", f"QWENBUILD_REMOTE={elsewhere}", f"HTTPS_PROXY={elsewhere}"]
    (walked.folder / ".env").write_text("\n".join(["# ours", *lines]))
    summary = walked.build()
    assert summary.exit_code == 0
    assert emulated.prompts() == ["a lamp"]
    assert here.startswith("http://127.0.0.1")
    (said,) = [problem for problem in summary.problems if problem.code == "env-ignored"]
    assert (str(said.mark).endswith(".env:2:1"), "QWENBUILD_DASHSCOPE_BASE_URL" in said.message) == (True, True)
    assert "real environment" in said.hint
    monkeypatch.delenv("QWENBUILD_DASHSCOPE_BASE_URL")
    assert Environment(walked.folder).get("QWENBUILD_DASHSCOPE_BASE_URL") is None


def test_another_secret_is_not_sent_under_the_name_of_a_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_TOKEN", "ghp-secret")
    (tmp_path / ".env").write_text("DASHSCOPE_API_KEY=${GITHUB_TOKEN}\nexport APIFRAME_API_KEY='afk_1'\n")
    assert Environment(tmp_path).get("DASHSCOPE_API_KEY") is None
    assert Environment(tmp_path).get("APIFRAME_API_KEY") == "afk_1"
    assert "DASHSCOPE_API_KEY" in ignored(tmp_path)[0].message


UNREADABLE: dict[str, Callable[[Path], object]] = {
    "UTF-16": lambda path: path.write_text("DASHSCOPE_API_KEY=sk-1\n", encoding="utf-16"),
    "Latin-1": lambda path: path.write_bytes("# clé\nDASHSCOPE_API_KEY=sk-1\n".encode("latin-1")),
    "NUL bytes": lambda path: path.write_bytes(b"DASHSCOPE_API_KEY=sk-\0\n"),
    "a folder": Path.mkdir,
    "a pipe": os.mkfifo,
    "too large": lambda path: path.write_text("# x\n" * (KEYFILE_BYTES_MAX // 4 + 1)),
    "a link to nothing": lambda path: path.symlink_to("gone"),
    "a loop of links": lambda path: path.symlink_to(".env"),
}


@pytest.mark.parametrize("kind", UNREADABLE)
def test_a_file_of_keys_that_cannot_be_read_stops_only_who_needs_a_key_of_it(
    kind: str, walked: Project, emulated: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    walked.manifest(MANIFEST)
    UNREADABLE[kind](walked.folder / ".env")
    assert any(".env" in str(problem.mark) for problem in walked.plan().notices)
    monkeypatch.delenv("DASHSCOPE_API_KEY")
    with pytest.raises(InputError, match=r"\.env"):
        walked.build()
    assert emulated.requests() == []
    monkeypatch.setenv("DASHSCOPE_API_KEY", emulated.environ()["DASHSCOPE_API_KEY"])
    assert walked.build().exit_code == 0


def test_lines_that_nobody_understands_are_named(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("A_API_KEY=1\n\n=no name\n'unclosed\n")
    assert Environment(tmp_path).get("A_API_KEY") == "1"
    assert str(ignored(tmp_path)[0].mark).endswith(".env:3:1")


def test_a_key_that_stands_alone_on_its_line_is_not_shown(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("sk-0123456789abcdef0123456789abcdef\n")
    assert "0123456789abcdef" not in ignored(tmp_path)[0].message
