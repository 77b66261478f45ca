"""docs/cli.md names every command, and quotes the help that the program prints; it does not judge the prose."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest
from fakewalk import Ended

from qwenbuild.cli.program import program

DOC = (Path(__file__).parent.parent.parent / "docs" / "cli.md").read_text(encoding="utf-8")
QUOTED = dict(re.findall(r"^```text\n\$ qwenbuild (.+?) --help\n(.*?)^```$", DOC, re.MULTILINE | re.DOTALL))


def commands(group: click.Group, path: str = "") -> Iterator[str]:
    for name in group.list_commands(click.Context(group)):
        command = group.get_command(click.Context(group), name)
        yield f"{path}{name}"
        if isinstance(command, click.Group):
            yield from commands(command, f"{path}{name} ")


ALL = list(commands(program))


def test_every_command_and_no_other_has_its_help_quoted() -> None:
    assert sorted(QUOTED) == sorted(ALL)


@pytest.mark.parametrize("name", ALL)
def test_every_command_has_a_heading(name: str) -> None:
    assert re.search(rf"^##+ qwenbuild {name}$", DOC, re.MULTILINE)


@pytest.mark.parametrize("name", ALL)
def test_the_help_quoted_is_the_programs(call: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    printed = call(*name.split(), "--help").out.split("\nGlobal options:")[0].rstrip()
    assert QUOTED.get(name, "").rstrip() == printed


def test_every_exit_code_stands_in_the_table() -> None:
    for code in (0, 1, 2, 3, 4, 5, 6, 70, 130):
        assert f"\n| {code} |" in DOC
