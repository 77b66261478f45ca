"""How a run is shown while it goes on: a live line on a terminal, one plain line per finished entry elsewhere.

Knows events only; never writes to stdout, and never raises into the run.
"""

from __future__ import annotations

from typing import IO, TYPE_CHECKING

from qwenbuild.ports import Event
from qwenbuild.report.escape import visible
from qwenbuild.report.streams import Lines
from qwenbuild.report.tally import Tally
from qwenbuild.report.terminal import Terminal
from qwenbuild.report.words import price_words

if TYPE_CHECKING:
    from rich.progress import Progress, Task, TaskID

_ROLE = {"failed": "red", "doubt": "red", "retry": "yellow"}


class Quiet:
    """Says nothing: `-q`."""

    def event(self, event: Event) -> None:
        """Ignore it."""

    def close(self) -> None:
        """Nothing to end."""


class Plain:
    """One line on `stream` (stderr) per finished entry, retry, failure and message."""

    def __init__(self, stream: IO[str], terminal: Terminal) -> None:
        self._lines = Lines(stream)
        self._terminal = terminal
        self._tally = Tally()

    def event(self, event: Event) -> None:
        """Write the line of an event, where it has one."""
        finished = self._tally.note(event)
        if event.event == "written" and finished:
            self._lines.line(self._finished(event))
        elif said := event_words(event):
            self._lines.line(self._terminal.style(said, _ROLE.get(event.event, "")))

    def close(self) -> None:
        """Nothing to end."""

    def _finished(self, event: Event) -> str:
        tally = self._tally
        width = len(f"{tally.total:,}")
        counted = f"[{len(tally.finished):>{width},}/{max(tally.total, len(tally.finished)):,}]"
        money = f"  {price_words(tally.spent)} so far" if tally.spent and event.id in tally.bought else ""
        return f"{counted} {how(event, tally)}  {visible(event.id)}{money}"


class Live:
    """A line that moves, by rich, on `stream` (stderr, a terminal): count, rate, time left, money, requests in flight."""

    def __init__(self, stream: IO[str], terminal: Terminal) -> None:
        self._progress = _progress(stream, terminal)
        self._terminal = terminal
        self._tally = Tally()
        self._task: TaskID | None = None

    def event(self, event: Event) -> None:
        """Move the line; print above it what a person should read."""
        self._tally.note(event)
        if event.event == "plan" and self._tally.total:
            self._start()
        said = event_words(event)
        if said and (event.event != "retry" or self._terminal.verbose):
            self._print(said, _ROLE.get(event.event, ""))
        if self._task is not None:
            self._progress.update(self._task, completed=len(self._tally.finished), total=self._total(), tail=tail(self._tally))

    def close(self) -> None:
        """Take the line away."""
        self._progress.stop()

    def _start(self) -> None:
        if self._task is None:
            self._task = self._progress.add_task("", total=self._total(), tail="")
            self._progress.start()

    def _total(self) -> int:
        return max(self._tally.total, len(self._tally.finished))

    def _print(self, text: str, role: str) -> None:
        from rich.text import Text

        self._progress.console.print(Text(text, style=role), soft_wrap=True)


def _progress(stream: IO[str], terminal: Terminal) -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn
    from rich.text import Text

    class Rate(ProgressColumn):
        def render(self, task: Task) -> Text:
            speed = task.finished_speed or task.speed
            return Text(f"{speed:.1f}/s" if speed else "", style="dim")

    console = Console(file=stream, force_terminal=True, no_color=not terminal.paint, highlight=False, markup=False)
    columns = (
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        Rate(),
        TimeRemainingColumn(compact=True),
        TextColumn("{task.fields[tail]}", markup=False),
    )
    return Progress(*columns, console=console, transient=True, refresh_per_second=5)


def reporter(stream: IO[str], terminal: Terminal, *, live: bool) -> Quiet | Plain | Live:
    """The one that suits `stream`: nothing under `-q`, the live line on a terminal, plain lines elsewhere."""
    if terminal.quiet:
        return Quiet()
    return Live(stream, terminal) if live else Plain(stream, terminal)


def how(event: Event, tally: Tally) -> str:
    """What was done for an entry that has just been written."""
    said = event.data.get("how")
    return visible(str(said)) if said else "generated" if event.id in tally.bought else "written"


def tail(tally: Tally) -> str:
    """What stands behind the live line: money so far, requests in flight, failures."""
    parts = [price_words(tally.spent) if any(tally.spent.values()) else ""]
    parts += [f"{len(tally.flying)} in flight" if tally.flying else ""]
    parts += [f"{len(tally.failed)} failed" if tally.failed else ""]
    parts += [f"{len(tally.doubtful)} in doubt" if tally.doubtful else ""]
    return " · ".join(part for part in parts if part)


def event_words(event: Event) -> str:
    """What an event says to a person at once; "" for those that only move a count."""
    said = visible(str(event.data.get("message", event.data.get("text", ""))))
    identity = visible(event.id)
    if event.event == "message":
        return said
    if event.event == "failed":
        return f"failed  {identity}: {said}" if said else f"failed  {identity}"
    if event.event == "doubt":
        return f"in doubt  {identity}: {said or 'sent, and no answer that could be read; perhaps charged'}"
    if event.event == "retry":
        return f"again  {identity}: {said}" if said else f"again  {identity}"
    return ""
