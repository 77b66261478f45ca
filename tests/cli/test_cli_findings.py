"""Errors beside a change and in a report: `--format github` and `--junit`, for every command that lists any."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from qwenbuild.cli import exits
from qwenbuild.errors import Mark, Problem
from qwenbuild.report import ci_reports
from tests.walking import Project

BROKEN = "version: 1\nasets: {}\n"


@pytest.fixture
def broken(walked: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    walked.manifest(BROKEN)
    monkeypatch.chdir(walked.folder)
    return walked


@pytest.mark.parametrize("command", ["validate", "plan", "build", "status", "gallery", "diff", "explain x"])
def test_every_command_lists_an_error_beside_its_line(
    broken: Project, capsys: pytest.CaptureFixture[str], command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_WORKSPACE", str(broken.folder.parent))
    code = exits.run([*command.split(), "--format", "github", "--junit", "found.xml"])
    said = capsys.readouterr()
    if command == "diff":
        assert "::error title=qwenbuild" in said.err
    else:
        assert code == 2
        assert f"::error file={broken.folder.name}/qwenbuild.yaml,line=2,col=1,title=qwenbuild unknown-key::" in said.err
    suite = ET.parse("found.xml").getroot()[0]
    assert int(suite.attrib["failures"]) >= 1


def test_what_is_right_is_a_report_that_passes(walked: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    walked.manifest("version: 1\nassets: {a: {prompt: a}}\n")
    monkeypatch.chdir(walked.folder)
    assert exits.run(["validate", "--junit", "found.xml"]) == 0
    suite = ET.parse("found.xml").getroot()[0]
    assert (suite.attrib["tests"], suite.attrib["failures"]) == ("1", "0")


def test_a_lockfile_that_is_not_up_to_date_is_listed_and_ends_with_its_own_code(
    walked: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    walked.manifest("version: 1\nassets: {a: {prompt: a}}\n")
    monkeypatch.chdir(walked.folder)
    assert exits.run(["plan", "--check", "--format", "github", "--junit", "found.xml"]) == 3
    assert "::error title=qwenbuild not-up-to-date::the lockfile is not up to date: a" in capsys.readouterr().err
    assert ET.parse("found.xml").getroot()[0].attrib["failures"] == "1"


def test_usage_is_an_error_too_and_disclose_keeps_its_own_format(
    walked: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(walked.folder)
    assert exits.run(["plan", "--no-such", "--junit", "found.xml"]) == 2
    assert "no-such" in Path("found.xml").read_text(encoding="utf-8")
    walked.manifest("version: 1\nassets: {a: {prompt: a}}\n")
    assert exits.run(["disclose", "--format", "csv"]) == 0
    assert "::" not in capsys.readouterr().err


def test_no_text_of_a_stranger_becomes_a_command_or_markup() -> None:
    text = "a\n::set-output name=x::%0A,b</failure>\x00]]>&"
    problem = Problem(text, text, Mark("a,b:c", 1, 2), text, hint=text)
    (line,) = ci_reports.github_lines([problem], "error")
    assert "\n" not in line
    assert line.startswith("::error file=a%2Cb%3Ac,line=1,col=2,title=")
    case = ET.fromstring(ci_reports.junit_text([problem]))[0][0]
    assert case.attrib["classname"] == "a,b:c"
    assert "</failure>" in (case[0].text or "")
