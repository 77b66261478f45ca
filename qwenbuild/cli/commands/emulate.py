"""`qwenbuild emulate`: the hosted APIs, played on loopback, until Ctrl-C.

Does not know the APIs.
"""

from __future__ import annotations

import json
from typing import Any

import click

from qwenbuild.cli import console
from qwenbuild.cli.group import Verb
from qwenbuild.errors import InputError


def _setting(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> dict[str, Any]:
    """`NAME=VALUE` as settings; values are read as JSON where they are, as text otherwise."""
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


@click.command("emulate", cls=Verb)
@click.option("--host", default="127.0.0.1", show_default=True, help="A loopback address.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Port of the APIs; 0 lets the system choose.")
@click.option("--storage-port", type=click.IntRange(0, 65535), default=0, help="Port of the picture links.")
@click.option("--region", type=click.Choice(["singapore", "beijing"]), default="singapore", show_default=True)
@click.option("--latency", type=float, default=15.0, show_default=True, metavar="SECONDS", help="How long a picture takes.")
@click.option("--export-file", metavar="FILE", help="Write the variables to export into FILE; removed when it ends.")
@click.option("--set", "settings", multiple=True, metavar="NAME=VALUE", callback=_setting, help="A setting, such as latency=2.")
def command(
    host: str,
    port: int,
    storage_port: int,
    region: str,
    latency: float,
    export_file: str | None,
    settings: dict[str, Any],
) -> int:
    """Emulate the hosted APIs, and a self-hosted server, on loopback until Ctrl-C.

    The variables that make qwenbuild use it are printed first. Needs `pip install 'qwenbuild[emulator]'`.

    \b
    Examples:
      qwenbuild emulate --port 8010
      qwenbuild emulate --latency 0.1 --export-file emulator.env &
    """
    run_emulator = _runner()
    try:
        code: int = run_emulator(
            port,
            storage_port,
            host=host,
            region=region,
            latency=latency,
            export_file=export_file,
            say=lambda text: console.result(text.splitlines()),
            **settings,
        )
    except (OSError, ValueError, TypeError) as error:
        raise click.UsageError(f"cannot emulate: {error}") from error
    return code


def _runner() -> Any:
    try:
        from qwenbuild.emulator import run_emulator
    except ModuleNotFoundError as error:
        text = f"the emulator needs {error.name}: pip install 'qwenbuild[emulator]'"
        raise InputError(text, code="missing-extra") from error
    return run_emulator
