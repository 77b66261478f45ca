"""Projects that buy from the emulator, for the parts of the campaign that run in one process; the emulator judges money.

Knows no fault: tests do the harm, this does the building and the counting.
"""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from qwenbuild.errors import QwenbuildError
from qwenbuild.ports import Event
from qwenbuild.verbs import Summary
from tests.walking import Project, Recorder

MANIFEST = """\
version: 1
provider: dashscope
providers:
  dashscope: {region: singapore, mode: async, limits: {rps: 200, concurrency: 20}}
defaults: {params: {size: "1:1", prompt_extend: false}}
assets:
  lanterns:
    prompt: "a {{ color }} lantern"
    model: qwen-image-plus
    matrix: {color: [COLORS]}
"""
COLORS = ("red", "blue", "green")


class Crash(BaseException):
    """The process ends here, as far as the code under test can tell."""


def manifest(colors: tuple[str, ...] = COLORS) -> str:
    """A manifest with one paid entry a color."""
    return MANIFEST.replace("COLORS", ", ".join(colors))


class Doing(Recorder):
    """A reporter that does something at an event."""

    def __init__(self, kind: str, act: Callable[[Event], None]) -> None:
        super().__init__()
        self.kind, self.act = kind, act

    def event(self, event: Event) -> None:
        super().event(event)
        if event.event == self.kind:
            self.act(event)


def crash(event: Event) -> None:
    """Die at an event."""
    raise Crash(event.id)


def build_with(project: Project, reporter: Recorder, **said: Any) -> Summary:
    """A build under `--yes` that tells this reporter."""
    from qwenbuild.verbs import build

    return build(project.options(**{"yes": True, **said}), reporter, None)


def build_and_die(project: Project, kind: str = "submitted", **said: Any) -> None:
    """A build that dies at the first event of a kind; what it held open is closed, as the kernel would."""
    try:
        build_with(project, Doing(kind, crash), **said)
    except Crash:
        gc.collect()
        return
    raise AssertionError(f"the build never came to {kind!r}")


def attempt_build(project: Project, **said: Any) -> Summary | QwenbuildError:
    """A build, or the sentence with which it refused. Anything else is a bug and is raised."""
    try:
        return project.build(**said)
    except QwenbuildError as error:
        return error


def paid(emulated: Any) -> Counter[str]:
    """How often each prompt was paid for, by the emulator's ledger."""
    return Counter(job["prompt"] for job in emulated.ledger())


def right_pictures(project: Project, emulated: Any) -> dict[str, bool]:
    """Whether each file of the tree is a picture that was made for its own prompt."""
    made: dict[str, set[str]] = {}
    for job in emulated.ledger():
        made.setdefault(job["prompt"].split()[1], set()).update(job["pictures"])
    return {path: digest in made.get(Path(path).stem, set()) for path, digest in project.tree().items()}


def command(
    project: Project, environ: Mapping[str, str], *words: str, before: Callable[[], None] | None = None, seconds: float = 60
) -> subprocess.CompletedProcess[str]:
    """The program as a user runs it, in a process of its own, with `before` run in the child."""
    return subprocess.run(
        [sys.executable, "-m", "qwenbuild", *words],
        cwd=project.folder,
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=seconds,
        preexec_fn=before,
        check=False,
    )
