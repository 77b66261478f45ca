"""A process that has everything imported and forks a build for each order, so that a build starts in milliseconds.

Knows nothing of kills: orders come as JSON lines, a line with the process id goes back, and one with its end.
"""

from __future__ import annotations

import functools
import json
import os
import sys
from typing import Any

TIMES = {"settle": 0.25, "pause": 0.1, "patience": 0.05}
"""Seconds: loopback and an emulator without a lag need no minutes."""


def prepare() -> None:
    """Import what a build imports, and make recovery quick."""
    from qwenbuild.cli import program  # noqa: F401
    from qwenbuild.engine import context
    from qwenbuild.images import check  # noqa: F401
    from qwenbuild.providers import apiframe, openai, qwen2512  # noqa: F401
    from qwenbuild.run.world import Times, World
    from qwenbuild.transport import routes

    for name in ("PIL.Image", "diskcache", "pydantic", "qwenbuild.cache.journal"):
        __import__(name)
    routes.ssl_context()
    context.World = functools.partial(World, times=Times(**TIMES))  # type: ignore[misc,assignment]


def carry_out(order: dict[str, Any]) -> None:
    """In the child: become the program."""
    from qwenbuild.__main__ import main

    os.chdir(order["cwd"])
    os.environ.clear()
    os.environ.update(order["env"])
    out = os.open(order["out"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(out, 1)
    os.dup2(out, 2)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    sys.argv = ["qwenbuild", *order["args"]]
    main()


def serve() -> None:
    """Fork for each line of stdin until it ends."""
    prepare()
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    for line in sys.stdin:
        order = json.loads(line)
        child = os.fork()
        if child == 0:
            code = 70
            try:
                carry_out(order)
            except SystemExit as ending:
                code = ending.code if isinstance(ending.code, int) else 70
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code)
        answers.write(f"{child}\n")
        _, status = os.waitpid(child, 0)
        answers.write(f"{os.waitstatus_to_exitcode(status)}\n")


def once(args: list[str]) -> None:
    """Be one build, with recovery made quick: for tracing a process from its start."""
    from qwenbuild.__main__ import main

    prepare()
    sys.argv = ["qwenbuild", *args]
    main()


if __name__ == "__main__":
    once(sys.argv[1:]) if sys.argv[1:] else serve()
