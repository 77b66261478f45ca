"""The program: its name, its version, its help, and what it ends with.

Does not know its commands; the registry does.
"""

from __future__ import annotations

import click

from qwenbuild import __version__, plugins
from qwenbuild.cli.call import everywhere
from qwenbuild.cli.group import CONTEXT, LazyGroup

HELP = """make for AI-generated images: only what changed is generated, and paid for, again.

\b
Examples:
  qwenbuild init game    a manifest that builds offline right away
  qwenbuild plan         what a build would do, why, and what it would cost
  qwenbuild build        do it; asks before it spends
"""

EXIT_CODES = """\b
Exit codes:
  0    done, or nothing to do
  1    entries failed, were refused or could not be written
  2    usage, manifest or lockfile error; nothing was spent
  3    not up to date (plan --check, status --check, build --locked)
  4    stopped by budget, brake, quota or missing consent
  5    credentials missing or refused
  6    entries in doubt
  70   a bug; the traceback is in a log file
  130  interrupted
"""


def _version(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        click.echo(f"qwenbuild {__version__}")
        for kind in plugins.GROUPS:
            for each in plugins.installed(kind):
                click.echo(f"  {kind} {each.name}: {each.stamp}")
        ctx.exit()


def _program() -> LazyGroup:
    group = LazyGroup("qwenbuild", help=HELP, epilog=EXIT_CODES, context_settings=CONTEXT)
    group.params = [
        click.Option(
            ["--version"], is_flag=True, expose_value=False, is_eager=True, callback=_version, help="Print the version."
        ),
        *everywhere(twins=True),
    ]
    return group


program = _program()
