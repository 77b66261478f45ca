"""`qwenbuild review`: the gallery on this machine, with choices.

Does not know the server.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from qwenbuild.cli import console
from qwenbuild.cli import options as opt
from qwenbuild.cli.group import Verb

if TYPE_CHECKING:
    from qwenbuild.review import ServedReview


@click.command("review", cls=Verb)
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="0 lets the system choose.")
@click.option("--open", "opens", is_flag=True, help="Open it in the browser.")
def command(port: int, opens: bool) -> int:
    """Serve the gallery's page on this machine, where you pick, approve, reject, reroll and write notes, until Ctrl-C.

    Choices go into the lockfile, as those of the command line do. What costs says its price first, and builds ask the same
    gate and budget. The address that is printed carries a token: whoever has it can choose and spend.
    Needs `pip install 'qwenbuild[server]'`.

    \b
    Examples:
      qwenbuild review --open
    """
    serve = _server()

    def told(served: ServedReview) -> None:
        console.result([served.url])
        if opens:
            click.launch(served.url)

    try:
        code: int = serve(opt.walk(), port, told)
    except OSError as error:
        raise click.UsageError(f"cannot serve on port {port}: {error.strerror or error}") from error
    return code


def _server() -> Any:
    from qwenbuild.errors import InputError

    try:
        from qwenbuild.review import review
    except ModuleNotFoundError as error:
        text = f"the review needs {error.name}: pip install 'qwenbuild[server]'"
        raise InputError(text, code="missing-extra") from error
    return review
