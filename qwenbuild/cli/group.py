"""The tree of commands: a registry from names to modules, loaded when asked for, with help that suggests near misses.

Does not know what a command does.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

import click

from qwenbuild.cli.call import Everywhere, everywhere
from qwenbuild.later import later

with later:
    from qwenbuild import nearmiss

CONTEXT: dict[str, Any] = {"help_option_names": ["-h", "--help"], "max_content_width": 100}

SECTIONS: dict[str, dict[str, str]] = {
    "Build": {
        "init": "Create a manifest that builds offline right away.",
        "validate": "Check manifest, templates, paths and parameters, offline.",
        "plan": "What a build would do, why, and what it would cost.",
        "build": "Generate what is missing; asks before it spends.",
    },
    "Look": {
        "status": "Compare the lockfile with manifest, cache and output tree.",
        "check": "Whether the pictures are what is expected of them.",
        "explain": "What determines an entry's picture, and what changed.",
        "diff": "Which pictures changed between two lockfiles.",
        "gallery": "All pictures on one page that opens from disk.",
        "spend": "Every attempt, and what it cost.",
        "disclose": "List the AI-made files, for shop forms and the AI Act.",
        "providers": "The models, their sizes, prices and limits.",
        "schema": "The manifest's JSON Schema, for editors.",
    },
    "Choose": {
        "pick": "Use candidate N of an entry.",
        "unpick": "Undo picks.",
        "approve": "Keep pictures as they are until released.",
        "release": "Withdraw approvals.",
        "reject": "Hide candidates for good.",
        "reroll": "Add a candidate with a fresh seed.",
        "note": "Attach a note to an entry.",
        "review": "Choose in the browser, on this machine.",
        "accept": "Keep pictures after a cosmetic edit.",
        "import": "Use a picture made elsewhere.",
    },
    "Keep": {
        "migrate": "Move the manifest to another model, and say what that would cost.",
        "clean": "Remove orphans from the output tree.",
        "cache": "Inspect and maintain the cache of paid pictures.",
        "doubt": "Settle requests that may have been charged.",
        "lock": "Resolve merge conflicts in the lockfile.",
    },
    "Tools": {
        "emulate": "Emulate the hosted APIs on this machine, for tests and CI.",
        "completion": "Print a shell completion script.",
    },
}
"""Every command: its name, which is its module's, and its line in the help. A new verb is one line here and one file."""

COMMANDS: dict[str, str] = {name: line for section in SECTIONS.values() for name, line in section.items()}


TWINS = (
    "Long options can also be set in the environment, such as QWENBUILD_MAX_COST for --max-cost, "
    "except those that spend or destroy."
)


SPEND_OR_DESTROY = frozenset(["--all", "--force", "--max-cost", "--overwrite", "--prune", "--push", "--retry-failed", "--yes"])
"""Options that are offered for a typing error only when a single letter is wrong."""


class Helpful(click.Command):
    """Help with the command's own options first, and the ones that hold everywhere after them."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the options; an unknown one is an error that never offers to spend or destroy for a harmless word."""
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            offered = [name for name in error.possibilities or () if _offered(error.option_name, name)]
            raise click.NoSuchOption(error.option_name, possibilities=offered, ctx=error.ctx) from None

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write both sections, and the commands of a group."""
        options = [param for param in self.get_params(ctx) if isinstance(param, click.Option)]
        own = [option for option in options if not isinstance(option, Everywhere)]
        shared = [option for option in options if isinstance(option, Everywhere)]
        if isinstance(self, click.Group):
            self.format_commands(ctx, formatter)
        for title, params in (("Options", own), ("Global options", shared)):
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
        own = {name for param in self.params for name in param.opts}
        self.params += [option for option in everywhere(twins=False) if not own & set(option.opts)]


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
        command: click.Command = importlib.import_module(f"qwenbuild.cli.commands.{cmd_name}").command
        command.short_help = COMMANDS[cmd_name]
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands by section; none is imported for it."""
        for title, lines in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl(list(lines.items()))


def _offered(written: str, option: str) -> bool:
    """Whether an option may be offered for what was written."""
    return option not in SPEND_OR_DESTROY or one_apart(written, option)


def one_apart(one: str, other: str) -> bool:
    """Whether two words differ by one letter: another one, one too many, one missing, or two neighbours exchanged."""
    shorter, longer = sorted((one, other), key=len)
    at = next((index for index, pair in enumerate(zip(shorter, longer, strict=False)) if pair[0] != pair[1]), len(shorter))
    if len(longer) == len(shorter):
        exchanged = shorter[at + 1 : at + 2] + shorter[at : at + 1] + shorter[at + 2 :]
        return longer[at + 1 :] == shorter[at + 1 :] or longer[at:] == exchanged
    return len(longer) == len(shorter) + 1 and longer[at + 1 :] == shorter[at:]


def near_miss(name: str, names: Sequence[str]) -> str:
    """A blank and a sentence that offers what was perhaps meant, or nothing."""
    suggestion = nearmiss.did_you_mean(nearmiss.near(name, names, 2, 0.55), quote="'", between=" or ")
    return f" {suggestion[0].upper()}{suggestion[1:]}" if suggestion else ""
