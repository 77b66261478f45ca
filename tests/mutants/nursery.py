"""A pytest that has collected everything, and forks a child for each mutant: only the tests that reach its line are run.

Knows no rule. A mutant is put in by exchanging a function's code, or a constant wherever it was imported to.
"""

from __future__ import annotations

import functools
import os
import pickle
import select
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FrameType, FunctionType, ModuleType
from typing import Any

import pytest
from _pytest.runner import runtestprotocol

from tests.mutants.rules import Mutant, mutants_of

PATIENCE_S = 10.0
"""Beside ten times what the tests took without a mutant."""


@dataclass
class Reached:
    """Of each test the lines of the files it ran through, its seconds, and whether it passed."""

    lines: dict[str, set[tuple[str, int]]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    passed: dict[str, bool] = field(default_factory=dict)


@dataclass(frozen=True)
class Verdict:
    """What became of a mutant: "killed", "survived", "not reached", or "no mutant" where it could not be put in."""

    file: Path
    mutant: Mutant
    fate: str
    by: str = ""


@dataclass
class Nursery:
    """The pytest plugin. `seconds` is how long the tests of one mutant may take, by what they took without it."""

    files: Sequence[Path]
    chosen: Callable[[Mutant], bool]
    told: Callable[[Verdict], None]
    processes: int = 2
    seconds: float = 30.0
    verdicts: list[Verdict] = field(default_factory=list)

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Instead of running the tests."""
        items = {item.nodeid: item for item in session.items}
        reached = _measured(list(items.values()), self.files)
        sound = {name for name, passed in reached.passed.items() if passed}
        jobs = [(path, m) for path in self.files for m in mutants_of(path.read_text(encoding="utf-8")) if self.chosen(m)]
        for job in _at_most(self.processes, (self._job(path, m, items, reached, sound) for path, m in jobs)):
            self.verdicts.append(job)
            self.told(job)
        return True

    def _job(
        self, path: Path, mutant: Mutant, items: Mapping[str, pytest.Item], reached: Reached, sound: set[str]
    ) -> Verdict | _Child:
        names = [name for name in sound if _reaches(reached.lines[name], path, mutant)]
        if not names:
            return Verdict(path, mutant, "not reached")
        names.sort(key=lambda name: reached.seconds[name])
        total, taken = 0.0, []
        for name in names:
            total += reached.seconds[name]
            if taken and total > self.seconds:
                break
            taken.append(name)
        spent = sum(reached.seconds[name] for name in taken)
        return _Child(path, mutant, [items[name] for name in taken], 10 * spent + PATIENCE_S)


def _reaches(lines: set[tuple[str, int]], path: Path, mutant: Mutant) -> bool:
    """A constant is reached by whoever runs through its module."""
    if mutant.in_function:
        return any((str(path), line) in lines for line in mutant.lines)
    return any(name == str(path) for name, _ in lines)


# ---------------------------------------------------------------- children


class _Child:
    """A fork that runs some tests with a mutant in place. Its pipe ends when it does."""

    def __init__(self, path: Path, mutant: Mutant, items: Sequence[pytest.Item], patience: float) -> None:
        self.path, self.mutant = path, mutant
        self.until = time.monotonic() + patience
        self.folder = tempfile.mkdtemp(prefix="mutant-")
        self.pipe, end = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.setsid()
            os.close(self.pipe)
            _carry_out(end, Path(self.folder), lambda: _tried(path, mutant, items))
        os.close(end)

    def verdict(self) -> Verdict:
        """After the end, or after its time."""
        try:
            said = os.read(self.pipe, 65536) if select.select([self.pipe], [], [], 0)[0] else b"killed\nout of time"
        finally:
            os.close(self.pipe)
            for kill in (os.killpg, os.kill):
                try:
                    kill(self.pid, signal.SIGKILL)
                except OSError:
                    continue
            os.waitpid(self.pid, 0)
            shutil.rmtree(self.folder, ignore_errors=True)
        fate, _, by = (said.decode() or "killed\nit ended the process").partition("\n")
        return Verdict(self.path, self.mutant, fate, by)


def _at_most(processes: int, jobs: Iterator[Verdict | _Child]) -> Iterator[Verdict]:
    alive: list[_Child] = []
    for job in jobs:
        if isinstance(job, Verdict):
            yield job
            continue
        alive.append(job)
        while len(alive) >= processes:
            yield from _ended(alive)
    while alive:
        yield from _ended(alive)


def _ended(alive: list[_Child]) -> Iterator[Verdict]:
    ready, _, _ = select.select([child.pipe for child in alive], [], [], 0.5)
    for child in [child for child in alive if child.pipe in ready or time.monotonic() > child.until]:
        alive.remove(child)
        yield child.verdict()


def _carry_out(end: int, folder: Path, work: Callable[[], bytes]) -> None:
    """In the fork: silence, a folder of its own, the work, its answer through the pipe, and no return."""
    try:
        null = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(null, stream)
        tempfile.tempdir = str(folder)
        os.environ["TMPDIR"] = str(folder)
        answer = work()
    except BaseException as error:
        answer = f"killed\n{type(error).__name__}".encode()
    while answer:
        answer = answer[os.write(end, answer) :]
    os._exit(0)


def _tried(path: Path, mutant: Mutant, items: Sequence[pytest.Item]) -> bytes:
    try:
        _put_in(path, mutant)
    except (ValueError, SyntaxError, KeyError, AttributeError, TypeError) as error:
        return f"no mutant\n{error}".encode()
    for item, after in zip(items, [*items[1:], None], strict=True):
        if not _passes(item, after):
            return f"killed\n{item.nodeid}".encode()
    return b"survived\n"


def _passes(item: pytest.Item, after: pytest.Item | None) -> bool:
    factory = item.config._tmp_path_factory  # type: ignore[attr-defined]
    if not str(factory._basetemp).startswith(tempfile.gettempdir()):
        factory._basetemp = Path(tempfile.mkdtemp())
    return not any(report.failed for report in runtestprotocol(item, log=False, nextitem=after))


def _put_in(path: Path, mutant: Mutant) -> None:
    module = _module(path)
    code = compile(mutant.tree(), str(path), "exec", dont_inherit=True)
    if mutant.in_function:
        _function(module, mutant.owner).__code__ = _code(code, mutant.owner)
        return
    (name,) = mutant.owner
    fresh = ModuleType(module.__name__)
    fresh.__dict__.update(__file__=module.__file__, __package__=module.__package__)
    exec(code, fresh.__dict__)
    old, new = module.__dict__[name], fresh.__dict__[name]
    for other in list(sys.modules.values()):
        if getattr(other, "__name__", "").startswith("qwenbuild") and other.__dict__.get(name) is old:
            setattr(other, name, new)


def _module(path: Path) -> ModuleType:
    return next(m for m in list(sys.modules.values()) if getattr(m, "__file__", None) == str(path))


def _function(module: ModuleType, owner: Sequence[str]) -> FunctionType:
    found: Any = module
    for name in owner:
        found = found.__dict__[name]
    while not isinstance(found, FunctionType) or hasattr(found, "__wrapped__"):
        if isinstance(found, property):
            found = found.fget
        elif isinstance(found, functools.cached_property):
            found = found.func
        else:
            found = getattr(found, "__wrapped__", None) or found.__func__
    return found


def _code(code: CodeType, owner: Sequence[str]) -> CodeType:
    for name in owner:
        inner = [const for const in code.co_consts if isinstance(const, CodeType) and const.co_name == name]
        code = inner[-1]
    return code


# ---------------------------------------------------------------- which test reaches what


def _measured(items: Sequence[pytest.Item], files: Sequence[Path]) -> Reached:
    """Run every test once, in a fork, and note which lines of the files it runs through."""
    pipe, end = os.pipe()
    folder = tempfile.mkdtemp(prefix="mutant-")
    pid = os.fork()
    if pid == 0:
        os.close(pipe)
        _carry_out(end, Path(folder), lambda: pickle.dumps(_traced(items, {str(path) for path in files})))
    os.close(end)
    with open(pipe, "rb") as stream:
        data = stream.read()
    os.waitpid(pid, 0)
    shutil.rmtree(folder, ignore_errors=True)
    if data.startswith(b"killed"):
        raise RuntimeError(f"the tests could not be measured: {data.decode()}")
    reached: Reached = pickle.loads(data)  # noqa: S301 - from a child of its own
    return reached


def _traced(items: Sequence[pytest.Item], files: set[str]) -> Reached:
    reached = Reached()
    lines: set[tuple[str, int]] = set()

    def local(frame: FrameType, event: str, argument: object) -> Any:
        lines.add((frame.f_code.co_filename, frame.f_lineno))
        return local

    def calls(frame: FrameType, event: str, argument: object) -> Any:
        if frame.f_code.co_filename not in files:
            return None
        lines.add((frame.f_code.co_filename, frame.f_lineno))
        return local

    for item, after in zip(items, [*items[1:], None], strict=True):
        lines = reached.lines[item.nodeid] = set()
        start = time.monotonic()
        threading.settrace(calls)
        sys.settrace(calls)
        try:
            reached.passed[item.nodeid] = _passes(item, after)
        finally:
            sys.settrace(None)
            threading.settrace(None)  # type: ignore[arg-type]
        reached.seconds[item.nodeid] = time.monotonic() - start
    return reached
