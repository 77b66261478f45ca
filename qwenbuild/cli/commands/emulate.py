"""`qwenbuild emulate`: the hosted APIs, played on loopback, until Ctrl-C.

Does not know the APIs.
"""

from __future__ import annotations

import signal
import threading
from typing import Any

import click

from qwenbuild.cli import say
from qwenbuild.cli.group import Verb


def _setting(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> dict[str, Any]:
    """`NAME=VALUE` as settings; values are read as JSON where they are, as text otherwise."""
    import json

    settings: dict[str, Any] = {}
    for text in values:
        name, equals, value = text.partition("=")
        if not equals or not name.isidentifier():
            raise click.BadParameter(f"{text!r} is not NAME=VALUE, such as latency=2")
        try:
            settings[name] = json.loads(value)
        except ValueError:
            settings[name] = value
    return settings


@click.command("emulate", cls=Verb, short_help="Play the hosted APIs on this machine, for tests and CI.")
@click.option("--host", default="127.0.0.1", show_default=True, help="A loopback address.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Of the APIs; 0 lets the system choose.")
@click.option("--storage-port", type=click.IntRange(0, 65535), default=0, help="Of the pictures' links.")
@click.option("--region", type=click.Choice(["singapore", "beijing"]), default="singapore", show_default=True)
@click.option("--set", "settings", multiple=True, metavar="NAME=VALUE", callback=_setting, help="A setting, such as latency=2.")
def command(host: str, port: int, storage_port: int, region: str, settings: dict[str, Any]) -> int:
    """Play DashScope, Apiframe, qwen-image-2512.org and an OpenAI-style server on loopback until Ctrl-C.

    What to export so that qwenbuild talks to it is printed first. Needs `pip install 'qwenbuild[emulator]'`.

    \b
    Examples:
      qwenbuild emulate --port 8010
      qwenbuild emulate --port 8010 --set latency=2 --set rate=0.5
    """
    serve = _served()
    try:
        with serve(host, port, storage_port, **settings) as emulator:
            say.result(f"export {name}={value}" for name, value in sorted(emulator.environ(region).items()) if value)
            say.message(f"# listening on {emulator.url}; Ctrl-C ends it")
            _until_told()
    except (OSError, ValueError, TypeError) as error:
        raise click.UsageError(f"cannot emulate: {error}") from error
    return 0


def _served() -> Any:
    from qwenbuild.errors import InputError

    try:
        from qwenbuild.emulator import serve
    except ModuleNotFoundError as error:
        text = f"the emulator needs {error.name}: pip install 'qwenbuild[emulator]'"
        raise InputError(text, code="missing-extra") from error
    return serve


def _until_told() -> None:
    """Wait for SIGINT or SIGTERM."""
    told = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: told.set())
    while not told.wait(timeout=1.0):
        continue
