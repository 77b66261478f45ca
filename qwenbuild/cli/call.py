"""What holds for a whole call of the program: where, which manifest, how loud, how colourful.

Does not know the commands.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import click

from qwenbuild.later import later
from qwenbuild.snapshot import quick_answer

with later:
    from qwenbuild.report import terminal

if TYPE_CHECKING:
    from pathlib import Path

    from qwenbuild.report.terminal import Color, Terminal

META = "qwenbuild.call"
TAKEN = "qwenbuild.taken"


@dataclass(frozen=True, slots=True)
class Call:
    """The options that every command takes. `file` is relative to `directory`, as in make."""

    directory: str = ""
    file: str | None = None
    quiet: bool = False
    verbose: int = 0
    color: Color = "auto"
    format: str = "text"
    junit: str = ""

    @property
    def folder(self) -> Path:
        """Where the manifest is: in the folder that was named, else here, else above, which is said once."""
        from pathlib import Path  # 3 ms that `--help` does not need

        if self.directory or self.file is not None:
            return Path(self.directory)
        parent = quick_answer.above()
        context = click.get_current_context(silent=True)
        if parent and context is not None and not context.resilient_parsing and not context.meta.get(TAKEN):
            context.meta[TAKEN] = True
            if not self.quiet:
                sys.stderr.write(quick_answer.took(parent) + "\n")
        return Path(parent)

    @property
    def here(self) -> Path:
        """The folder that was named, else the one the user is in."""
        from pathlib import Path

        return Path(self.directory)

    def out(self) -> Terminal:
        """What is known of stdout."""
        return self._terminal(sys.stdout)

    def err(self) -> Terminal:
        """What is known of stderr."""
        return self._terminal(sys.stderr)

    def _terminal(self, stream: Any) -> Terminal:
        return terminal.terminal(stream, self.color, quiet=self.quiet, verbose=self.verbose)


def current() -> Call:
    """The running command's call."""
    call: Call = click.get_current_context().meta.get(META, Call())
    return call


def note(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    """Take an option in; what is not said keeps what was said before the command."""
    if value is None or value is False or value == 0 or param.name is None:
        return
    ctx.meta[META] = replace(ctx.meta.get(META, Call()), **{param.name: value})


class Everywhere(click.Option):
    """An option that every command takes, shown in a section of its own."""


def everywhere(*, twins: bool) -> list[click.Parameter]:
    """The options of every command. `twins`: read QWENBUILD_* too; only the outermost does, so that words beat it."""

    def option(*names: str, **attrs: Any) -> Everywhere:
        variable = attrs.pop("variable")
        attrs |= {"envvar": variable} if twins else {}
        return Everywhere(list(names), expose_value=False, callback=note, **attrs)

    return [
        option("-f", "--file", variable="QWENBUILD_FILE", metavar="FILE", help="The manifest, instead of qwenbuild.yaml."),
        option(
            "-C",
            "--directory",
            variable="QWENBUILD_DIRECTORY",
            metavar="DIR",
            type=click.Path(exists=True, file_okay=False),
            help="Work in DIR.",
        ),
        option("-q", "--quiet", variable="QWENBUILD_QUIET", is_flag=True, help="Results and errors only."),
        option("-v", "--verbose", variable="QWENBUILD_VERBOSE", count=True, help="List everything."),
        option(
            "--color",
            variable="QWENBUILD_COLOR",
            type=click.Choice(["auto", "always", "never"]),
            help="Colours; auto also honours NO_COLOR.",
        ),
        option(
            "--format",
            variable="QWENBUILD_FORMAT",
            type=click.Choice(["text", "github"]),
            help="How errors are listed; github: beside the lines of a change.",
        ),
        option("--junit", variable="QWENBUILD_JUNIT", metavar="FILE", help="Errors as a JUnit report, too."),
    ]
