"""The tree of commands: a registry from names to modules, loaded when asked for, with help that suggests near misses.

Does not know what a command does.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Sequence
from typing import Any

import click

from qwenbuild.cli.call import Everywhere, everywhere

CONTEXT: dict[str, Any] = {"help_option_names": ["-h", "--help"], "max_content_width": 100}

SECTIONS: dict[str, dict[str, str]] = {
    "Build": {
        "init": "qwenbuild.cli.commands.init",
        "validate": "qwenbuild.cli.commands.validate",
        "plan": "qwenbuild.cli.commands.plan",
        "build": "qwenbuild.cli.commands.build",
    },
    "Look": {
        "status": "qwenbuild.cli.commands.status",
        "explain": "qwenbuild.cli.commands.explain",
        "diff": "qwenbuild.cli.commands.diff",
        "gallery": "qwenbuild.cli.commands.gallery",
        "spend": "qwenbuild.cli.commands.spend",
        "disclose": "qwenbuild.cli.commands.disclose",
        "providers": "qwenbuild.cli.commands.providers",
        "schema": "qwenbuild.cli.commands.schema",
    },
    "Choose": {
        "pick": "qwenbuild.cli.commands.pick",
        "unpick": "qwenbuild.cli.commands.unpick",
        "approve": "qwenbuild.cli.commands.approve",
        "release": "qwenbuild.cli.commands.release",
        "reject": "qwenbuild.cli.commands.reject",
        "reroll": "qwenbuild.cli.commands.reroll",
        "note": "qwenbuild.cli.commands.note",
        "review": "qwenbuild.cli.commands.review",
        "accept": "qwenbuild.cli.commands.accept",
        "import": "qwenbuild.cli.commands.import",
    },
    "Keep": {
        "clean": "qwenbuild.cli.commands.clean",
        "cache": "qwenbuild.cli.commands.cache",
        "doubt": "qwenbuild.cli.commands.doubt",
        "lock": "qwenbuild.cli.commands.lock",
    },
    "Tools": {
        "emulate": "qwenbuild.cli.commands.emulate",
        "completion": "qwenbuild.cli.commands.completion",
    },
}
"""Every command: its name, and the module whose `command` it is. A new verb is one line here and one file."""

COMMANDS: dict[str, str] = {name: module for section in SECTIONS.values() for name, module in section.items()}


TWINS = (
    "Long options have twins in the environment, such as QWENBUILD_MAX_COST for --max-cost; "
    "those that spend or destroy have none."
)


class Helpful(click.Command):
    """Help with the command's own options first, and the ones that hold everywhere after them."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write both sections, and the commands of a group."""
        options = [param for param in self.get_params(ctx) if isinstance(param, click.Option)]
        own = [option for option in options if not isinstance(option, Everywhere)]
        shared = [option for option in options if isinstance(option, Everywhere)]
        if isinstance(self, click.Group):
            self.format_commands(ctx, formatter)
        for title, params in (("Options", own), ("Options everywhere", shared)):
            records = [record for param in params if (record := param.get_help_record(ctx)) is not None]
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)
        formatter.write_paragraph()
        formatter.write_text(TWINS)


class Verb(Helpful):
    """A command; it returns its exit code, or None for 0."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("context_settings", CONTEXT)
        super().__init__(*args, **kwargs)
        self.params += everywhere(twins=False)


def _help() -> int:
    """A group called alone: print its help."""
    context = click.get_current_context()
    if context.invoked_subcommand is None:
        click.echo(context.get_help())
    return 0


class Group(Helpful, click.Group):
    """A command with commands of its own; alone it prints its help."""

    command_class = Verb

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("context_settings", CONTEXT)
        kwargs.setdefault("invoke_without_command", True)
        kwargs["callback"] = kwargs.get("callback") or _help
        super().__init__(*args, **kwargs)
        self.params += everywhere(twins=False)

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        """The command named; an unknown one is an error that suggests the nearest."""
        name = args[0]
        if self.get_command(ctx, name) is None and not ctx.resilient_parsing and not name.startswith("-"):
            raise click.UsageError(f"No such command {name!r}.{near_miss(name, self.list_commands(ctx))}", ctx)
        return super().resolve_command(ctx, args)


class LazyGroup(Group):
    """The program itself: its commands are imported when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the registry's order."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command named; None when there is none."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(COMMANDS[cmd_name]).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands by section."""
        for title, names in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(name, self._short(ctx, name)) for name in names])

    def _short(self, ctx: click.Context, name: str) -> str:
        command = self.get_command(ctx, name)
        return command.get_short_help_str(100) if command else ""


def near_miss(name: str, known: Sequence[str]) -> str:
    """` Did you mean …?`, or nothing."""
    near = difflib.get_close_matches(name, known, n=2, cutoff=0.55)
    return f" Did you mean {' or '.join(repr(word) for word in near)}?" if near else ""
