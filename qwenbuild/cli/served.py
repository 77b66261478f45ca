"""Serve the gallery's page on this machine, and say where it is: what `review` and `gallery --live` share.

Does not know the server.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from qwenbuild.cli import console
from qwenbuild.errors import InputError

if TYPE_CHECKING:
    from qwenbuild.project.options import Options
    from qwenbuild.review import ServedReview


def serve(options: Options, port: int, against: str, *, opens: bool, choosing: bool) -> int:
    """Serve until Ctrl-C; the address goes to stdout. Raises InputError, a usage error when the port is taken."""
    review = _server()

    def on_ready(served: ServedReview) -> None:
        console.result([served.url])
        if opens:
            click.launch(served.url)

    try:
        code: int = review(options, port, on_ready, against=against, choosing=choosing)
    except OSError as error:
        raise click.UsageError(f"cannot serve on port {port}: {error.strerror or error}") from error
    return code


def _server() -> Any:
    try:
        from qwenbuild.review import review
    except ModuleNotFoundError as error:
        text = f"the page is served with {error.name}: pip install 'qwenbuild[server]'"
        raise InputError(text, code="missing-extra") from error
    return review
