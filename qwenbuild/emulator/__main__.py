"""`python -m qwenbuild.emulator`: the emulator without the rest of the command line.

Knows only how to read its arguments.
"""

from __future__ import annotations

import argparse
import json
import sys

from qwenbuild.emulator.standalone import REALISTIC_LATENCY_S, run_emulator


def _setting(text: str) -> tuple[str, object]:
    name, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def main(arguments: list[str] | None = None) -> int:
    """Parse, run, return an exit code."""
    parser = argparse.ArgumentParser(prog="qwenbuild emulate", description="Play the hosted image APIs on loopback.")
    parser.add_argument("--host", default="127.0.0.1", help="a loopback address")
    parser.add_argument("--port", type=int, default=0, help="of the APIs; 0 lets the system choose")
    parser.add_argument("--storage-port", type=int, default=0, help="of the links to pictures")
    parser.add_argument(
        "--region", choices=["singapore", "beijing"], default="singapore", help="which one DASHSCOPE_API_KEY means"
    )
    parser.add_argument("--latency", type=float, default=REALISTIC_LATENCY_S, help="seconds from the start of a job to its end")
    parser.add_argument("--export-file", help="write what to export here once the emulator is up")
    parser.add_argument("--set", action="append", default=[], type=_setting, metavar="NAME=VALUE", help="any other setting")
    given = vars(parser.parse_args(arguments))
    settings = dict(given.pop("set"))
    try:
        return run_emulator(**given, **settings, say=lambda text: print(text, flush=True))
    except (OSError, ValueError) as error:
        print(f"cannot emulate: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
