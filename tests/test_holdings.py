"""Where the only bytes are is said before they are lost."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from qwenbuild.emulator import Served
from qwenbuild.verbs import shown, status
from tests.walking import Project

ONE = """\
version: 1
provider: dashscope
providers: {dashscope: {limits: {rps: 100, concurrency: 9}}}
assets: {lantern: {prompt: a lantern, model: qwen-image-2.0}}
"""


@pytest.fixture
def bought(walked: Project, emulated: Served) -> Project:
    walked.manifest(ONE)
    walked.build()
    subprocess.run(["git", "init", "-q"], cwd=walked.folder, check=True)
    return walked


def codes(project: Project) -> tuple[list[str], list[str]]:
    options = project.options()
    return [n.code for n in shown(options).notices], [n.code for n in status(options).notices]


def test_paid_pictures_that_git_ignores_and_nobody_shares_are_a_notice_of_the_plan(bought: Project) -> None:
    assert codes(bought) == ([], [])
    (bought.folder / ".gitignore").write_text("assets/\n")
    assert codes(bought) == (["only-here"], [])


def test_pictures_that_only_the_tree_still_has_are_a_notice_of_the_status(bought: Project) -> None:
    shutil.rmtree(bought.cache_dir)
    assert codes(bought) == ([], ["only-in-tree"])
    assert set(bought.verdicts().values()) == {"fresh"}
