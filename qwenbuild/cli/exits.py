"""How the program ends: an error in words or as JSON, an exit code, a log file for a bug.

Knows the error tree; does not know what the program was doing.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from typing import Any

import click

from qwenbuild.errors import Problem, QwenbuildError
from qwenbuild.later import later
from qwenbuild.stdio import FAILED, failure, finish

with later:
    from qwenbuild import tree
    from qwenbuild.cli import crash, findings, program
    from qwenbuild.report import escape, streams, terminal
    from qwenbuild.report import problems as wording

INTERRUPTED = 130
BUG = 70
USAGE = 2


def run(args: Sequence[str]) -> int:
    """Carry out a command line and return the exit code; nothing is raised."""
    try:
        return _carried_out(list(args))
    except click.exceptions.Exit as ending:
        return ending.exit_code
    except QwenbuildError as error:
        _problems(error.problems, args)
        return error.exit_code
    except click.ClickException as error:
        _usage(error, args)
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        _line("interrupted")
        return INTERRUPTED
    except EOFError:
        return INTERRUPTED
    except BrokenPipeError:
        return 0
    except BaseException as error:
        if isinstance(error, SystemExit):
            return error.code if isinstance(error.code, int) else BUG
        if error in (failure(sys.stdout), failure(sys.stderr)):
            return FAILED
        if words := _of_the_environment(error):
            _problems([Problem("environment", words)], args)
            return FAILED
        return _bug(error)


def _of_the_environment(error: BaseException) -> str:
    """A sentence for what no program can help: a file that the system does not give, or a name that it cannot write."""
    if isinstance(error, tree.NotWritten):
        return str(error)
    if isinstance(error, OSError) and error.filename is not None:
        return f"{os.fsdecode(error.filename)}: {error.strerror or error}"
    if isinstance(error, UnicodeEncodeError) and sys.getfilesystemencoding() != "utf-8":
        name = error.object.encode("ascii", "backslashreplace").decode()
        encoding = sys.getfilesystemencoding()
        return f"no file can be named {name} here, where names are in {encoding}: set LC_ALL=C.UTF-8, or PYTHONUTF8=1"
    return ""


def _carried_out(args: list[str]) -> int:
    if "_QWENBUILD_COMPLETE" in os.environ:
        program.program.main(args, prog_name="qwenbuild")
    wanted = findings.listing(args)  # and what lists them is loaded: an import may fail after a build
    with program.program.make_context("qwenbuild", args) as context:
        code = program.program.invoke(context)
        if wanted.junit:
            findings.write_junit(wanted.junit, findings.noted(context))
    return code if isinstance(code, int) else 0


def leave(code: int) -> None:
    """Flush, and end the process with `code`; a reader that has gone away is not an error, output that is lost is."""
    sys.exit(finish(code))


# ---------------------------------------------------------------- problems


def problem_json(problem: Problem) -> dict[str, Any]:
    """A Problem as the interface prints it; what is not known is null."""
    mark = problem.mark
    return {
        "file": mark.file if mark else None,
        "line": mark.line if mark else None,
        "column": mark.column if mark else None,
        "path": problem.path or None,
        "code": problem.code,
        "message": problem.message,
    }


def wants_json(args: Sequence[str]) -> bool:
    """Whether errors go to stdout as JSON."""
    words = list(args)
    words = words[: words.index("--")] if "--" in words else words
    return "--json" in words or os.environ.get("QWENBUILD_JSON", "").lower() in ("1", "true", "yes", "on", "t", "y")


def _problems(problems: Sequence[Problem], args: Sequence[str]) -> None:
    if _listed(problems, args):
        return
    if wants_json(args):
        _json(problems)
        return
    for problem in problems:
        _line(wording.format_problem(problem) if problem.mark else _error(wording.format_problem(problem)))


def _listed(problems: Sequence[Problem], args: Sequence[str]) -> bool:
    """List them where else they were asked for; whether that is instead of the terminal's lines."""
    wanted = findings.listing(args)
    if wanted.junit:
        try:
            findings.write_junit(wanted.junit, problems)
        except OSError as error:
            _line(_error(f"{wanted.junit}: {error.strerror or error}"))
    if wanted.github:
        findings.annotate(problems)
    return wanted.github and not wants_json(args)


def _usage(error: click.ClickException, args: Sequence[str]) -> None:
    if _listed([Problem("usage", error.format_message())], args):
        return
    if wants_json(args):
        _json([Problem("usage", error.format_message())])
        return
    context = getattr(error, "ctx", None)
    if context is not None:
        _line(f"{context.get_usage()}\nTry '{context.command_path} --help' for help.\n")
    _line(_error(escape.visible(error.format_message())))


def _json(problems: Sequence[Problem]) -> None:
    streams.Lines(sys.stdout).line(json.dumps({"v": 1, "errors": [problem_json(problem) for problem in problems]}))


def _error(text: str) -> str:
    return f"{terminal.terminal(sys.stderr).style('error:', 'red', 'bold')} {text}"


def _line(text: str) -> None:
    streams.Lines(sys.stderr).line(text)


# ---------------------------------------------------------------- bugs


def _bug(error: BaseException) -> int:
    import traceback

    text = "".join(traceback.format_exception(error))
    path = crash.write_log(text)
    where = f"the traceback is in {path}" if path else "no log file could be written"
    _line(_error(f"this is a bug in qwenbuild ({type(error).__name__}); {where}"))
    return BUG
