"""`qwenbuild check`: whether pictures and files are what is expected of them.

Does not know what is expected, nor how it is judged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from qwenbuild.cli import console
from qwenbuild.cli import options as opt
from qwenbuild.cli.call import current
from qwenbuild.cli.group import Verb
from qwenbuild.errors import QwenbuildError
from qwenbuild.later import later

if TYPE_CHECKING:
    from qwenbuild.verbs.checking import CheckReport

with later:
    from qwenbuild import files, verbs
    from qwenbuild.report import check_text


@click.command("check", cls=Verb)
@opt.select_argument
@click.option("--junit", metavar="FILE", help="Write JUnit XML for CI.")
@click.option("--locked", is_flag=True, help="Exit 3 when the lockfile's verdicts are out of date.")
@opt.json_option
def command(select: tuple[str, ...], junit: str | None, locked: bool, as_json: bool) -> int:
    """Check existing pictures and files against `expect`. Builds nothing, sends nothing; exit 1 when one fails.

    \b
    Examples:
      qwenbuild check
      qwenbuild check 'icons/*' --json
      qwenbuild check --locked --junit checks.xml     for CI
    """
    report = verbs.check(opt.walk(select=select, offline=True))
    if junit:
        _write(junit, check_text.junit_xml(report.rows))
    if as_json:
        console.as_json(check_text.check_json(report.rows, report.counts))
    else:
        console.result(check_text.check_lines(report.rows, report.counts, current().out()))
    return _exit_code(report, locked)


def _write(name: str, text: bytes) -> None:
    path = current().here / name
    try:
        files.replace(path, text)
    except OSError as error:
        raise QwenbuildError(f"{path} cannot be written: {error.strerror or error}", code="not-written") from error


def _exit_code(report: CheckReport, locked: bool) -> int:
    if report.counts["fail"]:
        return 1
    if locked and report.stale:
        shown = ", ".join(report.stale[:5]) + (f" and {len(report.stale) - 5:,} more" if len(report.stale) > 5 else "")
        console.problem_text(f"--locked: the lockfile has other verdicts for {shown}; `qwenbuild build` updates them")
        return 3
    return 0
