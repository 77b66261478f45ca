"""How a run is shown while it goes on: a live line on a terminal, one plain line per finished entry elsewhere.

Knows events only; never writes to stdout, and never raises into the run.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import IO, TYPE_CHECKING

from qwenbuild.ports import Event
from qwenbuild.report.escape import visible
from qwenbuild.report.plan_text import counted_lines
from qwenbuild.report.streams import Lines
from qwenbuild.report.tally import Tally
from qwenbuild.report.terminal import Terminal, cut
from qwenbuild.report.words import duration, price_words

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

SCROLLED = 20
"""After so many plain lines nobody sees the first ones any more: failures are said again at the end."""

BAR_COLUMNS, CLOCK_COLUMNS = 16, 7
"""Columns of the bar, and of the time since the start, `0:00:00`. In a narrow line what stands behind them is cut."""

_ROLE = {"failed": "red", "doubt": "red", "retry": "yellow"}


class Quiet:
    """Says nothing: `-q`. `reported` are the messages of failures that a person has seen."""

    reported: frozenset[str] = frozenset()

    def event(self, event: Event) -> None:
        """Ignore it."""

    def plan_shown(self) -> None:
        """Nobody was going to show it."""

    def close(self) -> None:
        """Nothing to end."""


class _PlanLine:
    """The plan in a line or two, once: at once where nobody will ask, else when work begins without a question."""

    def __init__(self, terminal: Terminal, *, asks: bool) -> None:
        self._terminal = terminal
        self._asks = asks
        self._lines: list[str] = []

    def take(self, event: Event) -> list[str]:
        """The lines that are due with this event."""
        if event.event == "plan":
            self._lines = list(counted_lines(event.data.get("summary", event.data), self._terminal))
            return [] if self._asks else self._due()
        return self._due() if event.event != "message" else []

    def drop(self) -> None:
        """It has been shown otherwise."""
        self._lines = []

    def _due(self) -> list[str]:
        lines, self._lines = self._lines, []
        return lines


class Plain:
    """One line on `stream` (stderr) per finished entry, retry, failure and message."""

    def __init__(self, stream: IO[str], terminal: Terminal, *, asks: bool = False) -> None:
        self._lines = Lines(stream)
        self._terminal = terminal
        self._plan = _PlanLine(terminal, asks=asks)
        self._tally = Tally()
        self._reported: dict[str, int] = {}
        self._number = 0

    @property
    def reported(self) -> frozenset[str]:
        """The messages of failures that are still in sight."""
        return frozenset(message for message, number in self._reported.items() if self._number - number <= SCROLLED)

    def event(self, event: Event) -> None:
        """Write the line of an event, where it has one."""
        for line in self._plan.take(event):
            self._lines.line(line)
        finished = self._tally.note(event)
        if event.event == "written" and finished:
            self._line(self._finished(event))
        elif text := event_words(event):
            self._line(self._terminal.style(text, _ROLE.get(event.event, "")))
            self._reported[event_message(event)] = self._number

    def plan_shown(self) -> None:
        """A person has just read the plan."""
        self._plan.drop()

    def close(self) -> None:
        """Nothing to end."""

    def _line(self, text: str) -> None:
        self._number += 1
        self._lines.line(text)

    def _finished(self, event: Event) -> str:
        tally = self._tally
        width = len(f"{tally.total:,}")
        counted = f"[{len(tally.finished):>{width},}/{max(tally.total, len(tally.finished)):,}]"
        paid = f"  {price_words(tally.spent)} so far" if any(tally.spent.values()) and event.id in tally.bought else ""
        return f"{counted} {how(event, tally)}  {visible(event.id)}{paid}"


class Live:
    """A line that moves, by rich, on `stream` (stderr, a terminal): count, rate, time left, money, requests in flight."""

    def __init__(
        self, stream: IO[str], terminal: Terminal, *, asks: bool = False, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._progress = _progress(stream, terminal)
        self._terminal = terminal
        self._asks = asks
        self._clock = clock
        self._plan = _PlanLine(terminal, asks=asks)
        self._tally = Tally()
        self._task: TaskID | None = None
        self._start = 0.0
        self._reported: set[str] = set()

    @property
    def reported(self) -> frozenset[str]:
        """The messages that stand above the line."""
        return frozenset(self._reported)

    def event(self, event: Event) -> None:
        """Move the line; print above it what a person should read."""
        self._tally.note(event)
        for line in self._plan.take(event):
            self._print_painted(line)
        text = event_words(event)
        if text and (event.event != "retry" or self._terminal.verbose) and not event.data.get("drawing"):
            self._print(text, _ROLE.get(event.event, ""))
            self._reported.add(event_message(event))
        if event.event not in ("plan", "message", "summary") or (event.event == "plan" and not self._asks):
            self._move()

    def plan_shown(self) -> None:
        """A person has just read the plan, and answered."""
        self._plan.drop()
        self._move()

    def close(self) -> None:
        """Take the line away."""
        self._progress.stop()

    def _move(self) -> None:
        """The line starts with the work, not before: a question may stand in its place until then."""
        if not self._tally.total and not self._tally.finished:
            return
        if self._task is None:
            self._start = self._clock()
            self._task = self._progress.add_task("", total=self._total(), tail="")
            self._progress.start()
        text = cut(tail(self._tally, self._clock() - self._start), self._room())
        self._progress.update(self._task, completed=len(self._tally.finished), total=self._total(), tail=text)

    def _room(self) -> int:
        """The columns behind bar, count and clock, a blank between each two."""
        return max(1, self._terminal.width - BAR_COLUMNS - 2 * len(str(self._total())) - 1 - CLOCK_COLUMNS - 3)

    def _total(self) -> int:
        return max(self._tally.total, len(self._tally.finished))

    def _print(self, text: str, role: str) -> None:
        from rich.text import Text

        self._progress.console.print(Text(text, style=role))

    def _print_painted(self, text: str) -> None:
        from rich.text import Text

        self._progress.console.print(Text.from_ansi(text))


def _progress(stream: IO[str], terminal: Terminal) -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(
        file=stream, force_terminal=True, no_color=not terminal.paint, highlight=False, markup=False, width=terminal.width
    )
    columns = (
        BarColumn(bar_width=BAR_COLUMNS),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[tail]}", markup=False),
    )
    return Progress(*columns, console=console, transient=True, refresh_per_second=5)


def reporter(stream: IO[str], terminal: Terminal, *, live: bool, asks: bool = False) -> Quiet | Plain | Live:
    """The one that suits `stream`: nothing under `-q`, the live line on a terminal, plain lines elsewhere.

    `asks`: a person may be shown the whole plan at the gate.
    """
    if terminal.quiet:
        return Quiet()
    return Live(stream, terminal, asks=asks) if live else Plain(stream, terminal, asks=asks)


def how(event: Event, tally: Tally) -> str:
    """What was done for an entry that has just been written."""
    verb = event.data.get("how")
    return visible(str(verb)) if verb else "generated" if event.id in tally.bought else "written"


def tail(tally: Tally, seconds: float) -> str:
    """What stands behind the live line after `seconds` of work: rate, time left, money, requests in flight, failures."""
    left = tally.left(seconds)
    parts = [f"{len(tally.finished) / seconds:.2g}/s" if tally.finished and seconds >= 1 else ""]
    parts += [f"{duration(round(left))} left" if left else ""]
    parts += [price_words(tally.spent) if any(tally.spent.values()) else ""]
    parts += [f"{len(tally.flying)} in flight" if tally.flying else ""]
    parts += [f"{len(tally.failed)} failed" if tally.failed else ""]
    parts += [f"{len(tally.doubtful)} in doubt" if tally.doubtful else ""]
    return " · ".join(part for part in parts if part)


def event_message(event: Event) -> str:
    """The message that an event carries, as it came."""
    return str(event.data.get("message", event.data.get("text", "")))


def event_words(event: Event) -> str:
    """What an event says to a person at once; "" for those that only move a count."""
    message, code = visible(event_message(event)), visible(str(event.data.get("code") or ""))
    identity = visible(event.id)
    if event.event == "message":
        return f"{identity}: {message}" if identity else message
    if event.event == "failed" and code == "expect":
        return f"failed its check  {identity}: {message}"
    if event.event == "failed":
        return f"failed  {identity}: " + (
            message if not code or message.startswith(code) else f"{code}: {message}" if message else code
        )
    if event.event == "doubt":
        which = f" (seed {event.data['seed']})" if "seed" in event.data else ""
        return f"in doubt  {identity}{which}: {message or 'sent, and no answer that could be read; perhaps charged'}"
    if event.event == "retry":
        return f"again  {identity}: {message}" if message else f"again  {identity}"
    return ""
