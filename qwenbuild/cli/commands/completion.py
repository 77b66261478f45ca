"""`qwenbuild completion`: a script that teaches a shell our commands, options, entry ids and tags.

Does not know the shells; click does.
"""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from qwenbuild.cli import console
from qwenbuild.cli.group import Verb
from qwenbuild.later import later

with later:
    from qwenbuild.cli import program

BASH = r"""_qwenbuild_completion() {
    local IFS=$'\n' line="${COMP_LINE:0:$COMP_POINT}" completion type value before=""
    local -a words
    IFS=' ' read -ra words <<< "$line"
    [[ $line == *' ' ]] && words+=("")
    local current="${words[${#words[@]}-1]}"
    # bash takes `tag:ui` for three words: what stands before the last colon must not be offered again
    [[ $current == *:* && $COMP_WORDBREAKS == *:* ]] && before="${current%"${current##*:}"}"
    COMPREPLY=()
    for completion in $(env COMP_WORDS="$line" COMP_CWORD=$((${#words[@]} - 1)) _QWENBUILD_COMPLETE=bash_complete "$1"); do
        IFS=',' read -r type value <<< "$completion"
        case $type in
            dir) compopt -o dirnames ;;
            file) compopt -o default ;;
            plain) COMPREPLY+=("${value#"$before"}") ;;
        esac
    done
}

complete -o nosort -F _qwenbuild_completion qwenbuild
"""
"""Ours in place of click's, which hands over the words as bash breaks them: at colons."""


@click.command("completion", cls=Verb)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> int:
    """Print the completion script for SHELL: commands, options, entry ids, tags and assets.

    \b
    Examples:
      eval "$(qwenbuild completion bash)"                  in ~/.bashrc
      qwenbuild completion zsh > "${fpath[1]}/_qwenbuild"
      qwenbuild completion fish > ~/.config/fish/completions/qwenbuild.fish
    """
    if shell == "bash":
        console.pieces([BASH])
        return 0
    completion = get_completion_class(shell)
    if completion is None:
        raise click.UsageError(f"click knows no shell {shell!r}")
    console.result([completion(program.program, {}, "qwenbuild", "_QWENBUILD_COMPLETE").source()])
    return 0
