"""Steps and checks that plug-ins add: how they are described, read, run, and what is said when one fails.

Knows none by name. What a plug-in raises is never taken for what a picture is: it is not remembered of it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from typing import Any

from qwenbuild import plugins
from qwenbuild.errors import InputError
from qwenbuild.images.arguments import Argument, Value, read_all
from qwenbuild.model import ImageStep
from qwenbuild.plugins import Kind, Plugin

STAMP = "plugin"
"""Under which a plug-in's name and version stand in what a file or a judgement is known by."""

_RESERVED = (STAMP, "palette", "cell")


class PluginFailed(ValueError):
    """A plug-in's code raised, or gave what it must not; nothing is known of the picture."""


@dataclass(frozen=True, slots=True)
class PipelineStep:
    """A step that a plug-in adds.

    `apply` is "module:function"; the function takes a Pillow picture (L, LA, RGB or RGBA) and the arguments, every one of
    them, and gives a new picture; a ValueError of one sentence says that the two do not go together. `main` is the argument
    that is meant where no mapping is written; `keeps_size` tells that the picture's size stays.
    """

    name: str
    apply: str
    arguments: Mapping[str, Argument] = field(default_factory=dict)
    main: str = ""
    keeps_size: bool = False


@dataclass(frozen=True, slots=True)
class CheckFinding:
    """What a plug-in's check found. `fault` is one sentence, "" when the file is as expected; `measured` is the same text on
    every machine; `evidence` holds JSON values: `boxes` are [left, top, width, height] in pixels,
    `score` from 0 to 1000 is what `choose: best` goes by.
    """

    fault: str
    measured: str = ""
    evidence: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PictureCheck:
    """A key of `expect` that a plug-in adds.

    `judge` is "module:function"; the function takes the file's bytes and the value as `value` reads it, and gives one
    sentence, or "" when the file is as expected; or a CheckFinding, which also says what was measured.
    """

    name: str
    judge: str
    value: Argument


# ---------------------------------------------------------------- steps


@cache
def _step(kind: str, built_in: tuple[str, ...]) -> tuple[PipelineStep, Plugin] | None:
    row_and_plugin = _row("step", kind, built_in, PipelineStep)
    if row_and_plugin is None:
        return None
    row, plugin = row_and_plugin
    for name in row.arguments:
        if name in _RESERVED:
            raise plugin.broken(f"has an argument `{name}`, which has a meaning of its own")
    if row.main and row.main not in row.arguments:
        raise plugin.broken(f"has no argument `{row.main}`, its main one")
    return row, plugin


def step_of(kind: str, built_in: Collection[str]) -> PipelineStep | None:
    """The row of a plug-in's step; None when none has the name. Raises InputError."""
    step = _step(kind, tuple(built_in))
    return step[0] if step else None


def read_step(kind: str, args: Any, built_in: Collection[str]) -> ImageStep | None:
    """A plug-in's step with every argument read, and its version; None when none has the name.

    Raises ValueError for an argument, InputError for a plug-in that cannot be used.
    """
    step = _step(kind, tuple(built_in))
    if step is None:
        return None
    row, plugin = step
    given = args if isinstance(args, Mapping) else {} if args is None else {row.main: args} if row.main else None
    if given is None:
        raise ValueError(f"{kind} takes a mapping of its arguments ({', '.join(row.arguments)}), got {args!r}")
    return ImageStep(kind, {**read_all(kind, row.arguments, given), STAMP: plugin.stamp})


def apply(image: Any, kind: str, args: Mapping[str, Any]) -> Any:
    """What a plug-in's step makes. Raises ValueError when picture and arguments do not go together, PluginFailed."""
    from PIL import Image

    step = _step(kind, ())
    assert step is not None, kind
    row, plugin = step
    given = {name: value for name, value in args.items() if name != STAMP}
    result = _run(plugin, row.apply, image, given)
    if not isinstance(result, Image.Image):
        raise _failed(plugin, f"gave a {type(result).__name__}, not a picture")
    return result


# ---------------------------------------------------------------- checks


@cache
def _check(name: str, built_in: tuple[str, ...]) -> tuple[PictureCheck, Plugin] | None:
    return _row("check", name, built_in, PictureCheck)


def check_reader(name: str, built_in: Collection[str]) -> Callable[[Any], Mapping[str, Value]] | None:
    """How the value of a plug-in's check is read, with its version; None when none has the name. Raises InputError."""
    check = _check(name, tuple(built_in))
    if check is None:
        return None
    row, plugin = check
    return lambda value: {STAMP: plugin.stamp, "value": row.value.read(value)}


def judge(data: bytes, name: str, expected: Mapping[str, Value]) -> CheckFinding:
    """What the bytes fail of a plug-in's check. Raises PluginFailed."""
    check = _check(name, ())
    assert check is not None, name
    row, plugin = check
    answer = _run(plugin, row.judge, data, expected["value"])
    finding = CheckFinding(answer) if isinstance(answer, str) else answer
    if not isinstance(finding, CheckFinding):
        raise _failed(plugin, f"gave a {type(answer).__name__}, not a sentence or a CheckFinding")
    if not _is_plain(dict(finding.evidence)) or not all(isinstance(text, str) for text in (finding.fault, finding.measured)):
        raise _failed(plugin, "gave a CheckFinding that JSON cannot hold")
    return finding


def _is_plain(value: Any) -> bool:
    try:
        return bool(json.loads(json.dumps(value, allow_nan=False)) == value)
    except (TypeError, ValueError):
        return False


# ---------------------------------------------------------------- both


def _row(kind: Kind, name: str, built_in: Collection[str], row_type: type[Any]) -> tuple[Any, Plugin] | None:
    """What the entry point of this name gives, and whose it is. Raises InputError."""
    plugin = plugins.find(kind, name, built_in)
    if plugin is None:
        return None
    row = plugin.load()
    if not isinstance(row, row_type):
        raise plugin.broken(f"cannot be used: the entry point names a {type(row).__name__}, not a {row_type.__name__}")
    if row.name != name:
        raise plugin.broken(f"cannot be used: it calls itself `{row.name}`")
    return row, plugin


def load_used() -> None:
    """Import the code of every step and check that was asked for. Raises InputError."""
    for plugin in plugins.used():
        step = _step(plugin.name, ()) if plugin.kind == "step" else None
        if step is not None:
            _function(plugin, step[0].apply)
        check = _check(plugin.name, ()) if plugin.kind == "check" else None
        if check is not None:
            _function(plugin, check[0].judge)


def _function(plugin: Plugin, where: str) -> Callable[..., Any]:
    """A plug-in's function. Raises InputError."""
    module, _, name = where.partition(":")
    try:
        function: Callable[..., Any] = getattr(import_module(module), name)
    except (Exception, SystemExit) as error:
        raise plugin.broken(f"cannot be loaded: {type(error).__name__}: {error}") from error
    return function


def _run(plugin: Plugin, where: str, *given: Any) -> Any:
    """What a plug-in's function gives. A ValueError is its word on the picture; anything else is its own failure."""
    try:
        function = _function(plugin, where)
    except InputError as error:
        raise PluginFailed(str(error)) from error
    try:
        return function(*given)
    except ValueError:
        raise
    except Exception as error:
        raise _failed(plugin, f"failed: {type(error).__name__}: {error}") from error


def _failed(plugin: Plugin, what: str) -> PluginFailed:
    return PluginFailed(str(plugin.broken(what)))
