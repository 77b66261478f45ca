"""`qwenbuild completion`: a script that teaches a shell our commands, options, entry ids and tags.

Does not know the shells; click does.
"""

from __future__ import annotations

import click

from qwenbuild.cli.group import Verb


@click.command("completion", cls=Verb, short_help="A script that completes commands, ids and tags in your shell.")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> int:
    """Print the completion script for SHELL: commands, options, entry ids, tags and assets.

    \b
    Examples:
      eval "$(qwenbuild completion bash)"                  in ~/.bashrc
      qwenbuild completion zsh > "${fpath[1]}/_qwenbuild"
      qwenbuild completion fish > ~/.config/fish/completions/qwenbuild.fish
    """
    from click.shell_completion import get_completion_class

    from qwenbuild.cli import say
    from qwenbuild.cli.program import program

    found = get_completion_class(shell)
    if found is None:
        raise click.UsageError(f"click knows no shell {shell!r}")
    say.result([found(program, {}, "qwenbuild", "_QWENBUILD_COMPLETE").source()])
    return 0
